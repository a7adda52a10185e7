package flow

import (
	"fmt"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Stamp gives each element another timestamp, no more than skew ms before the one
// it has (M3). The watermark is not its business: what lands behind it is late
// further down.
func Stamp[T any](at func(*graph.Ctx, T) int64, skew int64, cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next := recvOf[T](out[0])
		id := c.Op
		pass := func(c *graph.Ctx, v T, ts int64) {
			old := c.TS
			c.TS = ts
			next(c, v)
			c.TS = old
		}
		if c.Run.Careful {
			g := &guard[T]{node: c.Node(), cod: cod}
			return one(Recv[T](func(c *graph.Ctx, v T) {
				var ts int64
				if g.try(c, v, func() error { ts = at(c, v); return checkStamp(c.TS, ts, skew) }, nil) {
					pass(c, v, ts)
				}
			})), nil
		}
		return one(Recv[T](func(c *graph.Ctx, v T) {
			c.Op = id
			ts := at(c, v)
			if err := checkStamp(c.TS, ts, skew); err != nil {
				c.Fail(err)
				return
			}
			pass(c, v, ts)
		})), nil
	})
}

// checkStamp says what is wrong with a new timestamp.
func checkStamp(old, ts, skew int64) error {
	switch {
	case ts < window.MinTime || ts > window.MaxTime:
		return fmt.Errorf("timestamp %d ms is out of range", ts)
	case ts < old && old-ts > skew:
		return fmt.Errorf("timestamp %d ms is %d ms before the element's own, and %d ms are allowed: see AllowedSkew", ts, old-ts, skew)
	}
	return nil
}
