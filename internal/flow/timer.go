package flow

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// timing is what the timers and the expiring cells of one operator on one lane
// share.
type timing struct {
	c       *graph.Ctx
	wm      int64  // of the operator's input
	event   int64  // by which state lives: that of the timer or window end at hand, else wm
	before  int64  // wm before the step that is being taken: event is never behind it
	expiry  int64  // of the window at hand: no event timer may be beyond
	seq     uint32 // ties fire in the order in which they were set (M76)
	holds   *holds
	ended   bool        // the input has ended: timers by the clock can no longer be set (M81)
	fired   int64       // what the timer that fires was set to
	dropped *graph.Cell // timers set after that
}

// timerTable is one timer of all keys of one window. The columns are the truth;
// the heap has hints only, at most one that counts for each row, so that pushing
// a timer back (a session) is one store.
type timerTable struct {
	at   *Column[int64]      // due time, packed; 0: not set. nil for a family
	out  *Column[int64]      // its output time where that is a hold, packed; 0: the due time, which holds nothing
	tags *Column[[]tagTimer] // a family's
	in   *Column[int64]      // the row's earliest entry in the heap
	heap timerHeap
}

// tagTimer is one timer of a family.
type tagTimer struct {
	tag     string
	at, out int64 // as in timerTable
	seq     uint32
}

// Times are stored so that the zero value of a column means "not set".
func pack(ts int64) int64  { return ts - window.MinTime + 1 }
func unpack(p int64) int64 { return p + window.MinTime - 1 }

// Timer is a handle of one declared timer, or family of timers, on one lane.
type Timer struct {
	Name   string
	Clock  bool // by processing time; else event time
	Family bool
	Fire   func() error
	Tag    string // of the one that fires

	cur *timerTable
	t   *timing
}

// newTimerTable makes a timer's part of a window's table.
func newTimerTable[K comparable](t *Timer, d *Dir[K]) *timerTable {
	tt := &timerTable{in: AddColumn[int64](d)}
	if t.Family {
		tt.tags = AddColumn[[]tagTimer](d)
	} else {
		tt.at, tt.out = AddColumn[int64](d), AddColumn[int64](d)
	}
	d.moved = append(d.moved, func(to []uint32) {
		for i := range tt.heap {
			if r := tt.heap[i].row; r != none {
				tt.heap[i].row = to[r]
			}
		}
	})
	return tt
}

// Set sets the row's timer (of that tag, in a family) to at, replacing an earlier
// time; what it emits has the time out. A nil out is at in event time, and the
// time of the element at hand by the clock (M78, M80). A time that the window does
// not last for is the user's mistake and panics.
func (t *Timer) Set(row uint32, tag string, at int64, out *int64) {
	var hold int64
	switch {
	case t.Clock && t.t.ended:
		t.t.dropped.Add(1)
		return
	case out != nil:
		t.check(at, *out)
		if t.Clock || *out < at {
			hold = pack(*out)
		}
	case t.Clock:
		hold = pack(t.t.c.TS)
	}
	if !t.Clock && at > t.t.expiry {
		panic(fmt.Errorf("timer %q is set to %s, but its window is over at %s: no event timer can be later", t.Name, instant(at), instant(t.t.expiry)))
	}
	t.put(row, tag, pack(at), hold)
}

func (t *Timer) check(at, out int64) {
	switch {
	case out < t.t.c.TS:
		panic(fmt.Errorf("timer %q: its output time %s is before the time of the element at hand, %s", t.Name, instant(out), instant(t.t.c.TS)))
	case out > t.t.expiry:
		panic(fmt.Errorf("timer %q: its output time %s is after its window is over, %s", t.Name, instant(out), instant(t.t.expiry)))
	case !t.Clock && out > at:
		panic(fmt.Errorf("timer %q: its output time %s is after the time it is set to, %s", t.Name, instant(out), instant(at)))
	}
}

func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }

// put sets a timer to packed times.
func (t *Timer) put(row uint32, tag string, at, out int64) {
	t.Clear(row, tag)
	if out != 0 {
		t.t.holds.add(unpack(out))
	}
	t.t.seq++
	if t.Family {
		l := &t.cur.tags.Vals[row]
		*l = append(*l, tagTimer{tag, at, out, t.t.seq})
	} else {
		t.cur.at.Vals[row], t.cur.out.Vals[row] = at, out
	}
	t.hint(row, at, t.t.seq)
}

func (t *Timer) hint(row uint32, at int64, seq uint32) {
	if in := t.cur.in.Vals[row]; in == 0 || at < in {
		t.cur.in.Vals[row] = at
		t.cur.heap.push(timerEntry{at, seq, row})
	}
}

// Clear unsets the row's timer (of that tag) and lets go of its hold.
func (t *Timer) Clear(row uint32, tag string) {
	if !t.Family {
		if out := t.cur.out.Vals[row]; out != 0 {
			t.t.holds.remove(unpack(out))
		}
		t.cur.at.Vals[row], t.cur.out.Vals[row] = 0, 0
		return
	}
	l := &t.cur.tags.Vals[row]
	for i := range *l {
		if (*l)[i].tag == tag {
			if out := (*l)[i].out; out != 0 {
				t.t.holds.remove(unpack(out))
			}
			*l = append((*l)[:i], (*l)[i+1:]...)
			break
		}
	}
	if len(*l) == 0 {
		*l = nil
	}
}

// clearAll unsets all of the row's.
func (t *Timer) clearAll(row uint32) {
	if !t.Family {
		t.Clear(row, "")
		return
	}
	for len(t.cur.tags.Vals[row]) > 0 {
		t.Clear(row, t.cur.tags.Vals[row][0].tag)
	}
}

// Get is when the row's timer (of that tag) is due.
func (t *Timer) Get(row uint32, tag string) (ts int64, ok bool) {
	if !t.Family {
		p := t.cur.at.Vals[row]
		return unpack(p), p != 0
	}
	for _, x := range t.cur.tags.Vals[row] {
		if x.tag == tag {
			return unpack(x.at), true
		}
	}
	return 0, false
}

// first is the row's timer that is due first; false if none is set.
func (t *Timer) first(row uint32) (x tagTimer, ok bool) {
	if !t.Family {
		x = tagTimer{at: t.cur.at.Vals[row], out: t.cur.out.Vals[row]}
		return x, x.at != 0
	}
	for _, y := range t.cur.tags.Vals[row] {
		if !ok || y.at < x.at || y.at == x.at && int32(y.seq-x.seq) < 0 {
			x, ok = y, true
		}
	}
	return x, ok
}

func (t *Timer) isZero(row uint32) bool {
	_, ok := t.first(row)
	return !ok
}

// append encodes the row's timers.
func (t *Timer) append(b []byte, row uint32) []byte {
	if !t.Family {
		return appendInt(appendInt(b, t.cur.at.Vals[row]), t.cur.out.Vals[row])
	}
	b = appendInt(b, int64(len(t.cur.tags.Vals[row]))) // in the order in which they were set
	for _, x := range t.cur.tags.Vals[row] {
		b = appendInt(appendInt(appendBytes(b, []byte(x.tag)), x.at), x.out)
	}
	return b
}

// load is the inverse.
func (t *Timer) load(b []byte, row uint32) (_ []byte, err error) {
	t.clearAll(row)
	n := int64(1)
	if t.Family {
		if n, b, err = takeInt(b); err != nil {
			return nil, err
		}
	}
	for ; n > 0; n-- {
		var tag []byte
		var at, out int64
		if t.Family {
			if tag, b, err = takeBytes(b); err != nil {
				return nil, err
			}
		}
		if at, b, err = takeInt(b); err != nil {
			return nil, err
		}
		if out, b, err = takeInt(b); err != nil {
			return nil, err
		}
		if at != 0 {
			t.put(row, string(tag), at, out)
		}
	}
	return b, nil
}

// timerEntry is a due time and the row it belongs to.
type timerEntry struct {
	at  int64
	seq uint32 // ties fire in the order in which they were set
	row uint32
}

func (a timerEntry) before(b timerEntry) bool {
	return a.at < b.at || a.at == b.at && int32(a.seq-b.seq) < 0
}

// timerHeap is a 4-ary heap of entries by value: container/heap would box each.
type timerHeap []timerEntry

func (h *timerHeap) push(e timerEntry) {
	*h = append(*h, e)
	s := *h
	i := len(s) - 1
	for i > 0 {
		p := (i - 1) / 4
		if !e.before(s[p]) {
			break
		}
		s[i] = s[p]
		i = p
	}
	s[i] = e
}

func (h *timerHeap) pop() timerEntry {
	s := *h
	top, n := s[0], len(s)-1
	e := s[n]
	s = s[:n]
	*h = s
	if n == 0 {
		return top
	}
	i := 0
	for {
		c := 4*i + 1
		if c >= n {
			break
		}
		least := c
		for k := c + 1; k < min(c+4, n); k++ {
			if s[k].before(s[least]) {
				least = k
			}
		}
		if !s[least].before(e) {
			break
		}
		s[i] = s[least]
		i = least
	}
	s[i] = e
	return top
}
