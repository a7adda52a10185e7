package table

import (
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
)

// Join is the rows of the keys that are in both tables. name ties the state, which is
// both tables, to the code across versions.
func Join[K comparable, A, B any](left Table[K, A], right Table[K, B], name string) Table[K, transforms.Pair[A, B]] {
	type pair = transforms.Pair[A, B]
	return join(left, right, name, func(a transforms.Optional[A], b transforms.Optional[B]) (p transforms.Optional[pair]) {
		if a.OK && b.OK {
			p = some(pair{Left: a.Value, Right: b.Value})
		}
		return p
	})
}

// LeftJoin is [Join], and the rows of the left table without a right one.
func LeftJoin[K comparable, A, B any](left Table[K, A], right Table[K, B], name string) Table[K, transforms.Pair[A, transforms.Optional[B]]] {
	type pair = transforms.Pair[A, transforms.Optional[B]]
	return join(left, right, name, func(a transforms.Optional[A], b transforms.Optional[B]) (p transforms.Optional[pair]) {
		if a.OK {
			p = some(pair{Left: a.Value, Right: b})
		}
		return p
	})
}

// FullJoin is [Join], and the rows of each table without one in the other.
func FullJoin[K comparable, A, B any](left Table[K, A], right Table[K, B], name string) Table[K, transforms.Pair[transforms.Optional[A], transforms.Optional[B]]] {
	type pair = transforms.Pair[transforms.Optional[A], transforms.Optional[B]]
	return join(left, right, name, func(a transforms.Optional[A], b transforms.Optional[B]) (p transforms.Optional[pair]) {
		if a.OK || b.OK {
			p = some(pair{Left: a, Right: b})
		}
		return p
	})
}

// side is what a row of one of the two tables has become.
type side[A, B any] struct {
	Right bool
	Live  bool
	A     A
	B     B
}

func lefts[K comparable, A, B any](t Table[K, A]) pipeline.Keyed[K, side[A, B]] {
	return pipeline.MapValues(t.changes, func(c Change[A]) side[A, B] { return side[A, B]{Live: c.Kind != Delete, A: c.New} })
}

func rights[K comparable, A, B any](t Table[K, B]) pipeline.Keyed[K, side[A, B]] {
	return pipeline.MapValues(t.changes, func(c Change[B]) side[A, B] {
		return side[A, B]{Right: true, Live: c.Kind != Delete, B: c.New}
	})
}

// join keeps both rows of a key; match makes the result of them.
func join[K comparable, A, B, P any](left Table[K, A], right Table[K, B], name string, match func(transforms.Optional[A], transforms.Optional[B]) transforms.Optional[P]) Table[K, P] {
	type out = pipeline.KV[K, Change[P]]
	failName(left.changes, "table.Join", name)
	return pipeline.Composite(left.changes, name, func() Table[K, P] {
		both := pipeline.FlattenKeyed(lefts[K, A, B](left), rights[K, A, B](right))
		return Table[K, P]{stateful(both, "rows", func(s *pipeline.Setup[K, out]) pipeline.Process[K, side[A, B], out] {
			as, bs := pipeline.ValueState[A](s, "left"), pipeline.ValueState[B](s, "right")
			eq := newEquality[P]()
			return func(c *pipeline.Ctx[K], v side[A, B], emit pipeline.Emit[out]) error {
				a, b := lookup(c, as), lookup(c, bs)
				old := match(a, b)
				if v.Right {
					b = transforms.Optional[B]{OK: v.Live, Value: v.B}
					store(c, bs, b)
				} else {
					a = transforms.Optional[A]{OK: v.Live, Value: v.A}
					store(c, as, a)
				}
				if ch, ok := between(old, match(a, b)); ok && !eq.idle(ch) {
					emit(out{Key: c.Key(), Value: ch})
				}
				return nil
			}
		})}
	})
}

func lookup[K comparable, T any](c *pipeline.Ctx[K], s pipeline.Value[K, T]) (o transforms.Optional[T]) {
	o.Value, o.OK = s.Lookup(c)
	return o
}

func store[K comparable, T any](c *pipeline.Ctx[K], s pipeline.Value[K, T], o transforms.Optional[T]) {
	if o.OK {
		s.Set(c, o.Value)
	} else {
		s.Clear(c)
	}
}
