package main

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

// Goal: every query gives the expected count and checksum on 1, 2 and 7 lanes,
// fused and not, and with snapshots.
func TestQueries_asExpected(t *testing.T) {
	for q := range queries {
		n := uint64(1_000_000)
		if q == "w1" {
			n = 100_000
		}
		for _, cfg := range []local.Config{{Parallelism: 1}, {Parallelism: 2}, {Parallelism: 7}, {Parallelism: 2, NoFusion: true}, {Parallelism: 2, Checkpoint: 10_000_000}} {
			t.Run(fmt.Sprint(q, " on ", cfg.Parallelism, " lanes"), func(t *testing.T) {
				res, err := run(q, n, 0, cfg, "")
				require.NoError(t, err)
				require.NotNil(t, res.AsExpected, "an expectation is on file")
				require.True(t, *res.AsExpected, "%+v", res)
			})
		}
	}
}

func TestRun_unknownQuery(t *testing.T) {
	_, err := run("q99", 1, 0, local.Config{}, "")
	require.EqualError(t, err, `no query "q99": there is q0, q1, q2, q3, q5, q7, w1, w2, w3`)
}
