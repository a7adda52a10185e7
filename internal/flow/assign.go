package flow

import (
	"slices"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Assign is how a consumer finds the windows of an element: windowing is an
// attribute of a collection, and whoever needs windows assigns them.
type Assign struct {
	fn       window.Fn
	lateness int64
	mode     assignMode
}

type assignMode uint8

const (
	global  assignMode = iota // one window
	single                    // from the timestamp, which also holds behind a grouping
	many                      // from the timestamp, several
	carried                   // Ctx.Win, assigned before
)

// NewAssign makes an Assign. behind says that the elements come from a grouping
// with the same windows, or from a lifted combiner: their window is known.
func NewAssign(s window.Strategy, behind bool) Assign {
	a := Assign{fn: s.Fn, lateness: s.Lateness.Milliseconds()}
	switch k := s.Fn.Kind(); {
	case k == window.KindGlobal:
		a.mode = global
	case k == window.KindFixed || k == window.KindCalendar:
		a.mode = single
	case behind:
		a.mode = carried
	default:
		a.mode = many
	}
	return a
}

// CarriedAssign is an Assign of elements that come with their windows, which
// can't be had from their timestamps: what timers emit may lie outside (M78).
func CarriedAssign(s window.Strategy) Assign {
	a := NewAssign(s, true)
	if a.mode != global {
		a.mode = carried
	}
	return a
}

// Derived reports that the window of a pane can be had from its timestamp, so
// that an exchange need not carry it.
func Derived(fn window.Fn) bool {
	k := fn.Kind()
	return k == window.KindFixed || k == window.KindCalendar
}

// Global reports that there is one window.
func (a Assign) Global() bool { return a.mode == global }

// windows appends the windows of the element at hand to buf, which is emptied first.
func (a *Assign) windows(c *graph.Ctx, buf []window.Interval) []window.Interval {
	buf = buf[:0]
	switch a.mode {
	case global:
		return append(buf, window.Global)
	case single:
		return append(buf, a.fn.AssignOne(c.TS))
	case carried:
		return append(buf, c.Win)
	}
	return a.fn.Assign(c.TS, buf)
}

// Window is the window of the element at hand, of which there is one.
func (a *Assign) Window(c *graph.Ctx) window.Interval {
	switch a.mode {
	case global:
		return window.Global
	case single:
		return a.fn.AssignOne(c.TS)
	}
	return c.Win
}

// expiry is the last instant at which w takes elements.
func (a Assign) expiry(w window.Interval) int64 { return min(w.Last()+a.lateness, window.GlobalEnd) }

// late reports that nothing more may be added to w (rule M24).
func (a Assign) late(w window.Interval, wm int64) bool { return wm > a.expiry(w) }

// windowed is a table of one window.
type windowed interface {
	interval() window.Interval
	keys() int
}

func (t *table[K]) interval() window.Interval { return t.win }
func (t *table[K]) keys() int                 { return t.dir.n }

// tables keeps one table for each open window, few, ordered by end: no timer for
// each element or key, and one comparison when the window is the last one again.
type tables[T windowed] struct {
	assign Assign
	make   func(window.Interval) T
	turn   func(T) // called when another table is at hand; may be nil
	open   []T
	last   *T
}

func newTables[T windowed](a Assign, make func(window.Interval) T, turn func(T)) *tables[T] {
	return &tables[T]{assign: a, make: make, turn: turn}
}

// at returns w's table and makes it the one at hand.
func (p *tables[T]) at(_ *graph.Ctx, w window.Interval) T {
	if p.last != nil && (*p.last).interval() == w {
		return *p.last
	}
	i, ok := slices.BinarySearchFunc(p.open, w, func(t T, w window.Interval) int { return compareWindows(t.interval(), w) })
	if !ok {
		p.open = slices.Insert(p.open, i, p.make(w))
	}
	t := p.open[i]
	p.last = &t
	if p.turn != nil {
		p.turn(t)
	}
	return t
}

func compareWindows(a, b window.Interval) int {
	switch {
	case a.End != b.End:
		return cmp64(a.End, b.End)
	default:
		return cmp64(a.Start, b.Start)
	}
}

func cmp64(a, b int64) int {
	if a < b {
		return -1
	} else if a > b {
		return 1
	}
	return 0
}

// Windows are the open windows and how many keys each has, for people.
func (p *tables[T]) Windows(yield func(w window.Interval, keys int)) {
	for _, t := range p.open {
		if n := t.keys(); n > 0 {
			yield(t.interval(), n)
		}
	}
}

// all is a copy of the open tables, oldest end first: callbacks may open others.
func (p *tables[T]) all() []T { return slices.Clone(p.open) }

// close takes out every table whose window the watermark has passed, lateness
// included, after calling f for it.
func (p *tables[T]) close(wm, lateness int64, f func(T)) {
	for len(p.open) > 0 {
		t := p.open[0]
		if wm <= min(t.interval().Last()+lateness, window.GlobalEnd) {
			return
		}
		p.open = slices.Delete(p.open, 0, 1)
		p.last = nil
		f(t)
	}
}
