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
