package engine

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// poll reads a quantum of each of the root's open splits, opening the next one
// when there is none.
func (l *lane) poll(st *laneStage) (busy bool, err error) {
	if len(st.readers) == 0 || st.pool.hasGrown() {
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
		if st.tooFar(r) {
			r.since = l.freeTime()
			i++
			continue
		}
		l.c.Src, l.c.Split, l.c.WM = r.r, st.pool.base+r.split, window.MinTime
		began := time.Now()
		state, err := r.r.Poll(l.c, r.most)
		if l.inc.roundsPerCut == 0 { // else cuts are by count, and the same in each run
			r.most = nextQuantum(r.most, l.quantum, time.Since(began))
		}
		if err != nil {
			return false, &graph.UserError{Node: st.nodes[0], Where: r.r.Where(), Err: err}
		}
		l.c.Src = nil
		if brought := st.count(r); brought || state == graph.More {
			r.since = l.freeTime()
		}
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
	switch wm, idle := l.sourceWatermark(st); {
	case idle:
		l.note(st, 0, l.id, idleWM)
	case wm > window.MinTime || l.progress.stages[st.id].idle: // the latter: it has woken
		l.note(st, 0, l.id, wm)
	}
	return busy, nil
}

// pollTime is about how long a poll should take at most. Until it is over the lane
// sends no watermark, rings no alarm, and begins no snapshot.
const pollTime = 10 * time.Millisecond

// firstQuantum is how many elements a reader is asked for at first, when nothing is
// known of how slow they are.
const firstQuantum = 16

// nextQuantum is how many elements to ask for after asking for n took so long:
// fewer when what is done with them is slow, such as calls to services, and up to
// most as soon as it is not.
func nextQuantum(n, most int, took time.Duration) int {
	switch {
	case took > pollTime:
		return max(1, int(int64(n)*int64(pollTime)/int64(took)))
	case took < pollTime/2:
		return min(most, 2*n)
	}
	return n
}

// count publishes how far a reader is, beside the lane's others, and reports
// whether it has brought anything since the last call.
func (st *laneStage) count(r *openReader) (brought bool) {
	if c, ok := r.r.(interface{ Count() int64 }); ok {
		n := c.Count()
		brought = n != r.count
		st.counts.elements.Add(n - r.count)
		r.count = n
	}
	read := r.r.Progress()
	st.counts.read.Add(read - r.read)
	r.read = read
	return brought
}

func (l *lane) openSplits(st *laneStage) error {
	for _, i := range st.pool.take(l.id) {
		l.c.Op = st.nodes[0].ID
		r, err := st.pool.open(l.c, i, st.pool.outs[l.id])
		if err != nil {
			return &graph.UserError{Node: st.nodes[0], Err: err}
		}
		st.readers = append(st.readers, &openReader{r: r, split: i, since: l.freeTime(), most: min(firstQuantum, l.quantum)})
		for _, k := range st.clocks {
			k.clock.SplitOpened(st.pool.base + i)
		}
	}
	return nil
}

// openLetters opens the reader of dead letters: what fails is in its position from the
// first cut on, also where it may not be read until then.
func (l *lane) openLetters() error {
	for _, st := range l.stages {
		if st.root() && st.letter && !l.progress.ended(st.id) {
			return l.openSplits(st)
		}
	}
	return nil
}

// close ends a split.
func (l *lane) close(st *laneStage, r *openReader) error {
	st.pool.finish(r.split)
	if len(st.clocks) > 0 {
		l.splitEnded(st, st.pool.base+r.split)
	}
	if err := r.r.Close(); err != nil {
		return &graph.UserError{Node: st.nodes[0], Err: err}
	}
	return nil
}

// sourceWatermark is the watermark of a root on this lane: the least of its open
// splits that are not idle, MIN while others wait to be opened, MAX when all are
// done. It never falls: a split may wake, or turn up, when the others are further.
func (l *lane) sourceWatermark(st *laneStage) (wm int64, idle bool) {
	said := max(l.progress.stages[st.id].wm, l.progress.stages[st.id].in[0].wm)
	switch {
	case st.pool.waiting() > 0:
		return said, false
	case len(st.readers) == 0 && st.pool.kind == growing:
		return window.MinTime, true
	case len(st.readers) == 0:
		return window.MaxTime, false
	}
	low, idle := int64(window.MaxTime-1), true
	for _, r := range st.readers {
		if r.saysIdle() {
			continue
		}
		idle = false
		low = min(low, r.r.Watermark())
	}
	if idle {
		return window.MinTime, true
	}
	return max(low, said), false
}

// splitsWait reports that older elements may still come from splits that are not open.
func (st *laneStage) splitsWait(l *lane) bool {
	for _, r := range st.roots {
		if p := l.stages[r.id].pool; p.kind == bounded && p.waiting() > 0 {
			return true
		}
	}
	return false
}

// look notes whether readers may be read: while they may not, none of them becomes idle.
func (st *laneStage) look(now int64, may bool) {
	if !may && st.looked > 0 {
		for _, r := range st.readers {
			r.since += now - st.looked
		}
	}
	st.looked = now
}

// freeTime is the clock less the time for which the lane could not read.
func (l *lane) freeTime() int64 { return l.c.Now - l.blocked }

// markIdle tells a clock which of the splits that this lane reads are idle: those
// that have brought nothing for a while (M19), and those that say so themselves, as
// they may have nothing to read at all.
func (l *lane) markIdle(st *laneStage) {
	after := st.clock.IdleAfter()
	for _, root := range st.roots {
		r := l.stages[root.id]
		for _, x := range r.readers {
			quiet := after > 0 && l.freeTime()-x.since >= after
			st.clock.SplitIdle(r.pool.base+x.split, quiet || x.saysIdle())
		}
	}
}

// saysIdle reports that the reader itself expects nothing for now.
func (r *openReader) saysIdle() bool {
	x, ok := r.r.(interface{ Idle() bool })
	return ok && x.Idle()
}

// tooFar reports that a split is to wait for others with which it is aligned (M20).
func (st *laneStage) tooFar(r *openReader) bool {
	for _, k := range st.clocks {
		if k.clock.TooFar(st.pool.base + r.split) {
			return true
		}
	}
	return false
}
