package flow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// AsyncConfig is how an asynchronous operator makes its calls. The zero value is
// not valid: whoever builds the operator has put the defaults in.
type AsyncConfig struct {
	Calls   int           // most calls in flight on a lane, at least 1
	Ordered bool          // results leave in the order of the elements
	Batch   int           // most requests in one call, at least 1
	Linger  time.Duration // most that a begun batch waits for company; 0: until the bundle ends
	CallPolicy
}

// waitingPerCall bounds the elements that wait on a lane, as a multiple of the
// requests that may be in flight: those behind a slow one in ordered mode, and
// those that share the call of others.
const waitingPerCall = 4

// Cache answers requests without a call. Each lane has its own: its methods are
// called on the lane's goroutine only. Times are Unix ms by the machine's clock.
type Cache[Q, R any] interface {
	Get(q Q, now int64) (R, bool)
	Put(q Q, r R, now int64)
}

// Async calls f for each element, up to cfg.Calls at a time on each lane. An
// element that fails for good fails the run, as with TryMap.
func Async[A, B any](f func(context.Context, A) (B, error), cfg AsyncConfig, cod coder.Coder[A]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		o := newAsync[A, A, B, B](c, cfg, self[A], each(f), pass[A, B], recvOf[B](out[0]))
		return o.open(c, cod)
	})
}

// AsyncCatch is Async with the failures as a second output, made by fail.
func AsyncCatch[A, B, F any](f func(context.Context, A) (B, error), fail func(A, error) F, cfg AsyncConfig, cod coder.Coder[A]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		o := newAsync[A, A, B, B](c, cfg, self[A], each(f), pass[A, B], recvOf[B](out[0]))
		bad := recvOf[F](out[1])
		o.fail = func(c *graph.Ctx, v A, err error) { bad(c, fail(v, err)) }
		return o.open(c, cod)
	})
}

// AsyncBatch calls f for up to cfg.Batch elements at once. f gives as many
// results as it got elements, in their order.
func AsyncBatch[A, B any](f func(context.Context, []A) ([]B, error), cfg AsyncConfig, cod coder.Coder[A]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		o := newAsync[A, A, B, B](c, cfg, self[A], f, pass[A, B], recvOf[B](out[0]))
		return o.open(c, cod)
	})
}

// Lookup is what an AsyncLookup does with an element.
type Lookup[K comparable, A, V, B any] struct {
	Get      func(context.Context, []K) ([]V, error) // one answer for each key, in order
	Join     func(K, A, V) (B, bool)                 // the output; false: none
	NewCache func() Cache[K, V]                      // makes a lane's cache; nil: there is none
}

// AsyncLookup asks for each element's key, once for all elements of one key that
// wait at a time, and not at all for what the cache knows.
func AsyncLookup[K comparable, A, V, B any](l Lookup[K, A, V, B], cfg AsyncConfig, cod coder.Coder[coder.KV[K, A]]) graph.Op {
	type (
		in  = coder.KV[K, A]
		out = coder.KV[K, B]
	)
	key := func(v in) K { return v.Key }
	join := func(v in, x V) (out, bool) {
		w, ok := l.Join(v.Key, v.Value, x)
		return out{Key: v.Key, Value: w}, ok
	}
	return op(func(c *graph.Ctx, outs []any) ([]any, any) {
		o := newAsync(c, cfg, key, l.Get, join, recvOf[out](outs[0]))
		o.flights = flights[in, K, V]{}
		if l.NewCache != nil {
			o.cache = l.NewCache()
		}
		o.lookups = newLookupCells(c)
		return o.open(c, cod)
	})
}

func self[A any](v A) A                 { return v }
func pass[A, B any](_ A, r B) (B, bool) { return r, true }

// each makes a call of one request.
func each[A, B any](f func(context.Context, A) (B, error)) callFunc[A, B] {
	return func(ctx context.Context, in []A) ([]B, error) {
		w, err := f(ctx, in[0])
		return []B{w}, err
	}
}

// async is the operator on one lane. All of it is the lane's own but the calls
// that are in flight, which are their goroutines' until they come back by done.
//
// Invariant: len(done) <= inFlight <= cfg.Calls = cap(done), so that no call
// waits to hand in its result.
// Invariant: every element that was received and has not left is in pending.
type async[A, Q, R, B any] struct {
	cfg  AsyncConfig
	id   int // of the node
	ask  func(A) Q
	call callFunc[Q, R]
	join func(A, R) (B, bool)
	next Recv[B]
	fail func(c *graph.Ctx, v A, err error) // takes an element that failed for good; nil: it fails the run

	cache   Cache[Q, R]    // nil: none
	flights flier[A, Q, R] // which requests are under way; nil: each element makes its own
	cells   asyncCells
	lookups *lookupCells // nil but for a lookup

	ctx    context.Context // of the calls: ends with the run and with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // calls in flight
	done   chan *asyncCall[A, Q, R]
	wake   func()

	inFlight int
	begun    *asyncCall[A, Q, R] // a batch that is not full; nil: none
	begunAt  int64               // Unix ms
	ended    bool                // nothing more comes: a begun batch does not wait
	now      int64               // newest time known, Unix ms
	pending  pending[A, R]
	wm, out  int64 // of the last Advance; of the last Output
}

// asyncCall is one call: requests, their answers, and the elements that wait for
// them; of one request there may be several.
type asyncCall[A, Q, R any] struct {
	in    []Q
	out   []R
	err   error
	tally callTally
	elems []*waiter[A, R]
}

func newAsync[A, Q, R, B any](c *graph.Ctx, cfg AsyncConfig, ask func(A) Q, call callFunc[Q, R], join func(A, R) (B, bool), next Recv[B]) *async[A, Q, R, B] {
	return &async[A, Q, R, B]{
		cfg: cfg, id: c.Op, ask: ask, call: call, join: join, next: next,
		cells: newAsyncCells(c), pending: pending[A, R]{ordered: cfg.Ordered},
		done: make(chan *asyncCall[A, Q, R], cfg.Calls), wm: window.MinTime, out: window.MinTime,
	}
}

// open gives the receiver: in careful mode one that makes the calls one at a time.
func (o *async[A, Q, R, B]) open(c *graph.Ctx, cod coder.Coder[A]) ([]any, any) {
	o.ctx, o.cancel = context.WithCancel(c.Run.Context)
	o.wake = c.Wake
	if c.Run.Careful {
		g := &guard[A]{node: c.Node(), cod: cod}
		return one(Recv[A](func(c *graph.Ctx, v A) { o.carefully(c, v, g) })), o
	}
	return one(Recv[A](o.recv)), o
}

// recv answers v from the cache, joins a call for the same request, or begins
// one. It waits while as many calls are in flight, or elements waiting, as may
// be: that is the backpressure.
func (o *async[A, Q, R, B]) recv(c *graph.Ctx, v A) {
	c.Op = o.id
	if c.Err() != nil {
		return
	}
	q := o.ask(v)
	for {
		if o.cache != nil {
			if r, ok := o.cache.Get(q, max(o.now, c.Now)); ok {
				if o.cfg.Ordered && o.pending.len() > 0 {
					if o.full() {
						if !o.await(c) {
							return
						}
						continue
					}
					w := o.pending.add(c, v)
					w.r, w.done = r, true
				} else {
					o.emit(c, v, r)
				}
				o.lookups.hits.Add(1)
				return
			}
		}
		if !o.full() {
			if o.flights != nil {
				if k, at, ok := o.flights.find(q); ok {
					o.lookups.shared.Add(1)
					o.attach(c, k, at, v)
					return
				}
			}
			if o.begun != nil || o.inFlight < o.cfg.Calls {
				break
			}
		}
		if !o.await(c) {
			return
		}
	}
	if o.lookups != nil {
		o.lookups.misses.Add(1)
	}
	o.request(c, v, q)
}

// full reports that no more elements may wait.
func (o *async[A, Q, R, B]) full() bool {
	return o.pending.len() >= waitingPerCall*o.cfg.Calls*o.cfg.Batch
}

// request puts q into the begun batch, and calls when it is full.
func (o *async[A, Q, R, B]) request(c *graph.Ctx, v A, q Q) {
	if o.begun == nil {
		o.begun, o.begunAt = &asyncCall[A, Q, R]{}, c.Now
	}
	k := o.begun
	k.in = append(k.in, q)
	at := len(k.in) - 1
	if o.flights != nil {
		o.flights.add(q, k, at)
	}
	o.attach(c, k, at, v)
	if len(k.in) < o.cfg.Batch {
		return
	}
	for o.inFlight >= o.cfg.Calls {
		if !o.await(c) {
			return
		}
	}
	o.launch()
}

// attach makes v wait for answer at of k.
func (o *async[A, Q, R, B]) attach(c *graph.Ctx, k *asyncCall[A, Q, R], at int, v A) {
	w := o.pending.add(c, v)
	w.at = at
	k.elems = append(k.elems, w)
}

// launch makes the begun call. There is room for it.
func (o *async[A, Q, R, B]) launch() {
	k := o.begun
	o.begun = nil
	o.inFlight++
	o.cells.inFlight.Observe(int64(o.inFlight))
	o.wg.Go(func() {
		defer func() { // also when the function ends its goroutine
			o.done <- k
			if o.wake != nil {
				o.wake()
			}
		}()
		k.err = errGone
		k.out, k.err = makeCall(o.ctx, &o.cfg.CallPolicy, o.call, k.in, &k.tally)
	})
}

var errGone = errors.New("the function ended its goroutine instead of returning")

// await waits for a call to come back and lets go of what that allows; false: an
// element failed the run. When the run is over it unwinds the lane. The element
// at hand keeps its time and window.
func (o *async[A, Q, R, B]) await(c *graph.Ctx) bool {
	if o.begun != nil && o.inFlight < o.cfg.Calls {
		o.launch() // else everything might wait for a batch that waits for company
	}
	select {
	case k := <-o.done:
		o.takeBack(c, k)
	case <-c.Run.Context.Done():
		panic(graph.ErrStopped)
	}
	return c.Err() == nil
}

// takeBack takes first in, and all others that have come back by now.
func (o *async[A, Q, R, B]) takeBack(c *graph.Ctx, first *asyncCall[A, Q, R]) {
	saved := *c
	o.back(c, first)
	for c.Err() == nil && len(o.done) > 0 {
		o.back(c, <-o.done)
	}
	c.Restore(&saved) // not deferred: after a panic c still names the operator whose it was
}

// back takes a call in that has come back. It changes c.
func (o *async[A, Q, R, B]) back(c *graph.Ctx, k *asyncCall[A, Q, R]) {
	o.inFlight--
	o.cells.count(&k.tally)
	if k.err != nil && c.Run.Context.Err() != nil {
		// The end of the run may be why it failed: that is no failure of an element.
		panic(graph.ErrStopped)
	}
	if o.now = c.Now; c.Run.Clock != nil {
		o.now = max(o.now, c.Run.Clock())
	}
	for i, q := range k.in {
		if o.flights != nil {
			o.flights.drop(q)
		}
		if o.cache != nil && k.err == nil {
			o.cache.Put(q, k.out[i], o.now)
		}
	}
	for _, w := range k.elems {
		if w.done, w.err = true, k.err; k.err == nil {
			w.r = k.out[w.at]
		}
		if !o.cfg.Ordered {
			o.leave(c, w)
		}
	}
	if o.cfg.Ordered {
		for w := o.pending.ready(); w != nil; w = o.pending.ready() {
			o.leave(c, w)
		}
	}
}

// leave passes on the result of an element, with the element's own time, window
// and pane. Behind a failure nothing leaves any more.
func (o *async[A, Q, R, B]) leave(c *graph.Ctx, w *waiter[A, R]) {
	o.pending.remove(w)
	if c.Err() != nil {
		return
	}
	c.TS, c.Win, c.Pane, c.Split, c.Src, c.Op = w.ts, w.win, w.pane, w.split, nil, o.id
	switch {
	case w.err == nil:
		o.emit(c, w.v, w.r)
	case o.fail != nil:
		o.fail(c, w.v, w.err)
	default:
		c.Fail(fmt.Errorf("element %s: %w", text(w.v), w.err))
	}
}

func (o *async[A, Q, R, B]) emit(c *graph.Ctx, v A, r R) {
	if w, ok := o.join(v, r); ok {
		o.next(c, w)
	}
}

// carefully answers one element while the lane waits, so that a failure is
// exactly its own.
func (o *async[A, Q, R, B]) carefully(c *graph.Ctx, v A, g *guard[A]) {
	var w B
	var ok bool
	answer := func() error {
		r, err := o.answer(c, o.ask(v))
		if err == nil {
			w, ok = o.join(v, r)
		}
		return err
	}
	if o.fail != nil {
		err := protect(c, g.node, answer)
		if err != nil && c.Run.Context.Err() != nil {
			panic(graph.ErrStopped)
		}
		if err != nil {
			o.fail(c, v, err)
			return
		}
	} else if !g.try(c, v, answer, nil) {
		return
	}
	if ok {
		o.next(c, w)
	}
}

// answer makes the call for q here and now, unless the cache knows.
func (o *async[A, Q, R, B]) answer(c *graph.Ctx, q Q) (r R, err error) {
	if o.cache != nil {
		if r, ok := o.cache.Get(q, c.Now); ok {
			o.lookups.hits.Add(1)
			return r, nil
		}
	}
	if o.lookups != nil {
		o.lookups.misses.Add(1)
	}
	var tally callTally
	o.cells.inFlight.Observe(1)
	out, err := makeCall(o.ctx, &o.cfg.CallPolicy, o.call, []Q{q}, &tally)
	o.cells.count(&tally)
	if err != nil {
		return r, err
	}
	if o.cache != nil {
		o.cache.Put(q, out[0], c.Now)
	}
	return out[0], nil
}

// FinishBundle implements graph.Bundler: the calls wake the lane when they come
// back, and here it takes them in. Nothing waits.
func (o *async[A, Q, R, B]) FinishBundle(c *graph.Ctx) {
	if len(o.done) > 0 {
		o.takeBack(c, <-o.done)
	}
	o.launchDue(c)
}

// launchDue makes the begun call if it has waited long enough and there is room.
func (o *async[A, Q, R, B]) launchDue(c *graph.Ctx) {
	if o.begun != nil && o.inFlight < o.cfg.Calls && (o.ended || c.Now >= o.due()) {
		o.launch()
	}
}

// due is when the begun batch has waited long enough, Unix ms.
func (o *async[A, Q, R, B]) due() int64 { return o.begunAt + o.cfg.Linger.Milliseconds() }

// Alarm implements graph.Alarmer. While all calls are in flight there is nothing
// to do: one that comes back wakes the lane.
func (o *async[A, Q, R, B]) Alarm() int64 {
	if o.begun == nil || o.inFlight >= o.cfg.Calls {
		return math.MaxInt64
	}
	return o.due() - 1
}

// Ring implements graph.Alarmer.
func (o *async[A, Q, R, B]) Ring(c *graph.Ctx) { o.launchDue(c) }

// Advance implements graph.Watermarker.
func (o *async[A, Q, R, B]) Advance(c *graph.Ctx, wm int64) {
	o.wm = wm
	if wm == window.MaxTime {
		o.ended = true
		o.launchDue(c)
	}
}

// Output implements graph.Holder: no watermark passes an element that has not
// left (M13, M17).
func (o *async[A, Q, R, B]) Output() int64 {
	o.out = max(o.out, min(o.wm, o.pending.least()))
	return o.out
}

// HoldsSplit implements graph.SplitHolder.
func (o *async[A, Q, R, B]) HoldsSplit(split int) bool { return o.pending.ofSplit(split) }

// Flush implements graph.Flusher: it waits until all has left, so that no
// snapshot holds anything of this operator.
func (o *async[A, Q, R, B]) Flush(c *graph.Ctx) {
	for o.begun != nil || o.inFlight > 0 {
		if !o.await(c) {
			return
		}
	}
}

// Close implements graph.Closer: no goroutine of the operator is left.
func (o *async[A, Q, R, B]) Close(*graph.Ctx) error {
	o.cancel()
	o.wg.Wait()
	return nil
}
