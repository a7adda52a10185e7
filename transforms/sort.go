package transforms

import (
	"github.com/millrace/millrace/pipeline"
)

// SortByTime hands each key's values on in the order of their event times, each when
// the watermark has passed its time; values of one time in the order in which they
// came. It is Beam's RequiresTimeSortedInput (M83). What comes behind the watermark
// can't be put in its place any more: it is dropped and counted
// (droppedDueToLateness).
//
// State: what waits for the watermark, and nothing of a key that has nothing
// waiting. The input stays in the global window.
func SortByTime[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, V] {
	type kv = pipeline.KV[K, V]
	return pipeline.Composite(c, "SortByTime", func() pipeline.Keyed[K, V] {
		wantGlobal(c, "SortByTime", "input")
		return pipeline.FromPairs(pipeline.Stateful(c, pipeline.NameOf(opts, "Sort"), func(s *pipeline.Setup[K, kv]) pipeline.Process[K, V, kv] {
			waiting := pipeline.OrderedListState[V](s, "waiting")
			late := s.Counter("droppedDueToLateness")
			var next pipeline.Timer[K]
			next = pipeline.EventTimer(s, "next", func(c *pipeline.Ctx[K], emit pipeline.Emit[kv]) error {
				passed := c.Watermark()
				for at, v := range waiting.All(c) {
					if !at.Before(passed) {
						next.Set(c, at)
						break
					}
					if err := pipeline.EmitAt(c, emit, at.UnixMilli(), kv{Key: c.Key(), Value: v}); err != nil {
						return err
					}
				}
				waiting.ClearRange(c, c.FireTime(), passed)
				return nil
			})
			return func(c *pipeline.Ctx[K], v V, _ pipeline.Emit[kv]) error {
				at := c.Timestamp()
				if at.Before(c.Watermark()) {
					late.Inc(1)
					return nil
				}
				waiting.Add(c, at, v)
				if due, set := next.Get(c); !set || at.Before(due) {
					next.Set(c, at)
				}
				return nil
			}
		}))
	})
}
