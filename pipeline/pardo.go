package pipeline

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Elem is what a ParDo may ask about the element at hand. It is valid during the
// call only.
type Elem struct {
	c *graph.Ctx
	a *flow.Assign
}

// Timestamp is the element's event time.
func (e Elem) Timestamp() time.Time { return time.UnixMilli(e.c.TS) }

// TimestampMs is the element's event time in Unix milliseconds.
func (e Elem) TimestampMs() int64 { return e.c.TS }

// Window is the element's window. An element in several windows is processed
// once for each.
func (e Elem) Window() window.Interval { return e.a.Window(e.c) }

// Pane is the pane that brought the element; the zero Pane before any grouping.
func (e Elem) Pane() window.Pane { return e.c.Pane }

// Source says which piece of input the element was read from, for messages:
// "access.log:18230". It is "" behind a shuffle.
func (e Elem) Source() string { return e.c.Where() }

// DoFn is the setup of a [ParDo] on one lane. The function that takes it runs
// once while the pipeline is built, to learn what is used, and once on each
// lane; side effects belong into OnStart.
type DoFn struct {
	hooks
	views []sideInput
}

// hooks is what setups of ParDo and Stateful have in common.
type hooks struct {
	c      *graph.Ctx // nil while the pipeline is built
	start  []func(context.Context) error
	finish []func() error
	stop   []func() error
}

// OnStart runs f on each lane before its first element: open connections here.
func (h *hooks) OnStart(f func(context.Context) error) { h.start = append(h.start, f) }

// OnFinishBundle runs f at the end of each bundle, a run of elements that
// succeeds or fails as one. It may emit; what it emits has the time and window of
// the bundle's last element. Flush here what was buffered for speed.
func (d *DoFn) OnFinishBundle(f func() error) { d.finish = append(d.finish, f) }

// OnStop runs f on each lane at the end of the run, however it ended.
func (h *hooks) OnStop(f func() error) { h.stop = append(h.stop, f) }

// Lane is the number of this lane in [0, Lanes()).
func (h *hooks) Lane() int {
	if h.c == nil {
		return 0
	}
	return h.c.Lane
}

// Lanes is how many lanes run the pipeline.
func (h *hooks) Lanes() int {
	if h.c == nil {
		return 1
	}
	return h.c.Lanes
}

// ParDo calls, for each element, the function that setup makes for a lane. It is
// the careful and general form of the element-wise operations: setup, teardown,
// bundles, side inputs, metrics, the element's time and window. emit may be used
// in the function and in OnFinishBundle.
func ParDo[A, B any](c PCollection[A], setup func(d *DoFn, emit Emit[B]) func(e Elem, v A) error, opts ...Option) PCollection[B] {
	if !c.coll.ok("ParDo") || c.coll.nilFunc("ParDo", setup == nil) {
		return PCollection[B]{poison}
	}
	types := []graph.Type{elemType[B](c.coll.p, "ParDo", c.coll)}
	n := pardo(c, types, opts, func(d *DoFn, out []any) (process func(Elem, A) error, es []emitter) {
		b := emitterOf[B](d, out, 0)
		return setup(d, b.Emit), []emitter{b}
	})
	return PCollection[B]{n.out(0)}
}

// ParDo2 is [ParDo] with two outputs.
func ParDo2[A, B, C any](c PCollection[A], setup func(d *DoFn, emit1 Emit[B], emit2 Emit[C]) func(e Elem, v A) error, opts ...Option) (PCollection[B], PCollection[C]) {
	if !c.coll.ok("ParDo2") || c.coll.nilFunc("ParDo2", setup == nil) {
		return PCollection[B]{poison}, PCollection[C]{poison}
	}
	types := []graph.Type{elemType[B](c.coll.p, "ParDo2", c.coll), elemType[C](c.coll.p, "ParDo2", c.coll)}
	n := pardo(c, types, opts, func(d *DoFn, out []any) (process func(Elem, A) error, es []emitter) {
		e1, e2 := emitterOf[B](d, out, 0), emitterOf[C](d, out, 1)
		return setup(d, e1.Emit, e2.Emit), []emitter{e1, e2}
	})
	return PCollection[B]{n.out(0)}, PCollection[C]{n.out(1)}
}

// ParDo3 is [ParDo] with three outputs.
func ParDo3[A, B, C, D any](c PCollection[A], setup func(d *DoFn, emit1 Emit[B], emit2 Emit[C], emit3 Emit[D]) func(e Elem, v A) error, opts ...Option) (PCollection[B], PCollection[C], PCollection[D]) {
	if !c.coll.ok("ParDo3") || c.coll.nilFunc("ParDo3", setup == nil) {
		return PCollection[B]{poison}, PCollection[C]{poison}, PCollection[D]{poison}
	}
	types := []graph.Type{elemType[B](c.coll.p, "ParDo3", c.coll), elemType[C](c.coll.p, "ParDo3", c.coll), elemType[D](c.coll.p, "ParDo3", c.coll)}
	n := pardo(c, types, opts, func(d *DoFn, out []any) (process func(Elem, A) error, es []emitter) {
		e1, e2, e3 := emitterOf[B](d, out, 0), emitterOf[C](d, out, 1), emitterOf[D](d, out, 2)
		return setup(d, e1.Emit, e2.Emit, e3.Emit), []emitter{e1, e2, e3}
	})
	return PCollection[B]{n.out(0)}, PCollection[C]{n.out(1)}, PCollection[D]{n.out(2)}
}

type emitter = flow.AnyEmitter

// emitterOf makes output i's emitter, or one that drops while the pipeline is built.
func emitterOf[O any](d *DoFn, out []any, i int) *flow.Emitter[O] {
	if d.c == nil {
		return &flow.Emitter[O]{Emit: func(O) {}}
	}
	return flow.NewEmitter[O](d.c, out[i])
}

// outputs is a node that was added, or poison.
type outputs struct {
	c coll
	n *graph.Node
}

func (o outputs) out(i int) coll {
	if o.n == nil {
		return poison
	}
	return o.c.to(o.n, i)
}

// pardo adds the node of a ParDo, and a gate before it if it has side inputs.
func pardo[A any](c PCollection[A], types []graph.Type, opts []Option, bind func(d *DoFn, out []any) (func(Elem, A) error, []emitter)) outputs {
	decl, ok := declareDo(c, bind)
	if !ok {
		return outputs{}
	}
	in := c.coll
	if len(decl.views) > 0 {
		in = sideGate[A](in, decl.views)
	}
	assign := in.assign()
	op := flow.ParDo(coderOf[A](c.coll), assign, func(x *graph.Ctx, out []any) *flow.DoLane[A] {
		d := &DoFn{hooks: hooks{c: x}}
		process, emitters := bind(d, out)
		return &flow.DoLane[A]{
			Process: func(v A) error { return process(Elem{x, &assign}, v) },
			Start:   d.start, Finish: d.finish, Stop: d.stop, Emitters: emitters,
		}
	})
	out := in
	if k := c.coll.windowing.Fn.Kind(); k != window.KindGlobal && !flow.Derived(c.coll.windowing.Fn) {
		out.behind = true // each output belongs to the one window that it was made for
	}
	return outputs{out, in.add(&graph.Node{Kind: "ParDo", Op: op, Out: types, WinColumns: out.behind}, graph.Forward, nameOf(opts))}
}

// declareDo runs setup once without a lane.
func declareDo[A any](c PCollection[A], bind func(d *DoFn, out []any) (func(Elem, A) error, []emitter)) (d *DoFn, ok bool) {
	d = &DoFn{}
	defer func() {
		if r := recover(); r != nil {
			c.coll.p.g.Errorf("ParDo: its setup function panicked while the pipeline was built; what touches the world belongs into OnStart: %v", r)
			ok = false
		}
	}()
	if process, _ := bind(d, nil); process == nil {
		c.coll.p.g.Errorf("ParDo: setup returned no function")
		return d, false
	}
	return d, true
}
