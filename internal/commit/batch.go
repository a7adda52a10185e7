package commit

import (
	"fmt"

	"github.com/millrace/millrace/internal/commit/plant"
)

// batch is what the sinks of a slot have prepared where they show what is final only:
// from the cut at which it was given to them until all lanes have shown it.
//
//	empty ─ a cut that prepares ─► prepared ─ persisted ─► durable ─ final ─► showing ─ all shown ─► empty
//
// Invariant: at most one is under way. What comes meanwhile waits in front of the sinks.
type batch struct {
	state   batchState
	epoch   uint64 // at whose end it was prepared
	waiting int    // lanes that have not shown it
	ending  bool   // it is all that there will be
	shown   bool   // the ending one is
	final   uint64 // outputs of epochs up to this one are final
}

type batchState uint8

const (
	empty batchState = iota
	prepared
	durable
	showing
)

// Restored says that the incarnation begins with a batch which was prepared at the end of
// an epoch, and of which nobody knows whether it was shown.
func (c *Cycle) Restored(epoch uint64) { c.batch.state, c.batch.epoch = durable, epoch }

// Prepares is asked after [AskCut], and reports whether sinks are given what waits for
// them, and prepare, at this cut, which ends the given epoch. wanted is a hint: a cut of
// the job is to name this epoch.
func (c *Cycle) Prepares(epoch uint64, wanted bool) bool {
	ending := c.finished == c.Lanes
	if !c.OnCuts || c.batch.state != empty || c.batch.shown || !wanted && !ending {
		return false
	}
	c.batch.state, c.batch.epoch, c.batch.ending = prepared, epoch, ending
	return true
}

// Prepared is the epoch of the batch that is prepared and, as far as is known, not shown;
// 0: there is none.
func (c *Cycle) Prepared() uint64 {
	if c.batch.state == empty || plant.Is(plant.PreparedForgotten) {
		return 0
	}
	return c.batch.epoch
}

// Ending reports that all lanes have finished, and what sinks have is not shown.
func (c *Cycle) Ending() bool { return c.finished == c.Lanes && c.batch.state != empty }

// Finalised notes that outputs of epochs up to this one are final. It may be said again,
// and before this slot knows that the epoch is persisted.
func (c *Cycle) Finalised(epoch uint64) Decision {
	c.batch.final = max(c.batch.final, epoch)
	return c.Showable()
}

// Showable is asked after [Cycle.Persisted].
func (c *Cycle) Showable() Decision {
	if c.batch.state != durable || c.batch.final < c.batch.epoch && !plant.Is(plant.ShownBeforeFinal) {
		return Nothing
	}
	c.batch.state, c.batch.waiting = showing, c.Lanes
	return Show
}

// Shown notes that a lane has shown what its sinks have prepared. held says that sinks
// could not be given all that waits for them: then there is more to come.
func (c *Cycle) Shown(held bool) Decision {
	if c.batch.state != showing {
		panic(fmt.Sprintf("BUG: commit: a lane has shown a batch in state %d", c.batch.state))
	}
	if c.batch.waiting--; c.batch.waiting > 0 {
		return Nothing
	}
	c.batch.state, c.batch.shown = empty, c.batch.ending && !held
	return c.next()
}
