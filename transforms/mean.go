package transforms

import (
	"math"

	"github.com/millrace/millrace/pipeline"
)

// Mean is the arithmetic mean of the values of each key and window. Its last digits
// depend on the order of the values, which no run promises.
func Mean[K comparable, V Number](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, float64] {
	return pipeline.Composite(c, "Mean", func() pipeline.Keyed[K, float64] {
		return pipeline.CombinePerKey(c, MeanOf[V](), opts...)
	})
}

// MeanGlobally is the mean of all elements: NaN for an empty collection. See [Mean].
func MeanGlobally[V Number](c pipeline.PCollection[V], opts ...pipeline.Option) pipeline.PCollection[float64] {
	return pipeline.Composite(c, "MeanGlobally", func() pipeline.PCollection[float64] {
		return pipeline.CombineGlobally(c, MeanOf[V](), opts...)
	})
}

// MeanAcc is the accumulator of [MeanOf]: how many values, and their mean.
type MeanAcc struct {
	N    int64
	Mean float64
}

// MeanOf is the combiner of [Mean]. It keeps the mean itself rather than a sum,
// which would overflow, or lose small values beside a large sum.
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
				a.Mean += (b.Mean - a.Mean) * (float64(b.N) / float64(n))
				a.N = n
			}
		},
		Extract: func(a MeanAcc) float64 {
			if a.N == 0 {
				return math.NaN()
			}
			return a.Mean
		},
	}
}
