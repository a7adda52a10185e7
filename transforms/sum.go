package transforms

import "github.com/millrace/millrace/pipeline"

// Number is what sums and means are made of.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// Sum is the sum of the values of each key and window. It is of the values' type:
// integers wrap around, floats depend on the order in their last digits.
func Sum[K comparable, V Number](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "Sum", func() pipeline.Keyed[K, V] {
		return pipeline.CombinePerKey(c, SumOf[V](), opts...)
	})
}

// SumGlobally is the sum of all elements: 0 for an empty collection.
func SumGlobally[V Number](c pipeline.PCollection[V]) pipeline.PCollection[V] {
	return pipeline.Composite(c, "SumGlobally", func() pipeline.PCollection[V] {
		return pipeline.CombineGlobally(c, SumOf[V]())
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

// MeanAcc is the accumulator of [MeanOf].
type MeanAcc struct {
	N    int64
	Mean float64
}

// Mean is the arithmetic mean of the values of each key and window.
func Mean[K comparable, V Number](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, float64] {
	return pipeline.Composite(c, "Mean", func() pipeline.Keyed[K, float64] {
		return pipeline.CombinePerKey(c, MeanOf[V](), opts...)
	})
}

// MeanGlobally is the mean of all elements: 0 for an empty collection.
func MeanGlobally[V Number](c pipeline.PCollection[V]) pipeline.PCollection[float64] {
	return pipeline.Composite(c, "MeanGlobally", func() pipeline.PCollection[float64] {
		return pipeline.CombineGlobally(c, MeanOf[V]())
	})
}

// MeanOf is the combiner of [Mean]. It keeps the mean itself rather than a sum,
// which would overflow or lose digits.
//
// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.
func MeanOf[V Number]() pipeline.Combiner[V, MeanAcc, float64] {
	return pipeline.Combiner[V, MeanAcc, float64]{
		Add: func(a *MeanAcc, v V) {
			a.N++
			a.Mean += (float64(v) - a.Mean) / float64(a.N)
		},
		Merge: func(a *MeanAcc, b MeanAcc) {
			if n := a.N + b.N; n > 0 {
				a.Mean += (b.Mean - a.Mean) * float64(b.N) / float64(n)
				a.N = n
			}
		},
		Extract: func(a MeanAcc) float64 { return a.Mean },
	}
}
