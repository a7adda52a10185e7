package held

import "github.com/millrace/millrace/internal/held/plant"

// Budget bounds what a slot keeps beside its windows, in bytes; 0: without a bound. At a
// bound the sources of all slots stop, until it is below: what is under way then may
// still go beyond it, at most all windows and what they lead to.
type Budget struct {
	Parked int // input of key groups that are not here
	Outbox int // outputs that are not final, as the driver counts them
	Kept   int // frames whose epoch a receiver has not applied to its end
}

// Outbox says how many bytes of outputs are not final.
func (s *Slot) Outbox(bytes int) { s.outbox = bytes }

// Source reports that sources may be read whose elements can lead to frames of rank
// and of higher ones: there is room, no slot is at a bound, and the job is not at rest.
func (s *Slot) Source(rank int) bool {
	if !s.Room(rank) || s.overfull() || s.rest {
		return false
	}
	for i := range s.peers {
		if s.peers[i].full && !plant.Is(plant.OthersOverfull) {
			return false
		}
	}
	return true
}

// overfull reports that this slot is at a bound.
func (s *Slot) overfull() bool {
	if plant.Is(plant.Overfull) {
		return false
	}
	b := &s.cfg.Budget
	return reached(s.parked, b.Parked) || reached(s.outbox, b.Outbox) || reached(s.keeps, b.Kept)
}

func reached(n, bound int) bool { return bound > 0 && n >= bound }

// bytes is how much its frames have.
func (k *Kept) bytes() (n int) {
	for _, sizes := range k.Frames {
		for _, size := range sizes {
			n += size
		}
	}
	return n
}
