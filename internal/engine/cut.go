package engine

import (
	"context"

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
	l.cutN, l.rounds = n, 0
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
			l.acknowledge()
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
		wms := []int64{l.progress.stages[st.id].wm}
		for _, o := range st.ops {
			wms = append(wms, o.out)
			if o.keeper != nil {
				w.node = o.node.Name
				o.keeper.Delta(w)
			}
		}
		r.watermarks = append(r.watermarks, wms)
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
