package pipeline

import (
	"time"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// TimestampOption configures [WithTimestamps].
type TimestampOption func(*timestamps)

type timestamps struct {
	skew time.Duration
}

// AllowedSkew is how far before its old timestamp an element may be put; default
// 0. What lands behind the watermark is late further down, and dropped there if
// its window has closed: no watermark waits for it.
func AllowedSkew(d time.Duration) TimestampOption { return func(o *timestamps) { o.skew = d } }

// WithTimestamps gives each element another timestamp, later than the one it has
// or earlier within [AllowedSkew]; anything else fails the element (rule M3). The
// watermark stays what it was: [EventTime] is for streams whose elements alone
// know the time. Windows are found by timestamp, so put it before Windowed.
func WithTimestamps[T any](c PCollection[T], at func(e Elem, v T) time.Time, opts ...TimestampOption) PCollection[T] {
	c.coll.okNil("WithTimestamps", at == nil)
	return withTimestampsMs(c, func(e Elem, v T) int64 { return at(e, v).UnixMilli() }, opts)
}

// WithTimestampsMs is [WithTimestamps] by Unix milliseconds: the quicker form.
func WithTimestampsMs[T any](c PCollection[T], at func(e Elem, v T) int64, opts ...TimestampOption) PCollection[T] {
	c.coll.okNil("WithTimestampsMs", at == nil)
	return withTimestampsMs(c, at, opts)
}

func withTimestampsMs[T any](c PCollection[T], at func(e Elem, v T) int64, opts []TimestampOption) PCollection[T] {
	if !c.coll.ok("WithTimestamps") {
		return c
	}
	var o timestamps
	for _, f := range opts {
		f(&o)
	}
	if o.skew < 0 {
		c.coll.p.g.Errorf("WithTimestamps: AllowedSkew(%v): want 0 or more", o.skew)
	}
	if c.coll.windowing.Fn.Kind() != window.KindGlobal {
		c.coll.p.g.Errorf("WithTimestamps: its collection has windows %s already, which are found by timestamp: put it before Windowed", c.coll.windowing.Fn)
	}
	assign := c.coll.assign()
	op := flow.Stamp(func(x *graph.Ctx, v T) int64 { return at(Elem{x, &assign}, v) }, o.skew.Milliseconds(), coderOf[T](c.coll))
	n := c.coll.add(&graph.Node{Kind: "WithTimestamps", Op: op, Out: []graph.Type{c.coll.typ()}}, graph.Forward, "")
	return PCollection[T]{c.coll.to(n, 0)}
}
