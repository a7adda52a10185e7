package flow

import (
	"context"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Emitter is one output of a ParDo on one lane.
type Emitter[O any] struct {
	Emit func(O) // for the user
	next Recv[O]
	held held[O]
}

// NewEmitter makes the emitter of output out. In careful mode it holds what is
// emitted until the element has gone well.
func NewEmitter[O any](c *graph.Ctx, out any) *Emitter[O] {
	e := &Emitter[O]{next: recvOf[O](out)}
	if c.Run.Careful {
		e.Emit = e.held.emit
		return e
	}
	next := e.next
	id := c.Op
	e.Emit = func(o O) { next(c, o); c.Op = id }
	return e
}

func (e *Emitter[O]) pass(c *graph.Ctx) { e.held.pass(c, e.next) }
func (e *Emitter[O]) drop()             { e.held.drop() }

// AnyEmitter is an Emitter of whatever type.
type AnyEmitter interface {
	pass(*graph.Ctx)
	drop()
}

// DoLane is a ParDo on one lane.
type DoLane[A any] struct {
	Process  func(A) error
	Start    []func(context.Context) error
	Finish   []func() error // at the end of each bundle
	Stop     []func() error
	Emitters []AnyEmitter
}

// ParDo is the general element-wise operator. bind is called once a lane. With
// an Assign of several windows the element is processed once for each.
func ParDo[A any](cod coder.Coder[A], assign Assign, bind func(c *graph.Ctx, out []any) *DoLane[A]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		p := &pardo[A]{DoLane: bind(c, out), node: c.Node(), assign: assign}
		if c.Run.Careful {
			p.g = &guard[A]{node: c.Node(), cod: cod}
		}
		if p.g == nil && assign.mode != many && len(p.DoLane.Finish) == 0 {
			process := p.Process
			id := c.Op
			return one(Recv[A](func(c *graph.Ctx, v A) {
				c.Op = id
				if err := process(v); err != nil {
					c.Fail(err)
				}
			})), p.live()
		}
		return one(Recv[A](p.recv)), p.live()
	})
}

type pardo[A any] struct {
	*DoLane[A]
	node   *graph.Node
	assign Assign
	wins   []window.Interval
	g      *guard[A]

	begun bool // a bundle, and its last element's time and window
	ts    int64
	win   window.Interval
	pane  window.Pane
}

// live is the operator's own view of the engine's interfaces: one that ends
// bundles only when somebody asked for it.
func (p *pardo[A]) live() any {
	if len(p.DoLane.Finish) > 0 {
		return &bundled[A]{p}
	}
	return p
}

func (p *pardo[A]) recv(c *graph.Ctx, v A) {
	p.begun, p.ts, p.win, p.pane = true, c.TS, c.Win, c.Pane
	if p.assign.mode != many {
		p.one(c, v)
		return
	}
	win := c.Win
	p.wins = p.assign.windows(c, p.wins)
	for _, w := range p.wins {
		c.Win = w
		p.one(c, v)
	}
	c.Win = win
}

func (p *pardo[A]) one(c *graph.Ctx, v A) {
	c.Op = p.node.ID
	if p.g == nil {
		if err := p.Process(v); err != nil {
			c.Fail(err)
		}
		return
	}
	if p.g.try(c, v, func() error { return p.Process(v) }, p.drop) {
		p.pass(c)
	}
}

func (p *pardo[A]) pass(c *graph.Ctx) {
	for _, e := range p.Emitters {
		e.pass(c)
	}
}

func (p *pardo[A]) drop() {
	for _, e := range p.Emitters {
		e.drop()
	}
}

// Start implements graph.Starter.
func (p *pardo[A]) Start(c *graph.Ctx) error {
	for _, f := range p.DoLane.Start {
		if err := protect(c, p.node, func() error { return f(c.Run.Context) }); err != nil {
			return err
		}
	}
	return nil
}

// Close implements graph.Closer: every teardown is called, the first error counts.
func (p *pardo[A]) Close(c *graph.Ctx) (err error) {
	for _, f := range p.Stop {
		if e := protect(c, p.node, f); e != nil && err == nil {
			err = e
		}
	}
	return err
}

type bundled[A any] struct{ *pardo[A] }

// FinishBundle implements graph.Bundler. What it emits has the time and window
// of the bundle's last element.
func (p *bundled[A]) FinishBundle(c *graph.Ctx) {
	if !p.begun {
		return
	}
	p.begun = false
	ts, win, pane := c.TS, c.Win, c.Pane
	defer func() { c.TS, c.Win, c.Pane = ts, win, pane }()
	c.TS, c.Win, c.Pane = p.ts, p.win, p.pane
	for _, f := range p.DoLane.Finish {
		if err := protect(c, p.node, f); err != nil {
			c.Fail(err)
			p.drop()
			return
		}
		p.pass(c)
	}
}
