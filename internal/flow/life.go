package flow

import "math"

// life is how long a cell's values live after they were last written (M82); the
// zero life is for ever. A value that has expired is absent for whoever reads;
// its memory goes a little later.
type life struct {
	after int64 // ms; 0: for ever
	event bool  // by event time: until the watermark passes the time of the last writer plus after
	t     *timing

	exp   *Column[int64] // of the table at hand: when rows expire, packed; 0: nothing was written
	hints *hints
}

// SetLife makes the cell's values expire. It is called before the cell is used.
func (l *life) SetLife(afterMs int64, event bool) { l.after, l.event = afterMs, event }

func (l *life) lifeOf() *life { return l }

func (l *life) now() int64 {
	if l.event {
		return l.t.event
	}
	return l.t.c.Now
}

// over reports that row r has expired.
func (l *life) over(r uint32) bool {
	e := l.exp.Vals[r]
	return e != 0 && l.now() >= unpack(e)
}

// wrote notes a write.
func (l *life) wrote(r uint32) {
	at := l.t.c.Now
	if l.event {
		at = l.t.c.TS
	}
	at = min(at, math.MaxInt64-l.after-1) + l.after
	l.exp.Vals[r] = pack(at)
	l.hints.want(r, at)
}

// lifeTable is the expiries of one window's rows.
type lifeTable struct {
	exps          []*Column[int64] // by cell; nil: for ever
	clock, events *hints           // when rows expire by either time; nil where no cell does
}

func newLifeTable[K comparable](d *Dir[K], cells []Cell) (t lifeTable) {
	for _, c := range cells {
		l := c.lifeOf()
		if l.after == 0 {
			t.exps = append(t.exps, nil)
			continue
		}
		t.exps = append(t.exps, AddColumn[int64](d))
		if l.event && t.events == nil {
			t.events = newHints(d)
		} else if !l.event && t.clock == nil {
			t.clock = newHints(d)
		}
	}
	return t
}

// bind makes the expiries of this table those at hand.
func (t *lifeTable) bind(i int, l *life) {
	l.exp, l.hints = t.exps[i], t.clock
	if l.event {
		l.hints = t.events
	}
}

// expire clears the cells of row r that have expired and says when to look again.
func expire(cells []Cell, r uint32, event bool) (cleared bool) {
	for _, c := range cells {
		l := c.lifeOf()
		if l.after == 0 || l.event != event || l.exp.Vals[r] == 0 {
			continue
		}
		if l.over(r) {
			c.Clear(r)
			l.exp.Vals[r] = 0
			cleared = true
			continue
		}
		l.hints.want(r, unpack(l.exp.Vals[r]))
	}
	return cleared
}
