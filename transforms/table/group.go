package table

import (
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
)

// Grouped is the rows of a table by another key, of which each may have many rows.
type Grouped[G comparable, V any] struct {
	changes pipeline.Keyed[G, Change[V]] // an Update replaces one row of the group by another
}

// GroupBy puts each row into the group that key gives for it. A row whose group
// changes leaves the old one and enters the new one.
func GroupBy[K comparable, V any, G comparable](t Table[K, V], key func(K, V) G, opts ...pipeline.Option) Grouped[G, V] {
	failNil(t, "GroupBy", key == nil)
	type out = pipeline.KV[G, Change[V]]
	return Grouped[G, V]{pipeline.FromPairs(pipeline.FlatMapKV(t.changes, func(k K, c Change[V], emit pipeline.Emit[out]) {
		switch c.Kind {
		case Insert:
			emit(out{Key: key(k, c.New), Value: c})
		case Delete:
			emit(out{Key: key(k, c.Old), Value: c})
		default:
			from, to := key(k, c.Old), key(k, c.New)
			if from == to {
				emit(out{Key: to, Value: c})
				return
			}
			emit(out{Key: from, Value: Change[V]{Kind: Delete, Old: c.Old}})
			emit(out{Key: to, Value: Change[V]{Kind: Insert, New: c.New}})
		}
	}, opts...))}
}

// Aggregator folds rows into an accumulator A, in place, takes them out again, and
// makes a result of it. A needs a coder. Rows come and go in any order, so the result
// must depend on which rows there are, and on nothing else.
type Aggregator[V, A, R any] struct {
	Init    func() A        // makes an empty accumulator; nil: the zero value of A
	Add     func(a *A, v V) // puts a row in
	Sub     func(a *A, v V) // takes a row out that was put in before
	Extract func(a A) R     // makes the result, which must not share memory with a
}

// group is the state of one group.
type group[A any] struct {
	Rows int64
	Acc  A
}

// Aggregate is the aggregate of the rows of each group, a table by group. A group
// without rows has none. A change of the rows that leaves the result as it was is no
// change. name ties the state to the code across versions.
func Aggregate[G comparable, V, A, R any](g Grouped[G, V], name string, agg Aggregator[V, A, R]) Table[G, R] {
	type out = pipeline.KV[G, Change[R]]
	if agg.Add == nil || agg.Sub == nil || agg.Extract == nil {
		pipeline.FailAt(g.changes, "table %q: the aggregator lacks Add, Sub or Extract", name)
	}
	return Table[G, R]{stateful(g.changes, name, func(s *pipeline.Setup[G, out]) pipeline.Process[G, Change[V], out] {
		groups := pipeline.ValueState[group[A]](s, "group")
		eq := newEquality[R]()
		return func(c *pipeline.Ctx[G], ch Change[V], emit pipeline.Emit[out]) error {
			st, known := groups.Lookup(c)
			if !known && agg.Init != nil {
				st.Acc = agg.Init()
			}
			var old, now transforms.Optional[R]
			if st.Rows > 0 {
				old = some(agg.Extract(st.Acc))
			}
			if ch.Kind != Insert {
				agg.Sub(&st.Acc, ch.Old)
				st.Rows--
			}
			if ch.Kind != Delete {
				agg.Add(&st.Acc, ch.New)
				st.Rows++
			}
			if st.Rows > 0 {
				now = some(agg.Extract(st.Acc))
				groups.Set(c, st)
			} else {
				groups.Clear(c)
			}
			if d, ok := between(old, now); ok && !eq.idle(d) {
				emit(out{Key: c.Key(), Value: d})
			}
			return nil
		}
	})}
}
