package held

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const milli = time.Millisecond

// leadTwo is a leader of two slots whose job record is durable.
func leadTwo(t *testing.T) *Leader {
	l := NewLeader(LeaderConfig{Slots: 2, CutEvery: 100 * milli, GiveUp: 50 * milli, Tell: 10 * milli, Silent: 30 * milli}, nil, 0)
	acts := l.Acts()
	require.Len(t, acts, 1)
	assert.Equal(t, PutJob{&Job{Version: 1, Gen: 1, At: make([]Ident, 2), Settled: true}}, acts[0])
	l.Durable(0)
	require.Equal(t, []Act{SendNews{News{Job: Job{Version: 1, Gen: 1, At: make([]Ident, 2), Settled: true}, Told: 1}}}, l.Acts())
	return l
}

// tagged is a state whose record is slot's part of a cut.
func tagged(slot int, n uint64, cut Cut, gen Gen, void bool) *State {
	return &State{Gen: gen, Slot: slot, Inc: 1 << 32, N: n, Colour: cut, Tag: Tag{Cut: cut, At: Ident{gen, 1 << 32, Epoch(10 + slot)}, Void: void}}
}

func asked(acts []Act) (cut Cut) {
	for _, a := range acts {
		if n, ok := a.(SendNews); ok {
			cut = n.News.Asked
		}
	}
	return cut
}

func put(acts []Act) *Job {
	for _, a := range acts {
		if p, ok := a.(PutJob); ok {
			return p.Job
		}
	}
	return nil
}

func TestLeader_completesACut(t *testing.T) {
	l := leadTwo(t)
	l.Tick(100 * milli)
	require.Equal(t, Cut(1), asked(l.Acts()))
	l.State(tagged(0, 1, 1, 1, false), 101*milli)
	require.Nil(t, put(l.Acts()))
	l.State(tagged(1, 1, 1, 1, false), 102*milli)
	j := put(l.Acts())
	require.NotNil(t, j)
	assert.Equal(t, Job{Version: 2, Gen: 1, Cut: 1, At: []Ident{{1, 1 << 32, 10}, {1, 1 << 32, 11}}, Settled: true}, *j)
}

func TestLeader_cutsSoonerAtTheEnd(t *testing.T) {
	l := leadTwo(t)
	l.State(&State{Gen: 1, Slot: 1, Inc: 1 << 32, N: 1, Waits: true}, 20*milli)
	l.Tick(29 * milli)
	require.Zero(t, asked(l.Acts()))
	l.State(&State{Gen: 1, Slot: 1, Inc: 1 << 32, N: 2, Waits: true}, 29*milli)
	l.Tick(30 * milli)
	require.Equal(t, Cut(1), asked(l.Acts()), "not put off by asking again")
}

func TestLeader_voidIsNamedAgain(t *testing.T) {
	l := leadTwo(t)
	l.Tick(100 * milli)
	l.State(tagged(0, 1, 1, 1, true), 101*milli)
	l.Tick(105 * milli)
	l.Acts()
	l.Tick(111 * milli)
	assert.Equal(t, Cut(2), asked(l.Acts()), "not at once: what makes it void takes a while to go")
}

func TestLeader_rollsBack(t *testing.T) {
	l := leadTwo(t)
	l.Tick(100 * milli)
	l.State(tagged(0, 1, 1, 1, false), 101*milli)
	lost := tagged(1, 1, 0, 1, false)
	lost.Lost = true
	l.Acts()
	l.State(lost, 102*milli)
	j := put(l.Acts())
	require.NotNil(t, j)
	assert.Equal(t, Gen(2), j.Gen)
	l.Durable(103 * milli)
	l.Tick(203 * milli)
	assert.Equal(t, Cut(2), asked(l.Acts()))
	l.State(tagged(0, 2, 2, 2, false), 204*milli)
	l.State(tagged(1, 2, 2, 1, false), 205*milli)
	assert.Nil(t, put(l.Acts()), "a tag of the generation before")
}

// Goal: a leader that was replaced learns it though nothing happens, and a record that
// stands at too few acceptors is written again. Both depend on a put.
func TestLeader_putsAgainWhenNoCutCompletes(t *testing.T) {
	l := leadTwo(t)
	l.Tick(100 * milli)
	l.Acts()
	l.Tick(150 * milli)
	j := put(l.Acts())
	require.NotNil(t, j)
	assert.Equal(t, Job{Version: 2, Gen: 1, At: make([]Ident, 2), Settled: true}, *j)
	l.Durable(151 * milli)
	l.Tick(152 * milli)
	assert.Equal(t, Cut(1), asked(l.Acts()), "and asks again")
}

func TestLeader_stopsForANewerGeneration(t *testing.T) {
	l := leadTwo(t)
	l.State(tagged(0, 1, 1, 2, false), 1*milli)
	assert.Equal(t, []Act{Stop{Outdated}}, l.Acts())
	l.Tick(time.Hour)
	assert.Empty(t, l.Acts())
}

// Goal: the last record of a silent slot stands for it only where nothing is under way
// that no record names. Method: two records, and what is changed in them.
func TestLeader_silentSlot(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(tagged, silent *Record)
		want   bool
	}{
		{"nothing is under way", func(_, _ *Record) {}, true},
		{"the silent slot's last epoch is not applied", func(t, _ *Record) { t.At[1][0].Epoch = 7 }, false},
		{"and its record names a copy", func(t, s *Record) {
			t.At[1][0].Epoch = 7
			s.Kept = []Kept{{Dst: 0, Epoch: 7, Prev: 6}}
		}, true},
		{"the tagged slot's last epoch is not applied, and named", func(t, s *Record) {
			s.At[0][0].Epoch = 10
			t.Kept = []Kept{{Dst: 1, Epoch: 10, Prev: 9}}
		}, true},
		{"not named", func(_, s *Record) { s.At[0][0].Epoch = 10 }, false},
		{"one before it is not named", func(t, s *Record) {
			s.At[0][0].Epoch = 9
			t.Kept = []Kept{{Dst: 1, Epoch: 10, Prev: 9}}
		}, false},
		{"the silent slot is ahead", func(_, s *Record) { s.At[0][0].Pos = Pos{11, 1} }, false},
		{"of another generation", func(_, s *Record) { s.Gen = 3 }, false},
	} {
		l := leadTwo(t)
		l.State(tagged(1, 1, 0, 1, false), 60*milli)
		l.Tick(100 * milli)
		l.State(tagged(0, 1, 1, 1, false), 101*milli)
		l.Acts()
		l.Tick(102 * milli)
		f := Fetch{Cut: 1, At: []Ident{{1, 1 << 32, 10}, {}}}
		require.Equal(t, []Act{f}, l.Acts())
		at := func(e Epoch) [][]Place { return [][]Place{{{Pos: Pos{e, 0}}}, {{Pos: Pos{e, 0}}}} }
		a := &Record{Gen: 1, Slot: 0, Inc: 1 << 32, Epoch: 10, Last: []Epoch{0, 10}, At: at(8)}
		b := &Record{Gen: 1, Slot: 1, Inc: 1 << 32, Epoch: 7, Last: []Epoch{7, 0}, At: at(11)}
		tc.change(a, b)
		l.Fetched(f, []*Record{a, b}, 103*milli)
		j := put(l.Acts())
		if assert.Equal(t, tc.want, j != nil, tc.name) && j != nil {
			assert.Equal(t, []Ident{a.Ident(), b.Ident()}, j.At)
		}
	}
}
