package flow

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Paging lets the tables of an operator be a cache, bounded and written back, of
// rows that a graph.RowStore has. A key that a table misses is read from the store
// before user code sees its row; what an epoch has changed is written by Delta, as
// without paging; and when the store has it, rows that have not changed since are let
// go until the rest is within the budget.
//
// The store has the rows of the newest committed epoch. What has been written later,
// removals among it, must therefore be in memory until that epoch is committed, too:
// a row that has become empty stays, as a row that has changed, until then.

// pages is what the tables of one operator on one lane share for paging.
//
// Invariant: a row of the store that is in no table belongs to a group that is away
// in its table, or to a window that is dead.
type pages struct {
	store  graph.RowStore
	budget int64
	now    uint8 // age of rows that the newest delta wrote
	size   int64 // encoded bytes of some rows, without what their windows take
	sized  int64 // of how many
	extra  int64 // bytes that a row takes besides its columns and its encoding
	slot   int   // bytes of a row in the table; 0: not known yet
	points bool  // a row holds more than its slot
	dead   []deadWindow
	whole  bool // the next delta holds the rows that are away, too
	key    []byte
	val    []byte
	part   []byte

	// parts calls f with the names of the parts that lie apart of a row; nil: none ever does.
	parts func(name, val []byte, f func(i int, key []byte) error) error
}

// deadWindow is a window that is over: the next delta deletes those of its rows that
// are in the store alone.
type deadWindow struct {
	win  window.Interval
	away groupSet
}

// The ages of rows. Larger ones are younger.
const (
	unstored = 0 // the store has no such row, nor has any delta written one
	oldest   = 1
	youngest = 253
	victim   = 255 // about to be let go
)

func newPages(s graph.RowStore) *pages {
	return &pages{store: s, budget: s.Budget(), now: oldest}
}

// groupSet is a set of key groups.
type groupSet [keygroup.N / 64]uint64

func (s *groupSet) add(g int)      { s[g>>6] |= 1 << (g & 63) }
func (s *groupSet) has(g int) bool { return s[g>>6]&(1<<(g&63)) != 0 }
func (s *groupSet) any() bool      { return *s != groupSet{} }

// ages is the column of when rows were last written: the number of a delta, from
// oldest on.
type ages struct{ Column[uint8] }

// touch loads nothing: who finds a row does not look at its age.
func (*ages) touch([]uint64, uint64) uint8 { return 0 }

func (c *Column[T]) width() (bytes int, points bool) {
	var v T
	return int(unsafe.Sizeof(v)), pointsAt(reflect.TypeFor[T]())
}

// pagedDir is what paging adds to one table.
type pagedDir[K comparable] struct {
	dir     *Dir[K]
	age     *ages
	away    groupSet // groups of which the store may have rows that are not in the table
	emptied []K      // rows that the newest delta deleted
	lost    int      // rows that were let go and have not come back
	hand    int      // where to look next for rows to let go

	turn    func()              // makes the table the one at hand, for those below; nil: no need
	isEmpty func(r uint32) bool // nil: no row ever is
	letGo   func(r uint32)      // before row r goes; nil: nothing to do
	swept   func()              // before rows of age victim go, after letGo; nil: nothing to do
}

func newPagedDir[K comparable](d *Dir[K]) *pagedDir[K] {
	a := &ages{Column[uint8]{make([]uint8, d.slots())}}
	d.add(a)
	return &pagedDir[K]{dir: d, age: a}
}

// get reads a row of the store by its name, group first, as rowKey makes it.
func (p *pages) get(name []byte) (val []byte, ok bool, err error) {
	p.val, ok, err = p.store.Get(int(name[0])<<8|int(name[1]), name[2:], p.val[:0])
	if err != nil {
		return nil, false, fmt.Errorf("read a row of state: %w", err)
	}
	if ok {
		_, key, err := takeWindow(name[2:])
		if err != nil {
			return nil, false, fmt.Errorf("BUG: flow: the name of a row: %w", err)
		}
		p.note(len(key) + len(p.val))
	}
	return p.val, ok, nil
}

// getPart reads what lies apart of a row, by its name.
func (p *pages) getPart(group int, key []byte) (val []byte, err error) {
	var ok bool
	p.part, ok, err = p.store.Get(group, key, p.part[:0])
	if err == nil && !ok {
		err = errors.New("it is missing")
	}
	if err != nil {
		err = fmt.Errorf("read a part of a row of state, %q: %w", key, err)
	}
	return p.part, err
}

// note counts the size of an encoded row towards the average.
func (p *pages) note(size int) {
	if p.sized > 1<<16 { // the older, the less it counts
		p.size, p.sized = p.size/2, p.sized/2
	}
	p.size += int64(size)
	p.sized++
}

// rowBytes is about what a row of d takes: its slot, of which there are twice as many
// as rows, and twice its encoding, if it holds more than what is in the slot.
func rowBytes[K comparable](p *pages, d *Dir[K]) int64 {
	if p.slot == 0 {
		var k K
		p.slot, p.points = 1+int(unsafe.Sizeof(k)), pointsAt(reflect.TypeFor[K]())
		for _, c := range d.cols {
			bytes, points := c.width()
			p.slot += bytes
			p.points = p.points || points
		}
	}
	size := 2*int64(p.slot) + p.extra
	if p.points || p.extra > 0 {
		size += 2 * p.size / max(p.sized, 1)
	}
	return size
}

// crowded reports that the rows of ts, and n others that are alike, are beyond the budget.
func crowded[K comparable](p *pages, ts []*pagedDir[K], n int) bool {
	for _, t := range ts {
		n += t.dir.n
	}
	return n > 0 && len(ts) > 0 && int64(n)*rowBytes(p, ts[0].dir) > p.budget
}

// tick begins a delta: rows that it writes are younger than those before.
func tick[K comparable](p *pages, ts []*pagedDir[K]) {
	if p.now++; p.now <= youngest {
		return
	}
	p.now = p.now/2 + 1
	for _, t := range ts {
		for i, a := range t.age.Vals {
			t.age.Vals[i] = a - a/2 // 0 and 1 stay what they are
		}
	}
}

// wrote notes that the delta at hand has written row r, in so many bytes of key and
// value, or deleted it: val is 0.
func (t *pagedDir[K]) wrote(p *pages, r uint32, key, val int) {
	t.age.Vals[r] = p.now
	if val == 0 {
		t.emptied = append(t.emptied, t.dir.Keys[r])
		return
	}
	p.note(key + val)
}

// settle lets go of rows once the store has all that deltas have written: of the empty
// ones, and if the budget is exceeded, of the oldest, until a quarter of it is free. It
// reports whether any of those went. There are n other rows of the same size.
func settle[K comparable](p *pages, ts []*pagedDir[K], n int) (evicted bool) {
	for _, t := range ts {
		t.bury()
		n += t.dir.n
	}
	if n > 0 && len(ts) > 0 {
		size := rowBytes(p, ts[0].dir)
		if evicted = int64(n)*size > p.budget; evicted {
			evict(ts, n-int(p.budget/4*3/size))
		}
	}
	for _, t := range ts {
		t.dir.fit()
	}
	return evicted
}

// bury removes the rows that the newest delta deleted and that are still empty.
func (t *pagedDir[K]) bury() {
	if t.turn != nil && len(t.emptied) > 0 {
		t.turn()
	}
	for _, k := range t.emptied {
		if r := t.dir.Find(k); r != none && !t.dir.changed(r) && t.isEmpty(r) {
			t.dir.Remove(r)
		}
	}
	t.emptied = nil
}

// evict lets go of n rows that have not changed, or of all such, the oldest first.
func evict[K comparable](ts []*pagedDir[K], n int) {
	var by [256]int // how many rows are of each age
	for _, t := range ts {
		for i, s := range t.dir.ctrl {
			if s&(used|dirty) == used {
				by[t.age.Vals[i]]++
			}
		}
	}
	age, rest := oldest, n
	for ; age < youngest && by[age] <= rest; age++ {
		rest -= by[age]
	}
	for _, t := range ts { // of the last age that goes, some may stay
		rest -= t.evict(uint8(age), rest)
	}
}

// evict lets go of all rows that have not changed and are older than age, and of at
// most most rows of that age.
func (t *pagedDir[K]) evict(age uint8, most int) (ofAge int) {
	if t.turn != nil {
		t.turn()
	}
	mask, n := len(t.dir.ctrl)-1, 0
	from := t.hand & mask
	for j := range t.dir.ctrl {
		i := (from + j) & mask
		if a := t.age.Vals[i]; a == unstored || a > age || t.dir.ctrl[i]&(used|dirty) != used {
			continue
		} else if a == age {
			if ofAge == most {
				continue
			}
			ofAge++
			t.hand = i + 1
		}
		if t.letGo != nil {
			t.letGo(uint32(i))
		}
		t.away.add(t.dir.Group(uint32(i)))
		t.age.Vals[i] = victim
		t.lost++
		n++
	}
	if n == 0 {
		return 0
	}
	if t.swept != nil {
		t.swept()
	}
	for i, a := range t.age.Vals {
		if a == victim {
			t.dir.Remove(uint32(i))
		}
	}
	return ofAge
}

// changed reports that row r has changed since the last delta.
func (d *Dir[K]) changed(r uint32) bool { return d.ctrl[r]&dirty != 0 }

// fit makes the table smaller where it has far more slots than rows, or sweeps it
// where a quarter of it are graves.
func (d *Dir[K]) fit() {
	n := minSlots
	for (d.n+1)*10 > n*4 {
		n *= 2
	}
	if n*2 <= len(d.ctrl) || d.dead*4 > len(d.ctrl) {
		d.resize(n)
	}
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// scan calls f with the rows of a group whose names begin with prefix.
func (p *pages) scan(group int, prefix []byte, f func(key, val []byte) error) error {
	if err := p.store.Scan(group, prefix, f); err != nil && err != errEnough {
		return fmt.Errorf("scan rows of state: %w", err)
	}
	return nil
}

// scanAway calls f with the rows of a window of the groups that are away.
func (p *pages) scanAway(w window.Interval, away *groupSet, f func(group int, key, val []byte) error) error {
	prefix := appendWindow(nil, w)
	for g := range keygroup.N {
		if !away.has(g) {
			continue
		}
		if err := p.scan(g, prefix, func(key, val []byte) error { return f(g, key, val) }); err != nil {
			return err
		}
	}
	return nil
}

// bury deletes the rows of dead windows.
func (p *pages) bury(w graph.DeltaWriter) error {
	for _, d := range p.dead {
		err := p.scanAway(d.win, &d.away, func(g int, key, val []byte) error {
			w.Delete(g, key)
			if p.parts == nil {
				return nil
			}
			return p.parts(key, val, func(_ int, part []byte) error { w.Delete(g, part); return nil })
		})
		if err != nil {
			return err
		}
	}
	p.dead = nil
	return nil
}

// deltaWhole writes the rows of window win that are in the store alone, as they are.
func (t *pagedDir[K]) deltaWhole(p *pages, w graph.DeltaWriter, win window.Interval, cod coder.Coder[K]) error {
	return p.scanAway(win, &t.away, func(g int, key, val []byte) error {
		_, k, err := windowKey(key, cod)
		if err != nil || t.dir.Find(k) != none {
			return err
		}
		if w.Put(g, key, val); p.parts == nil {
			return nil
		}
		return p.parts(key, val, func(_ int, part []byte) error {
			v, err := p.getPart(g, part)
			if err == nil {
				w.Put(g, part, v)
			}
			return err
		})
	})
}

// die notes that a window is over.
func (p *pages) die(win window.Interval, away *groupSet) {
	if away.any() {
		p.dead = append(p.dead, deadWindow{win, *away})
	}
}

// unparked skips the rows of parked keys.
func unparked(f func(key, val []byte) error) func(key, val []byte) error {
	return func(key, val []byte) error {
		if bytes.HasPrefix(key, parkedRow) {
			return nil
		}
		return f(key, val)
	}
}

// windowKey is splitRowKey of rows that the store gave.
func windowKey[K comparable](b []byte, cod coder.Coder[K]) (window.Interval, K, error) {
	w, k, err := splitRowKey(b, cod)
	if err != nil {
		err = fmt.Errorf("read the name of a row of state: %w", err)
	}
	return w, k, err
}
