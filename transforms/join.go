package transforms

import "github.com/millrace/millrace/pipeline"

// Pair is one match of a join. Of an outer join the side that may be missing is an
// [Optional].
type Pair[A, B any] struct {
	Left  A
	Right B
}

// InnerJoin is every pair of a left and a right value of one key and window; of n
// and m values of a key there are n times m.
//
// The values of both sides are held as CoGroup holds them, encoded and beyond the
// memory budget on disk. Of a key's right values 1,024 at a time are in memory, and
// the left ones are read once for each 1,024 right ones: put the side with fewer
// values for each key on the right.
func InnerJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, B]] {
	return join(left, right, "InnerJoin", opts, inner[A, B]())
}

// LeftJoin is [InnerJoin], and every left value that has no match.
func LeftJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, Optional[B]]] {
	return join(left, right, "LeftJoin", opts, leftOuter[A, B]())
}

// RightJoin is [InnerJoin], and every right value that has no match.
func RightJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], opts ...pipeline.Option) pipeline.Keyed[K, Pair[Optional[A], B]] {
	return join(left, right, "RightJoin", opts, rightOuter[A, B]())
}

// FullJoin is [InnerJoin], and every value on either side that has no match.
func FullJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], opts ...pipeline.Option) pipeline.Keyed[K, Pair[Optional[A], Optional[B]]] {
	return join(left, right, "FullJoin", opts, fullOuter[A, B]())
}

// matcher makes the results of one kind of join, each of a type P.
type matcher[A, B, P any] struct {
	both  func(A, B) P
	left  func(A) P // of a key without right values; nil: nothing
	right func(B) P // of a key without left values; nil: nothing
}

func inner[A, B any]() matcher[A, B, Pair[A, B]] {
	return matcher[A, B, Pair[A, B]]{both: func(a A, b B) Pair[A, B] { return Pair[A, B]{a, b} }}
}

func leftOuter[A, B any]() matcher[A, B, Pair[A, Optional[B]]] {
	type pair = Pair[A, Optional[B]]
	return matcher[A, B, pair]{
		both: func(a A, b B) pair { return pair{a, some(b)} },
		left: func(a A) pair { return pair{Left: a} },
	}
}

func rightOuter[A, B any]() matcher[A, B, Pair[Optional[A], B]] {
	type pair = Pair[Optional[A], B]
	return matcher[A, B, pair]{
		both:  func(a A, b B) pair { return pair{some(a), b} },
		right: func(b B) pair { return pair{Right: b} },
	}
}

func fullOuter[A, B any]() matcher[A, B, Pair[Optional[A], Optional[B]]] {
	type pair = Pair[Optional[A], Optional[B]]
	return matcher[A, B, pair]{
		both:  func(a A, b B) pair { return pair{some(a), some(b)} },
		left:  func(a A) pair { return pair{Left: some(a)} },
		right: func(b B) pair { return pair{Right: some(b)} },
	}
}

// join co-groups, and has m make the results of each key.
func join[K comparable, A, B, P any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], name string, opts []pipeline.Option, m matcher[A, B, P]) pipeline.Keyed[K, P] {
	type out = pipeline.KV[K, P]
	return pipeline.Composite(left, name, func() pipeline.Keyed[K, P] {
		grouped := pipeline.Pairs(pipeline.CoGroup(left, right, opts...))
		return pipeline.FromPairs(pipeline.ParDo(grouped, func(_ *pipeline.DoFn, emit pipeline.Emit[out]) func(pipeline.Elem, pipeline.KV[K, pipeline.Grouped2[A, B]]) error {
			var block []B // this lane's, used again for each key
			return func(_ pipeline.Elem, g pipeline.KV[K, pipeline.Grouped2[A, B]]) error {
				block = m.match(g.Value, block, func(p P) { emit(out{Key: g.Key, Value: p}) })
				return nil
			}
		}))
	})
}

// joinBlock is how many right values are in memory at a time.
const joinBlock = 1024

// match emits the results of one key. It reads the right values once, in blocks, and
// the left ones once for each block. It returns block, emptied.
func (m matcher[A, B, P]) match(g pipeline.Grouped2[A, B], block []B, emit func(P)) []B {
	anyRight, anyLeft := false, true
	flush := func() {
		anyLeft = false
		for a := range g.A {
			anyLeft = true
			for _, b := range block {
				emit(m.both(a, b))
			}
		}
		if !anyLeft && m.right != nil {
			for _, b := range block {
				emit(m.right(b))
			}
		}
		clear(block)
		block = block[:0]
	}
	for b := range g.B {
		anyRight = true
		if block = append(block, b); len(block) == joinBlock {
			flush()
			if !anyLeft && m.right == nil {
				return block // none of the right values has a match
			}
		}
	}
	if len(block) > 0 {
		flush()
	}
	if !anyRight && m.left != nil {
		for a := range g.A {
			emit(m.left(a))
		}
	}
	return block
}
