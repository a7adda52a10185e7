package host

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/natsbus"
)

// record is the job's, as its register has it.
func (j *job) record(ctx context.Context) *held.Job {
	r := &held.Job{}
	if b := confirmed(ctx, j.acceptors(), jobKey); b == nil || held.Decode(b, r) != nil {
		return &held.Job{}
	}
	return r
}

// until waits until ok; false when the job is over.
func (j *job) until(ctx context.Context, ok func() bool) bool {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// goBack lets the job go back to its last cut, as a leader would that has heard of a loss.
func (j *job) goBack(ctx context.Context) {
	reg := newRegister(ctx, jobKey, j.acceptors(), natsbus.ErrStale, putMost)
	b, err := reg.takeOver()
	require.NoError(j.t, err)
	r := &held.Job{}
	require.NoError(j.t, held.Decode(b, r))
	r.Version++
	r.Gen++
	require.NoError(j.t, reg.put(held.Append(nil, r)))
}

// Goal: cuts go on without a slot that is gone for long: its last record is its part. What
// such a cut names can be gone back to. Method: the window is large enough for others to
// take in all that the slot has committed.
func TestLead_cutsWithoutASilentSlot(t *testing.T) {
	for _, tc := range []struct {
		name string
		then func(*job, context.Context)
		gen  held.Gen
	}{
		{"it comes back", func(*job, context.Context) {}, 1},
		{"all go back to such a cut", (*job).goBack, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := &ledger{shown: map[uint64][]string{}}
			build, want := numbered(100_000, 50, out)
			j := newJob(t, 3, 1, build).small()
			j.window = 0 // as ever
			without := false
			j.chaos = func(ctx context.Context) {
				j.until(ctx, func() bool { _, yes, _ := j.settled(0); return yes })
				back := make(chan struct{})
				defer close(back)
				j.away[2].Store(&back)
				j.killOne(2)
				begun := j.record(ctx).Cut
				without = j.until(ctx, func() bool { return j.record(ctx).Cut >= begun+4 })
				tc.then(j, ctx)
			}
			j.run()
			require.True(t, without)
			require.Equal(t, want, slices.Compact(out.lines()))
			require.Equal(t, tc.gen, j.hosts[0].Load().core.Gen())
		})
	}
}
