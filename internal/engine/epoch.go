package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// recover takes in what the store knows from runs before this one.
func (s *slot) recover() error {
	s.hint = s.plan.at.all()
	rec := s.store.Last()
	if rec == nil {
		return nil
	}
	s.hint = rec.Hint
	if rec.Prepared > 0 && s.cfg.Cuts == nil {
		return errHeldBefore
	}
	if !s.joint() && !s.sameLanes(rec) {
		if s.cfg.Slots > 1 {
			return fmt.Errorf("the last checkpoint of slot %d has %d lanes, and the number of lanes in a job of several slots can't be changed yet to %d", s.cfg.Slot, rec.Lanes, s.cfg.Lanes)
		}
		s.relaned = true
	}
	return nil
}

// accountFor makes sure that every split which was being read at the last epoch is
// still there: what is left of it would be lost.
func (s *slot) accountFor(n *graph.Node, r *rootSplits) error {
	for id, was := range s.saved(n.Name, r) {
		if !was.done && !slices.Contains(r.ids, id) {
			return &graph.UserError{Node: n, Err: fmt.Errorf("split %q was being read at the last checkpoint, and the source has it no more: bring it back, or begin anew in another state folder", id)}
		}
	}
	return nil
}

// saved is how far the slot's splits of a root were at the last epoch.
func (s *slot) saved(root string, r *rootSplits) map[string]savedSplit {
	rec := s.store.Last()
	if rec == nil {
		return nil
	}
	out, joint := map[string]savedSplit{}, s.joint()
	for _, x := range rec.Splits[root] {
		if joint && !r.has(x.ID) {
			continue
		}
		lane := s.laneThen(rec, x.Lane)
		out[x.ID] = savedSplit{x.Done, x.Pos, lane}
	}
	return out
}

// Ask is something to be done with the store when the next epoch is committed, and
// before another one is.
type Ask struct {
	Do   func(commit.Store) error
	Done func(error) // called once, by another goroutine
}

var errEnded = errors.New("the run has ended")

// driver acts for the coordinator: it reads what lanes say, asks the cycle what it
// means, and does what it answers.
type driver struct {
	inc       *incarnation
	c         *commit.Cycle
	reports   []report
	asked     time.Time
	notBefore time.Time // of the next cut by time: cuts take at most a tenth of it
	restartAt time.Time // when a careful replay may end, with the next cut; zero: the cycle knows
	end       commit.Decision

	persisted chan error
	inFlight  bool // an epoch is being persisted
	owed      bool // an epoch is persisted, and the sinks have not all committed
	store     sync.Mutex
}

// drive does what the cycle decides until all lanes are gone.
func (d *driver) drive(every time.Duration) (err error) {
	inc := d.inc
	var tick <-chan time.Time
	if every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	d.tellHeld()
	if len(inc.slot.asks) > 0 { // the last incarnation has not come to them
		d.do(d.c.CutWanted())
	}
	for gone := 0; gone < len(inc.lanes); {
		select {
		case r := <-inc.up:
			d.do(d.heard(r))
		case e := <-d.persisted:
			d.hear(e)
		case <-tick:
			if !time.Now().Before(d.notBefore) {
				d.do(d.c.CutDue())
			}
		case <-inc.cfg.Cuts.heard():
			d.do(d.finals())
		case a := <-inc.cfg.Asks:
			inc.slot.asks = append(inc.slot.asks, a)
			d.do(d.c.CutWanted())
		case e := <-inc.exits:
			gone++
			if e != nil && err == nil {
				inc.cancel(e)
				err = context.Cause(inc.ctx) // not e, which may be a lane's answer to another one's failure
			}
		}
	}
	for err == nil && d.end == commit.Nothing { // what lanes said before they went
		select {
		case r := <-inc.up:
			d.do(d.heard(r))
		default:
			return errors.New("BUG: engine: all lanes ended before the coordinator let them")
		}
	}
	return err
}

// hear takes in how persisting went.
func (d *driver) hear(err error) {
	d.inFlight = false
	if err != nil {
		d.inc.cancel(&lastError{fmt.Errorf("commit a checkpoint: %w", err)})
		d.inc.pokeAll()
		return
	}
	d.owed = true
	d.serve()
	d.do(d.c.Persisted())
	d.do(d.c.Showable())
}

// settle ends what is under way when the lanes are gone, and reports whether an
// epoch is persisted that the sinks have not all committed.
func (d *driver) settle() (owed bool) {
	if d.inFlight {
		d.owed = <-d.persisted == nil
		d.inFlight = false
	} else if d.inc.epoch != nil && d.end == commit.Nothing && !d.owed {
		d.inc.epoch.Discard()
	}
	d.store.Lock() // until what was asked for is done
	defer d.store.Unlock()
	return d.owed
}

// serve does what was asked for with the store.
func (d *driver) serve() {
	asks := d.inc.slot.asks
	d.inc.slot.asks = nil
	if len(asks) == 0 {
		return
	}
	d.store.Lock()
	go func() {
		defer d.store.Unlock()
		for _, a := range asks {
			a.Done(a.Do(d.inc.slot.store))
		}
	}()
}

// heard asks the cycle what a report means.
func (d *driver) heard(r report) commit.Decision {
	switch r.kind {
	case cutWanted:
		return d.c.CutWanted()
	case coreFinished:
		return d.c.CoreFinished()
	case laneFinished:
		return d.c.LaneFinished()
	case reported:
		d.reports = append(d.reports, r)
		return d.c.Reported()
	case committed:
		next := d.c.Committed()
		d.owed = d.owed && d.c.Committing()
		return next
	case shown:
		return d.shown()
	default:
		return d.c.LaneEnded()
	}
}

func (d *driver) do(what commit.Decision) {
	inc, s := d.inc, d.inc.slot
	if cuts := inc.cfg.Cuts; cuts != nil {
		cuts.ending.Store(d.c.Ending())
	}
	switch what {
	case commit.AskCut:
		d.asked = time.Now()
		if !d.restartAt.IsZero() && d.asked.After(d.restartAt) {
			d.c.RestartAt = d.c.Cut()
		}
		d.begin()
		if cuts := inc.cfg.Cuts; cuts != nil {
			inc.unshown.Store(d.c.Prepared() > 0)
			prepares := d.c.Prepares(s.nextEpoch(), cuts.wanted())
			if inc.prepares.Store(prepares); prepares {
				inc.left.Store(false)
			}
		}
		inc.asked.Store(int64(d.c.Cut()))
		inc.pokeAll()
	case commit.EndLetters:
		inc.lettersEnd.Store(true)
		inc.pokeAll()
	case commit.Persist:
		d.persist()
	case commit.Commit:
		if d.c.Ran() {
			inc.committing.Store(int64(d.c.Cut()))
			inc.pokeAll()
			return
		}
		inc.order(commit.Commit)
	case commit.Release:
		took := time.Since(d.asked)
		s.paused += took
		if d.c.Ahead { // else the store's time is in it as well
			d.notBefore = time.Now().Add(9 * took)
		}
		inc.order(commit.Release)
		if !d.c.Committing() {
			s.epochs++
		}
		d.do(d.c.Released())
	case commit.Show:
		inc.shows.Add(1)
		inc.pokeAll()
	case commit.Finish:
		if d.c.OnCuts {
			inc.finish.Store(true)
			inc.pokeAll()
			return
		}
		inc.order(commit.Finish)
	case commit.Restart:
		s.epochs++
		d.end = commit.Restart
		inc.order(commit.Restart)
	case commit.Done:
		d.end = commit.Done
	}
}

// begin opens an epoch for the lanes to write in.
func (d *driver) begin() {
	inc, s := d.inc, d.inc.slot
	if !inc.run.Epochs {
		return
	}
	d.store.Lock()
	defer d.store.Unlock()
	inc.anew = graph.Anew{Lane: s.relaned}
	whole := s.joint() || s.pages == nil && s.store.WantsWhole()
	if parted, ok := s.store.(commit.Parted); whole {
		inc.anew = graph.All()
	} else if ok && !s.relaned {
		inc.anew = graph.Anew(parted.WantsPart())
	}
	inc.epoch = s.store.Begin(len(inc.lanes))
	switch {
	case whole:
		inc.epoch.Whole()
	case s.relaned:
		inc.epoch.Relaned()
	}
}

// persist makes the lanes' reports durable, beside the lanes where they run ahead.
func (d *driver) persist() {
	inc, s := d.inc, d.inc.slot
	if !inc.run.Epochs {
		d.reports = d.reports[:0]
		d.do(d.c.Persisting(false))
		d.do(d.c.Persisted())
		return
	}
	rec, moved, ok := d.record()
	if !ok { // the lanes end
		return
	}
	epoch := inc.epoch
	d.inFlight = true
	go func() {
		d.store.Lock()
		err := epoch.Commit(rec)
		d.store.Unlock()
		if err == nil {
			s.cfg.Observe.committed(rec)
		}
		d.persisted <- err
	}()
	d.do(d.c.Persisting(moved))
}

// record puts the lanes' reports together; moved says that some source has got
// further since the last epoch. It is not ok when the lanes have ended meanwhile.
func (d *driver) record() (rec *commit.Record, moved, ok bool) {
	inc, s := d.inc, d.inc.slot
	rec = &commit.Record{Lanes: len(inc.lanes), Hint: s.hint, Manifest: s.cfg.Manifest, Splits: map[string][]commit.Split{}, Ended: d.c.Last(), Prepared: d.c.Prepared()}
	at := map[int]map[int][]byte{}
	for _, r := range d.reports {
		rec.Times = append(rec.Times, r.times...)
		for root, splits := range r.positions {
			if at[root] == nil {
				at[root] = map[int][]byte{}
			}
			for i, pos := range splits {
				at[root][i] = pos
			}
		}
	}
	d.reports = d.reports[:0]
	for i, st := range inc.plan.stages {
		if !st.root() {
			continue
		}
		name := st.nodes[0].Name
		now, was := inc.lanes[0].stages[i].pool.save(at[i]), s.saved(name, s.roots[st.id])
		for id, x := range now {
			moved = moved || !was[id].equal(x)
		}
		for id, x := range was {
			if _, ok := now[id]; !ok {
				now[id] = x // done, and gone from the source: it may come back
			}
		}
		var list []commit.Split
		for id, x := range now {
			list = append(list, commit.Split{ID: id, Done: x.done, Pos: x.pos, Lane: x.lane})
		}
		slices.SortFunc(list, func(a, b commit.Split) int { return strings.Compare(a.ID, b.ID) })
		rec.Splits[name] = list
	}
	if cuts := s.cfg.Cuts; cuts != nil {
		cuts.unshown.Store(inc.unshown.Load() || inc.held.Load() > 0)
	}
	if sh := s.cfg.Shuffle; sh != nil {
		var t Turn
		if inc.mover != nil {
			if t = inc.mover.Turn(); !inc.turn(t) {
				return nil, false, false
			}
		}
		rec.Shuffle = sh.Cut(inc.marks())
		if !t.empty() {
			groups := inc.mover.Groups()
			inc.follow(&groups)
		}
		was := s.store.Last()
		moved = moved || was == nil || !bytes.Equal(was.Shuffle, rec.Shuffle)
	}
	return rec, moved, true
}

// times are the watermarks of all nodes of the stage on a lane.
func (st *laneStage) times(lane int, wm int64, out []commit.Time) []commit.Time {
	for i, n := range st.nodes {
		t := commit.Time{Node: n.Name, Lane: lane, In: wm, Out: wm}
		if b := st.before[i]; b >= 0 {
			t.In, t.Out = st.ops[b].out, st.ops[b].out
		}
		if k := st.opOf(n); k >= 0 {
			t.Out = st.ops[k].out
		}
		out = append(out, t)
	}
	return out
}

// opOf is n's place among the stage's operators; -1: it has no live part.
func (st *laneStage) opOf(n *graph.Node) int {
	return slices.IndexFunc(st.ops, func(o liveOp) bool { return o.node == n })
}

// restoredTimes is where the watermarks of a lane's nodes were at the last epoch:
// of the same lane, or when the number of lanes has changed, the least of all.
func (s *slot) restoredTimes(lane int) map[string]commit.Time {
	rec := s.store.Last()
	if rec == nil {
		return nil
	}
	out, same := map[string]commit.Time{}, s.sameLanes(rec)
	for _, t := range rec.Times {
		if same && s.laneThen(rec, t.Lane) != lane {
			continue
		}
		least, ok := out[t.Node]
		if !ok {
			least = commit.Time{In: math.MaxInt64, Out: math.MaxInt64}
		}
		out[t.Node] = commit.Time{In: min(least.In, t.In), Out: min(least.Out, t.Out)}
	}
	return out
}

// known reports that a restored watermark says something: what had ended ends
// again by itself.
func known(wm int64) bool { return wm > window.MinTime && wm < window.MaxTime }

func (inc *incarnation) order(d commit.Decision) {
	for _, l := range inc.lanes {
		select {
		case l.ctl <- d:
		case <-inc.ctx.Done():
		}
	}
}

func (inc *incarnation) pokeAll() {
	for _, l := range inc.lanes {
		l.poke()
	}
}

// shut closes all lanes; abort says that nothing uncommitted may stay, final that
// nothing unfinished may, and owed that what sinks have prepared is committed first:
// the epoch is durable.
func (inc *incarnation) shut(abort, final, owed bool) (err error) {
	for _, l := range inc.lanes {
		if owed {
			l.guard(func() error { return l.commit() }, &err)
		}
	}
	if err != nil {
		err = &lastError{err}
	}
	for _, l := range inc.lanes {
		if e := l.shut(abort, final); e != nil && err == nil {
			err = e
		}
	}
	return err
}
