package main

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	beChild() // this binary is the workers, too
	os.Exit(m.Run())
}

// Goal: every way brings all records over, and has figures of them.
func TestRun(t *testing.T) {
	var got []*result
	l := load{records: 20_000, size: 100, keys: 64, lanes: 1, epoch: 10 * time.Millisecond, rate: 50_000, timed: 200 * time.Millisecond, rounds: 1}
	require.NoError(t, run(t.Context(), l, ways, func(r *result) error {
		got = append(got, r)
		return nil
	}))
	require.Len(t, got, len(ways))
	for i, r := range got {
		require.Equal(t, ways[i], r.Way)
		for name, f := range map[string]float64{
			"records_per_s": r.RecordsPerS, "ratio_to_tcp": r.RatioToTCP, "ratio_to_core": r.RatioToCore,
			"cpu_ns_per_record": r.CPUNs, "committed_p50_ms": r.P50Ms, "committed_p99_ms": r.P99Ms,
		} {
			require.Positive(t, f, "%s of %s", name, r.Way)
		}
		require.Equal(t, isJob(r.Way), r.CommitsPerS > 0 && r.ReadyMs > 0 && r.PutMs > 0, "commits of %s", r.Way)
		held := i > slices.Index(ways, "committed-core")
		require.Equal(t, held, r.P50ToCore > 0 && r.P50ToTCP > 0 && r.Way != "committed-core", "ratios of %s", r.Way)
	}
}

// Goal: who asks for what there is not is told so.
func TestRun_refuses(t *testing.T) {
	tell := func(*result) error { return nil }
	require.ErrorContains(t, run(t.Context(), load{size: 100}, []string{"pigeons"}, tell), `no "pigeons"`)
	require.ErrorContains(t, run(t.Context(), load{size: 99}, ways, tell), "-size 99")
}
