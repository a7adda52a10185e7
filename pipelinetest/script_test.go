package pipelinetest_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/window"
)

var onTime = window.Pane{Timing: window.PaneOnTime, First: true, Last: true}

// A window is emitted at the step that passes its end, and not before.
func TestScript_windowFiresAtItsStep(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(1, 3, 4)
		s.Add(pipelinetest.AtMs(9, int64(5)), pipelinetest.AtMs(12, int64(6)))
		s.AdvanceWatermarkMs(9)
		fired := s.AdvanceWatermarkMs(10)
		s.AddMs(5, 100)
		end := s.EndStep()

		n := pipelinetest.Stream(p, s).Windowed(window.Fixed(10 * time.Millisecond))
		sums := pipeline.Pairs(pipeline.CombinePerKey(pipeline.KeyBy(n, parity), sum))
		pipelinetest.EmptyBefore(t, sums, fired)
		pipelinetest.EqualAt(t, sums, fired, kv("even", 4), kv("odd", 8))
		first := window.Interval{Start: 0, End: 10}
		pipelinetest.EqualOutputs(t, sums,
			pipelinetest.Output[KV]{Value: kv("even", 4), Window: first, TimestampMs: 9, Pane: onTime, Step: fired},
			pipelinetest.Output[KV]{Value: kv("odd", 8), Window: first, TimestampMs: 9, Pane: onTime, Step: fired},
			pipelinetest.Output[KV]{Value: kv("even", 6), Window: window.Interval{Start: 10, End: 20}, TimestampMs: 19, Pane: onTime, Step: end},
		)
	})
}

// Two scripts are one sequence; the slower one holds the watermark until it ends.
func TestScript_twoStreams(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		a, b := pipelinetest.NewScript[int64](t), pipelinetest.NewScript[int64](t)
		b.AddMs(1, 2)
		a.AddMs(2, 4)
		a.AdvanceWatermarkMs(50)
		ended := b.End()
		a.AdvanceWatermarkMs(60)

		n := pipeline.Flatten(pipelinetest.Stream(p, a), pipelinetest.Stream(p, b)).Windowed(window.Fixed(10 * time.Millisecond))
		sums := pipeline.Pairs(pipeline.CombinePerKey(pipeline.KeyBy(n, parity), sum))
		pipelinetest.EqualOutputs(t, sums,
			pipelinetest.Output[KV]{Value: kv("even", 6), Window: window.Interval{Start: 0, End: 10}, TimestampMs: 9, Pane: onTime, Step: ended})
	})
}

// Rule M1: what a function makes of an element in one of its windows is in that
// window only, however many functions follow.
func TestParDo_slidingWindowsAreAssignedOnce(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		at := s.AddMs(7, 3)
		n := pipelinetest.Stream(p, s).Windowed(window.Sliding(10*time.Millisecond, 5*time.Millisecond))
		for range 3 {
			n = pipeline.ParDo(n, func(_ *pipeline.DoFn, emit pipeline.Emit[int64]) func(pipeline.Elem, int64) error {
				return func(_ pipeline.Elem, v int64) error { emit(v); return nil }
			})
		}
		first, second := window.Interval{Start: 0, End: 10}, window.Interval{Start: 5, End: 15}
		pipelinetest.EqualOutputs(t, pipeline.Reshuffle(n),
			pipelinetest.Output[int64]{Value: 3, Window: first, TimestampMs: 7, Step: at},
			pipelinetest.Output[int64]{Value: 3, Window: second, TimestampMs: 7, Step: at})
		pipelinetest.EqualPerWindow(t, pipeline.Pairs(pipeline.CombinePerKey(pipeline.KeyBy(n, parity), sum)),
			map[window.Interval][]KV{first: {kv("odd", 3)}, second: {kv("odd", 3)}})
	})
}
