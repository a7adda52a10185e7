package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	beChild() // this binary is the job, too
	os.Exit(m.Run())
}

// kills is n, or less of it where everything takes much longer.
func kills(n int) int {
	if testing.Short() {
		return (n + 2) / 3
	}
	return n
}

// Goal: kill -9 at any moment loses nothing and shows nothing twice, also where the
// number of lanes changes.
func TestKills(t *testing.T) {
	for _, s := range []schedule{
		{State: "memory", Lanes: 2, Seed: 1},
		{State: "memory", Rescale: true, Seed: 2},
		{State: "pebble", Lanes: 2, Seed: 3},
		{State: "pebble", Rescale: true, Users: 2000, Memory: 1 << 16, Seed: 4}, // rows are let go and read again
	} {
		s.Users = max(s.Users, 50)
		s.Kills, s.Checkpoint, s.Rate, s.Longest = kills(15), 10*time.Millisecond, 20_000, 300*time.Millisecond
		res, err := s.run(t.TempDir())
		require.NoError(t, err)
		require.NoError(t, res.check(false))
		t.Logf("%+v", res)
	}
}

// Goal: what was durable when the power went is there, and the rest comes again.
// Where no disk can be mounted the command has to say so.
func TestPower(t *testing.T) {
	for _, state := range []string{"memory", "pebble"} {
		s := schedule{Kills: kills(5), Power: kills(5), State: state, Lanes: 2, Rescale: true, Users: 50, Seed: 5, Checkpoint: 10 * time.Millisecond, Rate: 20_000, Longest: 300 * time.Millisecond}
		res, err := s.losePower(t.TempDir())
		if errors.Is(err, errNoPower) {
			t.Log(err)
			require.ErrorContains(t, err, "power loss can't be tried here")
			return
		}
		require.NoError(t, err)
		require.NoError(t, res.check(false))
		t.Logf("%+v", res.report)
	}
}

// Goal: a job whose disk is full waits, says so, and goes on when there is room.
func TestFull(t *testing.T) {
	for _, state := range []string{"memory", "pebble"} {
		s := schedule{Kills: 3, Full: 3, State: state, Lanes: 2, Users: 50, Seed: 5, Checkpoint: 10 * time.Millisecond, Rate: 10_000}
		res, err := s.fillDisk(t.TempDir())
		if errors.Is(err, errNoDisk) {
			t.Log(err)
			require.ErrorContains(t, err, "a full disk can't be tried here")
			return
		}
		require.NoError(t, err)
		require.NoError(t, res.check(false))
	}
}

func TestOutFull(t *testing.T) {
	s := schedule{Kills: 1, State: "memory", Lanes: 2, Users: 50, Seed: 5, Checkpoint: 10 * time.Millisecond, Rate: 10_000}
	res, err := s.fillOutput(t.TempDir())
	if errors.Is(err, errNoDisk) {
		t.Log(err)
		return
	}
	require.NoError(t, err)
	require.NoError(t, res.check(false))
}

// Goal: two processes never work on one folder.
func TestTwoProcesses(t *testing.T) {
	for _, state := range []string{"memory", "pebble"} {
		dir := t.TempDir()
		one := task{StateDir: filepath.Join(dir, "state"), Out: filepath.Join(dir, "out"), State: state, Lanes: 2, Users: 50, Checkpoint: 10 * time.Millisecond, Limit: 10_000, Rate: 10_000}
		p, err := start(one)
		require.NoError(t, err)
		select {
		case <-p.committed:
		case <-p.ended:
		}
		before, err := shownFiles(one.Out)
		require.NoError(t, err)
		other, err := start(one)
		require.NoError(t, err)
		err = other.wait()
		require.ErrorContains(t, err, one.StateDir)
		require.ErrorContains(t, err, "another process", state)
		after, err := shownFiles(one.Out)
		require.NoError(t, err)
		require.NoError(t, stillThere(before, after))

		_, err = p.kill()
		require.NoError(t, err)
		one.Ends, one.Rate = true, 0
		p, err = start(one) // what a dead process held is free
		require.NoError(t, err)
		require.NoError(t, p.wait())
		res := &report{}
		res.add(p)
		require.NoError(t, res.compare(dir, one, before))
		require.NoError(t, res.check(false))
	}
}

// Goal: the rig finds what is lost and what comes twice.
func TestOutput_difference(t *testing.T) {
	want := &output{windows: []byte("w1\nw2\n"), users: []string{"a", "b", "c"}}
	for _, tc := range []struct {
		got              output
		lost, duplicated int
	}{
		{*want, 0, 0},
		{output{[]byte("w1\nw2\n"), []string{"a", "c"}}, 1, 0},
		{output{[]byte("w1\nw1\nw2\n"), []string{"a", "b", "c"}}, 0, 1},
		{output{[]byte("w2\nw1\n"), []string{"a", "b", "c"}}, 0, 0},
		{output{[]byte("w1\nw2\n"), []string{"a", "b", "x"}}, 1, 1},
	} {
		lost, duplicated := tc.got.difference(want)
		require.Equal(t, []int{tc.lost, tc.duplicated}, []int{lost, duplicated})
		require.Equal(t, lost+duplicated == 0 && string(tc.got.windows) == string(want.windows), tc.got.equal(want))
	}
	r := &report{Lost: 1, Epochs: 1, Lines: 1}
	require.ErrorContains(t, r.check(false), "1 lines lost, 0 too many")
	require.ErrorContains(t, (&report{Equal: true}).check(false), "nothing was tested")
	require.ErrorContains(t, (&report{Equal: true, Epochs: 1, Lines: 1}).check(true), "no kill fell while starting")
}
