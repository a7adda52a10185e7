package held

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: who takes over acknowledges what its standby holds, once it is committed: senders
// count no acknowledgement of a standby for a slot that is not silent.
func TestStandby_inherited(t *testing.T) {
	cfg := two(t).cfg
	b := NewStandby(cfg, 0)
	b.State(&State{Gen: 1, Slot: 0, Inc: 1 << 32, At: [][]Pos{{Start}, {Start}}})
	require.True(t, b.Data(&Data{Gen: 1, Src: 1, Dst: 0, Inc: 7 << 32, Epoch: 1, Size: 10}))
	b.End(&End{Gen: 1, Src: 1, Dst: 0, Inc: 7 << 32, Epoch: 1, Counts: []int{1}})
	require.True(t, b.Data(&Data{Gen: 1, Src: 1, Dst: 0, Inc: 7 << 32, Epoch: 2, Size: 10}), "its end has not come")
	acts := b.Acts()
	require.Len(t, acts, 1)
	require.Equal(t, Ack{Gen: 1, DstInc: 1 << 32, Process: 1, Standby: true, Src: 1, SrcInc: 7 << 32, Epoch: 1}, acts[0].(SendAck).Ack)

	s := NewSlot(cfg, 1, 2<<32, nil, b, 0)
	require.Equal(t, []string{"commit 0"}, said(s))
	s.Committed(0)
	acts = s.Acts()
	require.Len(t, acts, 2)
	assert.Equal(t, Ack{Gen: 1, DstInc: 2 << 32, Process: 1, Src: 1, SrcInc: 7 << 32, Epoch: 1}, acts[0].(SendAck).Ack)
	assert.IsType(t, SendState{}, acts[1])
}

// Goal: what a standby has acknowledged counts once its slot's process is said to be dead,
// and no longer when that is heard of again.
func TestSlot_dead(t *testing.T) {
	s := two(t)
	s.State(other(7<<32, 1, 0, 0, 0), milli)
	sent := func(now time.Duration) {
		s.Send(1, 0, 10)
		require.True(t, s.Cut(nil, nil, now))
		s.ChunksDurable(nil)
		s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: 7 << 32, Process: 3, Standby: true, Src: 0, SrcInc: 1 << 32, Epoch: s.Open() - 1})
		for _, what := range said(s) {
			require.NotContains(t, what, "commit")
		}
	}
	sent(2 * milli)
	s.Dead(9, 3*milli)
	require.Empty(t, said(s), "that is another process")
	s.Dead(2, 3*milli)
	require.Contains(t, said(s), "commit 1")
	s.Committed(4 * milli)
	said(s)

	s.State(other(7<<32, 2, 0, 0, 0), 5*milli)
	s.Send(1, 0, 10)
	require.True(t, s.Cut(nil, nil, 6*milli))
	s.ChunksDurable(nil)
	s.Ack(&Ack{Gen: 1, Dst: 1, DstInc: 7 << 32, Process: 3, Standby: true, Src: 0, SrcInc: 1 << 32, Epoch: 2})
	require.Contains(t, said(s), "commit 2", "that may be what the dead one has said last")
	s.Committed(7 * milli)
	said(s)

	s.State(other(7<<32, 3, 0, 0, 0), 60*milli)
	sent(61 * milli)
	require.Empty(t, said(s), "it lives")
}
