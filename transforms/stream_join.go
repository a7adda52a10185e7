package transforms

import (
	"time"

	"github.com/millrace/millrace/pipeline"
)

// StreamJoin is every pair of a left and a right value of one key, as soon as the
// second of the two comes in, whichever it is: persons and the auctions that they
// open. The pair has the later one's event time. [InnerJoin] gives the same pairs
// when the window ends, which in the global window is the end of the input. It is
// Flink's regular join.
//
// Values that are further apart in event time than retention are not joined, and
// state is kept for so long: see [IntervalJoin], of which it is a special case. With
// retention 0 each value of either input waits for ever: state grows with the input,
// there are no timers, and watermark and lateness don't matter. Then a snapshot
// writes all values of each key that has changed, so keys should have few.
//
// Both inputs stay in the global window, and so is the result.
func StreamJoin[K comparable, A, B any](left pipeline.Keyed[K, A], right pipeline.Keyed[K, B], retention time.Duration, opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, B]] {
	type out = pipeline.KV[K, Pair[A, B]]
	if retention != 0 {
		if retention < 0 {
			report(left)("StreamJoin: retention is %v, want more than 0, or 0 for ever", retention)
			retention = -retention
		}
		return intervalJoin(left, right, -retention, retention, "StreamJoin", opts, inner[A, B]())
	}
	return pipeline.Composite(left, "StreamJoin", func() pipeline.Keyed[K, Pair[A, B]] {
		return pipeline.FromPairs(pipeline.Stateful(bothSides(left, right, "StreamJoin"), pipeline.NameOf(opts, "Join"), func(s *pipeline.Setup[K, out]) pipeline.Process[K, either[A, B], out] {
			lefts, rights := pipeline.BagState[Stamped[A]](s, "left"), pipeline.BagState[Stamped[B]](s, "right")
			return func(c *pipeline.Ctx[K], v either[A, B], emit pipeline.Emit[out]) error {
				ts := c.TimestampMs()
				if v.Right {
					for _, a := range lefts.Get(c) {
						if err := pipeline.EmitAt(c, emit, max(ts, a.TS), pipeline.NewKV(c.Key(), Pair[A, B]{a.Value, v.B})); err != nil {
							return err
						}
					}
					rights.Add(c, Stamped[B]{ts, v.B})
					return nil
				}
				for _, b := range rights.Get(c) {
					if err := pipeline.EmitAt(c, emit, max(ts, b.TS), pipeline.NewKV(c.Key(), Pair[A, B]{v.A, b.Value})); err != nil {
						return err
					}
				}
				lefts.Add(c, Stamped[A]{ts, v.A})
				return nil
			}
		}))
	})
}

// StreamTableJoin is each value of a stream with the row of its key in a table, as
// far as the table is known at that moment: of the versions that have come so far the
// one with the latest event time; of equal times the one that came last. A value
// whose key has no row yet is left out. It is Kafka Streams' join of a KStream with a
// KTable, but for a table's changes that come out of order: an older one does not
// replace a newer.
//
// Nothing waits, so it is quick, and the result depends on which of the two inputs is
// ahead: run again it may differ. [TemporalJoin] gives the same result always.
//
// State is one version for each key, for ever unless it is deleted: see
// [StreamTableJoinWithDeletes]. Late data is data like any other. Both inputs stay in
// the global window; the result has the stream's event times.
func StreamTableJoin[K comparable, A, B any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, B], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, B]] {
	return streamTableJoin(stream, table, "StreamTableJoin", opts, inner[A, B](), always[B])
}

// StreamTableLeftJoin is [StreamTableJoin], and every value whose key has no row yet.
func StreamTableLeftJoin[K comparable, A, B any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, B], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, Optional[B]]] {
	return streamTableJoin(stream, table, "StreamTableLeftJoin", opts, leftOuter[A, B](), always[B])
}

// StreamTableJoinWithDeletes is [StreamTableJoin] with a table whose rows may be
// deleted: a version that is not OK deletes the row, as Kafka's tombstone does. It is
// remembered until the watermark has passed its time, so that an older version does
// not bring the row back; then the key takes no state.
func StreamTableJoinWithDeletes[K comparable, A, B any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, Optional[B]], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, B]] {
	return streamTableJoin(stream, table, "StreamTableJoinWithDeletes", opts, inner[A, B](), unlessDeleted[B])
}

// StreamTableLeftJoinWithDeletes is [StreamTableLeftJoin] with a table whose rows may
// be deleted: see [StreamTableJoinWithDeletes].
func StreamTableLeftJoinWithDeletes[K comparable, A, B any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, Optional[B]], opts ...pipeline.Option) pipeline.Keyed[K, Pair[A, Optional[B]]] {
	return streamTableJoin(stream, table, "StreamTableLeftJoinWithDeletes", opts, leftOuter[A, B](), unlessDeleted[B])
}

// streamTableJoin joins with a table of changes R, of which version makes the row.
func streamTableJoin[K comparable, A, B, R, P any](stream pipeline.Keyed[K, A], table pipeline.Keyed[K, R], kind string, opts []pipeline.Option, m matcher[A, B, P], version func(R) (B, bool)) pipeline.Keyed[K, P] {
	type out = pipeline.KV[K, P]
	return pipeline.Composite(stream, kind, func() pipeline.Keyed[K, P] {
		return pipeline.FromPairs(pipeline.Stateful(bothSides(stream, table, kind), pipeline.NameOf(opts, "Join"), func(s *pipeline.Setup[K, out]) pipeline.Process[K, either[A, R], out] {
			newest := pipeline.ValueState[waiting[B]](s, "newest") // marked: deleted
			forget := pipeline.EventTimer(s, "forget", func(c *pipeline.Ctx[K], _ pipeline.Emit[out]) error {
				newest.Clear(c)
				return nil
			})
			return func(c *pipeline.Ctx[K], v either[A, R], emit pipeline.Emit[out]) error {
				row, any := newest.Lookup(c)
				switch {
				case v.Right:
					ts := c.TimestampMs()
					if any && ts < row.TS {
						return nil
					}
					b, ok := version(v.B)
					newest.Set(c, waiting[B]{ts, !ok, b})
					if !ok {
						forget.SetMs(c, later(ts, 0))
					} else if any && row.Mark {
						forget.Clear(c)
					}
				case any && !row.Mark:
					emit(out{Key: c.Key(), Value: m.both(v.A, row.Value)})
				case m.left != nil:
					emit(out{Key: c.Key(), Value: m.left(v.A)})
				}
				return nil
			}
		}))
	})
}
