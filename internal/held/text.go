package held

import (
	"fmt"
	"strings"
)

// String tells where a slot is, for a log or for who asks what it waits for.
func (s *Slot) String() string {
	if s == nil {
		return "no slot"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "slot %d generation %d incarnation %v running %v: committed %d, open %d, colour %d of %d, full %v, lost %v",
		s.cfg.Slot, s.gen, s.inc, s.Running(), s.rec.Epoch, s.open, s.colour, s.want, s.full, s.lost)
	if p := s.pending; p != nil {
		fmt.Fprintf(&b, "; pending: changelog %v, put %v, acknowledged by %v", p.chunks, p.put, p.acked)
	}
	for i := range s.peers {
		if i == s.cfg.Slot {
			continue
		}
		p := &s.peers[i]
		fmt.Fprintf(&b, "; slot %d (%v): committed %d with %d for me, colour %d, held %d, released %d; kept for it %d, under way %v, it has %d, applied %d",
			i, p.inc, p.epoch, p.last, p.colour, len(p.held), p.released, len(p.kept), p.used, p.haveOf, ended(p.at))
		for c, q := range p.queues {
			fmt.Fprintf(&b, ", class %d waits %d at %v", c, len(q), p.place[c].Pos)
		}
	}
	return b.String()
}

// String is round.id.
func (i Inc) String() string { return fmt.Sprintf("%d.%d", uint64(i>>32), uint32(i)) }

// String tells where a register is.
func (r *Register) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ballot %v, phase %d, version %d", r.ballot, r.phase, r.version)
	for i := range r.servers {
		s := &r.servers[i]
		fmt.Fprintf(&b, "; acceptor %d: waits for %d (CAS %v), read %v at %d promised to %v, agreed %v, fenced %v, failed %v",
			i, s.waits, s.cas, s.read, s.version, s.cell.Ballot, s.agreed, s.fenced, s.failed)
	}
	return b.String()
}
