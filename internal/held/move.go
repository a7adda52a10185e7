package held

import (
	"slices"

	"github.com/millrace/millrace/internal/held/plant"
)

// Turn is what a cut does to key groups, beside ending the epoch.
type Turn struct {
	Give  []int       // state and timers of these groups are taken out: [Given]
	Adopt []Given     // state and timers of these groups are put in
	Next  *Assignment // behind the cut, elements follow this one; nil: the same
}

// Turn says what the cut does to key groups. It is to be asked for right before
// [Slot.Cut], while all lanes stand still and what watermarks lead to is done.
//
// What is taken out is kept by (slot, incarnation, open epoch, group), and is durable
// before [Slot.ChunksDurable] is called. It stays until neither a record nor the last
// complete cut names it.
func (s *Slot) Turn() Turn {
	s.turn = Turn{}
	if !s.Running() || s.pending != nil {
		return Turn{}
	}
	if s.adopts() {
		s.turn.Adopt = slices.Clone(s.arrived) // what comes until the cut is of the next
	}
	if s.gives() {
		s.turn.Give = s.groups.Give
	}
	if s.switches() {
		next := s.next
		s.turn.Next = &next
	}
	return s.turn
}

// Groups is where key groups are, as the open epoch has it.
func (s *Slot) Groups() Groups { return s.groups.clone() }

// Owner is the slot that elements of a group go to now. It changes with [Slot.Cut].
func (s *Slot) Owner(group int) int { return s.groups.Owner[group] }

// Awaits reports that elements of a group are to be parked, whatever they come from:
// its state is not here, or others are parked before them.
func (s *Slot) Awaits(group int) bool {
	a := s.groups.awaits(group)
	return a != nil && !plant.Is(plant.NotParked) && !(a.Here && plant.Is(plant.ParkedIsPassed))
}

// Gives reports that a group has become another slot's, and is still here: input of the
// assignment before is taken in.
func (s *Slot) Gives(group int) bool { return slices.Contains(s.groups.Give, group) }

// Frozen reports that watermarks of this slot's own sources are to stand still.
func (s *Slot) Frozen() bool { return s.groups.frozen() && !plant.Is(plant.NotFrozen) }

// Park says that input of a group that is awaited was put into the state, behind what
// is there of its rank. bytes is at least 1.
func (s *Slot) Park(group, rank, bytes int) {
	a := s.groups.awaits(group)
	if a.Parked == nil {
		a.Parked = make([]int, s.cfg.Ranks)
	}
	a.Parked[rank] += bytes
	s.parked += bytes
	s.touched = true
}

// Replayed says that what was parked first for a group in a rank was taken in, and is
// parked no more. Who wakes lanes and thaws watermarks learns it by [Wake].
func (s *Slot) Replayed(group, rank, bytes int) {
	a := s.groups.awaits(group)
	a.Parked[rank] -= bytes
	s.parked -= bytes
	s.touched = true
	if a.Here && a.parked() == 0 {
		s.arrive(group)
	}
}

// arrive says that a group is here, with all its input.
func (s *Slot) arrive(group int) {
	s.groups.Await = slices.DeleteFunc(s.groups.Await, func(a Await) bool { return a.Group == group })
	s.do(Wake{})
}

// replay is what is parked for a lane in a rank and can be replayed.
func (s *Slot) replay(lane, rank int) (Arrival, bool) {
	for i := range s.groups.Await {
		a := &s.groups.Await[i]
		if a.Here && rank < len(a.Parked) && a.Parked[rank] > 0 && s.cfg.LaneOf(a.Group) == lane {
			return Arrival{Class: s.cfg.Class(rank, lane), Replay: true, Group: a.Group}, true
		}
	}
	return Arrival{}, false
}

// heardOf takes the newest assignment of the job.
func (s *Slot) heardOf(a *Assignment) {
	if a.Version > s.next.Version {
		s.next = *a
	}
}

// switches reports that the open epoch is to be the last of its assignment.
func (s *Slot) switches() bool {
	return s.next.Version > s.groups.Version && s.groups.settled()
}

// follow begins the first epoch of an assignment. marks are those at the end of the
// last of the one before.
func (s *Slot) follow(next *Assignment, marks []byte) {
	g := Groups{Assignment: *next, Before: marks}
	for group, to := range next.Owner {
		switch from := s.groups.Owner[group]; {
		case from == to:
		case from == s.cfg.Slot:
			g.Give = append(g.Give, group)
		case to == s.cfg.Slot:
			g.Await = append(g.Await, Await{Group: group})
		}
	}
	s.groups = g
	s.asking = nil
}

// behind says that what comes next is of a newer assignment: it has to be followed
// first.
func (s *Slot) behind(v Version) {
	if v > s.next.Version && v > s.readFor {
		s.readFor = v
		s.do(ReadJob{})
	}
	s.schedule()
}

// gives reports that groups are to be taken out: all input of the assignment before is taken in.
func (s *Slot) gives() bool { return len(s.groups.Give) > 0 && s.turnedAll() }

// adopts reports that groups are to be put in: watermarks are where they were when the groups
// were taken out. Behind that, what has fired there would fire again.
func (s *Slot) adopts() bool { return len(s.arrived) > 0 && s.turnedAll() }

// turnedAll reports that all input of the assignment before is taken in, with the watermarks that
// it ends with.
func (s *Slot) turnedAll() bool {
	for i := range s.peers {
		for c, p := range s.peers[i].place {
			if i != s.cfg.Slot && p.Version < s.groups.Version && !(plant.Is(plant.GiveByOneRank) && s.cfg.Rank(Class(c)) < s.cfg.Ranks-1) {
				return false
			}
		}
	}
	return true
}

// moves reports that a cut is due for the sake of key groups.
func (s *Slot) moves() bool {
	return s.switches() || s.groups.Version > s.rec.Groups.Version || s.gives() || s.adopts()
}

// turned applies a turn to the record of the epoch that ends.
func (s *Slot) turned(t *Turn) {
	for _, g := range t.Give {
		s.groups.Given = append(s.groups.Given, Given{Group: g, Version: s.groups.Version, Inc: s.inc, Epoch: s.open})
	}
	if len(t.Give) > 0 {
		s.groups.Give = nil
		s.do(Wake{})
	}
	for _, g := range t.Adopt {
		a := s.groups.awaits(g.Group)
		if a.Here = true; a.parked() == 0 {
			s.arrive(g.Group)
		}
	}
	s.arrived = slices.Delete(s.arrived, 0, len(t.Adopt))
	s.groups.Drained = s.drained()
}

// Shown says up to which epoch sinks have shown all outputs, where they wait for cuts: a group
// is adopted behind that, so that they are given the outputs of a key in order. A driver whose
// sinks don't wait says nothing.
func (s *Slot) Shown(e Epoch) {
	if e != s.shown {
		s.shown = e
		s.drains()
	}
}

// drains looks whether the new owner of a group waits for a record that says it is drained.
func (s *Slot) drains() {
	for _, g := range s.groups.Given {
		if s.rec.Groups.Drained < g.Epoch && s.drained() >= g.Epoch {
			s.touched = true
		}
	}
}

// drained is the last epoch up to which receivers have durably applied all, by records
// that are not beyond this slot's colour, and sinks have shown all.
func (s *Slot) drained() Epoch {
	e := min(s.open, s.shown)
	for i := range s.peers {
		p := &s.peers[i]
		switch {
		case i == s.cfg.Slot:
		case p.safe < p.lastBase && !p.supplies(p.safe, p.lastBase):
			e = min(e, p.safe)
		case len(p.kept) > 0:
			e = min(e, p.kept[0].Epoch-1)
		}
	}
	return e
}

// handOver looks at what another slot's record says of groups that are under way.
func (s *Slot) handOver(i int) {
	p := &s.peers[i]
	s.forget(i)
	if list := s.offers(p); len(list) > 0 {
		if p.colour > s.colour && !plant.Is(plant.HandOverAcrossCut) { // it has passed a cut that I have not: tag first
			s.wish(p.colour)
			return
		}
		for _, g := range list {
			s.asking = append(s.asking, g.Group)
		}
		s.do(Adopt{i, list})
	}
}

// forget forgets groups that a record of their new owner has.
func (s *Slot) forget(i int) {
	p := &s.peers[i]
	before := len(s.groups.Given)
	s.groups.Given = slices.DeleteFunc(s.groups.Given, func(g Given) bool {
		if s.groups.Owner[g.Group] != i || p.moves.Version < g.Version || slices.Contains(p.moves.Await, g.Group) && !plant.Is(plant.GivenIsForgotten) {
			return false
		}
		if p.colour > s.colour && !plant.Is(plant.HandOverAcrossCut) {
			s.wish(p.colour)
			return false
		}
		return true
	})
	if len(s.groups.Given) < before {
		s.touched = true
	}
	s.drains()
}

// offers are the groups that a slot has given and this one may adopt.
func (s *Slot) offers(p *peer) (list []Given) {
	for _, g := range p.moves.Given {
		a := s.groups.awaits(g.Group)
		if a == nil || a.Here || g.Version != s.groups.Version || slices.Contains(s.asking, g.Group) {
			continue
		}
		if p.moves.Drained >= g.Epoch || plant.Is(plant.NotDrained) {
			list = append(list, g)
		}
	}
	return list
}

// Adopted says that what [Adopt] asked for is here: the next cut puts it in.
func (s *Slot) Adopted(list []Given) {
	if s.Running() {
		s.arrived = append(s.arrived, list...)
		s.schedule()
	}
}

// turnTo takes in the turn of a source to a newer assignment: first the watermarks that
// the one before ends with.
func (s *Slot) turnTo(src int, c Class, it item) Arrival {
	p := &s.peers[src]
	place := &p.place[c]
	place.Version = it.version
	if p.moves.Version == it.version && len(p.moves.Before) > 0 && !plant.Is(plant.LateMarksLost) {
		place.Marks = p.moves.Before
	}
	return Arrival{Src: src, Inc: it.inc, Epoch: place.Epoch - 1, Class: c, End: true, Marks: place.Marks}
}

// believe takes the watermarks of an end, and says which may be believed: while a group
// is under way, those of its assignment are late.
func (s *Slot) believe(place *Place, it item) []byte {
	if it.version >= s.groups.Version && s.Frozen() {
		place.Late = it.marks
	} else {
		place.Marks, place.Late = it.marks, nil
	}
	return place.Marks
}

// thaw gives watermarks that were late and may be believed now.
func (s *Slot) thaw(src int, c Class) (Arrival, bool) {
	p := &s.peers[src]
	place := &p.place[c]
	if len(place.Late) == 0 || s.Frozen() {
		return Arrival{}, false
	}
	place.Marks, place.Late = place.Late, nil
	s.touched = true
	return Arrival{Src: src, Inc: p.inc, Epoch: place.Epoch - 1, Class: c, End: true, Marks: place.Marks}, true
}
