package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Plan is what a seed decides before the run begins.
type Plan struct {
	Seed    uint64
	Lanes   int
	Splits  []int // elements of each
	Keys    int
	Ahead   bool  // lanes go on while an epoch is made durable
	Restart int   // cycles restart after this cut; 0: never
	Eager   bool  // sinks show at once what recovery has found, not with the next commit
	Direct  bool  // behind a record that says that all input has ended only the sinks are opened
	Bases   int64 // bytes of changes behind which the store wants a base
	CutOdds int   // a cut is asked for about every so many steps
	Faults  []Fault
}

// Fault happens when the run passes At for the N-th time, counted from the start or
// from another fault.
type Fault struct {
	Kind  Kind
	At    Point
	N     int
	After int    // the number of the fault, from 1 on, that N is counted from; 0: from the start
	Lanes int    // of the process that comes after it; 0: as many as before
	Seed  uint64 // of what is left of the disk, and of how long things last
}

// odds are how often a run passes the points, about, and a little more.
var odds = [Points]int{
	Running: 100, Cutting: 30, BeforePersist: 4, Syncing: 12, Persisting: 40, AheadStep: 40, BeforeShow: 4, Showing: 8, Shown: 4, Finishing: 4, Opening: 30, Loading: 8,
}

// NewPlan makes the plan of a seed.
func NewPlan(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := Plan{
		Seed: seed, Lanes: 1 + r.IntN(4), Keys: 1 + r.IntN(8), Splits: make([]int, 1+r.IntN(4)),
		Ahead: r.IntN(3) > 0, Eager: r.IntN(2) == 0, Direct: r.IntN(2) == 0, CutOdds: 4 << r.IntN(4), Bases: 100 << r.IntN(8),
	}
	for i := range p.Splits {
		p.Splits[i] = r.IntN(30)
	}
	if r.IntN(40) == 0 { // a long run, of many epochs
		p.Splits[0] += 300
	}
	if r.IntN(5) == 0 {
		p.Restart = 1 + r.IntN(3)
	}
	flips := 0
	swarm := 1 + r.IntN(1<<Kinds-1) // the kinds of this seed
	for range r.IntN(7) {
		f := Fault{Kind: Kind(r.IntN(int(Kinds))), At: Point(r.IntN(int(Points))), Seed: r.Uint64()}
		for swarm&(1<<f.Kind) == 0 {
			f.Kind = (f.Kind + 1) % Kinds
		}
		f.N = 1 + r.IntN(odds[f.At])
		if r.IntN(3) == 0 {
			f.Lanes = 1 + r.IntN(4)
		}
		if f.Kind == Flip { // a second one could damage what the first has led back to
			if flips++; flips > 1 {
				continue
			}
		}
		p.Faults = append(p.Faults, f)
		if (f.Kind == Kill || f.Kind == BadSync) && r.IntN(2) == 0 { // what is not durable still is lost soon after
			then := Fault{Kind: PowerLoss, At: Point(r.IntN(int(Points))), After: len(p.Faults), Seed: r.Uint64()}
			then.N = 1 + r.IntN(1+odds[then.At]/4)
			p.Faults = append(p.Faults, then)
		}
	}
	return p
}

// String is the plan for people, a fault a line.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d lanes, splits of %v elements, %d keys, a cut about every %d steps, bases behind %d bytes", p.Seed, p.Lanes, p.Splits, p.Keys, p.CutOdds, p.Bases)
	for _, o := range []struct {
		on   bool
		text string
	}{
		{p.Ahead, "lanes go ahead"}, {p.Eager, "recovered sinks show at once"}, {p.Direct, "an ended record goes straight to finish"},
		{p.Restart > 0, fmt.Sprintf("restart from cut %d", p.Restart)},
	} {
		if o.on {
			b.WriteString(", " + o.text)
		}
	}
	b.WriteByte('\n')
	for i, f := range p.Faults {
		fmt.Fprintf(&b, "  %d. %v\n", i+1, f)
	}
	return b.String()
}

func (f Fault) String() string {
	s := fmt.Sprintf("%v, the %d. time at %q", f.Kind, f.N, f.At.String())
	if f.After > 0 {
		s += fmt.Sprintf(" behind %d.", f.After)
	}
	if f.Lanes > 0 {
		s += fmt.Sprintf(", then %d lanes", f.Lanes)
	}
	return s
}
