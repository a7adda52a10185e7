package transforms

import "github.com/millrace/millrace/pipeline"

// Pair is one match of a join.
type Pair[A, B any] struct {
	Left  A
	Right B
}

// Optional is one side of an outer join: the zero value where there is no match.
type Optional[T any] struct {
	OK    bool
	Value T
}

func some[T any](v T) Optional[T] { return Optional[T]{true, v} }

// InnerJoin is every pair of a left and a right value of one key and window. The
// right values of a key are read once for each left value, from disk if there are
// many: put the side with fewer values for each key on the right.
func InnerJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B]) pipeline.Keyed[K, Pair[A, B]] {
	return join(left, right, "InnerJoin", func(g pipeline.Grouped2[A, B], emit func(Pair[A, B])) {
		for a := range g.A {
			for b := range g.B {
				emit(Pair[A, B]{a, b})
			}
		}
	})
}

// LeftJoin is [InnerJoin], and every left value that has no match.
func LeftJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B]) pipeline.Keyed[K, Pair[A, Optional[B]]] {
	return join(left, right, "LeftJoin", func(g pipeline.Grouped2[A, B], emit func(Pair[A, Optional[B]])) {
		for a := range g.A {
			matched := false
			for b := range g.B {
				matched = true
				emit(Pair[A, Optional[B]]{a, some(b)})
			}
			if !matched {
				emit(Pair[A, Optional[B]]{Left: a})
			}
		}
	})
}

// RightJoin is [InnerJoin], and every right value that has no match.
func RightJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B]) pipeline.Keyed[K, Pair[Optional[A], B]] {
	return join(left, right, "RightJoin", func(g pipeline.Grouped2[A, B], emit func(Pair[Optional[A], B])) {
		matched := false
		for a := range g.A {
			matched = true
			for b := range g.B {
				emit(Pair[Optional[A], B]{some(a), b})
			}
		}
		if !matched {
			for b := range g.B {
				emit(Pair[Optional[A], B]{Right: b})
			}
		}
	})
}

// FullJoin is [InnerJoin], and every value on either side that has no match.
func FullJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B]) pipeline.Keyed[K, Pair[Optional[A], Optional[B]]] {
	return join(left, right, "FullJoin", func(g pipeline.Grouped2[A, B], emit func(Pair[Optional[A], Optional[B]])) {
		anyA := false
		for a := range g.A {
			anyA = true
			matched := false
			for b := range g.B {
				matched = true
				emit(Pair[Optional[A], Optional[B]]{some(a), some(b)})
			}
			if !matched {
				emit(Pair[Optional[A], Optional[B]]{Left: some(a)})
			}
		}
		if !anyA {
			for b := range g.B {
				emit(Pair[Optional[A], Optional[B]]{Right: some(b)})
			}
		}
	})
}

// join co-groups and lets match emit the pairs of each key.
func join[K comparable, A, B, P any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], name string, match func(g pipeline.Grouped2[A, B], emit func(P))) pipeline.Keyed[K, P] {
	return pipeline.Composite(left, name, func() pipeline.Keyed[K, P] {
		pairs := pipeline.FlatMapKV(pipeline.CoGroup(left, right), func(k K, g pipeline.Grouped2[A, B], emit pipeline.Emit[pipeline.KV[K, P]]) {
			match(g, func(p P) { emit(pipeline.NewKV(k, p)) })
		})
		return pipeline.FromPairs(pairs)
	})
}
