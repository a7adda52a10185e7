package window

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the family of a window function.
type Kind uint8

// The kinds of [Fn]. KindCustom covers merging and plain user functions.
const (
	KindGlobal Kind = iota
	KindFixed
	KindSliding
	KindSessions
	KindCalendar
	KindCustom
)

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

var kindNames = [...]string{"global", "fixed", "sliding", "sessions", "calendar", "custom"}

// Fn assigns windows to timestamps. It is a small immutable value, safe to copy
// and to use from many goroutines; the zero value is the global window.
//
// Constructors never fail and never panic: a bad argument is reported by
// [Fn.Validate], so that a pipeline can name the line that wrote it. An Fn that
// does not validate must not be used to assign.
//
// Windows that would end behind [GlobalEnd] end there instead, as in Beam, and
// timestamps of that last day are assigned as if they were GlobalEnd.
type Fn struct {
	kind   Kind
	merged bool  // windows were merged by a grouping already (M61)
	size   int64 // ms: width of fixed and sliding, gap of sessions, count of calendar units
	period int64 // ms: of sliding; equal to size for fixed
	offset int64 // ms, in [0, period)
	ext    *ext  // what only calendar, custom and invalid functions have
}

type ext struct {
	err    error
	unit   calendarUnit
	first  time.Weekday
	zone   *time.Location
	name   string
	assign AssignFunc
	merge  MergeFunc
}

// AssignFunc appends the windows of a timestamp to out and returns it. It must be
// pure: the same answer for the same ts in every process, and every window must
// hold ts unless it gives none at all.
type AssignFunc func(ts int64, out []Interval) []Interval

// MergeFunc decides which windows of one key merge. windows are the active ones
// and the new ones, sorted by start and end, without duplicates, valid during the
// call only. It calls merge once for each result; from lists members of windows,
// each in at most one call. Windows it does not mention stay as they are.
type MergeFunc func(windows []Interval, merge func(into Interval, from ...Interval))

// FnOption adjusts [Fixed] and [Sliding].
type FnOption func(*fnOptions)

type fnOptions struct{ offset time.Duration }

// Offset moves the starts of windows from multiples of the size (or period) by d,
// which must be in [0, size) for Fixed and in [0, period) for Sliding.
func Offset(d time.Duration) FnOption { return func(o *fnOptions) { o.offset = d } }

// GlobalWindows puts everything into [Global]. It is what collections have until
// they are windowed.
func GlobalWindows() Fn { return Fn{} }

// Fixed returns windows [offset+k*size, offset+(k+1)*size) for every whole k,
// negative ones too (M6).
func Fixed(size time.Duration, opts ...FnOption) Fn {
	return aligned(KindFixed, size, size, opts)
}

// Sliding returns windows of width size, one beginning each period: a timestamp
// is in size/period of them. A period longer than the size would leave times in
// no window and is refused (M6).
func Sliding(size, period time.Duration, opts ...FnOption) Fn {
	return aligned(KindSliding, size, period, opts)
}

// Sessions returns windows that grow while a key has data: an element opens
// [ts, ts+gap) and the intersecting windows of its key unite (M9).
func Sessions(gap time.Duration) Fn {
	if err := wholeMillis("gap of session windows", gap); err != nil {
		return invalid(KindSessions, err)
	}
	return Fn{kind: KindSessions, size: gap.Milliseconds()}
}

// Custom returns a window function written by the user. name identifies it in
// the hash of the graph: change it when assign changes.
func Custom(name string, assign AssignFunc) Fn {
	f := Fn{kind: KindCustom, ext: &ext{name: name, assign: assign}}
	switch {
	case name == "":
		f.ext.err = errors.New("a custom window function needs a name")
	case assign == nil:
		f.ext.err = fmt.Errorf("custom window function %q has no assign function", name)
	}
	return f
}

// CustomMerging is [Custom] for windows that merge within a key, as sessions do.
func CustomMerging(name string, assign AssignFunc, merge MergeFunc) Fn {
	f := Custom(name, assign)
	f.ext.merge = merge
	if merge == nil && f.ext.err == nil {
		f.ext.err = fmt.Errorf("merging window function %q has no merge function", name)
	}
	return f
}

func aligned(k Kind, size, period time.Duration, opts []FnOption) Fn {
	var o fnOptions
	for _, opt := range opts {
		opt(&o)
	}
	if err := wholeMillis(fmt.Sprintf("size of %v windows", k), size); err != nil {
		return invalid(k, err)
	}
	if err := wholeMillis(fmt.Sprintf("period of %v windows", k), period); err != nil {
		return invalid(k, err)
	}
	if period > size {
		return invalid(k, fmt.Errorf("sliding windows of %v every %v leave gaps: the period must not be longer than the size", size, period))
	}
	if o.offset < 0 || o.offset >= period || o.offset%time.Millisecond != 0 {
		return invalid(k, fmt.Errorf("offset of %v windows is %v, want whole milliseconds in [0, %v)", k, o.offset, period))
	}
	return Fn{kind: k, size: size.Milliseconds(), period: period.Milliseconds(), offset: o.offset.Milliseconds()}
}

func wholeMillis(what string, d time.Duration) error {
	if d < time.Millisecond {
		return fmt.Errorf("%s is %v, want at least 1ms", what, d)
	}
	if d%time.Millisecond != 0 {
		return fmt.Errorf("%s is %v, want whole milliseconds", what, d)
	}
	return nil
}

// invalid keeps the divisors at 1, so that using the function by mistake gives
// nonsense but no division by zero.
func invalid(k Kind, err error) Fn {
	return Fn{kind: k, size: 1, period: 1, ext: &ext{err: err}}
}

// Kind returns the family.
func (f Fn) Kind() Kind { return f.kind }

// Size returns the width of fixed and sliding windows and the gap of sessions in
// milliseconds; 0 for others.
func (f Fn) Size() int64 {
	if f.kind == KindFixed || f.kind == KindSliding || f.kind == KindSessions {
		return f.size
	}
	return 0
}

// Period returns the milliseconds between starts of fixed and sliding windows; 0
// for others.
func (f Fn) Period() int64 { return f.period }

// Offset returns the start of fixed and sliding windows modulo their period, in
// milliseconds.
func (f Fn) Offset() int64 { return f.offset }

// Merging tells whether windows of one key must be merged at a grouping (M9).
// Behind a grouping they are merged already and it is false (M61).
func (f Fn) Merging() bool {
	return !f.merged && (f.kind == KindSessions || f.kind == KindCustom && f.ext.merge != nil)
}

// Merged returns f as the output of a grouping carries it: merging functions no
// longer merge and keep the windows that elements have (M61); others are
// unchanged.
func (f Fn) Merged() Fn {
	f.merged = f.merged || f.Merging()
	return f
}

// AlreadyMerged tells whether f is the result of Merged on a merging function: a
// following grouping takes the windows of its elements as they are.
func (f Fn) AlreadyMerged() bool { return f.merged }

// Validate returns a sentence on the first thing wrong with the arguments of the
// constructor, or nil.
func (f Fn) Validate() error {
	if f.ext != nil {
		return f.ext.err
	}
	return nil
}

// Equal tells whether two functions assign the same windows. Custom functions are
// equal if their names and kinds are.
func (f Fn) Equal(g Fn) bool { return f.String() == g.String() }

// String returns the canonical form, which enters the hash of the graph: equal
// strings mean equal windows. Example: "sliding(10s,5s,offset=1s)".
func (f Fn) String() string {
	if f.merged {
		g := f
		g.merged = false
		return "merged(" + g.String() + ")"
	}
	if err := f.Validate(); err != nil {
		return "invalid(" + err.Error() + ")"
	}
	switch f.kind {
	case KindFixed:
		return fmt.Sprintf("fixed(%v%s)", millis(f.size), f.offsetString())
	case KindSliding:
		return fmt.Sprintf("sliding(%v,%v%s)", millis(f.size), millis(f.period), f.offsetString())
	case KindSessions:
		return fmt.Sprintf("sessions(%v)", millis(f.size))
	case KindCalendar:
		return f.calendarString()
	case KindCustom:
		if f.ext.merge != nil {
			return fmt.Sprintf("merging(%q)", f.ext.name)
		}
		return fmt.Sprintf("custom(%q)", f.ext.name)
	}
	return "global"
}

func (f Fn) offsetString() string {
	if f.offset == 0 {
		return ""
	}
	return fmt.Sprintf(",offset=%v", millis(f.offset))
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
