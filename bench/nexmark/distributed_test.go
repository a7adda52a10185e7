package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: every query gives on three processes the count and checksum that it gives on one,
// also while workers are killed with -9. Method: readers are slow enough for three kills,
// each at a random moment behind the return of the one before.
func TestQueries_distributed(t *testing.T) {
	t.Setenv(asCommand, "yes")
	program, err := os.Executable()
	require.NoError(t, err)
	for q := range queries {
		n, lanes := uint64(1_000_000), 1
		if q == "w1" {
			n = 100_000
		}
		if q == "q5" || q == "w2" {
			lanes = 2
		}
		for _, kills := range []int{0, 3} {
			if testing.Short() && q != "q5" {
				continue
			}
			t.Run(fmt.Sprint(q, " with ", kills, " kills"), func(t *testing.T) {
				c := cluster{workers: 3, lanes: lanes, kills: kills, seed: 1, program: program}
				if kills > 0 {
					c.throttle = float64(n) / float64(3*lanes) / 3 // three seconds, and what kills add
				}
				res, err := runDistributed(t.Context(), q, n, c)
				require.NoError(t, err)
				require.NotNil(t, res.AsExpected, "an expectation is on file")
				require.True(t, *res.AsExpected, "%+v", res)
				require.Equal(t, kills, res.Kills)
			})
		}
	}
}

// Goal: the same while the runner itself kills and pauses its workers, and it says so.
func TestQueries_chaos(t *testing.T) {
	t.Setenv(asCommand, "yes")
	program, err := os.Executable()
	require.NoError(t, err)
	c := cluster{workers: 3, lanes: 1, program: program, throttle: 1_000_000 / 3 / 3, chaos: "kill=500ms,pause=3s"}
	res, err := runDistributed(t.Context(), "w2", 1_000_000, c)
	require.NoError(t, err)
	require.True(t, *res.AsExpected, "%+v", res)
	require.Regexp(t, `^survived: \d+ kills?, \d+ pauses?, [1-9]\d* takeovers?; no slot was silent for more than [0-9.ms]+$`, res.Survived)
	t.Log(res.Survived)
}
