package pipeline

import (
	"time"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
)

// Timer is one timer for each key and window, in event time ([EventTimer]) or by
// the clock ([ProcessingTimer]).
//
// A timer has an output time: what it emits has it, and the watermark of what
// follows does not pass it until the timer has fired (M78). In event time it is
// the time that the timer is set to unless SetOut says otherwise; by the clock it
// is the time of the element or timer that set it (M80).
//
// A mistake panics with a sentence, which fails the element: an event timer, or an
// output time, beyond the end of the window and its allowed lateness (M79); an
// output time before the element at hand, or behind the event timer itself.
type Timer[K comparable] struct{ t *flow.Timer }

// EventTimer declares a [Timer] and what it does when the watermark passes the
// time it was set to. At the end of the input all of them fire.
func EventTimer[K comparable, O any](s *Setup[K, O], name string, fire func(c *Ctx[K], emit Emit[O]) error) Timer[K] {
	return Timer[K]{addTimer(s, &flow.Timer{Name: name}, graph.PartEventTimer, fire == nil, func(*flow.Timer) error { return fire(s.ctx, s.emit) })}
}

// ProcessingTimer declares a [Timer] on the machine's clock: it fires once the
// clock has passed the time it was set to, unless its window is over before. At the
// end of the input those that are set fire once, early; what they set again is
// dropped and counted (droppedTimersAtEnd, M81).
func ProcessingTimer[K comparable, O any](s *Setup[K, O], name string, fire func(c *Ctx[K], emit Emit[O]) error) Timer[K] {
	return Timer[K]{addTimer(s, &flow.Timer{Name: name, Clock: true}, graph.PartClockTimer, fire == nil, func(*flow.Timer) error { return fire(s.ctx, s.emit) })}
}

// addTimer declares t, with fire as what it does.
func addTimer[K comparable, O any](s *Setup[K, O], t *flow.Timer, kind string, missing bool, fire func(*flow.Timer) error) *flow.Timer {
	if missing && s.p != nil {
		s.p.g.Errorf("Stateful: the function of timer %q is nil", t.Name)
	}
	t.Fire = func() error { return fire(t) }
	return s.lane.AddTimer(s.declare(kind, t.Name).String(), t)
}

// Set sets the timer, replacing an earlier time. A time that has passed fires as
// soon as the elements at hand are done with.
func (t Timer[K]) Set(c *Ctx[K], at time.Time) { t.SetMs(c, at.UnixMilli()) }

// SetMs is [Timer.Set] in Unix milliseconds.
func (t Timer[K]) SetMs(c *Ctx[K], at int64) { t.t.Set(c.k.Row, "", at, nil); c.k.Touch() }

// SetOut is [Timer.Set] with an output time.
func (t Timer[K]) SetOut(c *Ctx[K], at, out time.Time) {
	t.SetOutMs(c, at.UnixMilli(), out.UnixMilli())
}

// SetOutMs is [Timer.SetOut] in Unix milliseconds.
func (t Timer[K]) SetOutMs(c *Ctx[K], at, out int64) { t.t.Set(c.k.Row, "", at, &out); c.k.Touch() }

// SetAfter sets the timer to d after now by its own time: after the element or
// timer at hand in event time, after the clock's time in processing time.
func (t Timer[K]) SetAfter(c *Ctx[K], d time.Duration) { t.SetMs(c, after(t.t, c, d)) }

func after[K comparable](t *flow.Timer, c *Ctx[K], d time.Duration) int64 {
	if t.Clock {
		return c.k.Now + d.Milliseconds()
	}
	return c.k.TS + d.Milliseconds()
}

// Get is the time that the timer is set to, and whether it is set.
func (t Timer[K]) Get(c *Ctx[K]) (time.Time, bool) {
	at, ok := t.t.Get(c.k.Row, "")
	return time.UnixMilli(at), ok
}

// Clear unsets the timer.
func (t Timer[K]) Clear(c *Ctx[K]) { t.t.Clear(c.k.Row, ""); c.k.Cleared() }

// TimerFamily is any number of timers for each key and window, told apart by tags.
// Those of one key are searched one by one: let there be tens, not thousands.
type TimerFamily[K comparable] struct{ t *flow.Timer }

// EventTimerFamily declares a [TimerFamily] in event time; see [EventTimer].
func EventTimerFamily[K comparable, O any](s *Setup[K, O], name string, fire func(c *Ctx[K], tag string, emit Emit[O]) error) TimerFamily[K] {
	return TimerFamily[K]{addTimer(s, &flow.Timer{Name: name, Family: true}, graph.PartEventTimers, fire == nil, func(t *flow.Timer) error { return fire(s.ctx, t.Tag, s.emit) })}
}

// ProcessingTimerFamily declares a [TimerFamily] by the clock; see [ProcessingTimer].
func ProcessingTimerFamily[K comparable, O any](s *Setup[K, O], name string, fire func(c *Ctx[K], tag string, emit Emit[O]) error) TimerFamily[K] {
	return TimerFamily[K]{addTimer(s, &flow.Timer{Name: name, Family: true, Clock: true}, graph.PartClockTimers, fire == nil, func(t *flow.Timer) error { return fire(s.ctx, t.Tag, s.emit) })}
}

// Set sets the timer of that tag, replacing an earlier time.
func (t TimerFamily[K]) Set(c *Ctx[K], tag string, at time.Time) { t.SetMs(c, tag, at.UnixMilli()) }

// SetMs is [TimerFamily.Set] in Unix milliseconds.
func (t TimerFamily[K]) SetMs(c *Ctx[K], tag string, at int64) {
	t.t.Set(c.k.Row, tag, at, nil)
	c.k.Touch()
}

// SetOut is [TimerFamily.Set] with an output time.
func (t TimerFamily[K]) SetOut(c *Ctx[K], tag string, at, out time.Time) {
	t.SetOutMs(c, tag, at.UnixMilli(), out.UnixMilli())
}

// SetOutMs is [TimerFamily.SetOut] in Unix milliseconds.
func (t TimerFamily[K]) SetOutMs(c *Ctx[K], tag string, at, out int64) {
	t.t.Set(c.k.Row, tag, at, &out)
	c.k.Touch()
}

// SetAfter is [Timer.SetAfter] for the timer of that tag.
func (t TimerFamily[K]) SetAfter(c *Ctx[K], tag string, d time.Duration) {
	t.SetMs(c, tag, after(t.t, c, d))
}

// Clear unsets the timer of that tag.
func (t TimerFamily[K]) Clear(c *Ctx[K], tag string) { t.t.Clear(c.k.Row, tag); c.k.Cleared() }

// OnWindowExpiry declares what happens when a window of a key that has state or
// timers is over: the watermark has passed its end and the allowed lateness, and
// its last timers have fired. f sees the state for the last time and may emit, at
// the window's last instant; then everything goes (M73). The global window is over
// at the end of the input.
func OnWindowExpiry[K comparable, O any](s *Setup[K, O], f func(c *Ctx[K], emit Emit[O]) error) {
	if s.p != nil && (f == nil || s.expire != nil) {
		s.p.g.Errorf("Stateful: OnWindowExpiry wants one function that is not nil, once")
	}
	s.expire = func() error { return f(s.ctx, s.emit) }
}
