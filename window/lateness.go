package window

// LatenessMillis returns the allowed lateness in milliseconds.
func (s *Strategy) LatenessMillis() int64 { return s.Lateness.Milliseconds() }

// Expiry returns the last instant at which w still takes data: its last
// millisecond plus the allowed lateness, but never beyond GlobalEnd, so that the
// end of the input ends every window (M14, M26). When the watermark of the stage's
// input is past it, the window is collected: a last pane if [Strategy.Emits] says
// so, then all state of (key, window) goes.
func (s *Strategy) Expiry(w Interval) int64 {
	last, late := w.Last(), s.Lateness.Milliseconds()
	if last >= GlobalEnd-late {
		return GlobalEnd
	}
	return last + late
}

// Expired tells whether w is past its expiry at a watermark of the stage's input.
// Groupings and stateful stages, and nothing else, drop and count an element for
// each of its windows that has expired; being behind the watermark alone is not
// late (M24). Of a merging function ask it of the element's own window, before
// merging (M27).
func (s *Strategy) Expired(w Interval, watermark int64) bool { return watermark > s.Expiry(w) }
