package flow

import (
	"iter"
	"math"

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
	o := &paned[K, V, A, R]{
		s: s, st: s.Strategy, prog: s.Strategy.Compile(), node: c.Node(), next: recvOf[coder.KV[K, R]](out[0]),
		hash: keygroup.Of[K](s.Key.Append), wm: window.MinTime, out: window.MinTime, assign: s.Assign,
		late:   c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedLate),
		closed: c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedClosed),
		gone:   map[string]bool{},
	}
	if s.Strategy.Timestamps != window.EndOfWindow || !o.prog.FiresAtEnd() {
		o.holds = newHolds()
	}
	if s.Late != nil {
		o.lateOut = s.Late(out[1])
	}
	if c.Run.Careful {
		o.g = &guard[coder.KV[K, V]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Val), key: func(v coder.KV[K, V]) []byte { return s.Key.Append(nil, v.Key) }}
		o.gOut = &guard[coder.KV[K, A]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Acc), key: func(v coder.KV[K, A]) []byte { return s.Key.Append(nil, v.Key) }}
	}
	if s.Strategy.Fn.Merging() {
		m := newMerging(o)
		return one(Recv[coder.KV[K, V]](m.recv)), m
	}
	f := newUnmerging(o)
	return one(Recv[coder.KV[K, V]](f.recv)), f
}

// droppedClosed is the metric that counts the (element, window) pairs whose
// window's trigger had finished (M53).
const droppedClosed = "droppedDueToClosedWindow"

// paned is what the layouts of a [Paned] have in common: what happens to one
// (key, window).
//
// wm and out are the two watermarks of rule M13: the input's, and the output's,
// which moves only when the engine asks for it, after all that a watermark or an
// element has caused.
type paned[K comparable, V, A, R any] struct {
	s       *Paned[K, V, A, R]
	st      window.Strategy
	prog    *window.Program
	node    *graph.Node
	next    Recv[coder.KV[K, R]]
	hash    keygroup.Hasher[K]
	assign  Assign
	wm, out int64
	holds   *holds // nil where windows fire before they could hold anything back
	wins    []window.Interval
	late    *graph.Cell
	closed  *graph.Cell
	lateOut func(*graph.Ctx, coder.KV[K, V], window.Interval, int64, bool)
	gone    map[string]bool // rows to delete from the store, group before each
	g       *guard[coder.KV[K, V]]
	gOut    *guard[coder.KV[K, A]]
}

// cell is what is kept for one (key, window).
type cell[A any] struct {
	win   window.Interval
	trig  []uint64 // of the trigger's program
	panes window.Panes
	hold  window.Hold
	held  int64 // what it has in the holds, packed; 0: nothing
	acc   A
	state cellState
}

type cellState uint8

const (
	filled cellState = 1 << iota // acc holds something
	fresh                        // elements have come since the last pane
	passed                       // the end of the window has been dealt with
	shut                         // the trigger has finished
)

func (x *cell[A]) is(s cellState) bool { return x.state&s != 0 }

func (o *paned[K, V, A, R]) now(c *graph.Ctx) window.Now {
	return window.Now{Watermark: o.wm, Clock: c.Now, Synchronized: c.Now}
}

// begin makes x the cell of w.
func (o *paned[K, V, A, R]) begin(x *cell[A], w window.Interval) {
	*x = cell[A]{win: w}
	if n := o.prog.Words(); n > 0 {
		x.trig = make([]uint64, n)
	}
	if w.Passed(o.wm) {
		x.state = passed
	}
}

// drop counts an element that is too late for w, and passes it on where somebody
// wants it.
func (o *paned[K, V, A, R]) drop(c *graph.Ctx, v coder.KV[K, V], w window.Interval, closed bool) {
	if closed {
		o.closed.Add(1)
	} else {
		o.late.Add(1)
	}
	if o.lateOut != nil {
		o.lateOut(c, v, w, o.wm, closed)
	}
}

// element adds v to x, and reports whether that went well.
func (o *paned[K, V, A, R]) element(c *graph.Ctx, x *cell[A], v coder.KV[K, V]) bool {
	if !x.is(filled) && o.s.Init != nil {
		x.acc = o.s.Init()
	}
	c.Op = o.node.ID
	if o.g != nil {
		was := o.s.Acc.Append(nil, x.acc)
		ok := o.g.try(c, v, func() error { o.s.Add(&x.acc, v.Value); return nil }, func() { x.acc = decoded(o.s.Acc, was) })
		if !ok {
			return false
		}
	} else {
		o.s.Add(&x.acc, v.Value)
	}
	x.hold.Add(&o.st, x.win, c.TS, o.wm, o.out)
	o.rehold(x)
	x.state |= filled | fresh
	o.prog.OnElements(x.trig, 1, o.now(c))
	return true
}

// decoded is what was encoded before.
func decoded[A any](cod coder.Coder[A], b []byte) A {
	a, _, err := cod.Decode(b)
	if err != nil {
		panic("BUG: flow: an accumulator does not decode what it encoded: " + err.Error())
	}
	return a
}

// rehold makes the holds follow x's.
func (o *paned[K, V, A, R]) rehold(x *cell[A]) {
	if o.holds == nil {
		return
	}
	var p int64
	if at, ok := x.hold.Output(&o.st, x.win); ok && !x.is(shut) {
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
func (o *paned[K, V, A, R]) asks(w window.Interval) bool {
	return o.prog.CountsElements() || w.Passed(o.wm)
}

// ask fires x if its trigger is ready, and answers when the clock should make it
// ask again.
func (o *paned[K, V, A, R]) ask(c *graph.Ctx, k K, x *cell[A]) (alarm int64, ok bool) {
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
func (o *paned[K, V, A, R]) fire(c *graph.Ctx, k K, x *cell[A], last bool) {
	if d := x.panes.Peek(x.win, o.wm, o.out, last); o.st.Emits(d, !x.is(fresh)) {
		a, at := x.acc, x.hold.Stamp(x.win)
		if !x.is(filled) && o.s.Init != nil {
			a = o.s.Init()
		}
		x.panes.Emit(d)
		x.hold.Fire(&o.st, last)
		x.state &^= fresh
		if o.st.Accumulation == window.DiscardPanes {
			x.empty()
		}
		o.emit(c, k, a, x.win, at, d)
	}
	if last {
		x.state |= shut
		x.empty()
	}
	o.rehold(x)
}

func (x *cell[A]) empty() {
	var none A
	x.acc = none
	x.state &^= filled | fresh
}

func (o *paned[K, V, A, R]) emit(c *graph.Ctx, k K, a A, w window.Interval, at int64, d window.Pane) {
	ts, win, pane := c.TS, c.Win, c.Pane
	c.TS, c.Win, c.Pane, c.Op = at, w, d, o.node.ID
	if o.gOut == nil {
		o.next(c, coder.KV[K, R]{Key: k, Value: o.s.Extract(c, a)})
	} else {
		var r R
		if o.gOut.try(c, coder.KV[K, A]{Key: k, Value: a}, func() error { r = o.s.Extract(c, a); return nil }, nil) {
			o.next(c, coder.KV[K, R]{Key: k, Value: r})
		}
	}
	c.TS, c.Win, c.Pane = ts, win, pane
}

// next is the instant whose passing means something to x: the window's end, then
// its expiry.
func (o *paned[K, V, A, R]) due(x *cell[A]) int64 {
	if x.is(passed) {
		return o.st.Expiry(x.win)
	}
	return x.win.Last()
}

// Output implements graph.Holder.
func (o *paned[K, V, A, R]) Output() int64 {
	at := o.wm
	if o.holds != nil {
		at = min(at, o.holds.least())
	}
	o.out = max(o.out, at)
	return o.out
}

var outputRow = []byte("output")

// deltaOutput keeps the output's watermark, on which stamps and timings depend (M42).
func (o *paned[K, V, A, R]) deltaOutput(w graph.DeltaWriter) {
	w.Put(graph.LaneBound, outputRow, appendInt(nil, o.out))
	for k := range o.gone {
		w.Delete(int(k[0])<<8|int(k[1]), []byte(k[2:]))
	}
	clear(o.gone)
}

func (o *paned[K, V, A, R]) appendCell(b []byte, x *cell[A]) []byte {
	b = append(b, byte(x.state))
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
	if x.is(filled) {
		b = o.s.Acc.Append(b, x.acc)
	}
	return b
}

func (o *paned[K, V, A, R]) loadCell(b []byte, x *cell[A]) ([]byte, error) {
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
		if x.acc, b, err = o.s.Acc.Decode(b); err != nil {
			return nil, err
		}
	}
	o.rehold(x)
	return b, nil
}

// unmerging is a [Paned] whose windows stay as they are: a table for each window,
// and so no entry anywhere for each key's end of window.
type unmerging[K comparable, V, A, R any] struct {
	*paned[K, V, A, R]
	*tables[*paneTable[K, A]]
	idle []*paneTable[K, A]
}

// paneTable is the cells of one window.
type paneTable[K comparable, A any] struct {
	win    window.Interval
	dir    *Dir[K]
	cells  *Column[cell[A]]
	alarms *hints // by the clock; nil where the trigger has no use for it
	passed bool   // the end of the window has been dealt with
}

func (t *paneTable[K, A]) interval() window.Interval { return t.win }

func newUnmerging[K comparable, V, A, R any](o *paned[K, V, A, R]) *unmerging[K, V, A, R] {
	u := &unmerging[K, V, A, R]{paned: o}
	u.tables = newTables(o.assign, u.open, nil)
	return u
}

func (o *unmerging[K, V, A, R]) open(w window.Interval) (t *paneTable[K, A]) {
	if n := len(o.idle); n > 0 {
		t, o.idle = o.idle[n-1], o.idle[:n-1]
	} else {
		d := NewDir[K](o.hash)
		t = &paneTable[K, A]{dir: d, cells: AddColumn[cell[A]](d)}
		if o.prog.UsesClock() {
			t.alarms = newHints(d)
		}
	}
	t.win, t.passed = w, w.Passed(o.wm)
	return t
}

func (o *unmerging[K, V, A, R]) recv(c *graph.Ctx, v coder.KV[K, V]) {
	o.wins = o.paned.assign.windows(c, o.wins)
	for _, w := range o.wins {
		if o.st.Expired(w, o.wm) {
			o.drop(c, v, w, false)
			continue
		}
		t := o.at(c, w)
		r, isNew := t.dir.Row(v.Key)
		x := &t.cells.Vals[r]
		if isNew {
			o.begin(x, w)
		}
		if x.is(shut) {
			o.drop(c, v, w, true)
			continue
		}
		if o.element(c, x, v); o.asks(w) {
			o.askRow(c, t, r)
		}
		t.dir.Touch(r)
	}
}

func (o *unmerging[K, V, A, R]) askRow(c *graph.Ctx, t *paneTable[K, A], r uint32) {
	if at, ok := o.ask(c, t.dir.Keys[r], &t.cells.Vals[r]); ok {
		t.alarms.want(r, at)
	}
}

// Advance passes the ends of windows and their expiries in order of time (M63).
func (o *unmerging[K, V, A, R]) Advance(c *graph.Ctx, wm int64) {
	o.wm = wm
	for c.Err() == nil {
		var ending *paneTable[K, A]
		for _, t := range o.tables.open {
			if !t.passed {
				ending = t
				break
			}
		}
		var oldest *paneTable[K, A]
		if len(o.tables.open) > 0 {
			oldest = o.tables.open[0]
		}
		switch {
		case oldest != nil && wm > o.st.Expiry(oldest.win) && (ending == nil || o.st.Expiry(oldest.win) <= ending.win.Last()):
			o.collect(c, oldest)
		case ending != nil && wm > ending.win.Last():
			ending.passed = true
			ending.dir.Each(func(r uint32) {
				ending.cells.Vals[r].state |= passed
				o.askRow(c, ending, r)
				ending.dir.Touch(r)
			})
		default:
			return
		}
	}
}

// collect emits what a window has not fired yet, whatever its trigger says, and
// lets go of it (M26).
func (o *unmerging[K, V, A, R]) collect(c *graph.Ctx, t *paneTable[K, A]) {
	o.tables.open, o.tables.last = o.tables.open[1:], nil
	t.dir.Each(func(r uint32) {
		if x := &t.cells.Vals[r]; !x.is(shut) {
			o.fire(c, t.dir.Keys[r], x, true)
		}
		if c.Run.Epochs {
			o.gone[string(o.rowKey(nil, t, r))] = true
		}
	})
	t.dir.Reset()
	if t.alarms != nil {
		t.alarms.reset()
	}
	if len(o.idle) < 4 {
		o.idle = append(o.idle, t)
	}
}

// Alarm implements graph.Alarmer.
func (o *unmerging[K, V, A, R]) Alarm() int64 {
	at := int64(math.MaxInt64)
	if o.prog.UsesClock() {
		for _, t := range o.tables.open {
			if a, ok := t.alarms.next(); ok {
				at = min(at, a)
			}
		}
	}
	return at
}

// Ring implements graph.Alarmer.
func (o *unmerging[K, V, A, R]) Ring(c *graph.Ctx) {
	for _, t := range o.tables.open {
		for at, ok := t.alarms.next(); ok && c.Now > at; at, ok = t.alarms.next() {
			if r := t.alarms.pop(); r != none && t.dir.has(r) {
				o.askRow(c, t, r)
				t.dir.Touch(r)
			}
		}
	}
}

func (o *unmerging[K, V, A, R]) rowKey(b []byte, t *paneTable[K, A], r uint32) []byte {
	return appendRowKey(b, t.dir.Group(r), t.win, o.s.Key, t.dir.Keys[r])
}

// Delta implements graph.Keeper. A row is named by its window and key.
func (o *unmerging[K, V, A, R]) Delta(w graph.DeltaWriter) {
	o.deltaOutput(w)
	var key, val []byte
	for _, t := range o.tables.open {
		t.dir.EachDirty(func(r uint32) {
			key = o.rowKey(key[:0], t, r)
			val = o.appendCell(val[:0], &t.cells.Vals[r])
			w.Put(int(key[0])<<8|int(key[1]), key[2:], val)
		})
	}
}

// Load implements graph.Keeper.
func (o *unmerging[K, V, A, R]) Load(key, val []byte) (err error) {
	if string(key) == string(outputRow) {
		o.out, _, err = takeInt(val)
		return err
	}
	w, k, err := splitRowKey(key, o.s.Key)
	if err != nil {
		return err
	}
	t := o.at(nil, w)
	r, _ := t.dir.Row(k)
	x := &t.cells.Vals[r]
	o.begin(x, w)
	if _, err = o.loadCell(val, x); err != nil {
		return err
	}
	t.passed = t.passed || x.is(passed)
	if at, ok := o.prog.Deadline(x.trig, math.MinInt64); ok && !x.is(shut) {
		t.alarms.want(r, at)
	}
	return nil
}
