package shuffletest

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hooked is a store that says what is committed.
type hooked struct {
	*commit.Memory
	committed func(epoch uint64)
}

func (h *hooked) Begin(lanes int) commit.Epoch { return &hookedEpoch{h.Memory.Begin(lanes), h} }

type hookedEpoch struct {
	commit.Epoch
	h *hooked
}

func (e *hookedEpoch) Commit(rec *commit.Record) error {
	err := e.Epoch.Commit(rec)
	e.h.committed(rec.Epoch)
	return err
}

// Goal: what waits for a cut takes no more memory than it may: sources stand still, and go
// on when a cut is complete. Method: there is none for fifty epochs.
func TestSinks_heldMemory(t *testing.T) {
	const all = 100_000
	out := &ledger{job: newJob(1, 1), shown: map[uint64][]string{}}
	out.job.slots[0].named = map[int]uint64{0: math.MaxUint64}
	p := pipeline.New()
	pipeline.Write(pipeline.Map(generate.Numbers(p, generate.Count(all)), word), "test.Write", out)
	require.NoError(t, p.Err())

	seen := &engine.Observer{}
	var wanted atomic.Bool
	cuts := engine.NewCuts(wanted.Load)
	var read []int64 // by epoch, until there is a cut
	store := &hooked{commit.NewMemory(), func(epoch uint64) {
		if !wanted.Load() {
			read = append(read, seen.Progress().Elements)
			wanted.Store(epoch >= 50)
			return
		}
		cuts.Finalise(epoch)
	}}
	_, err := engine.Run(t.Context(), p.Graph(), engine.Config{
		Lanes: 1, Epoch: time.Millisecond, Store: store, Cuts: cuts, HeldMemory: 32 << 10, Batch: 64, Observe: seen})
	require.NoError(t, err)
	require.Len(t, read, 50)
	require.Less(t, read[49], int64(32<<10)/4+2000, "an element takes four bytes at least, and a round reads a thousand at a time")
	require.Equal(t, read[40], read[49], "sources stand still")
	require.Empty(t, out.wrong)
	require.Equal(t, all, out.count())
}

// prompt is a ledger that does not care for cuts.
type prompt struct{ *ledger }

func (prompt) Prompt() bool { return true }

// Goal: a sink that shows things at once is not kept waiting, beside one that is. Method:
// no cut is complete before the first has shown everything.
func TestSinks_prompt(t *testing.T) {
	const all = 1000
	j := newJob(1, 1)
	j.slots[0].named = map[int]uint64{0: math.MaxUint64}
	at, late := &ledger{job: j, shown: map[uint64][]string{}}, &ledger{job: j, shown: map[uint64][]string{}}
	p := pipeline.New()
	numbers := pipeline.Map(generate.Numbers(p, generate.Count(all)), word)
	pipeline.Write(numbers, "test.Write", prompt{at})
	pipeline.Write(numbers, "test.Write", late)
	require.NoError(t, p.Err())
	cuts := engine.NewCuts(func() bool { return false })
	var once sync.Once
	_, err := engine.Run(t.Context(), p.Graph(), engine.Config{
		Lanes: 1, Epoch: time.Millisecond, Cuts: cuts, Store: &hooked{commit.NewMemory(), func(epoch uint64) {
			if at.count() == all {
				once.Do(func() { assert.Zero(t, late.count(), "shown before a cut names it") })
				cuts.Finalise(epoch)
			}
		}}})
	require.NoError(t, err)
	require.Equal(t, all, late.count())
	require.Empty(t, append(at.wrong, late.wrong...))
}
