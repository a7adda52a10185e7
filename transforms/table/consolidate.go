package table

import (
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// Consolidate passes on at most one change of each row for each interval of event
// time: at its end, from what was passed on last to what stands then. What comes and
// goes between leaves nothing. A change is as late as the interval is long. Intervals
// are aligned to the epoch; every is a whole number of milliseconds. Elements without
// a time make one change for each row, when the input ends.
//
// name ties the state to the code across versions.
func Consolidate[K comparable, V any](t Table[K, V], name string, every time.Duration) Table[K, V] {
	type out = pipeline.KV[K, Change[V]]
	ms := every.Milliseconds()
	if ms < 1 || every%time.Millisecond != 0 {
		pipeline.FailAt(t.changes, "table %q: Consolidate every %v: want whole milliseconds, 1 or more", name, every)
		ms = 1
	}
	return Table[K, V]{stateful(t.changes, name, func(s *pipeline.Setup[K, out]) pipeline.Process[K, Change[V], out] {
		shown, now := pipeline.ValueState[V](s, "shown"), pipeline.ValueState[V](s, "now")
		next := pipeline.ValueState[pending](s, "next")
		eq := newEquality[V]()
		end := pipeline.EventTimer(s, "end", func(c *pipeline.Ctx[K], emit pipeline.Emit[out]) error {
			b, a := lookup(c, shown), lookup(c, now)
			if ch, ok := between(b, a); ok && !eq.idle(ch) {
				store(c, shown, a)
				emit(out{Key: c.Key(), Value: ch})
			}
			if a.OK {
				next.Set(c, pending{Last: c.TimestampMs()})
			} else {
				next.Clear(c)
			}
			return nil
		})
		return func(c *pipeline.Ctx[K], ch Change[V], _ pipeline.Emit[out]) error {
			store(c, now, ch.After())
			st, known := next.Lookup(c)
			if st.Waits {
				return nil
			}
			at := max(c.TimestampMs(), window.MinTime+ms)
			at = window.Floor(at, ms, 0) + ms - 1
			if known {
				at = max(at, st.Last+ms) // late: its interval has had its change
			}
			next.Set(c, pending{Last: st.Last, Waits: true})
			end.SetMs(c, min(at, c.Window().Last()))
			return nil
		}
	})}
}

// pending is whether a change of a row waits for the end of its interval.
type pending struct {
	Last  int64 // when the row's last change was passed on
	Waits bool
}
