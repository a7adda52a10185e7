package held

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: each slot gets its share, and no group moves that need not. Method: 3 slots
// become 5 and then 2, as workers come and go.
func TestSpread(t *testing.T) {
	owner := make([]int, 1024)
	for g := range owner {
		owner[g] = g * 3 / len(owner)
	}
	has := func(owner []int) (n [5]int) {
		for _, s := range owner {
			n[s]++
		}
		return n
	}
	moved := func(a, b []int) (n int) {
		for g := range a {
			if a[g] != b[g] {
				n++
			}
		}
		return n
	}
	five := Spread(owner, []int{1, 1, 1, 1, 1})
	assert.Equal(t, [5]int{205, 205, 205, 205, 204}, has(five))
	assert.Equal(t, 205+204, moved(owner, five), "what the two new ones get")
	two := Spread(five, []int{0, 3, 0, 1, 0})
	assert.Equal(t, [5]int{0, 768, 0, 256, 0}, has(two))
	assert.Equal(t, 1024-205-205, moved(five, two))
	assert.Equal(t, two, Spread(two, []int{0, 3, 0, 1, 0}), "it is so already")
}

// moving is slot 0 of two, which has groups 0 and 1 of four, and runs. It is behind the
// cut of a version in which it has 1 and 2.
func moving(t *testing.T) *Slot {
	cfg := Config{
		Shape: Shape{Slots: 2, Lanes: 1, Ranks: 1}, Owner: []int{0, 0, 1, 1}, LaneOf: func(int) int { return 0 },
		Process: 1, Window: 100, Touches: true, Every: 10 * milli, Heartbeat: 50 * milli, Resend: 20 * milli, Silent: 60 * milli,
	}
	s := NewSlot(cfg, 1, 1<<32, nil, nil, 0)
	s.Committed(0)
	s.State(behind(1, 0, Moves{}), milli)
	s.Acts()
	s.News(&News{Job: Job{Gen: 1, Groups: Assignment{1, []int{1, 0, 0, 1}}}}, milli)
	require.Equal(t, []string{"cut"}, said(s))
	turn := s.Turn()
	require.Equal(t, &Assignment{1, []int{1, 0, 0, 1}}, turn.Next)
	require.Equal(t, 0, s.Owner(0))
	commit(t, s, 2*milli)
	return s
}

// behind is a state of slot 1 that has committed an epoch without frames, and what it
// says of groups.
func behind(n uint64, epoch Epoch, m Moves) *State {
	st := other(7<<32, n, epoch, 0, 0)
	st.Moves, st.Marks = m, []byte{byte(epoch)}
	return st
}

// commit cuts an epoch without frames, and gives its record.
func commit(t *testing.T, s *Slot, now time.Duration) *Record {
	require.True(t, s.Cut(nil, []byte{100}, now))
	s.ChunksDurable(nil)
	for _, a := range s.Acts() {
		if c, ok := a.(Commit); ok {
			s.Committed(now)
			return c.Record
		}
	}
	require.Fail(t, "nothing is committed")
	return nil
}

// Goal: a slot takes part in a change from the turn to the last record: it gives when
// all input of the assignment before is taken in, forgets when the new owner has it, and
// adopts what is committed and drained, with what was parked in between.
func TestSlot_handsOver(t *testing.T) {
	s := moving(t)
	assert.Equal(t, 1, s.Owner(0))
	assert.True(t, s.Gives(0))
	assert.True(t, s.Awaits(2))
	assert.True(t, s.Frozen())
	s.Park(2, 0, 30)
	s.State(behind(2, 1, Moves{}), 3*milli)
	a, ok := s.Next(0)
	require.True(t, ok && a.End)
	assert.Equal(t, []byte{1}, a.Marks, "of the assignment before")
	s.Acts()

	s.State(behind(3, 2, Moves{Version: 1, Before: []byte{50}, Await: []int{0}}), 4*milli)
	a, _ = s.Next(0)
	assert.Equal(t, []byte{50}, a.Marks, "those that it ended with")
	a, _ = s.Next(0)
	assert.Equal(t, []byte{50}, a.Marks, "those of the new one are late")
	turn := s.Turn()
	assert.Equal(t, []int{0}, turn.Give)
	r := commit(t, s, 5*milli)
	assert.Equal(t, []Given{{0, 1, 1 << 32, 2}}, r.Groups.Given)
	assert.Empty(t, r.Groups.Give)
	assert.Equal(t, Epoch(2), r.Groups.Drained)
	assert.Equal(t, []Await{{2, false, []int{30}}}, r.Groups.Await)

	given := Given{2, 1, 7 << 32, 3}
	s.State(behind(4, 3, Moves{Version: 1, Await: []int{0}, Given: []Given{given}, Drained: 2}), 6*milli)
	assert.NotContains(t, s.Acts(), Adopt{1, []Given{given}}, "its output is under way")
	s.State(behind(5, 4, Moves{Version: 1, Given: []Given{given}, Drained: 3}), 7*milli)
	assert.Contains(t, s.Acts(), Adopt{1, []Given{given}})
	s.Adopted([]Given{given})
	assert.Equal(t, []string{"cut"}, said(s))
	assert.Equal(t, []Given{given}, s.Turn().Adopt)
	r = commit(t, s, 8*milli)
	assert.Empty(t, r.Groups.Given, "slot 1 has group 0")
	assert.Equal(t, []Await{{2, true, []int{30}}}, r.Groups.Await)

	a, ok = s.Next(0)
	require.True(t, ok && a.Replay)
	assert.Equal(t, 2, a.Group)
	s.Replayed(2, 0, 30)
	assert.False(t, s.Awaits(2))
	assert.False(t, s.Frozen())
	assert.Contains(t, said(s), "wake")
	a, _ = s.Next(0)
	assert.Equal(t, []byte{2}, a.Marks, "what was late")
	assert.True(t, commit(t, s, 9*milli).Groups.settled())
}

// Goal: a hand-over is news that crosses a cut.
func TestSlot_handsOverBehindTheTag(t *testing.T) {
	s := moving(t)
	given := Given{2, 1, 7 << 32, 1}
	m := behind(2, 1, Moves{Version: 1, Given: []Given{given}, Drained: 1})
	m.Colour = 5
	s.State(m, 3*milli)
	acts := s.Acts()
	assert.Contains(t, acts, CutNow{})
	assert.NotContains(t, acts, Adopt{1, []Given{given}})
	commit(t, s, 4*milli)
	m.N++
	s.State(m, 5*milli)
	assert.Contains(t, s.Acts(), Adopt{1, []Given{given}})
}

// Goal: an epoch of an assignment that nobody has told of waits, and the job is read.
func TestSlot_readsTheAssignment(t *testing.T) {
	s := moving(t)
	s.State(behind(2, 1, Moves{Version: 2}), 3*milli)
	s.Acts()
	_, ok := s.Next(0)
	assert.False(t, ok)
	assert.Equal(t, []string{"read job"}, said(s))
}

// Goal: at a bound sources stop, here and where it is told.
func TestSlot_stopsAtABound(t *testing.T) {
	s := two(t)
	s.cfg.Budget = Budget{Outbox: 50, Kept: 80}
	s.State(other(7<<32, 1, 0, 0, 0), milli)
	assert.True(t, s.Source(0))
	s.Outbox(50)
	assert.False(t, s.Source(0))
	s.Acts()
	s.Tick(2 * milli)
	assert.Contains(t, said(s), "state 0", "at once")
	s.Outbox(49)
	assert.True(t, s.Source(0))
	s.Send(1, 0, 80)
	assert.True(t, s.Room(0))
	assert.False(t, s.Source(0), "its receiver has not applied it")
	s.Cut(nil, nil, 3*milli)
	s.ChunksDurable(nil)
	s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: 7 << 32, Process: 2, SrcInc: 1 << 32, Epoch: 1})
	s.Committed(4 * milli)
	m := other(7<<32, 2, 0, 0, 1)
	s.State(m, 5*milli)
	assert.True(t, s.Source(0))
	m.N, m.Full = 3, true
	s.State(m, 6*milli)
	assert.False(t, s.Source(0), "slot 1 is at a bound")
	assert.True(t, s.Room(0))
}

// Goal: of incarnations that no state has told of only a window's worth is held.
func TestSlot_holdsLittleOfTheUnknown(t *testing.T) {
	s := two(t)
	s.State(other(7<<32, 1, 0, 0, 0), milli)
	frame := func(inc Inc, e Epoch) bool {
		return s.Data(&Data{Gen: 1, Src: 1, Inc: inc, Epoch: e, Size: 30})
	}
	assert.True(t, frame(8<<32, 1))
	assert.True(t, frame(9<<32, 1))
	assert.False(t, frame(9<<32, 2), "two heads and two frames fill a window of 100")
	assert.True(t, frame(7<<32, 1), "that one is known")
	s.State(other(9<<32, 1, 0, 0, 0), 2*milli)
	assert.True(t, frame(9<<32, 2))
}

// Goal: a group counts as drained when sinks have shown all that came of it, too, where they
// wait for cuts.
func TestSlot_drainsIntoSinks(t *testing.T) {
	s := moving(t)
	s.Shown(1)
	s.State(behind(2, 1, Moves{}), 3*milli)
	s.Next(0)
	s.State(behind(3, 2, Moves{Version: 1, Await: []int{0}}), 4*milli)
	s.Next(0)
	s.Next(0)
	require.Equal(t, []int{0}, s.Turn().Give)
	r := commit(t, s, 5*milli)
	assert.Equal(t, []Given{{0, 1, 1 << 32, 2}}, r.Groups.Given)
	assert.Equal(t, Epoch(1), r.Groups.Drained)
	s.touched = false
	s.Shown(1)
	assert.False(t, s.touched)
	s.Shown(2)
	assert.True(t, s.touched, "the new owner waits for a record that says so")
	assert.Equal(t, Epoch(2), commit(t, s, 6*milli).Groups.Drained)
}

// Goal: what is heard between a turn and its cut is of the next one.
func TestSlot_turnsOnce(t *testing.T) {
	s := moving(t)
	given := Given{2, 1, 7 << 32, 1}
	s.State(behind(2, 1, Moves{Version: 1, Given: []Given{given}, Drained: 1}), 3*milli)
	assert.Empty(t, s.Turn().Adopt)
	s.Adopted([]Given{given})
	r := commit(t, s, 4*milli)
	assert.Equal(t, []Await{{2, false, nil}}, r.Groups.Await)
	assert.Empty(t, s.Turn().Adopt, "its watermark is behind that of who gave it")
	a, _ := s.Next(0)
	require.True(t, a.End)
	assert.Equal(t, []Given{given}, s.Turn().Adopt)
	assert.Empty(t, commit(t, s, 5*milli).Groups.Await)
}

// Goal: a job that was begun by a version in which no group moved goes on with the groups that
// slots had there.
func TestGroups_ofAnOlderVersion(t *testing.T) {
	cfg := moving(t).cfg
	s := NewSlot(cfg, 1, 2<<32, &Record{Gen: 1, Inc: 1 << 32, Epoch: 3}, nil, 0)
	assert.Equal(t, cfg.Owner, s.Groups().Owner)
	l := NewLeader(LeaderConfig{Slots: 2, Owner: cfg.Owner}, &Job{Gen: 1, At: make([]Ident, 2)}, 0)
	assert.Equal(t, cfg.Owner, put(l.Acts()).Groups.Owner)
}

// Goal: records make a cut together only where each group is in one place. Method: what two slots
// say of one group, which has moved from the first to the second.
func TestWhole(t *testing.T) {
	before := Groups{Assignment: Assignment{Owner: []int{0}}}
	behind := func(g Groups) Groups {
		g.Version, g.Owner = 1, []int{1}
		return g
	}
	given := behind(Groups{Given: []Given{{Group: 0, Version: 1}}})
	awaits := behind(Groups{Await: []Await{{Group: 0}}})
	adopted := behind(Groups{Await: []Await{{Group: 0, Here: true, Parked: []int{3}}}})
	for _, tc := range []struct {
		name     string
		from, to Groups
		want     bool
	}{
		{"no group has moved", before, before, true},
		{"of a version in which none could", Groups{}, Groups{}, true},
		{"the old owner follows first", behind(Groups{Give: []int{0}}), before, true},
		{"the new owner does", before, awaits, true},
		{"it is under way", given, awaits, true},
		{"before its new owner follows", given, before, true},
		{"it is adopted, and was not forgotten yet", given, adopted, true},
		{"all of it is done", behind(Groups{}), behind(Groups{}), true},
		{"it is adopted, and still where it was", before, adopted, false},
		{"and is to be given there", behind(Groups{Give: []int{0}}), adopted, false},
		{"it is forgotten, and not adopted", behind(Groups{}), awaits, false},
		{"the new owner has not even followed", behind(Groups{}), before, false},
	} {
		records := []*Record{{Slot: 0, Groups: tc.from}, {Slot: 1, Groups: tc.to}}
		assert.Equal(t, tc.want, whole(records, []int{0}), tc.name)
		assert.True(t, whole(records, nil), "no group ever moves")
	}
}
