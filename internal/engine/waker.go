package engine

// waker is whether a lane may sleep: a pure core.
//
// A lane has one wake token. While it waits for room in a queue it may take a
// token that announced input for a stage it must not drain there; back in its
// loop it would sleep although that input waits. So a token taken below makes the
// lane look at all its queues once more before it sleeps.
type waker struct{ again bool }

// tokenTakenBelow notes that a nested wait took the wake token.
func (w *waker) tokenTakenBelow() { w.again = true }

// sentToSelf notes that the lane put something into a queue of its own, for which
// nobody wakes it.
func (w *waker) sentToSelf() { w.again = true }

// lookAgain reports, once, that the queues must be looked at before sleeping.
func (w *waker) lookAgain() bool {
	again := w.again
	w.again = false
	return again
}
