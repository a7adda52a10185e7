package flow

import (
	"math"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// unmerging is a [Paned] whose windows stay as they are: a table for each window,
// and so no entry anywhere for each key's end of window.
type unmerging[K comparable] struct {
	*paned[K]
	*tables[*paneTable[K]]
	idle []*paneTable[K]
}

// paneTable is the cells of one window.
type paneTable[K comparable] struct {
	win    window.Interval
	dir    *Dir[K]
	cells  *Column[cell]
	alarms *hints // by the clock; nil where the trigger has no use for it
	passed bool   // the end of the window has been dealt with

	paged      *pagedDir[K] // nil: all rows are here
	awayAlarms awayHints[K]
}

func (t *paneTable[K]) interval() window.Interval { return t.win }
func (t *paneTable[K]) keys() int                 { return t.dir.n }

func newUnmerging[K comparable](o *paned[K]) *unmerging[K] {
	u := &unmerging[K]{paned: o}
	u.tables = newTables(o.assign, u.open, nil)
	o.least = func(k K) int64 {
		at := int64(window.MaxTime)
		for _, t := range u.tables.open {
			r := t.dir.Find(k)
			if r == none && t.paged != nil {
				r = u.recallKey(t, k)
			}
			if r != none {
				at = min(at, o.heldAt(&t.cells.Vals[r]))
			}
		}
		return at
	}
	return u
}

func (o *unmerging[K]) open(w window.Interval) (t *paneTable[K]) {
	if n := len(o.idle); n > 0 {
		t, o.idle = o.idle[n-1], o.idle[:n-1]
	} else {
		d := NewDir[K](o.hash)
		t = &paneTable[K]{dir: d, cells: AddColumn[cell](d)}
		if o.prog.UsesClock() {
			t.alarms = newHints(d)
		}
		if o.pages != nil {
			o.page(t)
		}
	}
	if t.paged != nil {
		t.paged.away, t.paged.lost, t.awayAlarms = groupSet{}, 0, awayHints[K]{}
	}
	t.win, t.passed = w, w.Passed(o.wm)
	return t
}

func (o *unmerging[K]) recv(c *graph.Ctx, k K) {
	o.arrived()
	o.wins = o.paned.assign.windows(c, o.wins)
	for _, w := range o.wins {
		if o.st.Expired(w, o.wm) {
			o.drop(c, w, false)
			continue
		}
		t := o.at(c, w)
		r, isNew := t.dir.Row(k)
		x := &t.cells.Vals[r]
		if isNew {
			o.made(t, r)
		}
		if x.is(shut) {
			o.drop(c, w, true)
			continue
		}
		if o.element(c, k, x); o.asks(w) {
			o.askRow(c, t, r)
		}
		t.dir.Touch(r)
	}
}

func (o *unmerging[K]) askRow(c *graph.Ctx, t *paneTable[K], r uint32) {
	if at, ok := o.ask(c, t.dir.Keys[r], &t.cells.Vals[r]); ok {
		t.alarms.want(r, at)
	}
}

// Advance passes the ends of windows and their expiries in order of time (M63).
func (o *unmerging[K]) Advance(c *graph.Ctx, wm int64) {
	o.wm = wm
	for c.Err() == nil {
		var ending *paneTable[K]
		for _, t := range o.tables.open {
			if !t.passed {
				ending = t
				break
			}
		}
		var oldest *paneTable[K]
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
			if ending.paged != nil {
				o.passAway(c, ending)
			}
		default:
			return
		}
	}
}

// collect emits what a window has not fired yet, whatever its trigger says, and
// lets go of it (M26).
func (o *unmerging[K]) collect(c *graph.Ctx, t *paneTable[K]) {
	o.tables.open, o.tables.last = o.tables.open[1:], nil
	t.dir.Each(func(r uint32) {
		if x := &t.cells.Vals[r]; !x.is(shut) {
			o.fire(c, t.dir.Keys[r], x, true)
		}
		if c.Run.Epochs && (t.paged == nil || t.paged.age.Vals[r] != unstored) {
			o.gone[string(o.rowKey(nil, t, r))] = true
		}
	})
	if t.paged != nil {
		o.collectAway(c, t)
	}
	t.dir.Reset()
	if t.alarms != nil {
		t.alarms.reset()
	}
	if len(o.idle) < 4 {
		o.idle = append(o.idle, t)
	}
}

// Alarm implements graph.Alarmer.
func (o *unmerging[K]) Alarm() int64 {
	at := int64(math.MaxInt64)
	if o.prog.UsesClock() {
		for _, t := range o.tables.open {
			if a, ok := t.alarms.next(); ok {
				at = min(at, a)
			}
			if a, ok := t.awayAlarms.next(); ok {
				at = min(at, unpack(a))
			}
		}
	}
	return at
}

// Ring implements graph.Alarmer.
func (o *unmerging[K]) Ring(c *graph.Ctx) {
	for _, t := range o.tables.open {
		for again := true; again; again = t.paged != nil && o.recall(c, t) {
			for at, ok := t.alarms.next(); ok && c.Now > at; at, ok = t.alarms.next() {
				if r := t.alarms.pop(); r != none && t.dir.has(r) {
					o.askRow(c, t, r)
					t.dir.Touch(r)
				}
			}
		}
	}
}

func (o *unmerging[K]) rowKey(b []byte, t *paneTable[K], r uint32) []byte {
	return appendRowKey(b, t.dir.Group(r), t.win, o.key, t.dir.Keys[r])
}

// Delta implements graph.Keeper. A row is named by its window and key.
func (o *unmerging[K]) Delta(w graph.DeltaWriter) {
	o.deltaOutput(w)
	if o.pages != nil {
		o.deltaAway(w)
	}
	var key, val []byte
	for _, t := range o.tables.open {
		t.dir.EachDirty(func(r uint32) {
			key = o.rowKey(key[:0], t, r)
			val = o.appendCell(val[:0], &t.cells.Vals[r])
			w.Put(int(key[0])<<8|int(key[1]), key[2:], val)
			if t.paged != nil {
				t.paged.wrote(o.pages, r, len(key), len(val))
			}
		})
	}
}

// Load implements graph.Keeper.
func (o *unmerging[K]) Load(key, val []byte) (err error) {
	if string(key) == string(outputRow) {
		return o.loadOutput(val)
	}
	w, k, err := splitRowKey(key, o.key)
	if err != nil {
		return err
	}
	t := o.at(nil, w)
	r, _ := t.dir.Row(k)
	if t.paged != nil {
		t.paged.age.Vals[r] = o.pages.now
	}
	return o.loadRow(t, r, val)
}

func (o *unmerging[K]) loadRow(t *paneTable[K], r uint32, val []byte) error {
	x := &t.cells.Vals[r]
	o.begin(x, t.win)
	if _, err := o.loadCell(val, x); err != nil {
		return err
	}
	t.passed = t.passed || x.is(passed)
	if at, ok := o.prog.Deadline(x.trig, math.MinInt64); ok && !x.is(shut) {
		t.alarms.want(r, at)
	}
	return nil
}
