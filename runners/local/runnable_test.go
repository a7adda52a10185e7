package local_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// What is in the graph but not run yet is refused by name and place.
func TestRun_refusesWhatItCannotRun(t *testing.T) {
	for _, tc := range []struct {
		want string
		fn   window.Fn
		opts []window.Option
	}{
		{"windows that merge", window.Sessions(time.Minute), nil},
		{"is not run yet; only the default trigger is", window.Fixed(time.Minute), []window.Option{window.Triggering(window.Repeat(window.AfterCount(3)))}},
		{"allowed lateness (1m0s) is not run yet", window.Fixed(time.Minute), []window.Option{window.AllowedLateness(time.Minute)}},
		{"timestamp combiners other than end-of-window are not run yet", window.Fixed(time.Minute), []window.Option{window.TimestampsAt(window.Earliest)}},
	} {
		p := pipeline.New()
		k := pipeline.KeyBy(pipeline.Create(p, 1), func(int) string { return "k" })
		pipeline.GroupByKey(k.Windowed(tc.fn, tc.opts...))
		_, err := local.Run(t.Context(), p, local.Config{})
		require.ErrorContains(t, err, "the local runner can't run this pipeline yet:\n  local/runnable_test.go:")
		require.ErrorContains(t, err, ": GroupByKey: ")
		require.ErrorContains(t, err, tc.want)
	}
}

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
