package transforms

import "github.com/millrace/millrace/pipeline"

// Number is what sums and means are made of.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// Sum is the sum of the values of each key and window. It is of the values' type:
// integers that overflow wrap around, so map small ones to int64 first; the last
// digits of floats depend on the order of the values, which no run promises.
func Sum[K comparable, V Number](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "Sum", func() pipeline.Keyed[K, V] {
		return pipeline.CombinePerKey(c, SumOf[V](), opts...)
	})
}

// SumGlobally is the sum of all elements: 0 for an empty collection. See [Sum].
func SumGlobally[V Number](c pipeline.PCollection[V], opts ...pipeline.Option) pipeline.PCollection[V] {
	return pipeline.Composite(c, "SumGlobally", func() pipeline.PCollection[V] {
		return pipeline.CombineGlobally(c, SumOf[V](), opts...)
	})
}

// SumOf is the combiner of [Sum].
func SumOf[V Number]() pipeline.Combiner[V, V, V] {
	return pipeline.Combiner[V, V, V]{
		Add:     func(a *V, v V) { *a += v },
		Merge:   func(a *V, b V) { *a += b },
		Extract: func(a V) V { return a },
	}
}
