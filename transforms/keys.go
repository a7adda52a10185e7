package transforms

import "github.com/millrace/millrace/pipeline"

// Keys drops the values.
func Keys[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.PCollection[K] {
	return pipeline.Composite(c, "Keys", func() pipeline.PCollection[K] {
		return pipeline.MapKV(c, func(k K, _ V) K { return k }, opts...)
	})
}

// Values drops the keys.
func Values[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.PCollection[V] {
	return pipeline.Composite(c, "Values", func() pipeline.PCollection[V] {
		return pipeline.MapKV(c, func(_ K, v V) V { return v }, opts...)
	})
}

// Swap makes values keys and keys values.
func Swap[K, V comparable](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[V, K] {
	return pipeline.Composite(c, "Swap", func() pipeline.Keyed[V, K] {
		return pipeline.FromPairs(pipeline.MapKV(c, func(k K, v V) pipeline.KV[V, K] { return pipeline.NewKV(v, k) }, opts...))
	})
}
