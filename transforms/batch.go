package transforms

import (
	"errors"

	"github.com/millrace/millrace/pipeline"
)

var errShort = errors.New("transforms: bytes end early")

// Batch gathers elements into slices of n, for calls that are cheaper for many at
// once. A bundle's last slice may be shorter; slices never span windows, if the
// collection is windowed, since a bundle's elements are batched as they come: use
// [BatchPerKey] where windows matter.
func Batch[T any](c pipeline.PCollection[T], n int) pipeline.PCollection[[]T] {
	return pipeline.Composite(c, "Batch", func() pipeline.PCollection[[]T] {
		if n < 1 {
			pipeline.FailAt(c, "Batch: n is %d, want at least 1", n)
		}
		return pipeline.ParDo(c, func(d *pipeline.DoFn, emit pipeline.Emit[[]T]) func(pipeline.Elem, T) error {
			var open []T
			flush := func() error {
				if len(open) > 0 {
					emit(open)
					open = nil
				}
				return nil
			}
			d.OnFinishBundle(flush)
			return func(_ pipeline.Elem, v T) error {
				if open = append(open, v); len(open) >= n {
					return flush()
				}
				return nil
			}
		})
	})
}

// BatchPerKey gathers the values of each key and window into slices of n; the
// last one, when the window ends, may be shorter. name ties its state to the code.
func BatchPerKey[K comparable, V any](c pipeline.Keyed[K, V], name string, n int) pipeline.Keyed[K, []V] {
	return pipeline.Composite(c, "BatchPerKey", func() pipeline.Keyed[K, []V] {
		if n < 1 {
			pipeline.FailAt(c, "BatchPerKey: n is %d, want at least 1", n)
		}
		type batch = pipeline.KV[K, []V]
		return pipeline.FromPairs(pipeline.Stateful(c, name, func(s *pipeline.Setup[K, batch]) pipeline.Process[K, V, batch] {
			open := pipeline.BagState[V](s, "open")
			flush := func(c *pipeline.Ctx[K], emit pipeline.Emit[batch]) error {
				if vs := open.Get(c); len(vs) > 0 {
					emit(batch{Key: c.Key(), Value: append([]V(nil), vs...)})
					open.Clear(c)
				}
				return nil
			}
			end := pipeline.EventTimer(s, "end", flush)
			return func(c *pipeline.Ctx[K], v V, emit pipeline.Emit[batch]) error {
				if open.Len(c) == 0 {
					end.SetMs(c, c.Window().Last())
				}
				if open.Add(c, v); open.Len(c) >= n {
					return flush(c, emit)
				}
				return nil
			}
		}))
	})
}
