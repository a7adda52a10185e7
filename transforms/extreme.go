package transforms

import (
	"cmp"

	"github.com/millrace/millrace/pipeline"
)

// Best is a value that may be missing: the least or greatest of nothing.
type Best[V any] struct {
	OK    bool
	Value V
}

// Min is the least value of each key and window.
func Min[K comparable, V cmp.Ordered](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "Min", func() pipeline.Keyed[K, V] {
		return pipeline.CombinePerKey(c, valueOf(BestOf(func(a, b V) bool { return a < b })), opts...)
	})
}

// Max is the greatest value of each key and window.
func Max[K comparable, V cmp.Ordered](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "Max", func() pipeline.Keyed[K, V] {
		return pipeline.CombinePerKey(c, valueOf(BestOf(func(a, b V) bool { return a > b })), opts...)
	})
}

// MinGlobally is the least element; of an empty collection OK is false.
func MinGlobally[V cmp.Ordered](c pipeline.PCollection[V]) pipeline.PCollection[Best[V]] {
	return pipeline.Composite(c, "MinGlobally", func() pipeline.PCollection[Best[V]] {
		return pipeline.CombineGlobally(c, BestOf(func(a, b V) bool { return a < b }))
	})
}

// MaxGlobally is the greatest element; of an empty collection OK is false.
func MaxGlobally[V cmp.Ordered](c pipeline.PCollection[V]) pipeline.PCollection[Best[V]] {
	return pipeline.Composite(c, "MaxGlobally", func() pipeline.PCollection[Best[V]] {
		return pipeline.CombineGlobally(c, BestOf(func(a, b V) bool { return a > b }))
	})
}

// BestOf is the combiner that keeps the value which is better than all others;
// of equal ones any.
func BestOf[V any](better func(a, b V) bool) pipeline.Combiner[V, Best[V], Best[V]] {
	add := func(a *Best[V], v V) {
		if !a.OK || better(v, a.Value) {
			*a = Best[V]{true, v}
		}
	}
	return pipeline.Combiner[V, Best[V], Best[V]]{
		Add: add,
		Merge: func(a *Best[V], b Best[V]) {
			if b.OK {
				add(a, b.Value)
			}
		},
		Extract: func(a Best[V]) Best[V] { return a },
	}
}

// valueOf makes the result the value itself: a key's group is never empty.
func valueOf[V any](cb pipeline.Combiner[V, Best[V], Best[V]]) pipeline.Combiner[V, Best[V], V] {
	return pipeline.Combiner[V, Best[V], V]{Add: cb.Add, Merge: cb.Merge, Extract: func(a Best[V]) V { return a.Value }}
}
