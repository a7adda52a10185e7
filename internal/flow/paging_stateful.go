package flow

import (
	"bytes"
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/graph"
)

// tablePages is what paging adds to the table of one window of a stateful operator.
//
// Invariant: a row that is away and has timers, or cells that expire, has a hint here
// for each of its timers' first, and for the first expiry, that is not later. Its
// holds are in timing.holds.
type tablePages[K comparable] struct {
	pagedDir[K]
	timers        []awayHints[K] // by timer
	clock, events awayHints[K]   // of cells that expire, by either time
}

// paging makes t a cache of the store.
func (o *stateful[K, V, O]) paging(t *table[K]) {
	p := &tablePages[K]{pagedDir: *newPagedDir(t.dir), timers: make([]awayHints[K], len(o.l.timers))}
	p.turn = func() { o.l.turn(t) }
	p.isEmpty = func(r uint32) bool { return o.l.empty(r) }
	p.letGo = func(r uint32) { o.leaveHints(t, r) }
	p.swept = func() {
		for _, tt := range t.timers {
			tt.heap.sweep(p.age.Vals)
		}
		if h := t.lives.clock; h != nil {
			h.heap.sweep(p.age.Vals)
		}
		if h := t.lives.events; h != nil {
			h.heap.sweep(p.age.Vals)
		}
	}
	t.pages = p
}

// leaveHints notes when row r, which is let go, must be looked at again.
func (o *stateful[K, V, O]) leaveHints(t *table[K], r uint32) {
	for i, h := range o.l.timers {
		if x, ok := h.first(r); ok {
			t.pages.timers[i].push(x.at, t.dir.Keys[r], t.pages.lost)
		}
	}
	if !o.l.lives {
		return
	}
	var clock, events int64 // packed
	for _, c := range o.l.cells {
		l := c.lifeOf()
		if l.after == 0 || l.exp.Vals[r] == 0 {
			continue
		}
		least := &clock
		if l.event {
			least = &events
		}
		if *least == 0 || l.exp.Vals[r] < *least {
			*least = l.exp.Vals[r]
		}
	}
	if clock != 0 {
		t.pages.clock.push(clock, t.dir.Keys[r], t.pages.lost)
	}
	if events != 0 {
		t.pages.events.push(events, t.dir.Keys[r], t.pages.lost)
	}
}

// Page implements graph.Pager.
func (o *stateful[K, V, O]) Page(s graph.RowStore) {
	o.pages = newPages(s)
	o.pages.parts = o.l.eachPart
	for _, t := range o.tables.open {
		o.paging(t)
	}
}

// pagedTables is the open tables; the slice is used again.
func (o *stateful[K, V, O]) pagedTables() []*pagedDir[K] {
	o.paged = o.paged[:0]
	for _, t := range o.tables.open {
		o.paged = append(o.paged, &t.pages.pagedDir)
	}
	return o.paged
}

// Settled implements graph.Pager.
func (o *stateful[K, V, O]) Settled(*graph.Ctx) {
	if o.pages != nil {
		o.settle()
	}
}

// settle lets go of rows that the store has, as far as the budget wants it.
func (o *stateful[K, V, O]) settle() {
	settle(o.pages, o.pagedTables(), 0)
	o.tables.last = nil
	o.rest(nil)
}

// Crowded implements graph.Crowder.
func (o *stateful[K, V, O]) Crowded() bool {
	return o.pages != nil && crowded(o.pages, o.pagedTables(), 0)
}

// fetch reads row r of the table at hand, which was just made, from the store.
func (o *stateful[K, V, O]) fetch(c *graph.Ctx, r uint32) {
	t, p := o.l.K.cur, o.pages
	g := t.dir.Group(r)
	if !t.pages.away.has(g) {
		return
	}
	p.key = o.rowKey(p.key[:0], t, r)
	val, ok, err := p.get(p.key)
	if ok {
		var apart int
		apart, err = o.bring(t, r, p.key[2:], val)
		p.size += int64(apart) // beside what was read of the row
	}
	if err != nil {
		c.Op = o.node.ID
		c.Fail(err)
	}
}

// bring loads row r of the table at hand, which was away. Its holds were not.
func (o *stateful[K, V, O]) bring(t *table[K], r uint32, name, val []byte) (apart int, err error) {
	if apart, err = o.read(t, r, name, val); err != nil {
		return 0, err
	}
	t.pages.lost--
	for _, h := range o.l.timers {
		h.unhold(r)
	}
	return apart, nil
}

// read loads row r of the table at hand, and what lies apart of it, which is so many bytes.
func (o *stateful[K, V, O]) read(t *table[K], r uint32, name, val []byte) (apart int, err error) {
	parts, err := o.l.loadRow(val, r)
	if err != nil {
		return 0, fmt.Errorf("read a row of state: %w", err)
	}
	for _, i := range parts {
		key := o.l.partKey(i, name)
		b, err := o.pages.getPart(t.dir.Group(r), key)
		if err == nil {
			err = o.takePart(i, key, b, r)
		}
		if err != nil {
			return 0, err
		}
		apart += len(key) + len(b)
	}
	t.pages.age.Vals[r] = o.pages.now
	return apart, nil
}

// unhold takes back that row's timers hold twice.
func (t *Timer) unhold(row uint32) {
	if !t.Family {
		if out := t.cur.out.Vals[row]; out != 0 {
			t.t.holds.remove(unpack(out))
		}
		return
	}
	for _, x := range t.cur.tags.Vals[row] {
		if x.out != 0 {
			t.t.holds.remove(unpack(x.out))
		}
	}
}

// survey reads, before the first element, what must be known of rows that are in the
// store: of which windows and groups there are any, when they must be looked at, what
// they hold, and which keys are parked. Some rows stay, as many as the budget allows.
func (o *stateful[K, V, O]) survey(c *graph.Ctx) error {
	if o.parked != nil {
		for _, g := range o.pages.store.Groups() {
			err := o.pages.scan(g, parkedRow, func(key, val []byte) error {
				return o.parked.load(key[len(parkedRow):], val)
			})
			if err != nil {
				return err
			}
		}
	}
	timed, n := len(o.l.timers) > 0 || o.l.lives, 0
	for _, g := range o.pages.store.Groups() {
		err := o.pages.scan(g, nil, unparked(func(key, val []byte) error {
			name, head := key, true
			if bytes.HasPrefix(key, partRow) {
				var err error
				if _, name, err = o.l.cellOfPart(key); err != nil {
					return err
				}
				head = false
			}
			w, k, err := windowKey(name, o.s.Key)
			if err != nil {
				return err
			}
			o.tables.at(c, w)
			t := o.l.K.cur
			if !timed {
				t.pages.away.add(g)
				if o.s.Assign.Global() {
					return errEnough
				}
				return nil
			}
			if !head { // it is read with its head
				return nil
			}
			r, _ := t.dir.Row(k)
			apart, err := o.read(t, r, key, val)
			if err != nil {
				return err
			}
			o.pages.note(len(key) + len(val) + apart)
			if n++; n%1024 == 0 && o.Crowded() {
				o.settle()
			}
			return nil
		}))
		if err != nil {
			return err
		}
	}
	o.settle()
	return nil
}

// recall brings back the row that is away and whose timer is the next one due before
// limit, if no timer of a row that is here is due before it; false if there is none.
func (o *stateful[K, V, O]) recall(c *graph.Ctx, t *table[K], limit int64, clock bool) bool {
	here, away := int64(math.MaxInt64), int64(math.MaxInt64)
	which := -1
	for i, tt := range t.timers {
		if o.l.timers[i].Clock != clock {
			continue
		}
		if len(tt.heap) > 0 {
			here = min(here, tt.heap[0].at)
		}
		if at, ok := t.pages.timers[i].next(); ok && at < away {
			away, which = at, i
		}
	}
	if which < 0 || unpack(away) >= limit || away > here {
		return false
	}
	o.recallKey(c, t, t.pages.timers[which].pop())
	return true
}

// recallKey brings k's row back to the table at hand; it may be gone.
func (o *stateful[K, V, O]) recallKey(c *graph.Ctx, t *table[K], k K) (r uint32, here bool) {
	r, fresh := t.dir.Row(k)
	if !fresh {
		return r, true
	}
	if o.fetch(c, r); t.pages.age.Vals[r] == unstored {
		t.dir.Remove(r)
		return none, false
	}
	return r, true
}

// recallExpired brings back the row that is away and of which a cell expires next, not
// later than now; false if there is none.
func (o *stateful[K, V, O]) recallExpired(c *graph.Ctx, t *table[K], now int64, event bool) bool {
	if t.pages == nil {
		return false
	}
	hints := &t.pages.clock
	if event {
		hints = &t.pages.events
	}
	at, ok := hints.next()
	if !ok || unpack(at) > now || c.Err() != nil {
		return false
	}
	o.recallKey(c, t, hints.pop())
	return true
}

// reset forgets all hints.
func (t *lifeTable) reset() {
	for _, h := range []*hints{t.clock, t.events} {
		if h != nil {
			h.reset()
		}
	}
}

// alarmAway is Alarm of the rows of t that are away.
func (o *stateful[K, V, O]) alarmAway(t *table[K]) int64 {
	at := int64(math.MaxInt64)
	for i, h := range o.l.timers {
		switch due, ok := t.pages.timers[i].next(); {
		case !ok:
		case h.Clock:
			at = min(at, unpack(due))
		case unpack(due) < o.l.timing.wm:
			return math.MinInt64
		}
	}
	if due, ok := t.pages.clock.next(); ok {
		at = min(at, unpack(due))
	}
	return at
}

// expireAway is expire of the rows of t that are away: each is brought back for its
// last word. They are deleted by the next delta.
func (o *stateful[K, V, O]) expireAway(c *graph.Ctx, t *table[K], expire func(r uint32)) {
	o.pages.die(t.win, &t.pages.away)
	if o.l.Expire == nil && len(o.l.timers) == 0 {
		return
	}
	err := o.pages.scanAway(t.win, &t.pages.away, func(_ int, key, val []byte) error {
		_, k, err := windowKey(key, o.s.Key)
		if err != nil {
			return err
		}
		r, fresh := t.dir.Row(k)
		if !fresh {
			return nil
		}
		if _, err := o.bring(t, r, key, val); err != nil {
			return err
		}
		expire(r)
		for _, h := range o.l.timers {
			h.cur.heap = h.cur.heap[:0]
		}
		t.lives.reset()
		t.dir.Remove(r)
		return c.Err()
	})
	if err != nil && c.Err() == nil {
		c.Op = o.node.ID
		c.Fail(err)
	}
}

// deltaAway writes what the delta at hand has to say of rows that are away.
func (o *stateful[K, V, O]) deltaAway(w graph.DeltaWriter) {
	p, c := o.pages, o.l.K.Ctx
	tick(p, o.pagedTables())
	err := p.bury(w)
	for _, t := range o.tables.open {
		if p.whole && err == nil {
			err = t.pages.deltaWhole(p, w, t.win, o.s.Key)
		}
	}
	p.whole = false
	if err != nil {
		c.Op = o.node.ID
		c.Fail(err)
	}
}
