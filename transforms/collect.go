package transforms

import (
	"fmt"

	"github.com/millrace/millrace/pipeline"
)

// ToList is all values of each key and window as one slice, in no order. It must
// fit in memory; GroupByKey need not.
func ToList[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, []V] {
	return pipeline.Composite(c, "ToList", func() pipeline.Keyed[K, []V] {
		return pipeline.CombinePerKey(c, ListOf[V](), opts...)
	})
}

// ToListGlobally is all elements as one slice, in no order.
func ToListGlobally[V any](c pipeline.PCollection[V]) pipeline.PCollection[[]V] {
	return pipeline.Composite(c, "ToListGlobally", func() pipeline.PCollection[[]V] {
		return pipeline.CombineGlobally(c, ListOf[V]())
	})
}

// ListOf is the combiner of [ToList].
func ListOf[V any]() pipeline.Combiner[V, []V, []V] {
	return pipeline.Combiner[V, []V, []V]{
		Add:     func(a *[]V, v V) { *a = append(*a, v) },
		Merge:   func(a *[]V, b []V) { *a = append(*a, b...) },
		Extract: func(a []V) []V { return a },
	}
}

// ToMap is all keys and values as one map. Two values for a key fail the run: use
// a combine first to make them one.
func ToMap[K comparable, V any](c pipeline.Keyed[K, V]) pipeline.PCollection[map[K]V] {
	return pipeline.Composite(c, "ToMap", func() pipeline.PCollection[map[K]V] {
		put := func(m *map[K]V, k K, v V) {
			if *m == nil {
				*m = map[K]V{}
			}
			if _, twice := (*m)[k]; twice {
				panic(fmt.Sprintf("ToMap: two values for key %v", k))
			}
			(*m)[k] = v
		}
		return pipeline.CombineGlobally(pipeline.Pairs(c), pipeline.Combiner[pipeline.KV[K, V], map[K]V, map[K]V]{
			Add: func(m *map[K]V, kv pipeline.KV[K, V]) { put(m, kv.Key, kv.Value) },
			Merge: func(m *map[K]V, b map[K]V) {
				for k, v := range b {
					put(m, k, v)
				}
			},
			Extract: func(m map[K]V) map[K]V {
				if m == nil {
					return map[K]V{}
				}
				return m
			},
		})
	})
}
