package main

import (
	"testing"
	"time"

	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

func TestHistogram_goodToASixtyFourth(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 63, 64, 127, 128, 129, 1000, time.Millisecond, 3 * time.Second, 1 << 62} {
		up := ceiling(bucket(uint64(d)))
		require.GreaterOrEqual(t, up, d)
		require.LessOrEqual(t, float64(up-d), float64(d)/64, "%d -> %d", d, up)
		require.Equal(t, bucket(uint64(d)), bucket(uint64(up)))
	}
	var h, more histogram
	for i := range 100 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	h.add(-1) // a clock that was read before the element's
	more.add(time.Hour)
	h.merge(&more)
	require.InDelta(t, 50e6, float64(h.quantile(0.5)), 1e6)
	require.InDelta(t, 100e6, float64(h.quantile(0.99)), 2e6)
	require.GreaterOrEqual(t, h.quantile(1), time.Hour)
}

// Goal: a pace changes no result, and every query tells how late its outputs are.
func TestRate_sameResultAndLatency(t *testing.T) {
	for _, q := range []string{"q0", "q3", "q5", "q7", "w2", "w3"} {
		res, err := run(q, 1_000_000, 5e6, false, local.Config{Parallelism: 2}, "")
		require.NoError(t, err)
		require.True(t, *res.AsExpected, "%+v", res)
		require.GreaterOrEqual(t, res.Seconds, 0.19)
		require.Positive(t, res.P50Ms)
		require.LessOrEqual(t, res.P50Ms, res.P99Ms)
	}
	_, err := run("w1", 1, 1, false, local.Config{}, "")
	require.ErrorContains(t, err, "-rate 1 of w1")
}
