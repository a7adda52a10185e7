package engine

import "fmt"

// coordinator decides about cuts, commits and the end of one incarnation of a
// slot: a pure core. The slot tells it what lanes report and when time is up, and
// does what it answers.
//
//	running ─ cut due ─► cutting ─ all reported ─► committing ─ all committed ─► running
//	   └─ all lanes finished: the last cut ────────────────────────────────────► finishing ─► ended
//
// Invariant: at most one cut is open. Sources stand still while it is.
type coordinator struct {
	lanes     int
	phase     phase
	n         int // of the cut that is open, or was last
	waiting   int // reports missing in this phase
	finished  int // lanes whose stages have all ended
	core      int // lanes whose stages have ended but for what dead letters bring
	last      bool
	restartAt int  // reopen after this cut; 0: never
	moved     bool // some source has got further in this incarnation: without that a restart would only repeat
}

type phase uint8

const (
	running phase = iota
	cutting
	committing
	finishing
	ended
)

func (p phase) String() string {
	return [...]string{"running", "cutting", "committing", "finishing", "ended"}[p]
}

// decision is what the slot must do next.
type decision uint8

const (
	nothing    decision = iota
	askCut              // tell all lanes to cut
	commit              // take the reports into the snapshot, then tell all lanes to commit
	release             // tell all lanes to go on
	endLetters          // tell all lanes that nothing can fail any more
	finish              // tell all lanes to finish their sinks
	restart             // the cut is committed: close all lanes and reopen from it
	done                // the run has ended well
)

func (d decision) String() string {
	return [...]string{"nothing", "ask for a cut", "commit", "release", "end dead letters", "finish", "restart", "done"}[d]
}

// cutDue asks for a snapshot; while one is open, or none is possible, nothing happens.
func (c *coordinator) cutDue() decision {
	if c.phase != running || c.finished == c.lanes {
		return nothing
	}
	return c.cut()
}

func (c *coordinator) cut() decision {
	c.phase, c.waiting = cutting, c.lanes
	c.n++
	return askCut
}

// coreFinished notes that a lane's stages have ended, but for those behind the dead letters.
func (c *coordinator) coreFinished() decision {
	if c.core++; c.core == c.lanes {
		return endLetters
	}
	return nothing
}

// laneFinished notes that all stages of a lane have ended.
func (c *coordinator) laneFinished() decision {
	c.finished++
	return c.maybeLast()
}

// maybeLast asks for the last cut when every lane has finished and none is open.
func (c *coordinator) maybeLast() decision {
	if c.finished < c.lanes || c.phase != running {
		return nothing
	}
	c.last = true
	return c.cut()
}

// reported notes that a lane has cut.
func (c *coordinator) reported() decision {
	if c.phase != cutting {
		panic(fmt.Sprintf("BUG: engine: a lane reports a cut while %v", c.phase))
	}
	if c.waiting--; c.waiting > 0 {
		return nothing
	}
	c.phase, c.waiting = committing, c.lanes
	return commit
}

// committed notes that a lane has committed its sinks.
func (c *coordinator) committed() decision {
	if c.phase != committing {
		panic(fmt.Sprintf("BUG: engine: a lane has committed while %v", c.phase))
	}
	if c.waiting--; c.waiting > 0 {
		return nothing
	}
	switch {
	case c.last:
		c.phase, c.waiting = finishing, c.lanes
		return finish
	case c.restartAt > 0 && c.n >= c.restartAt && c.moved && c.finished < c.lanes: // else only the last cut is missing
		c.phase = ended
		return restart
	}
	c.phase = running
	return release
}

// released is asked after the lanes were told to go on: the last lane may have
// finished while the cut was open.
func (c *coordinator) released() decision { return c.maybeLast() }

// laneEnded notes that a lane has finished its sinks.
func (c *coordinator) laneEnded() decision {
	if c.phase != finishing {
		panic(fmt.Sprintf("BUG: engine: a lane has ended while %v", c.phase))
	}
	if c.waiting--; c.waiting > 0 {
		return nothing
	}
	c.phase = ended
	return done
}
