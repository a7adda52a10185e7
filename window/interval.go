package window

import (
	"cmp"
	"fmt"
	"strconv"
)

// Event time in Unix milliseconds lies in [MinTime, MaxTime] (M1). MaxTime is
// also the watermark of an input that has ended (M14), MinTime the timestamp of
// what a bounded source emits without one (M2).
const (
	MaxTime int64 = 9223372036854775
	MinTime int64 = -MaxTime
	// GlobalEnd is the last millisecond of the global window and the latest
	// instant at which any window is collected: a day below MaxTime, so that a
	// watermark can still pass it.
	GlobalEnd int64 = MaxTime - 24*60*60*1000
)

// Interval is the half-open span of event time [Start, End), in Unix
// milliseconds. Windows are compared by value (M4), so == is right.
type Interval struct{ Start, End int64 }

// Global is the one window of [GlobalWindows].
var Global = Interval{MinTime, GlobalEnd + 1}

// Last returns the last millisecond inside the window, which is also the default
// timestamp of its panes (M40).
func (w Interval) Last() int64 { return w.End - 1 }

// Contains tells whether ts lies in [Start, End).
func (w Interval) Contains(ts int64) bool { return w.Start <= ts && ts < w.End }

// Intersects tells whether the two windows share at least a millisecond. Windows
// that only touch do not intersect and so do not merge (M9).
func (w Interval) Intersects(o Interval) bool { return w.Start < o.End && o.Start < w.End }

// Span returns the smallest interval that covers both.
func (w Interval) Span(o Interval) Interval {
	return Interval{min(w.Start, o.Start), max(w.End, o.End)}
}

// Passed tells whether a watermark has passed the end of the window: strictly
// beyond its last millisecond (M30).
func (w Interval) Passed(watermark int64) bool { return watermark > w.Last() }

// Compare orders windows by start, then by end.
func (w Interval) Compare(o Interval) int {
	if c := cmp.Compare(w.Start, o.Start); c != 0 {
		return c
	}
	return cmp.Compare(w.End, o.End)
}

// String returns "global" or "[start,end)" in milliseconds.
func (w Interval) String() string {
	if w == Global {
		return "global"
	}
	return fmt.Sprintf("[%s,%s)", instant(w.Start), instant(w.End))
}

// instant names the ends of time, whose numbers say nothing to a reader.
func instant(ts int64) string {
	switch ts {
	case MinTime:
		return "min"
	case MaxTime:
		return "max"
	case GlobalEnd:
		return "global-end"
	}
	return strconv.FormatInt(ts, 10)
}
