package table

import (
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

// Consolidate passes on at most one change of each row for each interval of event
// time: at its end, from what was passed on last to what stands then. What comes and
// goes between leaves nothing. A change waits until the watermark has passed the end
// of its interval, and a row has one value in its state for each interval that waits.
// A row whose changes come in the order of their times has the same changes in every
// run; one that is late comes with the next, unless the row was gone and forgotten.
//
// Intervals are aligned to the epoch; every is a whole number of milliseconds.
// Elements without a time make one change for each row, when the input ends. name ties
// the state to the code across versions.
func Consolidate[K comparable, V any](t Table[K, V], name string, every time.Duration) Table[K, V] {
	type out = pipeline.KV[K, Change[V]]
	ms := every.Milliseconds()
	if ms < 1 || every%time.Millisecond != 0 {
		pipeline.FailAt(t.changes, "table %q: Consolidate every %v: want whole milliseconds, 1 or more", name, every)
		ms = 1
	}
	return Table[K, V]{stateful(t.changes, name, func(s *pipeline.Setup[K, out]) pipeline.Process[K, Change[V], out] {
		rows := pipeline.ValueState[quiet[V]](s, "row")
		eq := newEquality[V]()
		var end pipeline.Timer[K]
		end = pipeline.EventTimer(s, "end", func(c *pipeline.Ctx[K], emit pipeline.Emit[out]) error {
			st := rows.Get(c)
			ch, ok := between(st.Shown, st.Waits[0].Row)
			if ok = ok && !eq.idle(ch); ok {
				st.Shown, st.Since, st.Spoke = st.Waits[0].Row, st.Waits[0].At, true
			}
			if st.Waits = slices.Delete(st.Waits, 0, 1); len(st.Waits) > 0 {
				end.SetMs(c, st.Waits[0].At)
			}
			if len(st.Waits) > 0 || st.Shown.OK {
				rows.Set(c, st)
			} else {
				rows.Clear(c)
			}
			if ok {
				emit(out{Key: c.Key(), Value: ch})
			}
			return nil
		})
		return func(c *pipeline.Ctx[K], ch Change[V], _ pipeline.Emit[out]) error {
			st := rows.Get(c)
			at := max(c.TimestampMs(), window.MinTime+ms) // so that its interval is one
			at = window.Floor(at, ms, 0) + ms - 1
			if st.Spoke {
				at = max(at, st.Since+ms)
			}
			st.wait(min(at, c.Window().Last()), ch.After())
			end.SetMs(c, st.Waits[0].At)
			rows.Set(c, st)
			return nil
		}
	})}
}

// quiet is what Consolidate remembers of a row.
type quiet[V any] struct {
	Shown transforms.Optional[V] // as it was passed on last
	Since int64                  // when that was: the last instant of an interval
	Spoke bool                   // that was at all
	Waits []interval[V]          // not passed on yet, by time
}

// interval is what a row has become by the end of an interval.
type interval[V any] struct {
	At  int64 // its last instant
	Row transforms.Optional[V]
}

// wait puts off a row until at, or until the last instant that waits if that is later:
// changes keep their order.
func (st *quiet[V]) wait(at int64, row transforms.Optional[V]) {
	if n := len(st.Waits); n > 0 && at <= st.Waits[n-1].At {
		st.Waits[n-1].Row = row
		return
	}
	st.Waits = append(st.Waits, interval[V]{at, row})
}
