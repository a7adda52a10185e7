// Package pipelinetest tests pipelines: build one in a test, assert on its
// collections, and it is run in several ways that must all give the same.
//
//	func TestCount(t *testing.T) {
//		pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
//			words := pipeline.Create(p, "a", "b", "a")
//			counts := transforms.Count(pipeline.KeyBy(words, strings.ToLower))
//			pipelinetest.Equal(t, pipeline.Pairs(counts), pipeline.NewKV("a", int64(2)), pipeline.NewKV("b", int64(1)))
//		})
//	}
//
// The ways are: one lane; several lanes; every transform behind a queue of its
// own; and a snapshot with a restart from it after every bundle. A pipeline that
// depends on how elements are spread, ordered or bundled fails in one of them.
//
// # Streams
//
// A [Script] says step by step what a stream brings: elements, a watermark, the
// passing of time. All that a step causes is over before the next, under a clock
// that only the script moves, so a test can say when something must come, and
// that it must not come before.
//
//	func TestCount_late(t *testing.T) {
//		pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
//			s := pipelinetest.NewScript[string](t)
//			s.AddMs(1_000, "a", "b", "a")
//			closed := s.AdvanceWatermarkMs(60_000)
//			s.AddMs(2_000, "too late")
//
//			words := pipelinetest.Stream(p, s).Windowed(window.Fixed(time.Minute))
//			counts := pipeline.Pairs(transforms.Count(pipeline.KeyBy(words, strings.ToLower)))
//			pipelinetest.EmptyBefore(t, counts, closed)
//			pipelinetest.EqualAt(t, counts, closed, pipeline.NewKV("a", int64(2)), pipeline.NewKV("b", int64(1)))
//		})
//	}
//
// [EqualOutputs] and [SatisfiesOutputs] compare windows, timestamps and panes, too.
package pipelinetest
