package transforms

import (
	"cmp"

	"github.com/millrace/millrace/pipeline"
)

// Min is the least value of each key and window. As with Go's min, a NaN among
// floats makes the result NaN.
func Min[K comparable, V cmp.Ordered](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "Min", func() pipeline.Keyed[K, V] {
		return pipeline.CombinePerKey(c, present(MinOf[V]()), opts...)
	})
}

// Max is the greatest value of each key and window. As with Go's max, a NaN among
// floats makes the result NaN.
func Max[K comparable, V cmp.Ordered](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "Max", func() pipeline.Keyed[K, V] {
		return pipeline.CombinePerKey(c, present(MaxOf[V]()), opts...)
	})
}

// MinGlobally is the least element; of an empty collection OK is false. See [Min].
func MinGlobally[V cmp.Ordered](c pipeline.PCollection[V], opts ...pipeline.Option) pipeline.PCollection[Optional[V]] {
	return pipeline.Composite(c, "MinGlobally", func() pipeline.PCollection[Optional[V]] {
		return pipeline.CombineGlobally(c, MinOf[V](), opts...)
	})
}

// MaxGlobally is the greatest element; of an empty collection OK is false. See [Max].
func MaxGlobally[V cmp.Ordered](c pipeline.PCollection[V], opts ...pipeline.Option) pipeline.PCollection[Optional[V]] {
	return pipeline.Composite(c, "MaxGlobally", func() pipeline.PCollection[Optional[V]] {
		return pipeline.CombineGlobally(c, MaxOf[V](), opts...)
	})
}

// MinOf is the combiner of [MinGlobally].
func MinOf[V cmp.Ordered]() pipeline.Combiner[V, Optional[V], Optional[V]] {
	return choose(func(a *Optional[V], v V) {
		if a.OK {
			a.Value = min(a.Value, v)
		} else {
			*a = some(v)
		}
	})
}

// MaxOf is the combiner of [MaxGlobally].
func MaxOf[V cmp.Ordered]() pipeline.Combiner[V, Optional[V], Optional[V]] {
	return choose(func(a *Optional[V], v V) {
		if a.OK {
			a.Value = max(a.Value, v)
		} else {
			*a = some(v)
		}
	})
}

// BestOf is the combiner that keeps the value which is better than all others; of
// equal ones any. better must be an order: of two values at most one is better.
func BestOf[V any](better func(a, b V) bool) pipeline.Combiner[V, Optional[V], Optional[V]] {
	if better == nil {
		pipeline.Fail(nil, "BestOf: the function is nil")
	}
	return choose(func(a *Optional[V], v V) {
		if !a.OK || better(v, a.Value) {
			*a = some(v)
		}
	})
}

// choose is the combiner of one value out of many; add may keep the old or the new.
func choose[V any](add func(a *Optional[V], v V)) pipeline.Combiner[V, Optional[V], Optional[V]] {
	return pipeline.Combiner[V, Optional[V], Optional[V]]{
		Add: add,
		Merge: func(a *Optional[V], b Optional[V]) {
			if b.OK {
				add(a, b.Value)
			}
		},
		Extract: func(a Optional[V]) Optional[V] { return a },
	}
}

// present makes the result the value itself: a key's group is never empty.
func present[V any](cb pipeline.Combiner[V, Optional[V], Optional[V]]) pipeline.Combiner[V, Optional[V], V] {
	return pipeline.Combiner[V, Optional[V], V]{Add: cb.Add, Merge: cb.Merge, Extract: func(a Optional[V]) V { return a.Value }}
}
