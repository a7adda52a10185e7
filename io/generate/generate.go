package generate

import (
	"math"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// Option configures [Elements] and [Numbers].
type Option func(*config)

type config struct {
	rate     float64 // elements a second; 0: no limit
	count    uint64
	bounded  bool
	splits   int   // 0: by default
	from     int64 // Unix ms
	every    time.Duration
	timed    bool // from and every are set
	disorder int64
	seed     uint64
	start    *int64
	clock    func() time.Time
}

// Rate is how many elements are due in a second, in all pieces together; 0, the
// default, is as many as can be. Elements come in bursts of about 10 ms.
func Rate(perSecond float64) Option { return func(c *config) { c.rate = perSecond } }

// Count ends the input after n elements; without it the input never ends.
func Count(n uint64) Option { return func(c *config) { c.count, c.bounded = n, true } }

// Splits is how many pieces there are: piece s makes the numbers that are s modulo
// n, in order. Default: 16, or with [Count] one for each lane. A snapshot fits only the
// same number.
func Splits(n int) Option { return func(c *config) { c.splits = n } }

// Times gives element n the event time first + n·every, to the millisecond. Without
// it an element's time is when it is due, or without [Rate], when it is made.
func Times(first time.Time, every time.Duration) Option {
	return func(c *config) { c.from, c.every, c.timed = first.UnixMilli(), every, true }
}

// OutOfOrder moves the event time of each element back by something between 0 and
// most, which seed and number decide. The watermark waits for it: none is late.
func OutOfOrder(most time.Duration, seed uint64) Option {
	return func(c *config) { c.disorder, c.seed = most.Milliseconds(), seed }
}

// Start is when element 0 is due; default: when the run first begins to read.
func Start(at time.Time) Option {
	return func(c *config) { ms := at.UnixMilli(); c.start = &ms }
}

// Clock says what time it is; default: the run's clock. It is called on several
// goroutines at once.
func Clock(now func() time.Time) Option { return func(c *config) { c.clock = now } }

// Elements is what make makes of the numbers 0, 1, 2 and so on. make is called on
// several goroutines at once, and perhaps again for the same number after a restart.
//
// The watermark of each piece is the time of its next element, less the disorder: it
// never waits for anything but the elements themselves.
func Elements[T any](p *pipeline.Pipeline, make func(n uint64) T, opts ...Option) pipeline.PCollection[T] {
	return add(p, "generate.Elements", make, opts)
}

// Numbers is the numbers themselves.
func Numbers(p *pipeline.Pipeline, opts ...Option) pipeline.PCollection[uint64] {
	return add(p, "generate.Numbers", func(n uint64) uint64 { return n }, opts)
}

func add[T any](p *pipeline.Pipeline, kind string, make func(n uint64) T, opts []Option) pipeline.PCollection[T] {
	c := config{count: math.MaxUint64}
	for _, o := range opts {
		o(&c)
	}
	switch {
	case make == nil:
		pipeline.Fail(p, "%s: the function is nil", kind)
	case !(c.rate >= 0) || math.IsInf(c.rate, 1): // so, for NaN is neither
		pipeline.Fail(p, "%s: Rate(%v): want 0 (no limit) or more elements a second", kind, c.rate)
	case c.splits < 0 || c.splits > 1<<20:
		pipeline.Fail(p, "%s: Splits(%d): want 1 or more, or 0 for the default", kind, c.splits)
	case c.every < 0:
		pipeline.Fail(p, "%s: Times every %v: want 0 or more", kind, c.every)
	case c.disorder < 0:
		pipeline.Fail(p, "%s: OutOfOrder(%v): want 0 or more", kind, time.Duration(c.disorder)*time.Millisecond)
	}
	return pipeline.Read[T](p, kind, &source[T]{c, make})
}
