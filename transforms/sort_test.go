package transforms_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/transforms"
)

// Values come in the order of their times, when the watermark has passed them, and
// with their own times; what is late is dropped and counted (M83).
func TestSortByTime(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[string](t)
		s.Add(pipelinetest.AtMs(30, "a30"), pipelinetest.AtMs(10, "a10"), pipelinetest.AtMs(20, "a20"), pipelinetest.AtMs(10, "a10 too"), pipelinetest.AtMs(15, "b15"))
		first := s.AdvanceWatermarkMs(20)
		s.Add(pipelinetest.AtMs(19, "a19, late"), pipelinetest.AtMs(25, "a25"), pipelinetest.AtMs(20, "a20 too"))
		second := s.AdvanceWatermarkMs(26)
		end := s.EndStep()

		byLetter := pipeline.KeyBy(pipelinetest.Stream(p, s), func(v string) string { return v[:1] })
		// What has come so far is emitted with each value: so the order shows.
		seen := pipeline.Stateful(transforms.SortByTime(byLetter), "seen", func(s *pipeline.Setup[string, string]) pipeline.Process[string, string, string] {
			all := pipeline.ValueState[string](s, "all")
			return func(c *pipeline.Ctx[string], v string, emit pipeline.Emit[string]) error {
				all.Set(c, all.Get(c)+v+";")
				emit(all.Get(c))
				return nil
			}
		})
		pipelinetest.EqualAt(t, seen, first, "a10;", "a10;a10 too;", "b15;")
		pipelinetest.EqualAt(t, seen, second, "a10;a10 too;a20;", "a10;a10 too;a20;a20 too;", "a10;a10 too;a20;a20 too;a25;")
		pipelinetest.EqualAt(t, seen, end, "a10;a10 too;a20;a20 too;a25;a30;")
		pipelinetest.EqualCounter(t, "droppedDueToLateness", 1)
	})
}
