package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Kind is what is done to a process.
type Kind string

const (
	Kill Kind = "kill" // kill -9 of a worker
	Stop Kind = "stop" // a worker stands still for a while, as one whose machine swaps
	Cut  Kind = "cut"  // its connections end, and for a while it gets no new ones
	Hold Kind = "hold" // its connections stay, and for a while nothing passes
	NATS Kind = "nats" // kill -9 of the NATS server, which is started again after a while
)

// The kinds for workers that the job has started itself, and for those that have joined.
var (
	OfChildren = []Kind{Kill, Stop}
	OfHosts    = []Kind{Kill, Stop, Cut, Hold, NATS}
)

// Fault is one thing that is done.
type Fault struct {
	Kind   Kind
	Worker int           // of those that are at work the first, second, ...; 0: none
	After  time.Duration // since the fault before it is healed; of the first, since the job works
	For    time.Duration // until it is healed; a kill is healed when the worker is back
}

func (f Fault) String() string {
	s := fmt.Sprintf("%v later %s", f.After, f.Kind)
	if f.Worker > 0 {
		s += fmt.Sprint(" worker ", f.Worker)
	}
	if f.For > 0 {
		s += fmt.Sprintf(" for %v", f.For)
	}
	return s
}

// Schedule is what is done to a job, one fault at a time.
type Schedule struct {
	Seed   uint64
	Plane  string // what data goes over, as the flag -plane says it
	Faults []Fault
}

func (s Schedule) String() string {
	var faults []string
	for _, f := range s.Faults {
		faults = append(faults, f.String())
	}
	return fmt.Sprintf("seed %d, plane %s: %s", s.Seed, s.Plane, strings.Join(faults, "; "))
}

var planes = [...]string{"nats", "direct", "mesh"}

// Plan is the schedule of a seed: the same for the same arguments, in every process.
func Plan(seed uint64, workers int, kinds []Kind) Schedule {
	r := rand.New(rand.NewPCG(seed, 7))
	s := Schedule{Seed: seed, Plane: planes[seed%uint64(len(planes))]}
	for range 1 + r.IntN(3) {
		f := Fault{Kind: kinds[r.IntN(len(kinds))], Worker: 1 + r.IntN(workers), After: ms(r, 10, 900)}
		switch f.Kind {
		case Stop, Cut, Hold:
			f.For = ms(r, 20, 1500)
			if r.IntN(6) == 0 {
				f.For = ms(r, 3200, 4500) // longer than the job waits for a worker: it is taken for dead, and comes back
			}
		case NATS:
			f.Worker, f.For = 0, ms(r, 1, 1000)
		}
		s.Faults = append(s.Faults, f)
	}
	return s
}

// ms is a time between two, in whole milliseconds.
func ms(r *rand.Rand, least, most int) time.Duration {
	return time.Duration(least+r.IntN(most-least)) * time.Millisecond
}
