package pipelinetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/runners/local"
)

// start is what a script's clock shows before its first step.
var start = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// Timeline is the steps of all scripts of one pipeline, in the order in which
// they were written, and the clock that they move. A test of [Run] has one of its
// own; make one to run a pipeline with scripts yourself: with [Timeline.Now] as
// the runner's clock and a snapshot after each bundle (local.Config.BundleEpochs: 1),
// for everything that a step causes is over when the snapshot after it is.
//
// It is derived from the positions of the scripts' readers, so that a run that
// goes back to a snapshot goes back in its scripts as well.
type Timeline struct {
	mu      sync.Mutex // guards all below
	each    bool
	scripts []*readerState
	steps   []step // sealed when the first reader opens
	sealed  bool
	acting  int          // the step that was taken since the last snapshot; -1: none
	crashes map[int]bool // behind which steps the run still has to crash
}

// ErrCrash is what a run ends with that crashed where a script said so. Whoever runs
// a pipeline with scripts by other means than [Run] runs it again, with the same
// state folder, until it ends otherwise.
var ErrCrash = errors.New("the run crashed, as its script says")

// step is one step of a timeline.
type step struct {
	owner int           // the script; -1: the end of all
	label Step          // what the user calls it
	clock time.Duration // how far it moves the clock
}

// readerState is how far one script's reader is.
type readerState struct {
	next  int // the first step, of any script, that it has not passed
	ended bool
}

// Step numbers the calls that made a timeline, from 0.
type Step int

// Never is the step of what has no step, as it came before the first.
const Never Step = -1

// NewTimeline makes an empty timeline.
func NewTimeline() *Timeline { return &Timeline{acting: -1} }

// EachAlone makes each element of what a script adds from here on a bundle of its own.
func (tl *Timeline) EachAlone() { tl.each = true }

// CrashEach lets the run crash once behind each step that is there by now, before the
// checkpoint that would hold it.
func (tl *Timeline) CrashEach() {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	for i := range tl.steps {
		tl.crashAt(i)
	}
}

func (tl *Timeline) crashAt(i int) {
	if tl.crashes == nil {
		tl.crashes = map[int]bool{}
	}
	tl.crashes[i] = true
}

// crash lets the run crash behind the last step.
func (tl *Timeline) crash() {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	if len(tl.steps) == 0 {
		panic("pipelinetest: a crash before the first step of a script: there is nothing that could be lost")
	}
	tl.crashAt(len(tl.steps) - 1)
}

// crashed reports, once, that the run is to crash behind step i.
func (tl *Timeline) crashed(i int) bool {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	now := tl.crashes[i]
	delete(tl.crashes, i)
	return now
}

// Now is what the clock shows. It begins at the year 2000 and moves by
// AdvanceClock only. It may be called from any goroutine.
func (tl *Timeline) Now() time.Time {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	at := start
	for i, s := range tl.steps {
		if s.clock > 0 && tl.scripts[s.owner].next > i {
			at = at.Add(s.clock)
		}
	}
	return at
}

// Step is the step taken last. It may be called from any goroutine.
func (tl *Timeline) Step() Step {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	last := 0
	for _, s := range tl.scripts {
		last = max(last, s.next)
	}
	if last == 0 {
		return Never
	}
	return tl.steps[last-1].label
}

// configure makes a run go by the timeline, if there are scripts on it.
func (tl *Timeline) configure(cfg local.Config) local.Config {
	if len(tl.scripts) > 0 {
		cfg.BundleEpochs, cfg.Now = 1, tl.Now
	}
	return cfg
}

// timeline makes a Timeline what a script can be made on.
func (tl *Timeline) timeline() *Timeline { return tl }

// join adds a script.
func (tl *Timeline) join() (owner int) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.scripts = append(tl.scripts, &readerState{})
	return len(tl.scripts) - 1
}

// add adds a step of owner and returns its index and label.
func (tl *Timeline) add(owner int, clock time.Duration) (i int, label Step) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	if tl.sealed {
		panic("pipelinetest: a step of a script that is being read already")
	}
	if n := len(tl.steps); n > 0 {
		label = tl.steps[n-1].label + 1
	}
	tl.steps = append(tl.steps, step{owner, label, clock})
	return len(tl.steps) - 1, label
}

// again adds a further part of the last step.
func (tl *Timeline) again(owner int) (i int) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.steps = append(tl.steps, step{owner: owner, label: tl.steps[len(tl.steps)-1].label})
	return len(tl.steps) - 1
}

// seal adds the end of all scripts that have no end of their own.
func (tl *Timeline) seal() {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	if tl.sealed {
		return
	}
	tl.sealed = true
	end := Step(0)
	if n := len(tl.steps); n > 0 {
		end = tl.steps[n-1].label + 1
	}
	tl.steps = append(tl.steps, step{owner: -1, label: end})
}

// open begins, or begins again, a script's reader behind the steps before next.
func (tl *Timeline) open(owner, next int) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	*tl.scripts[owner] = readerState{next: next}
	tl.acting = -1
}

// take asks for owner's next step, and reports whether it is its turn: all steps
// before it have been taken and are over.
func (tl *Timeline) take(owner int) (i int, ok bool) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	i = tl.nextOf(owner)
	for o, s := range tl.scripts {
		if !s.ended && tl.nextOf(o) < i {
			return 0, false
		}
	}
	if tl.acting >= 0 && tl.acting != i {
		return 0, false
	}
	tl.acting = i
	tl.scripts[owner].next = i + 1
	return i, true
}

// nextOf is the step that owner takes next.
func (tl *Timeline) nextOf(owner int) int {
	from := tl.scripts[owner].next
	i := slices.IndexFunc(tl.steps[from:], func(s step) bool { return s.owner == owner || s.owner < 0 })
	return from + i // there is one: the end
}

// end notes that owner has no further step.
func (tl *Timeline) end(owner int) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.scripts[owner].ended = true
}

// snapshot notes that the step which was taken is over, and returns owner's position.
func (tl *Timeline) snapshot(owner int) int {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.acting = -1
	return tl.scripts[owner].next
}
