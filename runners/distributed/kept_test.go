package distributed

import (
	"strings"
	"testing"

	protocol "github.com/millrace/millrace/internal/host"
	"github.com/stretchr/testify/require"
)

// Goal: a job that is over leaves nothing, and its next run is a run; one that is drained is
// gone on with, by the same program with the same slots and lanes only.
func TestKept(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	env := []string{countVar + "=yes"}
	args := []string{"-workers=1", "-parallelism=1", "-cut=50ms", "-state-dir=" + state}
	for range 2 {
		a := start(t, dir, env, args...)
		require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
		a.counted()
		require.NotContains(t, strings.Join(a.seen, "\n"), "goes on")
	}

	g := newGate(t)
	a := start(t, dir, append(env, aliveVar+"="+g.Addr().String()), append(args, "-drain-timeout=100ms")...)
	held := <-g.came
	defer held.Close()
	_, stderr, err := command(t, dir, nil, "drain")
	require.NoError(t, err, stderr)
	a.await(`^the job is stopping$`) // the source does not come to rest before
	g.open()
	held.Close()
	require.EqualError(t, a.wait(), "exit status 130")
	require.Equal(t, "drained; the next run with -state-dir="+state+" goes on from there", a.seen[len(a.seen)-1])

	for arg, want := range map[string]string{
		"-slots=2":       `what the job has kept is of 1 slots, and this is one of 2: give -slots=1, or begin anew`,
		"-parallelism=2": `what the job has kept is of 1 lanes in each slot, and this is one of 2: give -parallelism=1, or begin anew`,
	} {
		b := start(t, dir, env, append(args, arg)...)
		require.EqualError(t, b.wait(), "exit status 1")
		require.Contains(t, strings.Join(b.seen, "\n"), want)
	}
	b := start(t, dir, append(env, countVar+"=more"), args...)
	require.EqualError(t, b.wait(), "exit status 1")
	require.Contains(t, strings.Join(b.seen, "\n"), "what the job has kept is of another pipeline")

	b = start(t, dir, env, args...)
	require.NoError(t, b.wait(), "it said:\n%s", strings.Join(b.seen, "\n"))
	require.Contains(t, strings.Join(b.seen, "\n"), "the job goes on with what it has kept")
	b.counted()
}

// Goal: who cancels a job wants nothing of it.
func TestKept_cancelled(t *testing.T) {
	state, dir, g := t.TempDir(), t.TempDir(), newGate(t)
	env := []string{countVar + "=yes"}
	args := []string{"-workers=1", "-parallelism=1", "-cut=50ms", "-state-dir=" + state}
	a := start(t, dir, append(env, aliveVar+"="+g.Addr().String()), args...)
	held := <-g.came
	defer held.Close()
	_, stderr, err := command(t, dir, nil, "cancel")
	require.NoError(t, err, stderr)
	g.open()
	held.Close()
	require.EqualError(t, a.wait(), "exit status 1")
	b := start(t, dir, env, args...)
	require.NoError(t, b.wait(), "it said:\n%s", strings.Join(b.seen, "\n"))
	require.NotContains(t, strings.Join(b.seen, "\n"), "goes on")
	b.counted()
}

// Goal: kill -9 of the process that submitted the job, with its server and its workers, loses
// nothing that the state folder has: the next run gives what one without failures gives.
func TestKept_killed(t *testing.T) {
	state, dir, g := t.TempDir(), t.TempDir(), newGate(t)
	env := []string{countVar + "=yes", aliveVar + "=" + g.Addr().String()}
	args := []string{"-workers=2", "-parallelism=1", "-cut=50ms", "-state-dir=" + state}
	a := start(t, dir, env, args...)
	held := <-g.came
	defer held.Close()
	require.NoError(t, a.cmd.Process.Kill())
	require.EqualError(t, a.wait(), "signal: killed")
	require.Empty(t, a.stdout.String())
	held.Close()
	g.open()
	b := start(t, dir, env, args...)
	require.NoError(t, b.wait(), "it said:\n%s", strings.Join(b.seen, "\n"))
	require.Contains(t, strings.Join(b.seen, "\n"), "the job goes on with what it has kept")
	b.counted()
}

// Goal: who was cut off until the job was over, and nothing of it is left, does not wait for
// a leader, nor lead what there is not.
func TestLeadSlots_over(t *testing.T) {
	url := keeping(t)
	c := &config{job: "gone", servers: []string{url}, token: "sesame"}
	bus, err := c.connect()
	require.NoError(t, err)
	defer bus.Close()
	err = leadSlots(t.Context(), c, bus, &protocol.LeaderMeter{}, nil, nil, false, nil, nil)
	require.ErrorIs(t, err, errOver)
}
