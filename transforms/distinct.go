package transforms

import "github.com/millrace/millrace/pipeline"

// Distinct is each different element once, in each window.
func Distinct[T comparable](c pipeline.PCollection[T]) pipeline.PCollection[T] {
	return pipeline.Composite(c, "Distinct", func() pipeline.PCollection[T] {
		return Keys(pipeline.CombinePerKey(pipeline.KeyBy(c, func(v T) T { return v }), pipeline.Combiner[T, bool, bool]{
			Add:     func(*bool, T) {},
			Merge:   func(*bool, bool) {},
			Extract: func(a bool) bool { return a },
		}))
	})
}

// DistinctBy is one element of each key, any of them, in each window.
func DistinctBy[T any, K comparable](c pipeline.PCollection[T], key func(T) K) pipeline.PCollection[T] {
	return pipeline.Composite(c, "DistinctBy", func() pipeline.PCollection[T] {
		return Values(pipeline.CombinePerKey(pipeline.KeyBy(c, key), valueOf(BestOf(func(a, b T) bool { return false }))))
	})
}

// Keys drops the values.
func Keys[K comparable, V any](c pipeline.Keyed[K, V]) pipeline.PCollection[K] {
	return pipeline.MapKV(c, func(k K, _ V) K { return k })
}

// Values drops the keys.
func Values[K comparable, V any](c pipeline.Keyed[K, V]) pipeline.PCollection[V] {
	return pipeline.MapKV(c, func(_ K, v V) V { return v })
}

// Swap makes values keys and keys values.
func Swap[K, V comparable](c pipeline.Keyed[K, V]) pipeline.Keyed[V, K] {
	return pipeline.Composite(c, "Swap", func() pipeline.Keyed[V, K] {
		return pipeline.FromPairs(pipeline.MapKV(c, func(k K, v V) pipeline.KV[V, K] { return pipeline.NewKV(v, k) }))
	})
}
