package transforms

import (
	"slices"

	"github.com/millrace/millrace/pipeline"
)

// Top is the n greatest values of each key and window, greatest first; all of them
// if there are fewer. less is the order; of equal values any are kept.
func Top[K comparable, V any](c pipeline.Keyed[K, V], n int, less func(a, b V) bool, opts ...pipeline.Option) pipeline.Keyed[K, []V] {
	return pipeline.Composite(c, "Top", func() pipeline.Keyed[K, []V] {
		checkTop(report(c), "Top", n, less == nil)
		return pipeline.CombinePerKey(c, topOf(n, less), opts...)
	})
}

// TopGlobally is the n greatest elements, greatest first, as one slice. See [Top].
func TopGlobally[V any](c pipeline.PCollection[V], n int, less func(a, b V) bool, opts ...pipeline.Option) pipeline.PCollection[[]V] {
	return pipeline.Composite(c, "TopGlobally", func() pipeline.PCollection[[]V] {
		checkTop(report(c), "TopGlobally", n, less == nil)
		return pipeline.CombineGlobally(c, topOf(n, less), opts...)
	})
}

// Bottom is the n least values of each key and window, least first. See [Top].
func Bottom[K comparable, V any](c pipeline.Keyed[K, V], n int, less func(a, b V) bool, opts ...pipeline.Option) pipeline.Keyed[K, []V] {
	return pipeline.Composite(c, "Bottom", func() pipeline.Keyed[K, []V] {
		checkTop(report(c), "Bottom", n, less == nil)
		return pipeline.CombinePerKey(c, topOf(n, reverse(less)), opts...)
	})
}

// BottomGlobally is the n least elements, least first, as one slice. See [Top].
func BottomGlobally[V any](c pipeline.PCollection[V], n int, less func(a, b V) bool, opts ...pipeline.Option) pipeline.PCollection[[]V] {
	return pipeline.Composite(c, "BottomGlobally", func() pipeline.PCollection[[]V] {
		checkTop(report(c), "BottomGlobally", n, less == nil)
		return pipeline.CombineGlobally(c, topOf(n, reverse(less)), opts...)
	})
}

// TopOf is the combiner of [Top]. Most values cost one comparison with the least
// that is kept, others about log2(n).
func TopOf[V any](n int, less func(a, b V) bool) pipeline.Combiner[V, []V, []V] {
	checkTop(report(nil), "TopOf", n, less == nil)
	return topOf(n, less)
}

func checkTop(fail failer, kind string, n int, noLess bool) {
	if n < 1 {
		fail("%s: n is %d, want at least 1", kind, n)
	}
	if noLess {
		fail("%s: the function is nil", kind)
	}
}

func reverse[V any](less func(a, b V) bool) func(a, b V) bool {
	return func(a, b V) bool { return less(b, a) }
}

// topOf keeps the n values in a heap with the least at its root.
func topOf[V any](n int, less func(a, b V) bool) pipeline.Combiner[V, []V, []V] {
	add := func(h *[]V, v V) {
		if len(*h) < n {
			*h = append(*h, v)
			up(*h, less)
		} else if n > 0 && less((*h)[0], v) {
			(*h)[0] = v
			down(*h, less)
		}
	}
	return pipeline.Combiner[V, []V, []V]{
		Add: add,
		Merge: func(a *[]V, b []V) {
			if len(*a) == 0 {
				*a = b
				return
			}
			for _, v := range b {
				add(a, v)
			}
		},
		Extract: func(h []V) []V {
			out := slices.Clone(h)
			slices.SortFunc(out, func(a, b V) int {
				switch {
				case less(b, a):
					return -1
				case less(a, b):
					return 1
				}
				return 0
			})
			return out[:min(max(n, 0), len(out))] // more: state that was kept under a larger n
		},
	}
}

// up moves the last value of a binary heap to its place.
func up[V any](h []V, less func(a, b V) bool) {
	for i := len(h) - 1; i > 0; {
		p := (i - 1) / 2
		if !less(h[i], h[p]) {
			return
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
}

// down moves the first value of a binary heap to its place.
func down[V any](h []V, less func(a, b V) bool) {
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && less(h[c+1], h[c]) {
			c++
		}
		if !less(h[c], h[i]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}
