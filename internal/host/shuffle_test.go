package host

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/held"
)

// nowhere is a plane that forgets.
type nowhere struct{}

func (nowhere) Send(int, []byte) error                          { return nil }
func (nowhere) Listen(int, func([]byte)) (stop func(), _ error) { return func() {}, nil }

// sending is a slot of two that runs, with one edge to the other one.
func sending() *Host {
	h := &Host{
		cfg: Config{Slot: 0, Slots: 2, Plane: nowhere{}}.withDefaults(), shape: held.Shape{Slots: 2, Lanes: 1, Ranks: 1},
		edges: map[int]engine.ShuffleEdge{0: {}}, out: map[copyID][][]outFrame{}, in: frames{}, rouse: make(chan struct{}, 1), up: true,
	}
	h.core = held.NewSlot(held.Config{Shape: h.shape, Process: 1, Window: 1 << 40, Every: time.Hour}, 1, 1, nil, nil, 0)
	h.core.Committed(0)
	h.core.Acts()
	h.opened()
	return h
}

// Goal: a frame is made in place, and its memory is used again when it is trimmed: sending
// costs no more than lists that grow.
func TestSend_allocations(t *testing.T) {
	h := sending()
	const frames = 100
	round := func() {
		for range frames {
			h.Send(0, 1, append(h.Buffer(), "elements"...))
		}
		h.mu.Lock()
		h.out[copyID{dst: 1, epoch: 1}] = h.open[1]
		h.opened()
		h.trim(1, 1)
		h.mu.Unlock()
	}
	round()
	require.Less(t, testing.AllocsPerRun(20, round), frames/4.0)

	h.Send(0, 1, append(h.Buffer(), "elements"...))
	head, payload, err := frame.Decode(h.open[1][0][0], 100)
	require.NoError(t, err)
	require.Equal(t, "elements", string(payload))
	require.Equal(t, uint32(1), head.Dst)
}

// Goal: taking a frame in costs a few small allocations, and no copy of it.
func TestFrame_allocations(t *testing.T) {
	h := sending()
	b := append(make([]byte, frame.Size), make([]byte, 32<<10)...)
	n := uint32(0)
	take := func() {
		frame.Seal(b, &frame.Header{Gen: 1, Inc: 7, Epoch: 1, Src: 1, Dst: 0, Frame: n, Kind: frame.Data})
		n++
		h.frame(b)
	}
	take()
	require.Less(t, testing.AllocsPerRun(200, take), 4.0)
	got := h.in[epochOf{1, 7, 1}][frameOf{0, 0}].b
	require.Same(t, &b[frame.Size], &got[0], "it lies where it came")
}
