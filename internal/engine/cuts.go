package engine

import (
	"math"
	"sync/atomic"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
)

// Cuts is what an engine has to know of the job's cuts where its sinks show only what one
// of them names. It is for all engines of one incarnation of a slot.
type Cuts struct {
	wanted  func() bool
	final   atomic.Uint64
	shown   atomic.Uint64
	ending  atomic.Bool
	unshown atomic.Bool
	news    chan struct{} // holds one
}

// NewCuts begins before anything is final. wanted reports that the epoch which ends next
// is to be part of a cut of the job: so sinks prepare then. A wrong answer only makes
// outputs wait for a later cut. It is called by the engine's coordinator.
func NewCuts(wanted func() bool) *Cuts {
	return &Cuts{wanted: wanted, news: make(chan struct{}, 1)}
}

// Finalise says that outputs of epochs up to this one are final: a complete cut of the job
// names them. It may be said again, and by any goroutine.
func (c *Cuts) Finalise(epoch uint64) {
	for was := c.final.Load(); was < epoch && !c.final.CompareAndSwap(was, epoch); was = c.final.Load() {
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// Shown is the epoch up to which sinks have shown all outputs; where none waits for cuts, it is
// beyond all.
func (c *Cuts) Shown() uint64 { return c.shown.Load() }

// Ending reports that the slot's input has ended, and that outputs wait for a cut.
func (c *Cuts) Ending() bool { return c.ending.Load() }

// Unshown reports, while [Shuffle.Cut] is called, whether the slot has outputs that are not
// shown: of former epochs, or such as its sinks were given at this cut or still wait.
func (c *Cuts) Unshown() bool { return c.unshown.Load() }

// heard is where news of final epochs come in; nil where nobody waits for them.
func (c *Cuts) heard() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.news
}

// finals asks the cycle what the final epochs mean.
func (d *driver) finals() commit.Decision { return d.c.Finalised(d.inc.cfg.Cuts.final.Load()) }

// tellHeld tells the cycle whether sinks wait for cuts, and for which they do.
func (d *driver) tellHeld() {
	if d.c.OnCuts = d.inc.anyHeld(); !d.c.OnCuts {
		if cuts := d.inc.cfg.Cuts; cuts != nil {
			cuts.shown.Store(math.MaxUint64)
		}
		return
	}
	d.inc.left.Store(d.inc.held.Load() > 0) // it may be of the time before what was prepared
	if rec := d.inc.slot.store.Last(); rec != nil && rec.Prepared > 0 {
		d.c.Restored(rec.Prepared)
	}
	d.do(d.finals())
}

// shown notes that a lane has shown what its sinks have prepared.
func (d *driver) shown() commit.Decision {
	inc := d.inc
	epoch := d.c.Prepared()
	next := d.c.Shown(inc.held.Load() > 0)
	if d.c.Prepared() == 0 && !inc.left.Load() { // all lanes have, and it was all that there was
		inc.cfg.Cuts.shown.Store(epoch)
	}
	return next
}

// anyHeld reports that some sink waits for cuts.
func (inc *incarnation) anyHeld() bool {
	for _, st := range inc.lanes[0].stages {
		for i := range st.ops {
			if st.ops[i].outbox != nil {
				return true
			}
		}
	}
	return false
}

// nextEpoch is the number of the epoch that ends with a cut now: none is being persisted.
func (s *slot) nextEpoch() uint64 {
	if rec := s.store.Last(); rec != nil {
		return rec.Epoch + 1
	}
	return 1
}

// showBehind shows what has become final, and ends sinks that have shown everything.
func (l *lane) showBehind() (end bool, err error) {
	if n := l.inc.shows.Load(); n > l.shown {
		l.shown = n
		if err := l.show(); err != nil {
			return false, &lastError{err}
		}
		l.inc.tell(report{lane: l.id, kind: shown})
	}
	if !l.inc.finish.Load() {
		return false, nil
	}
	if err := l.finishSinks(); err != nil {
		return false, &lastError{err}
	}
	if err := l.committers(func(c graph.Committer) error { return c.Finish(l.c) }); err != nil {
		return false, &lastError{err}
	}
	l.inc.tell(report{lane: l.id, kind: laneEnded})
	return true, nil
}
