package flow

import (
	"context"
	"iter"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// op makes an Op of a function.
type op func(c *graph.Ctx, out []any) (in []any, live any)

func (f op) Open(c *graph.Ctx, out []any) ([]any, any) { return f(c, out) }

func one[T any](r Recv[T]) []any { return []any{r} }

// Map calls f for each element. The fast path has no error: f either returns or panics.
func Map[A, B any](f func(A) B, cod coder.Coder[A]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next := recvOf[B](out[0])
		id := c.Op
		if c.Run.Careful {
			return one(mapCarefully(c, func(_ context.Context, v A) (B, error) { return f(v), nil }, cod, next)), nil
		}
		return one(Recv[A](func(c *graph.Ctx, v A) {
			c.Op = id
			next(c, f(v))
		})), nil
	})
}

// TryMap is Map of a function that can fail.
func TryMap[A, B any](f func(context.Context, A) (B, error), cod coder.Coder[A]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next, ctx := recvOf[B](out[0]), c.Run.Context
		id := c.Op
		if c.Run.Careful {
			return one(mapCarefully(c, f, cod, next)), nil
		}
		return one(Recv[A](func(c *graph.Ctx, v A) {
			c.Op = id
			w, err := f(ctx, v)
			if err != nil {
				c.Fail(err)
				return
			}
			next(c, w)
		})), nil
	})
}

func mapCarefully[A, B any](c *graph.Ctx, f func(context.Context, A) (B, error), cod coder.Coder[A], next Recv[B]) Recv[A] {
	g, ctx := &guard[A]{node: c.Node(), cod: cod}, c.Run.Context
	return func(c *graph.Ctx, v A) {
		var w B
		if g.try(c, v, func() (err error) { w, err = f(ctx, v); return }, nil) {
			next(c, w)
		}
	}
}

// Filter passes the elements for which f is true.
func Filter[T any](f func(T) bool, cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next := recvOf[T](out[0])
		id := c.Op
		if c.Run.Careful {
			return one(filterCarefully(c, func(_ context.Context, v T) (bool, error) { return f(v), nil }, cod, next)), nil
		}
		return one(Recv[T](func(c *graph.Ctx, v T) {
			c.Op = id
			if f(v) {
				next(c, v)
			}
		})), nil
	})
}

// TryFilter is Filter by a function that can fail.
func TryFilter[T any](f func(context.Context, T) (bool, error), cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next, ctx := recvOf[T](out[0]), c.Run.Context
		id := c.Op
		if c.Run.Careful {
			return one(filterCarefully(c, f, cod, next)), nil
		}
		return one(Recv[T](func(c *graph.Ctx, v T) {
			c.Op = id
			switch keep, err := f(ctx, v); {
			case err != nil:
				c.Fail(err)
			case keep:
				next(c, v)
			}
		})), nil
	})
}

func filterCarefully[T any](c *graph.Ctx, f func(context.Context, T) (bool, error), cod coder.Coder[T], next Recv[T]) Recv[T] {
	g, ctx := &guard[T]{node: c.Node(), cod: cod}, c.Run.Context
	return func(c *graph.Ctx, v T) {
		var keep bool
		if g.try(c, v, func() (err error) { keep, err = f(ctx, v); return }, nil) && keep {
			next(c, v)
		}
	}
}

// FlatMap passes each element of the sequence that f makes. The yield is made
// once a lane, so the engine allocates nothing; f's own iterator may.
func FlatMap[A, B any](f func(A) iter.Seq[B], cod coder.Coder[A]) graph.Op {
	return FlatMapEmit(func(v A, emit func(B)) {
		f(v)(func(w B) bool { emit(w); return true })
	}, func(v A, yield func(B) bool) {
		f(v)(yield)
	}, cod)
}

// FlatMapEmit passes what f emits. seq, if not nil, is the same in yield form,
// which the fast path then uses.
func FlatMapEmit[A, B any](f func(A, func(B)), seq func(A, func(B) bool), cod coder.Coder[A]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next := recvOf[B](out[0])
		id := c.Op
		if c.Run.Careful {
			return TryFlatMap(func(_ context.Context, v A, emit func(B)) error { f(v, emit); return nil }, cod).Open(c, out)
		}
		if seq != nil {
			yield := func(w B) bool { next(c, w); c.Op = id; return c.Err() == nil }
			return one(Recv[A](func(c *graph.Ctx, v A) {
				c.Op = id
				seq(v, yield)
			})), nil
		}
		emit := func(w B) { next(c, w); c.Op = id }
		return one(Recv[A](func(c *graph.Ctx, v A) {
			c.Op = id
			f(v, emit)
		})), nil
	})
}

// TryFlatMap is FlatMapEmit of a function that can fail.
func TryFlatMap[A, B any](f func(context.Context, A, func(B)) error, cod coder.Coder[A]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next, n, ctx := recvOf[B](out[0]), c.Node(), c.Run.Context
		id := c.Op
		if c.Run.Careful {
			g, h := &guard[A]{node: n, cod: cod}, &held[B]{}
			emit := h.emit
			return one(Recv[A](func(c *graph.Ctx, v A) {
				if g.try(c, v, func() error { return f(ctx, v, emit) }, h.drop) {
					h.pass(c, next)
				}
			})), nil
		}
		emit := func(w B) { next(c, w); c.Op = id }
		return one(Recv[A](func(c *graph.Ctx, v A) {
			c.Op = id
			if err := f(ctx, v, emit); err != nil {
				c.Fail(err)
			}
		})), nil
	})
}

// CatchMap is TryMap with the failures as a second output, made by fail.
func CatchMap[A, B, F any](f func(context.Context, A) (B, error), fail func(A, error) F) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next, bad, n, ctx := recvOf[B](out[0]), recvOf[F](out[1]), c.Node(), c.Run.Context
		return one(Recv[A](func(c *graph.Ctx, v A) {
			var w B
			if err := protect(c, n, func() (err error) { w, err = f(ctx, v); return }); err != nil {
				bad(c, fail(v, err))
				return
			}
			next(c, w)
		})), nil
	})
}

// KeyBy gives each element a key.
func KeyBy[K comparable, V any](f func(V) K, cod coder.Coder[V]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		next, id := recvOf[coder.KV[K, V]](out[0]), c.Op
		if c.Run.Careful {
			return one(mapCarefully(c, func(_ context.Context, v V) (coder.KV[K, V], error) {
				return coder.KV[K, V]{Key: f(v), Value: v}, nil
			}, cod, next)), nil
		}
		if in, ok := out[0].(*keyIn[K, V]); ok {
			return one(in.by(f, id)), nil
		}
		return one(Recv[V](func(c *graph.Ctx, v V) {
			c.Op = id
			next(c, coder.KV[K, V]{Key: f(v), Value: v})
		})), nil
	})
}

// TryKeyBy is KeyBy of a function that can fail.
func TryKeyBy[K comparable, V any](f func(context.Context, V) (K, error), cod coder.Coder[V]) graph.Op {
	return TryMap(func(ctx context.Context, v V) (coder.KV[K, V], error) {
		k, err := f(ctx, v)
		return coder.KV[K, V]{Key: k, Value: v}, err
	}, cod)
}

// MapValues keeps the key.
func MapValues[K comparable, V, W any](f func(V) W, cod coder.Coder[coder.KV[K, V]]) graph.Op {
	return Map(func(v coder.KV[K, V]) coder.KV[K, W] { return coder.KV[K, W]{Key: v.Key, Value: f(v.Value)} }, cod)
}

// Flatten has n inputs and one output.
func Flatten[T any](n int) graph.Op {
	return op(func(_ *graph.Ctx, out []any) ([]any, any) {
		next, in := recvOf[T](out[0]), make([]any, n)
		for i := range in {
			in[i] = next
		}
		return in, nil
	})
}

// Explode passes each element on once for each of its windows, with the window.
func Explode[T any](a Assign) graph.Op {
	return op(func(_ *graph.Ctx, out []any) ([]any, any) {
		next := recvOf[T](out[0])
		var wins []window.Interval
		return one(Recv[T](func(c *graph.Ctx, v T) {
			win := c.Win
			wins = a.windows(c, wins)
			for _, w := range wins {
				c.Win = w
				next(c, v)
			}
			c.Win = win
		})), nil
	})
}

// Identity passes on: a border between stages (Reshuffle, Windowed markers).
func Identity[T any]() graph.Op { return Flatten[T](1) }

// Partition passes each element to the output that f names.
func Partition[T any](n int, f func(T) int, cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		nexts, node := make([]Recv[T], n), c.Node()
		for i := range nexts {
			nexts[i] = recvOf[T](out[i])
		}
		g, careful := &guard[T]{node: node, cod: cod}, c.Run.Careful
		return one(Recv[T](func(c *graph.Ctx, v T) {
			c.Op = node.ID
			var i int
			if careful {
				if !g.try(c, v, func() error { i = f(v); return inRange(i, n) }, nil) {
					return
				}
			} else {
				i = f(v)
				if uint(i) >= uint(n) {
					c.Fail(inRange(i, n))
					return
				}
			}
			nexts[i](c, v)
		})), nil
	})
}
