package shuffletest

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/require"
)

// Goal: slots that end without a word, at any place, and come back from their stores
// leave no trace in the outcome. Method: seeds; while one slot is away the others go
// on. What an epoch sent is there when it is committed, whatever becomes of the sender.
func TestSlots_crash(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 2 * len(programs)
	}
	want := make([]string, len(programs))
	for i, x := range programs {
		want[i] = x.alone(t)
	}
	all := map[where]int{}
	for seed := range seeds {
		x := seed % len(programs)
		rnd := rand.New(rand.NewPCG(uint64(seed), 1))
		j := newJob(2+rnd.IntN(2), 1+rnd.IntN(2))
		j.window = rnd.IntN(4)
		often := map[where]int{sending: 1 + rnd.IntN(400), taking: 1 + rnd.IntN(800), cutting: 20, committing: 20, committed: 20}
		left := 12
		j.fault = func(w where) bool { // with the job's lock held
			if left == 0 || rnd.IntN(often[w]) > 0 {
				return false
			}
			left--
			all[w]++
			return true
		}
		cfg := engine.Config{Epoch: time.Millisecond, Ahead: rnd.IntN(2) == 0, Batch: 1 + rnd.IntN(32)}
		if rnd.IntN(3) == 0 {
			cfg.Epoch, cfg.EpochBundles = 0, 1
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		got := programs[x].outcome(t, func(p *pipeline.Pipeline) error { return j.runAll(ctx, p.Graph(), cfg, never) })
		cancel()
		require.Equal(t, want[x], got, "seed %d: %s, %d slots of %d lanes", seed, programs[x].name, len(j.slots), j.lanes)
	}
	for w := sending; w <= committed; w++ {
		require.Positive(t, all[w], "no slot has ended at place %d", w)
	}
}
