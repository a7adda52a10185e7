package window

// Hold is what a (key, window) with data not yet fired keeps the watermark of its
// stage's output back by (M41), and at the same time the timestamp of the pane to
// come. The zero value holds nothing.
type Hold struct {
	At       int64 // combined timestamp of elements in time; meaningful if InTime
	InTime   bool
	AtExpiry bool // holds at the window's expiry too
}

// Add takes in an element of w with timestamp ts that arrives when the watermarks
// of the stage's input and output are as given (M40, M42). An element too late to
// hold back the output, or whose window has passed, does not stamp the pane: it
// holds at the expiry only, which keeps its pane from being dropped downstream.
func (h *Hold) Add(s *Strategy, w Interval, ts, input, output int64) {
	if s.Timestamps == EndOfWindow {
		ts = w.Last()
	}
	if ts < output || w.Passed(input) {
		h.AtExpiry = true
		return
	}
	h.join(s, ts)
}

func (h *Hold) join(s *Strategy, ts int64) {
	switch {
	case !h.InTime, s.Timestamps == EndOfWindow: // the latter moves only when windows merge
		h.At, h.InTime = ts, true
	case s.Timestamps == Earliest:
		h.At = min(h.At, ts)
	case s.Timestamps == Latest:
		h.At = max(h.At, ts)
	}
}

// Merge adds the hold of another active window; into is the merged one (M9, M10).
// With one active window alone call it with the zero Hold.
func (h *Hold) Merge(s *Strategy, o Hold, into Interval) {
	if o.InTime {
		h.join(s, o.At)
	}
	if h.InTime && s.Timestamps == EndOfWindow {
		h.At = into.Last()
	}
	h.AtExpiry = h.AtExpiry || o.AtExpiry
}

// Output returns the instant that the output watermark may not pass, and false if
// nothing holds it. The output may equal it.
func (h Hold) Output(s *Strategy, w Interval) (at int64, ok bool) {
	switch {
	case h.InTime && h.AtExpiry:
		return min(h.At, s.Expiry(w)), true
	case h.InTime:
		return h.At, true
	}
	return s.Expiry(w), h.AtExpiry
}

// Stamp returns the timestamp of the pane that fires now: the combined timestamp
// of the elements in time since the last, or the window's last millisecond if
// there was none (M40, M42). It is always inside the window (M4).
func (h Hold) Stamp(w Interval) int64 {
	if !h.InTime {
		return w.Last()
	}
	return min(h.At, w.Last())
}

// Fire releases the hold once the pane is out. last is set if the window is over;
// before that a closing pane that always comes stays announced by a hold at the
// expiry (M41).
func (h *Hold) Fire(s *Strategy, last bool) {
	*h = Hold{AtExpiry: !last && s.Closing == CloseAlways}
}
