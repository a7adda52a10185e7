package pipeline

import (
	"context"
	"fmt"
	"iter"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
)

// elementwise adds a fused one-input transform with one output.
func elementwise[B any](c coll, kind string, out graph.Type, op graph.Op, opts []Option) PCollection[B] {
	n := c.add(&graph.Node{Kind: kind, Op: op, Out: []graph.Type{out}}, graph.Forward, nameOf(opts))
	return PCollection[B]{c.to(n, 0)}
}

// Map calls f for each element.
func Map[A, B any](c PCollection[A], f func(A) B, opts ...Option) PCollection[B] {
	if !c.coll.ok("Map") {
		return PCollection[B]{poison}
	}
	c.coll.nilFunc("Map", f == nil)
	return elementwise[B](c.coll, "Map", elemType[B](c.coll.p, "Map", c.coll), flow.Map(f, coderOf[A](c.coll)), opts)
}

// TryMap is [Map] of a function that can fail. ctx ends with the run.
func TryMap[A, B any](c PCollection[A], f func(context.Context, A) (B, error), opts ...Option) PCollection[B] {
	if !c.coll.ok("TryMap") {
		return PCollection[B]{poison}
	}
	c.coll.nilFunc("TryMap", f == nil)
	return elementwise[B](c.coll, "Map", elemType[B](c.coll.p, "TryMap", c.coll), flow.TryMap(f, coderOf[A](c.coll)), opts)
}

// Failed is an element that a function could not handle, and why.
type Failed[T any] struct {
	Input T
	Error string
}

// CatchMap is [TryMap] with the failing elements, panics included, as a second
// collection instead of the run's policy.
func CatchMap[A, B any](c PCollection[A], f func(context.Context, A) (B, error), opts ...Option) (PCollection[B], PCollection[Failed[A]]) {
	if !c.coll.ok("CatchMap") {
		return PCollection[B]{poison}, PCollection[Failed[A]]{poison}
	}
	c.coll.nilFunc("CatchMap", f == nil)
	op := flow.CatchMap(f, func(v A, err error) Failed[A] { return Failed[A]{v, err.Error()} })
	n := c.coll.add(&graph.Node{Kind: "Map", Op: op, Out: []graph.Type{elemType[B](c.coll.p, "CatchMap", c.coll), flow.Type(coderFor[Failed[A]](c.coll.p, "CatchMap"))}},
		graph.Forward, nameOf(opts))
	return PCollection[B]{c.coll.to(n, 0)}, PCollection[Failed[A]]{c.coll.to(n, 1)}
}

// Filter keeps the elements for which keep is true.
func Filter[T any](c PCollection[T], keep func(T) bool, opts ...Option) PCollection[T] {
	if !c.coll.ok("Filter") {
		return PCollection[T]{poison}
	}
	c.coll.nilFunc("Filter", keep == nil)
	return elementwise[T](c.coll, "Filter", c.coll.typ(), flow.Filter(keep, coderOf[T](c.coll)), opts)
}

// Filter keeps the elements for which keep is true.
func (c PCollection[T]) Filter(keep func(T) bool, opts ...Option) PCollection[T] {
	return Filter(c, keep, opts...)
}

// TryFilter is [Filter] by a function that can fail.
func TryFilter[T any](c PCollection[T], keep func(context.Context, T) (bool, error), opts ...Option) PCollection[T] {
	if !c.coll.ok("TryFilter") {
		return PCollection[T]{poison}
	}
	c.coll.nilFunc("TryFilter", keep == nil)
	return elementwise[T](c.coll, "Filter", c.coll.typ(), flow.TryFilter(keep, coderOf[T](c.coll)), opts)
}

// FlatMap passes on each element of the sequence that f makes of an element, as
// strings.FieldsSeq does. The engine allocates nothing; f's iterator may, about
// one closure a call. [FlatMapEmit] is the form for hot paths.
func FlatMap[A, B any](c PCollection[A], f func(A) iter.Seq[B], opts ...Option) PCollection[B] {
	if !c.coll.ok("FlatMap") {
		return PCollection[B]{poison}
	}
	c.coll.nilFunc("FlatMap", f == nil)
	return elementwise[B](c.coll, "FlatMap", elemType[B](c.coll.p, "FlatMap", c.coll), flow.FlatMap(f, coderOf[A](c.coll)), opts)
}

// FlatMapEmit passes on whatever f emits for an element.
func FlatMapEmit[A, B any](c PCollection[A], f func(v A, emit Emit[B]), opts ...Option) PCollection[B] {
	if !c.coll.ok("FlatMapEmit") {
		return PCollection[B]{poison}
	}
	c.coll.nilFunc("FlatMapEmit", f == nil)
	return elementwise[B](c.coll, "FlatMap", elemType[B](c.coll.p, "FlatMapEmit", c.coll), flow.FlatMapEmit(f, nil, coderOf[A](c.coll)), opts)
}

// TryFlatMap is [FlatMapEmit] of a function that can fail. Of an element that
// fails and is set aside no output is passed on, not even what was emitted before.
func TryFlatMap[A, B any](c PCollection[A], f func(ctx context.Context, v A, emit Emit[B]) error, opts ...Option) PCollection[B] {
	if !c.coll.ok("TryFlatMap") {
		return PCollection[B]{poison}
	}
	c.coll.nilFunc("TryFlatMap", f == nil)
	return elementwise[B](c.coll, "FlatMap", elemType[B](c.coll.p, "TryFlatMap", c.coll), flow.TryFlatMap(f, coderOf[A](c.coll)), opts)
}

// KeyBy gives each element the key that key returns for it. Key types must be
// canonical: pointers, interfaces, channels and floats are refused, also inside structs.
func KeyBy[K comparable, V any](c PCollection[V], key func(V) K, opts ...Option) Keyed[K, V] {
	if !c.coll.ok("KeyBy") {
		return Keyed[K, V]{coll: poison}
	}
	c.coll.nilFunc("KeyBy", key == nil)
	cod, ok := keyCoder[K](c.coll.p, "KeyBy")
	if !ok {
		return Keyed[K, V]{coll: poison}
	}
	t := flow.KeyedType(cod, coderOf[V](c.coll))
	return Keyed[K, V]{coll: elementwise[V](c.coll, "KeyBy", t, flow.KeyBy(key, coderOf[V](c.coll)), opts).coll}
}

// TryKeyBy is [KeyBy] of a function that can fail.
func TryKeyBy[K comparable, V any](c PCollection[V], key func(context.Context, V) (K, error), opts ...Option) Keyed[K, V] {
	if !c.coll.ok("TryKeyBy") {
		return Keyed[K, V]{coll: poison}
	}
	c.coll.nilFunc("TryKeyBy", key == nil)
	cod, ok := keyCoder[K](c.coll.p, "TryKeyBy")
	if !ok {
		return Keyed[K, V]{coll: poison}
	}
	t := flow.KeyedType(cod, coderOf[V](c.coll))
	return Keyed[K, V]{coll: elementwise[V](c.coll, "KeyBy", t, flow.TryKeyBy(key, coderOf[V](c.coll)), opts).coll}
}

// MapValues changes the values and keeps the keys, and with them the
// partitioning: a keyed operation behind it needs no shuffle if there was one before.
func MapValues[K comparable, V, W any](c Keyed[K, V], f func(V) W, opts ...Option) Keyed[K, W] {
	if !c.coll.ok("MapValues") {
		return Keyed[K, W]{coll: poison}
	}
	c.coll.nilFunc("MapValues", f == nil)
	return mapValues(c, "MapValues", coderFor[W](c.coll.p, "MapValues"), f, opts)
}

// mapValues is MapValues with the coder of W given.
func mapValues[K comparable, V, W any](c Keyed[K, V], kind string, cod coder.Coder[W], f func(V) W, opts []Option) Keyed[K, W] {
	key, _ := flow.KeyedCoders[K, V](c.coll.typ())
	op := flow.MapValues(f, coderOf[KV[K, V]](c.coll))
	return Keyed[K, W]{elementwise[W](c.coll, kind, flow.KeyedType(key, cod), op, opts).coll, c.placed}
}

// TryMapValues is [MapValues] of a function that can fail.
func TryMapValues[K comparable, V, W any](c Keyed[K, V], f func(context.Context, V) (W, error), opts ...Option) Keyed[K, W] {
	if !c.coll.ok("TryMapValues") {
		return Keyed[K, W]{coll: poison}
	}
	c.coll.nilFunc("TryMapValues", f == nil)
	key, _ := flow.KeyedCoders[K, V](c.coll.typ())
	op := flow.TryMap(func(ctx context.Context, v KV[K, V]) (KV[K, W], error) {
		w, err := f(ctx, v.Value)
		return KV[K, W]{Key: v.Key, Value: w}, err
	}, coderOf[KV[K, V]](c.coll))
	t := flow.KeyedType(key, coderFor[W](c.coll.p, "TryMapValues"))
	return Keyed[K, W]{elementwise[W](c.coll, "MapValues", t, op, opts).coll, c.placed}
}

// MapKV makes an element of each key and value.
func MapKV[K comparable, V, U any](c Keyed[K, V], f func(K, V) U, opts ...Option) PCollection[U] {
	if !c.coll.ok("MapKV") {
		return PCollection[U]{poison}
	}
	c.coll.nilFunc("MapKV", f == nil)
	op := flow.Map(func(v KV[K, V]) U { return f(v.Key, v.Value) }, coderOf[KV[K, V]](c.coll))
	return elementwise[U](c.coll, "MapKV", elemType[U](c.coll.p, "MapKV", coll{}), op, opts)
}

// TryMapKV is [MapKV] of a function that can fail.
func TryMapKV[K comparable, V, U any](c Keyed[K, V], f func(context.Context, K, V) (U, error), opts ...Option) PCollection[U] {
	if !c.coll.ok("TryMapKV") {
		return PCollection[U]{poison}
	}
	c.coll.nilFunc("TryMapKV", f == nil)
	op := flow.TryMap(func(ctx context.Context, v KV[K, V]) (U, error) { return f(ctx, v.Key, v.Value) }, coderOf[KV[K, V]](c.coll))
	return elementwise[U](c.coll, "MapKV", elemType[U](c.coll.p, "TryMapKV", coll{}), op, opts)
}

// FlatMapKV passes on whatever f emits for a key and its value.
func FlatMapKV[K comparable, V, U any](c Keyed[K, V], f func(k K, v V, emit Emit[U]), opts ...Option) PCollection[U] {
	if !c.coll.ok("FlatMapKV") {
		return PCollection[U]{poison}
	}
	c.coll.nilFunc("FlatMapKV", f == nil)
	op := flow.FlatMapEmit(func(v KV[K, V], emit func(U)) { f(v.Key, v.Value, emit) }, nil, coderOf[KV[K, V]](c.coll))
	return elementwise[U](c.coll, "FlatMap", elemType[U](c.coll.p, "FlatMapKV", coll{}), op, opts)
}

// Filter keeps the elements for which keep is true.
func (c Keyed[K, V]) Filter(keep func(K, V) bool, opts ...Option) Keyed[K, V] {
	if !c.coll.ok("Filter") {
		return c
	}
	c.coll.nilFunc("Filter", keep == nil)
	op := flow.Filter(func(v KV[K, V]) bool { return keep(v.Key, v.Value) }, coderOf[KV[K, V]](c.coll))
	return Keyed[K, V]{elementwise[V](c.coll, "Filter", c.coll.typ(), op, opts).coll, c.placed}
}

// Pairs is the same collection as plain data. It costs nothing. (A function for
// good: a method from Keyed to a collection of KV would forbid KeyBy as a method.)
func Pairs[K comparable, V any](c Keyed[K, V]) PCollection[KV[K, V]] {
	return PCollection[KV[K, V]]{c.coll}
}

// FromPairs takes the key from plain data.
func FromPairs[K comparable, V any](c PCollection[KV[K, V]], opts ...Option) Keyed[K, V] {
	if !c.coll.ok("FromPairs") {
		return Keyed[K, V]{coll: poison}
	}
	cod, ok := keyCoder[K](c.coll.p, "FromPairs")
	if !ok {
		return Keyed[K, V]{coll: poison}
	}
	t := flow.KeyedType(cod, coderFor[V](c.coll.p, "FromPairs"))
	return Keyed[K, V]{coll: elementwise[V](c.coll, "FromPairs", t, flow.Identity[KV[K, V]](), opts).coll}
}

// Flatten is the union of collections of one type and windowing. Order between
// them is undefined.
func Flatten[T any](first PCollection[T], more ...PCollection[T]) PCollection[T] {
	colls := []coll{first.coll}
	for _, m := range more {
		colls = append(colls, m.coll)
	}
	return PCollection[T]{flatten[T](colls)}
}

// FlattenKeyed is [Flatten] of keyed collections.
func FlattenKeyed[K comparable, V any](first Keyed[K, V], more ...Keyed[K, V]) Keyed[K, V] {
	colls := []coll{first.coll}
	for _, m := range more {
		colls = append(colls, m.coll)
	}
	return Keyed[K, V]{coll: flatten[KV[K, V]](colls)}
}

func flatten[T any](colls []coll) coll {
	first := colls[0]
	for i, c := range colls {
		if !c.ok(fmt.Sprintf("Flatten: input %d", i+1)) || !first.ok("Flatten: input 1") || !same("Flatten", first, c) {
			return poison
		}
		if a, b := first.windowing.Fn.String(), c.windowing.Fn.String(); a != b {
			first.p.g.Errorf("Flatten: input 1 has windows %s, input %d has %s: give all the same with Windowed", a, i+1, b)
			return poison
		}
		first.behind, first.strayed = first.behind || c.behind, first.strayed || c.strayed
	}
	for i, c := range colls {
		if first.behind && !c.behind { // all must come with windows, or none
			n := c.add(&graph.Node{Kind: "AssignWindows", Op: flow.Explode[T](c.assign()), Out: []graph.Type{c.typ()}, WinColumns: true}, graph.Forward, "")
			colls[i] = c.to(n, 0)
		}
	}
	n := &graph.Node{Kind: "Flatten", Op: flow.Flatten[T](len(colls)), Out: []graph.Type{first.typ()}, Windowing: first.windowing, WinColumns: first.behind}
	for _, c := range colls {
		n.In = append(n.In, graph.In{Ref: c.ref, Kind: graph.Forward})
	}
	return first.to(first.p.g.Add(n, ""), 0)
}

// Partition splits c into n collections: the element goes to the one whose
// number f returns, 0 to n-1; any other number fails the element.
func Partition[T any](c PCollection[T], n int, f func(T) int, opts ...Option) []PCollection[T] {
	if !c.coll.ok("Partition") || n < 1 {
		if n < 1 && c.coll.p != nil {
			c.coll.p.g.Errorf("Partition: into %d collections: want at least 1", n)
		}
		out := make([]PCollection[T], max(n, 0))
		for i := range out {
			out[i].coll = poison
		}
		return out
	}
	c.coll.nilFunc("Partition", f == nil)
	types := make([]graph.Type, n)
	for i := range types {
		types[i] = c.coll.typ()
	}
	node := c.coll.add(&graph.Node{Kind: "Partition", Op: flow.Partition(n, f, coderOf[T](c.coll)), Out: types}, graph.Forward, nameOf(opts))
	out := make([]PCollection[T], n)
	for i := range out {
		out[i] = PCollection[T]{c.coll.to(node, i)}
	}
	return out
}

// Reshuffle spreads the elements evenly over the lanes: put it behind something
// that makes many elements of few. Time, window and pane are kept.
func Reshuffle[T any](c PCollection[T], opts ...Option) PCollection[T] {
	if !c.coll.ok("Reshuffle") {
		return c
	}
	n := c.coll.add(&graph.Node{Kind: "Reshuffle", Op: flow.Identity[T](), Out: []graph.Type{c.coll.typ()}}, graph.Rebalance, nameOf(opts))
	return PCollection[T]{c.coll.to(n, 0)}
}
