package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Run runs g until its sources have ended, user code fails, or ctx ends. When it
// returns no goroutine of the run is left. The result is nil if the run did not begin.
func Run(ctx context.Context, g *graph.Graph, cfg Config) (*Result, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &slot{graph: g, cfg: cfg, plan: newPlan(g, cfg), store: cfg.Store, metrics: &graph.Metrics{}, roots: map[int]*rootSplits{}}
	if s.store == nil {
		s.store = commit.NewMemory()
	}
	s.pages, _ = s.store.(commit.Pages)
	if err := s.recover(); err != nil {
		return nil, err
	}
	if cfg.Store != nil {
		ctx = graph.Durable(ctx)
	}
	if cfg.epochs() {
		ctx = graph.Snapshots(ctx)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	defer s.cleanUp()
	defer s.refuseAsks()
	start := time.Now()
	ctx, grown := s.grow(ctx)
	err := s.run(ctx)
	grown()
	return &Result{Elapsed: time.Since(start), Stages: cfg.Observe.stats(), Metrics: s.metrics.Snapshot(), Epochs: s.epochs, Restarts: s.restarts, Paused: s.paused}, err
}

// slot is one run of one graph, through all its restarts. It is used by one
// goroutine, the caller of Run.
type slot struct {
	graph   *graph.Graph
	cfg     Config
	plan    *plan
	store   commit.Store
	pages   commit.Pages        // the store, if rows can be left there
	hint    int                 // for how many lanes sources are asked to split
	relaned bool                // the next epoch has to hold all rows of lanes: their number has changed
	asks    []Ask               // to be done at the next epoch
	roots   map[int]*rootSplits // by root stage; found once, so that restarts see the same
	metrics *graph.Metrics
	tempDir string

	epochs, restarts int
	paused           time.Duration
}

// prepare finds the splits of all sources and makes the folder for spilling.
func (s *slot) prepare(ctx context.Context) error {
	run := &graph.Run{Context: ctx, Nodes: s.graph.Nodes, Metrics: s.metrics}
	for _, st := range s.plan.stages {
		if !st.root() {
			continue
		}
		r, err := findSplits(st.nodes[0], run, s.hint, s.plan.at)
		if err != nil {
			return &graph.UserError{Node: st.nodes[0], Err: err}
		}
		if err := s.accountFor(st.nodes[0], r); err != nil {
			return err
		}
		s.roots[st.id] = r
	}
	if s.plan.spills == 0 {
		return nil
	}
	dir, err := os.MkdirTemp(s.cfg.TempDir, "millrace-*")
	if err != nil {
		return fmt.Errorf("make a folder for what outgrows memory: %w (set another one with -temp-dir)", err)
	}
	s.tempDir = dir
	return nil
}

// refuseAsks answers those who are waiting for an epoch that will not come.
func (s *slot) refuseAsks() {
	for _, a := range s.asks {
		a.Done(errEnded)
	}
}

func (s *slot) cleanUp() {
	if s.tempDir != "" {
		os.RemoveAll(s.tempDir)
	}
}

// run opens incarnations until one ends well or fails for good, or has to be opened by
// who can tell other slots.
func (s *slot) run(ctx context.Context) error {
	next := s.cfg.Replay
	for {
		before, began := s.epochs, time.Now()
		end, err := s.incarnate(ctx, next)
		switch {
		case err == nil && end == commit.Done:
			return nil
		case err == nil: // the cut is committed: go on from it, in fast mode
			next = next.over()
		case s.endsRun(err, next.Careful, ctx):
			if last, ok := errors.AsType[*lastError](err); ok {
				return last.err
			}
			return err
		case s.cfg.Shuffle != nil: // whose epochs are short
			next = next.failed(time.Since(began) > 2*next.For)
		default:
			next = next.failed(s.epochs > before)
		}
		if s.cfg.Shuffle != nil && s.cfg.OnError != Stop {
			return &Again{next, err}
		}
		s.restarts++
	}
}

// endsRun reports that a failure is for good.
func (s *slot) endsRun(err error, careful bool, parent context.Context) bool {
	_, last := errors.AsType[*lastError](err)
	return last || careful || s.cfg.OnError == Stop || parent.Err() != nil
}

// endsJob reports that after a failure nobody will go on from the last epoch: what
// sinks have not shown can go. Another process may, where epochs outlive this one.
func (s *slot) endsJob(err error, careful bool, parent context.Context) bool {
	return s.cfg.Store == nil && s.endsRun(err, careful, parent)
}

// lastError is a failure to commit or finish a sink. The snapshot is taken by
// then, and other sinks have shown what belongs to it: to go on from it would lose
// what this sink has not shown, to go back would show the others' twice. So it
// ends the run, whatever the policy.
type lastError struct{ err error }

func (e *lastError) Error() string { return e.err.Error() }

// incarnation is the lanes between two openings.
type incarnation struct {
	slot   *slot
	cfg    *Config
	plan   *plan
	run    *graph.Run
	ctx    context.Context
	cancel context.CancelCauseFunc

	mover  Mover               // the shuffle, if key groups can move; or nil
	told   []Mark              // by the incarnation before, where there is a mover
	turned chan map[int][]byte // by lanes: the state that they have taken out

	lanes        []*lane
	queues       map[*input][][]*queue // by sender and receiver; nil where none is
	roundsPerCut int

	asked      atomic.Int64 // the newest cut asked for
	epoch      commit.Epoch // of the newest cut asked for, to write in; nil in a run without epochs
	anew       graph.Anew   // what is to be written in it beside what has changed
	committing atomic.Int64 // the newest cut whose sinks are to commit while lanes run on
	lettersEnd atomic.Bool  // nothing can fail any more
	prepares   atomic.Bool  // sinks that wait for cuts prepare at the newest cut asked for
	unshown    atomic.Bool  // when that cut was asked for, some were prepared; or they were given something at it
	shows      atomic.Int64 // how often they were told to show what they have prepared
	finish     atomic.Bool  // they have shown everything
	held       atomic.Int64 // bytes in front of them
	left       atomic.Bool  // some sink was not given all when it prepared last
	up         chan report
	exits      chan error
}

// report is what a lane tells the coordinator.
type report struct {
	lane      int
	kind      reportKind
	positions map[int]map[int][]byte // by root stage and split, of open readers
	times     []commit.Time
}

type reportKind uint8

const (
	cutWanted reportKind = iota
	coreFinished
	laneFinished
	reported
	committed
	laneEnded
	shown
)

// tell reports to the coordinator.
func (inc *incarnation) tell(r report) {
	select {
	case inc.up <- r:
	case <-inc.ctx.Done():
	}
}

// incarnate opens all lanes from the snapshot and runs them to the end, to a
// restart, or to a failure.
func (s *slot) incarnate(parent context.Context, replay Replay) (commit.Decision, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	n := s.cfg.Lanes
	inc := &incarnation{slot: s, cfg: &s.cfg, plan: s.plan, ctx: ctx, cancel: cancel, queues: map[*input][][]*queue{},
		roundsPerCut: s.cfg.EpochBundles, up: make(chan report, 4*n), exits: make(chan error, n), turned: make(chan map[int][]byte, n)}
	before, careful := s.store.Last(), replay.Careful
	inc.run = s.newRun(ctx, careful)
	inc.run.Cancel = cancel
	inc.makeQueues()
	inc.makeLanes()
	if groups, mover := s.groups(); mover != nil {
		inc.mover, inc.told = mover, groups.Marks
		inc.follow(groups)
	}
	if err := inc.openLanes(); err != nil {
		inc.shut(true, s.endsJob(err, careful, parent), false)
		return commit.Nothing, err
	}
	if err := inc.openShuffle(); err != nil {
		inc.shut(true, s.endsJob(err, careful, parent), false)
		return commit.Nothing, err
	}
	var wg sync.WaitGroup
	for _, l := range inc.lanes {
		wg.Go(func() { inc.exits <- l.run(ctx) })
	}
	c := &commit.Cycle{Lanes: n, Ahead: s.cfg.Ahead}
	every := s.cfg.Epoch
	d := &driver{inc: inc, c: c, persisted: make(chan error, 1)}
	switch {
	case careful && s.cfg.Shuffle != nil: // cuts are asked for, often
		d.restartAt = time.Now().Add(replay.For)
	case careful:
		c.RestartAt = 1
		every = replay.For
	case s.cfg.RestartEvery > 0:
		c.RestartAt = s.cfg.RestartEvery
	}
	if s.cfg.EpochBundles > 0 {
		every = 0
	}
	err := d.drive(every)
	wg.Wait()
	owed := d.settle() // the sinks' commits
	final := err != nil && s.endsJob(err, careful, parent)
	if e := inc.shut(err != nil || d.end != commit.Done, final, owed); e != nil && (err == nil || owed) {
		err = e
	}
	if s.relaned && s.store.Last() != before {
		s.relaned = false
	}
	return d.end, err
}

func (s *slot) newRun(ctx context.Context, careful bool) *graph.Run {
	n := s.cfg.Lanes
	run := &graph.Run{
		Context: ctx, Clock: s.cfg.clock(), Aligned: &graph.Alignments{}, Nodes: s.graph.Nodes, Epochs: s.cfg.epochs(), Careful: careful, Slots: s.cfg.Slots, Owner: s.plan.at.owners(), Here: s.plan.at.owners(), TempDir: s.tempDir,
		MemoryBudget: s.cfg.MemoryBudget / int64(n*max(s.plan.spills, 1)), Retries: s.cfg.Retries,
		Park: s.cfg.OnError == Park, Metrics: s.metrics, Letters: &graph.Letters{}, Views: make([]graph.ViewSlot, s.graph.Views),
	}
	if s.cfg.OnError == DeadLetter || s.cfg.OnError == Park {
		failed := s.metrics.NewCell(graph.CounterKind, "", "deadLetters")
		var mu sync.Mutex // guards failed: lanes share it
		run.OnFailure = func(c *graph.Ctx, f *graph.Failure) bool {
			if s.plan.stageOf[f.Node].letter {
				return false // what handles dead letters must not make more of them
			}
			mu.Lock()
			failed.Add(1)
			mu.Unlock()
			run.Letters.Put(f)
			return true
		}
	}
	return run
}

func (inc *incarnation) makeQueues() {
	n := inc.cfg.Lanes
	for _, st := range inc.plan.stages {
		for _, in := range st.inputs {
			if !in.queue {
				continue
			}
			q := make([][]*queue, n)
			for from := range q {
				q[from] = make([]*queue, n)
				for _, to := range in.receivers(from, inc.plan.at) {
					q[from][to] = &queue{make(chan msg, inc.cfg.Queue), make(chan graph.Batch, inc.cfg.Queue+2)}
				}
			}
			inc.queues[in] = q
		}
	}
}

func (inc *incarnation) makeLanes() {
	n, at := inc.cfg.Lanes, inc.plan.at
	obs := &observed{stages: make([]stageCounters, len(inc.plan.stages)), lanes: n, plan: inc.plan, poke: inc.pokeAll, over: inc.ctx.Done()}
	pools := map[int]*lockedPool{}
	base := at.all() // smaller numbers are those of sending lanes: see graph.Ctx.Split
	for i, st := range inc.plan.stages {
		obs.stages[i] = stageCounters{name: st.nodes[0].Name, root: st.root() && !st.letter, lanes: make([]laneCounters, n)}
		if st.root() {
			r := inc.slot.roots[i]
			obs.stages[i].size = r.size
			pools[i] = r.pool(n, inc.slot.saved(st.nodes[0].Name, r), base, inc.pokeAll)
			base += splitsMost
		}
	}
	for id := range n {
		l := &lane{inc: inc, id: id, progress: newProgress(inc.plan, id), wake: make(chan struct{}, 1), ctl: make(chan commit.Decision, 1), turns: make(chan *turning, 1),
			landings: inc.land(id), quantum: 1024, timer: time.NewTimer(time.Hour),
			c: &graph.Ctx{TS: window.MinTime, WM: window.MinTime, Win: window.Global, Lane: at.first() + id, Lanes: at.all(), Run: inc.run}}
		if inc.cfg.EpochBundles > 0 {
			l.quantum = 3 // cuts by count are for tests: let there be many
		}
		for i, st := range inc.plan.stages {
			ls := &laneStage{stage: st, pool: pools[i], counts: &obs.stages[i].lanes[id]}
			for _, in := range st.outs {
				var t []*queue
				if in.queue {
					t = inc.queues[in][id]
				}
				ls.targets = append(ls.targets, t)
			}
			for _, in := range st.inputs {
				var src []source
				if in.queue {
					for _, from := range in.senders(id, at) {
						src = append(src, source{from, inc.queues[in][from][id]})
					}
				}
				ls.sources = append(ls.sources, src)
			}
			l.stages = append(l.stages, ls)
		}
		for _, st := range l.stages {
			for _, root := range st.roots {
				if st.stage.clock {
					l.stages[root.id].clocks = append(l.stages[root.id].clocks, st)
				}
			}
		}
		l.c.Wake, l.c.Now = l.poke, inc.run.Clock()
		inc.lanes = append(inc.lanes, l)
	}
	inc.cfg.Observe.state.Store(obs)
}

// openLanes opens all lanes' operators, side by side: setup of user code may take
// a while.
func (inc *incarnation) openLanes() error {
	errs := make([]error, len(inc.lanes))
	var wg sync.WaitGroup
	for i, l := range inc.lanes {
		wg.Go(func() { errs[i] = l.open() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
