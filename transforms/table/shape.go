package table

import "github.com/millrace/millrace/pipeline"

// MapValues changes the rows and keeps their keys. f is called for the old and for
// the new value of a change, and must give equal results for equal rows. An update
// that f makes an equal pair of is passed on; see [Distinct].
func MapValues[K comparable, V, W any](t Table[K, V], f func(V) W, opts ...pipeline.Option) Table[K, W] {
	failNil(t, "MapValues", f == nil)
	return Table[K, W]{pipeline.MapValues(t.changes, func(c Change[V]) Change[W] {
		out := Change[W]{Kind: c.Kind}
		if c.Kind != Insert {
			out.Old = f(c.Old)
		}
		if c.Kind != Delete {
			out.New = f(c.New)
		}
		return out
	}, opts...)}
}

// Filter keeps the rows for which keep is true. A row that is changed so that it is
// kept no more is deleted from the result, and one that is from now on is inserted.
func Filter[K comparable, V any](t Table[K, V], keep func(K, V) bool, opts ...pipeline.Option) Table[K, V] {
	failNil(t, "Filter", keep == nil)
	type out = pipeline.KV[K, Change[V]]
	return Table[K, V]{pipeline.FromPairs(pipeline.FlatMapKV(t.changes, func(k K, c Change[V], emit pipeline.Emit[out]) {
		old, now := c.Before(), c.After()
		old.OK = old.OK && keep(k, old.Value)
		now.OK = now.OK && keep(k, now.Value)
		if ch, ok := between(old, now); ok {
			emit(out{Key: k, Value: ch})
		}
	}, opts...))}
}

// Distinct drops the updates that replace a row by an equal one, which a [MapValues]
// that looks at part of a row makes many of. Rows are equal when their encodings are.
func Distinct[K comparable, V any](t Table[K, V], opts ...pipeline.Option) Table[K, V] {
	type pair = pipeline.KV[K, Change[V]]
	return Table[K, V]{pipeline.FromPairs(pipeline.ParDo(pipeline.Pairs(t.changes), func(_ *pipeline.DoFn, emit pipeline.Emit[pair]) func(pipeline.Elem, pair) error {
		eq := newEquality[V]()
		return func(_ pipeline.Elem, c pair) error {
			if !eq.idle(c.Value) {
				emit(c)
			}
			return nil
		}
	}, opts...))}
}

// failNil records that a function is missing.
func failNil[K comparable, V any](t Table[K, V], what string, missing bool) {
	if missing {
		pipeline.FailAt(t.changes, "table.%s: the function is nil", what)
	}
}
