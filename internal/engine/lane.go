package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

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
}

// queue carries one input from one lane to another; free takes emptied batches back.
type queue struct {
	c    chan msg
	free chan graph.Batch
}

// lane is one goroutine that runs every stage for its share. All fields are its
// own, but wake and the queues' ends.
type lane struct {
	inc      *incarnation
	id       int
	c        *graph.Ctx
	stages   []*laneStage
	progress *progress
	waker    waker
	wake     chan struct{} // cap 1: something was sent to this lane
	ctl      chan decision // cap 1: from the coordinator, while a cut is open
	cutN     int           // the newest cut this lane has begun
	rounds   int           // since the last cut, for cuts by count
	quantum  int           // elements a reader is asked for at a time
	idle     time.Duration
	sent     time.Time // when begun batches and clocks were last sent
	timer    *time.Timer

	toldCore, toldAll bool // reported to the coordinator
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
	pool    *lockedPool
	counts  *laneCounters

	doneElements, doneRead int64 // of splits that have ended
}

// source is a queue from another lane.
type source struct {
	from int
	q    *queue
}

// liveOp is an operator's live part, asked once for what it can do.
type liveOp struct {
	node      *graph.Node
	live      any
	wm        graph.Watermarker
	inWM      graph.InputWatermarker
	bundler   graph.Bundler
	flusher   graph.Flusher
	keeper    graph.Keeper
	committer graph.Committer
}

// openReader is a split that this lane reads.
type openReader struct {
	r     graph.Reader
	split int // in the pool
	state graph.ReadState
}

func newLiveOp(n *graph.Node, live any) liveOp {
	o := liveOp{node: n, live: live}
	o.wm, _ = live.(graph.Watermarker)
	o.inWM, _ = live.(graph.InputWatermarker)
	o.bundler, _ = live.(graph.Bundler)
	o.flusher, _ = live.(graph.Flusher)
	o.keeper, _ = live.(graph.Keeper)
	o.committer, _ = live.(graph.Committer)
	return o
}

// open makes every operator of the lane, consumers before producers, so that
// each gets its outputs' receivers; then it loads state and starts them.
func (l *lane) open() (err error) {
	defer l.recovered(&err)
	ins := map[*graph.Node][]any{}
	for si := len(l.inc.plan.stages) - 1; si >= 0; si-- {
		st := l.stages[si]
		for i := len(st.nodes) - 1; i >= 0; i-- {
			n := st.nodes[i]
			outs := make([]any, len(n.Out))
			for o := range n.Out {
				outs[o] = l.output(st, n, o, ins)
			}
			l.c.Op = n.ID
			if n.Src != nil {
				st.pool.outs[l.id] = outs[0]
				continue
			}
			in, live := n.Op.Open(l.c, outs)
			ins[n] = in
			if live != nil {
				st.ops = append([]liveOp{newLiveOp(n, live)}, st.ops...)
			}
			if st.stage.clock && i == 0 {
				st.clock = live.(graph.Clock)
			}
		}
		for _, in := range st.inputs {
			var d func(graph.Batch)
			if in.queue && !in.in.Signal {
				d = l.edge(in).Receiver(l.c, ins[in.node][in.port])
			}
			st.deliver = append(st.deliver, d)
		}
	}
	if err := l.load(); err != nil {
		return err
	}
	for _, st := range l.stages {
		for _, o := range st.ops {
			if s, ok := o.live.(graph.Starter); ok {
				l.c.Op = o.node.ID
				if err := s.Start(l.c); err != nil {
					return &graph.UserError{Node: o.node, Err: fmt.Errorf("start: %w", err)}
				}
			}
		}
	}
	return l.restoreWatermarks()
}

// restoreWatermarks begins where the snapshot left off: a window that has been
// fired must not be open again, even for the first elements. What had ended
// ends again by itself.
func (l *lane) restoreWatermarks() error {
	for i, wm := range l.inc.slot.snapshot.watermarks[l.id] {
		if wm == window.MinTime || wm == window.MaxTime {
			continue
		}
		l.progress.stages[i].wm = wm
		for _, o := range l.stages[i].ops {
			if o.wm != nil {
				l.c.Op, l.c.WM = o.node.ID, wm
				o.wm.Advance(l.c, wm)
			}
		}
	}
	return l.c.Err()
}

// output is the receiver of one output: all its consumers, those on other lanes
// behind an edge.
func (l *lane) output(st *laneStage, n *graph.Node, out int, ins map[*graph.Node][]any) any {
	var rs []any
	for _, c := range l.inc.plan.consumers[graph.Ref{Node: n, Out: out}] {
		r := ins[c.node][c.port]
		if c.in != nil && c.in.queue {
			in, queues := c.in, l.queuesOf(st, c.in)
			recv, flush := l.edge(in).Sender(l.c, l.inc.run.Owner, func(to int, b graph.Batch) graph.Batch {
				return l.send(in, queues[to], to, msg{batch: b})
			})
			st.flushes = append(st.flushes, flush)
			r = recv
		}
		rs = append(rs, r)
	}
	return n.Out[out].Tee(rs)
}

func (l *lane) edge(in *input) graph.Edge {
	return in.in.Node.Out[in.in.Out].NewEdge(graph.EdgeConfig{Kind: in.in.Kind, Size: l.inc.cfg.Batch, Windows: in.in.Node.WinColumns})
}

// queuesOf is this lane's queues of one of st's outs, by receiving lane.
func (l *lane) queuesOf(st *laneStage, in *input) []*queue {
	for i, o := range st.outs {
		if o == in {
			return st.targets[i]
		}
	}
	panic("BUG: engine: an output without queues")
}

// load puts the rows of the snapshot back.
func (l *lane) load() error {
	keepers := map[string]graph.Keeper{}
	for _, st := range l.stages {
		for _, o := range st.ops {
			if o.keeper != nil {
				keepers[o.node.Name] = o.keeper
			}
		}
	}
	return l.inc.slot.snapshot.each(l.id, l.inc.run.Owner, func(node string, key, val []byte) error {
		k := keepers[node]
		if k == nil {
			return fmt.Errorf("restore %s: no transform of that name keeps state", node)
		}
		if err := k.Load(key, val); err != nil {
			return fmt.Errorf("restore %s: %w", node, err)
		}
		return nil
	})
}

// run works until the coordinator ends it or something fails.
func (l *lane) run(ctx context.Context) (err error) {
	defer l.recovered(&err)
	for {
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
	busy = l.drain(0)
	for _, st := range l.stages {
		if st.root() && !l.progress.ended(st.id) {
			more, err := l.poll(st)
			if err != nil {
				return false, err
			}
			busy = busy || more
		}
	}
	l.finishBundles()
	l.clocks(!busy)
	if busy {
		l.rounds++
	}
	l.tellFinished()
	return busy, l.c.Err()
}

// wantsCut reports that cuts are by count and this lane has done its rounds.
func (l *lane) wantsCut() bool {
	return l.inc.roundsPerCut > 0 && l.rounds >= l.inc.roundsPerCut
}

// awaitCut asks for a cut and reads nothing more until it comes, so that cuts by
// count are where they should be. What others send is taken in meanwhile.
func (l *lane) awaitCut(ctx context.Context) error {
	l.inc.tell(report{lane: l.id, kind: cutWanted})
	for int(l.inc.asked.Load()) <= l.cutN && !l.toldAll {
		if !l.drain(0) {
			l.flushAll()
			if err := l.sleep(ctx); err != nil {
				return err
			}
		}
		if l.c.Err() != nil {
			return l.c.Err()
		}
		l.tellFinished()
	}
	return nil
}

// poll reads a quantum of each of the root's open splits, opening the next one
// when there is none.
func (l *lane) poll(st *laneStage) (busy bool, err error) {
	if len(st.readers) == 0 {
		if err := l.openSplits(st); err != nil {
			return false, err
		}
		busy = len(st.readers) > 0
	}
	if st.letter && l.inc.lettersEnd.Load() {
		for _, r := range st.readers {
			if e, ok := r.r.(interface{ End() }); ok {
				e.End()
			}
		}
	}
	for i := 0; i < len(st.readers); {
		r := st.readers[i]
		l.c.Src, l.c.Split, l.c.WM = r.r, st.pool.base+r.split, window.MinTime
		state, err := r.r.Poll(l.c, l.quantum)
		if err != nil {
			return false, &graph.UserError{Node: st.nodes[0], Where: r.r.Where(), Err: err}
		}
		l.c.Src = nil
		st.count(r)
		r.state = state
		busy = busy || state == graph.More
		if l.c.Err() != nil {
			return false, nil
		}
		if state != graph.Done {
			i++
			continue
		}
		busy = true
		st.readers = slices.Delete(st.readers, i, i+1)
		if err := l.close(st, r); err != nil {
			return false, err
		}
	}
	if wm := l.sourceWatermark(st); wm > window.MinTime {
		l.note(st, 0, l.id, wm)
	}
	return busy, nil
}

// count publishes how far a reader is.
func (st *laneStage) count(r *openReader) {
	if c, ok := r.r.(interface{ Count() int64 }); ok {
		st.counts.elements.Store(st.doneElements + c.Count())
	}
	st.counts.read.Store(st.doneRead + r.r.Progress())
}

func (l *lane) openSplits(st *laneStage) error {
	for _, i := range st.pool.take(l.id) {
		l.c.Op = st.nodes[0].ID
		r, err := st.pool.open(l.c, i, st.pool.outs[l.id])
		if err != nil {
			return &graph.UserError{Node: st.nodes[0], Err: err}
		}
		st.readers = append(st.readers, &openReader{r: r, split: i})
	}
	return nil
}

// close ends a split.
func (l *lane) close(st *laneStage, r *openReader) error {
	st.pool.finish(r.split)
	st.doneElements, st.doneRead = st.counts.elements.Load(), st.counts.read.Load()
	for _, o := range l.stages {
		if o.clock == nil {
			continue
		}
		for _, root := range o.roots {
			if root == st.stage {
				o.clock.SplitDone(st.pool.base + r.split)
			}
		}
	}
	if err := r.r.Close(); err != nil {
		return &graph.UserError{Node: st.nodes[0], Err: err}
	}
	return nil
}

// sourceWatermark is the watermark of a root on this lane: the least of its open
// splits, MIN while others wait to be opened, MAX when all are done.
func (l *lane) sourceWatermark(st *laneStage) int64 {
	if len(st.readers) == 0 {
		if st.pool.waiting() > 0 {
			return window.MinTime
		}
		return window.MaxTime
	}
	low := int64(window.MaxTime - 1)
	for _, r := range st.readers {
		low = min(low, r.r.Watermark())
	}
	if st.pool.waiting() > 0 {
		return window.MinTime
	}
	return max(low, l.progress.stages[st.id].wm)
}

// clocks raises the stages that make their own watermark, and sends begun
// batches: at most every linger, or at once when the lane has nothing else to do.
func (l *lane) clocks(now bool) {
	if !now {
		if t := time.Now(); t.Sub(l.sent) < linger {
			return
		} else {
			l.sent = t
		}
	}
	for _, st := range l.stages {
		if st.clock == nil || l.progress.ended(st.id) || st.splitsWait(l) {
			continue
		}
		if wm, rises := l.progress.tick(st.id, st.clock.Watermark()); rises {
			l.rise(st, wm)
		}
	}
	l.flushAll()
}

// splitsWait reports that older elements may still come from splits that are not open.
func (st *laneStage) splitsWait(l *lane) bool {
	for _, r := range st.roots {
		if p := l.stages[r.id].pool; p.bounded() && p.waiting() > 0 {
			return true
		}
	}
	return false
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
					if m.batch == nil && m.barrier == 0 && m.wm == 0 {
						break
					}
					any = true
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
		l.c.WM, l.c.Split, l.c.Src = l.progress.stages[st.id].wm, from, nil
		st.deliver[in.index](m.batch)
		select {
		case q.free <- m.batch:
		default:
		}
	case m.barrier > 0:
		l.noteBarrier(st, in.index, from, m.barrier)
	default:
		l.note(st, in.index, from, unpackWM(m.wm))
	}
}

// A watermark travels with 1 added to what is positive or zero, so that a zero
// message is none.
func packWM(wm int64) int64 {
	if wm >= 0 {
		return wm + 1
	}
	return wm
}

func unpackWM(wm int64) int64 {
	if wm > 0 {
		return wm - 1
	}
	return wm
}

// note takes a sender's watermark in.
func (l *lane) note(st *laneStage, index, from int, wm int64) {
	inWM, inRose, stageWM, rises := l.progress.watermark(st.id, index, from, wm)
	if inRose && len(st.inputs) > 0 {
		for _, o := range st.ops {
			if o.inWM != nil && o.node == st.inputs[index].node {
				l.c.Op = o.node.ID
				o.inWM.InputAdvance(l.c, st.inputs[index].port, inWM)
			}
		}
	}
	if rises {
		l.rise(st, stageWM)
	}
}

// rise fires what the stage's new watermark makes due, then passes it on, behind
// what was fired.
func (l *lane) rise(st *laneStage, wm int64) {
	l.c.WM = wm
	for _, o := range st.ops {
		l.c.Op = o.node.ID
		if o.bundler != nil {
			o.bundler.FinishBundle(l.c)
		}
		if o.wm != nil {
			o.wm.Advance(l.c, wm)
		}
		if l.c.Err() != nil {
			return
		}
	}
	l.progress.raise(st.id, wm)
	if wm == window.MaxTime {
		st.counts.done.Store(true)
	}
	l.pass(st, msg{wm: packWM(wm)}, func(to *laneStage, in *input) { l.note(to, in.index, l.id, wm) })
}

// pass sends a watermark or barrier to all who follow st, behind its begun batches.
func (l *lane) pass(st *laneStage, m msg, called func(*laneStage, *input)) {
	for _, f := range st.flushes {
		f()
	}
	for i, in := range st.outs {
		if !in.queue {
			called(l.stages[in.to.id], in)
			continue
		}
		for to, q := range st.targets[i] {
			if q != nil {
				l.send(in, q, to, m)
			}
		}
	}
}

// noteBarrier takes a sender's barrier in.
func (l *lane) noteBarrier(st *laneStage, index, from, n int) {
	if !l.progress.barrier(st.id, index, from, n) {
		return
	}
	for _, o := range st.ops {
		l.c.Op = o.node.ID
		if o.bundler != nil {
			o.bundler.FinishBundle(l.c)
		}
		if o.flusher != nil {
			o.flusher.Flush(l.c)
		}
	}
	l.pass(st, msg{barrier: n}, func(to *laneStage, in *input) { l.noteBarrier(to, in.index, l.id, n) })
}

// send puts m into q. A lane that waits for room drains its own inputs into the
// stage it waits for and later ones, and no others. So an operator on the stack
// is never entered again, for the stack holds only stages before that one; and
// waiting is no circle: of all waiting lanes, the one at the last stage waits for
// a lane that drains this stage's queues.
func (l *lane) send(in *input, q *queue, to int, m msg) graph.Batch {
	select {
	case q.c <- m:
	default:
		l.sendSlow(in, q, m)
	}
	if to == l.id {
		l.waker.sentToSelf()
	} else {
		l.inc.lanes[to].poke()
	}
	select {
	case b := <-q.free:
		return b
	default:
		return nil
	}
}

func (l *lane) sendSlow(in *input, q *queue, m msg) {
	saved := *l.c
	for {
		select {
		case q.c <- m:
			l.c.Restore(&saved)
			return
		default:
		}
		if l.drain(in.to.id) {
			if l.c.Err() != nil {
				panic(graph.ErrStopped) // unwinds to the lane's loop; the run ends with the failure
			}
			continue
		}
		select {
		case q.c <- m:
			l.c.Restore(&saved)
			return
		case <-l.wake:
			l.waker.tokenTakenBelow()
		case <-l.inc.ctx.Done():
			panic(graph.ErrStopped)
		}
	}
}

func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// sleep waits until something was sent to this lane, or a reader may have
// something again.
func (l *lane) sleep(ctx context.Context) error {
	if l.waker.lookAgain() {
		return nil
	}
	var again <-chan time.Time
	for _, st := range l.stages {
		if len(st.readers) > 0 {
			l.idle = min(max(2*l.idle, idlePause), idlePauses)
			l.timer.Reset(l.idle)
			again = l.timer.C
			break
		}
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
		if !l.progress.ended(st.id) {
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

// cut runs cut n on this lane: barriers from the roots, drain until every stage
// has passed them, make sinks durable, encode what changed, report, and wait for
// the decision. Sources stand still meanwhile, so that no queue ever holds data
// of the next epoch.
func (l *lane) cut(ctx context.Context, n int) (end bool, err error) {
	l.cutN, l.rounds = n, 0
	for _, st := range l.stages {
		if st.root() {
			l.noteBarrier(st, 0, l.id, n)
		}
	}
	for !l.progress.allAligned(n) {
		if l.c.Err() != nil {
			return true, l.c.Err()
		}
		if !l.drain(0) {
			l.flushAll()
			if err := l.sleep(ctx); err != nil {
				return true, err
			}
		}
	}
	if l.c.Err() != nil {
		return true, l.c.Err()
	}
	l.tellFinished()
	r := report{lane: l.id, kind: reported}
	if err := l.committers(func(c graph.Committer) error { return c.Prepare(l.c) }); err != nil {
		return true, err
	}
	if l.inc.run.Epochs {
		l.encode(&r)
	}
	l.inc.tell(r)
	for {
		var d decision
		select {
		case d = <-l.ctl:
		case <-ctx.Done():
			return true, context.Cause(ctx)
		}
		switch d {
		case commit:
			if err := l.committers(func(c graph.Committer) error { return c.Commit(l.c) }); err != nil {
				return true, &lastError{err}
			}
			l.inc.tell(report{lane: l.id, kind: committed})
		case release:
			return false, nil
		case restart:
			return true, nil
		case finish:
			if err := l.committers(func(c graph.Committer) error { return c.Finish(l.c) }); err != nil {
				return true, &lastError{err}
			}
			l.inc.tell(report{lane: l.id, kind: laneEnded})
			return true, nil
		}
	}
}

// encode adds what has changed since the last cut to r.
func (l *lane) encode(r *report) {
	w := &changes{lane: l.id}
	r.positions = map[int]map[int][]byte{}
	for _, st := range l.stages {
		r.watermarks = append(r.watermarks, l.progress.stages[st.id].wm)
		for _, o := range st.ops {
			if o.keeper != nil {
				w.node = o.node.Name
				o.keeper.Delta(w)
			}
		}
		if len(st.readers) > 0 {
			at := map[int][]byte{}
			for _, x := range st.readers {
				at[x.split] = x.r.Position([]byte{})
			}
			r.positions[st.id] = at
		}
	}
	r.changes = w.list
}

func (l *lane) committers(f func(graph.Committer) error) error {
	for _, st := range l.stages {
		for _, o := range st.ops {
			if o.committer != nil {
				l.c.Op = o.node.ID
				if err := f(o.committer); err != nil {
					return &graph.UserError{Node: o.node, Err: err}
				}
			}
		}
	}
	return nil
}

// shut lets go of everything; abort says that nothing uncommitted may stay, final
// that nothing unfinished may.
func (l *lane) shut(abort, final bool) (err error) {
	for _, st := range l.stages {
		for _, r := range st.readers {
			l.guard(func() error { return l.blame(st.nodes[0], r.r.Close()) }, &err)
		}
		for _, o := range st.ops {
			if abort && o.committer != nil {
				l.guard(func() error { o.committer.Abort(final); return nil }, &err)
			}
			if c, ok := o.live.(graph.Closer); ok {
				l.c.Op = o.node.ID
				l.guard(func() error { return l.blame(o.node, c.Close(l.c)) }, &err)
			}
		}
	}
	return err
}

// blame says that err, if there is one, is of n's letting go.
func (l *lane) blame(n *graph.Node, err error) error {
	if err == nil {
		return nil
	}
	return &graph.UserError{Node: n, Err: fmt.Errorf("stop: %w", err)}
}

// guard calls f; its error or panic goes to err if nothing is there yet.
func (l *lane) guard(f func() error, err *error) {
	e := func() (e error) {
		defer l.recovered(&e)
		return f()
	}()
	if e != nil && *err == nil {
		*err = e
	}
}

// recovered turns a panic on the lane into an error: user code's names the
// transform and the input, our own says that it is a bug of ours.
func (l *lane) recovered(err *error) {
	r := recover()
	if r == nil {
		return
	}
	if r == error(graph.ErrStopped) {
		if *err = l.c.Err(); *err == nil {
			*err = context.Cause(l.inc.ctx)
		}
		return
	}
	if s, ok := r.(string); ok && strings.HasPrefix(s, "BUG: ") {
		*err = fmt.Errorf("%s (a bug in Millrace: please report it)\n%s", s, stack())
		return
	}
	*err = &graph.UserError{Node: l.c.Node(), Where: l.c.Where(), Err: graph.Recovered(r)}
}

func stack() string {
	b := make([]byte, 16<<10)
	return string(b[:runtime.Stack(b, false)])
}
