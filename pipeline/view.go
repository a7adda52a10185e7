package pipeline

import (
	"fmt"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// View is a collection's content as a side input: a value of type T, complete
// before the first element that may ask for it is processed. It must fit in
// memory; one copy serves all lanes.
type View[T any] struct {
	coll
	id int
}

// view adds the node that gathers c and publishes what build makes of it.
func view[E, T any](c coll, kind string, build func([]E) (any, error), opts []Option) View[T] {
	if !c.ok(kind) {
		return View[T]{coll: poison}
	}
	if c.windowing.Fn.Kind() != window.KindGlobal {
		c.p.g.Errorf("%s: its collection has windows %s: a side input is read as a whole, so make it global with Windowed(window.GlobalWindows()) first", kind, c.windowing.Fn)
		return View[T]{coll: poison}
	}
	c.p.g.Views++
	id := c.p.g.Views
	op := flow.View(id, coderOf[E](c), build)
	n := c.add(&graph.Node{Kind: kind, View: id, Op: op, Stateful: true, Out: []graph.Type{flow.Type(coderFor[bool](c.p, kind))}}, graph.Gather, nameOf(opts))
	return View[T]{coll: c.to(n, 0), id: id}
}

// AsSingleton is the one element of c as a side input. Asking for it fails the
// element that asks if c is empty; more than one element fails the run.
func AsSingleton[T any](c PCollection[T], opts ...Option) View[T] {
	return view[T, T](c.coll, "AsSingleton", func(vs []T) (any, error) {
		switch len(vs) {
		case 1:
			return vs[0], nil
		case 0:
			return errNoSingleton, nil // for whoever asks (rule M92)
		}
		return nil, fmt.Errorf("a singleton side input has %d elements, want 1: combine them first, or use AsIterable", len(vs))
	}, opts)
}

type noSingleton string

var errNoSingleton = noSingleton("a singleton side input is empty: AsSingletonOr gives it a default")

// AsSingletonOr is [AsSingleton] with a value for an empty collection.
func AsSingletonOr[T any](c PCollection[T], def T, opts ...Option) View[T] {
	return view[T, T](c.coll, "AsSingleton", func(vs []T) (any, error) {
		switch len(vs) {
		case 1:
			return vs[0], nil
		case 0:
			return def, nil
		}
		return nil, fmt.Errorf("a singleton side input has %d elements, want at most 1: combine them first, or use AsIterable", len(vs))
	}, opts)
}

// AsIterable is all elements of c, in no order. The slice is shared: don't change it.
func AsIterable[T any](c PCollection[T], opts ...Option) View[[]T] {
	return view[T, []T](c.coll, "AsIterable", func(vs []T) (any, error) { return vs, nil }, opts)
}

// AsMap is the value of each key. Two values for a key fail the run. The map is
// shared: don't change it.
func AsMap[K comparable, V any](c Keyed[K, V], opts ...Option) View[map[K]V] {
	return view[KV[K, V], map[K]V](c.coll, "AsMap", func(vs []KV[K, V]) (any, error) {
		m := make(map[K]V, len(vs))
		for _, v := range vs {
			if _, twice := m[v.Key]; twice {
				return nil, fmt.Errorf("a map side input has two values for key %v: combine them first, or use AsMultimap", v.Key)
			}
			m[v.Key] = v.Value
		}
		return m, nil
	}, opts)
}

// AsMultimap is the values of each key. The map is shared: don't change it.
func AsMultimap[K comparable, V any](c Keyed[K, V], opts ...Option) View[map[K][]V] {
	return view[KV[K, V], map[K][]V](c.coll, "AsMultimap", func(vs []KV[K, V]) (any, error) {
		m := make(map[K][]V)
		for _, v := range vs {
			m[v.Key] = append(m[v.Key], v.Value)
		}
		return m, nil
	}, opts)
}

// Side is a view at its reader.
type Side[T any] struct{ slot *graph.ViewSlot }

// UseView makes v a side input of the ParDo that d sets up. Elements wait until
// the view is complete.
func UseView[T any](d *DoFn, v View[T]) Side[T] {
	if v.p == nil {
		return Side[T]{}
	}
	d.views = append(d.views, v.coll)
	if d.c == nil {
		return Side[T]{}
	}
	return Side[T]{&d.c.Run.Views[v.id-1]}
}

// Get is the view's content.
func (s Side[T]) Get() T {
	switch v := s.slot.Get().(type) {
	case T:
		return v
	case noSingleton:
		panic(string(v))
	}
	panic("BUG: pipeline: a side input was read before it was complete")
}

// gate holds c back until all of signals have ended.
func gate[T any](c coll, kind string, signals []coll) coll {
	n := &graph.Node{Kind: kind, Op: flow.Gate[T](len(signals), coderOf[T](c), c.behind), Out: []graph.Type{c.typ()}, Spills: true}
	for _, s := range signals {
		if !same(kind, c, s) {
			return c
		}
		n.In = append(n.In, graph.In{Ref: s.ref, Kind: graph.Broadcast, Signal: true})
	}
	return c.to(c.add(n, graph.Forward, ""), 0)
}

// WaitOn is c, held back until all of signals have ended: Beam's Wait.on. What
// waits is kept encoded, beyond the memory budget on disk.
func WaitOn[T any](c PCollection[T], signals ...Signal) PCollection[T] {
	if !c.ok("WaitOn") {
		return c
	}
	var colls []coll
	for _, s := range signals {
		if s == nil || !s.signal().ok("WaitOn: a signal") {
			return PCollection[T]{poison}
		}
		colls = append(colls, s.signal())
	}
	if len(colls) == 0 {
		c.p.g.Errorf("WaitOn: no signals to wait for")
		return c
	}
	return PCollection[T]{gate[T](c.coll, "WaitOn", colls)}
}
