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
	require.Contains(t, cut(1, 1, 10*milli), Look{1, at, 1})
	l.Tick(120 * milli)
	require.Zero(t, asked(l.Acts()), "not while it is looked at")
	l.Looked(1, false, true)
	require.Contains(t, cut(2, 2, 130*milli), Look{2, at, 1}, "sooner than by CutEvery")
	l.Looked(1, true, false)
	_, _, yes := l.Rested()
	require.False(t, yes, "that was said of another cut")
	l.Looked(2, true, false)
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

// Goal: a job comes to its last cut: one that was asked for behind the wish, in which nothing is
// under way and all is shown. Sources rest until the end. A savepoint that is being made ends
// first.
func TestLeader_drains(t *testing.T) {
	l := leadTwo(t)
	n, now := uint64(0), time.Duration(0)
	cut := func(c Cut, found ...bool) []Act {
		t.Helper()
		n++
		now += 30 * milli
		l.Tick(now)
		l.Acts()
		l.State(tagged(0, n, c, 1, false), now)
		l.State(tagged(1, n, c, 1, false), now)
		require.NotNil(t, put(l.Acts()))
		l.Durable(now)
		acts := l.Acts()
		if found != nil {
			require.Contains(t, acts, Look{c, []Ident{{1, 1 << 32, 10}, {1, 1 << 32, 11}}, 1})
			l.Looked(c, found[0], found[1])
		}
		return acts
	}
	rests := func() bool {
		t.Helper()
		acts := l.Acts()
		require.NotEmpty(t, acts)
		return acts[len(acts)-1].(SendNews).News.Rest
	}
	now = 110 * milli
	l.Tick(now)
	require.Equal(t, Cut(1), asked(l.Acts()))
	l.Drain(true)
	require.True(t, rests())
	for _, a := range cut(1) {
		require.NotEqual(t, Look{1, l.Job().At, 1}, a, "it may have been tagged before the wish")
	}
	cut(2, true, false)
	require.True(t, rests())
	cut(3, false, true)
	l.Rest(true)
	cut(4, true, true)
	require.True(t, rests(), "also when all is shown")
	c, _, yes := l.Drained()
	require.True(t, yes)
	require.Equal(t, Cut(4), c)
	_, _, yes = l.Rested()
	require.True(t, yes, "of such a cut a savepoint can be made, too")
	now += 110 * milli
	l.Tick(now)
	require.Zero(t, asked(l.Acts()))
	l.Rest(false)
	_, _, yes = l.Drained()
	require.True(t, yes)
	l.Drain(false)
	require.False(t, rests())

	l.Rest(true)
	cut(5, true, false)
	_, _, yes = l.Rested()
	require.True(t, yes)
	require.False(t, rests())
	l.Drain(true)
	require.True(t, rests())
	now += 110 * milli
	l.Tick(now)
	require.Zero(t, asked(l.Acts()), "not before the savepoint is made")
	_, _, yes = l.Drained()
	require.False(t, yes)
	l.Rest(false)
	cut(6, true, true)
	_, _, yes = l.Drained()
	require.True(t, yes)
}

// Goal: a leader that was replaced, and tells on, wakes nobody, and so does what was told before,
// and what the register says.
func TestSlot_restsOnAtAnOldWord(t *testing.T) {
	s := two(t)
	s.News(&News{Job: Job{Version: 3, Gen: 1}, Told: 5, Rest: true}, milli)
	s.News(&News{Job: Job{Version: 2, Gen: 1}, Told: 8}, milli)
	s.News(&News{Job: Job{Version: 3, Gen: 1}, Told: 4}, milli)
	s.News(&News{Job: Job{Version: 4, Gen: 1}}, milli)
	require.True(t, s.Rests())
	s.News(&News{Job: Job{Version: 3, Gen: 1}, Told: 6}, milli)
	require.False(t, s.Rests())
	s.News(&News{Job: Job{Version: 5, Gen: 1}, Told: 1, Rest: true}, milli)
	require.True(t, s.Rests())
}

// Goal: a job can stop at a cut of which each slot says that its sources rest, and that all is
// shown.
func TestShown(t *testing.T) {
	own := Tag{Cut: 4}
	for _, tc := range []struct {
		name string
		r    *Record
		want bool
	}{
		{"it has committed nothing", nil, false},
		{"its sources do not rest", &Record{Tag: own}, false},
		{"its sources rest by an old leader's word", &Record{Tag: own, Rests: true, Word: 6}, false},
		{"outputs wait", &Record{Tag: own, Rests: true, Word: 7, Unshown: true}, false},
		{"its last record stands for it", &Record{Tag: Tag{Cut: 3}, Rests: true, Word: 7}, false},
		{"all is shown", &Record{Tag: own, Rests: true, Word: 9}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, Shown(4, 7, []*Record{{Tag: own, Rests: true, Word: 7}, tc.r}))
		})
	}
}

// Goal: a slot's sources rest as long as the leader says so.
func TestSlot_rests(t *testing.T) {
	s := two(t)
	require.True(t, s.Source(0))
	s.News(&News{Job: Job{Gen: 1}, Told: 1, Rest: true}, milli)
	require.False(t, s.Source(0))
	require.True(t, s.Room(0), "what is under way goes on")
	s.Acts()
	s.News(&News{Job: Job{Gen: 1}, Told: 2}, milli)
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
