package window

import (
	"fmt"
	"strings"
	"time"
)

// Accumulation says what a pane holds of what fired before (M36).
type Accumulation uint8

// DiscardPanes, the default, forgets what has fired; AccumulatePanes keeps it until the
// window is collected.
const (
	DiscardPanes Accumulation = iota
	AccumulatePanes
)

func (a Accumulation) String() string {
	return name(a, "discarding", "accumulating")
}

// TimestampCombiner chooses the timestamp of a pane (M40).
type TimestampCombiner uint8

// EndOfWindow, the default, stamps panes with the last millisecond of the window.
// Earliest and Latest take the smallest or largest timestamp of the elements that
// came in time since the last pane; Earliest holds everything downstream back
// until the window fires (M41).
const (
	EndOfWindow TimestampCombiner = iota
	Earliest
	Latest
)

func (c TimestampCombiner) String() string {
	return name(c, "end", "earliest", "latest")
}

// OnTime says whether the pane at the end of the window comes even if nothing new
// arrived since the last (M34).
type OnTime uint8

// OnTimeIfNonEmpty is the default, as in Beam's Go SDK; Beam Java's is OnTimeAlways.
const (
	OnTimeIfNonEmpty OnTime = iota
	OnTimeAlways
)

func (o OnTime) String() string { return name(o, "non_empty", "always") }

// Closing says whether a last pane comes when the window is collected even if
// nothing new arrived (M35).
type Closing uint8

// CloseIfNonEmpty is the default.
const (
	CloseIfNonEmpty Closing = iota
	CloseAlways
)

func (c Closing) String() string { return name(c, "non_empty", "always") }

func name[T ~uint8](v T, names ...string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("invalid(%d)", uint8(v))
}

// Strategy is everything about the windowing of a collection. The zero value is
// the global window with the default trigger, discarding, no lateness.
type Strategy struct {
	Fn           Fn
	Trigger      Trigger // nil is Default()
	Accumulation Accumulation
	Lateness     time.Duration // how long past its end a window still takes data (M24)
	Timestamps   TimestampCombiner
	OnTime       OnTime
	Closing      Closing

	// AllowFinishing permits a trigger that may finish and lose what follows (M53).
	AllowFinishing bool
}

// Option changes a [Strategy].
type Option func(*Strategy)

// New returns the strategy of a window function and options. It does not
// validate: see [Strategy.Validate].
func New(fn Fn, opts ...Option) Strategy {
	s := Strategy{Fn: fn}
	for _, o := range opts {
		o(&s)
	}
	return s
}

// AllowedLateness keeps windows open for data until the watermark is d past their
// last millisecond (M24). d must be whole milliseconds, not negative.
func AllowedLateness(d time.Duration) Option { return func(s *Strategy) { s.Lateness = d } }

// Triggering sets the trigger.
func Triggering(t Trigger) Option { return func(s *Strategy) { s.Trigger = t } }

// Accumulating makes each pane hold all that arrived so far.
func Accumulating() Option { return func(s *Strategy) { s.Accumulation = AccumulatePanes } }

// Discarding makes each pane hold only what arrived since the last; the default.
func Discarding() Option { return func(s *Strategy) { s.Accumulation = DiscardPanes } }

// TimestampsAt chooses the timestamps of panes.
func TimestampsAt(c TimestampCombiner) Option { return func(s *Strategy) { s.Timestamps = c } }

// OnTimeBehavior sets when the on-time pane may be left out.
func OnTimeBehavior(o OnTime) Option { return func(s *Strategy) { s.OnTime = o } }

// ClosingBehavior sets when the closing pane may be left out.
func ClosingBehavior(c Closing) Option { return func(s *Strategy) { s.Closing = c } }

// AllowUnsafeTrigger permits a trigger that may finish: data of the window that
// come after it are dropped and counted (M53).
func AllowUnsafeTrigger() Option { return func(s *Strategy) { s.AllowFinishing = true } }

// IsDefaultTrigger tells whether the trigger is nil or [Default]: fire when the
// watermark passes the end of the window, then for each late element.
func (s Strategy) IsDefaultTrigger() bool {
	return s.Trigger == nil || s.Trigger.node().op == opDefault
}

// trigger returns the description, never nil.
func (s Strategy) trigger() Trigger {
	if s.Trigger == nil {
		return Default()
	}
	return s.Trigger
}

// Validate returns a sentence on the first thing wrong, or nil. A trigger that
// may finish is refused unless AllowFinishing is set or nothing can come after it:
// AfterWatermark without late firings is fine when no lateness is allowed (M53).
func (s Strategy) Validate() error {
	if err := s.Fn.Validate(); err != nil {
		return err
	}
	if s.Lateness < 0 || s.Lateness%time.Millisecond != 0 {
		return fmt.Errorf("allowed lateness is %v, want whole milliseconds, not negative", s.Lateness)
	}
	t := s.trigger()
	if err := validate(t.node()); err != nil {
		return err
	}
	for _, v := range []struct {
		what  string
		value fmt.Stringer
		bad   bool
	}{
		{"accumulation", s.Accumulation, s.Accumulation > AccumulatePanes},
		{"timestamp combiner", s.Timestamps, s.Timestamps > Latest},
		{"on-time behavior", s.OnTime, s.OnTime > OnTimeAlways},
		{"closing behavior", s.Closing, s.Closing > CloseAlways},
	} {
		if v.bad {
			return fmt.Errorf("%s is %v", v.what, v.value)
		}
	}
	if s.AllowFinishing || !MayFinish(t) || t.node().op == opWatermark && s.Lateness == 0 {
		return nil
	}
	return fmt.Errorf("trigger %v may finish, and what arrives for its window after that would be lost: repeat it (Repeat, AfterWatermark().Late) or use AllowUnsafeTrigger", t)
}

// String returns the canonical form, which enters the hash of the graph. What is
// at its default is left out.
func (s Strategy) String() string {
	var b strings.Builder
	b.WriteString(s.Fn.String())
	if !s.IsDefaultTrigger() {
		fmt.Fprintf(&b, " trigger=%v", s.Trigger)
	}
	if s.Accumulation != DiscardPanes {
		fmt.Fprintf(&b, " %v", s.Accumulation)
	}
	if s.Lateness != 0 {
		fmt.Fprintf(&b, " lateness=%v", s.Lateness)
	}
	if s.Timestamps != EndOfWindow {
		fmt.Fprintf(&b, " timestamps=%v", s.Timestamps)
	}
	if s.OnTime != OnTimeIfNonEmpty {
		fmt.Fprintf(&b, " on_time=%v", s.OnTime)
	}
	if s.Closing != CloseIfNonEmpty {
		fmt.Fprintf(&b, " closing=%v", s.Closing)
	}
	return b.String()
}

// Continued returns the strategy that the output of a grouping carries: the
// trigger's continuation and windows that do not merge again (M61). Everything
// else is kept.
func (s Strategy) Continued() Strategy {
	s.Fn = s.Fn.Merged()
	if s.Trigger != nil {
		s.Trigger = Continuation(s.Trigger)
	}
	return s
}

// Rewindow returns next as it applies to a collection windowed by s: with the
// longer allowed lateness of the two (M29).
func (s Strategy) Rewindow(next Strategy) Strategy {
	next.Lateness = max(next.Lateness, s.Lateness)
	return next
}
