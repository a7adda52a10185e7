package held

import (
	"math"
	"time"

	"github.com/millrace/millrace/internal/held/plant"
)

// Config says how a slot is to be run.
type Config struct {
	Shape
	Slot    int
	Process uint64              // failure domain: copies in one count once
	Window  int                 // bytes that may be under way to each receiver in each class
	Volume  int                 // bytes for one receiver at which an epoch ends before its time; 0: none
	Owner   []int               // by key group: its slot as the job begins; nil: no group ever moves
	LaneOf  func(group int) int // which lane of its slot has a group; nil where Owner is
	Budget  Budget
	Touches bool // the driver calls Touch, so that epochs without anything are not cut
	Replays bool // incarnations may end by [Slot.Bequeath]: what is applied is held until that is committed
	Log     bool // a durable copy of what an epoch has for others replaces all acknowledgements: the same in all slots

	Every     time.Duration // between cuts, at most
	Heartbeat time.Duration // between states
	Resend    time.Duration // before what is not acknowledged is sent again
	Silent    time.Duration // before the register of a silent slot is read
	Excuse    time.Duration // before a silent receiver's acknowledgement is replaced by a durable copy; 0: never
}

// Slot decides for one incarnation of a slot. Time is what the driver's clock shows
// since any moment it likes.
//
// Invariant: committed epoch < open epoch; at most one epoch lies between, which is
// pending.
type Slot struct {
	cfg     Config
	gen     Gen
	inc     Inc
	base    Epoch
	history []Span
	rec     *Record // committed last
	running bool    // the record of the takeover is committed
	stopped bool

	open    Epoch
	colour  Cut  // the newest that is tagged, also by what is pending
	want    Cut  // the newest that is asked for or was seen
	asked   bool // CutNow is said
	sent    bool // the open epoch has frames
	large   bool // the open epoch has Config.Volume for a receiver
	touched bool // the open epoch has something to commit
	cutAt   time.Duration
	pending *pending
	lost    bool
	waits   bool
	final   Epoch // that Finalise was last said for
	jobGen  Gen   // the newest that was heard of

	groups  Groups     // of the open epoch
	next    Assignment // the newest that was heard of
	readFor Version    // that the job register was read for
	asking  []int      // groups whose state is on its way
	arrived []Given    // the next cut adopts it
	turn    Turn       // of the next cut
	shown   Epoch      // outputs of epochs up to this one are shown

	parked   int // bytes
	outbox   int // bytes
	keeps    int // bytes
	toldFull bool
	unshown  bool
	rest     bool   // sources rest
	version  uint64 // of the newest job record that a leader has told
	told     uint64 // the newest News of that

	peers   []peer
	full    []int // by rank: how many classes of receivers have no room
	turns   []int // by class: whose turn it is to be taken in
	n       uint64
	stateAt time.Duration
	now     time.Duration
	acts    []Act
}

// NewSlot begins an incarnation behind rec, the record that [Choose] names; nil is the
// start of the job. inc is the ballot of the register that was taken over. standby is
// what stood by the slot in this process, or nil.
func NewSlot(cfg Config, gen Gen, inc Inc, rec *Record, standby *Standby, now time.Duration) *Slot {
	s := &Slot{
		cfg: cfg, gen: gen, inc: inc, jobGen: gen, now: now, cutAt: now, stateAt: now,
		shown: math.MaxUint64, peers: make([]peer, cfg.Slots), full: make([]int, cfg.Ranks), turns: make([]int, cfg.Classes()),
	}
	first := Record{Slot: cfg.Slot, Groups: Groups{Assignment: Assignment{Owner: cfg.Owner}}}
	if rec != nil {
		first = *rec
		if rec.Gen < gen {
			first.Tag = Tag{}
		}
	}
	if first.Groups.Owner == nil && first.Groups.Version == 0 { // of a version in which no group moved
		first.Groups.Owner = cfg.Owner
	}
	first.Gen, first.Inc, first.Rests, first.Word = gen, inc, false, 0
	first.History = began(first.History, Span{inc, first.Epoch})
	if plant.Is(plant.HistoryForgotten) {
		first.History = []Span{{inc, 0}}
	}
	s.base, s.history, s.open, s.colour = first.Epoch, first.History, first.Epoch+1, first.Colour
	s.want = s.colour
	s.groups = first.Groups.clone()
	for i := range s.groups.Await {
		s.parked += s.groups.Await[i].parked()
	}
	for i := range s.peers {
		s.peers[i] = newPeer(cfg.Classes(), &first, i, now)
	}
	if plant.Is(plant.CopiesDropped) {
		first.Kept = nil
	}
	for _, k := range first.Kept {
		p := &s.peers[k.Dst]
		p.kept = append(p.kept, &kept{Kept: k, durable: true})
		s.keeps += k.bytes()
	}
	s.keepOn(standby, &first)
	for i := range s.peers {
		s.measure(i)
	}
	s.inherit(standby)
	s.rec = &first
	s.do(Commit{&first})
	return s
}

// Choose says which record a takeover begins behind: the one that was found in the
// slot's register (nil: none), or, when it is of an older generation, the one that the
// job's cut names. An empty Ident is the start of the job.
func Choose(job *Job, slot int, found *Record) (cut Ident, fromCut bool) {
	if found != nil && (found.Gen >= job.Gen || plant.Is(plant.NewestNotCut)) {
		return Ident{}, false
	}
	if slot < len(job.At) {
		return job.At[slot], true
	}
	return Ident{}, true
}

// Acts gives what is to be done since the last time, in this order.
func (s *Slot) Acts() []Act {
	acts := s.acts
	s.acts = nil
	return acts
}

func (s *Slot) do(a Act) { s.acts = append(s.acts, a) }

func (s *Slot) stop(why Why) {
	s.stopped = true
	s.acts = append(s.acts[:0], Stop{why})
}

// Gen, Inc and Record tell who this is, and what is committed last.
func (s *Slot) Gen() Gen        { return s.gen }
func (s *Slot) Inc() Inc        { return s.inc }
func (s *Slot) Record() *Record { return s.rec }

// Running reports that the takeover is complete: lanes may run.
func (s *Slot) Running() bool { return s.running && !s.stopped }

// Place is how far a class of a source is applied, for lanes that begin.
func (s *Slot) Place(src int, c Class) Place { return s.peers[src].place[c] }

// Committed says that the record of the last [Commit] is durable.
func (s *Slot) Committed(now time.Duration) {
	if s.stopped {
		return
	}
	s.now = now
	if p := s.pending; p != nil {
		s.rec, s.pending = p.rec, nil
	}
	s.settle()
	if !s.running {
		s.running = true
		s.ackInherited()
	}
	if plant.Is(plant.ShowOnTag) && s.rec.Tag.At.Gen == s.gen {
		s.do(Finalise{s.rec.Tag.At.Epoch})
	}
	s.tell()
	s.schedule()
}

// News takes what a leader tells, or what was read in the job register: then Rest is to be
// what [Slot.Rests] says.
func (s *Slot) News(m *News, now time.Duration) {
	if s.stopped || m.Job.Gen < s.gen {
		return
	}
	s.now = now
	if m.Job.Gen > s.gen {
		s.stop(RolledBack)
		return
	}
	s.wish(m.Asked)
	s.rests(m)
	s.heardOf(&m.Job.Groups)
	if s.cfg.Slot < len(m.Job.At) {
		if e := m.Job.At[s.cfg.Slot].Epoch; e > s.final {
			s.final = e
			s.do(Finalise{e})
		}
	}
	s.schedule()
}

// rests notes whether sources are to rest, unless that is old: of a leader that was replaced,
// and does not know it, or overtaken by what this one has told since.
func (s *Slot) rests(m *News) {
	old := m.Job.Version < s.version && !plant.Is(plant.ReplacedWakes) ||
		m.Job.Version == s.version && m.Told <= s.told && !plant.Is(plant.OvertakenWakes)
	if m.Told == 0 || old {
		return
	}
	if s.version, s.told = m.Job.Version, m.Told; s.rest && !m.Rest {
		s.do(Wake{})
	}
	s.rest = m.Rest
}

// Tick says what time it is; it is to be called every few milliseconds.
func (s *Slot) Tick(now time.Duration) {
	if !s.Running() {
		return
	}
	s.now = now
	if now-s.stateAt >= s.cfg.Heartbeat || s.overfull() != s.toldFull {
		s.tell()
	}
	for i := range s.peers {
		if i != s.cfg.Slot {
			s.resend(i)
			s.peek(i)
		}
	}
	s.advance()
	s.schedule()
}

// Touch says that the open epoch has something to commit that the slot can't know of: a
// source was read, a timer fired, watermarks moved. Where [Config.Touches] is set, an
// epoch without anything is not cut until a cut of the job wants it.
func (s *Slot) Touch() { s.touched = true }

// Waits says whether something waits for a cut: outputs of a slot that has come to its end, or
// groups that are on their way. Then the next one comes sooner.
func (s *Slot) Waits(yes bool) { s.waits = yes }

// Rest lets sources rest until a leader says otherwise. It is for an incarnation that begins
// while the job drains.
func (s *Slot) Rest() { s.rest = true }

// Rests reports that sources rest.
func (s *Slot) Rests() bool { return s.rest }

// Unshown says, before [Slot.Cut], whether there are outputs that are not shown: those of
// former epochs, and those that wait in front of sinks behind this one. What sinks are given
// at the end of this epoch is not meant, if they had nothing before.
func (s *Slot) Unshown(yes bool) { s.unshown = yes }

// wish asks for a tag.
func (s *Slot) wish(c Cut) { s.want = max(s.want, c) }

// Wanted reports that the epoch which ends next is to be this slot's part of a cut. By
// the time it ends that may be so though this was not.
func (s *Slot) Wanted() bool { return s.Running() && s.want > s.colour }

// schedule asks for a cut where there is a reason for one and none is under way.
func (s *Slot) schedule() {
	if s.Running() && s.pending == nil && !s.asked && s.due() {
		s.asked = true
		s.do(CutNow{})
	}
}

// due reports that there is a reason for a cut.
func (s *Slot) due() bool {
	switch {
	case s.want > s.colour, s.large, s.sent && !s.Room(0):
		return true
	case (s.touched || !s.cfg.Touches) && s.now-s.cutAt >= s.cfg.Every:
		return true
	}
	return s.moves()
}

// Due is when a cut is due by time.
func (s *Slot) Due() time.Duration { return s.cutAt + s.cfg.Every }

// peek looks after a slot that is silent.
func (s *Slot) peek(i int) {
	p := &s.peers[i]
	if s.now-max(p.heard, p.peeked) >= s.cfg.Silent {
		p.peeked = s.now
		s.do(Peek{i})
	}
}

// newer hears of a generation.
func (s *Slot) newer(g Gen) {
	if g > s.jobGen {
		s.jobGen = g
		s.do(ReadJob{})
	}
}

// tell sends a state.
func (s *Slot) tell() {
	s.n++
	s.stateAt, s.toldFull = s.now, s.overfull()
	r := s.rec
	m := State{
		Gen: s.gen, Slot: s.cfg.Slot, Inc: s.inc, N: s.n, Process: s.cfg.Process, History: s.history,
		Epoch: r.Epoch, Colour: r.Colour, Tag: r.Tag, Last: r.Last, Marks: r.Marks, Moves: r.Groups.moves(), Full: s.toldFull, Lost: s.lost, Waits: s.waits,
	}
	for i := range s.peers {
		at := positions(r, i, s.cfg.Classes())
		if plant.Is(plant.AppliedIsDurable) {
			for c := range at {
				at[c] = s.peers[i].place[c].Pos
			}
		}
		m.At = append(m.At, at)
		m.Have = append(m.Have, s.peers[i].have())
		m.Seen = append(m.Seen, s.peers[i].inc)
	}
	s.do(SendState{m})
}

// positions is how far a record has applied a source.
func positions(r *Record, src, classes int) []Pos {
	at := make([]Pos, classes)
	for c := range at {
		at[c] = Start
		if src < len(r.At) {
			at[c] = r.At[src][c].Pos
		}
	}
	return at
}
