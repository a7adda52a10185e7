package pipeline

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
)

// AsyncOption configures an [AsyncMap] and its kin. [Named] is one, too.
type AsyncOption interface{ async(*asyncOptions) }

type asyncOptions struct {
	options
	flow.AsyncConfig
}

type asyncOption func(*asyncOptions)

func (f asyncOption) async(o *asyncOptions) { f(o) }

func (f Option) async(o *asyncOptions) { f(&o.options) }

// Concurrency is how many calls each lane has in flight at most; default 100. A
// run of 8 lanes makes 8 times as many at a time. When so many are in flight the
// lane waits, and so does whatever feeds it.
func Concurrency(n int) AsyncOption { return asyncOption(func(o *asyncOptions) { o.Calls = n }) }

// Ordered lets results leave each lane in the order in which its elements came.
// One slow call then holds back those behind it. Default: as the calls come back,
// so that elements overtake each other, also those of one key, but never a watermark.
func Ordered() AsyncOption {
	return asyncOption(func(o *asyncOptions) { o.AsyncConfig.Ordered = true })
}

// CallTimeout ends the context of each try of a call after d; default 30 seconds.
// A function that does not heed its context is not cut short.
func CallTimeout(d time.Duration) AsyncOption {
	return asyncOption(func(o *asyncOptions) { o.Timeout = d })
}

// CallRetries tries a call that fails up to n more times; default 0. A panic is
// final. While a call waits for its next try it counts as in flight.
func CallRetries(n int) AsyncOption { return asyncOption(func(o *asyncOptions) { o.Retries = n }) }

// CallBackoff is the pause before the second try, doubled before each later one up
// to most; default 50 ms and 5 s. A random half of it is left out, so that calls
// which failed together are not tried again together.
func CallBackoff(first, most time.Duration) AsyncOption {
	return asyncOption(func(o *asyncOptions) { o.First, o.Most = first, most })
}

// CallRetryIf says which errors are worth another try; default: all. It is called
// from many goroutines at once.
func CallRetryIf(worth func(error) bool) AsyncOption {
	return asyncOption(func(o *asyncOptions) { o.RetryIf = worth })
}

// asyncConfig is what opts come to; false: there is a mistake among them.
func asyncConfig(c coll, kind string, batch int, linger time.Duration, opts []AsyncOption) (o asyncOptions, ok bool) {
	o.AsyncConfig = flow.AsyncConfig{
		Calls: 100, Batch: batch, Linger: linger,
		CallPolicy: flow.CallPolicy{Timeout: 30 * time.Second, First: 50 * time.Millisecond, Most: 5 * time.Second},
	}
	for _, f := range opts {
		if f != nil {
			f.async(&o)
		}
	}
	ok = true
	check := func(good bool, format string, args ...any) {
		if !good {
			ok = false
			c.p.g.Errorf(kind+": "+format, args...)
		}
	}
	check(o.Calls >= 1 && o.Calls <= maxConcurrency, "Concurrency is %d, want 1 to %d", o.Calls, maxConcurrency)
	check(o.Timeout > 0, "CallTimeout is %v, want more than 0: a call that may take for ever would keep a snapshot waiting for ever", o.Timeout)
	check(o.Retries >= 0, "CallRetries is %d, want 0 or more", o.Retries)
	check(o.First > 0 && o.First <= o.Most, "CallBackoff is from %v to %v, want more than 0, and the first pause not above the longest", o.First, o.Most)
	check(batch >= 1 && batch <= maxBatch, "the size of a batch is %d, want 1 to %d", batch, maxBatch)
	check(linger >= 0, "linger is %v, want 0 or more", linger)
	return o, ok
}

const (
	maxConcurrency = 100_000
	maxBatch       = 1_000_000
)

// AsyncMap is [TryMap] for functions that wait: each lane calls f for up to
// [Concurrency] elements at a time, from goroutines of its own. f must be safe for
// that. ctx ends with the timeout of the call ([CallTimeout]) and with the run;
// f must return soon after, for a run ends only when its last call has.
//
// Each result has its element's time, window and pane. A watermark passes an
// element only when its result has left, so nothing is late that was not before.
// Put [EventTime] in front of it: a clock behind it does not know of the elements
// that are in flight, and in no order.
//
// An element whose call fails for good, after [CallRetries], or panics, goes the
// way of the run's error policy, as with TryMap. Under a policy other than stop
// the calls around it are then made once more, one at a time, to find it: the
// function should bear being called twice for an element. It must in any case
// where snapshots are taken, because a restart repeats the calls since the last.
//
// Before a snapshot everything in flight is waited for, so nothing of it is in
// there: a slow service makes snapshots slower, by at most what one call may take
// with its retries and pauses. Behind a shuffle a lane finishes the batch of
// elements at hand first.
//
// Metrics: the counters retries, timeouts and failedCalls, the distributions
// inFlight (calls in flight on a lane, as each one begins) and callMs.
func AsyncMap[A, B any](c PCollection[A], f func(ctx context.Context, v A) (B, error), opts ...AsyncOption) PCollection[B] {
	if !c.coll.ok("AsyncMap") {
		return PCollection[B]{poison}
	}
	o, ok := asyncConfig(c.coll, "AsyncMap", 1, 0, opts)
	if c.coll.nilFunc("AsyncMap", f == nil) || !ok {
		return PCollection[B]{poison}
	}
	op := flow.Async(f, o.AsyncConfig, coderOf[A](c.coll))
	return asyncNode[B](c.coll, "AsyncMap", elemType[B](c.coll.p, "AsyncMap", c.coll), op, o)
}

func asyncNode[B any](c coll, kind string, out graph.Type, op graph.Op, o asyncOptions) PCollection[B] {
	n := c.add(&graph.Node{Kind: kind, Op: op, Out: []graph.Type{out}}, graph.Forward, o.name)
	return PCollection[B]{c.to(n, 0)}
}

// AsyncCatchMap is [AsyncMap] with the failing elements, panics included, as a
// second collection instead of the run's policy.
func AsyncCatchMap[A, B any](c PCollection[A], f func(ctx context.Context, v A) (B, error), opts ...AsyncOption) (PCollection[B], PCollection[Failed[A]]) {
	none := func() (PCollection[B], PCollection[Failed[A]]) {
		return PCollection[B]{poison}, PCollection[Failed[A]]{poison}
	}
	if !c.coll.ok("AsyncCatchMap") {
		return none()
	}
	o, ok := asyncConfig(c.coll, "AsyncCatchMap", 1, 0, opts)
	if c.coll.nilFunc("AsyncCatchMap", f == nil) || !ok {
		return none()
	}
	op := flow.AsyncCatch(f, func(v A, err error) Failed[A] { return Failed[A]{v, err.Error()} }, o.AsyncConfig, coderOf[A](c.coll))
	types := []graph.Type{elemType[B](c.coll.p, "AsyncCatchMap", c.coll), flow.Type(coderFor[Failed[A]](c.coll.p, "AsyncCatchMap"))}
	n := c.coll.add(&graph.Node{Kind: "AsyncMap", Op: op, Out: types}, graph.Forward, o.name)
	return PCollection[B]{c.coll.to(n, 0)}, PCollection[Failed[A]]{c.coll.to(n, 1)}
}

// AsyncBatch is [AsyncMap] for services that answer many requests at once: f gets
// up to size elements and gives a result for each, in their order. A batch that is
// not full is sent linger after its first element came, at the latest; with 0 at
// the end of the bundle, so that nothing waits for company. [Concurrency] counts
// batches. f owns the slices.
//
// A batch that fails, fails the run; under a policy other than stop its elements
// are then tried one by one, so only those that fail by themselves are set aside.
func AsyncBatch[A, B any](c PCollection[A], f func(ctx context.Context, vs []A) ([]B, error), size int, linger time.Duration, opts ...AsyncOption) PCollection[B] {
	if !c.coll.ok("AsyncBatch") {
		return PCollection[B]{poison}
	}
	o, ok := asyncConfig(c.coll, "AsyncBatch", size, linger, opts)
	if c.coll.nilFunc("AsyncBatch", f == nil) || !ok {
		return PCollection[B]{poison}
	}
	op := flow.AsyncBatch(f, o.AsyncConfig, coderOf[A](c.coll))
	return asyncNode[B](c.coll, "AsyncBatch", elemType[B](c.coll.p, "AsyncBatch", c.coll), op, o)
}

// Lookup is how an [AsyncLookup] answers elements.
type Lookup[K comparable, A, V, B any] struct {
	// Get asks for up to Batch keys, each once, and gives an answer for each, in
	// their order. It is called from many goroutines at once; see [AsyncMap] for
	// its context. It owns the slice.
	Get func(ctx context.Context, keys []K) ([]V, error)

	// Join makes the output of an element and the answer for its key; false: there
	// is none. Elements of a key share the answer.
	Join func(k K, v A, answer V) (B, bool)

	// NewCache makes the cache of one lane; nil: answers are not remembered.
	NewCache func() LookupCache[K, V]

	Batch  int           // most keys in one call; default 1
	Linger time.Duration // most that a begun batch waits, as in [AsyncBatch]
}

// LookupCache remembers answers on one lane. It is used by one goroutine at a
// time. nowMs is the machine's time in Unix milliseconds. It is empty after a
// restart.
type LookupCache[K comparable, V any] interface {
	Get(k K, nowMs int64) (V, bool)
	Put(k K, answer V, nowMs int64)
}

// AsyncLookup enriches elements by what a service knows of their keys: the general
// form of the lookup joins of package transforms. On each lane elements of one key
// that wait at a time share one call, and what the cache knows needs none: then the
// element is passed on at once, without a goroutine. Else it is as [AsyncMap].
//
// Metrics, besides those of AsyncMap: the counters cacheHits, sharedCalls and
// cacheMisses, by what answered an element; cacheMisses are those with a request
// of their own.
func AsyncLookup[K comparable, A, V, B any](c Keyed[K, A], l Lookup[K, A, V, B], opts ...AsyncOption) Keyed[K, B] {
	if !c.coll.ok("AsyncLookup") {
		return Keyed[K, B]{coll: poison}
	}
	if l.Batch == 0 {
		l.Batch = 1
	}
	o, ok := asyncConfig(c.coll, "AsyncLookup", l.Batch, l.Linger, opts)
	if c.coll.nilFunc("AsyncLookup", l.Get == nil || l.Join == nil) || !ok {
		return Keyed[K, B]{coll: poison}
	}
	fl := flow.Lookup[K, A, V, B]{Get: l.Get, Join: l.Join}
	if l.NewCache != nil {
		fl.NewCache = func() flow.Cache[K, V] { return l.NewCache() }
	}
	key, _ := flow.KeyedCoders[K, A](c.coll.typ())
	t := flow.KeyedType(key, coderFor[B](c.coll.p, "AsyncLookup"))
	op := flow.AsyncLookup(fl, o.AsyncConfig, coderOf[KV[K, A]](c.coll))
	return Keyed[K, B]{asyncNode[B](c.coll, "AsyncLookup", t, op, o).coll, c.placed}
}
