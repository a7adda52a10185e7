package pipelinetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// Script is what a stream brings, step by step: elements, a watermark, the passing
// of time. Everything that a step causes is over before the next is taken.
//
//	s := pipelinetest.NewScript[Click](t)
//	s.AddMs(1_000, click)
//	fired := s.AdvanceWatermarkMs(60_000)
//	clicks := pipelinetest.Stream(p, s)
//
// Its watermark begins at the start of time and moves by AdvanceWatermark only.
// The stream ends behind the last step.
type Script[E any] struct {
	tl    *Timeline
	owner int
	acts  map[int]act[E] // by step of the timeline
	last  int            // the step that ends it; -1: none of its own
	used  bool
}

// act is what one step of a script does.
type act[E any] struct {
	elements []pipeline.Timestamped[E]
	wm       *int64
	idle     bool
}

// do does it; again is the part that a reader which begins behind it has to know.
func (a act[E]) do(out *pipeline.Output[E]) {
	for _, e := range a.elements {
		out.EmitAt(e.Time.UnixMilli(), e.Value)
	}
	a.again(out)
}

func (a act[E]) again(out *pipeline.Output[E]) {
	if len(a.elements) > 0 {
		out.Watermark(window.MinTime) // no longer idle
	}
	if a.wm != nil {
		out.Watermark(*a.wm)
	}
	if a.idle {
		out.Idle()
	}
}

// OnTimeline is what a script is made on: a [T], which has a timeline, or a [Timeline].
type OnTimeline interface{ timeline() *Timeline }

// NewScript makes an empty script. The steps of all scripts of a test are one
// sequence, in the order of the calls, also across scripts.
func NewScript[E any](on OnTimeline) *Script[E] {
	tl := on.timeline()
	return &Script[E]{tl: tl, owner: tl.join(), acts: map[int]act[E]{}, last: -1}
}

// At is an element with its event time, for [Script.Add].
func At[E any](t time.Time, v E) pipeline.Timestamped[E] {
	return pipeline.Timestamped[E]{Time: t, Value: v}
}

// AtMs is [At] in Unix milliseconds.
func AtMs[E any](ms int64, v E) pipeline.Timestamped[E] { return At(time.UnixMilli(ms), v) }

// Add brings elements, as one bundle. The watermark stays: elements may be late.
func (s *Script[E]) Add(es ...pipeline.Timestamped[E]) Step {
	if !s.tl.each || len(es) < 2 {
		return s.act(0, act[E]{elements: es})
	}
	label := s.act(0, act[E]{elements: es[:1]})
	for i := range es[1:] {
		s.acts[s.tl.again(s.owner)] = act[E]{elements: es[i+1 : i+2]}
	}
	return label
}

// AddMs is [Script.Add] of elements with one time, in Unix milliseconds.
func (s *Script[E]) AddMs(ms int64, vs ...E) Step {
	es := make([]pipeline.Timestamped[E], len(vs))
	for i, v := range vs {
		es[i] = AtMs(ms, v)
	}
	return s.Add(es...)
}

// AdvanceWatermark promises that nothing before t will come in time. A watermark
// never falls: an earlier t does nothing.
func (s *Script[E]) AdvanceWatermark(t time.Time) Step { return s.AdvanceWatermarkMs(t.UnixMilli()) }

// AdvanceWatermarkMs is [Script.AdvanceWatermark] in Unix milliseconds.
func (s *Script[E]) AdvanceWatermarkMs(ms int64) Step {
	return s.act(0, act[E]{wm: &ms})
}

// AdvanceClock lets d pass on the clock, which is one for all scripts of a test:
// processing-time timers and triggers that are due then fire. The stream itself
// does not count as silent meanwhile: where that matters (pipeline.IdleAfter) let
// another script, of a stream that nobody waits for, advance the clock.
func (s *Script[E]) AdvanceClock(d time.Duration) Step {
	if d <= 0 {
		panic(fmt.Sprintf("pipelinetest: AdvanceClock(%v): want a positive duration", d))
	}
	return s.act(d, act[E]{})
}

// Idle says that the stream is silent: until its next elements or watermark others
// do not wait for it.
func (s *Script[E]) Idle() Step { return s.act(0, act[E]{idle: true}) }

// Crash lets the run crash behind the steps so far: what the last of them did is in
// no checkpoint yet and lost, the rest of the test sees what the run does that goes
// on from the checkpoint before it. The test's state is then kept in a folder.
func (s *Script[E]) Crash() { s.tl.crash() }

// End ends this stream, while others may go on: its watermark is the end of time.
// Without it the stream ends with all others, behind the last step.
func (s *Script[E]) End() Step {
	i, label := s.add(0)
	s.last = i
	return label
}

// EndStep is the step with which all streams end that have no End of their own.
// Ask for it when all else is written.
func (s *Script[E]) EndStep() Step {
	s.tl.mu.Lock()
	defer s.tl.mu.Unlock()
	if n := len(s.tl.steps); n > 0 {
		return s.tl.steps[n-1].label + 1
	}
	return 0
}

// act adds a step.
func (s *Script[E]) act(clock time.Duration, a act[E]) Step {
	i, label := s.add(clock)
	s.acts[i] = a
	return label
}

func (s *Script[E]) add(clock time.Duration) (int, Step) {
	if s.last >= 0 {
		panic("pipelinetest: a step of a script behind its End")
	}
	return s.tl.add(s.owner, clock)
}

// Stream reads a script. A script is one stream: read it once, and use the
// collection as often as you like.
func Stream[E any](p *pipeline.Pipeline, s *Script[E], opts ...pipeline.Option) pipeline.PCollection[E] {
	if s.used {
		pipeline.Fail(p, "pipelinetest.Stream: the script is read already: use the collection twice instead")
	}
	s.used = true
	return pipeline.Read[E](p, "pipelinetest.Stream", s, opts...)
}

// Bounded implements [pipeline.Source]: a stream may end, but nobody knows that before.
func (s *Script[E]) Bounded() bool { return false }

// Splits implements [pipeline.Source]: a script is one split, so that all scripts
// of a test are read on one lane.
func (s *Script[E]) Splits(context.Context, int) ([]pipeline.Split[E], error) {
	s.tl.seal()
	return []pipeline.Split[E]{scriptSplit[E]{s}}, nil
}

type scriptSplit[E any] struct{ s *Script[E] }

func (x scriptSplit[E]) ID() string  { return "script" }
func (x scriptSplit[E]) Size() int64 { return 0 }

func (x scriptSplit[E]) Open(_ context.Context, pos []byte) (pipeline.Reader[E], error) {
	next := uint64(0)
	if pos != nil {
		var n int
		if next, n = binary.Uvarint(pos); n <= 0 {
			return nil, errors.New("the position of a script is cut off")
		}
	}
	x.s.tl.open(x.s.owner, int(next))
	return &scriptReader[E]{s: x.s, from: int(next)}, nil
}

// scriptReader takes the steps of one script.
type scriptReader[E any] struct {
	s     *Script[E]
	from  int  // the first step that it has not passed when opened
	ready bool // was asked before: by now all other scripts of the lane are open
	taken int64
}

// Read implements [pipeline.Reader]. However few elements it is asked for, it
// takes a whole step, which is a bundle.
func (r *scriptReader[E]) Read(_ int, out *pipeline.Output[E]) (pipeline.ReadState, error) {
	if !r.ready {
		r.ready = true
		for i := range r.from {
			r.s.acts[i].again(out)
		}
		return pipeline.Idle, nil
	}
	i, ok := r.s.tl.take(r.s.owner)
	if !ok {
		return pipeline.Idle, nil
	}
	r.taken++
	if a, own := r.s.acts[i]; own {
		a.do(out)
		if r.s.tl.crashed(i) {
			return pipeline.Done, ErrCrash
		}
		return pipeline.More, nil
	}
	r.s.tl.end(r.s.owner)
	return pipeline.Done, nil
}

// Position implements [pipeline.Reader]. It is asked for at each snapshot, and so
// tells that all which the last step caused is over.
func (r *scriptReader[E]) Position(b []byte) []byte {
	return binary.AppendUvarint(b, uint64(r.s.tl.snapshot(r.s.owner)))
}

func (r *scriptReader[E]) Where() string   { return fmt.Sprintf("step %d", r.s.tl.Step()) }
func (r *scriptReader[E]) Progress() int64 { return r.taken }
func (r *scriptReader[E]) Close() error    { return nil }
