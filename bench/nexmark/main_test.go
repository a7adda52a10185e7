package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: every query gives the expected count and checksum on 1, 2 and 7 lanes,
// fused and not, and with snapshots; in short, with snapshots.
func TestQueries_asExpected(t *testing.T) {
	all := []local.Config{{Parallelism: 2, Checkpoint: 10_000_000}, {Parallelism: 1}, {Parallelism: 2}, {Parallelism: 7}, {Parallelism: 2, NoFusion: true}}
	if testing.Short() {
		all = all[:1]
	}
	for q := range queries {
		n := uint64(1_000_000)
		if q == "w1" {
			n = 100_000
		}
		for _, cfg := range all {
			t.Run(fmt.Sprint(q, " on ", cfg.Parallelism, " lanes"), func(t *testing.T) {
				res, err := run(q, n, 0, false, cfg, "")
				require.NoError(t, err)
				require.NotNil(t, res.AsExpected, "an expectation is on file")
				require.True(t, *res.AsExpected, "%+v", res)
			})
		}
	}
}

// asCommand is the variable that makes the test program the command itself.
const asCommand = "NEXMARK_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Goal: every query gives the expected count and checksum with its state and
// checkpoints on disk, also when the process is killed with -9 in the middle and
// another one goes on.
func TestQueries_crash(t *testing.T) {
	t.Setenv(asCommand, "yes")
	program, err := os.Executable()
	require.NoError(t, err)
	for q := range queries {
		if testing.Short() && q != "q5" && q != "w2" {
			continue
		}
		for _, state := range []string{"memory", "pebble"} {
			t.Run(q+" "+state, func(t *testing.T) {
				n := 1_000_000
				if q == "w1" {
					n = 100_000
				}
				var out bytes.Buffer
				require.NoError(t, crashOnce(program, []string{"-q=" + q, fmt.Sprint("-n=", n), "-parallelism=2", "-checkpoint-interval=5ms",
					"-state=" + state, "-state-dir=" + t.TempDir()}, &out))
				var res result
				require.NoError(t, json.Unmarshal(out.Bytes(), &res), out.String())
				require.NotNil(t, res.AsExpected, "an expectation is on file")
				require.True(t, *res.AsExpected, "%+v", res)
			})
		}
	}
}

// What is compared is the same query with the same result, and the shares are of medians.
func TestCompare(t *testing.T) {
	t.Setenv(asCommand, "yes")
	program, err := os.Executable()
	require.NoError(t, err)
	c, err := compare(program, []string{"-q=w2", "-n=1000000", "-parallelism=2"}, "pebble", 5*time.Millisecond, 2)
	require.NoError(t, err)
	assert.Equal(t, comparison{Engine: "millrace", Query: "w2", Par: 2, Events: 1_000_000, State: "pebble", IntervalMs: 5, Rounds: 2,
		Without: c.Without, With: c.With, Cost: c.Cost, NsWithout: c.NsWithout, NsWith: c.NsWith, CostCPU: c.CostCPU}, *c)
	assert.Positive(t, c.With)
	assert.InDelta(t, 1-c.With/c.Without, c.Cost, 1e-3)
	_, err = compare(program, []string{"-q=q99"}, "", time.Second, 1)
	assert.ErrorContains(t, err, "exit status 1")
	assert.Equal(t, 2.5, median([]float64{4, 1, 3, 2}))
}

func TestRun_unknownQuery(t *testing.T) {
	_, err := run("q99", 1, 0, false, local.Config{}, "")
	require.EqualError(t, err, `no query "q99": there is q0, q1, q2, q3, q5, q7, w1, w2, w3`)
}
