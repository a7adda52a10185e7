package distributed

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/held"
	"github.com/stretchr/testify/require"
)

// Goal: kills and pauses come at the rate that was asked for, who is paused goes on, and
// all is over with the job. Method: a bubble with an hour in it.
func TestMonkey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kills, stops, goesOn atomic.Int64
		var over atomic.Bool
		signal := func(worker int, s os.Signal) error {
			require.Contains(t, []int{1, 2, 3}, worker)
			switch s {
			case os.Kill:
				kills.Add(1)
			case stopSignal:
				stops.Add(1)
			case continueSignal:
				goesOn.Add(1)
			}
			return nil
		}
		m := newMonkey(chaos{kill: 10 * time.Second, pause: 5 * time.Second}, three, signal, func() bool { return !over.Load() })
		ended := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go func() { m.run(ctx); close(ended) }()
		time.Sleep(time.Hour)
		over.Store(true)
		time.Sleep(time.Second)
		require.InDelta(t, 360, kills.Load(), 100)
		require.InDelta(t, 600, stops.Load(), 200, "a pause takes a while, too")
		require.Equal(t, stops.Load(), goesOn.Load())
		n := kills.Load()
		time.Sleep(time.Hour)
		require.Equal(t, n, kills.Load(), "the job is over")
		stop()
		<-ended
		require.EqualValues(t, n, m.kills)
	})
}

func three() []int { return []int{1, 2, 3} }

// Goal: a worker that was killed here has not failed, and counts once.
func TestMonkey_mine(t *testing.T) {
	m := newMonkey(chaos{}, three, func(int, os.Signal) error { return nil }, nil)
	require.False(t, m.mine(2))
	m.killOne(t.Context(), 2)
	require.False(t, m.mine(1))
	require.True(t, m.mine(2))
	require.False(t, m.mine(2))
	m.signal = func(int, os.Signal) error { return os.ErrProcessDone }
	m.killOne(t.Context(), 2)
	require.False(t, m.mine(2))
	require.Equal(t, 1, m.kills)
}

// Goal: what is said at the end is what was heard of slots.
func TestMonkey_account(t *testing.T) {
	m := newMonkey(chaos{}, three, nil, nil)
	at := func(ms int, slot int, inc held.Inc) { m.state(slot, inc, time.UnixMilli(int64(ms))) }
	at(0, 0, 5)
	at(0, 1, 6)
	at(50, 0, 5)
	at(400, 0, 8) // another has it
	at(900, 0, 5) // and the old one does not know yet
	at(600, 1, 6)
	m.kills, m.pauses = 1, 2
	require.Equal(t, "survived: 1 kill, 2 pauses, 1 takeover; no slot was silent for more than 600ms", m.String())
	m.hear(held.Append(nil, &held.State{Slot: 2, Inc: 1}))
	m.hear([]byte("what is this"))
	require.Contains(t, m.heard, 2)
}
