package main

import (
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/millrace/millrace/bench/nexmark/gen"
)

// workload is what a query reads, and how fast.
type workload struct {
	events   uint64
	tallied  bool    // outputs are counted in a sink that keeps its counts in checkpoints
	tallies  string  // folder for what each lane has counted; "": it stays in the process
	kill     *killer // nil: it lives on
	pace     *pace   // nil: as fast as can be
	throttle float64 // events a second that each reader makes, from when it was opened; 0: as fast as can be
}

// pace releases events by the wall clock.
type pace struct {
	perSecond float64
	once      sync.Once
	start     time.Time
}

// begin starts the clock, once: when the first reader is open.
func (p *pace) begin() { p.once.Do(func() { p.start = time.Now() }) }

// due is how many events are due by now.
func (p *pace) due() uint64 { return uint64(time.Since(p.start).Seconds() * p.perSecond) }

// late is how long ago event i was due.
func (p *pace) late(i uint64) time.Duration {
	return time.Since(p.start) - time.Duration(float64(i)/p.perSecond*1e9)
}

// closedBy is the first event that can make the watermark pass ts, which a
// windowed query's output at ts has to wait for.
func closedBy(ts int64) uint64 {
	return uint64(ts-gen.Base+gen.OutOfOrder.Milliseconds()+2) * 10
}

// histogram counts durations in buckets of nanoseconds, 64 to each power of two:
// good to 1.6 %.
type histogram [64 * 64]uint64

func (h *histogram) add(d time.Duration) { h[bucket(uint64(max(d, 0)))]++ }

// bucket is exact below 64; above, it is the exponent and the six bits behind the first.
func bucket(ns uint64) int {
	e := max(bits.Len64(ns)-7, 0)
	return e<<6 + int(ns>>e)
}

// quantile is the least duration that a share q of all does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	var n uint64
	for _, c := range h {
		n += c
	}
	rank := uint64(math.Ceil(q * float64(n)))
	for i, c := range h {
		if c >= rank {
			return ceiling(i)
		}
		rank -= c
	}
	return 0
}

// ceiling is the largest duration in a bucket.
func ceiling(i int) time.Duration {
	e := max(i>>6-1, 0)
	return time.Duration((uint64(i-e<<6)+1)<<e - 1)
}

func (h *histogram) merge(o *histogram) {
	for i, c := range o {
		h[i] += c
	}
}
