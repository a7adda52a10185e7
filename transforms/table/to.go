package table

import (
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
)

// ToChanges is the changes of the rows.
func ToChanges[K comparable, V any](t Table[K, V]) pipeline.Keyed[K, Change[V]] { return t.changes }

// ToUpserts is what each row has become: nothing, if it was deleted. It is what a
// compacted topic holds, and what a sink wants that writes by key.
func ToUpserts[K comparable, V any](t Table[K, V], opts ...pipeline.Option) pipeline.Keyed[K, transforms.Optional[V]] {
	return pipeline.MapValues(t.changes, Change[V].After, opts...)
}

// ToEntries is the changes as values put in and taken back: an update is two of
// them, what was before and what is after, one behind the other.
func ToEntries[K comparable, V any](t Table[K, V], opts ...pipeline.Option) pipeline.Keyed[K, Entry[V]] {
	type out = pipeline.KV[K, Entry[V]]
	return pipeline.FromPairs(pipeline.FlatMapKV(t.changes, func(k K, c Change[V], emit pipeline.Emit[out]) {
		switch c.Kind {
		case Insert:
			emit(out{Key: k, Value: Entry[V]{Insert, c.New}})
		case Delete:
			emit(out{Key: k, Value: Entry[V]{Delete, c.Old}})
		default:
			emit(out{Key: k, Value: Entry[V]{UpdateBefore, c.Old}})
			emit(out{Key: k, Value: Entry[V]{UpdateAfter, c.New}})
		}
	}, opts...))
}

// Latest is the rows that stand at the end of a bounded input. Of an unbounded one it
// gives nothing before the input is drained. name ties its state to the code.
func Latest[K comparable, V any](t Table[K, V], name string) pipeline.Keyed[K, V] {
	type out = pipeline.KV[K, V]
	return stateful(t.changes, name, func(s *pipeline.Setup[K, out]) pipeline.Process[K, Change[V], out] {
		now := pipeline.ValueState[V](s, "row")
		end := pipeline.EventTimer(s, "end", func(c *pipeline.Ctx[K], emit pipeline.Emit[out]) error {
			emit(out{Key: c.Key(), Value: now.Get(c)})
			now.Clear(c)
			return nil
		})
		return func(c *pipeline.Ctx[K], ch Change[V], _ pipeline.Emit[out]) error {
			if ch.Kind == Delete {
				now.Clear(c)
				end.Clear(c)
				return nil
			}
			now.Set(c, ch.New)
			end.SetMs(c, c.Window().Last())
			return nil
		}
	})
}
