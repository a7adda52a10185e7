package statelog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

var errCrash = errors.New("the machine is off")

// Goal: whatever call to the disk is the last one before a crash, no committed epoch is
// lost, and none is there by half. Method: a run of bases and changes; from the nth call
// on all calls fail; a copy of the folder is opened: all of it, or what was synced.
func TestCrash_atEveryCall(t *testing.T) {
	for call := 1; ; call++ {
		fs, m := newFake(), newModel()
		calls := 0
		fs.fail = func(string) error {
			if calls++; calls >= call {
				return errCrash
			}
			return nil
		}
		models := map[uint64]*model{0: m}
		committed, crashed := uint64(0), false
		l, err := Open(fs, Config{ID: 7, WholeAfter: 1500})
		for n := uint64(1); err == nil && n <= 12 && !crashed; n++ {
			e := l.Begin(2)
			m = m.clone()
			if l.WantsWhole() {
				e.Whole()
				rewrite(e, m)
			}
			both{e, m, 0, "count"}.put(int(n), fmt.Sprint("key", n), strings.Repeat("v", 100))
			both{e, m, 1, "count"}.append(600, "list", fmt.Sprint(n, ","))
			models[n] = m
			if crashed = e.Commit(record(int(n))) != nil; !crashed {
				committed = n
			} else {
				require.EqualValues(t, committed, lastEpoch(l), "the store is as it was")
			}
		}
		for _, synced := range []bool{true, false} {
			copied := fs.copied(synced)
			l := open(t, copied, Config{}) // a crash is no damage: nothing is warned of
			got := lastEpoch(l)
			require.GreaterOrEqual(t, got, committed, "call %d, synced %v", call, synced)
			require.LessOrEqual(t, got, committed+1)
			require.Equal(t, models[got].rows, rows(t, l, commit.Want{}), "call %d, synced %v", call, synced)
			require.NoError(t, l.Close())
		}
		if !crashed {
			require.Greater(t, call, 60)
			require.EqualValues(t, 12, committed)
			return
		}
	}
}

// An epoch that was read but may not be synced is written anew while the log is
// opened. Whatever call is the last one there, the epoch stays: it may have been
// committed, and sinks have been told.
func TestCrash_whileOpening(t *testing.T) {
	for _, last := range []int{3, 5} { // changes, and a base
		for call := 1; ; call++ {
			fs := newFake()
			after := history(t, fs, last)
			for name := range fs.files {
				if strings.HasSuffix(name, ackExt) {
					delete(fs.files, name)
				}
			}
			calls := 0
			fs.fail = func(string) error {
				if calls++; calls >= call {
					return errCrash
				}
				return nil
			}
			_, err := Open(fs, Config{ID: 7})
			for _, synced := range []bool{true, false} {
				l := open(t, fs.copied(synced), Config{})
				require.EqualValues(t, last, lastEpoch(l), "call %d", call)
				require.Equal(t, after[uint64(last)].rows, rows(t, l, commit.Want{}), "call %d", call)
			}
			if err == nil && calls < call {
				require.Greater(t, call, 15)
				break
			}
		}
	}
}

// The disk is full while that is done.
func TestFull_whileOpening(t *testing.T) {
	for _, last := range []int{3, 5} {
		for call := 1; ; call++ {
			fs := newFake()
			after := history(t, fs, last)
			for name := range fs.files {
				if strings.HasSuffix(name, ackExt) {
					delete(fs.files, name)
				}
			}
			calls, waits := 0, 0
			fs.fail = func(op string) error {
				if strings.HasPrefix(op, "open ") || strings.HasSuffix(op, ackExt) {
					return nil
				}
				if calls++; calls == call || calls == call+1 {
					return syscall.ENOSPC
				}
				return nil
			}
			l := open(t, fs, Config{Wait: func(context.Context) error { waits++; return nil }})
			if calls < call {
				require.Zero(t, waits)
				require.Greater(t, call, 5)
				break
			}
			require.Positive(t, waits)
			require.EqualValues(t, last, lastEpoch(l), "call %d", call)
			require.NoError(t, l.Close())
			for _, synced := range []bool{true, false} {
				l := open(t, fs.copied(synced), Config{})
				require.EqualValues(t, last, lastEpoch(l), "call %d", call)
				require.Equal(t, after[uint64(last)].rows, rows(t, l, commit.Want{}), "call %d", call)
			}
		}
	}
}

// A sync that finds the disk full, and then the file can't be read again: the epoch fails, as any other.
func TestFull_andThenBroken(t *testing.T) {
	fs := newFake()
	l := open(t, fs, Config{Wait: func(context.Context) error { return nil }})
	require.NoError(t, l.Begin(1).Commit(record(1)))
	fs.fail = func(op string) error {
		switch op {
		case "sync 00000001.log":
			return syscall.EDQUOT
		case "open 00000001.log":
			return syscall.EIO
		}
		return nil
	}
	require.ErrorIs(t, l.Begin(1).Commit(record(2)), syscall.EIO)
	fs.fail = nil
	require.NoError(t, l.Begin(1).Commit(record(3)))
	again := open(t, fs.copied(false), Config{})
	assert.EqualValues(t, 2, lastEpoch(again))
	assert.Equal(t, record(3).Splits, again.Last().Splits)
}

// Epochs that were given up do not make those durable that are written in their place.
func TestCrash_behindAnEpochThatWasLost(t *testing.T) {
	fs := newFake()
	history(t, fs, 4)
	fs.files["00000001.log"].b[lastCommit(fs.files["00000001.log"].b, 3)] ^= 1 // of epoch 4, which is acknowledged
	l, err := Open(fs, Config{})
	require.NoError(t, err)
	require.EqualValues(t, 3, lastEpoch(l))
	fs.fail = func(op string) error {
		if op == "sync 00000002.log" && len(fs.files["00000002.log"].b) > headerSize {
			panic(errCrash)
		}
		return nil
	}
	require.PanicsWithError(t, errCrash.Error(), func() { _ = l.Begin(1).Commit(record(9)) })
	killed := fs.copied(false)
	killed.files["00000002.log"].synced = headerSize // the machine lives
	l = open(t, killed, Config{})
	require.EqualValues(t, 4, lastEpoch(l))
	require.NoError(t, l.Close())
	l = open(t, killed.copied(true), Config{})
	require.EqualValues(t, 4, lastEpoch(l))
	require.Equal(t, record(9).Splits, l.Last().Splits)
}

// With a file whose epoch can't be made durable, nothing is opened.
func TestOpen_cannotMakeDurable(t *testing.T) {
	fs := newFake()
	history(t, fs, 3)
	delete(fs.files, "00000001.ack")
	fs.fail = func(op string) error {
		if op == "sync 00000002.tmp" {
			return syscall.EIO
		}
		return nil
	}
	_, err := Open(fs, Config{})
	require.ErrorIs(t, err, syscall.EIO)
	require.ErrorContains(t, err, "the folder of the log: write epoch 3 of 00000001.log again: begin 00000002.tmp")
	fs.fail = nil
	l := open(t, fs, Config{})
	assert.EqualValues(t, 3, lastEpoch(l))
	assert.NotContains(t, fs.files, "00000002.tmp")
}

func lastEpoch(l *Log) uint64 {
	if r := l.Last(); r != nil {
		return r.Epoch
	}
	return 0
}

// A commit that failed is not found by a recovery, though it reached the disk: its
// sinks have been told that it failed.
func TestCommit_failedIsRevoked(t *testing.T) {
	for _, whole := range []bool{false, true} {
		fs, m := newFake(), newModel()
		l := open(t, fs, Config{})
		e := l.Begin(1)
		both{e, m, 0, "n"}.put(0, "a", "1")
		require.NoError(t, e.Commit(record(1)))

		e = l.Begin(1)
		if whole {
			e.Whole()
		}
		both{e, newModel(), 0, "n"}.put(0, "a", "2")
		syncs := 0 // the one of the commit; the one before it is of a base's header
		if whole {
			syncs--
		}
		fs.fail = func(op string) error {
			if strings.HasPrefix(op, "sync 0") {
				if syncs++; syncs == 1 {
					return syscall.EIO
				}
			}
			return nil
		}
		require.ErrorIs(t, e.Commit(record(2)), syscall.EIO)
		fs.fail = nil
		assert.EqualValues(t, 1, lastEpoch(l))
		assert.Equal(t, m.rows, rows(t, l, commit.Want{}))

		again := open(t, fs.copied(false), Config{})
		assert.EqualValues(t, 1, lastEpoch(again))
		assert.Equal(t, m.rows, rows(t, again, commit.Want{}))
		require.NoError(t, again.Close())

		e = l.Begin(1)
		both{e, m, 0, "n"}.put(0, "a", "3")
		require.NoError(t, e.Commit(record(3)))
		again = open(t, fs.copied(true), Config{})
		assert.EqualValues(t, 2, lastEpoch(again))
		assert.Equal(t, m.rows, rows(t, again, commit.Want{}))
	}
}

// When not even that can be written, the log says that it does not know, and commits
// nothing any more.
func TestCommit_inDoubt(t *testing.T) {
	fs := newFake()
	l := open(t, fs, Config{})
	require.NoError(t, l.Begin(1).Commit(record(1)))
	fs.fail = func(op string) error {
		if strings.HasPrefix(op, "sync") || strings.HasPrefix(op, "create") {
			return syscall.EIO
		}
		return nil
	}
	require.ErrorIs(t, l.Begin(1).Commit(record(2)), syscall.EIO)
	fs.fail = nil
	require.ErrorContains(t, l.Rows(commit.Want{}, nil), "whether that epoch will be found committed is not known")
	err := l.Begin(1).Commit(record(2))
	require.ErrorContains(t, err, "whether that epoch will be found committed is not known")
	assert.EqualValues(t, 1, lastEpoch(l))
}

// Goal: a full disk holds the log up, and loses nothing. Method: a disk with no room
// from the nth call on; room comes when the log has waited.
func TestFull_waitsForRoom(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "syncdir"} {
		for nth := 1; ; nth++ {
			fs, m := newFake(), newModel()
			waits, full := 0, []bool{}
			cfg := Config{
				WholeAfter: 3000,
				OnFull:     func(err error) { full = append(full, err != nil) },
				Wait:       func(context.Context) error { waits++; return nil },
			}
			n, failing := 0, 0
			fs.fail = func(what string) error {
				if strings.HasPrefix(what, op) && !strings.HasSuffix(what, ackExt) {
					if n++; n == nth || n > nth && failing > 0 {
						if failing++; failing <= 3 {
							return syscall.ENOSPC
						}
						failing = 0
					}
				}
				return nil
			}
			l := open(t, fs, cfg)
			for n := 1; n <= 8; n++ {
				e := l.Begin(2)
				if l.WantsWhole() {
					e.Whole()
					rewrite(e, m)
				}
				both{e, m, 0, "count"}.put(n, fmt.Sprint("key", n), strings.Repeat("v", 1000))
				both{e, m, 1, "count"}.append(600, "list", fmt.Sprint(n, ","))
				require.NoError(t, e.Commit(record(n)))
				require.EqualValues(t, n, lastEpoch(l))
			}
			for _, synced := range []bool{true, false} {
				again := open(t, fs.copied(synced), Config{})
				require.EqualValues(t, 8, lastEpoch(again), "%s %d", op, nth)
				require.Equal(t, m.rows, rows(t, again, commit.Want{}), "%s %d", op, nth)
			}
			if n < nth {
				require.Empty(t, full)
				break
			}
			require.Equal(t, 3, waits, "%s %d", op, nth)
			require.Equal(t, []bool{true, false}, full[len(full)-2:], "%s %d", op, nth)
			require.Equal(t, len(full)/2, countOf(full, true))
		}
	}
}

func countOf(list []bool, v bool) (n int) {
	for _, w := range list {
		if w == v {
			n++
		}
	}
	return n
}

// The disk has room for so many bytes, in the middle of whatever: each byte is written
// once there is room for it.
func TestFull_inTheMiddleOfAWrite(t *testing.T) {
	fs, m := newFake(), newModel()
	fs.room = 100
	waits := 0
	l := open(t, fs, Config{Wait: func(context.Context) error {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		waits++
		fs.room += 37
		return nil
	}})
	rng := rand.New(rand.NewPCG(1, 1))
	for n := 1; n <= 6; n++ {
		e := l.Begin(2)
		randomEpoch(e, m, 2, rng)
		require.NoError(t, e.Commit(record(n)))
		again := open(t, fs.copied(true), Config{})
		require.Equal(t, m.rows, rows(t, again, commit.Want{}))
	}
	assert.Greater(t, waits, 50)
}

func TestFull_untilTheRunEnds(t *testing.T) {
	fs := newFake()
	ctx, cancel := context.WithCancelCause(context.Background())
	over := errors.New("the run is over")
	l := open(t, fs, Config{Context: ctx, Wait: func(ctx context.Context) error {
		cancel(over)
		return context.Cause(ctx)
	}})
	require.NoError(t, l.Begin(1).Commit(record(1)))
	fs.room = 10
	err := l.Begin(1).Commit(record(2))
	require.ErrorIs(t, err, over)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, l.Rows(commit.Want{}, nil), "there is no doubt about an epoch whose commit is not all written")
	fs.room = -1
	require.NoError(t, l.Close())
	l = open(t, fs, Config{})
	assert.EqualValues(t, 1, lastEpoch(l))
}

// Whatever is written, the folder holds no more than some times the state.
func TestLog_diskUseIsFlat(t *testing.T) {
	fs, m := newFake(), newModel()
	l := open(t, fs, Config{WholeAfter: 10_000})
	sizes := []int{}
	for n := 1; n <= 3000; n++ {
		e := l.Begin(2)
		if l.WantsWhole() {
			e.Whole()
			rewrite(e, m)
		}
		for lane := range 2 {
			both{e, m, lane, "count"}.put(lane*512, fmt.Sprint("key", n%50), strings.Repeat("v", 100))
		}
		require.NoError(t, e.Commit(record(n)))
		sizes = append(sizes, fs.bytes())
		if n%100 == 0 {
			require.NoError(t, l.Close())
			l = open(t, fs, Config{WholeAfter: 10_000})
		}
	}
	assert.Less(t, slices.Max(sizes), 60_000)
	assert.InDelta(t, slices.Max(sizes[500:1000]), slices.Max(sizes[2000:]), 100)
	assert.LessOrEqual(t, len(fs.files), 8)
}

// Rows go on being read from files that are no longer needed for anything else.
func TestRows_whileEpochsAreCommitted(t *testing.T) {
	fs, m := newFake(), newModel()
	l := open(t, fs, Config{})
	var wg sync.WaitGroup
	for n := 1; n <= 200; n++ {
		e := l.Begin(2)
		if n%10 == 0 {
			e.Whole()
			rewrite(e, m)
		}
		for lane := range 2 {
			both{e, m, lane, "count"}.put(lane*512, fmt.Sprint(lane), fmt.Sprint(n))
		}
		require.NoError(t, e.Commit(record(n)))
		wg.Go(func() {
			seen := ""
			assert.NoError(t, l.Rows(commit.Want{}, func(r commit.Row) error {
				if seen != "" {
					assert.Equal(t, seen, string(r.Val), "of one epoch")
				}
				seen = string(r.Val)
				return nil
			}))
			assert.NotEmpty(t, seen)
		})
	}
	wg.Wait()
}

// Lanes write side by side, more than their buffers hold, and rows larger than those.
func TestLog_largeEpochs(t *testing.T) {
	fs := newFake()
	l := open(t, fs, Config{})
	const n, lanes = 120_000, 4
	large := strings.Repeat("x", 3*chunkMax)
	e := l.Begin(lanes)
	fill(e, lanes, n, 0, 16)
	for lane := range lanes {
		w := e.Lane(lane)
		w.Node("large")
		w.Put(lane, []byte(fmt.Sprint(lane)), []byte(large))
		w.Put(lane, []byte(fmt.Sprint(lane, " small")), nil)
	}
	require.NoError(t, e.Commit(record(1)))
	require.NoError(t, l.Close())
	l = open(t, fs, Config{})
	require.Greater(t, len(l.line[0].chunks), 2*lanes)

	count, seen := 0, map[string]int{}
	for half := range 2 {
		require.NoError(t, l.Rows(commit.Want{Group: func(g int) bool { return g%2 == half }}, func(r commit.Row) error {
			require.Equal(t, half, r.Group%2)
			if r.Node == "count" {
				count++
				return nil
			}
			seen[string(r.Key)] += len(r.Val)
			return nil
		}))
	}
	assert.Equal(t, n, count)
	assert.Equal(t, map[string]int{"0": len(large), "1": len(large), "2": len(large), "3": len(large), "0 small": 0, "1 small": 0, "2 small": 0, "3 small": 0}, seen)
}

func TestRows_whatIsWanted(t *testing.T) {
	fs, m := newFake(), newModel()
	l := open(t, fs, Config{})
	rng := rand.New(rand.NewPCG(3, 3))
	for n := 1; n <= 5; n++ {
		e := l.Begin(4)
		randomEpoch(e, m, 4, rng)
		require.NoError(t, e.Commit(record(n)))
	}
	for name, want := range map[string]commit.Want{
		"all":      {},
		"a node":   {Node: func(n string) bool { return n == "join" }},
		"a half":   {Group: func(g int) bool { return g >= keygroup.N/2 }},
		"one lane": {Lane: func(lane int) bool { return lane == 2 }},
		"few":      {Node: func(n string) bool { return n != "" }, Lane: func(lane int) bool { return lane%2 == 1 }, Group: func(g int) bool { return g%3 == 0 }},
		"nothing":  {Node: func(string) bool { return false }},
	} {
		expected := map[rowName]rowValue{}
		for n, v := range m.rows {
			if want.Wants(n.node, n.lane, v.group) {
				expected[n] = v
			}
		}
		assert.Equal(t, expected, rows(t, l, want), name)
	}
	stop := errors.New("stop")
	calls := 0
	require.ErrorIs(t, l.Rows(commit.Want{}, func(commit.Row) error { calls++; return stop }), stop)
	assert.Equal(t, 1, calls)
}

func TestLane_refusesWhatCannotBe(t *testing.T) {
	for name, write := range map[string]func(w commit.LaneWriter){
		"a group":            func(w commit.LaneWriter) { w.Put(keygroup.N, nil, nil) },
		"a group, negative":  func(w commit.LaneWriter) { w.Delete(-3, nil) },
		"the name of a node": func(w commit.LaneWriter) { w.Node(strings.Repeat("n", nameMax+1)) },
	} {
		l := open(t, newFake(), Config{})
		e := l.Begin(1)
		write(e.Lane(0))
		e.Lane(0).Put(1, nil, nil)
		require.Error(t, e.Commit(record(1)), name)
		assert.Nil(t, l.Last())
		e = l.Begin(1)
		e.Lane(0).Put(1, nil, nil)
		require.NoError(t, e.Commit(record(1)), name)
	}
}

// Goal: what was given up stays given up, although the file that says so was read before
// it was synced. Method: a commit whose sync fails; a file that revokes the epoch, whose
// sync fails, too; the process is killed, the next one reads both; then the power fails,
// and the disk has the failed epoch, and not the file.
func TestCrash_revocationThatWasNeverSynced(t *testing.T) {
	fs := newFake()
	l := open(t, fs, Config{ID: 7})
	commitOne := func(n int) error {
		e := l.Begin(1)
		w := e.Lane(0)
		w.Node("count")
		w.Put(n, []byte("key"), []byte{byte(n)})
		return e.Commit(record(n))
	}
	require.NoError(t, commitOne(1))
	fs.fail = func(op string) error {
		if strings.HasPrefix(op, "sync") {
			return syscall.EIO
		}
		return nil
	}
	require.Error(t, commitOne(2))
	fs.fail = nil

	killed := fs.copied(false)
	for name := range killed.files {
		if name != "00000001.log" {
			killed.files[name].synced = 0
		}
	}
	l = open(t, killed, Config{})
	require.EqualValues(t, 1, lastEpoch(l), "the epoch is revoked")

	dark := killed.copied(true)
	require.EqualValues(t, 1, lastEpoch(open(t, dark, Config{})), "and stays so")
}
