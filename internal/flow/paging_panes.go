package flow

import (
	"fmt"
	"unsafe"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Cells that are away have what they hold in the holds. Their accumulators are freed.

// unhold takes back that x, which was loaded, holds twice.
func (o *paned[K]) unhold(x *cell) {
	if x.held != 0 {
		o.holds.remove(unpack(x.held))
	}
}

// fail fails the lane; elements that come until it stops are in vain.
func (o *paned[K]) fail(err error) {
	if err != nil && o.c.Err() == nil {
		o.c.Op = o.node.ID
		o.c.Fail(err)
	}
}

func rowError(err error) error {
	if err != nil {
		err = fmt.Errorf("read a row of state: %w", err)
	}
	return err
}

// Page implements graph.Pager.
func (o *merging[K]) Page(s graph.RowStore) {
	o.pages = newPages(s)
	o.pages.extra = int64(unsafe.Sizeof(cell{}))
	p := newPagedDir(o.dir)
	p.isEmpty = func(r uint32) bool { return len(o.cells.Vals[r]) == 0 }
	p.letGo = func(r uint32) {
		if at := o.dues.in.Vals[r]; at != 0 {
			o.awayDues.push(at, o.dir.Keys[r], p.lost)
		}
		if at := o.alarms.in.Vals[r]; at != 0 {
			o.awayAlarms.push(at, o.dir.Keys[r], p.lost)
		}
		for i := range o.cells.Vals[r] {
			o.in.drop(&o.cells.Vals[r][i])
		}
	}
	p.swept = func() {
		o.dues.heap.sweep(p.age.Vals)
		o.alarms.heap.sweep(p.age.Vals)
	}
	o.paged = p
}

// fetch reads row r, which was just made, from the store.
func (o *merging[K]) fetch(r uint32) {
	if !o.paged.away.has(o.dir.Group(r)) {
		return
	}
	o.pages.key = o.rowKey(o.pages.key[:0], r)
	val, ok, err := o.pages.get(o.pages.key)
	if ok {
		err = o.bring(r, val)
	}
	o.fail(err)
}

// bring loads row r, which was away.
func (o *merging[K]) bring(r uint32, val []byte) error {
	if err := o.loadRow(r, val); err != nil {
		return rowError(err)
	}
	o.paged.age.Vals[r] = o.pages.now
	o.paged.lost--
	for i := range o.cells.Vals[r] {
		o.unhold(&o.cells.Vals[r][i])
	}
	return nil
}

// recall brings back the row that is away and comes next in hints, if before limit.
func (o *merging[K]) recall(c *graph.Ctx, hints *awayHints[K], limit int64) bool {
	at, ok := hints.next()
	if !ok || unpack(at) >= limit || c.Err() != nil {
		return false
	}
	r, isNew := o.dir.Row(hints.pop())
	if !isNew {
		return true
	}
	if o.fetch(r); o.paged.age.Vals[r] == unstored {
		o.dir.Remove(r)
	}
	return true
}

// Start finds out what rows that are in the store wait for and hold.
func (o *merging[K]) Start(*graph.Ctx) error {
	if o.pages == nil {
		return nil
	}
	n := 0
	for _, g := range o.pages.store.Groups() {
		err := o.pages.scan(g, nil, func(key, val []byte) error {
			_, k, err := windowKey(key, o.key)
			if err != nil {
				return err
			}
			r, _ := o.dir.Row(k)
			o.paged.age.Vals[r] = o.pages.now
			o.pages.note(len(key) + len(val))
			if err := o.loadRow(r, val); err != nil {
				return rowError(err)
			}
			if n++; n%1024 == 0 && o.Crowded() {
				o.Settled(nil)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	o.Settled(nil)
	return nil
}

// Settled implements graph.Pager.
func (o *merging[K]) Settled(*graph.Ctx) {
	if o.pages != nil {
		settle(o.pages, []*pagedDir[K]{o.paged}, 0)
	}
}

// Crowded implements graph.Crowder.
func (o *merging[K]) Crowded() bool {
	return o.pages != nil && crowded(o.pages, []*pagedDir[K]{o.paged}, 0)
}

// deltaAway writes what the delta at hand has to say of rows that are away.
func (o *merging[K]) deltaAway(w graph.DeltaWriter) {
	tick(o.pages, []*pagedDir[K]{o.paged})
	if o.pages.whole {
		o.fail(o.paged.deltaWhole(o.pages, w, window.Interval{}, o.key))
	}
	o.pages.whole = false
}

// Page implements graph.Pager.
func (o *unmerging[K]) Page(s graph.RowStore) {
	o.pages = newPages(s)
	for _, t := range o.tables.open {
		o.page(t)
	}
}

// page makes t a cache of the store.
func (o *unmerging[K]) page(t *paneTable[K]) {
	p := newPagedDir(t.dir)
	p.letGo = func(r uint32) {
		if t.alarms != nil && t.alarms.in.Vals[r] != 0 {
			t.awayAlarms.push(t.alarms.in.Vals[r], t.dir.Keys[r], p.lost)
		}
		o.in.drop(&t.cells.Vals[r])
	}
	if t.alarms != nil {
		p.swept = func() { t.alarms.heap.sweep(p.age.Vals) }
	}
	t.paged = p
}

// made begins row r of t, which was just made, or reads it from the store.
func (o *unmerging[K]) made(t *paneTable[K], r uint32) {
	o.begin(&t.cells.Vals[r], t.win)
	if t.paged == nil || !t.paged.away.has(t.dir.Group(r)) {
		return
	}
	o.pages.key = o.rowKey(o.pages.key[:0], t, r)
	val, ok, err := o.pages.get(o.pages.key)
	if ok {
		err = o.bring(t, r, val)
	}
	o.fail(err)
}

// bring loads row r of t, which was away.
func (o *unmerging[K]) bring(t *paneTable[K], r uint32, val []byte) error {
	if err := o.loadRow(t, r, val); err != nil {
		return rowError(err)
	}
	t.paged.age.Vals[r] = o.pages.now
	t.paged.lost--
	o.unhold(&t.cells.Vals[r])
	return nil
}

// recallKey brings back k's row of t; none if there is none.
func (o *unmerging[K]) recallKey(t *paneTable[K], k K) uint32 {
	if !t.paged.away.any() {
		return none
	}
	r, isNew := t.dir.Row(k)
	if !isNew {
		return r
	}
	if o.made(t, r); t.paged.age.Vals[r] == unstored {
		t.dir.Remove(r)
		return none
	}
	return r
}

// recall brings back the row of t that is away and whose alarm is next, if it is due.
func (o *unmerging[K]) recall(c *graph.Ctx, t *paneTable[K]) bool {
	at, ok := t.awayAlarms.next()
	if !ok || unpack(at) >= c.Now || c.Err() != nil {
		return false
	}
	o.recallKey(t, t.awayAlarms.pop())
	return true
}

// eachAway brings back each row of t that is away and calls f with it.
func (o *unmerging[K]) eachAway(c *graph.Ctx, t *paneTable[K], f func(r uint32)) {
	o.fail(o.pages.scanAway(t.win, &t.paged.away, func(_ int, key, val []byte) error {
		_, k, err := windowKey(key, o.key)
		if err != nil {
			return err
		}
		r, isNew := t.dir.Row(k)
		if !isNew {
			return nil
		}
		if err := o.bring(t, r, val); err != nil {
			return err
		}
		f(r)
		return c.Err()
	}))
}

// passAway passes the end of the window for rows that are away. As they change, they
// stay in memory until they are in the store again.
func (o *unmerging[K]) passAway(c *graph.Ctx, t *paneTable[K]) {
	o.eachAway(c, t, func(r uint32) {
		t.cells.Vals[r].state |= passed
		o.askRow(c, t, r)
		t.dir.Touch(r)
	})
}

// collectAway is collect of the rows that are away; the next delta deletes them.
func (o *unmerging[K]) collectAway(c *graph.Ctx, t *paneTable[K]) {
	o.pages.die(t.win, &t.paged.away)
	o.eachAway(c, t, func(r uint32) {
		if x := &t.cells.Vals[r]; !x.is(shut) {
			o.fire(c, t.dir.Keys[r], x, true)
		}
		if t.alarms != nil {
			t.alarms.reset()
		}
		t.dir.Remove(r)
	})
}

// Start finds out of which windows and groups the store has rows, and what these wait
// for and hold.
func (o *unmerging[K]) Start(c *graph.Ctx) error {
	if o.pages == nil {
		return nil
	}
	timed, n := o.prog.UsesClock() || o.holds != nil, 0
	for _, g := range o.pages.store.Groups() {
		err := o.pages.scan(g, nil, func(key, val []byte) error {
			w, k, err := windowKey(key, o.key)
			if err != nil {
				return err
			}
			t := o.at(nil, w)
			if !timed && len(val) > 0 {
				t.paged.away.add(g)
				t.passed = t.passed || cellState(val[0])&passed != 0
				return nil
			}
			r, _ := t.dir.Row(k)
			t.paged.age.Vals[r] = o.pages.now
			o.pages.note(len(key) + len(val))
			if err := o.loadRow(t, r, val); err != nil {
				return rowError(err)
			}
			if n++; n%1024 == 0 && o.Crowded() {
				o.Settled(nil)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	o.Settled(nil)
	return nil
}

func (o *unmerging[K]) pagedTables() []*pagedDir[K] {
	ts := make([]*pagedDir[K], len(o.tables.open))
	for i, t := range o.tables.open {
		ts[i] = t.paged
	}
	return ts
}

// Settled implements graph.Pager.
func (o *unmerging[K]) Settled(*graph.Ctx) {
	if o.pages != nil {
		settle(o.pages, o.pagedTables(), 0)
	}
}

// Crowded implements graph.Crowder.
func (o *unmerging[K]) Crowded() bool {
	return o.pages != nil && crowded(o.pages, o.pagedTables(), 0)
}

// deltaAway writes what the delta at hand has to say of rows that are away.
func (o *unmerging[K]) deltaAway(w graph.DeltaWriter) {
	p := o.pages
	tick(p, o.pagedTables())
	err := p.bury(w)
	for _, t := range o.tables.open {
		if p.whole && err == nil {
			err = t.paged.deltaWhole(p, w, t.win, o.key)
		}
	}
	p.whole = false
	o.fail(err)
}
