package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: 3 workers become 5, and those 2, while workers are killed, and nothing is lost, doubled
// or out of order. Method: a kill as slots begin to move, each time, and one as key groups do,
// so that workers have equal shares of the 6 slots.
func TestRun_rescaled(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	brokers, err := StartBrokers("127.0.0.1")
	require.NoError(t, err)
	defer brokers.Close()
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // where commands look for the job
	cfg := Config{Program: program, Brokers: brokers, Dir: t.TempDir(), Workers: 3, Plane: planes[*seed%uint64(len(planes))], Slots: 6, Events: 6000, Rate: 300, endless: true}
	if testing.Short() {
		cfg.Rate = 100 // what a job with the race detector in it keeps up with
	}
	res, err := cfg.run(t.Context(), 0, func(ctx context.Context, c *Cluster) (n int, err error) {
		if _, _, err := c.Await(ctx, 0, works); err != nil {
			return 0, err
		}
		for i, workers := range []int{5, 2} {
			from, killed := len(c.Says()), make(chan error, 1)
			go func() {
				// Before, a worker that is missing makes the job refuse another number.
				if _, _, err := c.Await(ctx, from, wishes); err != nil {
					killed <- err
					return
				}
				c.Pause(ctx, time.Duration(i)*200*time.Millisecond)
				done, err := c.killAndAwait(ctx, 1)
				if done {
					n++
				}
				if err == nil {
					_, _, err = c.Await(ctx, from, groupsMove)
				}
				for worker, done := 1, false; worker <= 3 && err == nil && !done; worker++ { // one may have ended as a spare
					if done, err = c.killAndAwait(ctx, worker); done {
						n++
					}
				}
				killed <- err
			}()
			out, err := cfg.rescale(ctx, workers)
			if err := <-killed; err != nil {
				return n, err
			}
			if err != nil {
				return n, err
			}
			t.Log(out)
		}
		return n, nil
	})
	require.NoError(t, err)
	require.Equal(t, 4, res.Faults)
	t.Logf("%d lines, %.1f s", res.Lines, res.Seconds)
}

// wishes says that the job is to have another number of workers.
var wishes = regexp.MustCompile(`^the job is to have \d+ workers$`)

// groupsMove says that key groups begin to move.
var groupsMove = regexp.MustCompile(`^\d+ of \d+ key groups move to other slots$`)

// rescale gives the job's slots to so many workers, and returns when they have them. Commands
// look for the job where XDG_CACHE_HOME says.
func (cfg Config) rescale(ctx context.Context, workers int) (says string, err error) {
	cmd := exec.CommandContext(ctx, cfg.Program, "-runner=distributed", "-job="+jobName, "rescale", "-wait", fmt.Sprint(workers))
	cmd.Env = append(os.Environ(), taskVar+"={}")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("rescale to %d workers: %w: %s", workers, err, out)
	}
	return string(out), nil
}
