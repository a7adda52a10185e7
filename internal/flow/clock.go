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

// clock is the watermark of an EventTime on one lane: for each split the highest
// time seen, less the allowed disorder, less 1 ms; the lowest of them counts.
type clock struct {
	lag   int64
	split int   // the split of max
	max   int64 // of the current split
	seen  map[int]int64
	low   int64 // never falls
}

// turn makes split the current one.
func (k *clock) turn(split int) {
	if k.max != window.MinTime {
		k.seen[k.split] = k.max
	}
	k.split, k.max = split, window.MinTime
	if m, ok := k.seen[split]; ok {
		k.max = m
	}
}

func (k *clock) Watermark() int64 {
	low, any := int64(window.MaxTime), false
	if k.max != window.MinTime {
		low, any = k.max, true
	}
	for s, m := range k.seen {
		if s != k.split {
			low, any = min(low, m), true
		}
	}
	if any && low-k.lag > k.low {
		k.low = low - k.lag
	}
	return k.low
}

func (k *clock) SplitDone(split int) {
	delete(k.seen, split)
	if k.split == split {
		k.max = window.MinTime
	}
}

// Delta keeps the watermark, which must not fall when the lane is restored.
func (k *clock) Delta(w graph.DeltaWriter) {
	k.Watermark()
	w.Put(graph.LaneBound, []byte("clock"), appendInt(nil, k.low))
}

func (k *clock) Load(_, val []byte) (err error) {
	k.low, _, err = takeInt(val)
	return err
}

// EventTime sets the timestamp of each element. lag is how much out of order
// they come, in ms.
func EventTime[T any](f func(T) int64, lag int64, cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next, n := recvOf[T](out[0]), c.Node()
		id := c.Op
		k := &clock{lag: lag + 1, split: -1, max: window.MinTime, low: window.MinTime, seen: map[int]int64{}}
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
			ts := f(v)
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
