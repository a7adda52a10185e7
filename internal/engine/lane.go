package engine

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

const (
	linger     = time.Millisecond // most that begun batches and watermarks wait for company
	idlePause  = time.Millisecond // first wait for readers that have nothing; doubled up to
	idlePauses = 10 * time.Millisecond
)

// msg is what a queue carries: a batch, a watermark, or a barrier.
type msg struct {
	batch   graph.Batch
	wm      int64
	barrier int // > 0: a barrier
	ended   int // > 0: the split of the number before it has ended
}

func (m msg) none() bool { return m == msg{} }

// queue carries one input from one lane to another; free takes emptied batches back.
type queue struct {
	c    chan msg
	free chan graph.Batch
}

// lane is one goroutine that runs every stage for its share. All fields are its
// own, but wake and the queues' ends.
type lane struct {
	inc       *incarnation
	id        int
	c         *graph.Ctx
	stages    []*laneStage
	progress  *progress
	waker     waker
	wake      chan struct{}        // cap 1: something was sent to this lane
	ctl       chan commit.Decision // cap 1: from the coordinator, while a cut is open
	cutN      int                  // the newest cut this lane has begun
	committed int                  // the newest cut whose sinks it has committed behind it
	shown     int64                // as inc.shows
	rounds    int                  // since the last cut, for cuts by count
	quantum   int                  // most elements a reader is asked for at a time
	idle      time.Duration
	sent      time.Time // when begun batches and clocks were last sent
	blocked   int64     // ms for which this lane has waited for room in queues: no time for a source to be idle
	timer     *time.Timer

	landings []landing // of what other slots send, by the inputs' numbers
	parks    *parks    // what waits for key groups; nil: nothing does
	frozen   bool      // watermarks are not told over edges between slots
	late     bool      // state has come from another slot, of which something may be due
	turns    chan *turning
	news     bool // for other slots since the last cut: a watermark of this lane has risen

	crowders []graph.Crowder // operators that may want a cut early
	crowded  bool            // one of them does: sources wait until what has changed is in the store

	toldCore, toldAll bool // reported to the coordinator
	answered          *askForViews
}

// laneStage is a stage on a lane.
type laneStage struct {
	*stage
	ops     []liveOp
	clock   graph.Clock
	deliver []func(graph.Batch)
	targets [][]*queue // by outs and receiving lane: the queues to send in; nil: none
	flushes []func()
	sources [][]source // by inputs: the queues to hear from; nil: by a call
	readers []*openReader
	clocks  []*laneStage // of a root: those that make a watermark of its elements
	pool    *lockedPool
	looked  int64       // when it was last looked whether readers may be read, in the lane's free time
	ending  map[int]int // splits that have ended: over how many inputs they have said so, until all have and nothing of theirs is held
	counts  *laneCounters

	before   []int   // by nodes: the operator whose output watermark the node gets; -1: the stage's own
	governs  []int   // by outs: the operator whose output watermark it has; -1: the stage's own
	sentWM   []int64 // by outs: the newest watermark that was passed on
	sentIdle []bool  // by outs: that the others were told not to wait
	watched  bool    // has operators that act or let go between watermarks
	finished bool    // the input has ended, and nothing is held any more
}

// source is a queue from another lane.
type source struct {
	from int
	q    *queue
}

// liveOp is an operator's live part, asked once for what it can do.
//
// Invariant: out <= in, and neither falls (M13).
type liveOp struct {
	node    *graph.Node
	live    any
	parent  int   // among the stage's ops: the nearest one before it; -1: none
	in, out int64 // watermarks of its input and its output

	holder    graph.Holder
	late      graph.SplitHolder
	alarmer   graph.Alarmer
	wm        graph.Watermarker
	inWM      graph.InputWatermarker
	bundler   graph.Bundler
	flusher   graph.Flusher
	keeper    graph.Keeper
	committer graph.Committer // nil where there is an outbox
	outbox    *outbox         // of a sink that waits for cuts
}

// openReader is a split that this lane reads.
type openReader struct {
	r     graph.Reader
	split int // in the pool
	state graph.ReadState
	since int64 // when it last brought something, in the lane's free time
	count int64 // how many elements it had brought then
	read  int64 // its Progress, as it was added to the lane's
	most  int   // elements it is asked for at a time: fewer where they are slow to handle
}

func newLiveOp(n *graph.Node, live any) liveOp {
	o := liveOp{node: n, live: live, parent: -1, in: window.MinTime, out: window.MinTime}
	o.holder, _ = live.(graph.Holder)
	o.late, _ = live.(graph.SplitHolder)
	o.alarmer, _ = live.(graph.Alarmer)
	o.wm, _ = live.(graph.Watermarker)
	o.inWM, _ = live.(graph.InputWatermarker)
	o.bundler, _ = live.(graph.Bundler)
	o.flusher, _ = live.(graph.Flusher)
	o.keeper, _ = live.(graph.Keeper)
	o.committer, _ = live.(graph.Committer)
	return o
}

// run works until the coordinator ends it or something fails.
func (l *lane) run(ctx context.Context) (err error) {
	defer l.recovered(&err)
	l.goOn()
	for _, st := range l.stages {
		l.pass(st) // what was restored will not rise to where it is
	}
	if err := l.openLetters(); err != nil {
		return err
	}
	for {
		if err := l.commitBehind(); err != nil {
			return err
		}
		if end, err := l.showBehind(); end || err != nil {
			return err
		}
		busy, err := l.round()
		if err == nil && l.wantsCut() {
			err = l.awaitCut(ctx)
		}
		if err != nil {
			return err
		}
		if n := int(l.inc.asked.Load()); n > l.cutN {
			end, err := l.cut(ctx, n)
			if end || err != nil {
				return err
			}
			continue
		}
		if busy {
			l.idle = 0
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue
		}
		l.flushAll()
		if err := l.sleep(ctx); err != nil {
			return err
		}
	}
}

// round drains the queues and reads a quantum of each source, and reports
// whether there was anything to do.
func (l *lane) round() (busy bool, err error) {
	l.c.Now = l.inc.run.Clock()
	l.answer()
	if l.frozen {
		l.thaw()
	}
	if l.late {
		l.catchUp()
	}
	busy = l.drain(0)
	if l.inc.cfg.Shuffle != nil {
		more, err := l.takeIn()
		if err != nil {
			return false, err
		}
		busy = busy || more
	}
	for _, st := range l.stages {
		if !st.root() || l.progress.ended(st.id) {
			continue
		}
		may := !l.stopped() && l.room(st)
		if st.look(l.freeTime(), may); !may {
			continue
		}
		more, err := l.poll(st)
		if err != nil {
			return false, err
		}
		busy = busy || more
	}
	l.finishBundles()
	l.endSplits()
	l.clocks(!busy)
	if busy || l.news {
		l.rounds++
	}
	l.tellFinished()
	l.tellCrowded()
	return busy, l.c.Err()
}

// tellCrowded asks for a cut when an operator has more in memory than it may: what has
// changed can be let go only when it is in the store. Until then nothing is read.
func (l *lane) tellCrowded() {
	if l.crowded || l.toldAll || !l.anyCrowded() {
		return
	}
	l.crowded = true
	l.inc.tell(report{lane: l.id, kind: cutWanted})
}

func (l *lane) anyCrowded() bool {
	return slices.ContainsFunc(l.crowders, graph.Crowder.Crowded)
}

// stopped reports that sources are not to be read for now.
func (l *lane) stopped() bool {
	return l.crowded || l.inc.held.Load() > l.inc.cfg.HeldMemory || l.inc.cfg.Stopped != nil && l.inc.cfg.Stopped.Load()
}

func (l *lane) finishBundles() {
	for _, st := range l.stages {
		for _, o := range st.ops {
			if o.bundler != nil {
				l.c.Op = o.node.ID
				o.bundler.FinishBundle(l.c)
			}
		}
	}
}

func (l *lane) flushAll() {
	for _, st := range l.stages {
		for _, f := range st.flushes {
			f()
		}
	}
}

// drain handles what waits in the queues into stages >= least, the stage
// furthest downstream first, and reports whether there was any.
func (l *lane) drain(least int) (any bool) {
	for i := len(l.stages) - 1; i >= least; i-- {
		st := l.stages[i]
		for k, in := range st.inputs {
			for _, src := range st.sources[k] {
				from, q := src.from, src.q
				for range l.inc.cfg.Queue { // not for ever: sources want their turn, too
					var m msg
					select {
					case m = <-q.c:
					default:
					}
					if m.none() {
						break
					}
					any = true
					if !l.freeRunning() {
						l.c.Now = l.inc.run.Clock() // not before that of whoever sent this
					}
					l.handle(st, in, from, q, m)
					if l.c.Err() != nil {
						return true
					}
				}
			}
		}
	}
	return any
}

// handle takes one message in.
func (l *lane) handle(st *laneStage, in *input, from int, q *queue, m msg) {
	switch {
	case m.batch != nil:
		st.counts.elements.Add(int64(m.batch.Len()))
		sender := from - l.id + l.c.Lane // of the job's lanes, as those of other slots are
		if l.parks != nil && in.shuffled {
			l.park(in, sender, m.batch)
		}
		if m.batch.Len() > 0 {
			l.deliverFrom(in, sender, m.batch)
		}
		select {
		case q.free <- m.batch:
		default:
		}
	case m.barrier > 0:
		l.noteBarrier(st, in.index, from, m.barrier)
	case m.ended > 0:
		l.splitEnded(st, m.ended-1)
	default:
		l.note(st, in.index, from, unpackWM(m.wm))
	}
}

// sleep waits until something was sent to this lane, or a reader may have
// something again.
func (l *lane) sleep(ctx context.Context) error {
	if l.waker.lookAgain() {
		return nil
	}
	var again <-chan time.Time
	if pause, ok := l.pause(); ok {
		l.timer.Reset(pause)
		again = l.timer.C
	}
	select {
	case <-l.wake:
	case <-again:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// tellFinished reports once that the lane's stages have ended.
func (l *lane) tellFinished() {
	if l.toldAll {
		return
	}
	core, all := true, true
	for _, st := range l.stages {
		if !st.finished {
			all = false
			core = core && st.letter
		}
	}
	if core && !l.toldCore {
		l.toldCore = true
		l.inc.tell(report{lane: l.id, kind: coreFinished})
	}
	if all {
		l.toldAll = true
		l.inc.tell(report{lane: l.id, kind: laneFinished})
	}
}

// pause is the longest that the lane may sleep unless it is woken: until readers
// may have something again, or an alarm rings.
func (l *lane) pause() (d time.Duration, ok bool) {
	alarm := int64(math.MaxInt64)
	for _, st := range l.stages {
		if len(st.readers) > 0 {
			ok = true
		}
		if st.watched {
			alarm = min(alarm, st.alarm())
		}
	}
	if ok {
		l.idle = min(max(2*l.idle, idlePause), idlePauses)
		d = l.idle
	}
	if alarm != math.MaxInt64 {
		due := time.Duration(max(alarm+1-l.inc.run.Clock(), 0)) * time.Millisecond
		if !ok || due < d {
			d, ok = due, true
		}
	}
	return d, ok
}

// alarm is when the next of the stage's operators wants to act by the clock.
func (st *laneStage) alarm() int64 {
	at := int64(math.MaxInt64)
	for i := range st.ops {
		if a := st.ops[i].alarmer; a != nil {
			at = min(at, a.Alarm())
		}
	}
	return at
}
