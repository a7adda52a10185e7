package engine

import (
	"fmt"
	"time"
)

// Replay is how an incarnation of a slot begins.
type Replay struct {
	Careful bool          // element by element, so that the one that fails is found
	For     time.Duration // how long, if it is careful, before it is fast again
}

// Careful replays last from the first to the longest of these, doubled each time that
// fast mode fails again soon after: many failures are handled in one stretch.
const (
	replayFirst = 50 * time.Millisecond
	replayMost  = 10 * time.Second
)

// failed is what follows a failure in fast mode; progressed says that it had got somewhere.
func (r Replay) failed(progressed bool) Replay {
	if progressed {
		return Replay{true, replayFirst}
	}
	return Replay{true, min(2*max(r.For, replayFirst), replayMost)}
}

// over is what follows a careful replay.
func (r Replay) over() Replay { return Replay{false, r.For} }

// Again is what Run of a slot with a Shuffle ends with when it is to begin anew, at the
// epoch that was committed last, with Next as Config.Replay: what it has sent since is void,
// and that the others have to be told.
type Again struct {
	Next Replay
	Err  error // what failed; nil: a careful replay is over
}

func (a *Again) Error() string {
	if a.Err == nil {
		return "what failed is behind; elements are taken many at a time again"
	}
	return fmt.Sprintf("what came since the last epoch is taken again, element by element: %v", a.Err)
}

func (a *Again) Unwrap() error { return a.Err }
