package local_test

import (
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

func TestRun_refusesProcessingTimers(t *testing.T) {
	p := pipeline.New()
	k := pipeline.KeyBy(pipeline.Create(p, 1), func(int) string { return "k" })
	pipeline.Stateful(k, "clock", func(s *pipeline.Setup[string, int]) pipeline.Process[string, int, int] {
		pipeline.ProcessingTimer(s, "flush", func(*pipeline.Ctx[string], pipeline.Emit[int]) error { return nil })
		return func(*pipeline.Ctx[string], int, pipeline.Emit[int]) error { return nil }
	})
	require.NoError(t, p.Err())
	_, err := local.Run(t.Context(), p, local.Config{})
	require.ErrorContains(t, err, "local/runnable_test.go:")
	require.ErrorContains(t, err, "clock: processing-time timers are not run yet; use an event timer")
}
