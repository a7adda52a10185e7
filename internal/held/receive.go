package held

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/internal/held/plant"
)

// item is one thing in a queue: a frame, or the end of an epoch.
type item struct {
	inc     Inc
	epoch   Epoch
	frame   int
	colour  Cut
	version Version
	end     bool
	marks   []byte
	of      *heldEpoch // nil: an epoch without frames
}

// Data takes the head of a frame. It reports whether the driver has to keep the frame. One that
// was sent to a newer incarnation, which has made room for it, ends this one: else it would hold
// more than the window.
func (s *Slot) Data(d *Data) bool {
	if !s.takes(d.Gen, d.Src, d.Dst) {
		return false
	}
	if d.To > s.inc && !plant.Is(plant.ZombieGoesOn) {
		s.stop(Outdated)
		return false
	}
	p := &s.peers[d.Src]
	keep, full := p.data(&s.cfg, d)
	keep = keep && !p.place[d.Class].Covers(d.Epoch, d.Frame) // it is applied: only its number counts
	if full {
		s.ack(d.Src, d.Inc, d.Epoch)
		s.release(d.Src)
	}
	return keep
}

// End takes the end of an epoch.
func (s *Slot) End(m *End) {
	if s.takes(m.Gen, m.Src, m.Dst) && s.peers[m.Src].end(&s.cfg, m) {
		s.ack(m.Src, m.Inc, m.Epoch)
		s.release(m.Src)
	}
}

// takes reports that frames of a source are taken.
func (s *Slot) takes(g Gen, src, dst int) bool {
	if !s.Running() || dst != s.cfg.Slot || src >= s.cfg.Slots || src == dst {
		return false
	}
	if g != s.gen {
		s.newer(g)
	}
	return g == s.gen || plant.Is(plant.GenerationIgnored)
}

// ack acknowledges an epoch, if its source waits for that.
func (s *Slot) ack(src int, inc Inc, e Epoch) {
	if s.cfg.Log && !plant.Is(plant.AckForCopy) {
		return
	}
	s.do(SendAck{Ack{Gen: s.gen, Dst: s.cfg.Slot, DstInc: s.inc, Process: s.cfg.Process, Src: src, SrcInc: inc, Epoch: e}})
}

// release moves into queues what is committed and has all before it.
func (s *Slot) release(src int) {
	p := &s.peers[src]
	before := p.released
	for {
		i := slices.IndexFunc(p.held, func(h *heldEpoch) bool {
			return p.next(h)
		})
		if i < 0 {
			break
		}
		s.queue(src, p.held[i])
	}
	if p.last <= p.released && p.released < p.epoch {
		s.queueEmpty(p)
	}
	if p.released > before {
		s.do(Wake{})
	}
}

// next reports that a held epoch is committed, and the next to be applied.
func (p *peer) next(h *heldEpoch) bool {
	switch {
	case !h.complete(), h.Epoch <= p.released:
		return false
	case h.Epoch > p.epoch && !plant.Is(plant.ApplyUncommitted):
		return false
	case h.Prev > p.released && !plant.Is(plant.GapInEpochs):
		return false
	}
	return owner(p.history, h.Epoch) == h.Inc || plant.Is(plant.DeadIsHeld)
}

// queue releases an epoch, and drops what it replaces.
func (s *Slot) queue(src int, h *heldEpoch) {
	p := &s.peers[src]
	for _, o := range p.pass(h.Epoch) {
		if o != h {
			s.do(Drop{src, o.Inc, o.Epoch})
		}
	}
	for c, n := range h.Counts {
		for f := range n {
			if !p.place[c].Covers(h.Epoch, f) {
				p.queues[c] = append(p.queues[c], item{inc: h.Inc, epoch: h.Epoch, frame: f, colour: h.Colour, version: h.Version, of: h})
			}
		}
		if p.place[c].Epoch <= h.Epoch || plant.Is(plant.EndIsNoPosition) {
			h.lanes++
			p.queues[c] = append(p.queues[c], item{inc: h.Inc, epoch: h.Epoch, colour: h.Colour, version: h.Version, end: true, marks: h.Marks, of: h})
		}
	}
	if s.cfg.Replays {
		p.applied = append(p.applied, h)
	} else if h.lanes == 0 {
		s.do(Drop{src, h.Inc, h.Epoch})
	}
}

// queueEmpty releases epochs without frames, as one end.
func (s *Slot) queueEmpty(p *peer) {
	p.released = p.epoch
	for c := range p.queues {
		if p.place[c].Epoch > p.epoch {
			continue
		}
		end := item{inc: p.inc, epoch: p.epoch, colour: p.colour, version: p.moves.Version, end: true, marks: p.marks}
		q := p.queues[c]
		if n := len(q); n > 0 && q[n-1].end && q[n-1].of == nil {
			q[n-1] = end
		} else {
			p.queues[c] = append(q, end)
		}
	}
}

// Arrival is what a lane takes in next: a frame, or the end of an epoch.
type Arrival struct {
	Src   int
	Inc   Inc
	Epoch Epoch
	Class Class
	Frame int
	End   bool
	Marks []byte // at an end

	// Replay, instead of a frame: the lane is to take in what was parked first for Group
	// in the rank of Class, as much as it likes, and to say so by [Slot.Replayed].
	Replay bool
	Group  int
}

// Next is what a lane takes in next, and counts as applied from then on: the highest
// rank first, what was parked before what came, and only where there is room for all
// that it can lead to.
func (s *Slot) Next(lane int) (Arrival, bool) {
	if !s.Running() {
		return Arrival{}, false
	}
	for rank := s.cfg.Ranks - 1; rank >= 0; rank-- {
		c, room := s.cfg.Class(rank, lane), s.Room(rank+1)
		if plant.Is(plant.OneCredit) {
			room = s.Room(rank)
		}
		if room && len(s.groups.Await) > 0 {
			if a, ok := s.replay(lane, rank); ok {
				return a, true
			}
		}
		for i := range s.peers {
			src := (s.turns[c] + i) % len(s.peers)
			if a, ok := s.take(src, c, room); ok {
				s.turns[c] = (src + 1) % len(s.peers)
				return a, true
			}
		}
	}
	return Arrival{}, false
}

// take takes the first item of a queue, if it may be applied.
func (s *Slot) take(src int, c Class, room bool) (Arrival, bool) {
	p := &s.peers[src]
	if a, ok := s.thaw(src, c); ok {
		return a, true
	}
	if len(p.queues[c]) == 0 {
		return Arrival{}, false
	}
	it := p.queues[c][0]
	if it.colour > s.colour && !plant.Is(plant.ColourIgnored) { // tag first
		s.wish(it.colour)
		s.schedule()
		return Arrival{}, false
	}
	if it.version > s.groups.Version && !plant.Is(plant.VersionIgnored) { // follow it first
		s.behind(it.version)
		return Arrival{}, false
	}
	if !it.end && !room {
		return Arrival{}, false
	}
	if it.version > p.place[c].Version {
		return s.turnTo(src, c, it), true
	}
	p.queues[c] = p.queues[c][1:]
	s.touched = s.touched || it.of != nil || !bytes.Equal(it.marks, p.place[c].Marks)
	if it.end {
		it.marks = s.believe(&p.place[c], it)
		p.place[c].Pos = Pos{it.epoch + 1, 0}
		if it.of != nil {
			if it.of.lanes--; it.of.lanes == 0 && !s.cfg.Replays {
				s.do(Drop{src, it.inc, it.epoch})
			}
		}
	} else {
		p.place[c].Pos = Pos{it.epoch, it.frame + 1}
	}
	return Arrival{Src: src, Inc: it.inc, Epoch: it.epoch, Class: c, Frame: it.frame, End: it.end, Marks: it.marks}, true
}
