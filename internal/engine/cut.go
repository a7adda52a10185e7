package engine

import (
	"context"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
)

// wantsCut reports that cuts are by count and this lane has done its rounds.
func (l *lane) wantsCut() bool {
	return l.inc.roundsPerCut > 0 && l.rounds >= l.inc.roundsPerCut
}

// awaitCut asks for a cut and reads nothing more until it comes, so that cuts by
// count are where they should be. What others send is taken in meanwhile.
func (l *lane) awaitCut(ctx context.Context) error {
	l.inc.tell(report{lane: l.id, kind: cutWanted})
	for int(l.inc.asked.Load()) <= l.cutN && !l.toldAll {
		if err := l.commitBehind(); err != nil {
			return err
		}
		if _, err := l.showBehind(); err != nil {
			return err
		}
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

// noteBarrier takes a sender's barrier in.
func (l *lane) noteBarrier(st *laneStage, index, from, n int) {
	if !l.progress.barrier(st.id, index, from, n) {
		return
	}
	l.tick(st)
	for _, o := range st.ops {
		l.c.Op, l.c.WM = o.node.ID, o.in
		if o.bundler != nil {
			o.bundler.FinishBundle(l.c)
		}
		if o.flusher != nil {
			o.flusher.Flush(l.c)
		}
	}
	if st.watched {
		l.settle(st, true)
	}
	for _, f := range st.flushes {
		f()
	}
	for i, in := range st.outs {
		if !in.queue {
			l.noteBarrier(l.stages[in.to.id], in.index, l.id, n)
			continue
		}
		for to, q := range st.targets[i] {
			if q != nil {
				l.send(in, q, to, msg{barrier: n})
			}
		}
	}
}

// cut runs cut n on this lane: barriers from the roots, drain until every stage
// has passed them, make sinks durable, encode what changed, report, and wait for
// the decision. Sources stand still meanwhile, so that no queue ever holds data
// of the next epoch.
func (l *lane) cut(ctx context.Context, n int) (end bool, err error) {
	l.cutN, l.rounds, l.news = n, 0, false
	l.c.Now = l.inc.run.Clock()
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
	if err := l.prepareHeld(l.inc.prepares.Load()); err != nil {
		return true, err
	}
	if l.inc.run.Epochs {
		if l.encode(&r); l.c.Err() != nil { // rows of state that are not in memory could not be read
			return true, l.c.Err()
		}
	}
	l.inc.tell(r)
	for {
		var d commit.Decision
		select {
		case d = <-l.ctl:
		case t := <-l.turns:
			given, err := l.turn(t)
			if err != nil {
				return true, err
			}
			l.inc.turned <- given
			continue
		case <-ctx.Done():
			return true, context.Cause(ctx)
		}
		switch d {
		case commit.Commit:
			if err := l.commit(); err != nil {
				return true, &lastError{err}
			}
			l.inc.tell(report{lane: l.id, kind: committed})
		case commit.Release:
			l.crowded = l.crowded && l.anyCrowded() // a sink has room again, for what comes behind the cut
			return false, nil
		case commit.Restart:
			return true, nil
		case commit.Finish:
			if err := l.committers(func(c graph.Committer) error { return c.Finish(l.c) }); err != nil {
				return true, &lastError{err}
			}
			l.inc.tell(report{lane: l.id, kind: laneEnded})
			return true, nil
		}
	}
}

// commitBehind commits the sinks of a cut behind which the lane has gone on already.
func (l *lane) commitBehind() error {
	n := int(l.inc.committing.Load())
	if n <= l.committed {
		return nil
	}
	l.committed = n
	if err := l.commit(); err != nil {
		return &lastError{err}
	}
	l.inc.tell(report{lane: l.id, kind: committed})
	l.tellCrowded()
	return nil
}

// commit shows what sinks have prepared, now that the epoch is durable, and tells
// those who wait for that.
func (l *lane) commit() error {
	if err := l.committers(func(c graph.Committer) error { return c.Commit(l.c) }); err != nil {
		return err
	}
	l.acknowledge()
	if l.inc.slot.pages != nil {
		for _, st := range l.stages {
			for _, o := range st.ops {
				if p, ok := o.live.(graph.Pager); ok {
					l.c.Op = o.node.ID
					p.Settled(l.c)
				}
			}
		}
	}
	l.crowded = false // or else it asks again
	return nil
}

// encode writes what has changed since the last cut, and adds to r how far sources are.
func (l *lane) encode(r *report) {
	w := l.inc.epoch.Lane(l.id)
	r.positions = map[int]map[int][]byte{}
	if p := l.parks; p != nil {
		if p.delta(w, l.inc.anew.Groups); p.idle() {
			l.parks = nil
		}
	}
	for _, st := range l.stages {
		for _, o := range st.ops {
			if o.keeper == nil {
				continue
			}
			if again, ok := o.live.(graph.Rewriter); ok && (l.inc.anew.Lane || l.inc.anew.Groups != nil) {
				again.Rewrite(l.c, l.inc.anew)
			}
			w.Node(o.node.Name)
			o.keeper.Delta(w)
			if o.outbox != nil {
				if l.inc.anew.Lane {
					o.outbox.Rewrite()
				}
				w.Node(heldRows(o.node.Name))
				o.outbox.Delta(w)
			}
		}
		r.times = st.times(l.id, l.progress.stages[st.id].wm, r.times)
		if len(st.readers) > 0 {
			at := map[int][]byte{}
			for _, x := range st.readers {
				at[x.split] = x.r.Position([]byte{})
			}
			r.positions[st.id] = at
		}
	}
}

// acknowledge tells the readers that want to know that their positions are in a
// snapshot which has been taken.
func (l *lane) acknowledge() {
	if !l.inc.run.Epochs {
		return
	}
	for _, st := range l.stages {
		for _, r := range st.readers {
			if a, ok := r.r.(graph.Acknowledger); ok {
				a.Acknowledge()
			}
		}
	}
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
