package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
)

// guard calls user code for one element at a time, in careful mode.
type guard[A any] struct {
	node *graph.Node
	cod  coder.Coder[A]
	key  func(A) []byte            // encoded key of a keyed operation; nil otherwise
	park func(v A, err error) bool // takes an element that failed for good; nil: nobody but OnFailure does
}

// try runs call, with Run.Retries further tries, and reports whether it went
// well. If not, the element v has been handed to Run.OnFailure, or the lane has
// failed. When the run is over, try unwinds the lane instead.
// undo, if not nil, takes back what a failed try left behind.
func (g *guard[A]) try(c *graph.Ctx, v A, call func() error, undo func()) bool {
	err := retried(c, g.node, call, undo)
	if err == nil {
		return true
	}
	if g.park != nil && g.park(v, err) {
		return false
	}
	c.Op = g.node.ID
	f := g.failure(c, v, err)
	if c.Run.OnFailure == nil || !c.Run.OnFailure(c, f) {
		c.Fail(err)
	}
	return false
}

// failure describes an element that failed.
func (g *guard[A]) failure(c *graph.Ctx, v A, err error) *graph.Failure {
	f := failureOf(c, g.node, err)
	f.Text, f.Input = text(v), encode(g.cod, v)
	if g.key != nil {
		f.Key = g.key(v)
	}
	return f
}

// retried is the tries of a guard: nil if one went well.
func retried(c *graph.Ctx, node *graph.Node, call func() error, undo func()) (err error) {
	for n := 0; ; n++ {
		if err = protect(c, node, call); err == nil {
			return nil
		}
		if undo != nil {
			undo()
		}
		if n >= c.Run.Retries || !pause(c.Run.Context, n) {
			break
		}
	}
	if c.Run.Context.Err() != nil {
		// A cancel may be why the element fails, and cuts its tries short: it must
		// not be taken for one that failed for good.
		panic(graph.ErrStopped)
	}
	return err
}

// failureOf describes a failure but for its element.
func failureOf(c *graph.Ctx, node *graph.Node, err error) *graph.Failure {
	f := &graph.Failure{Node: node, Where: c.Where(), TS: c.TS, Err: err}
	if p, ok := err.(*graph.PanicError); ok {
		f.Stack = p.Stack
	}
	return f
}

// protect runs call and turns a panic into an error.
func protect(c *graph.Ctx, n *graph.Node, call func() error) (err error) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case error(graph.ErrStopped):
			panic(r)
		default:
			err = graph.Recovered(r)
		}
	}()
	c.Op = n.ID
	return call()
}

// pause waits 10 ms · 2^n, at most a second, before the next try; false when the run is over.
func pause(ctx context.Context, n int) bool {
	t := time.NewTimer(min(10*time.Millisecond<<min(n, 10), time.Second))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// encode is v in its coder's bytes; nil when the coder itself panics on it.
func encode[A any](cod coder.Coder[A], v A) (b []byte) {
	defer func() {
		if recover() != nil {
			b = nil
		}
	}()
	return cod.Append(nil, v)
}

// text is v as %v prints it, at most 1,000 bytes.
func text(v any) string {
	s := fmt.Sprintf("%+v", v)
	if len(s) > 1000 {
		s = s[:1000] + "…"
	}
	return s
}

// held collects the outputs of one element so that half of them never leave.
type held[O any] struct {
	out []O
	at  []int64 // their event times; nil: that of the element
}

func (h *held[O]) emit(o O) { h.out = append(h.out, o) }

func (h *held[O]) emitAt(ts int64, o O) { h.out, h.at = append(h.out, o), append(h.at, ts) }

func (h *held[O]) pass(c *graph.Ctx, next Recv[O]) {
	out, at, ts := h.out, h.at, c.TS
	h.out, h.at = nil, nil
	for i, o := range out {
		if at != nil {
			c.TS = at[i]
		}
		next(c, o)
	}
	c.TS = ts
}

func (h *held[O]) drop() { h.out, h.at = h.out[:0], h.at[:0] }
