package flow

import (
	"fmt"

	"github.com/millrace/millrace/window"
)

// What operators say when people ask why a window is not fired. It is asked for
// rarely and may look at everything.

// Windows are the open windows, or slices, and how many keys each has: of a
// combiner before or behind the shuffle.
func (p *folds[K, A]) Windows(yield func(w window.Interval, keys int)) {
	for _, f := range p.open {
		if f.dir.n > 0 {
			yield(f.win, f.dir.n)
		}
	}
}

// Windows are the open windows in memory and how many keys each has.
func (o *group[K, V]) Windows(yield func(w window.Interval, keys int)) { o.tables.Windows(yield) }

// Windows is each key's oldest window.
func (o *merging[K]) Windows(yield func(w window.Interval, keys int)) {
	o.dir.Each(func(r uint32) {
		cells := o.cells.Vals[r]
		least := cells[0].win
		for i := range cells {
			if cells[i].win.End < least.End {
				least = cells[i].win
			}
		}
		yield(least, 1)
	})
}

// HeldBy says what holds the output's watermark back.
func (o *paned[K]) HeldBy() string {
	return fmt.Sprintf("data that its trigger has not fired yet, whose pane will have the time %s", instant(o.holds.least()))
}

// HeldBy says what holds the output's watermark back.
func (o *windowGate[T]) HeldBy() string {
	oldest, n := window.Interval{}, 0
	for w, list := range o.waiting {
		if n == 0 || compareWindows(w, oldest) < 0 {
			oldest = w
		}
		n += len(list)
	}
	return fmt.Sprintf("%d elements wait for a side input, the oldest for its content in the window that the window [%s, %s) reads", n, instant(oldest.Start), instant(oldest.End))
}

// HeldBy says what holds the output's watermark back: a timer, with its key.
func (o *stateful[K, V, O]) HeldBy() string {
	least := pack(o.l.timing.holds.least())
	for _, t := range o.tables.open {
		for i, h := range o.l.timers {
			by, what := "", "an event-time timer"
			if h.Clock {
				what = "a processing-time timer"
			}
			t.dir.Each(func(r uint32) {
				for _, x := range t.timers[i].all(r) {
					if x.out == least && by == "" {
						by = fmt.Sprintf("%s %q of key %v, set to %s, whose output will have the time %s", what, h.Name, t.dir.Keys[r], instant(unpack(x.at)), instant(unpack(x.out)))
					}
				}
			})
			if by != "" {
				return by
			}
		}
	}
	return ""
}

// all is the timers of a row.
func (t *timerTable) all(r uint32) []tagTimer {
	if t.tags != nil {
		return t.tags.Vals[r]
	}
	if t.at.Vals[r] == 0 {
		return nil
	}
	return []tagTimer{{at: t.at.Vals[r], out: t.out.Vals[r]}}
}
