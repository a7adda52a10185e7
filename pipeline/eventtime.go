package pipeline

import (
	"time"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
)

// EventTimeOption configures [EventTime].
type EventTimeOption func(*eventTime)

type eventTime struct {
	lag, idle, drift time.Duration
	group            string
	aligned          bool
	name             string
}

// OutOfOrder is how late an element may come behind the newest one of its
// source split before it counts as late; default 0. The watermark stays so far behind.
func OutOfOrder(d time.Duration) EventTimeOption { return func(e *eventTime) { e.lag = d } }

// IdleAfter leaves a source split out of the watermark when nothing has come from
// it for d of processing time (M19). Time during which the split could not be
// read, because what follows was busy or others had to catch up, does not count.
// When it wakes its elements may be late. When all splits are idle the watermark
// stays where it is. Default: a silent split holds the watermark back for ever.
func IdleAfter(d time.Duration) EventTimeOption { return func(e *eventTime) { e.idle = d } }

// AlignedWithin lets no source split run more than drift ahead of the one that is
// furthest behind, of all EventTimes of that group (M20): what is ahead is not
// read until the others have caught up, so that state does not fill up with what
// waits for them. Idle splits and those that have ended hold nobody up. Nothing is
// dropped. It works where source and EventTime are on one lane: no shuffle between.
func AlignedWithin(group string, drift time.Duration) EventTimeOption {
	return func(e *eventTime) { e.group, e.drift, e.aligned = group, drift, true }
}

// EventTime gives each element its time, to the millisecond, and from here on
// the watermark is that of these times: the newest seen, of the split that is
// furthest behind, less the allowed disorder.
func EventTime[T any](c PCollection[T], at func(T) time.Time, opts ...EventTimeOption) PCollection[T] {
	c.coll.okNil("EventTime", at == nil)
	return eventTimeMs(c, func(v T) int64 { return at(v).UnixMilli() }, opts)
}

// EventTimeMs is [EventTime] by Unix milliseconds: the quicker form.
func EventTimeMs[T any](c PCollection[T], at func(T) int64, opts ...EventTimeOption) PCollection[T] {
	c.coll.okNil("EventTimeMs", at == nil)
	return eventTimeMs(c, at, opts)
}

func (c coll) okNil(kind string, missing bool) {
	if c.p != nil {
		c.nilFunc(kind, missing)
	}
}

func eventTimeMs[T any](c PCollection[T], at func(T) int64, opts []EventTimeOption) PCollection[T] {
	if !c.coll.ok("EventTime") {
		return c
	}
	var e eventTime
	for _, f := range opts {
		f(&e)
	}
	switch {
	case e.lag < 0:
		c.coll.p.g.Errorf("EventTime: OutOfOrder(%v): want 0 or more", e.lag)
	case e.idle < 0:
		c.coll.p.g.Errorf("EventTime: IdleAfter(%v): want 0 (never) or more", e.idle)
	case e.aligned && (e.drift < time.Millisecond || e.group == ""):
		c.coll.p.g.Errorf("EventTime: AlignedWithin(%q, %v): want a name for the group and at least 1ms", e.group, e.drift)
	}
	cfg := flow.ClockConfig{Lag: e.lag.Milliseconds(), IdleAfter: e.idle.Milliseconds(), Group: e.group, Drift: e.drift.Milliseconds()}
	op := flow.EventTime(at, cfg, coderOf[T](c.coll))
	n := c.coll.add(&graph.Node{Kind: "EventTime", Op: op, State: part(graph.PartClock, "watermark", ""), Out: []graph.Type{c.coll.typ()}}, graph.Forward, e.name)
	return PCollection[T]{c.coll.to(n, 0)}
}
