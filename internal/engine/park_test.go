package engine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

// parkedIn is what a log of rows leads to, loaded in any order.
func parkedIn(t *testing.T, logs ...*commit.RowLog) *parks {
	rows := &parkedRow{rows: map[string]commit.Row{}}
	for _, l := range logs {
		require.NoError(t, commit.Replay(l.Bytes(), rows))
	}
	p := newParks()
	for key, r := range rows.rows {
		require.NoError(t, p.load(r.Group, []byte(key), r.Val))
	}
	p.settle()
	return p
}

// parkedRow is a store of rows, which are told apart by their keys.
type parkedRow struct{ rows map[string]commit.Row }

func (c *parkedRow) Node(string) {}
func (c *parkedRow) Put(group int, key, val []byte) {
	c.rows[string(key)] = commit.Row{Group: group, Val: val}
}
func (c *parkedRow) Append(int, []byte, []byte) { panic("nothing is appended") }
func (c *parkedRow) Delete(_ int, key []byte)   { delete(c.rows, string(key)) }

// Goal: what waits for a group is taken in from the front, by rank, also behind a restart, and
// each of it once; rows of several lanes have keys of their own.
func TestParks(t *testing.T) {
	p := newParks()
	p.await([]int{3, 7})
	require.True(t, p.awaited(3))
	require.False(t, p.awaited(4))
	add := func(group, rank int, vals ...string) {
		for _, v := range vals {
			p.add(parkOf{group, rank}, []byte(v))
		}
	}
	take := func(p *parks, group, rank int) string {
		val, ok := p.take(parkOf{group, rank})
		require.True(t, ok)
		return string(val)
	}
	add(3, 0, "a", "b")
	add(3, 1, "x")
	add(7, 0, "k")
	require.Equal(t, "a", take(p, 3, 0), "of which the store has never heard")
	first := commit.NewRowLog(nil)
	p.delta(first, nil)

	again := parkedIn(t, first)
	add(3, 0, "c")
	require.Equal(t, "b", take(p, 3, 0))
	second := commit.NewRowLog(nil)
	p.delta(second, nil)
	require.Equal(t, "b", take(again, 3, 0))
	_, ok := again.take(parkOf{3, 0})
	require.False(t, ok)

	for range 300 { // numbers of more than one byte
		add(7, 0, "l")
	}
	third := commit.NewRowLog(nil)
	p.delta(third, nil)
	again = parkedIn(t, first, second, third)
	require.Equal(t, "c", take(again, 3, 0))
	require.Equal(t, "x", take(again, 3, 1))
	require.Equal(t, "k", take(again, 7, 0))
	again.await([]int{7})
	again.add(parkOf{7, 0}, []byte("last"))
	for range 300 {
		require.Equal(t, "l", take(again, 7, 0))
	}
	require.Equal(t, "last", take(again, 7, 0))

	other, both := newParks(), commit.NewRowLog(nil)
	other.add(parkOf{9, 0}, nil)
	other.add(parkOf{9, 0}, []byte("of another lane"))
	require.Empty(t, take(other, 9, 0))
	other.delta(both, nil)
	again = parkedIn(t, both, first)
	require.Equal(t, "b", take(again, 3, 0), "which has its number")
	require.Equal(t, "of another lane", take(again, 9, 0))

	whole := commit.NewRowLog(nil)
	p.delta(whole, func(group int) bool { return group == 3 })
	again = parkedIn(t, whole)
	require.Equal(t, "c", take(again, 3, 0), "all of chosen groups is written again")
	_, ok = again.take(parkOf{7, 0})
	require.False(t, ok)
}

// Goal: a lane that waits for nothing more has nothing to look after, once the store knows.
func TestParks_idle(t *testing.T) {
	p := newParks()
	p.await([]int{3})
	p.add(parkOf{3, 0}, []byte("a"))
	p.delta(commit.NewRowLog(nil), nil)
	_, ok := p.take(parkOf{3, 0})
	require.True(t, ok)
	p.arrived(3)
	require.False(t, p.idle(), "the store has a row still")
	p.delta(commit.NewRowLog(nil), nil)
	require.True(t, p.idle())
}

// Goal: a row that can't be is refused.
func TestParks_damaged(t *testing.T) {
	require.ErrorIs(t, newParks().load(3, []byte("key"), nil), errParked)
}
