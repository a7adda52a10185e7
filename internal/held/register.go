package held

import (
	"slices"

	"github.com/millrace/millrace/internal/held/plant"
)

// Cell is what an acceptor keeps for one register. It is promised to Ballot; the value
// is the one that By has put, its Version-th.
type Cell struct {
	Ballot  Inc
	By      Inc
	Version uint64
	Value   []byte
	Learns  bool // the acceptor has no vote yet
}

// newer reports that e has a newer value than o.
func (e *Cell) newer(o *Cell) bool {
	return e.By > o.By || e.By == o.By && e.Version > o.Version
}

// same reports that e and o have one and the same value.
func (e *Cell) same(o *Cell) bool { return e.By == o.By && e.Version == o.Version }

// Quorum is how many of n acceptors have to agree.
func Quorum(n int) int {
	if plant.Is(plant.OneIsEnough) {
		return 1
	}
	return n/2 + 1
}

// Confirmed is the value that a quorum of n acceptors holds, by the cells that were
// read. A newer one that fewer hold may never have been put: it does not count.
func Confirmed(cells []Cell, n int) (Cell, bool) {
	for i := range cells {
		same, votes := 0, 0
		for j := range cells {
			if cells[i].same(&cells[j]) {
				if same++; !cells[j].Learns {
					votes++
				}
			}
		}
		if votes >= Quorum(n) || same == n {
			return cells[i], true
		}
	}
	return Cell{}, false
}

// Call is one request to an acceptor.
type Call struct {
	Server int
	Number uint64 // goes back with the answer
	CAS    bool   // else it is a read
	Expect uint64 // the acceptor's version that is to be replaced; 0: there is none
	Cell   Cell
}

// Answer is what came of a call.
type Answer struct {
	Server  int
	Number  uint64
	Result  Result
	Version uint64 // the acceptor's, for OK
	Cell    Cell   // what a read has found
}

// Result is how a call ended.
type Result uint8

const (
	OK      Result = iota
	Stale          // the version was another one: nothing is written
	Unknown        // no answer: it may be written, now or later
)

// Phase is what a register is at.
type Phase uint8

const (
	Idle     Phase = iota
	Taking         // a takeover is under way
	Taken          // it has succeeded: Value is to be put again before anything else
	NotTaken       // it has not; another one, with another id, may
	Putting        // a value is under way
	Put            // it is durable, and no older owner can put another
	Fenced         // the register has a newer owner: stop at once
)

// Register is a value over one acceptor or three, of which one owner at a time can
// change it. It holds as long as a quorum of acceptors keeps what it has answered.
//
// One acceptor of three that has lost what it had can be replaced by an empty one whose
// versions begin above all that the old one had. Who is empty has no vote in a register
// until its owner, who knows it, has put a value into a quorum of those who have one and
// into it, and then the next. A promise that was lost is then known to be none: whoever
// counts it has asked another acceptor before, and that would not have taken the value.
// The next may be replaced when that is so of all registers. What all agree to needs no
// vote: so it begins.
//
// After each call the driver takes [Register.Calls] and sends them, and looks at
// [Register.Phase]. Every call has to be answered in the end, by Unknown if need be.
type Register struct {
	ballot  Inc
	version uint64
	value   []byte
	phase   Phase
	prepare bool // Taking has read enough and writes its ballot
	calls   []Call
	number  uint64
	servers []server
}

// server is what is known of one acceptor.
type server struct {
	waits   uint64 // the number of the call that is not answered; 0: none is
	cas     bool   // it is a CAS
	read    bool   // version and cell are known
	version uint64
	cell    Cell   // last read, or written and answered
	writing Cell   // by the call that is not answered
	agreed  bool   // to what the phase asks for
	fenced  bool   // it has promised itself to a newer owner
	failed  bool   // it has not answered; Tick asks again
	learns  bool   // it has no vote
	since   uint64 // the version that was under way when that was seen
}

// enough reports that those who do are a quorum of those who have a vote, or all, and
// none was found empty while they did.
func (r *Register) enough(do func(*server) bool) bool {
	all, votes := 0, 0
	for i := range r.servers {
		s := &r.servers[i]
		switch {
		case !do(s):
		case !s.learns || plant.Is(plant.NewVotes):
			votes++
			all++
		case r.phase == Taking || s.since < r.version:
			all++
		}
	}
	return votes >= Quorum(len(r.servers)) || all == len(r.servers)
}

// NewRegister returns one over n acceptors, which nobody owns.
func NewRegister(n int) *Register { return &Register{servers: make([]server, n)} }

// Phase is what it is at.
func (r *Register) Phase() Phase { return r.phase }

// Ballot is the owner's: its incarnation.
func (r *Register) Ballot() Inc { return r.ballot }

// Value is what the takeover has found; nil if there was nothing.
func (r *Register) Value() []byte { return r.value }

// Calls gives what is to be asked since the last time.
func (r *Register) Calls() []Call {
	calls := r.calls
	r.calls = nil
	return calls
}

// TakeOver begins to make this the owner. id has to be another one for each attempt
// of any process.
func (r *Register) TakeOver(id uint32) {
	r.phase, r.prepare = Taking, false
	r.ballot = Inc(id)
	r.version = 0
	for i := range r.servers {
		r.servers[i] = server{}
		r.ask(i)
	}
}

// Put begins to write a value. It may be called when the phase is Taken or Put.
func (r *Register) Put(value []byte) {
	if r.phase != Taken && r.phase != Put {
		panic("BUG: held: a put of who does not own the register, or two at once")
	}
	last := Cell{By: r.ballot, Version: r.version}
	r.phase = Putting
	r.version++
	r.value = value
	for i := range r.servers {
		s := &r.servers[i]
		if s.read && s.cell.same(&last) && (last.Version > s.since || plant.Is(plant.VoteTooSoon)) {
			s.learns = false
		}
		s.agreed = false
		switch {
		case s.fenced:
		case s.read:
			r.write(i)
		case s.waits == 0:
			r.ask(i)
		}
	}
}

// Tick says that time has passed: who has not answered is not waited for where others
// suffice, and is asked again where it is needed.
func (r *Register) Tick() {
	switch r.phase {
	case Taking:
		r.taking(true)
	case Putting:
		for i := range r.servers {
			s := &r.servers[i]
			again := s.failed && !s.agreed && !s.fenced || s.agreed && r.isFenced()
			if again && s.waits == 0 {
				r.ask(i)
			}
		}
	}
}

// isFenced reports that an acceptor has promised itself to a newer owner. If those that
// have agreed are not enough, they may have done so since.
func (r *Register) isFenced() bool {
	return slices.ContainsFunc(r.servers, func(s server) bool { return s.fenced })
}

// Stuck reports that a put under way does not come to an end by itself, if it has taken long:
// an acceptor has promised itself to a newer owner, who may have died over its takeover, and
// a quorum has answered. A takeover settles that. Where acceptors are just away it would be as
// stuck, and they are waited for.
func (r *Register) Stuck() bool {
	answered := 0
	for i := range r.servers {
		if s := &r.servers[i]; s.fenced || s.agreed {
			answered++
		}
	}
	return r.phase == Putting && r.isFenced() && answered >= Quorum(len(r.servers))
}

// Answer takes what came of a call. Answers of calls that nobody waits for do nothing.
func (r *Register) Answer(a Answer) {
	s := &r.servers[a.Server]
	if a.Number != s.waits {
		return
	}
	s.waits = 0
	switch {
	case a.Result == OK && s.cas:
		s.version, s.cell, s.read, s.agreed = a.Version, s.writing, true, true
	case a.Result == OK:
		s.version, s.cell, s.read = a.Version, a.Cell, true
		if s.learns = a.Version == 0 || a.Cell.Learns; s.learns && a.Cell.Ballot != r.ballot {
			s.since = r.version
		}
	default:
		s.read = false
	}
	s.failed = a.Result != OK
	// Whenever the answer comes: what is written next would pass over the newer owner.
	s.fenced = s.fenced || r.phase != Taking && s.read && s.cell.Ballot > r.ballot && !plant.Is(plant.NotFenced)
	if plant.Is(plant.FencedInTime) && r.phase != Putting {
		s.fenced = false
	}
	switch r.phase {
	case Taking:
		r.taking(false)
	case Putting:
		r.settle(a.Server, a.Result)
	}
}

// taking goes on with a takeover when all have answered, or enough and time is up.
func (r *Register) taking(timeUp bool) {
	open := 0
	for i := range r.servers {
		if r.servers[i].waits != 0 {
			open++
		}
	}
	enough := r.enough(func(s *server) bool { return s.agreed || !r.prepare && s.read })
	switch {
	case open > 0 && !(enough && timeUp):
	case !enough:
		r.phase = NotTaken
	case !r.prepare:
		r.promise()
	default:
		r.adopt()
	}
}

// promise writes the own ballot to all who were read; each keeps its value.
func (r *Register) promise() {
	round := Inc(0)
	for i := range r.servers {
		if r.servers[i].read {
			round = max(round, r.servers[i].cell.Ballot>>32)
		}
	}
	r.ballot |= (round + 1) << 32
	r.prepare = true
	for i := range r.servers {
		s := &r.servers[i]
		s.waits = 0
		if s.read {
			cell := s.cell
			cell.Ballot, cell.Learns = r.ballot, s.learns
			r.cas(i, cell)
		}
	}
}

// adopt takes the newest value among those who have promised. Who has not is read
// again before it is written to.
func (r *Register) adopt() {
	var best Cell
	for i := range r.servers {
		s := &r.servers[i]
		s.read = s.agreed
		if s.agreed && (s.cell.newer(&best) || plant.Is(plant.AdoptAny) && len(s.cell.Value) > 0) {
			best = s.cell
		}
	}
	r.value = best.Value
	r.phase = Taken
}

// settle goes on with a put after an answer of server i.
func (r *Register) settle(i int, result Result) {
	s := &r.servers[i]
	mine := Cell{By: r.ballot, Version: r.version}
	switch {
	case result == Unknown && s.cas && plant.Is(plant.UnknownIsOK):
		s.agreed = true
	case result == Unknown && !s.cas: // a read: Tick asks again
	case result != OK:
		r.ask(i)
	case s.fenced:
		s.agreed = false
	case s.cell.same(&mine):
		s.agreed = true
	default:
		r.write(i)
	}
	fenced := 0
	for i := range r.servers {
		if r.servers[i].fenced {
			fenced++
		}
	}
	switch {
	case r.enough(func(s *server) bool { return s.agreed }):
		r.phase = Put
	case fenced >= Quorum(len(r.servers)):
		r.phase = Fenced
	}
}

func (r *Register) ask(i int) { r.call(i, Call{Server: i}) }

func (r *Register) write(i int) {
	r.cas(i, Cell{Ballot: r.ballot, By: r.ballot, Version: r.version, Value: slices.Clone(r.value), Learns: r.servers[i].learns})
}

func (r *Register) cas(i int, cell Cell) {
	r.call(i, Call{Server: i, CAS: true, Expect: r.servers[i].version, Cell: cell})
}

func (r *Register) call(i int, c Call) {
	r.number++
	c.Number = r.number
	s := &r.servers[i]
	s.waits, s.cas, s.writing, s.failed, s.agreed = c.Number, c.CAS, c.Cell, false, false
	r.calls = append(r.calls, c)
}
