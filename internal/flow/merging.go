package flow

import (
	"math"
	"slices"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// merging is a [Paned] whose windows merge: each key has its own few windows, and
// a hint of when the first of them wants something.
type merging[K comparable] struct {
	*paned[K]
	dir    *Dir[K]
	cells  *Column[[]cell] // of a key, by window
	dues   *hints          // by the watermark
	alarms *hints          // by the clock
	set    []window.Interval

	paged      *pagedDir[K]
	awayDues   awayHints[K]
	awayAlarms awayHints[K]
}

func newMerging[K comparable](o *paned[K]) *merging[K] {
	d := NewDir[K](o.hash)
	m := &merging[K]{paned: o, dir: d, cells: AddColumn[[]cell](d), dues: newHints(d), alarms: newHints(d)}
	o.least = func(k K) int64 {
		at := int64(window.MaxTime)
		if r := d.Find(k); r != none {
			for i := range m.cells.Vals[r] {
				at = min(at, o.heldAt(&m.cells.Vals[r][i]))
			}
		}
		return at
	}
	return m
}

func (o *merging[K]) recv(c *graph.Ctx, k K) {
	o.arrived()
	o.wins = o.assign.windows(c, o.wins)
	for _, w := range o.wins {
		if o.st.Expired(w, o.wm) { // its own window, before merging (M27)
			o.drop(c, w, false)
			continue
		}
		r, isNew := o.dir.Row(k)
		if isNew && o.pages != nil {
			o.fetch(r)
		}
		i := o.place(c, r, w)
		if i < 0 {
			return
		}
		x := &o.cells.Vals[r][i]
		o.element(c, k, x)
		o.dues.want(r, o.due(x))
		if o.asks(x.win) {
			o.askCell(c, r, i)
		}
		o.tidy(c, r)
	}
}

// place finds, makes or merges the cell into which an element of w belongs and
// returns its index among its key's; -1 when the lane has failed.
func (o *merging[K]) place(c *graph.Ctx, r uint32, w window.Interval) int {
	cells := o.cells.Vals[r]
	o.set = o.set[:0]
	for i := range cells {
		o.set = append(o.set, cells[i].win)
	}
	if o.st.Fn.Kind() == window.KindSessions {
		into, lo, hi := window.InsertSession(o.set, w)
		o.cells.Vals[r] = slices.Replace(cells, lo, hi, o.merged(c, cells[lo:hi], into))
		return lo
	}
	return o.placeCustom(c, r, w)
}

// placeCustom asks a user's merge function.
func (o *merging[K]) placeCustom(c *graph.Ctx, r uint32, w window.Interval) int {
	cells := o.cells.Vals[r]
	var results []window.Merged
	err := protect(c, o.node, func() (err error) {
		results, err = o.st.Fn.Merge(append(slices.Clone(o.set), w))
		return err
	})
	if err != nil {
		c.Fail(err)
		return -1
	}
	into := w
	var out []cell
	used := map[window.Interval]bool{}
	for _, m := range results {
		var from []cell
		for i := range cells {
			if slices.Contains(m.From, cells[i].win) {
				from = append(from, cells[i])
				used[cells[i].win] = true
			}
		}
		if slices.Contains(m.From, w) {
			into = m.Into
		}
		out = append(out, o.merged(c, from, m.Into))
	}
	found := false
	for i := range cells {
		if !used[cells[i].win] {
			out = append(out, cells[i])
		}
	}
	for i := range out {
		found = found || out[i].win == into
	}
	if !found {
		out = append(out, o.merged(c, nil, into))
	}
	slices.SortFunc(out, func(a, b cell) int { return a.win.Compare(b.win) })
	o.cells.Vals[r] = out
	for i := range out {
		o.dues.want(r, o.due(&out[i]))
	}
	return slices.IndexFunc(out, func(x cell) bool { return x.win == into })
}

// merged is the cell of the window into, which the windows of from became, none
// or more of them (M10, M11).
func (o *merging[K]) merged(c *graph.Ctx, from []cell, into window.Interval) (x cell) {
	if len(from) == 1 && from[0].win == into && o.prog.Words() == 0 {
		return from[0] // as it is
	}
	if len(from) == 0 {
		o.begin(&x, into)
		return x
	}
	x.win, x.trig = into, from[0].trig
	if into.Passed(o.wm) {
		x.state = passed
	}
	for i := range from {
		f := &from[i]
		if i > 0 {
			o.prog.Merge(x.trig, f.trig)
		}
		x.hold.Merge(&o.st, f.hold, into)
		o.in.merge(c, &x, f)
		x.state |= f.state & fresh
		if f.win == into { // it existed: its panes go on
			x.panes = f.panes
			x.state = x.state&^passed | f.state&passed
		}
		if f.held != 0 {
			o.holds.remove(unpack(f.held))
		}
	}
	o.prog.OnMerged(x.trig, into, o.now(c))
	o.rehold(&x)
	return x
}

// askCell asks cell i of a key; a cell whose trigger finishes is no longer there
// to merge (M11).
func (o *merging[K]) askCell(c *graph.Ctx, r uint32, i int) {
	x := &o.cells.Vals[r][i]
	if at, ok := o.ask(c, o.dir.Keys[r], x); ok {
		o.alarms.want(r, at)
	}
	if x.is(shut) {
		o.cells.Vals[r] = slices.Delete(o.cells.Vals[r], i, i+1)
	}
}

// tidy marks a key as changed, or removes it when it has no windows left.
func (o *merging[K]) tidy(c *graph.Ctx, r uint32) {
	if len(o.cells.Vals[r]) > 0 {
		o.dir.Touch(r)
		return
	}
	switch {
	case o.pages != nil:
		if o.paged.age.Vals[r] != unstored {
			o.dir.Touch(r) // it stays until the store knows
			return
		}
	case c.Run.Epochs:
		o.gone[string(o.rowKey(nil, r))] = true
	}
	o.dir.Remove(r)
}

// Advance passes ends and expiries, each key's in order of time (M63).
func (o *merging[K]) Advance(c *graph.Ctx, wm int64) {
	o.wm = wm
	for again := true; again; again = o.pages != nil && o.recall(c, &o.awayDues, wm) {
		for at, ok := o.dues.next(); ok && wm > at && c.Err() == nil; at, ok = o.dues.next() {
			if r := o.dues.pop(); r != none && o.dir.has(r) {
				o.pass(c, r)
				o.tidy(c, r)
			}
		}
	}
}

// pass does what is due for a key.
func (o *merging[K]) pass(c *graph.Ctx, r uint32) {
	for c.Err() == nil {
		cells := o.cells.Vals[r]
		next, at := -1, int64(math.MaxInt64)
		for i := range cells {
			if due := o.due(&cells[i]); due < at {
				next, at = i, due
			}
		}
		switch {
		case next < 0:
			return
		case o.wm <= at:
			o.dues.want(r, at)
			return
		}
		x := &cells[next]
		if x.state |= passed; at < o.st.Expiry(x.win) {
			o.askCell(c, r, next)
			continue
		}
		o.fire(c, o.dir.Keys[r], x, true)
		o.cells.Vals[r] = slices.Delete(cells, next, next+1)
	}
}

// Alarm implements graph.Alarmer.
func (o *merging[K]) Alarm() int64 {
	at := int64(math.MaxInt64)
	if first, ok := o.alarms.next(); ok {
		at = first
	}
	if first, ok := o.awayAlarms.next(); ok {
		at = min(at, unpack(first))
	}
	return at
}

// Ring implements graph.Alarmer.
func (o *merging[K]) Ring(c *graph.Ctx) {
	for again := true; again; again = o.pages != nil && o.recall(c, &o.awayAlarms, c.Now) {
		o.ring(c)
	}
}

// ring does what is due by the clock for rows that are here.
func (o *merging[K]) ring(c *graph.Ctx) {
	for at, ok := o.alarms.next(); ok && c.Now > at && c.Err() == nil; at, ok = o.alarms.next() {
		r := o.alarms.pop()
		if r == none || !o.dir.has(r) {
			continue
		}
		for i := len(o.cells.Vals[r]) - 1; i >= 0; i-- { // from the end: one may go
			switch at, ok := o.prog.Deadline(o.cells.Vals[r][i].trig, math.MinInt64); {
			case ok && c.Now > at:
				o.askCell(c, r, i)
			case ok: // not asked: what is due for one window is nothing to another (M8)
				o.alarms.want(r, at)
			}
		}
		o.tidy(c, r)
	}
}

func (o *merging[K]) rowKey(b []byte, r uint32) []byte {
	return appendRowKey(b, o.dir.Group(r), window.Interval{}, o.key, o.dir.Keys[r])
}

// Delta implements graph.Keeper. A row is named by its key and holds its windows.
func (o *merging[K]) Delta(w graph.DeltaWriter) {
	if o.pages != nil {
		o.deltaAway(w)
	}
	o.dir.EachDirty(func(r uint32) {
		key := o.rowKey(nil, r)
		delete(o.gone, string(key)) // it has come back
		val := appendInt(nil, int64(len(o.cells.Vals[r])))
		for i := range o.cells.Vals[r] {
			x := &o.cells.Vals[r][i]
			val = o.appendCell(appendWindow(val, x.win), x)
		}
		if len(o.cells.Vals[r]) == 0 {
			val = nil
			w.Delete(int(key[0])<<8|int(key[1]), key[2:])
		} else {
			w.Put(int(key[0])<<8|int(key[1]), key[2:], val)
		}
		if o.pages != nil {
			o.paged.wrote(o.pages, r, len(key), len(val))
		}
	})
	o.deltaOutput(w)
}

// Load implements graph.Keeper.
func (o *merging[K]) Load(key, val []byte) (err error) {
	if string(key) == string(outputRow) {
		return o.loadOutput(val)
	}
	_, k, err := splitRowKey(key, o.key)
	if err != nil {
		return err
	}
	r, _ := o.dir.Row(k)
	if o.pages != nil {
		o.paged.age.Vals[r] = o.pages.now
	}
	return o.loadRow(r, val)
}

// loadRow puts the windows of row r back, which has none.
func (o *merging[K]) loadRow(r uint32, val []byte) error {
	n, val, err := takeInt(val)
	if err != nil {
		return err
	}
	for ; n > 0; n-- {
		var w window.Interval
		if w, val, err = takeWindow(val); err != nil {
			return err
		}
		var x cell
		o.begin(&x, w)
		if val, err = o.loadCell(val, &x); err != nil {
			return err
		}
		o.cells.Vals[r] = append(o.cells.Vals[r], x)
		o.dues.want(r, o.due(&x))
		if at, ok := o.prog.Deadline(x.trig, math.MinInt64); ok {
			o.alarms.want(r, at)
		}
	}
	return nil
}
