//go:build go1.27

package pipeline

import (
	"context"
	"iter"
)

// The operations that change the type, as methods: the same as the functions of
// the same names, for pipelines that read from left to right. What would lead
// from a collection of T to one of something that wraps T can never be here: Go
// forbids the cycle of instantiations.

// Map is the method form of [Map].
func (c PCollection[T]) Map[U any](f func(T) U, opts ...Option) PCollection[U] {
	return Map(c, f, opts...)
}

// TryMap is the method form of [TryMap].
func (c PCollection[T]) TryMap[U any](f func(context.Context, T) (U, error), opts ...Option) PCollection[U] {
	return TryMap(c, f, opts...)
}

// FlatMap is the method form of [FlatMap].
func (c PCollection[T]) FlatMap[U any](f func(T) iter.Seq[U], opts ...Option) PCollection[U] {
	return FlatMap(c, f, opts...)
}

// FlatMapEmit is the method form of [FlatMapEmit].
func (c PCollection[T]) FlatMapEmit[U any](f func(v T, emit Emit[U]), opts ...Option) PCollection[U] {
	return FlatMapEmit(c, f, opts...)
}

// TryFlatMap is the method form of [TryFlatMap].
func (c PCollection[T]) TryFlatMap[U any](f func(ctx context.Context, v T, emit Emit[U]) error, opts ...Option) PCollection[U] {
	return TryFlatMap(c, f, opts...)
}

// ParDo is the method form of [ParDo].
func (c PCollection[T]) ParDo[U any](setup func(d *DoFn, emit Emit[U]) func(e Elem, v T) error, opts ...Option) PCollection[U] {
	return ParDo(c, setup, opts...)
}

// KeyBy is the method form of [KeyBy].
func (c PCollection[T]) KeyBy[K comparable](key func(T) K, opts ...Option) Keyed[K, T] {
	return KeyBy(c, key, opts...)
}

// CombineGlobally is the method form of [CombineGlobally].
func (c PCollection[T]) CombineGlobally[A, R any](cb Combiner[T, A, R], opts ...Option) PCollection[R] {
	return CombineGlobally(c, cb, opts...)
}

// MapValues is the method form of [MapValues].
func (c Keyed[K, V]) MapValues[W any](f func(V) W, opts ...Option) Keyed[K, W] {
	return MapValues(c, f, opts...)
}

// Map is the method form of [MapKV].
func (c Keyed[K, V]) Map[U any](f func(K, V) U, opts ...Option) PCollection[U] {
	return MapKV(c, f, opts...)
}

// CombinePerKey is the method form of [CombinePerKey].
func (c Keyed[K, V]) CombinePerKey[A, R any](cb Combiner[V, A, R], opts ...Option) Keyed[K, R] {
	return CombinePerKey(c, cb, opts...)
}

// Stateful is the method form of [Stateful].
func (c Keyed[K, V]) Stateful[O any](name string, setup func(*Setup[K, O]) Process[K, V, O]) PCollection[O] {
	return Stateful(c, name, setup)
}
