package flow

import (
	"fmt"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

func inRange(i, n int) error {
	if i < 0 || i >= n {
		return fmt.Errorf("partition %d of %d: the function must return 0 to %d", i, n, n-1)
	}
	return nil
}

// ClockConfig is how an EventTime makes its watermark, times in ms.
type ClockConfig struct {
	Lag       int64  // how much out of order elements come
	IdleAfter int64  // silence after which a split is left out; 0: never
	Group     string // of clocks that are aligned; "": none
	Drift     int64  // how far a split may be ahead of the group
}

// clock is the watermark of an EventTime on one lane: for each split the highest
// time seen, less the allowed disorder, less 1 ms; the lowest of them counts.
type clock struct {
	cfg    ClockConfig
	lanes  int                // splits of smaller numbers are sending lanes
	member *graph.AlignMember // nil: not aligned
	split  int                // the split of max
	max    int64              // of the current split
	splits map[int]*splitClock
	low    int64 // never falls
	lows   leastOf
}

type splitClock struct {
	max  int64 // as of when another one became the current
	idle bool
}

func newClock(c *graph.Ctx, cfg ClockConfig) *clock {
	k := &clock{cfg: cfg, lanes: c.Lanes, split: -1, max: window.MinTime, low: window.MinTime, splits: map[int]*splitClock{}}
	if cfg.Group != "" {
		k.member = c.Run.Aligned.Join(cfg.Group)
	}
	return k
}

// turn makes split the current one. Of sending lanes nobody says that they begin; what
// an operator held back for long may come behind its split's end, and counts no more.
func (k *clock) turn(split int) {
	k.sync()
	if k.splits[split] == nil && split < k.lanes {
		k.SplitOpened(split)
	}
	k.split, k.max = split, window.MinTime
	if s := k.splits[split]; s != nil {
		k.max = s.max
	}
}

// sync stores what is known of the current split.
func (k *clock) sync() {
	if s := k.splits[k.split]; s != nil {
		s.max = k.max
	}
}

func (k *clock) Watermark() int64 {
	k.sync()
	low, any := int64(window.MaxTime), false
	for _, s := range k.splits {
		if !s.idle {
			low, any = min(low, s.max), true
		}
	}
	if any && low != window.MinTime {
		k.low = max(k.low, low-k.cfg.Lag-1)
	}
	if k.member != nil {
		if any {
			k.member.Say(low)
		} else {
			k.member.Say(window.MaxTime)
		}
	}
	return k.low
}

func (k *clock) SplitOpened(split int) { k.splits[split] = &splitClock{max: window.MinTime} }

func (k *clock) SplitDone(split int) {
	delete(k.splits, split)
	if k.split == split {
		k.split, k.max = -1, window.MinTime
	}
	if k.member != nil && len(k.splits) == 0 {
		k.member.Say(window.MaxTime)
	}
}

func (k *clock) IdleAfter() int64 { return k.cfg.IdleAfter }

func (k *clock) SplitIdle(split int, idle bool) {
	if s := k.splits[split]; s != nil {
		s.idle = idle
	}
}

func (k *clock) Idle() bool {
	for _, s := range k.splits {
		if !s.idle {
			return false
		}
	}
	return len(k.splits) > 0
}

func (k *clock) TooFar(split int) bool {
	if k.member == nil {
		return false
	}
	k.sync()
	s := k.splits[split]
	if s == nil || s.max == window.MinTime {
		return false
	}
	return s.max-k.cfg.Drift > k.member.Least()
}

// Times is the highest time seen of each split, for people.
func (k *clock) Times(yield func(split int, max int64, idle bool)) {
	k.sync()
	for i, s := range k.splits {
		yield(i, s.max, s.idle)
	}
}

// Delta keeps the watermark, which must not fall when the lane is restored. It is the
// one that was last asked for: while splits wait nobody asks, and they may bring older.
func (k *clock) Delta(w graph.DeltaWriter) {
	w.Put(graph.EveryLane, []byte("clock"), appendInt(nil, k.low))
}

func (k *clock) Load(_, val []byte) (err error) {
	return k.lows.take(&k.low, val)
}

// EventTime sets the timestamp of each element.
func EventTime[T any](f func(T) int64, cfg ClockConfig, cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next, n := recvOf[T](out[0]), c.Node()
		id := c.Op
		k := newClock(c, cfg)
		at := func(c *graph.Ctx, v T, ts int64) {
			if c.Split != k.split {
				k.turn(c.Split)
			}
			if ts > k.max {
				k.max = ts
			}
			old := c.TS
			c.TS = ts
			next(c, v)
			c.TS = old
		}
		if c.Run.Careful {
			g := &guard[T]{node: n, cod: cod}
			return one(Recv[T](func(c *graph.Ctx, v T) {
				var ts int64
				if g.try(c, v, func() error { ts = f(v); return nil }, nil) {
					at(c, v, ts)
				}
			})), k
		}
		return one(Recv[T](func(c *graph.Ctx, v T) {
			c.Op = id
			ts := f(v) // at, spelled out: a call less
			if c.Split != k.split {
				k.turn(c.Split)
			}
			if ts > k.max {
				k.max = ts
			}
			old := c.TS
			c.TS = ts
			next(c, v)
			c.TS = old
		})), k
	})
}
