package transforms

import (
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// Deduplicate passes a value on at once, unless one that equals it has passed and is
// at most retention away from it in event time, on either side: then it is dropped.
// [Distinct] is the other way to have each value once: in each window, when the
// window ends.
//
// Who comes first passes, not whose time is earliest; it keeps its event time. What
// is dropped does not prolong the retention: of a value that is sent again and again
// one passes in each retention.
//
// State: of each different value the times at which it passed, mostly one, each until
// the watermark has passed it + retention. Then an event timer removes it, and a value
// without times takes nothing. What is not late is always compared with everything
// that it may repeat, also when the input's splits are far apart in event time. Late
// data is not dropped for being late, but passes as new if what it repeats is
// forgotten: choose retention as long as a sender may repeat itself.
//
// The values are keys of the state, so their type must be one that KeyBy takes. For
// long values [DeduplicateBy] an identifier is cheaper. The input stays in the global
// window.
func Deduplicate[T comparable](c pipeline.PCollection[T], retention time.Duration, opts ...pipeline.Option) pipeline.PCollection[T] {
	return pipeline.Composite(c, "Deduplicate", func() pipeline.PCollection[T] {
		byValue := pipeline.MapValues(pipeline.KeyBy(c, func(v T) T { return v }), func(T) bool { return true })
		return deduplicate(byValue, retention, "Deduplicate", opts, func(v T, _ bool) T { return v })
	})
}

// DeduplicatePerKey is [Deduplicate] of the values of each key: a value is dropped if
// its key has had it. A key with many values is spread over all lanes.
func DeduplicatePerKey[K, V comparable](c pipeline.Keyed[K, V], retention time.Duration, opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "DeduplicatePerKey", func() pipeline.Keyed[K, V] {
		return pipeline.FromPairs(Deduplicate(pipeline.Pairs(c), retention, opts...))
	})
}

// DeduplicateBy is [Deduplicate] of values that are equal if key gives the same for
// them, such as the identifier of a message.
func DeduplicateBy[T any, K comparable](c pipeline.PCollection[T], key func(T) K, retention time.Duration, opts ...pipeline.Option) pipeline.PCollection[T] {
	return pipeline.Composite(c, "DeduplicateBy", func() pipeline.PCollection[T] {
		return deduplicate(pipeline.KeyBy(c, key), retention, "DeduplicateBy", opts, func(_ K, v T) T { return v })
	})
}

// DeduplicateKeys is [Deduplicate] of values that are equal if their keys are: the
// first value of a key passes, and what is within retention of it does not.
func DeduplicateKeys[K comparable, V any](c pipeline.Keyed[K, V], retention time.Duration, opts ...pipeline.Option) pipeline.Keyed[K, V] {
	return pipeline.Composite(c, "DeduplicateKeys", func() pipeline.Keyed[K, V] {
		return pipeline.FromPairs(deduplicate(c, retention, "DeduplicateKeys", opts, pipeline.NewKV[K, V]))
	})
}

// deduplicate emits what out makes of the values that pass.
func deduplicate[K comparable, V, O any](c pipeline.Keyed[K, V], retention time.Duration, kind string, opts []pipeline.Option, out func(K, V) O) pipeline.PCollection[O] {
	wantGlobal(c, kind, "input")
	keep := millis(c, kind, "retention", retention)
	if retention <= 0 {
		report(c)("%s: retention is %v, want more than 0", kind, retention)
	}
	return pipeline.Stateful(c, pipeline.NameOf(opts, "Seen"), func(s *pipeline.Setup[K, O]) pipeline.Process[K, V, O] {
		passed := pipeline.ValueState[[]int64](s, "passed") // times, ascending
		kept, removed, dropped := s.Counter("kept"), s.Counter("removed"), s.Counter("duplicates")
		var end pipeline.Timer[K]
		end = pipeline.EventTimer(s, "end", func(c *pipeline.Ctx[K], _ pipeline.Emit[O]) error {
			times, n := passed.Get(c), 0
			for n < len(times) && later(times[n], keep) <= c.TimestampMs() {
				n++
			}
			removed.Inc(int64(n))
			if times = times[n:]; len(times) == 0 {
				passed.Clear(c)
				return nil
			}
			passed.Set(c, times)
			end.SetMs(c, later(times[0], keep))
			return nil
		})
		return func(c *pipeline.Ctx[K], v V, emit pipeline.Emit[O]) error {
			ts, times := c.TimestampMs(), passed.Get(c)
			i, _ := slices.BinarySearch(times, ts)
			if i > 0 && ts-times[i-1] <= keep || i < len(times) && times[i]-ts <= keep {
				dropped.Inc(1)
				return nil
			}
			passed.Set(c, slices.Insert(times, i, ts))
			if i == 0 {
				end.SetMs(c, later(ts, keep))
			}
			kept.Inc(1)
			emit(out(c.Key(), v))
			return nil
		}
	})
}
