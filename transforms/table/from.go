package table

import (
	"reflect"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
)

// FromUpserts is the table of the newest value of each key. Newest is what came last,
// or has the greatest [Version]. Nothing is ever deleted, but for [ExpireAfter]; see
// [FromOptionals]. name ties the state to the code across versions.
func FromUpserts[K comparable, V any](c pipeline.Keyed[K, V], name string, opts ...Option) Table[K, V] {
	return From(c, name, func(v V) (V, bool) { return v, true }, opts...)
}

// FromOptionals is [FromUpserts] where a missing value deletes the row, as an empty
// message does in a compacted topic. It is the inverse of [ToUpserts].
func FromOptionals[K comparable, V any](c pipeline.Keyed[K, transforms.Optional[V]], name string, opts ...Option) Table[K, V] {
	return From(c, name, func(v transforms.Optional[V]) (V, bool) { return v.Value, v.OK }, opts...)
}

// FromChanges is the table that a feed of changes describes. Only what a change says
// of the row afterwards is used: what stood there before is known from the record
// before, so a feed that begins in mid-life, repeats itself or, with a [Version],
// comes out of order makes a right table all the same. It is the inverse of
// [ToChanges].
func FromChanges[K comparable, V any](c pipeline.Keyed[K, Change[V]], name string, opts ...Option) Table[K, V] {
	return From(c, name, func(v Change[V]) (V, bool) { return v.New, v.Kind != Delete }, opts...)
}

// row is what From remembers of a key.
type row[V any] struct {
	Version int64 // of the newest record, if records have versions
	Until   int64 // when the row expires or the tombstone goes, if one of them does
	Live    bool  // false: a tombstone
	Value   V
}

// From is the table of records of any type: read takes from a record the row as it is
// from then on, or says that it is gone. The other ways to make a Table are this one.
func From[K comparable, R, V any](c pipeline.Keyed[K, R], name string, read func(R) (v V, live bool), opts ...Option) Table[K, V] {
	type out = pipeline.KV[K, Change[V]]
	cfg, version := configure[R](c, name, opts)
	if read == nil {
		pipeline.FailAt(c, "table %q: the function that reads a record is nil", name)
	}
	return Table[K, V]{stateful(global(c, "table", name), name, func(s *pipeline.Setup[K, out]) pipeline.Process[K, R, out] {
		rows := pipeline.ValueState[row[V]](s, "row")
		eq := newEquality[V]()
		stale := s.Counter("stale")
		versioned := version != nil || cfg.eventTime
		var due pipeline.Timer[K]
		if cfg.ttl > 0 || cfg.tombstones > 0 {
			due = pipeline.EventTimer(s, "due", func(c *pipeline.Ctx[K], emit pipeline.Emit[out]) error {
				r := rows.Get(c)
				rows.Clear(c)
				if r.Live {
					emit(out{Key: c.Key(), Value: Change[V]{Kind: Delete, Old: r.Value}})
				}
				return nil
			})
		}
		return func(c *pipeline.Ctx[K], rec R, emit pipeline.Emit[out]) error {
			old, known := rows.Lookup(c)
			now := row[V]{Until: old.Until}
			if now.Value, now.Live = read(rec); !now.Live {
				now.Value = *new(V)
			}
			switch {
			case version != nil:
				now.Version = version(rec)
			case cfg.eventTime:
				now.Version = c.TimestampMs()
			}
			if known && now.Version < old.Version {
				stale.Inc(1)
				return nil
			}
			switch {
			case now.Live && cfg.ttl > 0:
				now.Until = max(now.Until, c.TimestampMs()+cfg.ttl.Milliseconds())
				due.SetMs(c, min(now.Until, c.Window().Last()))
			case !now.Live && versioned && cfg.tombstones > 0:
				now.Until = max(now.Until, c.TimestampMs()+cfg.tombstones.Milliseconds())
				due.SetMs(c, min(now.Until, c.Window().Last()))
			case cfg.ttl > 0 || cfg.tombstones > 0:
				due.Clear(c)
			}
			if now.Live || versioned {
				rows.Set(c, now)
			} else {
				rows.Clear(c)
			}
			if ch, ok := between(transforms.Optional[V]{OK: old.Live, Value: old.Value}, transforms.Optional[V]{OK: now.Live, Value: now.Value}); ok && (cfg.keepEqual || !eq.idle(ch)) {
				emit(out{Key: c.Key(), Value: ch})
			}
			return nil
		}
	})}
}

// configure applies and checks the options.
func configure[R any](c pipeline.Signal, name string, opts []Option) (cfg config, version func(R) int64) {
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.version != nil {
		var ok bool
		if version, ok = cfg.version.(func(R) int64); !ok {
			pipeline.FailAt(c, "table %q: Version is given a %T, but the collection holds %v: want a func(%v) int64", name, cfg.version, reflect.TypeFor[R](), reflect.TypeFor[R]())
		} else if version == nil {
			pipeline.FailAt(c, "table %q: the function of Version is nil", name)
		}
		if cfg.eventTime {
			pipeline.FailAt(c, "table %q: Version and ByEventTime are two orders of the same records: give one", name)
		}
	}
	if cfg.tombstones < 0 || cfg.ttl < 0 {
		pipeline.FailAt(c, "table %q: Tombstones(%v), ExpireAfter(%v): want more than 0", name, cfg.tombstones, cfg.ttl)
	}
	return cfg, version
}
