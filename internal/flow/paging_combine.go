package flow

import (
	"fmt"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Page implements graph.Pager.
func (o *combine[K, V, A, R]) Page(s graph.RowStore) {
	o.pages = newPages(s)
	o.missed = o.fetch
}

// fetch reads row r of f, which was just made, from the store.
func (o *combine[K, V, A, R]) fetch(f *fold[K, A], r uint32) {
	g := f.dir.Group(r)
	if !f.pages.away.has(g) {
		return
	}
	o.pages.key = appendRowKey(o.pages.key[:0], g, f.win, o.s.Key, f.dir.Keys[r])
	val, ok, err := o.pages.get(o.pages.key)
	if ok {
		if f.acc.Vals[r], err = o.decode(val); err == nil {
			f.pages.age.Vals[r] = o.pages.now
		}
	}
	if err != nil {
		o.fail(err)
	}
}

func (o *combine[K, V, A, R]) decode(val []byte) (A, error) {
	a, _, err := o.s.Acc.Decode(val)
	if err != nil {
		err = fmt.Errorf("read a row of state: %w", err)
	}
	return a, err
}

// fail fails the lane; elements that come until it stops are in vain.
func (o *combine[K, V, A, R]) fail(err error) {
	o.c.Op = o.node.ID
	o.c.Fail(err)
}

// Start finds out of which windows and groups the store has rows.
func (o *combine[K, V, A, R]) Start(*graph.Ctx) error {
	if o.pages == nil {
		return nil
	}
	for _, g := range o.pages.store.Groups() {
		err := o.pages.scan(g, nil, func(key, _ []byte) error {
			w, _, err := takeWindow(key)
			if err != nil {
				return fmt.Errorf("read the name of a row of state: %w", err)
			}
			o.at(w).pages.away.add(g)
			if o.assign.Global() {
				return errEnough
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pagedTables is the open tables, and how many rows there are besides.
func (o *combine[K, V, A, R]) pagedTables() (ts []*pagedDir[K], others int) {
	o.paged = o.paged[:0]
	for _, f := range o.open {
		o.paged = append(o.paged, f.pages)
	}
	if o.slices != nil && o.slices.result != nil {
		others = o.slices.result.dir.n
	}
	return o.paged, others
}

// Settled implements graph.Pager.
func (o *combine[K, V, A, R]) Settled(*graph.Ctx) {
	if o.pages == nil {
		return
	}
	ts, others := o.pagedTables()
	evicted := settle(o.pages, ts, others)
	for _, f := range o.open {
		f.at = nil
	}
	if evicted && o.slices != nil { // the result is no longer of what slices have
		o.slices.result, o.slices.stale = nil, true
	}
}

// Crowded implements graph.Crowder.
func (o *combine[K, V, A, R]) Crowded() bool {
	if o.pages == nil {
		return false
	}
	ts, others := o.pagedTables()
	return crowded(o.pages, ts, others)
}

// deltaAway writes what the delta at hand has to say of rows that are away.
func (o *combine[K, V, A, R]) deltaAway(w graph.DeltaWriter) {
	p := o.pages
	ts, _ := o.pagedTables()
	tick(p, ts)
	err := p.bury(w)
	for _, f := range o.open {
		if p.whole && err == nil {
			err = f.pages.deltaWhole(p, w, f.win, o.s.Key)
		}
	}
	p.whole = false
	if err != nil {
		o.fail(err)
	}
}

// eachAway calls f with the accumulators of a table's rows that are away, of the groups
// of away.
func (o *combine[K, V, A, R]) eachAway(c *graph.Ctx, f *fold[K, A], away *groupSet, do func(k K, a A)) {
	err := o.pages.scanAway(f.win, away, func(_ int, key, val []byte) error {
		_, k, err := windowKey(key, o.s.Key)
		if err != nil || f.dir.Find(k) != none {
			return err
		}
		a, err := o.decode(val)
		if err != nil {
			return err
		}
		do(k, a)
		return c.Err()
	})
	if err != nil && c.Err() == nil {
		o.fail(err)
	}
}

// emitAway is emit of the rows that are away.
func (o *combine[K, V, A, R]) emitAway(c *graph.Ctx, f *fold[K, A]) {
	if !f.pages.away.any() {
		return
	}
	ts, win, pane := c.TS, c.Win, c.Pane
	c.TS, c.Win, c.Pane = f.win.Last(), f.win, onlyPane
	o.eachAway(c, f, &f.pages.away, func(k K, a A) {
		if o.gOut == nil {
			c.Op = o.node.ID
			o.next(c, coder.KV[K, R]{Key: k, Value: o.s.Extract(a)})
			return
		}
		var res R
		if o.gOut.try(c, coder.KV[K, A]{Key: k, Value: a}, func() error { res = o.s.Extract(a); return nil }, nil) {
			o.next(c, coder.KV[K, R]{Key: k, Value: res})
		}
	})
	c.TS, c.Win, c.Pane = ts, win, pane
}

// anyAway reports that rows of some of fs are away.
func (o *combine[K, V, A, R]) anyAway(fs []*fold[K, A]) bool {
	for _, f := range fs {
		if f.pages.away.any() {
			return true
		}
	}
	return false
}

// firePieces emits a window that the slices fs make up, one key group after the other,
// so that no more than the keys of one are in memory at once.
func (o *combine[K, V, A, R]) firePieces(c *graph.Ctx, w window.Interval, fs []*fold[K, A]) {
	o.slices.stale = true
	by := make([]groupRows, len(fs))
	for i, f := range fs {
		by[i] = rowsByGroup(f.dir)
	}
	to := o.fresh(w)
	for g := range keygroup.N {
		if to.dir.n > 0 {
			to.dir.Reset()
		}
		for i, f := range fs {
			for _, r := range by[i].of(g) {
				o.mergeRow(c, to, f, r)
			}
			if f.pages.away.has(g) {
				var one groupSet
				one.add(g)
				o.eachAway(c, f, &one, func(k K, a A) { o.mergeAcc(c, to, k, a) })
			}
		}
		if to.dir.n > 0 {
			o.emit(c, to)
		}
	}
	o.recycle(to)
}

// groupRows is the rows of a directory, by group.
type groupRows struct {
	rows []uint32
	to   [keygroup.N]int // where a group's rows end
}

func (x *groupRows) of(g int) []uint32 {
	if g == 0 {
		return x.rows[:x.to[0]]
	}
	return x.rows[x.to[g-1]:x.to[g]]
}

func rowsByGroup[K comparable](d *Dir[K]) (x groupRows) {
	x.rows = make([]uint32, d.n)
	d.Each(func(r uint32) { x.to[d.Group(r)]++ })
	n := 0
	for g, k := range x.to { // where they begin, for now
		x.to[g], n = n, n+k
	}
	d.Each(func(r uint32) {
		g := d.Group(r)
		x.rows[x.to[g]] = r
		x.to[g]++
	})
	return x
}
