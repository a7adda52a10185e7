package host

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/held"
)

type epochOf struct {
	src   int
	inc   held.Inc
	epoch held.Epoch
}

type frameOf struct {
	class held.Class
	frame int
}

// arrived is a frame of another slot.
type arrived struct {
	edge  int
	b     []byte
	whole []byte // what b lies in; nil: memory of its own
}

// frames are those that have arrived and are kept.
type frames map[epochOf]map[frameOf]arrived

// drop lets those of an epoch go: no lane has any of them at hand.
func (f frames) drop(a held.Drop, to *frame.Pool) {
	id := epochOf{a.Src, a.Inc, a.Epoch}
	for _, frame := range f[id] {
		to.Put(frame.whole)
	}
	delete(f, id)
}

func (f frames) keep(m incoming) {
	id := epochOf{m.data.Src, m.data.Inc, m.data.Epoch}
	if f[id] == nil {
		f[id] = map[frameOf]arrived{}
	}
	f[id][frameOf{m.data.Class, m.data.Frame}] = m.arrived
}

// listen lets messages and frames come in, as far as a standby has not done so.
func (h *Host) listen() (stop func(), err error) {
	begin := []func() (func(), error){
		func() (func(), error) { return h.cfg.Control.Listen(h.cfg.Slot, h.message) },
	}
	if !h.heard {
		begin = append(begin,
			func() (func(), error) { return h.cfg.Control.ListenAll(h.message) },
			func() (func(), error) { return h.cfg.Plane.Listen(h.cfg.Slot, h.frame) })
	}
	if stop, err = listenTo(begin...); err != nil {
		return nil, fmt.Errorf("slot %d: %w", h.cfg.Slot, err)
	}
	return stop, nil
}

// listenTo begins to listen to all, or to none.
func listenTo(begin ...func() (stop func(), err error)) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, f := range slices.Backward(stops) {
			f()
		}
	}
	for _, each := range begin {
		s, err := each()
		if err != nil {
			stop()
			return nil, err
		}
		stops = append(stops, s)
	}
	return stop, nil
}

// message takes what comes on the control connection.
func (h *Host) message(b []byte) {
	m, err := held.DecodeMessage(b)
	if err != nil { // it is of the crew, which talks there, too; or it is damaged, and will be repeated
		return
	}
	h.do(func() {
		switch m := m.(type) {
		case *held.Ack:
			h.core.Ack(m)
		case *held.State:
			if m.Slot != h.cfg.Slot || m.Inc != h.core.Inc() {
				h.core.State(m, h.now())
			}
		case *held.News:
			h.news(m)
		}
	})
}

// payloadMost is the most bytes of a frame that are believed.
const payloadMost = 64 << 20

// incoming is what has come on the data plane: the end of an epoch, or a frame.
type incoming struct {
	end  *held.End // or data
	data *held.Data
	arrived
}

// readFrame reads what has come; not ok is what is not of this job, or can't be read.
func readFrame(cfg *Config, shape held.Shape, b []byte) (m incoming, ok bool) {
	head, packed, err := frame.Decode(b, payloadMost)
	if err == nil && head.Job != cfg.Job {
		return m, false
	}
	var payload []byte
	if err == nil {
		payload, err = frame.Unpack(nil, &head, packed)
	}
	switch {
	case err != nil:
	case head.Src >= uint32(cfg.Slots) || head.Lane >= uint32(shape.Lanes) || head.Rank >= uint32(shape.Ranks):
		err = fmt.Errorf("it is of slot %d, lane %d, rank %d, which there are not", head.Src, head.Lane, head.Rank)
	case head.Kind == frame.EpochEnd:
		m.end = &held.End{}
		err = held.Decode(payload, m.end)
	default:
		m.data = &held.Data{
			Gen: held.Gen(head.Gen), Src: int(head.Src), Dst: int(head.Dst), Inc: held.Inc(head.Inc), Epoch: held.Epoch(head.Epoch),
			Class: shape.Class(int(head.Rank), int(head.Lane)), Frame: int(head.Frame), Size: int(head.RawLen), To: held.Inc(head.To),
		}
		m.arrived = arrived{edge: int(head.Edge), b: payload}
		if head.Codec == frame.Raw {
			m.whole = b
		}
	}
	if err != nil {
		cfg.Log.Warn("a frame that can't be read was dropped; it will be sent again", "slot", cfg.Slot, "error", err)
	}
	return m, err == nil
}

// frame takes what comes on the data plane.
func (h *Host) frame(b []byte) {
	h.cfg.Meter.Received.add(b)
	if m, ok := readFrame(&h.cfg, h.shape, b); ok {
		h.take(m)
	}
}

// earlyMost is how much is kept that comes before the incarnation is committed. What is
// more will be sent again.
const earlyMost = 4096

// take takes what has come, when the incarnation is committed.
func (h *Host) take(m incoming) {
	h.do(func() {
		switch {
		case !h.up && len(h.early) < earlyMost:
			h.early = append(h.early, m)
		case h.up && m.end != nil:
			h.core.End(m.end)
		case h.up && h.core.Data(m.data):
			h.in.keep(m)
		default:
			h.cfg.Frames.Put(m.whole)
		}
	})
}
