package transforms

import "github.com/millrace/millrace/pipeline"

// Stamped is a value with its event time in Unix milliseconds.
type Stamped[V any] struct {
	TS    int64
	Value V
}

// WithTimestamps gives each value its event time as data.
func WithTimestamps[T any](c pipeline.PCollection[T], opts ...pipeline.Option) pipeline.PCollection[Stamped[T]] {
	return pipeline.Composite(c, "WithTimestamps", func() pipeline.PCollection[Stamped[T]] {
		return pipeline.ParDo(c, func(_ *pipeline.DoFn, emit pipeline.Emit[Stamped[T]]) func(pipeline.Elem, T) error {
			return func(e pipeline.Elem, v T) error {
				emit(Stamped[T]{e.TimestampMs(), v})
				return nil
			}
		}, opts...)
	})
}

// Latest is the value of each key and window that has the latest event time; of
// equal times any.
func Latest[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	type stamped = pipeline.KV[K, Stamped[V]]
	return pipeline.Composite(c, "Latest", func() pipeline.Keyed[K, V] {
		kvs := pipeline.ParDo(pipeline.Pairs(c), func(_ *pipeline.DoFn, emit pipeline.Emit[stamped]) func(pipeline.Elem, pipeline.KV[K, V]) error {
			return func(e pipeline.Elem, kv pipeline.KV[K, V]) error {
				emit(stamped{Key: kv.Key, Value: Stamped[V]{e.TimestampMs(), kv.Value}})
				return nil
			}
		})
		latest := LatestOf[V]()
		return pipeline.CombinePerKey(pipeline.FromPairs(kvs), pipeline.Combiner[Stamped[V], Optional[Stamped[V]], V]{
			Add: latest.Add, Merge: latest.Merge, Extract: func(a Optional[Stamped[V]]) V { return a.Value.Value },
		}, opts...)
	})
}

// LatestGlobally is the element that has the latest event time; of equal times any.
// Of an empty collection OK is false.
func LatestGlobally[T any](c pipeline.PCollection[T], opts ...pipeline.Option) pipeline.PCollection[Optional[T]] {
	return pipeline.Composite(c, "LatestGlobally", func() pipeline.PCollection[Optional[T]] {
		return pipeline.CombineGlobally(WithTimestamps(c), LatestOf[T](), opts...)
	})
}

// LatestOf is the combiner of [LatestGlobally], of values that carry their time.
func LatestOf[V any]() pipeline.Combiner[Stamped[V], Optional[Stamped[V]], Optional[V]] {
	best := BestOf(func(a, b Stamped[V]) bool { return a.TS > b.TS })
	return pipeline.Combiner[Stamped[V], Optional[Stamped[V]], Optional[V]]{
		Add: best.Add, Merge: best.Merge,
		Extract: func(a Optional[Stamped[V]]) Optional[V] { return Optional[V]{a.OK, a.Value.Value} },
	}
}
