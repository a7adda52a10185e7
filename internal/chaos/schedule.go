package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
	Lead Kind = "lead" // kill -9 of the process that has submitted the job, which is submitted again after a while
)

// The kinds for workers that the job has started itself, and for those that have joined.
var (
	OfChildren = []Kind{Kill, Stop}
	OfHosts    = []Kind{Kill, Stop, Cut, Hold, NATS}
)

// The same with faults that schedules have had since they overlap.
var (
	OverChildren = []Kind{Kill, Kill, Stop, Lead}
	OverHosts    = []Kind{Kill, Kill, Stop, Cut, Hold, NATS, Lead}
)

// OverServers are those for jobs whose NATS is a cluster of several servers.
var OverServers = []Kind{Kill, Stop, NATS, NATS}

// Fault is one thing that is done.
type Fault struct {
	Kind   Kind
	Worker int           // of those that are at work the first, second, ..., and the first again behind the last; 0: none
	After  time.Duration // since all faults before it are healed; of the first, since the job works
	For    time.Duration // until it is healed; a kill is healed when a worker is back

	// Over: it does not wait until the fault before it is healed. After is since that has begun.
	Over bool
}

func (f Fault) String() string {
	s := fmt.Sprintf("%v later %s", f.After, f.Kind)
	if f.Over {
		s = fmt.Sprintf("%v into that %s", f.After, f.Kind)
	}
	if f.Worker > 0 {
		s += fmt.Sprint(" worker ", f.Worker)
	}
	if f.For > 0 {
		s += fmt.Sprintf(" for %v", f.For)
	}
	return s
}

// Schedule is what is done to a job.
type Schedule struct {
	Seed     uint64
	Plane    string // what data goes over, as the flag -plane says it
	Slots    int    // for each worker
	Standbys int    // of each slot
	Large    string // as the flag -epoch-size says it: what ends an epoch before its time; "": what is usual
	Faults   []Fault
}

func (s Schedule) String() string {
	var faults []string
	for _, f := range s.Faults {
		faults = append(faults, f.String())
	}
	job := fmt.Sprintf("seed %d, plane %s", s.Seed, s.Plane)
	if s.Slots > 1 {
		job += fmt.Sprintf(", %d slots a worker", s.Slots)
	}
	if s.Standbys > 0 {
		job += ", with standbys"
	}
	if s.Large != "" {
		job += ", epochs of " + s.Large
	}
	return job + ": " + strings.Join(faults, "; ")
}

// Lasts is how long the schedule takes, but for kills, which are healed when they are.
func (s Schedule) Lasts() (d time.Duration) {
	for _, f := range s.Faults {
		d += f.After + f.For
	}
	return d
}

// submitsAgain reports that the job's first process is killed.
func (s Schedule) submitsAgain() bool {
	return slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Kind == Lead })
}

var planes = [...]string{"nats", "direct", "mesh", "log"}

// larges are such that the epochs of one job in three end by their size.
var larges = [...]string{"", "", "2KiB"}

// Plan is the schedule of a seed, one fault at a time: the same for the same arguments, in
// every process.
func Plan(seed uint64, workers int, kinds []Kind) Schedule {
	r := rand.New(rand.NewPCG(seed, 7))
	s := Schedule{Seed: seed, Plane: planes[seed%2], Slots: 1, Large: larges[seed%uint64(len(larges))]}
	for range 1 + r.IntN(3) {
		s.Faults = append(s.Faults, drawn(r, workers, kinds))
	}
	return s
}

// PlanOver is another schedule of a seed, with faults that meet others: one or two times
// there is a fault, and over it there are one or two more, a kill among them. At times it
// is a kill of all workers.
func PlanOver(seed uint64, workers int, kinds []Kind) Schedule {
	r := rand.New(rand.NewPCG(seed, 11))
	s := Schedule{Seed: seed, Plane: planes[seed%uint64(len(planes))], Slots: 1 + r.IntN(2), Standbys: r.IntN(3) / 2, Large: larges[seed%uint64(len(larges))]}
	for range 1 + r.IntN(2) {
		if r.IntN(6) == 0 {
			s.Faults = append(s.Faults, all(r, workers)...)
			continue
		}
		first := len(s.Faults)
		s.Faults = append(s.Faults, drawn(r, workers, kinds))
		for range 1 + r.IntN(2) {
			f := over(r, drawn(r, workers, kinds))
			if before := s.Faults[len(s.Faults)-1]; f.Worker == before.Worker && f.Worker > 0 && r.IntN(4) > 0 {
				f.Worker = 1 + f.Worker%workers
			}
			s.Faults = append(s.Faults, f)
		}
		if faults := s.Faults[first:]; !slices.ContainsFunc(faults, func(f Fault) bool { return f.Kind == Kill }) {
			last := &faults[len(faults)-1]
			*last = Fault{Kind: Kill, Worker: 1 + r.IntN(workers), After: last.After, Over: true}
		}
	}
	return s
}

// all is a kill of all workers, at once or in short order.
func all(r *rand.Rand, workers int) (list []Fault) {
	for range workers {
		list = append(list, over(r, Fault{Kind: Kill, Worker: 1}))
	}
	list[0].After, list[0].Over = ms(r, 10, 900), false
	return list
}

// over lets a fault come over the one before it: at the same moment, while slots of who was
// hit are taken over, or later.
func over(r *rand.Rand, f Fault) Fault {
	f.Over = true
	f.After = [...]time.Duration{0, ms(r, 1, 100), ms(r, 100, 600)}[r.IntN(3)]
	return f
}

// drawn is a fault.
func drawn(r *rand.Rand, workers int, kinds []Kind) Fault {
	f := Fault{Kind: kinds[r.IntN(len(kinds))], Worker: 1 + r.IntN(workers), After: ms(r, 10, 900)}
	switch f.Kind {
	case Stop, Cut, Hold:
		f.For = ms(r, 20, 1500)
		if r.IntN(6) == 0 {
			f.For = ms(r, 3200, 4500) // longer than the job waits for a worker: it is taken for dead, and comes back
		}
	case NATS:
		f.Worker, f.For = 0, ms(r, 1, 1000)
	case Lead:
		f.Worker, f.For = 0, ms(r, 1, 1500)
		if r.IntN(3) == 0 {
			f.For = ms(r, 4000, 6000) // a worker leads meanwhile
		}
	}
	return f
}

// ms is a time between two, in whole milliseconds.
func ms(r *rand.Rand, least, most int) time.Duration {
	return time.Duration(least+r.IntN(most-least)) * time.Millisecond
}
