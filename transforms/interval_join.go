package transforms

import (
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// IntervalJoin is every pair of a left and a right value of one key whose event
// times are near each other: left + lower <= right <= left + upper. With lower = 0
// and upper an hour that is what happened within the hour after the left value; a
// negative lower looks back. It is Flink's interval join and Kafka Streams' join of
// two streams (where JoinWindows of a difference d are lower = -d and upper = d).
//
// Both inputs stay in the global window; the result is in it, too, and can be given
// others. A pair comes out as soon as its second value comes in, and has the later
// one's event time.
//
// State: whichever comes first waits for the other, a left value until the watermark
// has passed its time + upper, a right one until its time - lower (and at least its
// own time). An allowed lateness of the inputs (window.AllowedLateness) prolongs
// this, as Kafka's grace does. An event timer removes what has waited long enough;
// to have few timers for a busy key it may come later by an eighth of the interval.
// So a key costs its values of the last upper - lower and of the disorder, and
// nothing when it has been silent for as long.
//
// Late data is not dropped: a value behind the watermark is joined with what still
// waits, and waits itself if its time is not over. What is not late finds all its
// partners, whatever the order in which they come.
//
// Cost: a search in the other side's list by time, an insertion into the own list,
// which is an append when values come in order, and a timer at most for each.
// A snapshot writes the lists of the keys that have changed.
func IntervalJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], lower, upper time.Duration, opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, B]] {
	return intervalJoin(left, right, lower, upper, "IntervalJoin", opts, inner[A, B]())
}

// IntervalLeftJoin is [IntervalJoin], and every left value that found no partner.
// That one comes out when the watermark says that none can come any more: when it
// has passed the left value's time + upper, or the time itself if upper is negative,
// and the allowed lateness. That is its event time then, and not that of the left
// value, behind which the watermark is long past. The timers are exact: one for each
// different time of the values that wait.
//
// A late value whose partners are gone already comes out unmatched, at once.
func IntervalLeftJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], lower, upper time.Duration, opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, Optional[B]]] {
	return intervalJoin(left, right, lower, upper, "IntervalLeftJoin", opts, leftOuter[A, B]())
}

// IntervalRightJoin is [IntervalJoin], and every right value that found no partner,
// when the watermark has passed its time - lower: see [IntervalLeftJoin].
func IntervalRightJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], lower, upper time.Duration, opts ...pipeline.Option) pipeline.Keyed[K, Pair[Optional[A], B]] {
	return intervalJoin(left, right, lower, upper, "IntervalRightJoin", opts, rightOuter[A, B]())
}

// IntervalFullJoin is [IntervalJoin], and every value on either side that found no
// partner, when the watermark says that none can come any more: see
// [IntervalLeftJoin] and [IntervalRightJoin].
func IntervalFullJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], lower, upper time.Duration, opts ...pipeline.Option) pipeline.Keyed[K, Pair[Optional[A], Optional[B]]] {
	return intervalJoin(left, right, lower, upper, "IntervalFullJoin", opts, fullOuter[A, B]())
}

func intervalJoin[K comparable, A, B, P any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], lower, upper time.Duration, kind string, opts []pipeline.Option, m matcher[A, B, P]) pipeline.Keyed[K, P] {
	type out = pipeline.KV[K, P]
	return pipeline.Composite(left, kind, func() pipeline.Keyed[K, P] {
		if lower > upper {
			report(left)("%s: lower is %v, above upper, which is %v: no right value lies at or after left + lower and at or before left + upper", kind, lower, upper)
		}
		x := interval[K, A, B, P]{
			lower: millis(left, kind, "lower", lower), upper: millis(left, kind, "upper", upper),
			lateness: lateness(left, right), m: m,
		}
		if m.left == nil && m.right == nil {
			x.slack = (x.upper - x.lower) / 8
		}
		return pipeline.FromPairs(pipeline.Stateful(bothSides(left, right, kind), pipeline.NameOf(opts, "Join"), func(s *pipeline.Setup[K, out]) pipeline.Process[K, either[A, B], out] {
			x := x // this lane's
			x.state = pipeline.ValueState[sides[A, B]](s, "waiting")
			x.end = pipeline.EventTimer(s, "end", x.expire)
			x.kept, x.removed = s.Counter("kept"), s.Counter("removed")
			return x.process
		}))
	})
}

// sides is the state of a key: what waits on either side.
type sides[A, B any] struct {
	Left  waitlist[A]
	Right waitlist[B]
	Due   int64 // when the timer comes, if anything waits
}

func (s *sides[A, B]) empty() bool { return len(s.Left)+len(s.Right) == 0 }

// interval is an interval join on one lane.
type interval[K comparable, A, B, P any] struct {
	lower, upper, lateness int64 // ms
	slack                  int64 // how much later than needed a timer may come, ms
	m                      matcher[A, B, P]

	state         pipeline.Value[K, sides[A, B]]
	end           pipeline.Timer[K]
	kept, removed pipeline.Counter // values in state: kept less removed
}

// leftEnd is the last time at which a partner of a left value of time ts may come.
func (x *interval[K, A, B, P]) leftEnd(ts int64) int64 { return later(ts, max(x.upper, 0)+x.lateness) }

// rightEnd is that of a right value.
func (x *interval[K, A, B, P]) rightEnd(ts int64) int64 {
	return later(ts, max(-x.lower, 0)+x.lateness)
}

func (x *interval[K, A, B, P]) process(c *pipeline.Ctx[K], v either[A, B], emit pipeline.Emit[pipeline.KV[K, P]]) error {
	s, ts := x.state.Get(c), c.TimestampMs()
	fresh, met, end := s.empty(), false, int64(0)
	if v.Right {
		from, to := ts-x.upper, ts-x.lower
		for i := s.Left.from(from); i < len(s.Left) && s.Left[i].TS <= to; i++ {
			w := &s.Left[i]
			w.Mark, met = true, true
			if err := pipeline.EmitAt(c, emit, max(ts, w.TS), pipeline.NewKV(c.Key(), x.m.both(w.Value, v.B))); err != nil {
				return err
			}
		}
		s.Right.add(waiting[B]{ts, met, v.B})
		end = x.rightEnd(ts)
	} else {
		from, to := ts+x.lower, ts+x.upper
		for i := s.Right.from(from); i < len(s.Right) && s.Right[i].TS <= to; i++ {
			w := &s.Right[i]
			w.Mark, met = true, true
			if err := pipeline.EmitAt(c, emit, max(ts, w.TS), pipeline.NewKV(c.Key(), x.m.both(v.A, w.Value))); err != nil {
				return err
			}
		}
		s.Left.add(waiting[A]{ts, met, v.A})
		end = x.leftEnd(ts)
	}
	x.kept.Inc(1)
	if end = later(end, x.slack); fresh || end < s.Due {
		s.Due = end
		x.end.SetMs(c, end)
	}
	x.state.Set(c, s)
	return nil
}

// expire removes what can meet nobody any more, and emits what has met nobody.
func (x *interval[K, A, B, P]) expire(c *pipeline.Ctx[K], emit pipeline.Emit[pipeline.KV[K, P]]) error {
	s, now := x.state.Get(c), c.TimestampMs()
	n := 0
	for ; n < len(s.Left) && x.leftEnd(s.Left[n].TS) <= now; n++ {
		if w := &s.Left[n]; !w.Mark && x.m.left != nil {
			emit(pipeline.NewKV(c.Key(), x.m.left(w.Value)))
		}
	}
	s.Left.drop(n)
	x.removed.Inc(int64(n))
	n = 0
	for ; n < len(s.Right) && x.rightEnd(s.Right[n].TS) <= now; n++ {
		if w := &s.Right[n]; !w.Mark && x.m.right != nil {
			emit(pipeline.NewKV(c.Key(), x.m.right(w.Value)))
		}
	}
	s.Right.drop(n)
	x.removed.Inc(int64(n))
	if s.empty() {
		x.state.Clear(c)
		return nil
	}
	s.Due = window.GlobalEnd
	if len(s.Left) > 0 {
		s.Due = x.leftEnd(s.Left[0].TS)
	}
	if len(s.Right) > 0 {
		s.Due = min(s.Due, x.rightEnd(s.Right[0].TS))
	}
	s.Due = later(s.Due, x.slack)
	x.end.SetMs(c, s.Due)
	x.state.Set(c, s)
	return nil
}
