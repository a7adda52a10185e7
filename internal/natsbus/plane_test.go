package natsbus_test

import (
	"encoding/binary"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
)

// Goal: frames come as they were sent, to the slot that they are for, in order, and what
// the sender does with its memory afterwards changes nothing.
func TestPlane(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	a, b := connect(t, natsbus.Config{Server: s}).Plane(), connect(t, natsbus.Config{URLs: []string{s.URL()}}).Plane()
	other := connect(t, natsbus.Config{Server: s, Job: "an other.job>"}).Plane()
	checkPlane(t, a, b)
	var got box
	_, err := other.Listen(7, got.put)
	require.NoError(t, err)
	require.NoError(t, a.Send(7, []byte("of another job")))
	await(t, "a frame of the job itself", func() bool {
		require.NoError(t, other.Send(7, []byte("own")))
		return got.has("own")
	})
	assert.False(t, got.has("of another job"))
}

// checkPlane is what all planes keep to: from is in one process, to in another, which
// hosts slots 3 and 4.
func checkPlane(t *testing.T, from, to natsbus.Plane) {
	t.Helper()
	const frames, size = 2000, 10_000
	var three, four atomic.Int64
	stop, err := to.Listen(3, func(b []byte) {
		if len(b) != size || binary.LittleEndian.Uint64(b) != uint64(three.Load()) || b[size-1] != 9 {
			t.Errorf("frame %d has %d bytes, number %d", three.Load(), len(b), binary.LittleEndian.Uint64(b))
		}
		three.Add(1)
	})
	require.NoError(t, err)
	_, err = to.Listen(4, func([]byte) { four.Add(1) })
	require.NoError(t, err)

	b := make([]byte, size)
	for i := range frames {
		binary.LittleEndian.PutUint64(b, uint64(i))
		b[size-1] = 9
		require.NoError(t, from.Send(3, b))
		b[size-1] = 0
	}
	require.NoError(t, from.Send(4, []byte{1}))
	await(t, "all frames", func() bool { return three.Load() == frames && four.Load() == 1 })

	stop()
	require.NoError(t, from.Send(3, b))
	require.NoError(t, from.Send(4, []byte{2}))
	await(t, "the frame behind it", func() bool { return four.Load() == 2 })
	assert.EqualValues(t, frames, three.Load())
	assert.Zero(t, from.Stats())
	assert.Zero(t, to.Stats().Errors)
}

// Goal: a receiver that is far slower than its sender loses nothing in silence: NATS's own
// limits, 64 MB in the client and at first in the server, are out of the way.
func TestPlane_slowReceiver(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	a, b := connect(t, natsbus.Config{URLs: []string{s.URL()}}), connect(t, natsbus.Config{URLs: []string{s.URL()}})
	const frames, size = 1800, 40_000 // 72 MB
	hold := make(chan struct{})
	var got atomic.Int64
	_, err := b.Plane().Listen(1, func([]byte) { <-hold; got.Add(1) })
	require.NoError(t, err)
	plane, frame := a.Plane(), make([]byte, size)
	for range frames {
		require.NoError(t, plane.Send(1, frame))
	}
	close(hold)
	await(t, "all frames", func() bool { return got.Load() == frames })
	assert.Zero(t, a.Stats())
	assert.Zero(t, b.Stats())
}

func TestPlane_tooLong(t *testing.T) {
	s := start(t, natsbus.ServerConfig{PayloadMax: 1000})
	b := connect(t, natsbus.Config{Server: s})
	require.Equal(t, 1000, b.PayloadMax())
	err := b.Plane().Send(1, make([]byte, 1001))
	require.ErrorIs(t, err, natsbus.ErrTooLong)
	require.ErrorContains(t, err, "1001 bytes, and the NATS server takes at most 1000 (max_payload)")
	require.NoError(t, b.Plane().Send(1, make([]byte, 1000)))
	b.Close()
	require.ErrorContains(t, b.Plane().Send(1, nil), "connection closed")
}

// Goal: no allocation to send a frame; the subject's name is found, not made.
func TestPlane_sendAllocatesNothing(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	plane, frame := connect(t, natsbus.Config{URLs: []string{s.URL()}}).Plane(), make([]byte, 1000)
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() {
		if err := plane.Send(300, frame); err != nil {
			t.Fatal(err)
		}
	}), 1.0)
}
