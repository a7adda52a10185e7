package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// Plan is a run: the job, the habits of the network, and the faults.
type Plan struct {
	Seed      uint64
	Slots     int
	Spare     int // processes beyond one for each slot
	Lanes     int
	Acceptors int // 1 or 3
	Elements  int // of each source
	Fan       int // elements that one leads to, at most
	Window    int // bytes
	Volume    int // bytes; 0: epochs end by time and credit alone
	Every     time.Duration
	CutEvery  time.Duration
	Excuse    time.Duration // 0: never
	Standbys  bool
	Stand     time.Duration // before a silent slot's last record stands for it in a cut; 0: never
	Replays   bool          // user code may fail
	Lone      bool          // processes crash one by one, nothing else happens: nothing may be rolled back
	Told      bool          // others are told of the end of a process, mostly
	Log       bool          // copies replace acknowledgements: nothing may be rolled back, however many crash at once
	Bursts    bool          // sources have something to read in half of the time only
	Loss      int           // of a thousand messages
	Twice     int
	Late      int
	Budget    held.Budget
	Faults    []Fault
}

// Kind is what a fault does.
type Kind uint8

// The kinds of faults.
const (
	Crash   Kind = iota // process A dies, and starts again later
	Pause               // process A does nothing for a while, then goes on as if nothing had been
	Cut                 // what A sends does not reach B, and the other way round if Both
	Isolate             // process A reaches no other process
	Outage              // acceptor A does not answer
	Suspect             // process A takes slot B over, for no reason; if Both, it is said to be dead itself
	Lead                // process A begins to lead
	Replace             // an empty acceptor comes in place of acceptor A
	Assign              // key groups go to other slots: in shares that A and B say
	Mute                // what process A tells is lost, and frames are not: they take another connection
	Rest                // no fault: a savepoint is wished for, and read for a while when its cut is there
	Replay              // user code of slot A fails, wherever it runs: it begins again in the same process
	Drain               // no fault: the job is to come to its last cut; after a while it goes on all the same. If Both, process A hears nothing of leaders at first
	Kinds
)

func (k Kind) String() string {
	return [...]string{"crash", "pause", "cut", "isolate", "outage", "suspect", "lead", "replace", "assign", "mute", "rest", "replay", "drain"}[k]
}

// Fault is one thing that goes wrong.
type Fault struct {
	Kind Kind
	At   time.Duration
	For  time.Duration
	A, B int // acceptors are numbered from 100 on
	Both bool
}

func (f Fault) String() string {
	return fmt.Sprintf("%v: %v %d %d for %v, both ways %v", f.At, f.Kind, f.A, f.B, f.For, f.Both)
}

// faultsEnd is when the last fault happens; soon after, all is healed.
const faultsEnd = 700 * time.Millisecond

const acceptorsFrom = 100

// NewPlan draws the plan of a seed.
func NewPlan(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := Plan{
		Seed: seed, Slots: 2 + r.IntN(3), Spare: 1 + r.IntN(2), Lanes: 1 + r.IntN(2), Acceptors: 1 + 2*r.IntN(2), Elements: 50 + r.IntN(250), Fan: r.IntN(4),
		Window: 200 + r.IntN(2000), Every: ms(5 + r.IntN(20)), CutEvery: ms(30 + r.IntN(100)),
	}
	if p.Fan == 0 {
		p.Fan = 1
	}
	if r.IntN(4) > 0 {
		p.Loss, p.Twice, p.Late = r.IntN(60), r.IntN(60), r.IntN(60)
	}
	if r.IntN(2) == 0 {
		p.Excuse = ms(40 + r.IntN(60))
	}
	p.Standbys = r.IntN(2) == 0
	if r.IntN(2) == 0 {
		p.Stand = ms(20 + r.IntN(40))
	}
	p.assign()
	p.rest()
	p.drain()
	p.Told = p.Budget == (held.Budget{}) && rand.New(rand.NewPCG(seed, 6)).IntN(2) == 0
	p.Log = rand.New(rand.NewPCG(seed, 7)).IntN(4) == 0
	if r := rand.New(rand.NewPCG(seed, 8)); r.IntN(3) == 0 {
		p.Volume = 1 + r.IntN(p.Window)
	}
	if r.IntN(8) == 0 {
		return p // nothing goes wrong: who waits for ever, waits in a circle
	}
	if r.IntN(6) == 0 && p.Excuse > 0 {
		p.Lone = true
		p.replay(2)
		for at := ms(150 + r.IntN(50)); at < faultsEnd; at += ms(250 + r.IntN(100)) {
			p.Faults = append(p.Faults, Fault{Kind: Crash, At: at, A: r.IntN(p.Slots + p.Spare), For: ms(10 + r.IntN(100))})
		}
		p.sort()
		return p
	}
	p.replay(4)
	often := 10 + r.IntN(90)
	for at := ms(40); at < faultsEnd; at += ms(10 + r.IntN(often)) {
		f := p.fault(r, at)
		if p.Budget == (held.Budget{}) || f.Kind != Cut && f.Kind != Isolate {
			p.Faults = append(p.Faults, f)
		}
	}
	p.mute()
	p.doom()
	p.sort()
	return p
}

// assign draws when key groups go to other slots.
func (p *Plan) assign() {
	r := rand.New(rand.NewPCG(p.Seed, 3))
	p.bound(r)
	if p.Acceptors > 1 {
		for at := ms(100 + r.IntN(300)); at < faultsEnd; at += ms(50 + r.IntN(300)) {
			p.Faults = append(p.Faults, Fault{Kind: Replace, At: at, A: r.IntN(p.Acceptors)})
		}
	}
	if r.IntN(3) == 0 {
		return
	}
	for at := ms(30 + r.IntN(100)); at < faultsEnd; at += ms(20 + r.IntN(200)) {
		p.Faults = append(p.Faults, Fault{Kind: Assign, At: at, A: r.IntN(64), B: r.IntN(64)})
	}
}

// rest draws when savepoints are wished for: not in a job that is to come to its bounds, as
// its sources must not rest.
func (p *Plan) rest() {
	r := rand.New(rand.NewPCG(p.Seed, 5))
	if p.Budget != (held.Budget{}) || r.IntN(3) > 0 {
		return
	}
	for at := ms(50 + r.IntN(200)); at < faultsEnd; at += ms(100 + r.IntN(300)) {
		p.Faults = append(p.Faults, Fault{Kind: Rest, At: at, For: ms(20 + r.IntN(200))})
	}
}

// drain draws when the job is to come to its last cut, also while a savepoint is made.
func (p *Plan) drain() {
	r := rand.New(rand.NewPCG(p.Seed, 10))
	if p.Budget != (held.Budget{}) || r.IntN(3) > 0 {
		return
	}
	p.Bursts = r.IntN(2) == 0
	for at := ms(50 + r.IntN(200)); at < faultsEnd; at += ms(150 + r.IntN(300)) {
		p.Faults = append(p.Faults, Fault{Kind: Drain, At: at, For: ms(50 + r.IntN(350)), A: r.IntN(p.Slots + p.Spare), Both: r.IntN(2) == 0})
		if r.IntN(2) == 0 { // who has led may go on telling that nothing is to rest
			p.Faults = append(p.Faults, Fault{Kind: Lead, At: at - ms(5+r.IntN(20)), A: r.IntN(p.Slots + p.Spare)})
		}
	}
}

// replay draws when user code fails, in one of so many jobs: often in several slots at once.
// It is no failure to others: also where there is nothing but a crash now and then nothing
// may be rolled back.
func (p *Plan) replay(of int) {
	r := rand.New(rand.NewPCG(p.Seed, 9))
	if p.Replays = r.IntN(of) == 0; !p.Replays {
		return
	}
	for at := ms(40 + r.IntN(100)); at < faultsEnd; at += ms(10 + r.IntN(150)) {
		for i := range p.Slots {
			if r.IntN(2) == 0 {
				p.Faults = append(p.Faults, Fault{Kind: Replay, At: at + ms(r.IntN(20)), A: i})
			}
		}
	}
}

// mute draws when only frames get through, mostly those of somebody who is new.
func (p *Plan) mute() {
	r := rand.New(rand.NewPCG(p.Seed, 4))
	if p.Budget != (held.Budget{}) || r.IntN(2) == 0 {
		return
	}
	for at := ms(100 + r.IntN(300)); at < faultsEnd; at += ms(50 + r.IntN(300)) {
		a := r.IntN(p.Slots + p.Spare)
		p.Faults = append(p.Faults, Fault{Kind: Mute, At: at, A: a, For: ms(10 + r.IntN(100))})
		if r.IntN(2) == 0 {
			p.Faults = append(p.Faults, Fault{Kind: Suspect, At: at, A: a, B: r.IntN(p.Slots)})
		}
	}
}

// doom draws when many processes crash at once, or all, where that may lead to no rollback.
func (p *Plan) doom() {
	if !p.Log {
		return
	}
	r := rand.New(rand.NewPCG(p.Seed, 8))
	for at := ms(80 + r.IntN(150)); at < faultsEnd; at += ms(100 + r.IntN(200)) {
		all := r.IntN(2) == 0
		for a := range p.Slots + p.Spare {
			if all || r.IntN(2) == 0 {
				p.Faults = append(p.Faults, Fault{Kind: Crash, At: at, A: a, For: ms(10 + r.IntN(100))})
			}
		}
	}
}

// bound draws bounds, in a job that comes to them: it has much to read, small windows
// and few cuts, and nobody is cut off for long from who says that it is at a bound.
func (p *Plan) bound(r *rand.Rand) {
	if r.IntN(4) > 0 {
		return
	}
	p.Budget = held.Budget{Parked: 300 + r.IntN(1000), Outbox: 5000 + r.IntN(3000), Kept: 1000 + r.IntN(5000)}
	p.Lanes, p.Fan, p.Window, p.CutEvery, p.Loss = 1, 1, 100+r.IntN(200), ms(100+r.IntN(100)), 0
	p.Elements = 300 + r.IntN(300)
}

// shares is how much of the key groups each slot gets; some may get none.
func (p *Plan) shares(f Fault) (list []int) {
	all := 0
	for i := range p.Slots {
		n := (f.A*(i+1) + f.B) % 4
		list, all = append(list, n), all+n
	}
	if all == 0 {
		list[f.A%p.Slots] = 1
	}
	return list
}

// Wrong is how many of the faults are some: things that go wrong.
func (p *Plan) Wrong() (n int) {
	for _, f := range p.Faults {
		if f.Kind != Assign && f.Kind != Rest && f.Kind != Drain && f.Kind != Replay {
			n++
		}
	}
	return n
}

// sort puts faults in order; those that come at once stay as they are.
func (p *Plan) sort() {
	slices.SortStableFunc(p.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
}

func (p *Plan) fault(r *rand.Rand, at time.Duration) Fault {
	n := p.Slots + p.Spare
	f := Fault{At: at, A: r.IntN(n), B: r.IntN(n), Both: r.IntN(3) > 0, For: ms(10 + r.IntN(300))}
	switch k := r.IntN(20); {
	case k < 5:
		f.Kind = Crash
	case k < 9:
		f.Kind = Pause
	case k < 12:
		f.Kind = Cut
		if r.IntN(2) == 0 {
			f.B = acceptorsFrom + r.IntN(p.Acceptors)
		}
	case k < 13:
		f.Kind = Isolate
	case k < 15:
		f.Kind, f.A, f.For = Outage, r.IntN(p.Acceptors), ms(10+r.IntN(150))
	case k < 18:
		f.Kind, f.B = Suspect, r.IntN(p.Slots)
	default:
		f.Kind = Lead
	}
	return f
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d slots of %d lanes, %d spare processes, %d acceptors; %d elements, fan %d, window %d, volume %d, epochs %v, cuts %v, excuse %v, standbys %v, represented %v, replays %v, lone %v, told %v, log %v, bursts %v, bounds %v; lost %d, twice %d, late %d in 1000\n",
		p.Seed, p.Slots, p.Lanes, p.Spare, p.Acceptors, p.Elements, p.Fan, p.Window, p.Volume, p.Every, p.CutEvery, p.Excuse, p.Standbys, p.Stand, p.Replays, p.Lone, p.Told, p.Log, p.Bursts, p.Budget, p.Loss, p.Twice, p.Late)
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "  %v\n", f)
	}
	return b.String()
}
