package natsbus

import "sync"

// waiter runs functions until it is told to wait for those that run; later ones are
// not begun.
type waiter struct {
	mu   sync.Mutex // guards over, and the group's going from zero
	over bool
	wg   sync.WaitGroup
}

func (w *waiter) run(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.wg.Go(fn)
	}
}

func (w *waiter) wait() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.wg.Wait()
}
