package transforms

import "github.com/millrace/millrace/pipeline"

// Batch gathers elements into slices of n, as they come to each lane, for calls
// that are cheaper for many at once. At the end of a bundle what is left makes a
// shorter slice, so nothing waits for long. The receiver owns the slices.
//
// A slice has the event time of its last element: elements of different windows may
// share one. Use [BatchPerKey] where the windows matter behind it.
func Batch[T any](c pipeline.PCollection[T], n int, opts ...pipeline.Option) pipeline.PCollection[[]T] {
	return pipeline.Composite(c, "Batch", func() pipeline.PCollection[[]T] {
		if n < 1 {
			report(c)("Batch: n is %d, want at least 1", n)
		}
		return pipeline.ParDo(c, func(d *pipeline.DoFn, emit pipeline.Emit[[]T]) func(pipeline.Elem, T) error {
			var open []T
			flush := func() error {
				if len(open) > 0 {
					full := open
					open = make([]T, 0, len(full)) // the next one is likely as long
					emit(full)
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
		}, opts...)
	})
}

// BatchPerKey gathers the values of each key and window into slices of n; when the
// window ends, what is left makes a shorter one. name ties its state to the code
// across versions. Windows must not merge.
func BatchPerKey[K comparable, V any](c pipeline.Keyed[K, V], name string, n int) pipeline.Keyed[K, []V] {
	type batch = pipeline.KV[K, []V]
	return pipeline.Composite(c, "BatchPerKey", func() pipeline.Keyed[K, []V] {
		if n < 1 {
			report(c)("BatchPerKey: n is %d, want at least 1", n)
		}
		return pipeline.FromPairs(pipeline.Stateful(c, name, func(s *pipeline.Setup[K, batch]) pipeline.Process[K, V, batch] {
			open := pipeline.BagState[V](s, "open")
			flush := func(c *pipeline.Ctx[K], emit pipeline.Emit[batch]) error {
				if vs := open.Get(c); len(vs) > 0 {
					full := batch{Key: c.Key(), Value: append([]V(nil), vs...)}
					open.Clear(c)
					emit(full)
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
