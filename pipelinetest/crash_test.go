package pipelinetest_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// Goal: a run that crashes goes on from the checkpoint before its last step: what it
// knew and had shown is there, and once. Method: the step that was lost may be seen
// twice by a function with an effect of its own (if it had come so far), and counts once.
func TestScript_crash(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(1, 1, 2)
		s.AddMs(2, 3)
		s.Crash()
		s.AddMs(3, 4)
		fired := s.AdvanceWatermarkMs(10)
		s.Crash()

		var seen atomic.Int64
		n := pipeline.Map(pipelinetest.Stream(p, s), func(v int64) int64 {
			if v == 3 {
				seen.Add(1)
			}
			return v
		})
		sums := pipeline.Pairs(pipeline.CombinePerKey(pipeline.KeyBy(n.Windowed(window.Fixed(10*time.Millisecond)), parity), sum))
		pipelinetest.EqualAt(t, sums, fired, kv("even", 6), kv("odd", 4))
		t.Cleanup(func() { require.Contains(t, []int64{1, 2}, seen.Load()) })
	})
}

// A crash before the first step is a mistake of the test.
func TestScript_crashOfNothing(t *testing.T) {
	s := pipelinetest.NewScript[int64](pipelinetest.NewTimeline())
	require.PanicsWithValue(t, "pipelinetest: a crash before the first step of a script: there is nothing that could be lost", s.Crash)
}
