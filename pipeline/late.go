package pipeline

import (
	"reflect"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Late is an element that came too late for one of its windows. An element of
// sliding windows may be too late for one of them and in time for the next.
type Late[V any] struct {
	Value     V
	Window    window.Interval
	Watermark int64 // of the grouping's input when the element came, Unix ms
	// Closed says that the window's trigger had finished; else the watermark had
	// passed the window's end and the allowed lateness.
	Closed bool
}

// LateTo makes *dst the collection of what a grouping or a stateful transform
// drops for being late, each (element, window) once, with the element's own time,
// in the global window (M28). K and V are those of the transform's input. Without
// it late elements are counted only, as droppedDueToLateness and
// droppedDueToClosedWindow.
//
//	var late pipeline.Keyed[string, pipeline.Late[Click]]
//	counts := transforms.Count(perUser, pipeline.LateTo(&late))
func LateTo[K comparable, V any](dst *Keyed[K, Late[V]]) Option {
	return func(o *options) { o.late = lateTo[K, V]{dst} }
}

// lateTo is where late elements go. Only LateTo knows its type: a transform that is
// a method in Go 1.27 must not lead to a collection of something that wraps V.
type lateTo[K comparable, V any] struct{ dst *Keyed[K, Late[V]] }

// lateSink is a lateTo of whatever type.
type lateSink interface {
	element() string
	typ(p *Pipeline, of graph.Type) graph.Type
	set(c coll, placed bool)
}

func (lateTo[K, V]) element() string { return reflect.TypeFor[KV[K, V]]().String() }

func (lateTo[K, V]) typ(p *Pipeline, of graph.Type) graph.Type {
	key, _ := flow.KeyedCoders[K, V](of)
	return flow.KeyedType(key, coderFor[Late[V]](p, "LateTo"))
}

func (l lateTo[K, V]) set(c coll, placed bool) { l.dst.coll, l.dst.placed = c, placed }

func (lateTo[K, V]) out() flow.LateOut[K, V] {
	return func(out any) func(*graph.Ctx, KV[K, V], window.Interval, int64, bool) {
		next := flow.RecvOf[KV[K, Late[V]]](out)
		return func(ctx *graph.Ctx, v KV[K, V], w window.Interval, wm int64, closed bool) {
			next(ctx, KV[K, Late[V]]{Key: v.Key, Value: Late[V]{v.Value, w, wm, closed}})
		}
	}
}

// addLate gives a node a second output for what it drops, if somebody wants it.
func addLate[K comparable, V any](c Keyed[K, V], n *graph.Node, opts []Option) flow.LateOut[K, V] {
	late := optionsOf(opts).late
	if late == nil {
		return nil
	}
	of, ok := late.(interface{ out() flow.LateOut[K, V] })
	if !ok {
		c.coll.p.g.Errorf("LateTo: the late elements of this %s are of %v, and the variable given takes those of %v", n.Kind, reflect.TypeFor[KV[K, V]](), late.element())
		return nil
	}
	n.Out = append(n.Out, late.typ(c.coll.p, c.coll.typ()))
	return of.out()
}

// setLate gives the late elements of n to whoever asked for them.
func setLate(c coll, n *graph.Node, wanted bool, opts []Option) {
	if !wanted {
		return
	}
	out := c.to(n, len(n.Out)-1)
	out.windowing, out.behind, out.strayed = window.Strategy{}, false, false
	optionsOf(opts).late.set(out, flow.HoldsNothing(c.windowing))
}
