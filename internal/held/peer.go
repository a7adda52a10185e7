package held

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/held/plant"
)

// peer is what a slot knows of another one, as a source and as a receiver.
type peer struct {
	inbox
	n       uint64
	process uint64 // 0: not known
	heard   time.Duration
	dead    Inc // its process is said to have ended; 0: none is
	deadAt  time.Duration
	full    bool // it is at a bound
	peeked  time.Duration

	// As a source.
	epoch   Epoch // committed
	colour  Cut
	last    Epoch // up to epoch, that had frames for me
	marks   []byte
	moves   Moves
	queues  [][]item     // by class
	place   []Place      // by class: applied
	applied []*heldEpoch // released, and not yet applied by a committed record; where Config.Replays is set

	// As a receiver.
	at       []Pos // of its committed record
	safe     Epoch // applied to its end by a record that is not beyond my colour
	haveOf   Epoch // of mine
	kept     []*kept
	open     [][]int // sizes of frames of the open epoch, by class
	volume   int     // bytes of these
	used     []int   // bytes under way, by class
	missed   bool    // some of these may have been sent before it listened
	lastTo   Epoch   // the last that was cut with frames for it
	lastBase Epoch   // the same at the base of this incarnation
}

func newPeer(classes int, r *Record, i int, now time.Duration) peer {
	p := peer{
		heard: now, queues: make([][]item, classes), place: make([]Place, classes),
		at: make([]Pos, classes), open: make([][]int, classes), used: make([]int, classes),
	}
	for c := range classes {
		p.at[c], p.place[c].Pos = Start, Start
		if i < len(r.At) {
			p.place[c] = r.At[i][c]
		}
	}
	p.released = ended(positions(r, i, classes))
	if i < len(r.Last) {
		p.lastTo, p.lastBase = r.Last[i], r.Last[i]
	}
	return p
}

// State takes what another slot tells.
func (s *Slot) State(m *State, now time.Duration) {
	if s.stopped || m.Slot >= s.cfg.Slots || !s.fits(m) {
		return
	}
	newest := m.Seen[s.cfg.Slot]
	if m.Slot == s.cfg.Slot {
		newest = m.Inc
	}
	if newest > s.inc && !plant.Is(plant.ZombieGoesOn) {
		s.stop(Outdated)
		return
	}
	if m.Slot == s.cfg.Slot {
		return
	}
	if m.Gen != s.gen && !(plant.Is(plant.GenerationIgnored) && m.Gen < s.gen) {
		s.newer(m.Gen)
		return
	}
	p := &s.peers[m.Slot]
	if !s.running || m.Inc < p.inc || m.Inc == p.inc && m.N <= p.n {
		return
	}
	s.now = now
	p.n, p.process, p.heard, p.full = m.N, m.Process, now, m.Full
	if now-p.deadAt >= s.cfg.Heartbeat { // else it may be what the dead one has said last
		p.dead = 0
	}
	s.source(m.Slot, m.Inc, m.History, m.Epoch, m.Colour, m.Last, m.Marks, m.Moves, newest >= s.inc)
	s.receiver(m)
	if !s.stopped {
		s.advance()
		s.schedule()
	}
}

// listens hears of a new incarnation of a receiver, which has missed what was sent before
// it began to listen: that is sent again at once, where its state does not say that it has it.
func (s *Slot) listens(p *peer) {
	for _, k := range p.kept {
		k.sent = s.now - s.cfg.Resend
	}
	p.missed = slices.ContainsFunc(p.open, func(sizes []int) bool { return len(sizes) > 0 })
}

// Dead says that a process is said to have ended: slots that ran there are silent from now
// on, as if they had been for long, until they are heard of again, a heartbeat later. A
// mistake does what a silence without an end does: it takes a second failure for a rollback.
func (s *Slot) Dead(process uint64, now time.Duration) {
	if !s.Running() || process == 0 || process == s.cfg.Process {
		return
	}
	s.now = now
	for i := range s.peers {
		if p := &s.peers[i]; p.process == process {
			p.dead, p.deadAt = p.inc, now
		}
	}
	s.advance()
	s.schedule()
}

// silent reports that nothing was heard of a slot for so long, or that it is dead.
func (s *Slot) silent(p *peer, most time.Duration) bool {
	return p.dead != 0 && p.dead == p.inc || s.now-p.heard >= most
}

// fits reports that a state is of a job of this shape.
func (s *Slot) fits(m *State) bool {
	n := s.cfg.Slots
	if len(m.Seen) != n || len(m.Have) != n || len(m.At) != n {
		return false
	}
	return len(m.At[s.cfg.Slot]) == s.cfg.Classes()
}

// Peeked takes the record of a silent slot, which a quorum of acceptors holds.
func (s *Slot) Peeked(r *Record, now time.Duration) {
	if !s.Running() || r.Slot == s.cfg.Slot || r.Slot >= s.cfg.Slots {
		return
	}
	if r.Gen != s.gen {
		s.newer(r.Gen)
		return
	}
	p := &s.peers[r.Slot]
	if r.Inc < p.inc || r.Inc == p.inc && r.Epoch <= p.epoch {
		return
	}
	s.now = now
	if r.Inc > p.inc {
		p.n = 0
	}
	s.source(r.Slot, r.Inc, r.History, r.Epoch, r.Colour, r.Last, r.Marks, r.Groups.moves(), true)
	s.schedule()
}

// source takes what a source has committed. It may have come late, and be older than what is
// applied here, unless it is known to be of the time of this incarnation.
func (s *Slot) source(src int, inc Inc, history []Span, epoch Epoch, colour Cut, last []Epoch, marks []byte, moves Moves, ofNow bool) {
	p := &s.peers[src]
	if inc == p.inc && epoch < p.epoch { // its register was read since it was sent
		return
	}
	if inc > p.inc {
		s.listens(p)
	}
	p.epoch, p.colour, p.marks, p.moves = epoch, colour, marks, moves
	p.last = 0
	if s.cfg.Slot < len(last) {
		p.last = last[s.cfg.Slot]
	}
	if epoch < p.released && (ofNow || plant.Is(plant.LateIsLoss)) && !plant.Is(plant.LossNotSeen) { // its log went backwards: more is applied than it says
		s.lost = true
	}
	for _, h := range p.know(inc, history) {
		s.do(Drop{src, h.Inc, h.Epoch})
	}
	s.release(src)
	if !s.groups.settled() {
		s.handOver(src)
	}
}

// receiver takes how far a receiver is.
func (s *Slot) receiver(m *State) {
	me, p := s.cfg.Slot, &s.peers[m.Slot]
	p.at, p.haveOf = m.At[me], m.Have[me]
	if ended(p.at) >= s.open && !plant.Is(plant.ZombieGoesOn) { // of an epoch that I have not made: there is a newer incarnation
		s.stop(Outdated)
		return
	}
	if m.Colour > s.colour && !plant.Is(plant.TrimAcrossCut) { // it has passed a cut that I have not: tag first
		s.wish(m.Colour)
	} else {
		s.trim(m.Slot, ended(p.at))
	}
	s.measure(m.Slot)
	if m.Seen[me] >= s.inc && p.haveOf < p.lastBase && !p.supplies(p.haveOf, p.lastBase) && !plant.Is(plant.LossNotSeen) {
		s.lost = true
	}
}

// trim forgets what a receiver has durably applied.
func (s *Slot) trim(dst int, e Epoch) {
	p := &s.peers[dst]
	p.safe = max(p.safe, e)
	n := 0
	for n < len(p.kept) && p.kept[n].Epoch <= e {
		s.keeps -= p.kept[n].bytes()
		n++
	}
	if n > 0 {
		p.kept = slices.Delete(p.kept, 0, n)
		s.do(Trim{dst, e})
	}
}

// supplies reports that all epochs behind from, up to the last one before or at to,
// are kept.
func (p *peer) supplies(from, to Epoch) bool {
	for i := len(p.kept) - 1; i >= 0 && to > from; i-- {
		if k := p.kept[i]; k.Epoch == to {
			to = k.Prev
		}
	}
	return to <= from
}
