package window

import "fmt"

// Assign appends the windows of ts to out and returns it. Sliding windows come
// latest start first. It allocates only when out has no room: [Fn.MaxWindows]
// says how much a timestamp can need. For a merging function the windows are the
// element's own, before merging (M9, M27).
func (f Fn) Assign(ts int64, out []Interval) []Interval {
	switch f.kind {
	case KindSliding:
		ts = min(ts, GlobalEnd)
		for start := Floor(ts, f.period, f.offset); start > ts-f.size; start -= f.period {
			out = append(out, Interval{start, min(start+f.size, GlobalEnd+1)})
		}
		return out
	case KindCustom:
		return f.ext.assign(ts, out)
	}
	return append(out, f.AssignOne(ts))
}

// AssignOne returns the window of ts for functions that give exactly one: all but
// sliding and custom. For sliding windows it returns the one that starts latest,
// for custom functions the first; it panics if a custom function gives none.
//
// Callers in a loop do better to ask only when ts leaves the window they have,
// above all for calendar windows, which look up the time zone. [Floor] is the
// inlined arithmetic of fixed windows.
func (f Fn) AssignOne(ts int64) Interval {
	if f.kind == KindFixed {
		ts = min(ts, GlobalEnd)
		start := Floor(ts, f.size, f.offset)
		return Interval{start, min(start+f.size, GlobalEnd+1)}
	}
	return f.assignOther(ts)
}

func (f Fn) assignOther(ts int64) Interval {
	switch f.kind {
	case KindSliding:
		ts = min(ts, GlobalEnd)
		start := Floor(ts, f.period, f.offset)
		return Interval{start, min(start+f.size, GlobalEnd+1)}
	case KindSessions:
		ts = min(ts, GlobalEnd)
		return Interval{ts, min(ts+f.size, GlobalEnd+1)}
	case KindCalendar:
		return f.calendar(min(ts, GlobalEnd))
	case KindCustom:
		ws := f.ext.assign(ts, nil)
		if len(ws) == 0 {
			panic(fmt.Sprintf("custom window function %q gives no window for %d", f.ext.name, ts))
		}
		return ws[0]
	}
	return Global
}

// Floor returns the largest offset + k*size <= ts, for size > 0: the start of the
// fixed window or slice that holds ts. It rounds down, unlike the remainder of the
// language, so that -11 is in [-20,-10) (M6).
func Floor(ts, size, offset int64) int64 {
	m := (ts - offset) % size
	if m < 0 {
		m += size
	}
	return ts - m
}

// MaxWindows returns how many windows a timestamp can be in: 1, for sliding
// windows size/period rounded up, for custom functions 0 (unknown).
func (f Fn) MaxWindows() int {
	switch f.kind {
	case KindSliding:
		return int((f.size + f.period - 1) / f.period)
	case KindCustom:
		return 0
	}
	return 1
}

// SliceSize returns the width in milliseconds of the disjoint pieces, aligned to
// the offset, that every window is a union of: the greatest common divisor of
// size and period for fixed and sliding windows, 0 for others. Combiners keep one
// value for each piece instead of one for each window.
func (f Fn) SliceSize() int64 {
	if f.kind != KindFixed && f.kind != KindSliding {
		return 0
	}
	a, b := f.size, f.period
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Side returns the window of f, a side input's function, that an element of the
// main input's window reads: the latest-starting one that holds main's last
// millisecond (M91). Merging functions have no such map, nor has a windowed side
// input for a main input in the global window.
func (f Fn) Side(main Interval) (Interval, error) {
	if f.kind == KindGlobal {
		return Global, nil
	}
	if f.Merging() || f.merged {
		return Interval{}, fmt.Errorf("side input in %v: merging windows cannot be mapped to windows of the main input", f)
	}
	if main == Global {
		return Interval{}, fmt.Errorf("side input in %v: the main input is in the global window, which maps to none of them", f)
	}
	if f.kind != KindCustom {
		return f.AssignOne(main.Last()), nil
	}
	best, found := Interval{}, false
	for _, w := range f.ext.assign(main.Last(), nil) {
		if !found || w.Start > best.Start || w.Start == best.Start && w.End > best.End {
			best, found = w, true
		}
	}
	if !found {
		return Interval{}, fmt.Errorf("side input in %v: no window holds %d", f, main.Last())
	}
	return best, nil
}
