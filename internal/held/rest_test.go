package held

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: a job comes to rest at the first cut in which nothing is under way, which stays the
// last one until it is let go.
func TestLeader_rests(t *testing.T) {
	l := leadTwo(t)
	cut := func(n uint64, c Cut, now time.Duration) []Act {
		t.Helper()
		l.Tick(now)
		require.Equal(t, c, asked(l.Acts()))
		l.State(tagged(0, n, c, 1, false), now)
		l.State(tagged(1, n, c, 1, false), now)
		require.NotNil(t, put(l.Acts()))
		l.Durable(now)
		return l.Acts()
	}
	l.Rest(true)
	news := l.Acts()
	require.Len(t, news, 1)
	assert.True(t, news[0].(SendNews).News.Rest)

	at := []Ident{{1, 1 << 32, 10}, {1, 1 << 32, 11}}
	require.Contains(t, cut(1, 1, 10*milli), Look{1, at})
	l.Tick(120 * milli)
	require.Zero(t, asked(l.Acts()), "not while it is looked at")
	l.Looked(1, false)
	require.Contains(t, cut(2, 2, 130*milli), Look{2, at}, "sooner than by CutEvery")
	l.Looked(1, true)
	_, _, yes := l.Rested()
	require.False(t, yes, "that was said of another cut")
	l.Looked(2, true)
	assert.False(t, l.Acts()[0].(SendNews).News.Rest, "sources go on")
	c, named, yes := l.Rested()
	require.True(t, yes)
	assert.Equal(t, Cut(2), c)
	assert.Equal(t, at, named)
	l.Tick(250 * milli)
	require.Zero(t, asked(l.Acts()))
	l.Rest(false)
	l.Tick(260 * milli)
	require.Equal(t, Cut(3), asked(l.Acts()))
}

// Goal: a slot's sources rest as long as the leader says so.
func TestSlot_rests(t *testing.T) {
	s := two(t)
	require.True(t, s.Source(0))
	s.News(&News{Job: Job{Gen: 1}, Rest: true}, milli)
	require.False(t, s.Source(0))
	require.True(t, s.Room(0), "what is under way goes on")
	s.Acts()
	s.News(&News{Job: Job{Gen: 1}}, milli)
	require.True(t, s.Source(0))
	require.Contains(t, s.Acts(), Act(Wake{}))
}

// Goal: what one has sent and the other has not applied to its end is under way.
func TestQuiet(t *testing.T) {
	at := func(e ...Epoch) (list []Place) {
		for _, e := range e {
			list = append(list, Place{Pos: Pos{Epoch: e}})
		}
		return list
	}
	src := &Record{Slot: 0, Epoch: 9, Last: []Epoch{0, 5}}
	for _, tc := range []struct {
		name string
		dst  *Record
		want bool
	}{
		{"it has committed nothing", nil, false},
		{"it is in the midst", &Record{Slot: 1, At: [][]Place{at(6, 5), nil}}, false},
		{"it has all", &Record{Slot: 1, At: [][]Place{at(6, 6), nil}}, true},
		{"it has more ends", &Record{Slot: 1, At: [][]Place{at(10, 7), nil}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, Quiet([]*Record{src, tc.dst})) })
	}
	assert.True(t, Quiet([]*Record{nil, nil}))
}
