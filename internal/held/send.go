package held

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/held/plant"
)

// kept is an epoch for one receiver, until that has durably applied it.
type kept struct {
	Kept
	durable bool // there is a copy
	writing bool // a copy is being made
	sent    time.Duration
}

// pending is the epoch between cut and commit.
type pending struct {
	rec    *Record
	tagged bool
	named  []*kept // what a tagged record has to name
	chunks bool    // the changelog is durable
	put    bool
	acked  []Inc // by receiver: the incarnation that has acknowledged; 0: none has
	stood  []Inc // by receiver: the incarnation that a standby has acknowledged for
}

// Room reports that elements may be taken in that can lead to frames of rank and of
// higher ones.
func (s *Slot) Room(rank int) bool {
	for r := rank; r < len(s.full); r++ {
		if s.full[r] > 0 && !plant.Is(plant.NoCredit) {
			return false
		}
	}
	return true
}

// Send adds a frame to the open epoch and gives its head. The driver keeps the frame
// until [Trim] covers its epoch, and sends it now.
func (s *Slot) Send(dst int, c Class, size int) Data {
	p := &s.peers[dst]
	p.open[c] = append(p.open[c], size)
	s.sent, s.touched = true, true
	s.keeps += size
	s.use(dst, c, p.used[c]+size)
	if p.volume += size; s.cfg.Volume > 0 && p.volume >= s.cfg.Volume && !s.large {
		s.large = true
		s.schedule()
	}
	d := Data{Gen: s.gen, Src: s.cfg.Slot, Dst: dst, Inc: s.inc, Epoch: s.open, Class: c, Frame: len(p.open[c]) - 1, Size: size, To: p.inc}
	if plant.Is(plant.ToAnyone) {
		d.To = 0
	}
	return d
}

// use sets how many bytes are under way to a receiver in a class.
func (s *Slot) use(dst int, c Class, bytes int) {
	p := &s.peers[dst]
	was, is := p.used[c] >= s.cfg.Window, bytes >= s.cfg.Window
	p.used[c] = bytes
	if rank := s.cfg.Rank(c); is && !was {
		if s.full[rank]++; s.full[rank] == 1 {
			s.schedule()
		}
	} else if was && !is {
		s.full[rank]--
		s.do(Wake{})
	}
}

// measure counts what is under way to a receiver.
func (s *Slot) measure(dst int) {
	p := &s.peers[dst]
	for c := range p.used {
		n := 0
		for _, size := range p.open[c] {
			n += size
		}
		for _, k := range p.kept {
			for f, size := range k.Frames[c] {
				if !p.at[c].Covers(k.Epoch, f) {
					n += size
				}
			}
		}
		s.use(dst, Class(c), n)
	}
}

// Open is the epoch that frames belong to now.
func (s *Slot) Open() Epoch { return s.open }

// Cut ends the open epoch, while all lanes stand still. state goes into its record,
// marks are the watermarks that its receivers may believe once it is committed. The next
// one is due [Config.Every] after now, which may be a little while ago: when this one was. It
// reports false, and does nothing, while another epoch is not committed.
func (s *Slot) Cut(state, marks []byte, now time.Duration) bool {
	if !s.Running() || s.pending != nil {
		return false
	}
	s.now, s.cutAt, s.asked, s.sent, s.large, s.touched = max(s.now, now), now, false, false, false, false
	r := &Record{
		Gen: s.gen, Slot: s.cfg.Slot, Inc: s.inc, Epoch: s.open, History: s.history,
		Colour: s.colour, Tag: s.rec.Tag, Marks: marks, State: state, Rests: s.rest, Word: s.version, Unshown: s.unshown,
	}
	p := &pending{rec: r, tagged: s.want > s.colour, acked: make([]Inc, s.cfg.Slots), stood: make([]Inc, s.cfg.Slots)}
	for i := range s.peers {
		s.close(i, marks)
		r.Last = append(r.Last, s.peers[i].lastTo)
		r.At = append(r.At, slices.Clone(s.peers[i].place))
	}
	s.turned(&s.turn)
	r.Groups = s.groups.clone()
	s.pending = p
	if p.tagged {
		s.tag(p)
	}
	if s.cfg.Log {
		s.write(s.kept())
	}
	if s.turn.Next != nil {
		s.follow(s.turn.Next, marks)
	}
	s.turn = Turn{}
	s.open++
	s.advance()
	return true
}

// close ends the open epoch for one receiver.
func (s *Slot) close(dst int, marks []byte) {
	p := &s.peers[dst]
	end := End{Gen: s.gen, Src: s.cfg.Slot, Dst: dst, Inc: s.inc, Epoch: s.open, Prev: p.lastTo, Colour: s.colour, Version: s.groups.Version, Marks: marks}
	any := false
	for _, sizes := range p.open {
		end.Counts = append(end.Counts, len(sizes))
		any = any || len(sizes) > 0
	}
	if !any {
		return
	}
	k := &kept{
		Kept: Kept{Dst: dst, Inc: s.inc, Epoch: s.open, Prev: p.lastTo, Colour: s.colour, Version: s.groups.Version, Frames: p.open, Marks: marks},
		sent: s.now,
	}
	if p.missed {
		k.sent -= s.cfg.Resend
	}
	p.kept = append(p.kept, k)
	p.open, p.volume, p.missed = make([][]int, s.cfg.Classes()), 0, false
	p.lastTo = s.open
	s.do(SendEnd{end})
}

// tag makes the pending epoch this slot's part of the cut that is wanted.
func (s *Slot) tag(p *pending) {
	s.colour = s.want
	p.rec.Colour = s.colour
	p.rec.Tag = Tag{Cut: s.colour, At: p.rec.Ident(), Version: p.rec.Groups.Version, Moving: !p.rec.Groups.settled()}
	for i := range s.peers {
		if i == s.cfg.Slot {
			continue
		}
		q := &s.peers[i]
		p.named = append(p.named, q.kept...)
		if !q.supplies(q.safe, q.lastTo) && !plant.Is(plant.NeverVoid) {
			p.rec.Tag.Void = true
		}
	}
	s.write(p.named)
}

// write asks for copies of what has none, and reports that all have one.
func (s *Slot) write(list []*kept) (durable bool) {
	durable = true
	var w WriteCopies
	for _, k := range list {
		durable = durable && k.durable
		if !k.durable && !k.writing {
			k.writing = true
			w.Kept = append(w.Kept, k.Kept)
		}
	}
	if len(w.Kept) > 0 {
		s.do(w)
	}
	return durable
}

// kept is all that is kept for others.
func (s *Slot) kept() (list []*kept) {
	for i := range s.peers {
		list = append(list, s.peers[i].kept...)
	}
	return list
}

// ChunksDurable says that the changelog of the epoch that was cut last is durable, and
// which chunks lead to it.
func (s *Slot) ChunksDurable(chunks []Chunk) {
	if s.Running() && s.pending != nil {
		s.pending.rec.Chunks, s.pending.chunks = chunks, true
		if plant.Is(plant.ChunksOfBefore) {
			s.pending.rec.Chunks = s.rec.Chunks
		}
		s.advance()
	}
}

// CopiesDurable says that what [WriteCopies] asked for is durable.
func (s *Slot) CopiesDurable(list []Kept) {
	if !s.Running() {
		return
	}
	for i := range list {
		mark := func(k *kept) {
			if k.Epoch == list[i].Epoch && k.Inc == list[i].Inc && k.Dst == list[i].Dst {
				k.durable = true
			}
		}
		for _, k := range s.peers[list[i].Dst].kept {
			mark(k)
		}
		if s.pending != nil {
			for _, k := range s.pending.named {
				mark(k)
			}
		}
	}
	s.advance()
}

// Ack takes an acknowledgement.
func (s *Slot) Ack(m *Ack) {
	p := s.pending
	if !s.Running() || m.Gen != s.gen && !plant.Is(plant.GenerationIgnored) || m.Src != s.cfg.Slot || m.Dst >= s.cfg.Slots || p == nil || m.SrcInc != s.inc && !plant.Is(plant.AckOfOtherInc) || m.Epoch != p.rec.Epoch {
		return
	}
	if m.Process == s.cfg.Process && !plant.Is(plant.AckOfSameProcess) { // it dies with this one: no second copy
		return
	}
	by := p.acked
	if m.Standby {
		by = p.stood
	}
	by[m.Dst] = max(by[m.Dst], m.DstInc)
	s.advance()
}

// advance commits the pending epoch when all that it needs is there.
func (s *Slot) advance() {
	p := s.pending
	if p == nil || p.put || !p.chunks && !plant.Is(plant.ChangelogNotAwait) || s.stopped {
		return
	}
	spill := p.named
	for i := range s.peers {
		q := &s.peers[i]
		if q.lastTo != p.rec.Epoch || s.answered(i, q) || plant.Is(plant.CommitUnheld) {
			continue
		}
		if !s.excused(i) {
			return
		}
		spill = append(slices.Clip(spill), q.kept...)
	}
	if !s.write(spill) && !plant.Is(plant.CopiesNotDurable) {
		return
	}
	p.put = true
	s.name(p)
	s.do(Commit{p.rec})
}

// name lists the durable copies in the record of the pending epoch.
func (s *Slot) name(p *pending) {
	list := p.named
	if plant.Is(plant.CopiesNotNamed) && p.tagged {
		return
	}
	if !p.tagged || plant.Is(plant.CopiesNamedLate) {
		list = slices.DeleteFunc(s.kept(), func(k *kept) bool { return !k.durable || plant.Is(plant.OwnCopiesOnly) && k.Epoch < p.rec.Epoch })
	}
	for _, k := range list {
		p.rec.Kept = append(p.rec.Kept, k.Kept)
	}
}

// answered reports that a receiver, or who stands by it, has acknowledged the pending epoch,
// and that this is enough.
func (s *Slot) answered(dst int, q *peer) bool {
	if s.cfg.Log && !plant.Is(plant.AckForCopy) {
		return false
	}
	return s.pending.holds(dst, q) || s.standsIn(dst, q)
}

// holds reports that the present incarnation of a receiver has acknowledged.
func (p *pending) holds(dst int, q *peer) bool {
	return p.acked[dst] != 0 && (p.acked[dst] >= q.inc || plant.Is(plant.AckOfDead))
}

// standsIn reports that a standby holds the pending epoch for a receiver that is silent.
// It does not count for one that is not: should this slot die, the receiver would miss
// what only its standby has.
func (s *Slot) standsIn(dst int, q *peer) bool {
	inc := s.pending.stood[dst]
	return inc != 0 && inc >= q.inc && s.silent(q, s.cfg.Silent)
}

// excused reports that a receiver's acknowledgement is replaced by a durable copy: it
// is silent, or it would die with this process, or all are.
func (s *Slot) excused(i int) bool {
	q := &s.peers[i]
	return s.cfg.Log || q.process == s.cfg.Process && q.process != 0 || s.cfg.Excuse > 0 && s.silent(q, s.cfg.Excuse)
}

// resend sends again what a receiver may miss.
func (s *Slot) resend(dst int) {
	p := &s.peers[dst]
	for _, k := range p.kept {
		if plant.Is(plant.NeverResent) {
			return
		}
		waits := !s.cfg.Log && s.pending != nil && k.Epoch == s.pending.rec.Epoch && !s.pending.holds(dst, p)
		if (k.Epoch > p.haveOf || waits) && s.now-k.sent >= s.cfg.Resend {
			k.sent = s.now
			s.do(Resend{k.Kept})
		}
	}
}
