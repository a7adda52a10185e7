package pipeline_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/stretchr/testify/require"
)

// limit changes the limit from which on values are reported.
type limit struct{ Least int }

// above reports the values that are at or above the limit when they come.
func above(values pipeline.Keyed[string, int], limits pipeline.PCollection[limit]) pipeline.PCollection[int] {
	return pipeline.Stateful(values, "above", func(s *pipeline.Setup[string, int]) pipeline.Process[string, int, int] {
		now := pipeline.BroadcastState(s, "limit", limits, func(l *limit, next limit) { *l = next })
		return func(_ *pipeline.Ctx[string], v int, emit pipeline.Emit[int]) error {
			if v >= now.Get().Least {
				emit(v)
			}
			return nil
		}
	})
}

// Every key sees each change from when it comes, on all lanes, also after restarts.
func TestBroadcastState_changesForAllKeys(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		limits, values := pipelinetest.NewScript[limit](t), pipelinetest.NewScript[int](t)
		all := values.AddMs(0, 5, 9, 10, 11, 30)
		limits.AddMs(0, limit{10})
		some := values.AddMs(1, 5, 9, 10, 11, 30)
		limits.AddMs(1, limit{11}, limit{20})
		few := values.AddMs(2, 5, 9, 10, 11, 30)

		perKey := pipeline.KeyBy(pipelinetest.Stream(p, values), func(v int) string { return string(rune('a' + v%7)) })
		got := above(perKey, pipelinetest.Stream(p, limits))
		pipelinetest.EqualAt(t, got, all, 5, 9, 10, 11, 30)
		pipelinetest.EqualAt(t, got, some, 10, 11, 30)
		pipelinetest.EqualAt(t, got, few, 30)
	})
}

func TestBroadcastState_wrongUse(t *testing.T) {
	p := pipeline.New()
	above(pipeline.KeyBy(pipeline.Create(p, 1), func(int) string { return "k" }), pipeline.PCollection[limit]{})
	require.ErrorContains(t, p.Err(), "BroadcastState limit: its input is an empty collection")
	p, q := pipeline.New(), pipeline.New()
	above(pipeline.KeyBy(pipeline.Create(p, 1), func(int) string { return "k" }), pipeline.Create(q, limit{}))
	require.ErrorContains(t, p.Err(), `broadcast state "limit" and the main input belong to different pipelines`)
}
