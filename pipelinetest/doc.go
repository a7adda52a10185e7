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
package pipelinetest
