package flow

import (
	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// View gathers a collection on the first lane of the slot and publishes what build
// makes of it when the collection has ended.
func View[T any](id int, cod coder.Coder[T], build func([]T) (any, error)) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		v := &view[T]{id: id, cod: cod, build: build, node: c.Node()}
		return one(Recv[T](func(_ *graph.Ctx, x T) { v.vals = append(v.vals, x) })), v
	})
}

type view[T any] struct {
	id    int
	cod   coder.Coder[T]
	build func([]T) (any, error)
	node  *graph.Node
	vals  []T
	saved int // of vals, in the store
}

func (v *view[T]) Advance(c *graph.Ctx, wm int64) {
	if wm < window.MaxTime || !c.First() {
		return
	}
	c.Op = v.node.ID
	x, err := v.build(v.vals)
	if err != nil {
		c.Fail(err)
		return
	}
	c.Run.Views[v.id-1].Publish(x)
}

func (v *view[T]) Delta(w graph.DeltaWriter) {
	for ; v.saved < len(v.vals); v.saved++ {
		w.Append(graph.LaneBound, []byte("values"), appendBytes(nil, v.cod.Append(nil, v.vals[v.saved])))
	}
}

func (v *view[T]) Load(_, val []byte) error {
	for len(val) > 0 {
		b, rest, err := takeBytes(val)
		if err != nil {
			return err
		}
		x, _, err := v.cod.Decode(b)
		if err != nil {
			return err
		}
		v.vals, val = append(v.vals, x), rest
	}
	v.saved = len(v.vals)
	return nil
}

// Gate holds elements back until the side inputs of their consumer are complete:
// input 0 brings them, inputs 1 to n only the watermarks of the views. What waits
// is encoded, in memory up to the budget, then in a file.
func Gate[T any](n int, cod coder.Coder[T], windows bool) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		g := &gate[T]{next: recvOf[T](out[0]), cod: cod, windows: windows, missing: n, ready: make([]bool, n+1), node: c.Node()}
		g.spool.dir, g.spool.budget = c.Run.TempDir, c.Run.MemoryBudget
		in := make([]any, n+1)
		in[0] = Recv[T](func(c *graph.Ctx, v T) {
			if g.missing == 0 {
				g.next(c, v)
				return
			}
			g.hold(c, v)
		})
		for i := 1; i <= n; i++ {
			in[i] = Recv[struct{}](func(*graph.Ctx, struct{}) {})
		}
		return in, g
	})
}

type gate[T any] struct {
	next    Recv[T]
	cod     coder.Coder[T]
	windows bool
	missing int
	ready   []bool
	node    *graph.Node
	spool   spool
	log     [][]byte // held since the last delta
	emptied bool     // since the last delta
	buf     []byte
}

func (g *gate[T]) hold(c *graph.Ctx, v T) {
	b := appendInt(g.buf[:0], c.TS)
	if g.windows {
		b = appendPane(appendWindow(b, c.Win), c.Pane)
	}
	b = g.cod.Append(b, v)
	g.buf = b
	if err := g.spool.add(b); err != nil {
		c.Fail(err)
	}
	if c.Run.Epochs {
		g.log = append(g.log, appendBytes(nil, b))
	}
}

// InputAdvance opens the gate when the last view is complete.
func (g *gate[T]) InputAdvance(c *graph.Ctx, input int, wm int64) {
	if input == 0 || wm < window.MaxTime || g.ready[input] {
		return
	}
	g.ready[input] = true
	if g.missing--; g.missing > 0 {
		return
	}
	ts, win, pane := c.TS, c.Win, c.Pane
	err := g.spool.each(func(b []byte) error {
		v, err := g.unpack(c, b)
		if err == nil {
			g.next(c, v)
		}
		return err
	})
	c.TS, c.Win, c.Pane = ts, win, pane
	if err != nil {
		c.Op = g.node.ID
		c.Fail(err)
	}
	g.emptied, g.log = true, nil
}

func (g *gate[T]) unpack(c *graph.Ctx, b []byte) (v T, err error) {
	if c.TS, b, err = takeInt(b); err != nil {
		return v, err
	}
	if g.windows {
		if c.Win, b, err = takeWindow(b); err != nil {
			return v, err
		}
		if c.Pane, b, err = takePane(b); err != nil {
			return v, err
		}
	}
	v, _, err = g.cod.Decode(b)
	return v, err
}

var heldKey = []byte("held")

func (g *gate[T]) Delta(w graph.DeltaWriter) {
	if g.emptied {
		w.Delete(graph.LaneBound, heldKey)
		g.emptied = false
	}
	for _, b := range g.log {
		w.Append(graph.LaneBound, heldKey, b)
	}
	g.log = nil
}

func (g *gate[T]) Load(_, val []byte) error {
	for len(val) > 0 {
		b, rest, err := takeBytes(val)
		if err == nil {
			err = g.spool.add(b)
		}
		if err != nil {
			return err
		}
		val = rest
	}
	return nil
}

func (g *gate[T]) Close(*graph.Ctx) error { g.spool.close(); return nil }
