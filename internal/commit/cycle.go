package commit

import (
	"fmt"

	"github.com/millrace/millrace/internal/commit/plant"
)

// Cycle decides about cuts, commits and the end of one incarnation of a slot. The
// driver tells it what lanes report and when time is up, and does what it answers.
//
//	running ─ cut due ─► cutting ─ all reported ─► persist ─ persisted ─► commit ─ all committed ─► running
//	   └─ all lanes finished: the last cut ─────────────────────────────────────────────────► finishing ─► ended
//
// Sources stand still from the request of a cut until all lanes have reported it,
// and where Ahead is not set, until it is committed. Invariants: at most one epoch is
// between cut and commit; sinks are told to commit only what is persisted.
//
// Where OnCuts is set, there is no last cut: it goes on cutting when all lanes have
// finished, and ends when the sinks have shown what they were given by then.
type Cycle struct {
	Lanes     int
	Ahead     bool // lanes go on while an epoch is made durable
	RestartAt int  // reopen after this cut; 0: never
	OnCuts    bool // sinks show what is final: see [Cycle.Prepares]

	phase    phase
	n        int // of the cut that is open, or was last
	waiting  int // reports missing in this phase
	finished int // lanes whose stages have all ended
	core     int // lanes whose stages have ended but for what dead letters bring
	last     bool
	released bool // the lanes have gone on already
	wanted   bool // another cut, behind the one that is open
	moved    bool // some source has got further in this incarnation: without that a restart would only repeat
	batch    batch
}

type phase uint8

const (
	running phase = iota
	cutting
	persisting
	committing
	finishing
	ended
)

func (p phase) String() string {
	return [...]string{"running", "cutting", "persisting", "committing", "finishing", "ended"}[p]
}

// Decision is what the driver must do next.
type Decision uint8

const (
	Nothing    Decision = iota
	AskCut              // tell all lanes to cut
	Persist             // make what was reported durable, then tell Persisted; meanwhile ask Persisting
	Commit              // tell all lanes to commit their sinks
	Release             // tell all lanes to go on, then ask Released
	EndLetters          // tell all lanes that nothing can fail any more
	Finish              // tell all lanes to finish their sinks
	Restart             // the cut is committed: close all lanes and reopen from it
	Done                // the run has ended well
	Show                // tell all lanes to commit their sinks, whatever else they do, then Shown
)

func (d Decision) String() string {
	return [...]string{"nothing", "ask for a cut", "persist", "commit", "release", "end dead letters", "finish", "restart", "done", "show"}[d]
}

// Cut is the number of the cut that is open, or was last.
func (c *Cycle) Cut() int { return c.n }

// CutDue asks for a cut, as it is time for one; while one is open, or none is
// possible, nothing happens.
func (c *Cycle) CutDue() Decision {
	if plant.Is(plant.CutWhilePersisting) && c.phase == persisting && c.released {
		return c.cut()
	}
	if c.phase != running || c.finished == c.Lanes && !c.OnCuts {
		return Nothing
	}
	return c.cut()
}

// CutWanted asks for a cut that somebody waits for: if one is open, there will be
// another one behind it.
func (c *Cycle) CutWanted() Decision {
	if c.phase == running {
		return c.CutDue()
	}
	c.wanted = c.phase != cutting
	return Nothing
}

func (c *Cycle) cut() Decision {
	c.phase, c.waiting, c.released, c.wanted = cutting, c.Lanes, false, false
	c.n++
	return AskCut
}

// CoreFinished notes that a lane's stages have ended, but for those behind the dead letters.
func (c *Cycle) CoreFinished() Decision {
	if c.core++; c.core == c.Lanes {
		return EndLetters
	}
	return Nothing
}

// LaneFinished notes that all stages of a lane have ended.
func (c *Cycle) LaneFinished() Decision {
	c.finished++
	return c.maybeLast()
}

// maybeLast asks for the last cut when every lane has finished and none is open.
func (c *Cycle) maybeLast() Decision {
	switch {
	case c.finished < c.Lanes || c.phase != running:
		return Nothing
	case c.batch.shown:
		c.phase, c.waiting = finishing, c.Lanes
		return Finish
	case c.batch.state != empty:
		return Nothing
	}
	c.last = !c.OnCuts
	return c.cut()
}

// Reported notes that a lane has cut.
func (c *Cycle) Reported() Decision {
	c.must(cutting, "reports a cut")
	if c.waiting--; c.waiting > 0 {
		return Nothing
	}
	c.phase = persisting
	return Persist
}

// Persisting is asked while an epoch is made durable; moved says that some source
// has got further than at the last cut.
func (c *Cycle) Persisting(moved bool) Decision {
	c.moved = c.moved || moved
	if plant.Is(plant.ShowBeforeDurable) {
		c.phase, c.waiting = committing, c.Lanes
		return Commit
	}
	if !c.Ahead || c.last || c.restarts() {
		return Nothing
	}
	c.released = true
	return Release
}

// Persisted notes that the epoch is durable.
func (c *Cycle) Persisted() Decision {
	if plant.Is(plant.ShowBeforeDurable) {
		return Nothing
	}
	c.must(persisting, "is persisted")
	c.phase, c.waiting = committing, c.Lanes
	if c.batch.state == prepared {
		c.batch.state = durable
	}
	return Commit
}

// Last reports that the cut at hand is the last one.
func (c *Cycle) Last() bool { return c.last }

// Ran reports that lanes have gone on before the epoch at hand was durable.
func (c *Cycle) Ran() bool { return c.released }

// Committing reports that an epoch is made durable, or sinks are committing it.
func (c *Cycle) Committing() bool { return c.phase == persisting || c.phase == committing }

// restarts reports that the cut at hand is followed by a restart. When all lanes
// have finished only the last cut is missing.
func (c *Cycle) restarts() bool {
	moved := c.moved || plant.Is(plant.RestartForNothing)
	return c.RestartAt > 0 && c.n >= c.RestartAt && moved && c.finished < c.Lanes
}

// Committed notes that a lane has committed its sinks.
func (c *Cycle) Committed() Decision {
	c.must(committing, "has committed")
	if c.waiting--; c.waiting > 0 {
		return Nothing
	}
	switch {
	case c.last:
		c.phase, c.waiting = finishing, c.Lanes
		return Finish
	case c.released:
		c.phase = running
		if plant.Is(plant.EndForgotten) {
			return Nothing
		}
		return c.next()
	case c.restarts():
		c.phase = ended
		return Restart
	}
	c.phase = running
	return Release
}

// Released is asked after the lanes were told to go on: the last lane may have
// finished while the cut was open.
func (c *Cycle) Released() Decision { return c.next() }

// next asks for the cut that the open one has put off.
func (c *Cycle) next() Decision {
	if d := c.maybeLast(); d != Nothing {
		return d
	}
	if c.wanted && c.phase == running {
		return c.CutDue()
	}
	return Nothing
}

// LaneEnded notes that a lane has finished its sinks.
func (c *Cycle) LaneEnded() Decision {
	c.must(finishing, "has ended")
	if c.waiting--; c.waiting > 0 {
		return Nothing
	}
	c.phase = ended
	return Done
}

func (c *Cycle) must(p phase, what string) {
	if c.phase != p {
		panic(fmt.Sprintf("BUG: commit: a lane %s while %v", what, c.phase))
	}
}
