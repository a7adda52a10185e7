package pipeline

import (
	"fmt"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// View is a collection's content as a side input: a value of type T. It must fit
// in memory; one copy serves all lanes.
//
// A side input in the global window with the default trigger is read as a whole:
// it is complete before the first element that may ask for it is processed. Any
// other side input is read window by window: an element in window w reads the
// window that holds the last instant of w, the latest-starting one of several
// (M91), and waits until that has a pane or is known to be empty (M90). A later
// pane takes the place of an earlier one (M95): let panes accumulate where all
// elements are wanted; of a singleton the newest is. A side input that changes
// slowly is one in the global window with a trigger that repeats.
type View[T any] struct {
	coll
	ref   flow.SideRef
	empty any // content of a window without elements
}

// view adds the nodes that gather c and publish what build makes of it.
func view[E, T any](c coll, kind string, build func([]E) (any, error), opts []Option) View[T] {
	if !c.ok(kind) {
		return View[T]{coll: poison}
	}
	if fn := c.windowing.Fn; fn.Merging() || fn.AlreadyMerged() {
		c.p.g.Errorf("%s: its collection has windows %s, and windows that merge can't be mapped to those of the elements that ask: give it others with Windowed", kind, fn)
		return View[T]{coll: poison}
	}
	c.p.g.Views++
	v := View[T]{ref: flow.SideRef{View: c.p.g.Views, Fn: c.windowing.Fn}}
	out := []graph.Type{flow.Type(coderFor[bool](c.p, kind))}
	if c.windowing.Fn.Kind() == window.KindGlobal && flow.Simple(c.windowing) {
		v.ref.Whole = true
		op := flow.View(v.ref.View, coderOf[E](c), build)
		n := c.add(&graph.Node{Kind: kind, View: v.ref.View, ViewGroup: graph.LaneBound, Op: op, Stateful: true, State: part(graph.PartView, "elements", coderOf[E](c).ID), Out: out}, graph.Gather, nameOf(opts))
		v.coll = c.to(n, 0)
		return v
	}
	v.empty, _ = build(nil)
	if name := nameOf(opts); name != "" {
		defer c.p.g.Scope(name)()
	} else {
		defer c.p.g.Scope(kind)()
	}
	if kind == "AsSingleton" {
		c.windowing.Accumulation = window.DiscardPanes // a pane of its own for each: the newest counts
	}
	groups := GroupByKey(KeyBy(PCollection[E]{c}, func(E) bool { return true }))
	op := flow.PaneView(v.ref.View, coderOf[E](c), c.windowing.LatenessMillis(), build)
	hash := keygroup.Of[bool](coderFor[bool](c.p, kind).Append)
	n := groups.coll.add(&graph.Node{Kind: kind, View: v.ref.View, ViewGroup: keygroup.Group(hash.Sum(true)), Op: op, Stateful: true, State: part(graph.PartPanes, "elements", coderOf[E](c).ID), Out: out}, graph.Forward, "")
	v.coll = c.to(n, 0)
	return v
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
type Side[T any] struct {
	slot  *graph.ViewSlot
	c     *graph.Ctx
	ref   flow.SideRef
	empty any
}

// UseView makes v a side input of the ParDo that d sets up. Elements wait until
// what they may ask for is ready.
func UseView[T any](d *DoFn, v View[T]) Side[T] {
	if v.p == nil {
		return Side[T]{}
	}
	d.views = append(d.views, sideInput{v.coll, v.ref})
	if d.c == nil {
		return Side[T]{}
	}
	return Side[T]{&d.c.Run.Views[v.ref.View-1], d.c, v.ref, v.empty}
}

// sideInput is a view that a ParDo uses.
type sideInput struct {
	coll
	ref flow.SideRef
}

// Get is the view's content for the element at hand.
func (s Side[T]) Get() T {
	x := s.empty
	if s.ref.Whole {
		x = s.slot.Get()
	} else if v, ok := s.slot.Pane(s.ref.Window(s.c.Win)); ok {
		x = v
	}
	switch v := x.(type) {
	case T:
		return v
	case noSingleton:
		panic(string(v))
	}
	panic("BUG: pipeline: a side input was read before it was complete")
}

// sideGate holds c back, window by window where a side input has windows, until
// the side inputs are ready.
func sideGate[T any](c coll, sides []sideInput) coll {
	whole := true
	var signals []coll
	var refs []flow.SideRef
	for _, s := range sides {
		whole = whole && s.ref.Whole
		signals, refs = append(signals, s.coll), append(refs, s.ref)
		if c.windowing.Fn.Kind() != window.KindGlobal {
			continue
		}
		if _, err := s.ref.Fn.Side(window.Global); err != nil {
			c.p.g.Errorf("ParDo: %w: give the main input windows", err)
			return c
		}
	}
	if whole {
		return gate[T](c, "SideInput", signals)
	}
	n := &graph.Node{Kind: "SideInput", Op: flow.WindowGate(refs, coderOf[T](c), c.assign()), Out: []graph.Type{c.typ()}, Stateful: true, WinColumns: true,
		State: part(graph.PartWaiting, "elements", coderOf[T](c).ID, graph.WithNumber(graph.OptionSides, len(refs)))}
	for _, s := range signals {
		if !same("SideInput", c, s) {
			return c
		}
		n.In = append(n.In, graph.In{Ref: s.ref, Kind: graph.Broadcast, Signal: true, Aside: true})
	}
	out := c.to(c.add(n, graph.Forward, ""), 0)
	out.behind = true
	return out
}

// gate holds c back until all of signals have ended.
func gate[T any](c coll, kind string, signals []coll) coll {
	var windows []string
	if c.behind {
		windows = []string{graph.OptionWindows}
	}
	n := &graph.Node{Kind: kind, Op: flow.Gate[T](len(signals), coderOf[T](c), c.behind), Out: []graph.Type{c.typ()}, Spills: true,
		State: part(graph.PartHeld, "elements", coderOf[T](c).ID, windows...)}
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
	if !c.coll.ok("WaitOn") {
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
		c.coll.p.g.Errorf("WaitOn: no signals to wait for")
		return c
	}
	return PCollection[T]{gate[T](c.coll, "WaitOn", colls)}
}
