package held

// Standby holds what comes for a slot that runs in another process, and acknowledges
// it: while the slot is silent, that counts. When the slot is taken over here, it
// begins with what is held: [NewSlot].
type Standby struct {
	cfg   Config
	gen   Gen
	of    Inc // of the slot; 0: it was not heard of yet
	boxes []inbox
	kept  [][]*kept // by receiver, of the incarnation before in this process: see [Slot.Bequeath]
	acts  []Act
}

// NewStandby stands by the slot that cfg names, in the process that cfg names.
func NewStandby(cfg Config, gen Gen) *Standby {
	return &Standby{cfg: cfg, gen: gen, boxes: make([]inbox, cfg.Slots)}
}

// Acts gives what is to be done since the last time: SendAck and Drop.
func (s *Standby) Acts() []Act {
	acts := s.acts
	s.acts = nil
	return acts
}

// Data takes the head of a frame. It reports whether the driver has to keep the frame.
func (s *Standby) Data(d *Data) bool {
	if !s.takes(d.Gen, d.Src, d.Dst) {
		return false
	}
	keep, full := s.boxes[d.Src].data(&s.cfg, d)
	if full {
		s.ack(d.Src, d.Inc, d.Epoch)
	}
	return keep
}

// End takes the end of an epoch.
func (s *Standby) End(m *End) {
	if s.takes(m.Gen, m.Src, m.Dst) && s.boxes[m.Src].end(&s.cfg, m) {
		s.ack(m.Src, m.Inc, m.Epoch)
	}
}

// State takes what a slot tells: its own says what is applied, and others' which
// incarnations are dead.
func (s *Standby) State(m *State) {
	if m.Slot >= s.cfg.Slots || len(m.At) != s.cfg.Slots || m.Gen < s.gen {
		return
	}
	if m.Gen > s.gen {
		s.renew(m.Gen)
	}
	if m.Slot != s.cfg.Slot {
		if b := &s.boxes[m.Slot]; m.Inc >= b.inc {
			s.drop(m.Slot, b.know(m.Inc, m.History))
		}
		return
	}
	if m.Inc < s.of {
		return
	}
	s.of = m.Inc
	for i := range s.boxes {
		s.drop(i, s.boxes[i].pass(ended(m.At[i])))
	}
}

// renew forgets what is of an older generation.
func (s *Standby) renew(g Gen) {
	s.gen, s.of = g, 0
	for i := range s.boxes {
		s.drop(i, s.boxes[i].held)
		s.boxes[i] = inbox{}
	}
}

func (s *Standby) takes(g Gen, src, dst int) bool {
	return g == s.gen && dst == s.cfg.Slot && src < s.cfg.Slots && src != dst
}

func (s *Standby) drop(src int, list []*heldEpoch) {
	for _, h := range list {
		s.acts = append(s.acts, Drop{src, h.Inc, h.Epoch})
	}
}

func (s *Standby) ack(src int, inc Inc, e Epoch) {
	if s.of != 0 && !s.cfg.Log {
		s.acts = append(s.acts, SendAck{Ack{Gen: s.gen, Dst: s.cfg.Slot, DstInc: s.of, Process: s.cfg.Process, Standby: true, Src: src, SrcInc: inc, Epoch: e}})
	}
}

// inherit takes over what a standby holds for this slot. The driver keeps its frames.
func (s *Slot) inherit(from *Standby) {
	if from == nil {
		return
	}
	if from.gen != s.gen {
		from.renew(s.gen)
		s.acts = append(s.acts, from.Acts()...)
	}
	for i := range s.peers {
		p := &s.peers[i]
		p.inc, p.history, p.held = from.boxes[i].inc, from.boxes[i].history, from.boxes[i].held
		for _, h := range p.pass(p.released) {
			s.do(Drop{i, h.Inc, h.Epoch})
		}
	}
}

// ackInherited acknowledges what is held as this incarnation, which senders wait for.
func (s *Slot) ackInherited() {
	for i := range s.peers {
		for _, h := range s.peers[i].held {
			if h.complete() {
				s.ack(i, h.Inc, h.Epoch)
			}
		}
	}
}
