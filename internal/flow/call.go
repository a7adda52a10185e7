package flow

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/internal/graph"
)

// CallPolicy is how long a call may take and when it is made again.
type CallPolicy struct {
	Timeout time.Duration    // of each try; 0: none
	Retries int              // further tries of a call that fails
	First   time.Duration    // pause before the second try; doubled before each later one
	Most    time.Duration    // longest pause
	RetryIf func(error) bool // whether another try may help; nil: always
}

// callFunc answers requests, one answer for each, in order. Both slices are the
// function's: a try that was given up may still look at them.
type callFunc[Q, R any] = func(ctx context.Context, in []Q) ([]R, error)

// callTally is what there is to say of a call: counted by whoever made it, and
// read when it is done.
type callTally struct {
	retries, timeouts int64
	failed            bool
	took              time.Duration // of the last try
}

// makeCall calls until it goes well, fails for good, or ctx ends. A panic of f is
// an error, and final: it is not tried again.
func makeCall[Q, R any](ctx context.Context, p *CallPolicy, f callFunc[Q, R], in []Q, t *callTally) ([]R, error) {
	for n := 0; ; n++ {
		out, err := tryCall(ctx, p, f, in, t)
		if err == nil {
			return out, nil
		}
		again := false
		if n < p.Retries && ctx.Err() == nil {
			again, err = p.again(err)
		}
		if !again || !sleep(ctx, p.pause(n)) {
			t.failed = true
			return nil, err
		}
		t.retries++
	}
}

// tryCall makes one try.
func tryCall[Q, R any](parent context.Context, p *CallPolicy, f callFunc[Q, R], in []Q, t *callTally) (got []R, err error) {
	began := time.Now()
	ctx := parent
	if p.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(parent, p.Timeout)
		defer cancel()
	}
	defer func() {
		if r := recover(); r != nil {
			err = graph.Recovered(r)
		}
		t.took = time.Since(began)
	}()
	got, err = f(ctx, in)
	switch {
	case err != nil && ctx.Err() != nil && parent.Err() == nil:
		t.timeouts++
		return nil, fmt.Errorf("no answer within %v: %w", p.Timeout, err)
	case err != nil:
		return nil, err
	case len(got) != len(in):
		return nil, &answersError{len(in), len(got)}
	}
	return got, nil
}

// answersError is a mistake in the function: no try will help.
type answersError struct{ asked, got int }

func (e *answersError) Error() string {
	return fmt.Sprintf("the function gave %d results for %d elements: it must give one for each, in their order", e.got, e.asked)
}

// again reports whether another try may help, and the error if none does.
func (p *CallPolicy) again(err error) (yes bool, why error) {
	switch err.(type) {
	case *graph.PanicError, *answersError:
		return false, err
	}
	if p.RetryIf == nil {
		return true, err
	}
	defer func() {
		if r := recover(); r != nil { // it is the user's, too
			yes, why = false, graph.Recovered(r)
		}
	}()
	return p.RetryIf(err), err
}

// pause is how long to wait after try n, from 0: doubled each time, and a random
// half of it less, so that those who failed together don't come back together.
func (p *CallPolicy) pause(n int) time.Duration {
	d := p.First
	for range n {
		if d *= 2; d <= 0 || d > p.Most {
			d = p.Most
			break
		}
	}
	d = min(d, p.Most)
	return d - time.Duration(rand.Int64N(int64(d)/2+1))
}

// sleep waits for d; false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// asyncCells are the metrics of an asynchronous operator on one lane.
type asyncCells struct {
	retries, timeouts, failures *graph.Cell // counters
	inFlight                    *graph.Cell // calls in flight, observed as each begins
	took                        *graph.Cell // ms that the last try of each call took
}

func newAsyncCells(c *graph.Ctx) asyncCells {
	name := c.Node().Name
	return asyncCells{
		retries:  c.Run.Metrics.NewCell(graph.CounterKind, name, "retries"),
		timeouts: c.Run.Metrics.NewCell(graph.CounterKind, name, "timeouts"),
		failures: c.Run.Metrics.NewCell(graph.CounterKind, name, "failedCalls"),
		inFlight: c.Run.Metrics.NewCell(graph.DistributionKind, name, "inFlight"),
		took:     c.Run.Metrics.NewCell(graph.DistributionKind, name, "callMs"),
	}
}

func (m *asyncCells) count(t *callTally) {
	m.retries.Add(t.retries)
	m.timeouts.Add(t.timeouts)
	m.took.Observe(t.took.Milliseconds())
	if t.failed {
		m.failures.Add(1)
	}
}

// lookupCells are the further metrics of a lookup: elements answered by the cache,
// by a call that was under way, and by a call of their own.
type lookupCells struct{ hits, shared, misses *graph.Cell }

func newLookupCells(c *graph.Ctx) *lookupCells {
	name := c.Node().Name
	return &lookupCells{
		hits:   c.Run.Metrics.NewCell(graph.CounterKind, name, "cacheHits"),
		shared: c.Run.Metrics.NewCell(graph.CounterKind, name, "sharedCalls"),
		misses: c.Run.Metrics.NewCell(graph.CounterKind, name, "cacheMisses"),
	}
}
