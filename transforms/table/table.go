package table

import (
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// Table is rows of type V by a key, as a stream of their changes.
//
// Invariant: the changes of one key come from one lane and in order, and each Old is
// the New before it. Only what keeps state of a key may make a Table from outside.
type Table[K comparable, V any] struct {
	changes pipeline.Keyed[K, Change[V]]
}

// Option configures how rows are read into a [Table].
type Option func(*config)

type config struct {
	version    any // func(R) int64
	eventTime  bool
	keepEqual  bool
	tombstones time.Duration
	ttl        time.Duration
}

// Version orders the records of a row by a number of their own, a sequence number or
// a position in a log: a record with a lesser one than the row has already is
// dropped and counted in the metric "stale"; of equal ones the later to come counts.
// f takes what the collection holds.
//
// A deleted row is remembered with its version, so that an older record does not
// bring it back; see [Tombstones].
func Version[R any](f func(R) int64) Option { return func(c *config) { c.version = f } }

// ByEventTime is [Version] by the time of the element.
func ByEventTime() Option { return func(c *config) { c.eventTime = true } }

// KeepEqual passes on updates that replace a value by an equal one; without it they
// are no change. Values are equal when their encodings are.
func KeepEqual() Option { return func(c *config) { c.keepEqual = true } }

// Tombstones bounds how long versions of deleted rows are remembered: until the
// watermark has passed the time of the deletion by d. The default is for ever.
func Tombstones(d time.Duration) Option { return func(c *config) { c.tombstones = d } }

// ExpireAfter deletes a row once the watermark has passed the time of its newest
// record by d, records with an equal value included, and forgets its version. Note
// that at the end of a bounded input all time has passed.
func ExpireAfter(d time.Duration) Option { return func(c *config) { c.ttl = d } }

// global is c in the global window; another one is a mistake.
func global[K comparable, V any](c pipeline.Keyed[K, V], what, name string) pipeline.Keyed[K, V] {
	if w := pipeline.WindowingOf(c).Fn; w.Kind() != window.KindGlobal {
		pipeline.FailAt(c, "%s %q: its input has windows (%s), but a row has no end, so tables live in the global window: aggregate in windows before, or use Windowed(window.GlobalWindows())", what, name, w)
		return c.Windowed(window.GlobalWindows())
	}
	return c
}

// stateful is pipeline.Stateful in a scope of its own that says what it is part of.
func stateful[K comparable, V any, K2 comparable, W any](c pipeline.Keyed[K, V], name string, setup func(*pipeline.Setup[K, pipeline.KV[K2, W]]) pipeline.Process[K, V, pipeline.KV[K2, W]]) pipeline.Keyed[K2, W] {
	return pipeline.FromPairs(pipeline.Stateful(c, name, setup))
}

// failName records that the name of a table made of several steps is missing; one of
// a single step is checked by it.
func failName(c pipeline.Signal, what, name string) {
	if name == "" {
		pipeline.FailAt(c, "%s: it needs a name, which ties its state to the code across versions", what)
	}
}
