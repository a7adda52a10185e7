package flow

import (
	"encoding/binary"
	"iter"
	"math"
	"slices"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// PaneView publishes each pane of a side input that has windows or triggers. Its
// input is the side input grouped under one key, so that all is on one lane: that of
// the key, whose group its rows have ([graph.Node.ViewGroup]), or with several slots the
// first lane of each.
// lateness is the longest of what reads it, in ms.
func PaneView[T any](id int, cod coder.Coder[T], lateness int64, build func([]T) (any, error)) graph.Op {
	return op(func(c *graph.Ctx, _ []any) ([]any, any) {
		v := &paneView[T]{cod: cod, lateness: lateness, build: build, node: c.Node(), slot: &c.Run.Views[id-1],
			group: graph.LaneBound, kept: map[window.Interval]*keptPane[T]{}}
		if c.Run.Slots <= 1 {
			v.group = c.Node().ViewGroup
		}
		return one(Recv[coder.KV[bool, iter.Seq[T]]](v.recv)), v
	})
}

type paneView[T any] struct {
	cod      coder.Coder[T]
	lateness int64
	build    func([]T) (any, error)
	node     *graph.Node
	slot     *graph.ViewSlot
	group    int
	kept     map[window.Interval]*keptPane[T]
	gone     []window.Interval
}

type keptPane[T any] struct {
	index int64
	vals  []T
	saved bool
}

func (v *paneView[T]) recv(c *graph.Ctx, g coder.KV[bool, iter.Seq[T]]) {
	v.kept[c.Win] = &keptPane[T]{index: c.Pane.Index, vals: slices.Collect(g.Value)}
	v.publish(c, c.Win)
}

func (v *paneView[T]) publish(c *graph.Ctx, w window.Interval) {
	k := v.kept[w]
	c.Op = v.node.ID
	x, err := v.build(k.vals)
	if err != nil {
		c.Fail(err)
		return
	}
	v.slot.PublishPane(w, k.index, x)
}

// Start shows again what was restored.
func (v *paneView[T]) Start(c *graph.Ctx) error {
	for w := range v.kept {
		v.publish(c, w)
	}
	return c.Err()
}

// Advance lets go of the windows that nobody can ask for any more (M94), on the lane
// that keeps them.
func (v *paneView[T]) Advance(*graph.Ctx, int64) {
	if len(v.kept) == 0 {
		return
	}
	for _, w := range v.slot.Forget(func(w window.Interval, wm int64) bool { return w != window.Global && wm > w.Last()+v.lateness }) {
		delete(v.kept, w)
		v.gone = append(v.gone, w)
	}
}

func (v *paneView[T]) Delta(w graph.DeltaWriter) {
	for _, win := range v.gone {
		w.Delete(v.group, appendWindow(nil, win))
	}
	v.gone = nil
	for win, k := range v.kept {
		if k.saved {
			continue
		}
		b := appendInt(nil, k.index)
		for _, x := range k.vals {
			b = v.cod.Append(b, x)
		}
		w.Put(v.group, appendWindow(nil, win), b)
		k.saved = true
	}
}

func (v *paneView[T]) Load(key, val []byte) error {
	w, _, err := takeWindow(key)
	if err != nil {
		return err
	}
	k := &keptPane[T]{saved: true}
	if k.index, val, err = takeInt(val); err != nil {
		return err
	}
	for len(val) > 0 {
		var x T
		if x, val, err = v.cod.Decode(val); err != nil {
			return err
		}
		k.vals = append(k.vals, x)
	}
	v.kept[w] = k
	return nil
}

// SideRef is a side input at its reader.
type SideRef struct {
	View  int
	Fn    window.Fn // of the side input
	Whole bool      // published as a whole when the side input has ended
}

// Window is the window of the side input that the elements of w read (M91).
func (s SideRef) Window(w window.Interval) window.Interval {
	m, err := s.Fn.Side(w)
	if err != nil {
		panic("BUG: flow: a side input that can't be mapped was built: " + err.Error())
	}
	return m
}

// WindowGate holds each element back, for each of its windows, until the windows
// that it reads of the side inputs are ready (M90): input 0 brings the elements,
// the others the side inputs' watermarks. What waits holds the output's watermark
// (M93). Elements leave it with their window.
func WindowGate[T any](sides []SideRef, cod coder.Coder[T], assign Assign) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		g := &windowGate[T]{next: recvOf[T](out[0]), cod: cod, assign: assign, node: c.Node(), sides: sides, out: window.MinTime, wm: window.MinTime,
			holds: newHolds(), sideWM: make([]int64, len(sides)), seen: make([]int64, len(sides)), waiting: map[window.Interval][]waiting{}}
		for i, s := range sides {
			g.sideWM[i] = window.MinTime
			g.readers = append(g.readers, c.Run.Views[s.View-1].Join(c.Wake))
		}
		in := []any{Recv[T](g.recv)}
		for range sides {
			in = append(in, Recv[struct{}](func(*graph.Ctx, struct{}) {}))
		}
		return in, g
	})
}

type windowGate[T any] struct {
	next    Recv[T]
	cod     coder.Coder[T]
	assign  Assign
	node    *graph.Node
	sides   []SideRef
	readers []*graph.ViewReader
	sideWM  []int64
	seen    []int64 // versions of the views
	wm, out int64
	outs    leastOf
	holds   *holds
	wins    []window.Interval
	open    window.Interval // a window that is ready, the last one asked about
	any     bool            // open is set
	waiting map[window.Interval][]waiting
	seq     uint64
	gone    []uint64 // of saved elements that have left
}

// waiting is an element that waits in one window, encoded: it may be valid during
// the call only that brought it.
type waiting struct {
	ts    int64
	pane  window.Pane
	b     []byte
	seq   uint64
	saved bool
}

func (g *windowGate[T]) recv(c *graph.Ctx, v T) {
	win := c.Win
	g.wins = g.assign.windows(c, g.wins)
	for _, w := range g.wins {
		if g.ready(c, w) {
			c.Win = w
			g.next(c, v)
			continue
		}
		g.seq++
		g.waiting[w] = append(g.waiting[w], waiting{c.TS, c.Pane, g.cod.Append(nil, v), g.seq, false})
		g.holds.add(c.TS)
	}
	c.Win = win
}

// ready reports that all side inputs have something to say about w: once so, for ever.
func (g *windowGate[T]) ready(c *graph.Ctx, w window.Interval) bool {
	if g.any && g.open == w {
		return true
	}
	for i, s := range g.sides {
		slot := &c.Run.Views[s.View-1]
		if s.Whole {
			if slot.Get() == nil {
				return false
			}
			continue
		}
		m := s.Window(w)
		if g.sideWM[i] > m.Last() {
			continue
		}
		if _, ok := slot.Pane(m); !ok {
			return false
		}
	}
	g.open, g.any = w, true
	return true
}

// release lets go of what waits for nothing any more, the oldest windows first.
func (g *windowGate[T]) release(c *graph.Ctx) {
	if len(g.waiting) == 0 {
		return
	}
	var ready []window.Interval
	for w := range g.waiting {
		if g.ready(c, w) {
			ready = append(ready, w)
		}
	}
	slices.SortFunc(ready, compareWindows)
	ts, win, pane := c.TS, c.Win, c.Pane
	for _, w := range ready {
		list := g.waiting[w]
		delete(g.waiting, w)
		for _, x := range list {
			c.TS, c.Win, c.Pane = x.ts, w, x.pane
			v, _, err := g.cod.Decode(x.b)
			if err != nil {
				c.Fail(err)
				return
			}
			g.next(c, v)
			g.holds.remove(x.ts)
			if x.saved {
				g.gone = append(g.gone, x.seq)
			}
		}
	}
	c.TS, c.Win, c.Pane = ts, win, pane
}

// FinishBundle looks whether something was published.
func (g *windowGate[T]) FinishBundle(c *graph.Ctx) {
	changed := false
	for i, s := range g.sides {
		if v := c.Run.Views[s.View-1].Version(); v != g.seen[i] {
			g.seen[i], changed = v, true
		}
	}
	if changed {
		g.release(c)
	}
}

// InputAdvance takes in how far a side input is.
func (g *windowGate[T]) InputAdvance(c *graph.Ctx, input int, wm int64) {
	if input > 0 {
		g.sideWM[input-1] = wm
		g.release(c)
	}
}

func (g *windowGate[T]) Advance(_ *graph.Ctx, wm int64) { g.wm = wm }

// Output implements graph.Holder.
func (g *windowGate[T]) Output() int64 {
	g.out = max(g.out, min(g.wm, g.holds.least()))
	for _, r := range g.readers {
		r.Say(min(g.out, math.MaxInt64))
	}
	return g.out
}

var sidesRow = []byte("sides")

func (g *windowGate[T]) Delta(w graph.DeltaWriter) {
	name := func(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte("w"), seq) }
	for _, seq := range g.gone {
		w.Delete(graph.LaneBound, name(seq))
	}
	g.gone = nil
	b := appendInt(appendInt(nil, g.out), int64(g.seq))
	for _, wm := range g.sideWM {
		b = appendInt(b, wm)
	}
	w.Put(graph.EveryLane, sidesRow, b)
	for win, list := range g.waiting {
		for i := range list {
			if x := &list[i]; !x.saved {
				w.Put(graph.LaneBound, name(x.seq), append(appendPane(appendInt(appendWindow(nil, win), x.ts), x.pane), x.b...))
				x.saved = true
			}
		}
	}
}

func (g *windowGate[T]) Load(key, val []byte) (err error) {
	if string(key) == string(sidesRow) {
		var seq int64
		more := []*int64{&seq}
		for i := range g.sideWM {
			more = append(more, &g.sideWM[i])
		}
		most := int64(g.seq)
		err := g.outs.take(&g.out, val, more...)
		g.seq = uint64(max(most, seq))
		return err
	}
	x := waiting{saved: true}
	if len(key) != 9 {
		return errShort
	}
	x.seq = binary.BigEndian.Uint64(key[1:])
	var w window.Interval
	if w, val, err = takeWindow(val); err != nil {
		return err
	}
	if x.ts, val, err = takeInt(val); err != nil {
		return err
	}
	if x.pane, val, err = takePane(val); err != nil {
		return err
	}
	x.b = slices.Clone(val)
	list := append(g.waiting[w], x)
	slices.SortFunc(list, func(a, b waiting) int { return cmp64(int64(a.seq), int64(b.seq)) })
	g.waiting[w] = list
	g.holds.add(x.ts)
	return nil
}
