package flow

import (
	"fmt"
	"reflect"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
)

// Recv receives the elements of one collection on one lane.
type Recv[T any] = func(*graph.Ctx, T)

// batchIn is a receiver that can do better with a whole batch than with one
// element at a time. An exchange hands it batches; fused producers use one.
type batchIn[T any] struct {
	one  Recv[T]
	many func(c *graph.Ctx, b *Batch[T])
}

// RecvOf is the element-wise form of a receiver, for sources made elsewhere.
func RecvOf[T any](in any) Recv[T] { return recvOf[T](in) }

// recvOf is the element-wise form of a receiver.
func recvOf[T any](in any) Recv[T] {
	switch r := in.(type) {
	case Recv[T]:
		return r
	case *batchIn[T]:
		return r.one
	case interface{ elementwise() Recv[T] }:
		return r.elementwise()
	}
	panic(fmt.Sprintf("BUG: flow: receiver is %T, want one of %v", in, reflect.TypeFor[T]()))
}

// typ is the type of an un-keyed collection.
type typ[T any] struct{ cod coder.Coder[T] }

// Type is the collection type of T.
func Type[T any](cod coder.Coder[T]) graph.Type { return typ[T]{cod} }

func (t typ[T]) String() string   { return reflect.TypeFor[T]().String() }
func (t typ[T]) CoderID() string  { return t.cod.ID }
func (typ[T]) Tee(outs []any) any { return tee[T](outs) }

func (t typ[T]) NewEdge(cfg graph.EdgeConfig) graph.Edge {
	if cfg.Kind == graph.ByKey {
		panic("BUG: flow: " + t.String() + " is not keyed")
	}
	return &edge[T]{cfg: cfg, cod: t.cod}
}

// tee calls all receivers. An element that passes a fork must not carry changes
// from one branch into the next: operators restore what they change in Ctx.
func tee[T any](outs []any) any {
	rs := make([]Recv[T], len(outs))
	for i, o := range outs {
		rs[i] = recvOf[T](o)
	}
	switch len(rs) {
	case 0:
		return Recv[T](func(*graph.Ctx, T) {})
	case 1:
		return outs[0]
	case 2:
		a, b := rs[0], rs[1]
		return Recv[T](func(c *graph.Ctx, v T) { a(c, v); b(c, v) })
	}
	return Recv[T](func(c *graph.Ctx, v T) {
		for _, r := range rs {
			r(c, v)
		}
	})
}

// keyed is the type of a Keyed[K, V] collection.
type keyed[K comparable, V any] struct {
	typ[coder.KV[K, V]]
	key coder.Coder[K]
	val coder.Coder[V]
}

// KeyedType is the collection type of Keyed[K, V].
func KeyedType[K comparable, V any](key coder.Coder[K], val coder.Coder[V]) graph.Type {
	return keyed[K, V]{typ[coder.KV[K, V]]{coder.KVOf(key, val)}, key, val}
}

func (t keyed[K, V]) parts() (coder.Coder[K], coder.Coder[V]) { return t.key, t.val }

func (t keyed[K, V]) NewEdge(cfg graph.EdgeConfig) graph.Edge {
	if cfg.Kind != graph.ByKey {
		return t.typ.NewEdge(cfg)
	}
	return &keyEdge[K, V]{edge[coder.KV[K, V]]{cfg: cfg, cod: t.cod}, keygroup.Of[K](t.key.Append)}
}

// CoderOf returns the coder of a collection of T.
func CoderOf[T any](t graph.Type) coder.Coder[T] {
	switch t := t.(type) {
	case interface{ elem() any }:
		return t.elem().(coder.Coder[T])
	}
	panic(fmt.Sprintf("BUG: flow: type %v has no coder", t))
}

func (t typ[T]) elem() any { return t.cod }

// Is reports whether the elements are of type rt.
func (typ[T]) Is(rt reflect.Type) bool { return rt == reflect.TypeFor[T]() }

// KeyedCoders returns the coders of a keyed collection.
func KeyedCoders[K comparable, V any](t graph.Type) (coder.Coder[K], coder.Coder[V]) {
	k, ok := t.(interface {
		parts() (coder.Coder[K], coder.Coder[V])
	})
	if !ok {
		panic(fmt.Sprintf("BUG: flow: %v is no keyed type of %v", t, reflect.TypeFor[coder.KV[K, V]]()))
	}
	return k.parts()
}
