package engine

import (
	"math"
	"time"

	"github.com/millrace/millrace/window"
)

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
		l.tick(st)
		if st.watched {
			l.settle(st, l.freeRunning())
		}
	}
	l.flushAll()
}

// freeRunning reports that alarms ring as soon as the clock has come. Where cuts
// are by count they ring at cuts only, as each stage passes the barrier on: what
// an alarm upstream sends is then there before one downstream rings, so that tests
// under a clock of their own have one outcome.
func (l *lane) freeRunning() bool { return l.inc.roundsPerCut == 0 }

// tick raises a stage that makes its own watermark.
func (l *lane) tick(st *laneStage) {
	if st.clock == nil || l.progress.ended(st.id) || st.splitsWait(l) {
		return
	}
	l.markIdle(st)
	if l.progress.tick(st.id, st.clock.Watermark(), st.clock.Idle()) {
		l.progress.raise(st.id)
		l.settle(st, l.freeRunning())
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

// idleWM in place of a watermark says that the sender is idle: what follows need
// not wait for it until it sends another one (M19).
const idleWM = math.MinInt64

// note takes a sender's watermark in.
func (l *lane) note(st *laneStage, index, from int, wm int64) {
	inWM, inRose, changed := l.progress.watermark(st.id, index, from, wm)
	if inRose && len(st.inputs) > 0 {
		for _, o := range st.ops {
			if o.inWM != nil && o.node == st.inputs[index].node {
				l.c.Op = o.node.ID
				o.inWM.InputAdvance(l.c, st.inputs[index].port, inWM)
			}
		}
	}
	if changed {
		l.progress.raise(st.id)
		l.settle(st, l.freeRunning())
	}
}

// settle lets the stage's operators do what is due: by the clock, by the
// watermark, and by what they held back and have let go; each sees as its input's
// watermark the output's of the one before it (M13). Then it passes the
// watermarks on, behind what was fired. ring says that the clock counts.
func (l *lane) settle(st *laneStage, ring bool) {
	wm := l.progress.stages[st.id].wm
	for i := range st.ops {
		o := &st.ops[i]
		in := wm
		if o.parent >= 0 {
			in = st.ops[o.parent].out
		}
		l.c.Op, l.c.WM = o.node.ID, o.in
		if ring && o.alarmer != nil && l.c.Now > o.alarmer.Alarm() {
			o.alarmer.Ring(l.c)
		}
		if in > o.in {
			if o.bundler != nil {
				o.bundler.FinishBundle(l.c)
			}
			o.in, l.c.WM, l.c.Op = in, in, o.node.ID
			if o.wm != nil {
				o.wm.Advance(l.c, in)
			}
		}
		if l.c.Err() != nil {
			return
		}
		o.out = in
		if o.holder != nil {
			o.out = o.holder.Output()
		}
	}
	l.pass(st)
}

// pass sends the watermarks that have risen to all who follow st, behind its
// begun batches.
func (l *lane) pass(st *laneStage) {
	stage := &l.progress.stages[st.id]
	flushed, all := false, stage.wm == window.MaxTime
	for i := range st.ops {
		all = all && st.ops[i].out == window.MaxTime
	}
	for i, in := range st.outs {
		if l.frozen && in.shuffled {
			continue
		}
		wm := stage.wm
		if st.governs[i] >= 0 {
			wm = st.ops[st.governs[i]].out
		}
		idle := stage.idle && wm >= stage.wm
		if wm <= st.sentWM[i] && idle == st.sentIdle[i] {
			continue
		}
		if !flushed {
			flushed = true
			for _, f := range st.flushes {
				f()
			}
		}
		if wm > st.sentWM[i] || !idle {
			st.sentWM[i] = wm
			l.tell(st, i, in, wm)
		}
		if st.sentIdle[i] = idle; idle {
			l.tell(st, i, in, idleWM)
		}
		l.news = l.news || in.shuffled
	}
	if all && !st.finished {
		st.finished = true
		st.counts.done.Store(true)
	}
}

// tell sends a watermark one way out of st.
func (l *lane) tell(st *laneStage, out int, in *input, wm int64) {
	if !in.queue {
		l.note(l.stages[in.to.id], in.index, l.id, wm)
		return
	}
	for to, q := range st.targets[out] {
		if q != nil {
			l.send(in, q, to, msg{wm: packWM(wm)})
		}
	}
}
