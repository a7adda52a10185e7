package transforms

import (
	"context"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// LookupJoin joins each element with what a service knows of its key, as of now:
// lookup gives the value of a key, and whether there is one. Elements of keys
// without a value are dropped; [LookupLeftJoin] keeps them.
//
// Each lane has many look-ups in flight (pipeline.Concurrency), never two of one key
// at a time, and remembers answers in its cache. A cache is of one lane: it is asked
// for by fewer, and remembers more, if the collection is partitioned by key, as
// behind a grouping. lookup is called from many goroutines at once; see
// pipeline.AsyncMap for its context, what becomes of failures, watermarks and
// snapshots, and pipeline.AsyncLookup for the metrics.
//
// What the service knows changes with time, so a restart may give other results
// than the first attempt had; each element still has exactly one.
func LookupJoin[K comparable, A, V any](c pipeline.Keyed[K, A], lookup func(ctx context.Context, k K) (V, bool, error), cache Cache, opts ...pipeline.AsyncOption) pipeline.Keyed[K, Pair[A, V]] {
	return lookupJoin(c, "LookupJoin", oneKey(lookup), lookup == nil, found[K, A, V], 1, 0, cache, opts)
}

// LookupLeftJoin is [LookupJoin], and every element whose key has no value.
func LookupLeftJoin[K comparable, A, V any](c pipeline.Keyed[K, A], lookup func(ctx context.Context, k K) (V, bool, error), cache Cache, opts ...pipeline.AsyncOption) pipeline.Keyed[K, Pair[A, Optional[V]]] {
	return lookupJoin(c, "LookupLeftJoin", oneKey(lookup), lookup == nil, foundOrNot[K, A, V], 1, 0, cache, opts)
}

// LookupBatchJoin is [LookupJoin] for services that answer many keys at once:
// lookup gets up to size different keys and gives the values of those that have
// one. A batch that is not full is sent linger after its first key came, at the
// latest; with 0 at the end of the bundle. lookup owns the slice, and the map is
// not to be changed afterwards.
func LookupBatchJoin[K comparable, A, V any](c pipeline.Keyed[K, A], lookup func(ctx context.Context, keys []K) (map[K]V, error), size int, linger time.Duration, cache Cache, opts ...pipeline.AsyncOption) pipeline.Keyed[K, Pair[A, V]] {
	return lookupJoin(c, "LookupBatchJoin", manyKeys(lookup), lookup == nil, found[K, A, V], size, linger, cache, opts)
}

// LookupBatchLeftJoin is [LookupBatchJoin], and every element whose key has no value.
func LookupBatchLeftJoin[K comparable, A, V any](c pipeline.Keyed[K, A], lookup func(ctx context.Context, keys []K) (map[K]V, error), size int, linger time.Duration, cache Cache, opts ...pipeline.AsyncOption) pipeline.Keyed[K, Pair[A, Optional[V]]] {
	return lookupJoin(c, "LookupBatchLeftJoin", manyKeys(lookup), lookup == nil, foundOrNot[K, A, V], size, linger, cache, opts)
}

func found[K comparable, A, V any](_ K, a A, v Optional[V]) (Pair[A, V], bool) {
	return Pair[A, V]{a, v.Value}, v.OK
}

func foundOrNot[K comparable, A, V any](_ K, a A, v Optional[V]) (Pair[A, Optional[V]], bool) {
	return Pair[A, Optional[V]]{a, v}, true
}

// lookupGet asks for keys; an answer that is not OK says that there is no value.
type lookupGet[K comparable, V any] = func(context.Context, []K) ([]Optional[V], error)

func oneKey[K comparable, V any](f func(context.Context, K) (V, bool, error)) lookupGet[K, V] {
	return func(ctx context.Context, keys []K) ([]Optional[V], error) {
		v, ok, err := f(ctx, keys[0])
		if !ok {
			return make([]Optional[V], 1), err
		}
		return []Optional[V]{some(v)}, err
	}
}

func manyKeys[K comparable, V any](f func(context.Context, []K) (map[K]V, error)) lookupGet[K, V] {
	return func(ctx context.Context, keys []K) ([]Optional[V], error) {
		out := make([]Optional[V], len(keys))
		asked := append([]K(nil), keys...) // f may do with its slice what it likes
		known, err := f(ctx, asked)
		for i, k := range keys {
			if v, ok := known[k]; ok {
				out[i] = some(v)
			}
		}
		return out, err
	}
}

func lookupJoin[K comparable, A, V, B any](c pipeline.Keyed[K, A], kind string, get lookupGet[K, V], missing bool, join func(K, A, Optional[V]) (B, bool), size int, linger time.Duration, cache Cache, opts []pipeline.AsyncOption) pipeline.Keyed[K, B] {
	return pipeline.Composite(c, kind, func() pipeline.Keyed[K, B] {
		if missing {
			report(c)("%s: the function is nil", kind)
		}
		if size < 1 {
			report(c)("%s: the size of a batch is %d, want at least 1", kind, size)
			size = 1
		}
		l := pipeline.Lookup[K, A, Optional[V], B]{Get: get, Join: join, Batch: size, Linger: linger}
		if cache.check(report(c), kind) && cache.Size > 0 {
			l.NewCache = func() pipeline.LookupCache[K, Optional[V]] { return newAnswers[K, V](cache) }
		}
		return pipeline.AsyncLookup(c, l, opts...)
	})
}
