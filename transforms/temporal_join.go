package transforms

import (
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// TemporalJoin is each value of a stream with the version of a table that was valid
// at the value's event time: of the table's values of its key the one with the
// latest time at or before it; of equal times the one that came last. It is Flink's
// event-time temporal join (FOR SYSTEM_TIME AS OF) and Kafka Streams' join with a
// versioned table. A value for which the key had no version yet is left out.
//
// Both inputs stay in the global window; so is the result, which has the stream's
// event times.
//
// A value of the stream waits in state until the watermark has passed its time: then
// no earlier version can come, and the answer is final. So the result is as far
// behind as the slower of the two inputs, and the values of a key come out in the
// order of their times. A table that is silent holds all back unless its source is
// declared idle.
//
// State: the values that wait, and of each key the version that is valid at the
// watermark and those after it. Older ones are removed by an event timer when no
// waiting or future value can need them; an allowed lateness of either input
// (window.AllowedLateness) keeps them longer. The newest version of a key stays for
// ever, so keys should be bounded, or be deleted: see [TemporalJoinWithDeletes].
//
// Late data is not dropped. A late value of the stream is joined at once with the
// version of its time, if it is still there, and left out if it is not. A late version
// is used for what still waits and what comes; what has come out stays as it was.
//
// Cost: an insertion into a list by time, which is an append when values come in
// order, a search in the versions for each value of the stream, and a timer at most
// for each different time at which values wait.
func TemporalJoin[K comparable, A, B any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, B], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, B]] {
	return temporalJoin(stream, table, "TemporalJoin", opts, inner[A, B](), always[B])
}

// TemporalLeftJoin is [TemporalJoin], and every value of the stream for which the
// key had no version, at the time when this is certain.
func TemporalLeftJoin[K comparable, A, B any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, B], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, Optional[B]]] {
	return temporalJoin(stream, table, "TemporalLeftJoin", opts, leftOuter[A, B](), always[B])
}

// TemporalJoinWithDeletes is [TemporalJoin] with a table whose rows may be deleted:
// a version that is not OK says that from its time on there is none. It is Kafka's
// tombstone. Once the watermark has passed it, the key takes no state.
func TemporalJoinWithDeletes[K comparable, A, B any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, Optional[B]], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, B]] {
	return temporalJoin(stream, table, "TemporalJoinWithDeletes", opts, inner[A, B](), unlessDeleted[B])
}

// TemporalLeftJoinWithDeletes is [TemporalLeftJoin] with a table whose rows may be
// deleted: see [TemporalJoinWithDeletes].
func TemporalLeftJoinWithDeletes[K comparable, A, B any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, Optional[B]], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, Optional[B]]] {
	return temporalJoin(stream, table, "TemporalLeftJoinWithDeletes", opts, leftOuter[A, B](), unlessDeleted[B])
}

// always is the row that a change of a table makes; unlessDeleted, too, if there is one.
func always[B any](b B) (row B, ok bool)                  { return b, true }
func unlessDeleted[B any](b Optional[B]) (row B, ok bool) { return b.Value, b.OK }

// temporalJoin joins with a table of changes R, of which version makes the row.
func temporalJoin[K comparable, A, B, R, P any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, R], kind string, opts []pipeline.Option, m matcher[A, B, P], version func(R) (B, bool)) pipeline.Keyed[K, P] {
	type out = pipeline.KV[K, P]
	return pipeline.Composite(stream, kind, func() pipeline.Keyed[K, P] {
		x := temporal[K, A, B, R, P]{lateness: lateness(stream, table), m: m, version: version}
		return pipeline.FromPairs(pipeline.Stateful(bothSides(stream, table, kind), pipeline.NameOf(opts, "Join"), func(s *pipeline.Setup[K, out]) pipeline.Process[K, either[A, R], out] {
			x := x // this lane's
			x.state = pipeline.ValueState[history[A, B]](s, "history")
			x.due = pipeline.EventTimer(s, "due", x.advance)
			x.kept, x.removed = s.Counter("kept"), s.Counter("removed")
			return x.process
		}))
	})
}

// history is the state of a key: the values that wait for the watermark, and the
// versions. Marked versions are deletes.
type history[A, B any] struct {
	Waiting  waitlist[A]
	Versions waitlist[B]
	Timed    bool
	Due      int64 // when the timer comes, if Timed
}

// valid is the index of the version valid at ts, or -1.
func (h *history[A, B]) valid(ts int64) int { return h.Versions.from(ts+1) - 1 }

// put adds a version. It replaces one of the same time.
func (h *history[A, B]) put(w waiting[B]) (added bool) {
	if i := h.Versions.from(w.TS); i < len(h.Versions) && h.Versions[i].TS == w.TS {
		h.Versions[i] = w
		return false
	}
	h.Versions.add(w)
	return true
}

// prune removes the versions that nothing after ts needs, and returns how many.
func (h *history[A, B]) prune(ts int64) (n int) {
	if n = h.valid(ts); n < 0 {
		return 0
	}
	if h.Versions[n].Mark {
		n++ // deleted is as good as never there
	}
	h.Versions.drop(n)
	return n
}

// next is when there is something to do. Of many old versions half are removed at a
// time, so that a key whose row changes often has few timers.
func (h *history[A, B]) next(lateness int64) (due int64, any bool) {
	due = window.GlobalEnd
	if len(h.Waiting) > 0 {
		due, any = min(due, h.Waiting[0].TS), true
	}
	if v := h.Versions; len(v) > 1 || len(v) == 1 && v[0].Mark {
		due, any = min(due, later(v[len(v)/2].TS, lateness)), true
	}
	return due, any
}

// temporal is a temporal join on one lane.
type temporal[K comparable, A, B, R, P any] struct {
	lateness int64 // ms
	m        matcher[A, B, P]
	version  func(R) (B, bool)

	state         pipeline.Value[K, history[A, B]]
	due           pipeline.Timer[K]
	kept, removed pipeline.Counter // values and versions in state: kept less removed
}

func (x *temporal[K, A, B, R, P]) process(c *pipeline.Ctx[K], v either[A, R], _ pipeline.Emit[pipeline.KV[K, P]]) error {
	h, ts, added := x.state.Get(c), c.TimestampMs(), true
	if v.Right {
		b, ok := x.version(v.B)
		added = h.put(waiting[B]{ts, !ok, b})
	} else {
		h.Waiting.add(waiting[A]{TS: ts, Value: v.A})
	}
	if added {
		x.kept.Inc(1)
	}
	if due, any := h.next(x.lateness); any && (!h.Timed || due < h.Due) {
		h.Timed, h.Due = true, due
		x.due.SetMs(c, due)
	}
	x.state.Set(c, h)
	return nil
}

// advance joins what waited for the time at hand, and removes old versions.
func (x *temporal[K, A, B, R, P]) advance(c *pipeline.Ctx[K], emit pipeline.Emit[pipeline.KV[K, P]]) error {
	h, now := x.state.Get(c), c.TimestampMs()
	old := later(now, -x.lateness)
	if now >= window.GlobalEnd { // timers are never later, though values may be
		now, old = window.MaxTime, window.MaxTime
	}
	n := 0
	for ; n < len(h.Waiting) && h.Waiting[n].TS <= now; n++ {
		w := &h.Waiting[n]
		if i := h.valid(w.TS); i >= 0 && !h.Versions[i].Mark {
			emit(pipeline.NewKV(c.Key(), x.m.both(w.Value, h.Versions[i].Value)))
		} else if x.m.left != nil {
			emit(pipeline.NewKV(c.Key(), x.m.left(w.Value)))
		}
	}
	h.Waiting.drop(n)
	x.removed.Inc(int64(n + h.prune(old)))
	if h.Due, h.Timed = h.next(x.lateness); h.Timed {
		x.due.SetMs(c, h.Due)
	} else if len(h.Versions) == 0 {
		x.state.Clear(c)
		return nil
	}
	x.state.Set(c, h)
	return nil
}
