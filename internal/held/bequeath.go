package held

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/internal/held/plant"
)

// Bequeath gives what the next incarnation of the slot begins with, in the same process: when
// user code has failed, and nothing else. What is held of others is as if the slot had stood
// by itself, and what is kept for them is kept on; so such an end is no failure to others, who
// may fail at the same time. It is complete where [Config.Replays] is set. The slot must not be
// used any more; the driver keeps its frames.
func (s *Slot) Bequeath() *Standby {
	b := NewStandby(s.cfg, s.gen)
	b.kept = make([][]*kept, s.cfg.Slots)
	for i := range s.peers {
		p := &s.peers[i]
		for _, h := range p.applied {
			h.lanes = 0
		}
		if plant.Is(plant.AppliedNotLeft) {
			p.applied = nil
		}
		b.boxes[i] = inbox{inc: p.inc, history: p.history, held: append(p.applied, p.held...)}
		b.kept[i] = p.kept
	}
	return b
}

// settle forgets epochs that are applied by the record that is committed: no incarnation
// takes them in again.
func (s *Slot) settle() {
	if !s.cfg.Replays {
		return
	}
	for i := range s.peers {
		p, e := &s.peers[i], ended(positions(s.rec, i, s.cfg.Classes()))
		n := 0
		for n < len(p.applied) && p.applied[n].Epoch <= e {
			s.do(Drop{i, p.applied[n].Inc, p.applied[n].Epoch})
			n++
		}
		p.applied = slices.Delete(p.applied, 0, n)
	}
}

// keepOn keeps what the incarnation before in this process has kept, as far as first, the
// record that this one begins behind, says that it was committed.
func (s *Slot) keepOn(from *Standby, first *Record) {
	if from == nil || from.kept == nil || from.gen != s.gen || plant.Is(plant.KeptNotLeft) {
		return
	}
	for i, list := range from.kept {
		p := &s.peers[i]
		for _, k := range list {
			named := slices.ContainsFunc(p.kept, func(o *kept) bool { return o.Epoch == k.Epoch && o.Inc == k.Inc })
			if !named && first.Commits(k.Inc, k.Epoch) {
				p.kept = append(p.kept, &kept{Kept: k.Kept})
				s.keeps += k.bytes()
			}
		}
		slices.SortStableFunc(p.kept, func(a, b *kept) int { return cmp.Compare(a.Epoch, b.Epoch) })
	}
}

// Holds reports that an epoch of a source is held, or as much of it as has come.
func (s *Standby) Holds(src int, inc Inc, e Epoch) bool {
	return slices.ContainsFunc(s.boxes[src].held, func(h *heldEpoch) bool { return h.Inc == inc && h.Epoch == e })
}

// Keeps reports that an epoch is kept for a receiver.
func (s *Standby) Keeps(dst int, inc Inc, e Epoch) bool {
	return s.kept != nil && slices.ContainsFunc(s.kept[dst], func(k *kept) bool { return k.Inc == inc && k.Epoch == e })
}

// Commits reports that an epoch of an incarnation of the slot is committed, if the record
// is.
func (r *Record) Commits(inc Inc, e Epoch) bool {
	return e <= r.Epoch && owner(r.History, e) == inc
}
