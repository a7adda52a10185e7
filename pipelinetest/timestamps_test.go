package pipelinetest_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// Rule M3: forward freely, backward within the allowed skew, and what lands behind
// the watermark is late.
func TestWithTimestamps_forwardAndWithinSkew(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AdvanceWatermarkMs(10)
		s.AddMs(20, 25, 15, 12, 2) // to these times; the last is late
		s.AdvanceWatermarkMs(30)

		n := pipeline.WithTimestampsMs(pipelinetest.Stream(p, s), func(e pipeline.Elem, v int64) int64 { return v }, pipeline.AllowedSkew(18*time.Millisecond))
		sums := pipeline.CombinePerKey(pipeline.KeyBy(n.Windowed(window.Fixed(10*time.Millisecond)), func(int64) string { return "sum" }), sum)
		pipelinetest.EqualPerWindow(t, pipeline.Pairs(sums), map[window.Interval][]KV{
			{Start: 10, End: 20}: {kv("sum", 27)}, {Start: 20, End: 30}: {kv("sum", 25)}})
	})
}

func TestWithTimestamps_backwardBeyondSkewFailsTheElement(t *testing.T) {
	build := func(p *pipeline.Pipeline, opts ...pipeline.TimestampOption) pipeline.PCollection[int64] {
		n := pipeline.CreateTimestamped(p, pipelinetest.AtMs(100, int64(1)), pipelinetest.AtMs(200, int64(2)))
		return pipeline.WithTimestamps(n, func(e pipeline.Elem, v int64) time.Time {
			return e.Timestamp().Add(-time.Duration(v) * time.Millisecond)
		}, opts...)
	}
	err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) { pipeline.Collect(build(p)) })
	require.ErrorContains(t, err, "WithTimestamps")
	require.ErrorContains(t, err, "ms before the element's own, and 0 ms are allowed: see AllowedSkew")

	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		n := build(p, pipeline.AllowedSkew(time.Millisecond))
		pipelinetest.Equal(t, n, 1)
		pipelinetest.Satisfies(t, pipeline.DeadLetters(p), func(t *pipelinetest.T, got []pipeline.DeadLetter) {
			require.Len(t, got, 1)
			require.Contains(t, got[0].Error, "timestamp 198 ms is 2 ms before the element's own, and 1 ms are allowed")
		})
	}, pipelinetest.OnError(local.DeadLetter))
}

func TestWithTimestamps_wrongPrograms(t *testing.T) {
	p := pipeline.New()
	n := pipeline.Create(p, 1)
	at := func(pipeline.Elem, int) int64 { return 0 }
	pipeline.WithTimestampsMs(n, nil)
	pipeline.WithTimestampsMs(n, at, pipeline.AllowedSkew(-1))
	pipeline.WithTimestampsMs(n.Windowed(window.Fixed(time.Second)), at)
	for _, want := range []string{
		"WithTimestampsMs: the function is nil", "WithTimestamps: AllowedSkew(-1ns): want 0 or more",
		"WithTimestamps: its collection has windows fixed(1s) already, which are found by timestamp: put it before Windowed",
	} {
		require.ErrorContains(t, p.Err(), want)
	}
}
