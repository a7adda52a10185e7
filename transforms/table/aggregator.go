package table

import (
	"cmp"
	"math"

	"github.com/millrace/millrace/transforms"
)

// Count counts the rows of a group.
func Count[V any]() Aggregator[V, int64, int64] {
	return Aggregator[V, int64, int64]{
		Add:     func(a *int64, _ V) { *a++ },
		Sub:     func(a *int64, _ V) { *a-- },
		Extract: func(a int64) int64 { return a },
	}
}

// Total is the accumulator of [Sum]: integers are summed in Whole, floats in Exact.
type Total[N transforms.Number] struct {
	Whole N
	Exact Exact
}

// Sum is the sum of what f takes from the rows. Integers that overflow wrap around,
// and come back when rows are taken out. Sums of floats are exact and rounded once:
// they do not drift, whatever was put in and taken out before.
func Sum[V any, N transforms.Number](f func(V) N) Aggregator[V, Total[N], N] {
	if f == nil {
		return Aggregator[V, Total[N], N]{}
	}
	half := N(1)
	half /= 2
	if half == 0 {
		return Aggregator[V, Total[N], N]{
			Add:     func(a *Total[N], v V) { a.Whole += f(v) },
			Sub:     func(a *Total[N], v V) { a.Whole -= f(v) },
			Extract: func(a Total[N]) N { return a.Whole },
		}
	}
	return Aggregator[V, Total[N], N]{
		Add:     func(a *Total[N], v V) { a.Exact.Add(float64(f(v))) },
		Sub:     func(a *Total[N], v V) { a.Exact.Sub(float64(f(v))) },
		Extract: func(a Total[N]) N { return N(a.Exact.Value()) },
	}
}

// Average is the accumulator of [Mean].
type Average struct {
	N   int64
	Sum Exact
}

// Mean is the arithmetic mean of what f takes from the rows: their exact sum, as of
// [Sum], by their number. Integers beyond 2^53 are rounded before.
func Mean[V any, N transforms.Number](f func(V) N) Aggregator[V, Average, float64] {
	if f == nil {
		return Aggregator[V, Average, float64]{}
	}
	return Aggregator[V, Average, float64]{
		Add:     func(a *Average, v V) { a.N++; a.Sum.Add(float64(f(v))) },
		Sub:     func(a *Average, v V) { a.N--; a.Sum.Sub(float64(f(v))) },
		Extract: func(a Average) float64 { return a.Sum.over(a.N) },
	}
}

// Min is the least of what f takes from the rows; NaN is less than any number. All
// values of the group are in its state, each once with its count, so that the next
// one is known when the least is taken out. A change costs a binary search and a move
// of a few hundred values; a snapshot writes those of the groups that changed.
func Min[V any, N cmp.Ordered](f func(V) N) Aggregator[V, Multiset[N], N] {
	if f == nil {
		return Aggregator[V, Multiset[N], N]{}
	}
	return Aggregator[V, Multiset[N], N]{
		Add:     func(a *Multiset[N], v V) { a.add(f(v), cmp.Compare[N]) },
		Sub:     func(a *Multiset[N], v V) { a.sub(f(v), cmp.Compare[N]) },
		Extract: func(a Multiset[N]) N { return a.first() },
	}
}

// Max is the greatest of what f takes from the rows. See [Min].
func Max[V any, N cmp.Ordered](f func(V) N) Aggregator[V, Multiset[N], N] {
	agg := Min[V](f)
	if f != nil {
		agg.Extract = func(a Multiset[N]) N { return a.last() }
	}
	return agg
}

// CountDistinct counts the different values that f takes from the rows. See [Min] for
// what its state costs. NaN is one value.
func CountDistinct[V any, N cmp.Ordered](f func(V) N) Aggregator[V, Multiset[N], int64] {
	agg := Min[V](f)
	return Aggregator[V, Multiset[N], int64]{Add: agg.Add, Sub: agg.Sub, Extract: func(a Multiset[N]) int64 { return a.distinct() }}
}

// First is the first n rows of the group in the order of compare, and by their
// encodings where compare finds them equal; n below 1 counts as 1. compare may be
// that of a leader board: func(a, b Player) int { return cmp.Compare(b.Score, a.Score) }.
// All rows of the group are in its state; see [Min] for what that costs.
func First[V any](n int, compare func(a, b V) int) Aggregator[V, Multiset[V], []V] {
	if compare == nil {
		return Aggregator[V, Multiset[V], []V]{}
	}
	enc := newEncodings[V]()
	full := func(a, b V) int {
		if c := compare(a, b); c != 0 {
			return c
		}
		return enc.compare(a, b)
	}
	return Aggregator[V, Multiset[V], []V]{
		Add:     func(a *Multiset[V], v V) { a.add(v, full) },
		Sub:     func(a *Multiset[V], v V) { a.sub(v, full) },
		Extract: func(a Multiset[V]) []V { return a.head(max(n, 1)) },
	}
}

// Both is two aggregates of the same rows.
func Both[V, A, B, R, S any](left Aggregator[V, A, R], right Aggregator[V, B, S]) Aggregator[V, transforms.Pair[A, B], transforms.Pair[R, S]] {
	type acc = transforms.Pair[A, B]
	type result = transforms.Pair[R, S]
	if !left.ok() || !right.ok() {
		return Aggregator[V, acc, result]{}
	}
	return Aggregator[V, acc, result]{
		Init: func() (a acc) {
			if left.Init != nil {
				a.Left = left.Init()
			}
			if right.Init != nil {
				a.Right = right.Init()
			}
			return a
		},
		Add:     func(a *acc, v V) { left.Add(&a.Left, v); right.Add(&a.Right, v) },
		Sub:     func(a *acc, v V) { left.Sub(&a.Left, v); right.Sub(&a.Right, v) },
		Extract: func(a acc) result { return result{Left: left.Extract(a.Left), Right: right.Extract(a.Right)} },
	}
}

func (g Aggregator[V, A, R]) ok() bool { return g.Add != nil && g.Sub != nil && g.Extract != nil }

// over is the sum divided by n; NaN for no values.
func (e Exact) over(n int64) float64 {
	if n == 0 {
		return math.NaN()
	}
	return e.Value() / float64(n)
}
