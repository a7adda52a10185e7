package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/statelog"
)

// OpenStore opens the store under test in the folder of an environment.
type OpenStore func(e Env) (commit.Store, error)

// Env is what a run gives the store.
type Env struct {
	FS    statelog.FS
	Bases int64            // how many bytes of changes may lie behind a base before the next one
	Wait  func() error     // to be called, again and again, while the disk is full; it fails when the process is to end
	Warn  func(why string) // to be called when something is found damaged
}

// Result is how a run ended.
type Result struct {
	Err     error  // what the oracle found; nil: nothing
	Hash    uint64 // of all that happened, in order
	Refused bool   // behind a flipped byte the store could not be opened: a good end, too
	Count   Counters
}

// stepsMax is when a run counts as one that never ends.
func (p *Plan) stepsMax() int {
	n := 20000
	for _, elements := range p.Splits {
		n += 200 * elements
	}
	return n
}

// sim is one run.
type sim struct {
	plan  Plan
	store OpenStore
	r     *rand.Rand
	disk  *Disk
	out   *outside
	orc   *oracle
	trace func(string) // nil: none
	hash  uint64
	steps int

	stepsMax int
	count    Counters
	seen     [Points]int
	fired    []*[Points]int // by fault: what was seen when it happened; nil: it has not

	lanes    int // of the next process
	opening  bool
	inc      *incarnation
	within   *persist // the Commit whose code runs; nil: other code does
	dying    bool     // a crash is under way: nothing more has an effect
	failing  bool     // user code has failed, or the store
	exiting  bool     // the process ends behind that
	refused  int      // epochs, in this life
	flips    int
	aside    bool // rows are read while an epoch is committed
	slow     int  // so many steps the next sync lasts
	ioFailed bool // the disk has refused something in this life
}

// crash is what a fault that ends the process panics with.
type crash struct{ f Fault }

// abandoned is what ends a Commit of a process that is no more.
type abandoned struct{}

// endless is what a run that never ends panics with.
type endless struct{}

// Run runs a plan against a store. trace is told each event in words, or nil.
func Run(p Plan, open OpenStore, trace func(string)) Result {
	s := &sim{plan: p, store: open, r: rand.New(rand.NewPCG(p.Seed, 2)), disk: NewDisk(), out: &outside{}, orc: newOracle(p), trace: trace, lanes: p.Lanes, hash: 14695981039346656037}
	s.disk.Before = s.beforeIO
	s.stepsMax = p.stepsMax()
	s.fired = make([]*[Points]int, len(p.Faults))
	refused := false
	for {
		again, err := s.life()
		if err != nil {
			if s.flips > 0 && errors.Is(err, errOpen) {
				refused = true
				s.orc.refusedToOpen(err, s.disk.sizes())
				s.event(evUnopened, 0, 0)
			} else {
				s.orc.wrong("%w", err)
			}
		}
		if !again || s.orc.err != nil {
			break
		}
	}
	if s.orc.err == nil && !refused {
		s.orc.judge(s.out)
	}
	if refused {
		s.count.Unopened++
	}
	return Result{Err: s.orc.err, Hash: s.hash, Refused: refused, Count: s.count}
}

// errOpen is wrapped by errors of opening the store.
var errOpen = errors.New("open the store")

// life is one process. again says that another one has to follow.
func (s *sim) life() (again bool, err error) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case crash:
			again = true
			s.crashed(x.f)
		case endless:
			err = fmt.Errorf("the run does not end: %d steps", s.steps)
		default:
			err = fmt.Errorf("panic: %v", x)
		}
		s.inc = nil
	}()
	s.ioFailed, s.failing, s.exiting, s.refused = false, false, false, 0
	s.opening = true
	store, err := s.store(Env{s.disk, s.plan.Bases, s.wait, s.warn})
	s.opening = false
	if err != nil {
		if s.ioFailed { // the process ends, and someone starts another
			s.disk.Kill()
			return true, nil
		}
		return false, fmt.Errorf("%w: %w", errOpen, err)
	}
	for {
		if s.orc.err != nil {
			return false, nil
		}
		end, err := s.incarnate(store)
		if err != nil && s.ioFailed { // a store may give up behind a failed disk
			s.disk.Kill()
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if end == commit.Done {
			return false, store.Close()
		}
		if s.exiting {
			s.event(evExit, 0, 0)
			s.count.Exits++
			err := store.Close()
			s.disk.Kill()
			s.orc.crashed(nil)
			return true, err
		}
	}
}

// incarnate opens lanes and runs them to their end.
func (s *sim) incarnate(store commit.Store) (end commit.Decision, err error) {
	s.failing = false
	inc, err := s.openLanes(store)
	s.inc = inc
	if err != nil {
		return commit.Nothing, err
	}
	if last := store.Last(); last != nil && last.Ended && s.plan.Direct {
		for _, l := range inc.lanes {
			l.obey(commit.Finish)
		}
		return commit.Done, nil
	}
	for inc.end == commit.Nothing && !s.failing && s.orc.err == nil {
		s.step()
	}
	if s.failing {
		s.event(evTorn, 0, 0)
	}
	inc.stop()
	return inc.end, nil
}

// step lets one of lanes, driver, store and clock do something.
func (s *sim) step() {
	s.tick()
	inc := s.inc
	switch {
	case inc.persist != nil:
		s.at(AheadStep)
	case inc.asked > 0 && inc.epoch != nil:
		s.at(Cutting)
	default:
		s.at(Running)
	}
	if s.failing {
		return
	}
	if s.r.IntN(s.plan.CutOdds) == 0 {
		if s.r.IntN(4) == 0 {
			inc.do(inc.cycle.CutWanted())
		} else {
			inc.do(inc.cycle.CutDue())
		}
	}
	if inc.persist != nil && inc.persist.aside && s.r.IntN(8) == 0 {
		inc.persist.aside = false
		inc.readAside()
	}
	n := len(inc.lanes) + 2
	first := s.r.IntN(n)
	for i := range n {
		switch a := (first + i) % n; {
		case a == n-1:
			if inc.step() {
				return
			}
		case a == n-2:
			if inc.persist != nil {
				inc.resume(true)
				return
			}
		case inc.lanes[a].step():
			return
		}
	}
}

// tick counts steps, so that nothing goes on for ever.
func (s *sim) tick() {
	if s.steps++; s.steps > s.stepsMax {
		panic(endless{})
	}
}

// at is a point: the plan may have a fault here.
func (s *sim) at(p Point) {
	s.seen[p]++
	for i, f := range s.plan.Faults {
		if f.At != p {
			continue
		}
		n := s.seen[p]
		if f.After > 0 {
			from := s.fired[f.After-1]
			if from == nil {
				continue
			}
			n -= from[p]
		}
		if f.N == n {
			seen := s.seen
			s.fired[i] = &seen
			s.fire(f)
		}
	}
}

func (s *sim) fire(f Fault) {
	s.count.Faults[f.Kind][f.At]++
	s.event(evFault, uint64(f.Kind), uint64(f.At))
	switch f.Kind {
	case PowerLoss, Kill, Flip:
		s.dying = true
		s.disk.Halt()
		panic(crash{f})
	case Failure:
		s.failing = s.inc != nil
		s.exiting = s.failing && f.Seed%3 == 0
	case DiskFull:
		s.disk.Full += 1 + int(f.Seed%6)
		if f.Seed>>8%4 == 0 {
			s.disk.Full += 60
		}
	case SlowSync:
		s.slow += 5 + int(f.Seed%60)
	case BadSync:
		s.disk.Bad = 1
	}
}

// crashed leaves of the process what the fault leaves.
func (s *sim) crashed(f Fault) {
	if s.inc != nil && s.inc.persist != nil {
		s.inc.persist.abandon()
	}
	s.within, s.dying, s.opening, s.aside, s.slow = nil, false, false, false, 0
	r := rand.New(rand.NewPCG(f.Seed, 3))
	s.disk.Interrupt(r)
	if f.Kind == Kill {
		s.disk.Kill()
	} else {
		s.disk.PowerLoss(r)
	}
	var damage *flip
	if f.Kind == Flip {
		if name, at := s.disk.Flip(r); name != "" {
			damage = &flip{name, at}
			s.flips++
			s.count.Flips++
			s.note("byte %d of %s is flipped", at, name)
		}
	}
	s.orc.crashed(damage)
	if f.Lanes > 0 {
		if f.Lanes != s.lanes {
			s.count.Rescaled++
		}
		s.lanes = f.Lanes
	}
}

// beforeIO is called before each call of the file system.
func (s *sim) beforeIO(op Op, name string) {
	if s.dying {
		return
	}
	s.tick()
	s.event(evIO, uint64(op), 0)
	s.note("  %v %s", op, name)
	switch {
	case s.opening:
		s.at(Opening)
	case s.aside && s.within == nil:
		if s.inc.persist != nil && s.r.IntN(2) == 0 {
			s.inc.advance()
		}
	case s.within != nil:
		if op == OpSync {
			s.at(Syncing)
		}
		s.at(Persisting)
		s.give()
		for ; s.slow > 0 && op == OpSync; s.slow-- {
			s.give()
		}
	}
	switch op {
	case OpWrite:
		s.ioFailed = s.ioFailed || s.disk.Full > 0
	case OpSync, OpSyncDir:
		s.ioFailed = s.ioFailed || s.disk.Bad > 0
	}
}

// give lets others go on while Commit waits.
func (s *sim) give() {
	p := s.within
	if !p.yield(struct{}{}) {
		panic(abandoned{})
	}
	s.within = p
}

// wait is what the store does while the disk is full.
func (s *sim) wait() error {
	if s.dying {
		return errDead
	}
	s.tick()
	s.count.Waits++
	if s.within != nil {
		s.give()
	}
	if s.exiting {
		s.count.WaitsOver++
		return errEnding
	}
	return nil
}

// errEnding is why nobody waits any longer for room.
var errEnding = errors.New("sim: the process is to end")

// warn takes what the store says about damage.
func (s *sim) warn(sentence string) {
	s.note("the store warns: %s", sentence)
	s.orc.warned = true
	if s.flips == 0 {
		s.orc.wrong("the store says, and nothing is damaged: %s", sentence)
	}
}

// judgeDisk holds the disk to a size that does not depend on how many epochs there were.
func (s *sim) judgeDisk() {
	bytes, files := s.disk.Size()
	s.orc.disk(bytes, files)
	s.note("the disk has %d bytes in %d files", bytes, files)
	s.count.BytesMax, s.count.FilesMax = max(s.count.BytesMax, bytes), max(s.count.FilesMax, files)
}
