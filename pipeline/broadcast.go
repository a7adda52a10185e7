package pipeline

import (
	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
)

// Broadcast is state that all keys of a [Stateful] share: rules, thresholds, a
// model. Each lane has a copy.
type Broadcast[R any] struct{ s *flow.Shared[R] }

// BroadcastState declares state of type R, at first its zero value, that each
// element of from changes through update, on every lane and in the same order on
// all of them; update must be a function of its arguments alone. Keys read it with
// [Broadcast.Get] and must not change it.
//
// Elements of the main input do not wait for those of from: an element sees the
// changes that have arrived before it. For a collection that must be complete, or
// up to an element's window, use a side input. The watermark is the lesser of the
// two, so a from that ends or moves on must not be forgotten: one that is silent
// wants IdleAfter. It is part of snapshots, and R needs a coder.
func BroadcastState[R, B any, K comparable, O any](s *Setup[K, O], name string, from PCollection[B], update func(r *R, b B)) Broadcast[R] {
	s.declare(graph.PartBroadcast, name) // looks for a second use of the name; AddShared adds the declaration
	cod := stateCoder[R](s, name)
	if s.p != nil {
		switch {
		case !from.coll.ok("BroadcastState " + name):
			s.broken = true
			return Broadcast[R]{&flow.Shared[R]{}}
		case from.coll.p != s.p:
			s.p.g.Errorf("Stateful: broadcast state %q and the main input belong to different pipelines", name)
			s.broken = true
		case update == nil:
			s.p.g.Errorf("Stateful: the function of broadcast state %q is nil", name)
		}
		s.broadcasts = append(s.broadcasts, inOrder(from))
	}
	return Broadcast[R]{flow.AddShared(s.lane, name, cod, coderOf[B](from.coll), update)}
}

// Get is the state as of now on this lane. It is valid during the call only.
func (b Broadcast[R]) Get() R { return b.s.Value }

// inOrder brings all of c to one lane, from which it can be sent to all in one order.
func inOrder[B any](c PCollection[B]) func() coll {
	return func() coll {
		n := c.coll.add(&graph.Node{Kind: "InOrder", Op: flow.Identity[B](), Out: []graph.Type{c.coll.typ()}}, graph.Gather, "")
		return c.coll.to(n, 0)
	}
}
