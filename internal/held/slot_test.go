package held

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// two is slot 0 of two, which runs; each has one lane, and there is one rank.
func two(t *testing.T) *Slot { return twoWith(t, 0) }

// twoWith is the same, with epochs that end when they have volume bytes.
func twoWith(t *testing.T, volume int) *Slot {
	cfg := Config{Shape: Shape{Slots: 2, Lanes: 1, Ranks: 1}, Process: 1, Window: 100, Volume: volume, Touches: true, Every: 10 * milli, Heartbeat: 50 * milli, Resend: 20 * milli, Silent: 60 * milli}
	s := NewSlot(cfg, 1, 1<<32, nil, nil, 0)
	require.Equal(t, []string{"commit 0"}, said(s))
	s.Committed(0)
	require.Equal(t, []string{"state 0"}, said(s))
	return s
}

// said is what a slot has decided, in short.
func said(s *Slot) (list []string) {
	for _, a := range s.Acts() {
		switch a := a.(type) {
		case CutNow:
			list = append(list, "cut")
		case Commit:
			list = append(list, "commit "+string(rune('0'+a.Record.Epoch)))
		case SendState:
			list = append(list, "state "+string(rune('0'+a.State.Epoch)))
		case SendEnd:
			list = append(list, "end "+string(rune('0'+a.End.Epoch)))
		case SendAck:
			list = append(list, "ack "+string(rune('0'+a.Ack.Epoch)))
		case Resend:
			list = append(list, "resend "+string(rune('0'+a.Kept.Epoch)))
		case Trim:
			list = append(list, "trim "+string(rune('0'+a.Epoch)))
		case Drop:
			list = append(list, "drop "+string(rune('0'+a.Epoch)))
		case WriteCopies:
			list = append(list, "copies")
		case Peek:
			list = append(list, "peek")
		case Stop:
			list = append(list, "stop: "+a.Why.String())
		case Wake:
			list = append(list, "wake")
		case ReadJob:
			list = append(list, "read job")
		case Finalise:
			list = append(list, "finalise "+string(rune('0'+a.Epoch)))
		}
	}
	return list
}

// other is a state of slot 1: what it has committed, and how much of slot 0 it has
// applied.
func other(inc Inc, n uint64, epoch, last, applied Epoch) *State {
	return &State{
		Gen: 1, Slot: 1, Inc: inc, N: n, Process: 2, History: []Span{{inc, 0}}, Epoch: epoch, Last: []Epoch{last, 0},
		At: [][]Pos{{{applied + 1, 0}}, {Start}}, Have: []Epoch{applied, 0}, Seen: []Inc{1 << 32, inc},
	}
}

// Goal: an epoch's way from the first frame to trimming, as its sender sees it.
func TestSlot_sends(t *testing.T) {
	s := two(t)
	s.State(other(7<<32, 1, 0, 0, 0), milli)
	d := s.Send(1, 0, 60)
	assert.Equal(t, Data{Gen: 1, Src: 0, Dst: 1, Inc: 1 << 32, Epoch: 1, Size: 60, To: 7 << 32}, d)
	assert.True(t, s.Room(0))
	assert.Empty(t, said(s))
	assert.Equal(t, 1, s.Send(1, 0, 40).Frame)
	assert.False(t, s.Room(0), "the window is full")
	assert.Equal(t, []string{"cut"}, said(s), "at once, as nothing more can be sent")
	require.True(t, s.Cut([]byte("state"), nil, 2*milli))
	assert.Equal(t, []string{"end 1"}, said(s))
	s.ChunksDurable(nil)
	assert.Empty(t, said(s), "nobody holds it")
	s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: 6 << 32, Process: 2, Src: 0, SrcInc: 1 << 32, Epoch: 1})
	s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: 7 << 32, Process: 1, Src: 0, SrcInc: 1 << 32, Epoch: 1})
	s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: 7 << 32, Process: 2, Src: 0, SrcInc: 9 << 32, Epoch: 1})
	assert.Empty(t, said(s), "of a dead receiver, in the same process, of another incarnation")
	s.Tick(23 * milli)
	assert.Equal(t, []string{"resend 1"}, said(s))
	s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: 7 << 32, Process: 2, Src: 0, SrcInc: 1 << 32, Epoch: 1})
	assert.Equal(t, []string{"commit 1"}, said(s))
	s.Committed(24 * milli)
	assert.Equal(t, []string{"state 1"}, said(s))
	s.State(other(7<<32, 2, 0, 0, 1), 25*milli)
	assert.Equal(t, []string{"trim 1", "wake"}, said(s))
	assert.True(t, s.Room(0))
	s.Tick(40 * milli)
	assert.Empty(t, said(s), "nothing to commit")
	s.Touch()
	s.Tick(41 * milli)
	assert.Equal(t, []string{"cut"}, said(s))
}

// Goal: an epoch that is large ends before its time, as soon as the one before is committed.
func TestSlot_largeEpoch(t *testing.T) {
	s := twoWith(t, 30)
	s.State(other(7<<32, 1, 0, 0, 0), milli)
	s.Send(1, 0, 20)
	assert.Empty(t, said(s))
	s.Send(1, 0, 10)
	assert.Equal(t, []string{"cut"}, said(s))
	s.Send(1, 0, 5)
	assert.Empty(t, said(s), "it was said")
	require.True(t, s.Cut(nil, nil, 2*milli))
	assert.Equal(t, []string{"end 1"}, said(s))
	assert.Equal(t, 12*milli, s.Due())
	s.Send(1, 0, 20)
	s.Send(1, 0, 12)
	assert.Empty(t, said(s), "the one before is not committed")
	s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: 7 << 32, Process: 2, Src: 0, SrcInc: 1 << 32, Epoch: 1})
	s.ChunksDurable(nil)
	assert.Equal(t, []string{"commit 1"}, said(s))
	s.Committed(3 * milli)
	assert.Equal(t, []string{"state 1", "cut"}, said(s))
	require.True(t, s.Cut(nil, nil, 3*milli))
	assert.Equal(t, []string{"end 2"}, said(s))
	s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: 7 << 32, Process: 2, Src: 0, SrcInc: 1 << 32, Epoch: 2})
	s.ChunksDurable(nil)
	s.Committed(4 * milli)
	assert.Equal(t, []string{"commit 2", "state 2"}, said(s), "the open one is empty")
}

// Goal: an epoch's way as its receiver sees it: held, acknowledged, applied when it is
// committed and all before it came, once.
func TestSlot_receives(t *testing.T) {
	const inc = 7 << 32
	s := two(t)
	frame := func(e Epoch, f int) bool {
		return s.Data(&Data{Gen: 1, Src: 1, Inc: inc, Epoch: e, Frame: f, Size: 10})
	}
	end := func(e, prev Epoch, n int) {
		s.End(&End{Gen: 1, Src: 1, Inc: inc, Epoch: e, Prev: prev, Counts: []int{n}, Marks: []byte{byte(e)}})
	}
	assert.True(t, frame(3, 0))
	end(3, 1, 1)
	assert.Equal(t, []string{"ack 3"}, said(s))
	s.State(other(inc, 1, 3, 3, 0), milli)
	assert.Empty(t, said(s), "epoch 1 is missing")
	assert.True(t, frame(1, 1))
	assert.False(t, frame(1, 1), "twice")
	end(1, 0, 2)
	assert.True(t, frame(1, 0))
	assert.Equal(t, []string{"ack 1", "wake"}, said(s))
	var order [][3]int
	for a, ok := s.Next(0); ok; a, ok = s.Next(0) {
		n := 0
		if a.End {
			n = 1
		}
		order = append(order, [3]int{int(a.Epoch), a.Frame, n})
	}
	assert.Equal(t, [][3]int{{1, 0, 0}, {1, 1, 0}, {1, 0, 1}, {3, 0, 0}, {3, 0, 1}}, order)
	assert.Equal(t, Place{Pos: Pos{4, 0}, Marks: []byte{3}}, s.Place(1, 0))
	assert.Equal(t, []string{"drop 1", "drop 3"}, said(s))
	end(3, 1, 1)
	assert.Equal(t, []string{"ack 3"}, said(s), "its acknowledgement was lost")
}

// Goal: what crosses a cut waits for the tag, and the tag names copies of what is kept.
func TestSlot_tagsFirst(t *testing.T) {
	const inc = 7 << 32
	s := two(t)
	s.State(other(inc, 1, 0, 0, 0), milli)
	s.Send(1, 0, 10)
	m := other(inc, 2, 4, 0, 0)
	m.Colour, m.Marks = 5, []byte("marks")
	s.State(m, 2*milli)
	assert.Equal(t, []string{"wake", "cut"}, said(s))
	_, ok := s.Next(0)
	assert.False(t, ok, "an end that is behind cut 5")
	s.Cut(nil, nil, 3*milli)
	assert.Equal(t, []string{"end 1", "copies"}, said(s))
	a, ok := s.Next(0)
	assert.True(t, ok && a.End)
	assert.Equal(t, "marks", string(a.Marks))
	s.ChunksDurable(nil)
	s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: inc, Process: 2, Src: 0, SrcInc: 1 << 32, Epoch: 1})
	assert.Empty(t, said(s), "copies are not durable")
	k := Kept{Dst: 1, Inc: 1 << 32, Epoch: 1}
	s.CopiesDurable([]Kept{k})
	acts := s.Acts()
	require.Len(t, acts, 1)
	r := acts[0].(Commit).Record
	assert.Equal(t, Tag{Cut: 5, At: Ident{1, 1 << 32, 1}}, r.Tag)
	require.Len(t, r.Kept, 1)
	assert.Equal(t, [][]int{{10}}, r.Kept[0].Frames)
}

// Goal: with the log an epoch waits for its copy and for nobody else, the record names all
// that a receiver may still need, and nobody acknowledges.
func TestSlot_log(t *testing.T) {
	const inc = 7 << 32
	s := two(t)
	s.cfg.Log = true
	s.State(other(inc, 1, 0, 0, 0), milli)
	for e := Epoch(1); e <= 2; e++ {
		s.Send(1, 0, 10)
		require.True(t, s.Cut(nil, nil, milli))
		assert.Equal(t, []string{"end " + string(rune('0'+e)), "copies"}, said(s), "at once, beside the changelog")
		s.ChunksDurable(nil)
		s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: inc, Process: 2, Src: 0, SrcInc: 1 << 32, Epoch: e})
		assert.Empty(t, said(s), "an acknowledgement does not do")
		s.CopiesDurable([]Kept{{Dst: 1, Inc: 1 << 32, Epoch: e}})
		acts := s.Acts()
		require.Len(t, acts, 1)
		assert.Len(t, acts[0].(Commit).Record.Kept, int(e))
		s.Committed(2 * milli)
		s.Acts()
	}
	s.State(other(inc, 2, 0, 0, 1), 3*milli)
	s.Send(1, 0, 10)
	s.Cut(nil, nil, 4*milli)
	s.ChunksDurable(nil)
	s.Acts()
	s.CopiesDurable([]Kept{{Dst: 1, Inc: 1 << 32, Epoch: 3}})
	kept := s.Acts()[0].(Commit).Record.Kept
	require.Len(t, kept, 2, "the first is taken in")
	assert.Equal(t, Epoch(2), kept[0].Epoch)

	s.Data(&Data{Gen: 1, Src: 1, Inc: inc, Epoch: 1, Size: 10})
	s.End(&End{Gen: 1, Src: 1, Inc: inc, Epoch: 1, Counts: []int{1}})
	assert.Empty(t, said(s))
}

// Goal: a register that was read overtakes states; an old state is no proof of a loss.
func TestSlot_stateBehindPeek(t *testing.T) {
	const inc = 7 << 32
	s := two(t)
	s.Peeked(&Record{Gen: 1, Slot: 1, Inc: inc, Epoch: 5, History: []Span{{inc, 0}}, Last: []Epoch{0, 0}}, milli)
	s.State(other(inc, 1, 4, 0, 0), 2*milli)
	s.Acts()
	s.Tick(60 * milli)
	told := func() (m State) {
		for _, a := range s.Acts() {
			if x, ok := a.(SendState); ok {
				m = x.State
			}
		}
		return m
	}
	assert.False(t, told().Lost)
	late := other(8<<32, 1, 4, 0, 0)
	late.Seen[0] = 0
	s.State(late, 61*milli)
	s.Tick(110 * milli)
	assert.False(t, told().Lost, "it was sent before I began")
	s.State(other(8<<32, 2, 4, 0, 0), 111*milli)
	s.Tick(170 * milli)
	assert.True(t, told().Lost, "a newer incarnation that goes on before what I applied")
}

func TestSlot_stops(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(*Slot)
		want string
	}{
		{"somebody knows a newer incarnation", func(s *Slot) {
			m := other(7<<32, 1, 0, 0, 0)
			m.Seen[0] = 2 << 32
			s.State(m, milli)
		}, "stop: outdated"},
		{"also somebody of another generation", func(s *Slot) {
			m := other(7<<32, 1, 0, 0, 0)
			m.Seen[0], m.Gen = 2<<32, 3
			s.State(m, milli)
		}, "stop: outdated"},
		{"an epoch is applied that it has not made", func(s *Slot) { s.State(other(7<<32, 1, 0, 0, 1), milli) }, "stop: outdated"},
		{"a newer one has made room for a frame", func(s *Slot) {
			assert.False(t, s.Data(&Data{Gen: 1, Src: 1, Inc: 7 << 32, Epoch: 1, Size: 10, To: 2 << 32}))
		}, "stop: outdated"},
		{"the job was rolled back", func(s *Slot) { s.News(&News{Job: Job{Gen: 2}}, milli) }, "stop: rolled back"},
		{"a newer generation is heard of", func(s *Slot) {
			s.Data(&Data{Gen: 2, Src: 1, Epoch: 1, Size: 1})
			s.Data(&Data{Gen: 2, Src: 1, Epoch: 2, Size: 1})
		}, "read job"},
	} {
		s := two(t)
		tc.do(s)
		assert.Equal(t, []string{tc.want}, said(s), tc.name)
	}
}

func TestChoose(t *testing.T) {
	job := &Job{Gen: 2, Cut: 3, At: []Ident{{1, 5, 9}}}
	at, fromCut := Choose(job, 0, &Record{Gen: 1, Epoch: 12})
	assert.True(t, fromCut, "the record is of the generation before")
	assert.Equal(t, Ident{1, 5, 9}, at)
	_, fromCut = Choose(job, 0, &Record{Gen: 2})
	assert.False(t, fromCut)
	at, fromCut = Choose(&Job{Gen: 1}, 0, nil)
	assert.True(t, fromCut)
	assert.Zero(t, at, "the start of the job")
}
