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
	return func(o *options) { o.late = dst }
}

// addLate gives a node a second output for what it drops, if somebody wants it.
func addLate[K comparable, V any](c Keyed[K, V], n *graph.Node, opts []Option) flow.LateOut[K, V] {
	late := optionsOf(opts).late
	if late == nil {
		return nil
	}
	if _, ok := late.(*Keyed[K, Late[V]]); !ok {
		c.p.g.Errorf("LateTo: the late elements of this %s are %v, and the variable given is %v", n.Kind, reflect.TypeFor[Keyed[K, Late[V]]](), reflect.TypeOf(late).Elem())
		return nil
	}
	key, _ := flow.KeyedCoders[K, V](c.typ())
	n.Out = append(n.Out, flow.KeyedType(key, coderFor[Late[V]](c.p, "LateTo")))
	return func(out any) func(*graph.Ctx, KV[K, V], window.Interval, int64, bool) {
		next := flow.RecvOf[KV[K, Late[V]]](out)
		return func(ctx *graph.Ctx, v KV[K, V], w window.Interval, wm int64, closed bool) {
			next(ctx, KV[K, Late[V]]{Key: v.Key, Value: Late[V]{v.Value, w, wm, closed}})
		}
	}
}

// setLate gives the late elements of n to whoever asked for them.
func setLate[K comparable, V any](c Keyed[K, V], n *graph.Node, opts []Option) {
	dst, ok := optionsOf(opts).late.(*Keyed[K, Late[V]])
	if !ok {
		return
	}
	dst.coll = c.to(n, len(n.Out)-1)
	dst.coll.windowing, dst.coll.behind, dst.coll.strayed = window.Strategy{}, false, false
	dst.placed = flow.HoldsNothing(c.windowing)
}
