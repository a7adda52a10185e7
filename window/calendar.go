package window

import (
	"fmt"
	"time"
)

type calendarUnit uint8

const (
	unitDay calendarUnit = iota
	unitWeek
	unitMonth
	unitYear
)

const dayMillis = 24 * 60 * 60 * 1000

// Days returns windows of n calendar days in a zone, counted from 1 January 1970.
// They begin at local midnight, so with summer time a day lasts 23 or 25 hours.
// Where the clock jumps over midnight the day begins with the jump.
//
// The name of the zone enters the graph's hash; its rules come from the time zone
// database of each process, so workers should carry the same one.
func Days(n int, zone *time.Location) Fn { return calendarFn(unitDay, n, 0, zone) }

// Weeks returns windows of n weeks in a zone that begin on first. With n > 1 they
// are counted from the week that holds 1 January 1970.
func Weeks(n int, first time.Weekday, zone *time.Location) Fn {
	return calendarFn(unitWeek, n, first, zone)
}

// Months returns windows of n calendar months in a zone, counted from January
// 1970: Months(3, zone) are quarters.
func Months(n int, zone *time.Location) Fn { return calendarFn(unitMonth, n, 0, zone) }

// Years returns windows of n calendar years in a zone, counted from 1970.
func Years(n int, zone *time.Location) Fn { return calendarFn(unitYear, n, 0, zone) }

func calendarFn(u calendarUnit, n int, first time.Weekday, zone *time.Location) Fn {
	switch {
	case n < 1 || n > 1_000_000:
		return invalid(KindCalendar, fmt.Errorf("calendar windows of %d %s, want 1 to 1000000", n, unitNames[u]))
	case zone == nil:
		return invalid(KindCalendar, fmt.Errorf("calendar windows of %d %s have no time zone", n, unitNames[u]))
	case first < time.Sunday || first > time.Saturday:
		return invalid(KindCalendar, fmt.Errorf("week windows begin on weekday %d, want Sunday (0) to Saturday (6)", first))
	}
	return Fn{kind: KindCalendar, size: int64(n), ext: &ext{unit: u, first: first, zone: zone}}
}

var unitNames = [...]string{"days", "weeks", "months", "years"}

func (f Fn) calendarString() string {
	x := f.ext
	if x.unit == unitWeek {
		return fmt.Sprintf("weeks(%d,%v,%v)", f.size, x.first, x.zone)
	}
	return fmt.Sprintf("%s(%d,%v)", unitNames[x.unit], f.size, x.zone)
}

// calendar returns the window of ts. The windows are numbered and the boundary of
// each is a function of its number alone, so they tile time without gap or overlap
// whatever the zone does: a first guess from the local date is corrected by at
// most a few steps.
func (f Fn) calendar(ts int64) Interval {
	k := floorDiv(f.ext.unitOf(ts), f.size)
	start := f.boundary(k)
	for start > ts { // the clock was put back over midnight
		k--
		start = f.boundary(k)
	}
	end := f.boundary(k + 1)
	for end <= ts { // a zone skipped a whole day
		k++
		start, end = end, f.boundary(k+1)
	}
	return Interval{start, min(end, GlobalEnd+1)}
}

// unitOf numbers the local day, week, month or year of ts; the one of 1 January
// 1970 has number 0.
func (x *ext) unitOf(ts int64) int64 {
	local := time.UnixMilli(ts).In(x.zone)
	switch x.unit {
	case unitMonth:
		return (int64(local.Year())-1970)*12 + int64(local.Month()) - 1
	case unitYear:
		return int64(local.Year()) - 1970
	}
	day := floorDiv(ts+x.offsetAt(ts), dayMillis)
	if x.unit == unitWeek {
		return floorDiv(day+x.weekShift(), 7)
	}
	return day
}

// weekShift returns how many days before 1 January 1970, a Thursday, its week
// began.
func (x *ext) weekShift() int64 { return (int64(time.Thursday) - int64(x.first) + 7) % 7 }

// boundary returns the first instant of window k.
func (f Fn) boundary(k int64) int64 {
	x, n := f.ext, k*f.size
	switch x.unit {
	case unitWeek:
		return x.midnight((n*7 - x.weekShift()) * dayMillis)
	case unitMonth:
		return x.midnight(civil(1970+floorDiv(n, 12), n-floorDiv(n, 12)*12))
	case unitYear:
		return x.midnight(civil(1970+n, 0))
	}
	return x.midnight(n * dayMillis)
}

// civil returns the first of a month (0 is January) as if in UTC.
func civil(year, month int64) int64 {
	return time.Date(int(year), time.Month(month+1), 1, 0, 0, 0, 0, time.UTC).UnixMilli()
}

// midnight returns the first instant at which the zone's wall clock shows at least
// wall, a date and time written as if in UTC.
//
// time.Date is no help here: where a clock change skips or repeats that time it may
// return either reading. Nor is Time.ZoneBounds: Go 1.26 gives an end in the past
// on the last day of far leap years (Europe/Berlin, 31 December 2040). So only
// offsets are read, and a change between two that differ is searched for.
func (x *ext) midnight(wall int64) int64 {
	const reach = 2 * dayMillis // no zone is that far from UTC
	from, to := wall-reach, wall+reach
	before, after := x.offsetAt(from), x.offsetAt(to)
	if before == after {
		return wall - before
	}
	for to-from > 1 { // the change lies in (from, to]
		mid := from + (to-from)/2
		if x.offsetAt(mid) == before {
			from = mid
		} else {
			to = mid
		}
	}
	if at := wall - before; at < to {
		return at
	}
	return max(to, wall-x.offsetAt(to))
}

// offsetAt returns how many milliseconds the zone is ahead of UTC.
func (x *ext) offsetAt(ts int64) int64 {
	_, off := time.UnixMilli(ts).In(x.zone).Zone()
	return int64(off) * 1000
}

// floorDiv returns a/n rounded down, for n > 0.
func floorDiv(a, n int64) int64 {
	q := a / n
	if a%n < 0 {
		q--
	}
	return q
}
