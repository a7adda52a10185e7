package host

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/held"
)

// pieces is how many pieces are in the changelog of a slot.
func (j *job) pieces(ctx context.Context, slot int) (n int, err error) {
	err = j.store.Changelog().Read(ctx, slot, 0, math.MaxUint64, func(uint64, []byte) error {
		n++
		return nil
	})
	return n, err
}

// epoch is what a slot has committed.
func (j *job) epoch(slot int) held.Epoch {
	h := j.hosts[slot].Load()
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.Record().Epoch
}

// few reports that there are no more records of slots than those that the last complete cut
// names, those of cuts that were asked for since, and those that are about to be committed.
func (j *job) few(ctx context.Context) bool {
	complete := j.record(ctx).Cut
	names, err := j.store.Objects().List(ctx, "")
	newest := complete
	for i := range j.hosts {
		if h := j.hosts[i].Load(); h != nil {
			h.mu.Lock()
			newest = max(newest, h.core.Record().Tag.Cut)
			h.mu.Unlock()
		}
	}
	return err == nil && len(names) <= j.slots*int(newest-complete+2)
}

// Goal: however long a job runs, what it keeps has a bound: the changelogs what the last
// complete cut and what is behind it need, the objects a record of each slot for that cut and
// those that were given up since, to which it comes back again and again.
func TestRun_keepsLittle(t *testing.T) {
	out := &ledger{shown: map[uint64][]string{}}
	build, want := numbered(60_000, 50, out)
	j := newJob(t, 3, 1, build).small()
	most, looks := 0, 0
	j.chaos = func(ctx context.Context) {
		j.until(ctx, func() bool { return j.epoch(0) >= 100 && j.epoch(1) >= 100 && j.epoch(2) >= 100 })
		for cut := held.Cut(0); j.until(ctx, func() bool { return j.record(ctx).Cut > cut && j.few(ctx) }); looks++ {
			cut = j.record(ctx).Cut
			for slot := range j.slots {
				if n, err := j.pieces(ctx, slot); err == nil {
					most = max(most, n)
				}
			}
		}
	}
	j.run()
	require.Equal(t, want, out.lines())
	t.Logf("%d epochs; at most %d pieces; %d looks", j.epoch(0), most, looks)
	require.Greater(t, looks, 5, "records that no cut needs are deleted")
	require.Greater(t, j.epoch(0), held.Epoch(300))
	require.Positive(t, most)
	require.Less(t, most, 300)
}

// copies is how many copies are kept of what a slot has sent behind each cut, and how many
// its host knows of.
func (j *job) copies(ctx context.Context, slot int) (kept, known int, err error) {
	h := j.hosts[slot].Load()
	h.mu.Lock()
	newest := h.core.Record().Colour
	known = len(h.copied.first)
	h.mu.Unlock()
	for cut := range newest + 1 {
		err := j.store.Copies().Read(ctx, slot, uint64(cut), func(uint64, []byte) error { kept++; return nil })
		if err != nil {
			return 0, 0, err
		}
	}
	return kept, known, nil
}

// Goal: where copies are made of everything they go when they are taken in, though there is
// no cut, and all rows stay in one chain of changes: as many are kept as are under way.
func TestRun_loggedKeepsLittle(t *testing.T) {
	out := &ledger{shown: map[uint64][]string{}}
	build, want := numbered(30_000, 50, out)
	j := newJob(t, 3, 1, build).small()
	j.chunks, j.cutEvery = 0, time.Hour
	j.logged, j.epochSinks, j.copiesMost = true, true, 4<<10
	most, knows := 0, 0
	j.chaos = func(ctx context.Context) {
		for last := held.Epoch(50); j.until(ctx, func() bool { return j.epoch(0) >= last && j.epoch(1) >= last && j.epoch(2) >= last }); last += 10 {
			for slot := range j.slots {
				if kept, known, err := j.copies(ctx, slot); err == nil {
					most, knows = max(most, kept), max(knows, known)
				}
			}
		}
	}
	j.run()
	require.Equal(t, want, out.lines())
	t.Logf("%d epochs; at most %d copies are kept, and %d known", j.epoch(0), most, knows)
	require.Greater(t, j.epoch(0), held.Epoch(120))
	require.Positive(t, most)
	require.Less(t, most, 100)
	require.Less(t, knows, 150)
}
