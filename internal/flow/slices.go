package flow

import (
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Sliding windows of a combiner are put together from slices: the pieces between
// any two ends of windows, of which there are one or two to a period. An element
// is added to its slice only, whatever the number of its windows.
//
// Source: Krishnamurthy, Wu, Franklin, "On-the-fly Sharing for Streamed
// Aggregation", SIGMOD 2006 (paired windows).

// Sliced reports that combiners with a Merge keep slices rather than windows:
// only where a window is fired once.
func Sliced(s window.Strategy) bool {
	return Simple(s) && s.Fn.Kind() == window.KindSliding && s.Fn.Period() < s.Fn.Size()
}

// NewSliceAssign is the Assign of the slices of fn's windows.
func NewSliceAssign(fn window.Fn) Assign { return Assign{fn: newSlicer(fn).fn(), mode: single} }

// slicer is the arithmetic of the slices of sliding windows.
type slicer struct{ size, period, offset int64 }

func newSlicer(fn window.Fn) slicer { return slicer{fn.Size(), fn.Period(), fn.Offset()} }

// fn gives each timestamp its slice.
func (s slicer) fn() window.Fn {
	cut := s.size % s.period // windows end so long after others begin
	if cut == 0 {
		return window.Fixed(time.Duration(s.period)*time.Millisecond, window.Offset(time.Duration(s.offset)*time.Millisecond))
	}
	return window.Custom("slices", func(ts int64, out []window.Interval) []window.Interval {
		ts = min(ts, window.GlobalEnd)
		from := window.Floor(ts, s.period, s.offset)
		to := from + cut
		if ts >= to {
			from, to = to, from+s.period
		}
		return append(out, window.Interval{Start: from, End: min(to, window.GlobalEnd+1)})
	})
}

// window is the window that begins at start.
func (s slicer) window(start int64) window.Interval {
	return window.Interval{Start: start, End: min(start+s.size, window.GlobalEnd+1)}
}

// starts is where the first and the last window begin that hold a slice.
func (s slicer) starts(slice window.Interval) (first, last int64) {
	last = window.Floor(slice.Start, s.period, s.offset)
	return last - (last-slice.Start+s.size-1)/s.period*s.period, last
}

// open is where the first window begins that holds a slice and that wm has not
// passed; it is behind the last one if wm has passed all.
func (s slicer) open(slice window.Interval, wm int64) (start int64) {
	start, last := s.starts(slice)
	if wm > window.GlobalEnd {
		return last + s.period
	}
	if behind := wm - s.size + 1 - start; behind > 0 { // passed: start + size - 1 < wm
		start += (behind + s.period - 1) / s.period * s.period
	}
	return min(start, last+s.period)
}

// passed is how many windows of a slice wm has passed, and of how many.
func (s slicer) passed(slice window.Interval, wm int64) (n, of int64) {
	first, last := s.starts(slice)
	return (s.open(slice, wm) - first) / s.period, (last-first)/s.period + 1
}

// sliced is what a Combine adds for slices.
//
// Invariant: unless stale, result is the left fold, in the order of slices, of
// all open slices that are merged.
type sliced[K comparable, A any] struct {
	slicer
	result *fold[K, A] // of the window fired last, less the slices dropped since
	stale  bool        // a merged slice has changed, or the result was given away
	copied func(A) A   // of an accumulator that is needed again; nil: a plain value
}

// openSlice is the table of the element at hand, or nil if it is late for all of
// its windows. Those that it is late for are counted (rule M24).
func (o *combine[K, V, A, R]) openSlice(c *graph.Ctx) *fold[K, A] {
	w := o.assign.Window(c)
	n, of := o.slices.passed(w, o.wm)
	if n == of {
		o.late.Add(n)
		return nil
	}
	f := o.at(w)
	f.late = n
	return f
}

// advanceSlices fires the windows that wm has passed, in the order of their
// ends, and drops the slices that no other window needs.
func (o *combine[K, V, A, R]) advanceSlices(c *graph.Ctx, wm int64) {
	s, done := o.slices, int64(math.MinInt64) // done: where the next window begins, once one was fired
	for len(o.open) > 0 {
		start := max(s.open(o.open[0].win, o.wm), done)
		w := s.window(start)
		if wm <= w.Last() {
			break
		}
		n := 0
		for n < len(o.open) && o.open[n].win.Start < w.End {
			n++
		}
		o.fireSlices(c, w, o.open[:n])
		done = start + s.period
		for len(o.open) > 0 {
			f := o.open[0]
			if _, last := s.starts(f.win); last >= done {
				break
			}
			o.open = slices.Delete(o.open, 0, 1)
			o.unmerge(f)
			o.drop(c, f)
		}
	}
	o.wm = wm
	for _, f := range o.open {
		f.late, _ = s.passed(f.win, wm)
	}
}

// fireSlices emits w, which the slices fs make up.
func (o *combine[K, V, A, R]) fireSlices(c *graph.Ctx, w window.Interval, fs []*fold[K, A]) {
	s := o.slices
	if o.pages != nil && o.anyAway(fs) {
		o.firePieces(c, w, fs)
		return
	}
	if s.result == nil {
		s.result = o.fresh(w)
	}
	to := s.result
	to.win = w
	if s.stale {
		to.dir.Reset()
	}
	for _, f := range fs {
		if s.stale || !f.merged {
			for _, r := range f.dir.all(&o.rows.row) {
				o.mergeRow(c, to, f, r)
			}
			f.merged = true
		}
	}
	o.emit(c, to)
	// What was emitted may share memory with the result, unless that is plain.
	s.stale = s.copied != nil || o.gOut != nil
}

// mergeRow adds row r of a slice to a window's result.
func (o *combine[K, V, A, R]) mergeRow(c *graph.Ctx, to, f *fold[K, A], r uint32) {
	a := f.acc.Vals[r]
	if o.slices.copied != nil {
		a = o.slices.copied(a)
	}
	o.mergeAcc(c, to, f.dir.Keys[r], a)
}

// mergeAcc adds a, which is given away, to k's accumulator of a window's result.
func (o *combine[K, V, A, R]) mergeAcc(c *graph.Ctx, to *fold[K, A], k K, a A) {
	t, fresh := to.dir.Row(k)
	if fresh {
		to.acc.Vals[t] = a
		return
	}
	if o.gOut == nil {
		o.s.Merge(&to.acc.Vals[t], a)
		return
	}
	was := o.s.Acc.Append(nil, to.acc.Vals[t])
	o.gOut.try(c, coder.KV[K, A]{Key: k, Value: a}, func() error {
		o.s.Merge(&to.acc.Vals[t], decoded(o.s.Acc, o.s.Acc.Append(nil, a)))
		return nil
	}, func() { to.acc.Vals[t] = decoded(o.s.Acc, was) })
}

// unmerge takes a slice out of the result: its keys are folded again from the
// slices that are left. Where each key is in few slices, as with things that come
// and go, this is a fraction of folding all keys for each window.
func (o *combine[K, V, A, R]) unmerge(f *fold[K, A]) {
	s := o.slices
	if s.stale || !f.merged {
		return
	}
	n := 0
	for n < len(o.open) && o.open[n].merged {
		n++
	}
	left, to := o.open[:n], s.result
	if n == 0 {
		to.dir.Reset()
		return
	}
	for _, r := range f.dir.all(&o.rows.row) {
		k, h := f.dir.Keys[r], f.dir.hash.Sum(f.dir.Keys[r])
		t := to.dir.findHashed(k, h)
		found := false
		for _, l := range left {
			r := l.dir.findHashed(k, h)
			switch {
			case r == none:
			case found:
				o.s.Merge(&to.acc.Vals[t], l.acc.Vals[r])
			default:
				to.acc.Vals[t], found = l.acc.Vals[r], true
			}
		}
		if !found {
			to.dir.Remove(t)
		}
	}
}
