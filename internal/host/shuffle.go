package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/held"
)

// Open implements [engine.Shuffle]. The marks that the last incarnation has heard come
// again, as those who sent them may have ended.
func (h *Host) Open(_ []engine.ShuffleEdge, wake func(lane int), _ []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wake = wake
	h.first = make([][]engine.Arrival, h.shape.Lanes)
	for lane := range h.first {
		for rank := range h.shape.Ranks {
			for src := range h.cfg.Slots {
				marks, err := h.marksOf(h.core.Place(src, h.shape.Class(rank, lane)).Marks, rank)
				if err != nil {
					return err
				}
				if src != h.cfg.Slot && len(marks) > 0 {
					h.first[lane] = append(h.first[lane], engine.Arrival{From: src, Marks: marks})
				}
			}
		}
	}
	return nil
}

// Buffer implements [engine.Shuffle]: it holds the room of a frame's header.
func (h *Host) Buffer() []byte { return h.cfg.Frames.Get(0)[:frame.Size] }

// Send implements [engine.Shuffle]. The core is asked for the frame's place only; the sum
// is made, and the frame is sent, while other lanes go on.
func (h *Host) Send(edge, to int, b []byte) {
	dst, lane, rank := to/h.shape.Lanes, to%h.shape.Lanes, h.edges[edge].Rank
	c := h.shape.Class(rank, lane)
	h.mu.Lock()
	d := h.core.Send(dst, c, len(b)-frame.Size)
	h.open[dst][c] = append(h.open[dst][c], b)
	h.collect()
	h.mu.Unlock()
	frame.Seal(b, &frame.Header{
		Job: h.cfg.Job, Gen: uint64(d.Gen), Inc: uint64(d.Inc), Epoch: uint64(d.Epoch), To: uint64(d.To), Src: uint32(d.Src), Dst: uint32(dst),
		Rank: uint32(rank), Lane: uint32(lane), Edge: uint32(edge), Frame: uint32(d.Frame), Kind: frame.Data,
	})
	h.send(dst, b)
}

// send hands a frame to the plane. One that can't be sent stops the slot: it never could.
func (h *Host) send(dst int, f outFrame) {
	h.cfg.Meter.Sent.add(f)
	if err := h.cfg.Plane.Send(dst, f); err != nil {
		h.cancel(err)
	}
}

// Room implements [engine.Shuffle].
func (h *Host) Room(rank int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.Source(rank)
}

// Next implements [engine.Shuffle].
func (h *Host) Next(lane int) (engine.Arrival, bool) {
	lane %= h.shape.Lanes
	h.mu.Lock()
	defer h.mu.Unlock()
	if list := h.first[lane]; len(list) > 0 {
		h.first[lane] = list[1:]
		return list[0], true
	}
	a, ok := h.core.Next(lane)
	defer h.collect()
	if !ok {
		return engine.Arrival{}, false
	}
	if a.Replay {
		return engine.Arrival{Replay: true, Group: a.Group, Rank: h.shape.Rank(a.Class)}, true
	}
	if a.End {
		marks, err := h.marksOf(a.Marks, h.shape.Rank(a.Class))
		if err != nil {
			h.cancel(err)
		}
		return engine.Arrival{From: a.Src, Marks: marks}, true
	}
	f, ok := h.in[epochOf{a.Src, a.Inc, a.Epoch}][frameOf{a.Class, a.Frame}]
	if !ok {
		panic("BUG: host: a frame is to be taken in that is not here")
	}
	return engine.Arrival{Edge: f.edge, From: a.Src, Batch: f.b}, true
}

// Cut implements [engine.Shuffle]. The positions are in the core's record.
func (h *Host) Cut(marks []engine.Mark) []byte {
	h.do(func() { h.cutOpen(markBytes(marks)) })
	return nil
}

// cutOpen ends the open epoch. mu is held.
func (h *Host) cutOpen(marks []byte) {
	h.marks = marks
	h.cutAt = time.Now()
	h.cut = held.Ident{Gen: h.core.Gen(), Inc: h.core.Inc(), Epoch: h.core.Open()}
	h.core.Unshown(h.cuts != nil && !h.finished && h.cuts.Unshown())
	if !h.core.Cut(nil, marks, h.due()) { // it was fenced meanwhile
		return
	}
	for dst, classes := range h.open {
		for _, frames := range classes {
			if len(frames) > 0 {
				h.out[copyID{dst, h.cut.Inc, h.cut.Epoch}] = classes
				break
			}
		}
	}
	h.opened()
}

// due is when this cut by time was due, so that the next one is not later as this one is:
// clocks and lanes take half a millisecond. mu is held.
func (h *Host) due() time.Duration {
	now, due := h.now(), h.core.Due()
	if late := now - due; late < 0 || late > h.cfg.Every/4 {
		return now
	}
	return due
}

// cutting is the epoch that was cut last.
func (h *Host) cutting() held.Ident {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cut
}

// commitChunks says that the changes of an epoch are durable, and waits until it is
// committed.
func (h *Host) commitChunks(e held.Epoch, chunks []held.Chunk) error {
	h.do(func() { h.core.ChunksDurable(chunks) })
	if !h.await(func() bool { return h.core.Record().Epoch >= e }) {
		return errors.New("the slot has ended")
	}
	return nil
}

// markBytes are watermarks as they go through the core.
func markBytes(marks []engine.Mark) []byte {
	var list []frame.Mark
	for _, m := range marks {
		list = append(list, frame.Mark{Edge: uint32(m.Edge), WM: m.WM, Idle: m.Idle})
	}
	return frame.AppendMarks(nil, list)
}

// marksOf are the marks of edges of a rank.
func (h *Host) marksOf(b []byte, rank int) (marks []engine.Mark, err error) {
	list, err := frame.DecodeMarks(nil, b)
	if err != nil {
		return nil, fmt.Errorf("watermarks of another slot: %w", err)
	}
	for _, m := range list {
		if e, ok := h.edges[int(m.Edge)]; ok && e.Rank == rank {
			marks = append(marks, engine.Mark{Edge: int(m.Edge), WM: m.WM, Idle: m.Idle})
		}
	}
	return marks, nil
}
