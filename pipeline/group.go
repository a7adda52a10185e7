package pipeline

import (
	"iter"
	"reflect"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// keyedEdge is how c's elements reach their key's lane.
func (c Keyed[K, V]) keyedEdge() graph.EdgeKind {
	if c.placed {
		return graph.Forward
	}
	return graph.ByKey
}

// behindGrouping is output 0 of a grouping node: its windows are known, do not
// merge again, and its trigger goes on as M61 says.
func (c coll) behindGrouping(n *graph.Node) coll {
	out := c.to(n, 0)
	out.behind, out.strayed, out.windowing = true, false, c.windowing.Continued()
	return out
}

// GroupByKey gathers the values of each key and window. The sequence may be
// ranged over more than once, during the call that brings it only: copy it
// (slices.Collect) to keep it. Values are held encoded, and beyond the memory
// budget on disk, so a group may be larger than memory.
func GroupByKey[K comparable, V any](c Keyed[K, V], opts ...Option) Keyed[K, iter.Seq[V]] {
	if !c.coll.ok("GroupByKey") {
		return Keyed[K, iter.Seq[V]]{coll: poison}
	}
	key, val := flow.KeyedCoders[K, V](c.coll.typ())
	node := &graph.Node{Kind: "GroupByKey", Stateful: true, WinColumns: true, Key: key.ID, Out: []graph.Type{flow.GroupedType(key, val)}}
	late := addLate(c, node, opts)
	if late == nil && flow.Simple(c.coll.windowing) {
		node.Spills = true
		node.State = part(graph.PartGrouped, "values", val.ID)
		node.Op = &flow.Group[K, V]{Key: key, Val: val, Assign: c.coll.assign()}
	} else {
		node.State = paned(c.coll.windowing, "values", val.ID)
		node.Op = flow.PanedGroup(key, val, c.coll.windowing, c.coll.assign(), late)
	}
	n := c.coll.add(node, c.keyedEdge(), nameOf(opts))
	setLate(c.coll, n, late != nil, opts)
	return Keyed[K, iter.Seq[V]]{c.coll.behindGrouping(n), flow.HoldsNothing(c.coll.windowing)}
}

// Combiner folds values of type V into an accumulator A, in place, and makes a
// result R of it.
type Combiner[V, A, R any] struct {
	Init    func() A        // makes an empty accumulator; nil: the zero value of A
	Add     func(a *A, v V) // adds a value
	Merge   func(a *A, b A) // adds another accumulator, which is not used afterwards; nil: no combining before the shuffle
	Extract func(a A) R     // makes the result; must do so of an empty accumulator as well
	Coder   *coder.Coder[A] // of the accumulator; nil: inferred
}

// check reports what is missing.
func (cb Combiner[V, A, R]) check(p *Pipeline, kind string) (flow.Combiner[V, A, R], bool) {
	switch {
	case cb.Add == nil:
		p.g.Errorf("%s: the combiner has no Add", kind)
	case cb.Extract == nil:
		p.g.Errorf("%s: the combiner has no Extract", kind)
	}
	f := flow.Combiner[V, A, R]{Init: cb.Init, Add: cb.Add, Merge: cb.Merge, Extract: cb.Extract}
	if cb.Coder != nil {
		f.Acc = *cb.Coder
	} else {
		var err error
		if f.Acc, err = coder.For[A](); err != nil {
			p.g.Errorf("%s: the accumulator of type %v has no coder, which state and the shuffle need: %w; or set Combiner.Coder", kind, reflect.TypeFor[A](), err)
		}
	}
	return f, cb.Add != nil && cb.Extract != nil
}

// CombinePerKey folds the values of each key and window. With a Merge the values
// are combined before the shuffle already.
func CombinePerKey[K comparable, V, A, R any](c Keyed[K, V], cb Combiner[V, A, R], opts ...Option) Keyed[K, R] {
	if !c.coll.ok("CombinePerKey") {
		return Keyed[K, R]{coll: poison}
	}
	return combine(c, "CombinePerKey", cb, nil, opts)
}

// CombineGlobally folds all values of each window into one result, on one lane.
// Of no values at all it makes, in the global window, the result of the empty
// accumulator. It needs a Merge, so that every lane can do its part.
func CombineGlobally[V, A, R any](c PCollection[V], cb Combiner[V, A, R], opts ...Option) PCollection[R] {
	if !c.coll.ok("CombineGlobally") {
		return PCollection[R]{poison}
	}
	if cb.Merge == nil {
		c.coll.p.g.Errorf("CombineGlobally: the combiner has no Merge, which combining over all lanes needs")
	}
	name := nameOf(opts)
	if name == "" {
		name = "CombineGlobally"
		defer c.coll.p.g.Scope(name)()
	} else {
		defer c.coll.p.g.Scope(name)()
	}
	all := KeyBy(c, func(V) bool { return true })
	key := true
	var empty *bool
	if c.coll.windowing.Fn.Kind() == window.KindGlobal {
		empty = &key
	}
	return MapKV(combine(all, "CombineGlobally", cb, empty, nil), func(_ bool, r R) R { return r })
}

// combine adds the nodes of a combine: a lifted half before the shuffle, if the
// combiner can merge and there is a shuffle, and the final half.
func combine[K comparable, V, A, R any](c Keyed[K, V], kind string, cb Combiner[V, A, R], empty *K, opts []Option) Keyed[K, R] {
	f, ok := cb.check(c.coll.p, kind)
	if !ok {
		return Keyed[K, R]{coll: poison}
	}
	key, val := flow.KeyedCoders[K, V](c.coll.typ())
	out := flow.KeyedType(key, coderFor[R](c.coll.p, kind))
	if c.coll.windowing.Fn.Merging() && cb.Merge == nil {
		c.coll.p.g.Errorf("%s: the combiner has no Merge, which windows that merge (%s) need", kind, c.coll.windowing.Fn)
	}
	if empty != nil || kind == "CombineGlobally" {
		kind = "Combine" // below a scope that says the rest
	}
	node := &graph.Node{Kind: kind, Stateful: true, WinColumns: true, Key: key.ID, Out: []graph.Type{out}}
	in, assign := c.coll, c.coll.assign()
	late := addLate(c, node, opts)
	simple := flow.Simple(c.coll.windowing)
	sliced := cb.Merge != nil && !c.coll.behind && simple && late == nil && flow.Sliced(c.coll.windowing)
	lift := cb.Merge != nil && !c.placed && late == nil && flow.Liftable(c.coll.windowing)
	switch {
	case sliced:
		node.State = part(graph.PartSliced, accumulator, f.Acc.ID)
	case simple && late == nil:
		node.State = part(graph.PartCombined, accumulator, f.Acc.ID)
	default:
		node.State = paned(c.coll.windowing, accumulator, f.Acc.ID)
	}
	merge := func(a *A, b A) { cb.Merge(a, b) }
	extract := func(_ *graph.Ctx, a A) R { return cb.Extract(a) }
	if lift {
		before := assign
		if sliced {
			before = flow.NewSliceAssign(c.coll.windowing.Fn)
		}
		derived := sliced || c.coll.windowing.Fn.Kind() == window.KindGlobal || flow.Derived(c.coll.windowing.Fn)
		pre := &graph.Node{Kind: kind + ".Lift", Op: flow.CombinePre(key, val, before, f, liftedKeys),
			Out: []graph.Type{flow.KeyedType(key, f.Acc)}, Windowing: c.coll.windowing, WinColumns: !derived, In: []graph.In{{Ref: c.coll.ref}}}
		in = c.coll.to(c.coll.p.g.Add(pre, lifted(opts)), 0)
		in.behind = !derived
		known := flow.NewAssign(c.coll.windowing, true)
		if simple {
			node.Op = &flow.Combine[K, A, A, R]{Key: key, Val: f.Acc, Acc: f.Acc, Assign: known, Init: f.Init, Add: f.Merge, Merge: f.Merge, Slices: sliced, Extract: f.Extract, EmitEmpty: empty}
		} else {
			node.Op = &flow.Paned[K, A, A, R]{Key: key, Val: f.Acc, Acc: f.Acc, Strategy: c.coll.windowing, Assign: known, Init: f.Init, Add: f.Merge, Merge: merge, Extract: extract}
		}
	} else if simple && late == nil {
		node.Op = &flow.Combine[K, V, A, R]{Key: key, Val: val, Acc: f.Acc, Assign: assign, Init: f.Init, Add: f.Add, Merge: f.Merge, Slices: sliced, Extract: f.Extract, EmitEmpty: empty}
	} else {
		node.Op = &flow.Paned[K, V, A, R]{Key: key, Val: val, Acc: f.Acc, Strategy: c.coll.windowing, Assign: assign, Init: f.Init, Add: f.Add, Merge: merge, Extract: extract, Late: late}
	}
	n := in.add(node, c.keyedEdge(), nameOf(opts))
	setLate(c.coll, n, late != nil, opts)
	return Keyed[K, R]{c.coll.behindGrouping(n), flow.HoldsNothing(c.coll.windowing)}
}

const accumulator = "accumulator"

// part is the State of a node whose rows have one part.
func part(kind, name, cod string, options ...string) []string {
	return []string{graph.Part{Kind: kind, Name: name, Coder: cod, Options: options}.String()}
}

// paned is the State of a grouping whose windows may have several panes.
func paned(s window.Strategy, name, cod string) []string {
	kind := graph.PartPaned
	if s.Fn.Merging() {
		kind = graph.PartMerging
	}
	return part(kind, name, cod, graph.WithNumber(graph.OptionWords, s.Compile().Words()))
}

// liftedKeys is how many keys a lane combines before the shuffle at a time. More
// keys save more of the shuffle; fewer stay in the cache.
const liftedKeys = 1 << 16

// lifted is the name of the half before the shuffle.
func lifted(opts []Option) string {
	if name := nameOf(opts); name != "" {
		return name + ".Lift"
	}
	return ""
}

// Grouped2 is the values of one key in two collections. Both sequences may be
// ranged over more than once, during the call that brings them only.
type Grouped2[A, B any] struct {
	A iter.Seq[A]
	B iter.Seq[B]
}

// CoGroup gathers the values of each key in two collections with the same
// windows. Package transforms has joins.
func CoGroup[K comparable, A, B any](a Keyed[K, A], b Keyed[K, B], opts ...Option) Keyed[K, Grouped2[A, B]] {
	if !a.coll.ok("CoGroup: input 1") || !b.coll.ok("CoGroup: input 2") || !same("CoGroup", a.coll, b.coll) {
		return Keyed[K, Grouped2[A, B]]{coll: poison}
	}
	name := nameOf(opts)
	if name == "" {
		name = "CoGroup"
	}
	defer a.coll.p.g.Scope(name)()
	key, ca := flow.KeyedCoders[K, A](a.coll.typ())
	_, cb := flow.KeyedCoders[K, B](b.coll.typ())
	either := flow.EitherCoder(ca, cb)
	left := mapValues(a, "Left", either, func(v A) flow.Either[A, B] { return flow.Either[A, B]{A: v} }, nil)
	right := mapValues(b, "Right", either, func(v B) flow.Either[A, B] { return flow.Either[A, B]{Right: true, B: v} }, nil)
	groups := GroupByKey(FlattenKeyed(left, right))
	if !groups.coll.ok("CoGroup") {
		return Keyed[K, Grouped2[A, B]]{coll: poison}
	}
	op := flow.Map(func(g KV[K, iter.Seq[flow.Either[A, B]]]) KV[K, Grouped2[A, B]] {
		return KV[K, Grouped2[A, B]]{Key: g.Key, Value: Grouped2[A, B]{flow.Lefts(g.Value), flow.Rights(g.Value)}}
	}, coderOf[KV[K, iter.Seq[flow.Either[A, B]]]](groups.coll))
	seqA, seqB := flow.SeqCoder(ca), flow.SeqCoder(cb)
	val := coder.Coder[Grouped2[A, B]]{
		ID:     "millrace:coder:cogroup:v1<" + seqA.ID + "," + seqB.ID + ">",
		Append: func(dst []byte, g Grouped2[A, B]) []byte { return seqB.Append(seqA.Append(dst, g.A), g.B) },
		Decode: func(src []byte) (g Grouped2[A, B], rest []byte, err error) {
			if g.A, src, err = seqA.Decode(src); err == nil {
				g.B, src, err = seqB.Decode(src)
			}
			return g, src, err
		},
	}
	own := func(g Grouped2[A, B]) Grouped2[A, B] { return Grouped2[A, B]{flow.Own(g.A), flow.Own(g.B)} }
	return Keyed[K, Grouped2[A, B]]{elementwise[A](groups.coll, "Split", flow.LentType(key, val, own), op, nil).coll, groups.placed}
}
