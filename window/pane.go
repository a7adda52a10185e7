package window

import "fmt"

// Timing says where a pane lies relative to the end of its window (M32).
type Timing uint8

// The timings of a pane. PaneUnknown is the timing of elements that no grouping
// has seen.
const (
	PaneUnknown Timing = iota
	PaneEarly
	PaneOnTime
	PaneLate
)

func (t Timing) String() string {
	if int(t) < len(timingNames) {
		return timingNames[t]
	}
	return fmt.Sprintf("timing(%d)", uint8(t))
}

var timingNames = [...]string{"unknown", "early", "on_time", "late"}

// Pane describes one firing of a (key, window) (M33). The zero Pane belongs to
// elements that no grouping has seen.
type Pane struct {
	Timing Timing
	First  bool  // Index is 0
	Last   bool  // no pane of this (key, window) follows
	Index  int64 // counts panes from 0

	// NonSpeculativeIndex counts panes that are not early from 0; -1 for an early one.
	NonSpeculativeIndex int64
}

// TimingOf decides the timing of a pane of w (M32): input is the watermark of the
// stage's input, output that of its output, both when the pane is emitted, and
// fired tells whether a pane that was not early has been emitted already. The
// trigger has no say.
func TimingOf(w Interval, input, output int64, fired bool) Timing {
	switch {
	case fired || w.Passed(output):
		return PaneLate
	case !w.Passed(input):
		return PaneEarly
	}
	return PaneOnTime
}

// Panes numbers the panes of one (key, window). The zero value has emitted none.
// It starts anew when windows merge into one that did not exist (M10).
type Panes struct {
	Emitted  int64 // panes so far
	NonEarly int64 // those that were not early
}

// Peek returns the description that the next pane will have, if it is emitted.
// Whether it is may depend on its timing: see [Strategy.Emits].
func (p Panes) Peek(w Interval, input, output int64, last bool) Pane {
	d := Pane{
		Timing:              TimingOf(w, input, output, p.NonEarly > 0),
		First:               p.Emitted == 0,
		Last:                last,
		Index:               p.Emitted,
		NonSpeculativeIndex: p.NonEarly,
	}
	if d.Timing == PaneEarly {
		d.NonSpeculativeIndex = -1
	}
	return d
}

// Emit counts a pane that Peek described and the operator emitted.
func (p *Panes) Emit(d Pane) {
	p.Emitted++
	if d.Timing != PaneEarly {
		p.NonEarly++
	}
}

// Emits tells whether a firing becomes a pane. empty means that no element came
// since the last pane, even if accumulated contents would be repeated (M34).
// d.Last is set if the trigger finished or the window is being collected (M33).
// A window that never had an element fires nothing at all, and a closed one is not
// asked (M31, M35).
func (s *Strategy) Emits(d Pane, empty bool) bool {
	switch {
	case !empty:
		return true
	case d.Timing == PaneOnTime && s.OnTime == OnTimeAlways:
		return true
	}
	return d.Last && s.Closing == CloseAlways
}
