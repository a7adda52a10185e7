package transforms

import "github.com/millrace/millrace/pipeline"

// Distinct is each different element once in each window, when the window ends.
func Distinct[T comparable](c pipeline.PCollection[T], opts ...pipeline.Option) pipeline.PCollection[T] {
	return pipeline.Composite(c, "Distinct", func() pipeline.PCollection[T] {
		return Keys(pipeline.CombinePerKey(pipeline.KeyBy(c, func(v T) T { return v }), seenOf[T](), opts...))
	})
}

// DistinctPerKey is each different value of a key once in each window, when the
// window ends. A key with many values is spread over all lanes.
func DistinctPerKey[K, V comparable](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "DistinctPerKey", func() pipeline.Keyed[K, V] {
		return pipeline.FromPairs(Distinct(pipeline.Pairs(c), opts...))
	})
}

// DistinctBy is one element of each key, any of them, in each window, when the
// window ends.
func DistinctBy[T any, K comparable](c pipeline.PCollection[T], key func(T) K, opts ...pipeline.Option) pipeline.PCollection[T] {
	return pipeline.Composite(c, "DistinctBy", func() pipeline.PCollection[T] {
		first := present(BestOf(func(a, b T) bool { return false }))
		return Values(pipeline.CombinePerKey(pipeline.KeyBy(c, key), first, opts...))
	})
}

// seenOf remembers nothing but the key.
func seenOf[V any]() pipeline.Combiner[V, bool, bool] {
	return pipeline.Combiner[V, bool, bool]{
		Add:     func(*bool, V) {},
		Merge:   func(*bool, bool) {},
		Extract: func(a bool) bool { return a },
	}
}
