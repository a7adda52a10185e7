package local_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: a savepoint of a running job begins another one in another folder, with
// another backend and number of lanes, and the results of both together are exact.
// Method: the job is asked for one over its socket, and killed some time later; what
// it has shown behind the savepoint is not counted.
func TestRun_savepoint(t *testing.T) {
	for i, state := range backends {
		other := backends[(i+1)%len(backends)]
		t.Run(state+" to "+other, func(t *testing.T) {
			const end = 20_000
			dir := t.TempDir()
			to := &book{pages: map[string][]string{}, shown: map[string]bool{}}
			src := &orders{end: end, stop: 1 << 30}
			path := make(chan string, 1)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			src.quit = cancel
			cfg := local.Config{Parallelism: 2, StateDir: dir, State: state, Checkpoint: 2 * time.Millisecond}
			cfg.Progress = func(o *local.Observer) { src.seen = o }
			// The source waits at its half until the savepoint is there.
			src.stop = end / 2
			src.hold = func() bool {
				select {
				case p := <-path:
					path <- p
					return false
				default:
					return true
				}
			}
			go func() {
				p, err := control.In(dir).Savepoint(ctx, "half")
				for err != nil && ctx.Err() == nil { // it is not there yet
					p, err = control.In(dir).Savepoint(ctx, "half")
				}
				_, err = control.In(dir).Savepoint(ctx, "half")
				assert.EqualError(t, err, `there is a savepoint "half" already`)
				path <- p
			}()
			p := pipeline.New()
			totals(p, src, to, addV1)
			_, err := local.Run(ctx, p, cfg)
			require.ErrorIs(t, err, errStopped)
			saved := <-path
			require.Equal(t, filepath.Join(dir, "savepoints", "half.savepoint"), saved)

			src = &orders{end: end}
			to = &book{pages: map[string][]string{}, shown: map[string]bool{}}
			require.NoError(t, runRelease(t, src, local.Config{Parallelism: 3, StateDir: t.TempDir(), State: other, From: saved},
				func(p *pipeline.Pipeline) { totals(p, src, to, addV2) }))
			last := map[string]int{}
			for page := range to.shown {
				for _, line := range to.pages[page] {
					var k, n int
					if _, err := fmt.Sscanf(line, "customer %d: %d orders", &k, &n); err == nil {
						last[fmt.Sprint(k)] = max(last[fmt.Sprint(k)], n)
					}
				}
			}
			for k := range 5 {
				require.Equal(t, 2*end/5, last[fmt.Sprint(k)])
			}
		})
	}
}
