package distributed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/pipeline"
)

// givenVar has ranks write down which numbers its source gives.
const givenVar = "MILLRACE_TEST_GIVEN"

// written writes each number down as it passes, into a file of this process.
func written(n pipeline.PCollection[uint64], dir string) pipeline.PCollection[uint64] {
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint("given-", os.Getpid())), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	return pipeline.TryMap(n, func(_ context.Context, v uint64) (uint64, error) {
		_, err := fmt.Fprintln(f, v)
		return v, err
	})
}

// givenIn are the numbers that were written down by now, each once.
func givenIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "given-*"))
	require.NoError(t, err)
	all := map[string]bool{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		for line := range strings.Lines(string(b)) {
			if strings.HasSuffix(line, "\n") { // else it is being written
				all[strings.TrimSpace(line)] = true
			}
		}
	}
	return all
}

// flows waits until the source of ranks has given something.
func flows(t *testing.T, dir string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(givenIn(t, dir)) > rankOf/100 }, time.Minute, 20*time.Millisecond, "nothing flows")
}

// ranked is of how many numbers these lines are: each key's and each group's have to be
// without a gap, as those are that were worked off to the end.
func ranked(t *testing.T, times map[string]int) (numbers int) {
	t.Helper()
	key, group := map[string][]int{}, map[string][]int{}
	for line, n := range times {
		require.Equal(t, 1, n, line)
		f := strings.Fields(line)
		nth, err := strconv.Atoi(f[2])
		require.NoError(t, err)
		of := key
		if f[0] == "group" {
			of = group
		}
		of[f[1]] = append(of[f[1]], nth)
	}
	inGroups := 0
	for _, of := range []map[string][]int{key, group} {
		for name, list := range of {
			slices.Sort(list)
			require.Equal(t, len(list), list[len(list)-1], name)
		}
	}
	for k, list := range key {
		numbers += len(list)
		n, err := strconv.Atoi(k)
		require.NoError(t, err)
		require.NotEmpty(t, group[fmt.Sprint(n%rankGroups)])
	}
	for _, list := range group {
		inGroups += len(list)
	}
	require.Equal(t, numbers, inGroups)
	return numbers
}

// goesOn runs the job on to its end: with what was shown before, each line is there once.
func goesOn(t *testing.T, dir string, env []string, times map[string]int, args ...string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "finish"), nil, 0o600))
	a := start(t, dir, env, args...)
	a.await(`^the job goes on with what it has kept$`)
	require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
	require.NotContains(t, strings.Join(a.seen, "\n"), "goes back to cut")
	takeFiles(t, dir, times)
	require.Equal(t, len(rankLines()), len(times))
	require.Equal(t, rankOf, ranked(t, times))
}

// Goal: a job that drains, by command or by signal, has shown all that its sources have given
// when it stops, though no cut was due, and though a worker is killed meanwhile; the next run
// shows the rest, and nothing again.
func TestDrain(t *testing.T) {
	for _, tc := range []struct {
		name string
		kill bool
		stop func(a *app, t *testing.T, kill func())
	}{
		{"by command", false, (*app).drains},
		{"by command, and a worker is killed", true, (*app).drains},
		{"by signal", false, (*app).terminated},
		{"by signal, and a worker is killed", true, (*app).terminated},
	} {
		if testing.Short() && !tc.kill {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			dir, env := t.TempDir(), []string{countVar + "=ranks", givenVar + "=yes"}
			args := []string{"-workers=3", "-slots=3", "-parallelism=1", "-cut=1h", "-state-dir=" + t.TempDir()}
			a := start(t, dir, env, args...)
			pid, err := strconv.Atoi(a.await(`^worker 2 \(.*, pid (\d+)\) is here$`)[1])
			require.NoError(t, err)
			a.await(`^all are here: `)
			flows(t, dir)
			times := map[string]int{}
			takeFiles(t, dir, times)
			require.Empty(t, times, "no cut was due")
			tc.stop(a, t, func() {
				if tc.kill {
					require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
				}
			})
			require.EqualError(t, a.wait(), "exit status 130", "it said:\n%s", strings.Join(a.seen, "\n"))
			require.Contains(t, strings.Join(a.seen, "\n"), "all that sources have given is shown, up to cut ")
			takeFiles(t, dir, times)
			numbers := ranked(t, times)
			require.NotZero(t, numbers)
			if !tc.kill { // what a dead slot has given is void
				require.Equal(t, len(givenIn(t, dir)), numbers)
			}
			goesOn(t, dir, env, times, args...)
		})
	}
}

// drains asks for the job's end by command.
func (a *app) drains(t *testing.T, kill func()) {
	d := startAs(t, a.dir, true, nil, "drain", "-wait")
	a.await(`^the job is draining$`)
	kill()
	require.NoError(t, d.wait(), "it said:\n%s", strings.Join(d.seen, "\n"))
	require.Equal(t, []string{"the job shop is drained"}, d.seen)
}

// terminated asks for it by a signal.
func (a *app) terminated(t *testing.T, kill func()) {
	require.NoError(t, a.cmd.Process.Signal(syscall.SIGTERM))
	a.await(`^the job is draining$`)
	kill()
}

// Goal: what can't be shown in time is said to be shown by the next run, and is. Method: a
// worker stands still.
func TestDrain_late(t *testing.T) {
	dir, env := t.TempDir(), []string{countVar + "=ranks", givenVar + "=yes"}
	args := []string{"-workers=2", "-slots=2", "-parallelism=1", "-cut=1h", "-drain-timeout=1s", "-state-dir=" + t.TempDir()}
	a := start(t, dir, env, args...)
	pid, err := strconv.Atoi(a.await(`^worker 2 \(.*, pid (\d+)\) is here$`)[1])
	require.NoError(t, err)
	a.await(`^all are here: `)
	flows(t, dir)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	require.NoError(t, a.cmd.Process.Signal(syscall.SIGTERM))
	a.await(`^the job is draining$`)
	require.Equal(t, cluster.Draining, status(t, dir, nil).Phase)
	a.await(`^what sources have given was not all shown in 1s \(-drain-timeout\): the next run shows the rest$`)
	require.EqualError(t, a.wait(), "exit status 130", "it said:\n%s", strings.Join(a.seen, "\n"))
	times := map[string]int{} // what cuts without the worker have shown
	takeFiles(t, dir, times)
	goesOn(t, dir, env, times, args...)
}

// Goal: the leader dies as the job drains, and who leads next drains on. Method: a worker stands
// still, so that the job can't come to rest before; its slot is another's then. When it is back
// all is over, and it does not go on by itself.
func TestDrain_leaderKilled(t *testing.T) {
	url, dir := keeping(t), t.TempDir()
	env := []string{countVar + "=ranks", givenVar + "=yes", joinToken + "=sesame"}
	args := []string{"-nats=" + url, "-workers=0", "-slots=2", "-parallelism=1", "-cut=1h"}
	a := start(t, dir, env, args...)
	b := start(t, dir, env, "-join="+url)
	a.await(`^worker 1 \(.*\) is here$`)
	c := start(t, dir, env, "-join="+url)
	a.await(`^slot \d moves to worker 2, which has fewer$`)
	flows(t, dir)
	require.Eventually(t, func() bool { return status(t, dir, env, "-nats="+url).Settled }, time.Minute, 50*time.Millisecond)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGSTOP))
	d := startAs(t, dir, true, env, "-nats="+url, "drain", "-wait")
	a.await(`^the job is draining$`)
	require.NoError(t, a.cmd.Process.Kill())
	b.await(`^nothing is heard of the job's leader: this process leads it now$`)
	b.await(`^all that sources have given is shown, up to cut \d+$`)
	require.NoError(t, d.wait(), "it said:\n%s", strings.Join(d.seen, "\n"))
	require.Equal(t, []string{"the job shop is drained"}, d.seen)
	require.NoError(t, b.wait())
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGCONT))
	_ = c.wait() // it may hear of the end, or find it
	require.NotContains(t, strings.Join(c.seen, "\n"), "is lost")
	times := map[string]int{}
	takeFiles(t, dir, times)
	require.NotZero(t, ranked(t, times))
	goesOn(t, dir, env, times, append(args, "-workers=2")...)
}
