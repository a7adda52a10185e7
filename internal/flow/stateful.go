package flow

import (
	"bytes"
	"context"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Keyed is the keyed half of an element's context on one lane: the table of the
// window at hand and the key's row in it, which all state handles index.
type Keyed[K comparable] struct {
	*graph.Ctx
	Dir *Dir[K]
	Row uint32

	lane *Lane[K]
	cur  *table[K]
}

// Key is the key at hand.
func (k *Keyed[K]) Key() K { return k.Dir.Keys[k.Row] }

// Touch marks the row as changed.
func (k *Keyed[K]) Touch() { k.Dir.Touch(k.Row) }

// Window is the window of the element or timer at hand.
func (k *Keyed[K]) Window() window.Interval { return k.cur.win }

// table is the state of one window: keys, a column for each cell, timers.
type table[K comparable] struct {
	win    window.Interval
	dir    *Dir[K]
	cols   []column
	timers []*timerTable
}

// timerTable is one timer of all keys of one window. The column is the truth;
// each row has at most one entry in the heap at or before it, so that pushing a
// timer back (a session) is one store.
type timerTable struct {
	at   *Column[int64] // due time + offset such that 0 means not set
	in   *Column[int64] // the same for the row's heap entry
	heap timerHeap
}

// Times are stored so that the zero value of a column means "not set".
func pack(ts int64) int64  { return ts - window.MinTime + 1 }
func unpack(p int64) int64 { return p + window.MinTime - 1 }

// Timer is a handle of one declared event timer on one lane.
type Timer struct {
	cur  *timerTable
	seq  *uint32
	Fire func() error
}

// Set sets the row's timer to ts, replacing an earlier time.
func (t *Timer) Set(row uint32, ts int64) {
	p := pack(ts)
	t.cur.at.Vals[row] = p
	if in := t.cur.in.Vals[row]; in == 0 || p < in {
		t.cur.in.Vals[row] = p
		*t.seq++
		t.cur.heap.push(timerEntry{p, *t.seq, row})
	}
}

// Clear removes the row's timer; its entry in the heap goes when it comes up.
func (t *Timer) Clear(row uint32) { t.cur.at.Vals[row] = 0 }

// Get is when the row's timer is due.
func (t *Timer) Get(row uint32) (ts int64, ok bool) {
	p := t.cur.at.Vals[row]
	return unpack(p), p != 0
}

// Lane is what a stateful transform's setup binds its handles to: one for each
// lane, or an unbound one at construction, to declare.
type Lane[K comparable] struct {
	Bound bool
	K     *Keyed[K]
	Decl  []string // "value seen beam:coder:varint:v1", in order of declaration
	Start []func(context.Context) error
	Stop  []func() error

	hash   keygroup.Hasher[K]
	cells  []Cell
	timers []*Timer
	seq    uint32
}

// NewLane makes a lane; c is nil at construction.
func NewLane[K comparable](c *graph.Ctx, key coder.Coder[K]) *Lane[K] {
	l := &Lane[K]{Bound: c != nil, hash: keygroup.Of[K](key.Append)}
	l.K = &Keyed[K]{Ctx: c, lane: l}
	return l
}

// AddCell declares a cell.
func (l *Lane[K]) AddCell(decl string, c Cell) {
	l.Decl = append(l.Decl, decl)
	l.cells = append(l.cells, c)
}

// AddTimer declares an event timer.
func (l *Lane[K]) AddTimer(decl string, fire func() error) *Timer {
	t := &Timer{seq: &l.seq, Fire: fire}
	l.Decl = append(l.Decl, decl)
	l.timers = append(l.timers, t)
	return t
}

func (l *Lane[K]) newTable(w window.Interval) *table[K] {
	t := &table[K]{win: w, dir: NewDir[K](l.hash)}
	for _, c := range l.cells {
		t.cols = append(t.cols, c.newColumn(t.dir))
	}
	for range l.timers {
		tt := &timerTable{at: AddColumn[int64](t.dir), in: AddColumn[int64](t.dir)}
		t.dir.moved = append(t.dir.moved, func(to []uint32) {
			for i := range tt.heap {
				tt.heap[i].row = to[tt.heap[i].row]
			}
		})
		t.timers = append(t.timers, tt)
	}
	return t
}

// turn makes t the table at hand of all handles.
func (l *Lane[K]) turn(t *table[K]) {
	l.K.cur, l.K.Dir = t, t.dir
	for i, c := range l.cells {
		c.bind(t.cols[i])
	}
	for i, h := range l.timers {
		h.cur = t.timers[i]
	}
}

// appendRow encodes all state of row r; empty reports that there is none.
func (l *Lane[K]) appendRow(b []byte, r uint32) (_ []byte, empty bool) {
	empty = true
	for _, c := range l.cells {
		empty = empty && c.isZero(r)
		b = c.append(b, r)
	}
	for _, t := range l.timers {
		empty = empty && t.cur.at.Vals[r] == 0
		b = appendInt(b, t.cur.at.Vals[r])
	}
	return b, empty
}

func (l *Lane[K]) loadRow(b []byte, r uint32) (err error) {
	for _, c := range l.cells {
		if b, err = c.load(b, r); err != nil {
			return err
		}
	}
	for _, t := range l.timers {
		var p int64
		if p, b, err = takeInt(b); err != nil {
			return err
		}
		if p == 0 {
			t.Clear(r)
		} else {
			t.Set(r, unpack(p))
		}
	}
	return nil
}

// Stateful is the operator of a function with keyed state. bind is called once a
// lane and returns the function for one value; it is called after K's row is set.
type Stateful[K comparable, V, O any] struct {
	Key    coder.Coder[K]
	Val    coder.Coder[V]
	Assign Assign
	Bind   func(l *Lane[K], emit func(O)) (proc func(V) error)
}

// Open implements graph.Op.
func (s *Stateful[K, V, O]) Open(c *graph.Ctx, out []any) ([]any, any) {
	next := recvOf[O](out[0])
	l := NewLane[K](c, s.Key)
	o := &stateful[K, V, O]{l: l, s: s, node: c.Node(), next: next, wm: window.MinTime,
		tables: newTables(s.Assign, l.newTable, l.turn), late: c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedLate)}
	id := c.Op
	o.emit = func(v O) { next(c, v); c.Op = id }
	if c.Run.Careful {
		o.g = &guard[coder.KV[K, V]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Val), key: func(v coder.KV[K, V]) []byte { return s.Key.Append(nil, v.Key) }}
		o.emit = func(v O) { o.held.emitAt(c.TS, v) }
	}
	o.proc = s.Bind(l, o.emit)
	if c.Run.Park {
		o.parked = newParking(s.Key, s.Val)
		if o.g != nil {
			o.g.park = func(v coder.KV[K, V], err error) bool { o.parked.park(c, v, err); return true }
		}
	}
	if !c.Run.Careful && !c.Run.Park && s.Assign.Global() {
		o.tables.at(c, window.Global)
		return []any{&batchIn[coder.KV[K, V]]{o.recvGlobal, o.recvBatch}}, o
	}
	return []any{Recv[coder.KV[K, V]](o.recv)}, o
}

// droppedLate is the metric that counts the (element, window) pairs that came
// behind the watermark (rule M24).
const droppedLate = "droppedDueToLateness"

type stateful[K comparable, V, O any] struct {
	l      *Lane[K]
	s      *Stateful[K, V, O]
	node   *graph.Node
	next   Recv[O]
	emit   func(O)
	proc   func(V) error
	tables *tables[*table[K]]
	wm     int64
	wins   []window.Interval
	late   *graph.Cell
	rows   rows
	parked *parking[K, V]
	gone   [][]byte // rows of closed windows, for the next delta, group before each
	key    []byte

	g    *guard[coder.KV[K, V]] // careful mode
	held held[O]
	undo []byte
}

func (o *stateful[K, V, O]) recvGlobal(c *graph.Ctx, v coder.KV[K, V]) {
	k := o.l.K
	k.Row, _ = k.Dir.Row(v.Key)
	c.Op = o.node.ID
	if err := o.proc(v.Value); err != nil {
		c.Fail(err)
	}
}

// recvBatch is recvGlobal of each element, with the rows looked up beforehand.
func (o *stateful[K, V, O]) recvBatch(c *graph.Ctx, b *Batch[coder.KV[K, V]]) {
	k, proc, id := o.l.K, o.proc, o.node.ID
	for i, r := range rowsOf(k.Dir, b.vals, &o.rows) {
		k.Row, c.TS, c.Op = r, b.ts[i], id
		if err := proc(b.vals[i].Value); err != nil {
			c.Fail(err)
		}
	}
}

func (o *stateful[K, V, O]) recv(c *graph.Ctx, v coder.KV[K, V]) {
	if o.parked != nil && o.parked.waits(c, v) {
		return
	}
	win := c.Win
	o.wins = o.s.Assign.windows(c, o.wins)
	for _, w := range o.wins {
		if o.s.Assign.late(w, o.wm) {
			o.late.Add(1)
			continue
		}
		c.Win = w
		o.tables.at(c, w)
		o.apply(c, v)
	}
	c.Win = win
}

func (o *stateful[K, V, O]) apply(c *graph.Ctx, v coder.KV[K, V]) {
	k := o.l.K
	k.Row, _ = k.Dir.Row(v.Key)
	c.Op = o.node.ID
	if o.g == nil {
		if err := o.proc(v.Value); err != nil {
			c.Fail(err)
		}
		return
	}
	row := k.Row
	if o.g.try(c, v, func() error { return o.proc(v.Value) }, o.saved(row)) {
		o.held.pass(c, o.next)
	}
}

// saved keeps the row as it is and returns how to put it back.
func (o *stateful[K, V, O]) saved(row uint32) func() {
	o.undo, _ = o.l.appendRow(o.undo[:0], row)
	return func() {
		o.held.drop()
		if err := o.l.loadRow(o.undo, row); err != nil {
			panic("BUG: flow: a row does not load what it encoded: " + err.Error())
		}
	}
}

func (o *stateful[K, V, O]) Start(c *graph.Ctx) error {
	for _, f := range o.l.Start {
		if err := protect(c, o.node, func() error { return f(c.Run.Context) }); err != nil {
			return err
		}
	}
	return nil
}

func (o *stateful[K, V, O]) Close(c *graph.Ctx) (err error) {
	for _, f := range o.l.Stop {
		if e := protect(c, o.node, f); e != nil && err == nil {
			err = e
		}
	}
	return err
}

// Advance fires timers that are due before wm (rule M74: T < W), each key's in
// time order, those that callbacks set among them (M77); then it closes windows.
func (o *stateful[K, V, O]) Advance(c *graph.Ctx, wm int64) {
	o.wm = wm
	if wm == window.MaxTime && o.parked != nil {
		o.parked.giveUp(c, o.node)
	}
	for _, t := range o.tables.all() {
		if len(o.l.timers) > 0 {
			o.tables.at(c, t.win)
			o.fire(c, t, wm)
		}
	}
	o.tables.close(wm, o.s.Assign.lateness, func(t *table[K]) {
		if c.Run.Epochs {
			t.dir.Each(func(r uint32) { o.gone = append(o.gone, o.rowKey(nil, t, r)) })
		}
	})
	if o.s.Assign.Global() {
		o.tables.at(c, window.Global)
	}
}

// fire fires t's timers that are due.
func (o *stateful[K, V, O]) fire(c *graph.Ctx, t *table[K], wm int64) {
	ts, win := c.TS, c.Win
	for {
		due := -1
		for i, tt := range t.timers {
			if len(tt.heap) > 0 && unpack(tt.heap[0].at) < wm && (due < 0 || tt.heap[0].before(t.timers[due].heap[0])) {
				due = i
			}
		}
		if due < 0 || c.Err() != nil {
			break
		}
		tt, h := t.timers[due], o.l.timers[due]
		e := tt.heap.pop()
		tt.in.Vals[e.row] = 0
		switch at := tt.at.Vals[e.row]; {
		case at == 0: // cleared
		case unpack(at) >= wm || at > e.at: // pushed back meanwhile
			h.Set(e.row, unpack(at))
		default:
			o.l.K.Row = e.row
			c.TS, c.Win, c.Op = unpack(at), t.win, o.node.ID
			o.fireOne(c, h, tt, e.row)
		}
	}
	c.TS, c.Win = ts, win
}

func (o *stateful[K, V, O]) fireOne(c *graph.Ctx, h *Timer, tt *timerTable, row uint32) {
	if o.g == nil {
		tt.at.Vals[row] = 0
		o.l.K.Touch()
		if err := h.Fire(); err != nil {
			c.Fail(err)
		}
		return
	}
	undo := o.saved(row)
	v := coder.KV[K, V]{Key: o.l.K.Key()}
	ok := o.g.try(c, v, func() error {
		tt.at.Vals[row] = 0
		o.l.K.Row = row
		o.l.K.Touch()
		return h.Fire()
	}, undo)
	if ok {
		o.held.pass(c, o.next)
	} else {
		tt.at.Vals[row] = 0 // the failed firing was disposed of
	}
}

// rowKey is what names a row in the store: its group before it while it is in gone.
func (o *stateful[K, V, O]) rowKey(b []byte, t *table[K], r uint32) []byte {
	return appendRowKey(b, t.dir.Group(r), t.win, o.s.Key, t.dir.Keys[r])
}

func appendRowKey[K comparable](b []byte, group int, w window.Interval, cod coder.Coder[K], k K) []byte {
	b = append(b, byte(group>>8), byte(group))
	return cod.Append(appendWindow(b, w), k)
}

func splitRowKey[K comparable](b []byte, cod coder.Coder[K]) (w window.Interval, k K, err error) {
	w, b, err = takeWindow(b)
	if err == nil {
		k, _, err = cod.Decode(b)
	}
	return w, k, err
}

func deleteRows(w graph.DeltaWriter, gone [][]byte) {
	for _, k := range gone {
		w.Delete(int(k[0])<<8|int(k[1]), k[2:])
	}
}

// Delta implements graph.Keeper. A row is named by its window and key.
func (o *stateful[K, V, O]) Delta(w graph.DeltaWriter) {
	deleteRows(w, o.gone)
	o.gone = nil
	if o.parked != nil {
		o.parked.delta(w)
	}
	var val []byte
	for _, t := range o.tables.all() {
		o.l.turn(t)
		t.dir.EachDirty(func(r uint32) {
			o.key = o.rowKey(o.key[:0], t, r)
			group := int(o.key[0])<<8 | int(o.key[1])
			var empty bool
			if val, empty = o.l.appendRow(val[:0], r); empty {
				w.Delete(group, o.key[2:])
			} else {
				w.Put(group, o.key[2:], val)
			}
		})
	}
	o.tables.last = nil
	if o.s.Assign.Global() {
		o.tables.at(nil, window.Global)
	}
}

// Load implements graph.Keeper.
func (o *stateful[K, V, O]) Load(key, val []byte) error {
	if k, ok := bytes.CutPrefix(key, parkedRow); ok {
		return o.parked.load(k, val)
	}
	w, k, err := splitRowKey(key, o.s.Key)
	if err != nil {
		return err
	}
	o.tables.at(nil, w)
	r, _ := o.l.K.Dir.Row(k)
	return o.l.loadRow(val, r)
}
