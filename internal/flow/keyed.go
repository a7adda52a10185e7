package flow

import (
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

	lane    *Lane[K]
	cur     *table[K]
	cleared []uint32 // rows that may be empty now
}

// Cleared notes that something of the row was cleared, so that the row may be empty.
func (k *Keyed[K]) Cleared() {
	k.Touch()
	k.cleared = append(k.cleared, k.Row)
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
	marks  []*Column[partMark] // of the cells whose values may lie apart
	lives  lifeTable
	timers []*timerTable
	pages  *tablePages[K] // nil: all rows are here
}

// Lane is what a stateful transform's setup binds its handles to: one for each
// lane, or an unbound one at construction, to declare.
type Lane[K comparable] struct {
	Bound  bool
	K      *Keyed[K]
	Decl   []string // "value seen beam:coder:varint:v1", in order of declaration
	Start  []func(context.Context) error
	Stop   []func() error
	Expire func() error // when a key's window is over; nil: nothing

	hash   keygroup.Hasher[K]
	cells  []Cell
	names  [][]byte // of cells, as the names of their part rows begin
	large  []int    // cells whose values may lie apart
	timers []*Timer
	timing *timing
	lives  bool     // some cell expires
	inputs []any    // receivers of what changes shared state
	shared []shared // that all keys read

	row, head, part []byte // buffers of write
	away            []int
}

// NewLane makes a lane; c is nil at construction.
func NewLane[K comparable](c *graph.Ctx, key coder.Coder[K]) *Lane[K] {
	l := &Lane[K]{Bound: c != nil, hash: keygroup.Of[K](key.Append), timing: &timing{c: c, wm: window.MinTime, event: window.MinTime, before: window.MinTime, holds: newHolds()}}
	l.K = &Keyed[K]{Ctx: c, lane: l}
	return l
}

// AddCell declares a cell.
func (l *Lane[K]) AddCell(decl string, c Cell) {
	l.Decl = append(l.Decl, decl)
	l.cells = append(l.cells, c)
	l.names = append(l.names, partName(decl))
	life := c.lifeOf()
	life.t = l.timing
	l.lives = l.lives || life.after != 0
}

// AddTimer declares a timer.
func (l *Lane[K]) AddTimer(decl string, t *Timer) *Timer {
	t.t = l.timing
	l.Decl = append(l.Decl, decl)
	l.timers = append(l.timers, t)
	return t
}

// Fired is what the timer that fires was set to.
func (k *Keyed[K]) Fired() int64 { return k.lane.timing.fired }

// Watermark is that of the operator's input.
func (k *Keyed[K]) Watermark() int64 { return k.lane.timing.wm }

func (l *Lane[K]) newTable(w window.Interval) *table[K] {
	t := &table[K]{win: w, dir: NewDir[K](l.hash)}
	for _, c := range l.cells {
		t.cols = append(t.cols, c.newColumn(t.dir))
	}
	for range l.large {
		t.marks = append(t.marks, AddColumn[partMark](t.dir))
	}
	t.lives = newLifeTable(t.dir, l.cells)
	for _, h := range l.timers {
		t.timers = append(t.timers, newTimerTable(h, t.dir))
	}
	return t
}

// turn makes t the table at hand of all handles.
func (l *Lane[K]) turn(t *table[K]) {
	l.K.cur, l.K.Dir = t, t.dir
	for i, c := range l.cells {
		c.bind(t.cols[i])
		if life := c.lifeOf(); life.after != 0 {
			t.lives.bind(i, life)
		}
	}
	for j, i := range l.large {
		l.cells[i].apartOf().marks = t.marks[j]
	}
	for i, h := range l.timers {
		h.cur = t.timers[i]
	}
}

// appendRow encodes all state of row r, also what lies apart in the store.
func (l *Lane[K]) appendRow(b []byte, r uint32) []byte {
	for _, c := range l.cells {
		b = appendCell(b, c, r)
	}
	return l.appendTimers(b, r)
}

// appendCell encodes what a cell has for row r, and when it expires.
func appendCell(b []byte, c Cell, r uint32) []byte {
	b = c.append(b, r)
	if life := c.lifeOf(); life.after != 0 {
		b = appendInt(b, life.exp.Vals[r])
	}
	return b
}

func (l *Lane[K]) appendTimers(b []byte, r uint32) []byte {
	for _, t := range l.timers {
		b = t.append(b, r)
	}
	return b
}

// empty reports that row r has no state.
func (l *Lane[K]) empty(r uint32) bool {
	for _, c := range l.cells {
		if !c.isZero(r) {
			return false
		}
	}
	for _, t := range l.timers {
		if !t.isZero(r) {
			return false
		}
	}
	return true
}

// loadRow loads what a row has in it: its head. The parts of the cells that it names lie
// apart, in rows of their own; what was loaded of them stays. parts is valid until the
// next call, or the next delta.
func (l *Lane[K]) loadRow(b []byte, r uint32) (parts []int, err error) {
	if parts, b, err = l.takeMark(b); err != nil {
		return nil, err
	}
	left := parts
	for i := range l.cells {
		if len(left) > 0 && left[0] == i {
			left = left[1:]
			continue
		}
		if b, err = l.loadCell(i, b, r); err != nil {
			return nil, err
		}
	}
	for _, t := range l.timers {
		if b, err = t.load(b, r); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// loadCell is the inverse of appendCell.
func (l *Lane[K]) loadCell(i int, b []byte, r uint32) (_ []byte, err error) {
	c := l.cells[i]
	if b, err = c.load(b, r); err != nil {
		return nil, err
	}
	if life := c.lifeOf(); life.after != 0 {
		var exp int64
		if exp, b, err = takeInt(b); err != nil {
			return nil, err
		}
		if life.exp.Vals[r] = exp; exp != 0 {
			life.hints.want(r, unpack(exp))
		}
	}
	return b, nil
}
