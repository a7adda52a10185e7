package flow

import (
	"iter"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Paned folds values by key and window under any windowing strategy: triggers,
// allowed lateness, merging windows, timestamp combiners. What [Combine] and
// [Group] do is its simplest case, and they are quicker at it: see [Simple].
type Paned[K comparable, V, A, R any] struct {
	Key      coder.Coder[K]
	Val      coder.Coder[V]
	Acc      coder.Coder[A]
	Strategy window.Strategy
	Assign   Assign
	Init     func() A // nil: the zero value
	Add      func(*A, V)
	Merge    func(*A, A) // wanted by merging windows
	Extract  func(*graph.Ctx, A) R
	Late     LateOut[K, V] // nil: late elements are counted and dropped
}

// LateOut makes the receiver of what is dropped (M28) from output 1. closed says
// that the window's trigger had finished; else it had expired.
type LateOut[K comparable, V any] func(out any) func(c *graph.Ctx, v coder.KV[K, V], w window.Interval, wm int64, closed bool)

// Simple reports that each window fires once, when the watermark passes its end,
// with its last instant as its time, and that nothing comes after.
func Simple(s window.Strategy) bool {
	return s.IsDefaultTrigger() && s.Lateness == 0 && s.Timestamps == window.EndOfWindow && !s.Fn.Merging()
}

// Liftable reports that a combiner may fold before the shuffle without changing
// what panes come when (M38): no trigger counts elements or asks the clock, no
// window merges, and panes are not stamped by elements.
func Liftable(s window.Strategy) bool {
	return s.Timestamps == window.EndOfWindow && !s.Fn.Merging() && !s.Compile().CountsElements()
}

// HoldsNothing reports that a grouping never holds the watermark back: its windows
// fire as their ends pass, before they could. Where one does hold, lanes are apart
// by what their keys hold, so that what follows must go by the least of all lanes
// (M13) rather than by its own lane's: the number of lanes would show in the output.
func HoldsNothing(s window.Strategy) bool {
	return s.Timestamps == window.EndOfWindow && s.Compile().FiresAtEnd()
}

// PanedGroup is the Paned that lists values. They are held encoded, in memory.
func PanedGroup[K comparable, V any](key coder.Coder[K], val coder.Coder[V], s window.Strategy, a Assign, late LateOut[K, V]) *Paned[K, V, Listed, iter.Seq[V]] {
	return &Paned[K, V, Listed, iter.Seq[V]]{
		Key: key, Val: val, Acc: listedCoder, Strategy: s, Assign: a, Late: late,
		Add:   func(l *Listed, v V) { l.b, l.n = val.Append(l.b, v), l.n+1 },
		Merge: func(l *Listed, o Listed) { l.b, l.n = append(l.b, o.b...), l.n+o.n },
		Extract: func(c *graph.Ctx, l Listed) iter.Seq[V] {
			return func(yield func(V) bool) {
				b := l.b
				for range l.n {
					v, rest, err := val.Decode(b)
					if err != nil {
						c.Fail(err)
						return
					}
					if b = rest; !yield(v) {
						return
					}
				}
			}
		},
	}
}

// Listed is encoded values, one behind the other.
type Listed struct {
	b []byte
	n int
}

var listedCoder = coder.Coder[Listed]{
	ID:     "millrace:coder:listed:v1",
	Append: func(b []byte, l Listed) []byte { return appendBytes(appendInt(b, int64(l.n)), l.b) },
	Decode: func(b []byte) (l Listed, rest []byte, err error) {
		n, b, err := takeInt(b)
		if err == nil {
			l.n = int(n)
			l.b, rest, err = takeBytes(b)
			l.b = append([]byte(nil), l.b...)
		}
		return l, rest, err
	},
}

// Open implements graph.Op.
func (s *Paned[K, V, A, R]) Open(c *graph.Ctx, out []any) ([]any, any) {
	x := &accumulators[K, V, A, R]{s: s, node: c.Node(), next: recvOf[coder.KV[K, R]](out[0])}
	if s.Late != nil {
		x.lateOut = s.Late(out[1])
	}
	if c.Run.Careful {
		x.g = &guard[coder.KV[K, V]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Val), key: func(v coder.KV[K, V]) []byte { return s.Key.Append(nil, v.Key) }}
		x.gOut = &guard[coder.KV[K, A]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Acc), key: func(v coder.KV[K, A]) []byte { return s.Key.Append(nil, v.Key) }}
	}
	recv, live := openPaned(c, s.Key, s.Strategy, s.Assign, x)
	return one(Recv[coder.KV[K, V]](func(c *graph.Ctx, v coder.KV[K, V]) {
		x.v = v
		recv(c, v.Key)
	})), live
}

// openPaned makes the layout that a strategy wants.
func openPaned[K comparable](c *graph.Ctx, key coder.Coder[K], s window.Strategy, a Assign, in contents[K]) (recv func(*graph.Ctx, K), live any) {
	o := &paned[K]{
		in: in, key: key, st: s, prog: s.Compile(), hash: keygroup.Of[K](key.Append), wm: window.MinTime, out: window.MinTime, assign: a,
		late:   c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedLate),
		closed: c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedClosed),
		node:   c.Node(),
		c:      c,
		gone:   map[string]bool{},
		let:    map[K]int64{}, settled: window.MinTime,
	}
	if !HoldsNothing(s) {
		o.holds = newHolds()
	}
	if s.Fn.Merging() {
		m := newMerging(o)
		return m.recv, m
	}
	u := newUnmerging(o)
	return u.recv, u
}

// droppedClosed is the metric that counts the (element, window) pairs whose
// window's trigger had finished (M53).
const droppedClosed = "droppedDueToClosedWindow"

// paned is what the layouts of a [Paned] have in common: what happens to one
// (key, window).
//
// wm and out are the two watermarks of rule M13: the input's, and the output's,
// which moves only when the engine asks for it, after all that a watermark or an
// element has caused. Stamps and timings (M32, M42) do not go by out, which
// depends on what other keys happen to be on the lane, but by the watermark that
// the output would have if there were only the key at hand: see outputOf.
type paned[K comparable] struct {
	in      contents[K]
	key     coder.Coder[K]
	st      window.Strategy
	prog    *window.Program
	node    *graph.Node
	c       *graph.Ctx
	pages   *pages // nil: all rows are in memory
	hash    keygroup.Hasher[K]
	assign  Assign
	wm, out int64
	outs    leastOf
	settled int64         // the input's watermark when the output's was last asked for
	least   func(K) int64 // the earliest hold of a key
	let     map[K]int64   // the earliest hold that a key has let go of since settled, or since the element at hand came
	holds   *holds        // nil where windows fire before they could hold anything back
	wins    []window.Interval
	late    *graph.Cell
	closed  *graph.Cell
	gone    map[string]bool // rows to delete from the store, group before each
}

// cell is what is kept for one (key, window).
type cell struct {
	win   window.Interval
	trig  []uint64 // of the trigger's program
	panes window.Panes
	hold  window.Hold
	held  int64  // what it has in the holds, packed; 0: nothing
	acc   uint32 // number of its accumulator; 0: none
	state cellState
}

type cellState uint8

const (
	fresh  cellState = 1 << iota // elements have come since the last pane
	passed                       // the end of the window has been dealt with
	shut                         // the trigger has finished
	filled                       // in the store: an accumulator follows
)

func (x *cell) is(s cellState) bool { return x.state&s != 0 }

func (o *paned[K]) now(c *graph.Ctx) window.Now {
	return window.Now{Watermark: o.wm, Clock: c.Now, Synchronized: c.Now}
}

// begin makes x the cell of w.
func (o *paned[K]) begin(x *cell, w window.Interval) {
	*x = cell{win: w}
	if n := o.prog.Words(); n > 0 {
		x.trig = make([]uint64, n)
	}
	if w.Passed(o.wm) {
		x.state = passed
	}
}

// drop counts the element at hand, which is too late for w, and passes it on where
// somebody wants it.
func (o *paned[K]) drop(c *graph.Ctx, w window.Interval, closed bool) {
	if closed {
		o.closed.Add(1)
	} else {
		o.late.Add(1)
	}
	o.in.late(c, w, o.wm, closed)
}

// element adds the element at hand, of key k, to x.
func (o *paned[K]) element(c *graph.Ctx, k K, x *cell) {
	if !o.in.add(c, x) {
		return
	}
	out := o.settled
	if o.st.Timestamps != window.EndOfWindow && c.TS < out {
		out = o.outputOf(k)
	}
	x.hold.Add(&o.st, x.win, c.TS, o.wm, out)
	o.rehold(x)
	x.state |= fresh
	o.prog.OnElements(x.trig, 1, o.now(c))
}

// rehold makes the holds follow x's.
func (o *paned[K]) rehold(x *cell) {
	if o.holds == nil {
		return
	}
	var p int64
	if at := o.heldAt(x); at != window.MaxTime {
		p = pack(at)
	}
	if p == x.held {
		return
	}
	if x.held != 0 {
		o.holds.remove(unpack(x.held))
	}
	if x.held = p; p != 0 {
		o.holds.add(unpack(p))
	}
}

// asks reports that an element may make w's trigger ready.
func (o *paned[K]) asks(w window.Interval) bool {
	return o.prog.CountsElements() || w.Passed(o.wm)
}

// ask fires x if its trigger is ready, and answers when the clock should make it
// ask again.
func (o *paned[K]) ask(c *graph.Ctx, k K, x *cell) (alarm int64, ok bool) {
	if x.is(shut) {
		return 0, false
	}
	if now := o.now(c); o.prog.Ready(x.trig, x.win, now) {
		if o.fire(c, k, x, o.prog.OnFire(x.trig, x.win, now)); x.is(shut) {
			return 0, false
		}
	}
	return o.prog.Deadline(x.trig, c.Now)
}

// fire emits a pane if one is due. last says that none can follow: then the cell
// is shut.
func (o *paned[K]) fire(c *graph.Ctx, k K, x *cell, last bool) {
	held := o.heldAt(x)
	out := o.settled
	if x.panes.NonEarly == 0 && x.win.Passed(out) {
		out = min(o.outputOf(k), held) // x may not be among k's any more
	}
	if d := x.panes.Peek(x.win, o.wm, out, last); o.st.Emits(d, !x.is(fresh)) {
		at := x.hold.Stamp(x.win)
		x.panes.Emit(d)
		x.hold.Fire(&o.st, last)
		x.state &^= fresh
		ts, win, pane := c.TS, c.Win, c.Pane
		c.TS, c.Win, c.Pane = at, x.win, d
		o.in.emit(c, k, x)
		c.TS, c.Win, c.Pane = ts, win, pane
		if o.st.Accumulation == window.DiscardPanes {
			o.in.drop(x)
		}
	}
	if last {
		x.state = x.state&^fresh | shut
		o.in.drop(x)
	}
	if held < o.settled && held != o.heldAt(x) {
		if was, ok := o.let[k]; !ok || held < was {
			o.let[k] = held
		}
	}
	o.rehold(x)
}

// outputOf is the output watermark as far as k has a say. It moves when all that
// an element or a watermark causes is over: what is let go of meanwhile counts.
func (o *paned[K]) outputOf(k K) int64 {
	at := min(o.settled, o.least(k))
	if was, ok := o.let[k]; ok {
		at = min(at, was)
	}
	return at
}

// arrived begins with an element: what was let go of before it is gone.
func (o *paned[K]) arrived() {
	if len(o.let) > 0 {
		clear(o.let)
	}
}

// heldAt is where x holds the output; MaxTime if it doesn't.
func (o *paned[K]) heldAt(x *cell) int64 {
	if at, ok := x.hold.Output(&o.st, x.win); ok && !x.is(shut) {
		return at
	}
	return window.MaxTime
}

// due is the instant whose passing means something to x: the window's end, then
// its expiry.
func (o *paned[K]) due(x *cell) int64 {
	if x.is(passed) {
		return o.st.Expiry(x.win)
	}
	return x.win.Last()
}

// Output implements graph.Holder.
func (o *paned[K]) Output() int64 {
	at := o.wm
	if o.holds != nil {
		at = min(at, o.holds.least())
	}
	o.out, o.settled = max(o.out, at), o.wm
	o.arrived()
	return o.out
}

var outputRow = []byte("output")

// deltaOutput keeps what stamps and timings depend on (M42), and the output's watermark.
func (o *paned[K]) deltaOutput(w graph.DeltaWriter) {
	w.Put(graph.EveryLane, outputRow, appendInt(appendInt(nil, o.out), o.settled))
	for k := range o.gone {
		w.Delete(int(k[0])<<8|int(k[1]), []byte(k[2:]))
	}
	clear(o.gone)
}

func (o *paned[K]) loadOutput(val []byte) (err error) {
	return o.outs.take(&o.out, val, &o.settled)
}

func (o *paned[K]) appendCell(b []byte, x *cell) []byte {
	state := x.state
	if x.acc != 0 {
		state |= filled
	}
	b = append(b, byte(state))
	for _, w := range x.trig {
		b = appendInt(b, int64(w))
	}
	b = appendInt(appendInt(b, x.panes.Emitted), x.panes.NonEarly)
	var flags byte
	if x.hold.InTime {
		flags |= 1
	}
	if x.hold.AtExpiry {
		flags |= 2
	}
	b = appendInt(append(b, flags), x.hold.At)
	if x.acc != 0 {
		b = o.in.append(b, x)
	}
	return b
}

func (o *paned[K]) loadCell(b []byte, x *cell) ([]byte, error) {
	if len(b) == 0 {
		return nil, errShort
	}
	x.state, b = cellState(b[0]), b[1:]
	var err error
	for i := range x.trig {
		var w int64
		if w, b, err = takeInt(b); err != nil {
			return nil, err
		}
		x.trig[i] = uint64(w)
	}
	if err := o.prog.Check(x.trig); err != nil {
		return nil, err
	}
	if x.panes.Emitted, b, err = takeInt(b); err != nil {
		return nil, err
	}
	if x.panes.NonEarly, b, err = takeInt(b); err != nil || len(b) == 0 {
		return nil, errShort
	}
	x.hold.InTime, x.hold.AtExpiry, b = b[0]&1 != 0, b[0]&2 != 0, b[1:]
	if x.hold.At, b, err = takeInt(b); err != nil {
		return nil, err
	}
	if x.is(filled) {
		x.state &^= filled
		if b, err = o.in.load(b, x); err != nil {
			return nil, err
		}
	}
	o.rehold(x)
	return b, nil
}
