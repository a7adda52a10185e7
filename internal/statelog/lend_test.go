package statelog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
)

// lend is put with a value that the epoch need not copy.
func (b both) lend(group int, key, val string) {
	w := b.e.Lane(b.lane)
	w.Node(b.node)
	w.(graph.Lender).Lend(group, []byte(key), []byte(val))
	b.m.rows[b.name(group, key)] = rowValue{group, val}
}

// lendingEpoch writes rows of all sizes on two lanes, some of which are lent.
func lendingEpoch(e commit.Epoch, m *model, rng *rand.Rand) {
	sizes := []int{0, 100, loanMin - 1, loanMin, chunkMax, bufferMax + chunkMax}
	for lane := range 2 {
		for i := range 2 + rng.IntN(6) {
			b := both{e, m, lane, fmt.Sprint("sink", rng.IntN(2))}
			val := strings.Repeat(string(rune('a'+rng.IntN(26))), sizes[rng.IntN(len(sizes))])
			switch rng.IntN(4) {
			case 0:
				b.put(lane, fmt.Sprint("key", lane, i%3), val)
			case 1:
				b.append(lane, fmt.Sprint("key", lane, i%3), "more")
			default:
				b.lend([]int{commit.EveryLane, commit.LaneBound, lane}[i%3], fmt.Sprint("lent", lane, i%3), val)
			}
		}
	}
}

func TestLend(t *testing.T) {
	disk, err := OSFS(t.TempDir())
	require.NoError(t, err)
	for name, fs := range map[string]FS{"fake": newFake(), "disk": disk} {
		rng, m := rand.New(rand.NewPCG(1, 2)), newModel()
		for n := 1; n <= 6; n++ {
			l := open(t, fs, Config{})
			e := l.Begin(2)
			if l.WantsWhole() {
				e.Whole()
				rewrite(e, m)
			}
			lendingEpoch(e, m, rng)
			require.NoError(t, e.Commit(record(n)))
			require.Equal(t, m.rows, rows(t, l, commit.Want{}), "%s: epoch %d", name, n)
			require.NoError(t, l.Close())
			l = open(t, fs, Config{})
			require.Equal(t, m.rows, rows(t, l, commit.Want{}), "%s: epoch %d, opened again", name, n)
			require.NoError(t, l.Close())
		}
	}
}

// The disk is full at each of the calls in turn: what is lent is written again, and, if a
// sync finds it full, moved.
func TestLend_fullDisk(t *testing.T) {
	for nth := 1; ; nth++ {
		fs, m, rng := newFake(), newModel(), rand.New(rand.NewPCG(3, 4))
		calls, waits := 0, 0
		fs.fail = func(op string) error {
			if strings.HasPrefix(op, "open ") || strings.HasSuffix(op, ackExt) {
				return nil
			}
			if calls++; calls == nth {
				return syscall.ENOSPC
			}
			return nil
		}
		l := open(t, fs, Config{Wait: func(context.Context) error { waits++; return nil }})
		for n := 1; n <= 2; n++ {
			e := l.Begin(2)
			lendingEpoch(e, m, rng)
			require.NoError(t, e.Commit(record(n)))
		}
		require.NoError(t, l.Close())
		for _, synced := range []bool{true, false} {
			require.Equal(t, m.rows, rows(t, open(t, fs.copied(synced), Config{}), commit.Want{}), "call %d", nth)
		}
		if calls < nth {
			require.Zero(t, waits)
			require.Greater(t, nth, 8)
			return
		}
		require.Positive(t, waits, "call %d", nth)
	}
}

// What is lent is neither copied nor written before the commit.
func TestLend_noCopy(t *testing.T) {
	fs := newFake()
	l := open(t, fs, Config{})
	e := l.Begin(1)
	w := e.Lane(0)
	w.Node("sink")
	val := []byte(strings.Repeat("x", 8*bufferMax))
	allocated := testing.AllocsPerRun(10, func() { w.(graph.Lender).Lend(commit.EveryLane, []byte("key"), val) })
	assert.LessOrEqual(t, allocated, 8.0)
	assert.Zero(t, fs.bytes())
	assert.Less(t, cap(e.Lane(0).(*laneWriter).buf), 8<<10)
	require.NoError(t, e.Commit(record(1)))
	assert.Greater(t, fs.bytes(), 8*bufferMax)
}
