package flow

import (
	"bytes"
	"fmt"
	"math"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Stateful is the operator of a function with keyed state. bind is called once a
// lane and returns the function for one value; it is called after K's row is set.
type Stateful[K comparable, V, O any] struct {
	Key    coder.Coder[K]
	Val    coder.Coder[V]
	Assign Assign
	Late   LateOut[K, V] // nil: late elements are counted and dropped
	Bind   func(l *Lane[K], emit func(O)) (proc func(V) error)
}

// Open implements graph.Op.
func (s *Stateful[K, V, O]) Open(c *graph.Ctx, out []any) ([]any, any) {
	next := recvOf[O](out[0])
	l := NewLane[K](c, s.Key)
	l.timing.dropped = c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedTimers)
	o := &stateful[K, V, O]{l: l, s: s, node: c.Node(), next: next, out: window.MinTime,
		late: c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedLate)}
	o.tables = newTables(s.Assign, o.newTable, func(t *table[K]) {
		l.timing.expiry = s.Assign.expiry(t.win)
		l.turn(t)
	})
	id := c.Op
	o.emit = func(v O) { next(c, v); c.Op = id }
	if c.Run.Careful {
		o.g = &guard[coder.KV[K, V]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Val), key: func(v coder.KV[K, V]) []byte { return s.Key.Append(nil, v.Key) }}
		o.emit = func(v O) { o.held.emitAt(c.TS, v) }
	}
	if s.Late != nil {
		o.lateOut = s.Late(out[1])
	}
	o.proc = s.Bind(l, o.emit)
	l.declared()
	if c.Run.Park {
		o.parked = newParking(s.Key, s.Val)
		if o.g != nil {
			o.g.park = func(v coder.KV[K, V], err error) bool { o.parked.park(c, v, err); return true }
		}
	}
	in := any(Recv[coder.KV[K, V]](o.recv))
	if s.Assign.Global() {
		o.tables.at(c, window.Global)
		if !c.Run.Careful && !c.Run.Park {
			in = &batchIn[coder.KV[K, V]]{o.recvGlobal, o.recvBatch}
		}
	}
	return append([]any{in}, l.inputs...), o
}

// The metrics that count the (element, window) pairs that came behind the
// watermark (M24), and the timers by the clock that were set when the input had
// ended (M81).
const (
	droppedLate   = "droppedDueToLateness"
	droppedTimers = "droppedTimersAtEnd"
)

type stateful[K comparable, V, O any] struct {
	l       *Lane[K]
	s       *Stateful[K, V, O]
	node    *graph.Node
	next    Recv[O]
	emit    func(O)
	proc    func(V) error
	tables  *tables[*table[K]]
	out     int64 // watermark of the output (M13)
	outs    leastOf
	wins    []window.Interval
	late    *graph.Cell
	lateOut func(*graph.Ctx, coder.KV[K, V], window.Interval, int64, bool)
	rows    rows
	parked  *parking[K, V]
	gone    rowList // rows of closed windows and emptied keys
	missing int     // parts that rows have named and that were not loaded, less those that no row has
	key     []byte

	pages *pages // nil: all rows are in memory
	paged []*pagedDir[K]

	g    *guard[coder.KV[K, V]] // careful mode
	held held[O]
	undo []byte
}

func (o *stateful[K, V, O]) recvGlobal(c *graph.Ctx, v coder.KV[K, V]) {
	k := o.l.K
	row, fresh := k.Dir.Row(v.Key)
	k.Row, c.Op = row, o.node.ID
	if fresh {
		o.fresh(c, row)
	}
	if err := o.proc(v.Value); err != nil {
		c.Fail(err)
	}
	if len(k.cleared) > 0 {
		o.tidyCleared(c)
	}
}

// recvBatch is recvGlobal of each element, with the rows looked up beforehand.
func (o *stateful[K, V, O]) recvBatch(c *graph.Ctx, b *Batch[coder.KV[K, V]]) {
	k, proc, id := o.l.K, o.proc, o.node.ID
	rows := rowsOf(k.Dir, b.vals, &o.rows)
	for _, i := range o.rows.fresh {
		o.fresh(c, rows[i])
	}
	for i, r := range rows {
		k.Row, c.TS, c.Op = r, b.ts[i], id
		if err := proc(b.vals[i].Value); err != nil {
			c.Fail(err)
		}
	}
	o.tidyCleared(c)
}

// fresh is told of a row that was just made.
func (o *stateful[K, V, O]) fresh(c *graph.Ctx, row uint32) {
	o.l.K.cleared = append(o.l.K.cleared, row) // perhaps nothing will be set
	if o.pages != nil {
		o.fetch(c, row)
	}
}

func (o *stateful[K, V, O]) newTable(w window.Interval) *table[K] {
	t := o.l.newTable(w)
	if o.pages != nil {
		o.paging(t)
	}
	return t
}

func (o *stateful[K, V, O]) recv(c *graph.Ctx, v coder.KV[K, V]) {
	if o.parked != nil && o.parked.waits(c, v) {
		return
	}
	win := c.Win
	o.wins = o.s.Assign.windows(c, o.wins)
	for _, w := range o.wins {
		if o.s.Assign.late(w, o.l.timing.wm) {
			o.late.Add(1)
			if o.lateOut != nil {
				o.lateOut(c, v, w, o.l.timing.wm, false)
			}
			continue
		}
		c.Win = w
		o.tables.at(c, w)
		o.apply(c, v)
		o.tidyCleared(c)
	}
	c.Win = win
}

func (o *stateful[K, V, O]) apply(c *graph.Ctx, v coder.KV[K, V]) {
	k := o.l.K
	row, fresh := k.Dir.Row(v.Key)
	k.Row, c.Op = row, o.node.ID
	if fresh {
		o.fresh(c, row)
	}
	if o.g == nil {
		if err := o.proc(v.Value); err != nil {
			c.Fail(err)
		}
		return
	}
	if o.g.try(c, v, func() error { return o.proc(v.Value) }, o.saved(row)) {
		o.held.pass(c, o.next)
	}
}

// tidyCleared removes the rows whose state was cleared and is empty now. Rows do
// not move meanwhile, so that a batch can be looked up at once.
func (o *stateful[K, V, O]) tidyCleared(c *graph.Ctx) {
	k := o.l.K
	for _, r := range k.cleared {
		o.tidy(c, k.cur, r)
	}
	k.cleared = k.cleared[:0]
}

// tidy removes row r of t if it is empty: a key that is done costs nothing.
func (o *stateful[K, V, O]) tidy(c *graph.Ctx, t *table[K], r uint32) {
	if !t.dir.has(r) || !o.l.empty(r) {
		return
	}
	switch {
	case t.pages != nil:
		if t.pages.age.Vals[r] != unstored {
			t.dir.Touch(r) // it stays until the store knows
			return
		}
	case c.Run.Epochs:
		o.lose(t, r)
	}
	t.dir.Remove(r)
}

// saved keeps the row as it is and returns how to put it back.
func (o *stateful[K, V, O]) saved(row uint32) func() {
	o.undo = o.l.appendRow(o.undo[:0], row)
	return func() {
		o.held.drop()
		if _, err := o.l.loadRow(o.undo, row); err != nil {
			panic("BUG: flow: a row does not load what it encoded: " + err.Error())
		}
	}
}

func (o *stateful[K, V, O]) Start(c *graph.Ctx) error {
	if o.pages != nil {
		if err := o.survey(c); err != nil {
			return err
		}
	}
	if o.missing != 0 {
		return fmt.Errorf("what is kept of the state is damaged: of its large values %d are missing, or that many too many are there if this is below 0", o.missing)
	}
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

// Advance fires timers that are due before wm (M74: T < W), each key's in time
// order, those that callbacks set among them (M77); then it closes windows.
func (o *stateful[K, V, O]) Advance(c *graph.Ctx, wm int64) {
	o.l.timing.wm = wm
	if wm == window.MaxTime {
		if o.parked != nil {
			o.parked.giveUp(c, o.node)
		}
		o.l.timing.ended = true
		o.fireAll(c, math.MaxInt64, true) // else what waits for the clock would be lost (M81)
	}
	o.fireAll(c, wm, false)
	o.tables.close(wm, o.s.Assign.lateness, func(t *table[K]) { o.expire(c, t) })
	o.l.timing.event, o.l.timing.before = wm, wm
	if o.l.lives {
		o.sweep(c, true)
	}
	o.rest(c)
}

// rest turns back to the table that a global window's elements expect at hand.
func (o *stateful[K, V, O]) rest(c *graph.Ctx) {
	if o.s.Assign.Global() {
		o.tables.at(c, window.Global)
	}
}

// fireAll fires the timers of all open windows that are due before limit, in
// event time or by the clock.
func (o *stateful[K, V, O]) fireAll(c *graph.Ctx, limit int64, clock bool) {
	if len(o.l.timers) == 0 {
		return
	}
	for _, t := range o.tables.all() {
		o.tables.at(c, t.win)
		o.fire(c, t, limit, clock)
	}
}

// fire fires t's timers that are due.
func (o *stateful[K, V, O]) fire(c *graph.Ctx, t *table[K], limit int64, clock bool) {
	ts, win := c.TS, c.Win
	for c.Err() == nil {
		if t.pages != nil && o.recall(c, t, limit, clock) {
			continue
		}
		due := -1
		for i, tt := range t.timers {
			if o.l.timers[i].Clock == clock && len(tt.heap) > 0 && unpack(tt.heap[0].at) < limit && (due < 0 || tt.heap[0].before(t.timers[due].heap[0])) {
				due = i
			}
		}
		if due < 0 {
			break
		}
		tt, h := t.timers[due], o.l.timers[due]
		e := tt.heap.pop()
		if e.row == none || !t.dir.has(e.row) {
			continue
		}
		tt.in.Vals[e.row] = 0
		switch x, ok := h.first(e.row); {
		case !ok: // cleared
		case unpack(x.at) >= limit || x.at > e.at: // pushed back meanwhile
			h.hint(e.row, x.at, x.seq)
		default:
			o.l.K.Row = e.row
			at := x.at
			if x.out != 0 {
				at = x.out
			}
			c.TS, c.Win, c.Op = unpack(at), t.win, o.node.ID
			o.l.timing.fired, h.Tag = unpack(x.at), x.tag
			if !clock { // in a large step of the watermark, too, a timer sees what lived at its time
				o.l.timing.event = max(o.l.timing.before, min(unpack(x.at), o.l.timing.wm))
			}
			o.fireOne(c, h, e.row, x)
			if y, ok := h.first(e.row); ok {
				h.hint(e.row, y.at, y.seq)
			}
			o.l.K.cleared = o.l.K.cleared[:0]
			o.tidy(c, t, e.row)
		}
	}
	c.TS, c.Win = ts, win
}

func (o *stateful[K, V, O]) fireOne(c *graph.Ctx, h *Timer, row uint32, x tagTimer) {
	call := func() error {
		h.Clear(row, x.tag)
		o.l.K.Row = row
		o.l.K.Touch()
		return h.Fire()
	}
	if o.g == nil {
		if err := call(); err != nil {
			c.Fail(err)
		}
		return
	}
	if o.g.try(c, coder.KV[K, V]{Key: o.l.K.Key()}, call, o.saved(row)) {
		o.held.pass(c, o.next)
	} else {
		h.Clear(row, x.tag) // the failed firing was disposed of
	}
}

// expire ends a window: its keys' last words, then nothing is left of them (M73).
func (o *stateful[K, V, O]) expire(c *graph.Ctx, t *table[K]) {
	o.l.timing.expiry = o.s.Assign.expiry(t.win)
	o.l.timing.event = max(o.l.timing.before, min(o.l.timing.expiry, o.l.timing.wm))
	o.l.turn(t)
	ts, win := c.TS, c.Win
	c.TS, c.Win = t.win.Last(), t.win
	last := func(r uint32) {
		for _, h := range o.l.timers {
			h.clearAll(r)
		}
		if o.l.Expire == nil || c.Err() != nil || o.l.empty(r) {
			return
		}
		o.l.K.Row, c.Op = r, o.node.ID
		if o.g == nil {
			if err := o.l.Expire(); err != nil {
				c.Fail(err)
			}
		} else if o.g.try(c, coder.KV[K, V]{Key: o.l.K.Key()}, func() error { o.l.K.Row = r; return o.l.Expire() }, o.saved(r)) {
			o.held.pass(c, o.next)
		}
		for _, h := range o.l.timers {
			h.clearAll(r)
		}
	}
	t.dir.Each(func(r uint32) {
		if c.Run.Epochs && (t.pages == nil || t.pages.age.Vals[r] != unstored) {
			o.lose(t, r)
		}
		last(r)
	})
	if t.pages != nil {
		o.expireAway(c, t, last)
	}
	o.l.K.cleared = o.l.K.cleared[:0]
	c.TS, c.Win = ts, win
}

// Alarm implements graph.Alarmer.
func (o *stateful[K, V, O]) Alarm() int64 {
	at := int64(math.MaxInt64)
	for _, t := range o.tables.open {
		for i, h := range o.l.timers {
			switch tt := t.timers[i]; {
			case len(tt.heap) == 0:
			case h.Clock:
				at = min(at, unpack(tt.heap[0].at))
			case unpack(tt.heap[0].at) < o.l.timing.wm: // set in the past: due at once (M74)
				return math.MinInt64
			}
		}
		if t.lives.clock != nil {
			if exp, ok := t.lives.clock.next(); ok {
				at = min(at, exp)
			}
		}
		if t.pages != nil {
			at = min(at, o.alarmAway(t))
		}
	}
	return at
}

// Ring implements graph.Alarmer.
func (o *stateful[K, V, O]) Ring(c *graph.Ctx) {
	o.fireAll(c, c.Now, true)
	o.fireAll(c, o.l.timing.wm, false)
	if o.l.lives {
		o.sweep(c, false)
	}
	o.rest(c)
}

// sweep frees what has expired (M82).
func (o *stateful[K, V, O]) sweep(c *graph.Ctx, event bool) {
	now := c.Now
	if event {
		now = o.l.timing.wm
	}
	for _, t := range o.tables.all() {
		hints := t.lives.clock
		if event {
			hints = t.lives.events
		}
		if hints == nil {
			continue
		}
		o.tables.at(c, t.win)
		for {
			for at, ok := hints.next(); ok && at <= now; at, ok = hints.next() {
				if r := hints.pop(); r != none && t.dir.has(r) && expire(o.l.cells, r, event) {
					t.dir.Touch(r)
					o.tidy(c, t, r)
				}
			}
			if !o.recallExpired(c, t, now, event) {
				break
			}
		}
	}
}

// Output implements graph.Holder.
func (o *stateful[K, V, O]) Output() int64 {
	o.out = max(o.out, min(o.l.timing.wm, o.l.timing.holds.least()))
	return o.out
}

func (o *stateful[K, V, O]) rowKey(b []byte, t *table[K], r uint32) []byte {
	return appendRowKey(b, t.dir.Group(r), t.win, o.s.Key, t.dir.Keys[r])
}

// Delta implements graph.Keeper. A row is named by its window and key.
func (o *stateful[K, V, O]) Delta(w graph.DeltaWriter) {
	w.Put(graph.EveryLane, outputRow, appendInt(nil, o.out))
	o.gone.delete(w)
	if o.pages != nil {
		o.deltaAway(w)
	}
	for _, s := range o.l.shared {
		s.delta(w)
	}
	if o.parked != nil {
		o.parked.delta(w)
	}
	var win []byte
	for _, t := range o.tables.all() {
		o.l.turn(t)
		win = appendWindow(win[:0], t.win)
		t.dir.EachDirty(func(r uint32) {
			o.key = o.s.Key.Append(append(o.key[:0], win...), t.dir.Keys[r])
			size := o.l.write(w, t.dir.Group(r), o.key, r)
			if t.pages != nil {
				t.pages.wrote(o.pages, r, len(o.key)-len(win), size)
			}
		})
	}
	o.tables.last = nil
	o.rest(nil)
}

// Load implements graph.Keeper.
func (o *stateful[K, V, O]) Load(key, val []byte) (err error) {
	if string(key) == string(outputRow) {
		return o.outs.take(&o.out, val)
	}
	for _, s := range o.l.shared {
		if mine, err := s.load(key, val); mine {
			return err
		}
	}
	if k, ok := bytes.CutPrefix(key, parkedRow); ok {
		return o.parked.load(k, val)
	}
	if bytes.HasPrefix(key, partRow) {
		return o.loadApart(key, val)
	}
	r, err := o.loadInto(key)
	if err == nil {
		var parts []int
		parts, err = o.l.loadRow(val, r)
		o.missing += len(parts)
	}
	return err
}

// loadInto is the row of a name, in the table at hand.
func (o *stateful[K, V, O]) loadInto(name []byte) (r uint32, err error) {
	w, k, err := splitRowKey(name, o.s.Key)
	if err != nil {
		return none, err
	}
	o.tables.at(nil, w)
	r, _ = o.l.K.Dir.Row(k)
	if o.pages != nil {
		o.l.K.cur.pages.age.Vals[r] = o.pages.now
	}
	return r, nil
}

// loadApart puts the row of a part back, before its head or behind it.
func (o *stateful[K, V, O]) loadApart(key, val []byte) error {
	i, name, err := o.l.cellOfPart(key)
	if err != nil {
		return err
	}
	r, err := o.loadInto(name)
	if err != nil {
		return err
	}
	o.missing--
	return o.takePart(i, key, val, r)
}
