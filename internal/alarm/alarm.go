// Package alarm rings on time.
//
// A timer of the runtime is up to a millisecond late on Linux, where an idle process waits in
// epoll for whole milliseconds: 0.9 ms in the median, go test -bench . -run - ./internal/alarm.
// A clock of the kernel, which wakes epoll, is 0.1 ms late. While all processors are busy the
// runtime asks its own timers sooner: who needs to be woken sets both.
package alarm

import (
	"math"
	"time"
)

// Alarm rings once each time that it was set. One goroutine sets it and closes it.
type Alarm struct {
	C     <-chan struct{} // holds one: it has rung, maybe for a time that it was set to before
	rings chan struct{}
	clock clock
}

type clock interface {
	set(d time.Duration) // more than 0
	close()              // it does not ring any more
}

// New returns one that is not set.
func New() *Alarm { return by(kernelClock) }

// by returns one that is rung by a clock of the kernel, or by the runtime where there is none.
func by(kernel func(ring func()) clock) *Alarm {
	rings := make(chan struct{}, 1)
	a := &Alarm{C: rings, rings: rings}
	if a.clock = kernel(a.ring); a.clock == nil {
		t := time.AfterFunc(math.MaxInt64, a.ring)
		t.Stop()
		a.clock = runtimeClock{t}
	}
	return a
}

// Set lets it ring in d, and not at the time that it was set to before.
func (a *Alarm) Set(d time.Duration) { a.clock.set(max(d, 1)) }

// Close ends it, and what it holds.
func (a *Alarm) Close() { a.clock.close() }

func (a *Alarm) ring() {
	select {
	case a.rings <- struct{}{}:
	default:
	}
}

// runtimeClock is a clock where the kernel has none.
type runtimeClock struct{ t *time.Timer }

func (c runtimeClock) set(d time.Duration) { c.t.Reset(d) }
func (c runtimeClock) close()              { c.t.Stop() }
