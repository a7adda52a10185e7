package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed alone, and tell what happens")
	seedsFlag = flag.Int("seeds", 5000, "how many seeds to run")
)

// TestSim runs seeds. When one fails, its plan is shrunk and its trace printed;
// go test ./internal/commit/sim -run 'TestSim$' -seed=N -v runs it again.
func TestSim(t *testing.T) {
	if *seedFlag != 0 {
		p := NewPlan(*seedFlag)
		t.Logf("%v", p)
		res := Run(p, openLog, func(line string) { t.Log(line) })
		t.Logf("%v", res.Count)
		require.NoError(t, res.Err)
		return
	}
	n := *seedsFlag
	if testing.Short() {
		n = min(n, 500)
	}
	var all Counters
	begun := time.Now()
	for seed := uint64(1); seed <= uint64(n); seed++ {
		res := Run(NewPlan(seed), openLog, nil)
		if res.Err != nil {
			t.Fatalf("seed %d: %v", seed, res.Err)
		}
		all.Add(res.Count)
	}
	t.Logf("%d seeds, %.0f a second\n%v", n, float64(n)/time.Since(begun).Seconds(), all)
}
