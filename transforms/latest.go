package transforms

import "github.com/millrace/millrace/pipeline"

// Stamped is a value with its event time in Unix milliseconds.
type Stamped[V any] struct {
	TS    int64
	Value V
}

// WithTimestamps gives each value its event time as data.
func WithTimestamps[T any](c pipeline.PCollection[T]) pipeline.PCollection[Stamped[T]] {
	return pipeline.ParDo(c, func(_ *pipeline.DoFn, emit pipeline.Emit[Stamped[T]]) func(pipeline.Elem, T) error {
		return func(e pipeline.Elem, v T) error {
			emit(Stamped[T]{e.TimestampMs(), v})
			return nil
		}
	})
}

// Latest is the value of each key and window that has the latest event time; of
// equal times any.
func Latest[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "Latest", func() pipeline.Keyed[K, V] {
		stamped := pipeline.ParDo(pipeline.Pairs(c), func(_ *pipeline.DoFn, emit pipeline.Emit[pipeline.KV[K, Stamped[V]]]) func(pipeline.Elem, pipeline.KV[K, V]) error {
			return func(e pipeline.Elem, kv pipeline.KV[K, V]) error {
				emit(pipeline.NewKV(kv.Key, Stamped[V]{e.TimestampMs(), kv.Value}))
				return nil
			}
		})
		best := BestOf(func(a, b Stamped[V]) bool { return a.TS > b.TS })
		return pipeline.CombinePerKey(pipeline.FromPairs(stamped), pipeline.Combiner[Stamped[V], Best[Stamped[V]], V]{
			Add: best.Add, Merge: best.Merge, Extract: func(a Best[Stamped[V]]) V { return a.Value.Value },
		}, opts...)
	})
}

// LatestGlobally is the element that has the latest event time; of an empty
// collection OK is false.
func LatestGlobally[T any](c pipeline.PCollection[T]) pipeline.PCollection[Best[T]] {
	return pipeline.Composite(c, "LatestGlobally", func() pipeline.PCollection[Best[T]] {
		best := BestOf(func(a, b Stamped[T]) bool { return a.TS > b.TS })
		return pipeline.CombineGlobally(WithTimestamps(c), pipeline.Combiner[Stamped[T], Best[Stamped[T]], Best[T]]{
			Add: best.Add, Merge: best.Merge, Extract: func(a Best[Stamped[T]]) Best[T] { return Best[T]{a.OK, a.Value.Value} },
		})
	})
}
