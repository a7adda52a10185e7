package transforms

import (
	"slices"

	"github.com/millrace/millrace/pipeline"
)

// Top is the n greatest values of each key and window, greatest first. less is
// the order; of equal values any are kept.
func Top[K comparable, V any](c pipeline.Keyed[K, V], n int, less func(a, b V) bool, opts ...pipeline.Option) pipeline.Keyed[K, []V] {
	return pipeline.Composite(c, "Top", func() pipeline.Keyed[K, []V] {
		checkTop(c, n, less == nil)
		return pipeline.CombinePerKey(c, TopOf(n, less), opts...)
	})
}

// TopGlobally is the n greatest elements, greatest first, as one element.
func TopGlobally[V any](c pipeline.PCollection[V], n int, less func(a, b V) bool) pipeline.PCollection[[]V] {
	return pipeline.Composite(c, "TopGlobally", func() pipeline.PCollection[[]V] {
		checkTop(c, n, less == nil)
		return pipeline.CombineGlobally(c, TopOf(n, less))
	})
}

func checkTop(c pipeline.Signal, n int, noLess bool) {
	if n < 1 {
		pipeline.FailAt(c, "Top: n is %d, want at least 1", n)
	}
	if noLess {
		pipeline.FailAt(c, "Top: the function is nil")
	}
}

// TopOf is the combiner of [Top]: a heap of n values with the least at its root,
// so that most values cost one comparison.
func TopOf[V any](n int, less func(a, b V) bool) pipeline.Combiner[V, []V, []V] {
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
			return out
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
