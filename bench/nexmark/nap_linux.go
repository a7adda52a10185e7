package main

import (
	"syscall"
	"time"
)

// nap sleeps for d, to 50 µs or so. The timers of Go, when a whole program is
// idle, wait for epoll, whose unit is a millisecond.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil) // cut short by a signal: as good
}
