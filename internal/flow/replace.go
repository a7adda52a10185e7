package flow

import (
	"context"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
)

// Elements is what is known of T where something else may stand in for a source or a
// sink of it. cod is for elements that fail on their way into a sink.
func Elements[T any](cod coder.Coder[T]) graph.Elements { return elements[T]{cod} }

type elements[T any] struct{ cod coder.Coder[T] }

func (elements[T]) Box(out any) graph.Box { return &box[T]{next: recvOf[T](out)} }

func (e elements[T]) Lines(lines graph.Op, format func(v any, ts int64) (string, error)) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		in, live := lines.Open(c, out)
		v := new(T) // one for the lane: elements are not put on the heap one by one
		in, _ = TryMap(func(_ context.Context, e T) (string, error) {
			*v = e
			return format(v, c.TS)
		}, e.cod).Open(c, in)
		return in, live
	})
}

// box is a graph.Box.
type box[T any] struct {
	next Recv[T]
	v    T
}

func (b *box[T]) New() any {
	var zero T
	b.v = zero
	return &b.v
}

func (b *box[T]) Emit(c *graph.Ctx) { b.next(c, b.v) }
