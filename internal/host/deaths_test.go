package host

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: a slot whose process is said to be dead holds up nobody's commits who has a standby of
// it. Method: silence counts after an hour only.
func TestRun_deaths(t *testing.T) {
	out := &ledger{shown: map[uint64][]string{}}
	build, want := numbered(200_000, 50, out)
	j := newJob(t, 3, 1, build)
	j.warm, j.patient = true, true
	j.chaos = func(ctx context.Context) {
		if !j.until(ctx, func() bool { _, yes, _ := j.settled(0); return yes }) {
			return
		}
		dead, back := j.hosts[2].Load().cfg.Process, make(chan struct{})
		j.away[2].Store(&back)
		defer close(back)
		j.killOne(2)
		waits := func() bool { // for the dead one
			h := j.hosts[0].Load()
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.core.Open() > h.core.Record().Epoch+1
		}
		if !j.until(ctx, waits) {
			return
		}
		before := j.epoch(0)
		j.deaths.Tell(dead)
		assert.True(t, j.until(ctx, func() bool { return j.epoch(0) > before }), "it waits for the dead one")
		j.kills++
	}
	j.run()
	require.Equal(t, 1, j.kills)
	require.Equal(t, want, out.lines())
}
