package pipelinetest

import (
	"fmt"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// Output is an element of a collection with all that belongs to it.
type Output[E any] struct {
	Value       E
	Window      window.Interval
	TimestampMs int64
	Pane        window.Pane
	Step        Step // of the test's scripts, that brought it about
}

func (o Output[E]) String() string {
	s := fmt.Sprintf("step %d: %+v in %v at %d", o.Step, o.Value, o.Window, o.TimestampMs)
	if o.Pane != (window.Pane{}) {
		s += fmt.Sprint(" ", o.Pane)
	}
	return s
}

// Observe is c with what belongs to each element, an element in several windows
// once for each. tl is the timeline of the scripts that c comes from; nil: there
// is none, and all steps are [Never].
func Observe[E any](c pipeline.PCollection[E], tl *Timeline) pipeline.PCollection[Output[E]] {
	return pipeline.ParDo(c, func(_ *pipeline.DoFn, emit pipeline.Emit[Output[E]]) func(pipeline.Elem, E) error {
		return func(e pipeline.Elem, v E) error {
			o := Output[E]{Value: v, Window: e.Window(), TimestampMs: e.TimestampMs(), Pane: e.Pane(), Step: Never}
			if tl != nil {
				o.Step = tl.Step()
			}
			emit(o)
			return nil
		}
	})
}

// observed collects c with what belongs to each element, and checks it after the
// run, also against the other ways to run.
func observed[E any](t *T, c pipeline.PCollection[E], f func(got []Output[E])) {
	t.Helper()
	check(t, Observe(c, t.tl), f)
}

// EqualOutputs asserts what c brings, with windows, timestamps, panes and steps,
// in any order.
func EqualOutputs[E any](t *T, c pipeline.PCollection[E], want ...Output[E]) {
	t.Helper()
	observed(t, c, func(got []Output[E]) {
		t.Helper()
		missing, extra := compare(want, got)
		if len(missing)+len(extra) > 0 {
			t.Errorf("the collection is not as expected (- missing, + not expected; %d of %d match):\n%s",
				len(want)-len(missing), len(want), diff(lines(missing), lines(extra)))
		}
	})
}

// EqualAt asserts what c brings in one step, in any order.
func EqualAt[E any](t *T, c pipeline.PCollection[E], step Step, want ...E) {
	t.Helper()
	observed(t, c, func(got []Output[E]) {
		t.Helper()
		var at []E
		for _, o := range got {
			if o.Step == step {
				at = append(at, o.Value)
			}
		}
		missing, extra := compare(want, at)
		if len(missing)+len(extra) > 0 {
			t.Errorf("step %d is not as expected (- missing, + not expected):\n%s  all that came:\n%s",
				step, diff(lines(missing), lines(extra)), diff(nil, lines(got)))
		}
	})
}

// EmptyBefore asserts that c brings nothing before a step.
func EmptyBefore[E any](t *T, c pipeline.PCollection[E], step Step) {
	t.Helper()
	observed(t, c, func(got []Output[E]) {
		t.Helper()
		var early []Output[E]
		for _, o := range got {
			if o.Step < step {
				early = append(early, o)
			}
		}
		if len(early) > 0 {
			t.Errorf("came before step %d:\n%s", step, diff(nil, lines(early)))
		}
	})
}

// SatisfiesOutputs asserts what f says of all that c brings, in no order.
func SatisfiesOutputs[E any](t *T, c pipeline.PCollection[E], f func(t *T, got []Output[E])) {
	t.Helper()
	observed(t, c, func(got []Output[E]) { t.Helper(); f(t, got) })
}
