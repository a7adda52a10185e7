package transforms

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/pipeline"
)

// ToList is all values of each key and window as one slice, in no order. It must
// fit in memory; a GroupByKey need not.
func ToList[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, []V] {
	return pipeline.Composite(c, "ToList", func() pipeline.Keyed[K, []V] {
		return pipeline.CombinePerKey(c, ListOf[V](), opts...)
	})
}

// ToListGlobally is all elements as one slice, in no order. It must fit in memory.
func ToListGlobally[V any](c pipeline.PCollection[V], opts ...pipeline.Option) pipeline.PCollection[[]V] {
	return pipeline.Composite(c, "ToListGlobally", func() pipeline.PCollection[[]V] {
		return pipeline.CombineGlobally(c, ListOf[V](), opts...)
	})
}

// ListOf is the combiner of [ToList].
func ListOf[V any]() pipeline.Combiner[V, []V, []V] {
	return pipeline.Combiner[V, []V, []V]{
		Add:   func(a *[]V, v V) { *a = append(*a, v) },
		Merge: func(a *[]V, b []V) { *a = append(*a, b...) },
		// Clipped: who appends to the result must not write into the accumulator.
		Extract: func(a []V) []V { return slices.Clip(a) },
	}
}

// ToMap is all keys and values as one map, which must fit in memory. Two values for
// a key fail the run: combine them first.
func ToMap[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.PCollection[map[K]V] {
	return pipeline.Composite(c, "ToMap", func() pipeline.PCollection[map[K]V] {
		return pipeline.CombineGlobally(pipeline.Pairs(c), MapOf[K, V](), opts...)
	})
}

// MapOf is the combiner of [ToMap]. It panics on a second value for a key.
func MapOf[K comparable, V any]() pipeline.Combiner[pipeline.KV[K, V], map[K]V, map[K]V] {
	put := func(m map[K]V, k K, v V) {
		if _, twice := m[k]; twice {
			panic(fmt.Sprintf("ToMap: two values for key %v: combine them first", k))
		}
		m[k] = v
	}
	return pipeline.Combiner[pipeline.KV[K, V], map[K]V, map[K]V]{
		Init: func() map[K]V { return map[K]V{} },
		Add:  func(m *map[K]V, kv pipeline.KV[K, V]) { put(*m, kv.Key, kv.Value) },
		Merge: func(m *map[K]V, b map[K]V) {
			for k, v := range b {
				put(*m, k, v)
			}
		},
		// A copy: the accumulator goes on changing in place.
		Extract: func(m map[K]V) map[K]V { return maps.Clone(m) },
	}
}
