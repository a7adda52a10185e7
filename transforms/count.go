package transforms

import "github.com/millrace/millrace/pipeline"

// Count is the number of values of each key and window.
func Count[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, int64] {
	return pipeline.Composite(c, "Count", func() pipeline.Keyed[K, int64] {
		return pipeline.CombinePerKey(c, CountOf[V](), opts...)
	})
}

// CountGlobally is the number of elements: 0 for an empty collection.
func CountGlobally[T any](c pipeline.PCollection[T], opts ...pipeline.Option) pipeline.PCollection[int64] {
	return pipeline.Composite(c, "CountGlobally", func() pipeline.PCollection[int64] {
		return pipeline.CombineGlobally(c, CountOf[T](), opts...)
	})
}

// CountPerElement is how often each element occurs.
func CountPerElement[T comparable](c pipeline.PCollection[T], opts ...pipeline.Option) pipeline.Keyed[T, int64] {
	return pipeline.Composite(c, "CountPerElement", func() pipeline.Keyed[T, int64] {
		return Count(pipeline.KeyBy(c, func(v T) T { return v }), opts...)
	})
}

// CountOf is the combiner of [Count].
func CountOf[V any]() pipeline.Combiner[V, int64, int64] {
	return pipeline.Combiner[V, int64, int64]{
		Add:     func(a *int64, _ V) { *a++ },
		Merge:   func(a *int64, b int64) { *a += b },
		Extract: func(a int64) int64 { return a },
	}
}
