package pipeline

import (
	"context"
	"sync"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
)

// Sink writes a collection somewhere outside: the contract of connectors. What
// it writes becomes visible only when it is committed, so that a run which fails
// or goes back to an earlier snapshot leaves nothing half done. Package
// pipelinetest/connector checks that a sink keeps the contract.
type Sink[T any] interface {
	// Open opens the part of one lane. state is what Prepare gave for the last
	// snapshot, or nil: whatever was written since is to be undone, that which was
	// written between this Prepare and its Commit, too. What belongs to the snapshot
	// counts, even if the process died before Commit was called: it is to
	// be shown by the next Commit or Finish at the latest. An earlier writer of the
	// lane writes no more, but perhaps nobody has called its Abort. Bytes that no
	// Prepare can have given are an error, not a panic. ctx is for the writer, too.
	//
	// When a run goes on with another number of lanes, the state of each old lane is
	// opened by one of the new lanes, with the old lane and lanes, and its writer is
	// told to Commit and to Finish. The new lane's own part is then opened with nil,
	// unless the sink is a [Successor].
	Open(ctx context.Context, lane, lanes int, state []byte) (Writer[T], error)
}

// Successor is a [Sink] whose parts have to know, when a run goes on with another
// number of lanes, what the lanes before have written: so as not to replace it.
type Successor interface {
	// Succeed makes the state with which each lane opens its own part from the last
	// states of all lanes of the run before, in the order of lanes.
	Succeed(states [][]byte) (state []byte, err error)
}

// PromptSink is a [Sink] that knows, by its options, say, whether it keeps what it writes
// back until Commit. A distributed job gives a sink that does so its elements only when a
// snapshot of the whole job is due, so that none is ever shown twice; one that shows them
// at once gets them at once.
type PromptSink interface {
	// Prompt reports that what is written may be seen before Commit, and after a
	// failure a second time.
	Prompt() bool
}

// Writer is a sink's part on one lane, used by one goroutine. The calls come as
// (Write* Prepare Write* Commit)* Finish; Abort may come instead of any of them, last.
// At most one Prepare waits for its Commit.
type Writer[T any] interface {
	Write(v T) error
	// Prepare makes what was written durable but not visible, and returns what
	// Open needs to go on from here. The next Prepare may use the same memory, and nothing
	// may before: it is written to the disk behind this call.
	Prepare() (state []byte, err error)
	// Commit is called when the snapshot that holds the state is taken. What was
	// written behind the Prepare is not meant: it belongs to the next one. Commit may be
	// called again, by this process or, behind Open with that state, by another one:
	// nothing is shown twice.
	Commit() error
	// Finish is called when the input has ended and all is committed, and shows what
	// Commit did not. After a crash it may be called again, by a writer that was opened
	// with the last state.
	Finish() error
	// Abort lets go of resources; if final, the run is over, and everything unfinished
	// is to be removed. Otherwise Open will go on from the state of the last Prepare,
	// or from that of the last Commit, if the snapshot of the last Prepare was not
	// taken: what either of them needs has to stay.
	Abort(final bool)
}

// TimedWriter is a [Writer] that is told the event time of what it writes.
type TimedWriter[T any] interface {
	// WriteAt is called instead of Write. ts is in Unix milliseconds.
	WriteAt(v T, ts int64) error
}

// CrowdedWriter is a [Writer] that keeps what was written in memory until it is committed,
// and can keep only so much.
type CrowdedWriter interface {
	// Crowded reports that there is enough: a snapshot is taken before its time, and
	// sources are not read until it is. It is asked often, between two Writes.
	Crowded() bool
}

// Durable reports that the run to which ctx belongs, that of [Sink].Open or
// [Split].Open, keeps its snapshots where they outlive the process.
func Durable(ctx context.Context) bool { return graph.IsDurable(ctx) }

// Write adds a sink. kind is its operation's name in the graph, "text.Write".
func Write[T any](c PCollection[T], kind string, sink Sink[T], opts ...Option) {
	write(c, kind, sink, graph.Forward, opts)
}

// WriteSingle is [Write] with all elements on lane 0, for a single file.
func WriteSingle[T any](c PCollection[T], kind string, sink Sink[T], opts ...Option) {
	write(c, kind, sink, graph.Gather, opts)
}

func write[T any](c PCollection[T], kind string, sink Sink[T], edge graph.EdgeKind, opts []Option) {
	if !c.coll.ok(kind) {
		return
	}
	if sink == nil {
		c.coll.p.g.Errorf("%s: the sink is nil", kind)
		return
	}
	single := edge == graph.Gather
	opener := flow.SinkOpener[T]{Single: single, Open: func(x *graph.Ctx, lane, lanes int, state []byte) (*flow.Writer[T], error) {
		w, err := sink.Open(x.Run.Context, lane, lanes, state)
		if err != nil {
			return nil, err
		}
		fw := &flow.Writer[T]{Write: w.Write, Prepare: w.Prepare, Commit: w.Commit, Finish: w.Finish, Abort: w.Abort}
		if t, ok := w.(TimedWriter[T]); ok {
			fw.WriteAt = t.WriteAt
		}
		if c, ok := w.(CrowdedWriter); ok {
			fw.Crowded = c.Crowded
		}
		return fw, nil
	}}
	if s, ok := sink.(Successor); ok {
		opener.Succeed = s.Succeed
	}
	if s, ok := sink.(PromptSink); ok {
		opener.Prompt = s.Prompt()
	}
	cod := coderOf[T](c.coll)
	c.coll.add(&graph.Node{Kind: kind, Op: flow.Sink(opener, cod), Stateful: true, State: part(graph.PartWriter, "state", ""), Elements: flow.Elements(cod)}, edge, nameOf(opts))
}

// ForEach calls f for each element, on several goroutines at once. It is for
// effects that may be repeated: after a failure elements may be seen again. Use a
// [Sink] where they must not.
func ForEach[T any](c PCollection[T], f func(context.Context, T) error, opts ...Option) {
	if !c.coll.ok("ForEach") {
		return
	}
	c.coll.nilFunc("ForEach", f == nil)
	op := flow.ForEach(func(x *graph.Ctx) func(T) error {
		ctx := x.Run.Context
		return func(v T) error { return f(ctx, v) }
	}, coderOf[T](c.coll))
	c.coll.add(&graph.Node{Kind: "ForEach", Op: op}, graph.Forward, nameOf(opts))
}

// ForEachLane is [ForEach] with a function of its own for each lane, which
// therefore may keep things without locks.
func ForEachLane[T any](c PCollection[T], make func(lane int) func(T), opts ...Option) {
	if !c.coll.ok("ForEachLane") {
		return
	}
	c.coll.nilFunc("ForEachLane", make == nil)
	op := flow.ForLane(func(x *graph.Ctx) func(T) { return make(x.Lane) }, coderOf[T](c.coll))
	c.coll.add(&graph.Node{Kind: "ForEach", Op: op}, graph.Forward, nameOf(opts))
}

// Collected is where [Collect] puts elements: read it after the run.
type Collected[T any] struct {
	mu   sync.Mutex // guards vals
	vals []T
}

// Values is what was collected and committed, in no order.
func (c *Collected[T]) Values() []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]T(nil), c.vals...)
}

// Collect gathers a small collection in this process's memory, exactly once.
func Collect[T any](c PCollection[T], opts ...Option) *Collected[T] {
	out := &Collected[T]{}
	Write(c, "Collect", out, opts...)
	return out
}

// Open implements [Sink].
func (c *Collected[T]) Open(context.Context, int, int, []byte) (Writer[T], error) {
	return &collector[T]{to: c}, nil
}

type collector[T any] struct {
	to             *Collected[T]
	open, prepared []T
}

func (w *collector[T]) Write(v T) error { w.open = append(w.open, v); return nil }

func (w *collector[T]) Prepare() ([]byte, error) {
	w.prepared, w.open = append(w.prepared, w.open...), nil
	return nil, nil
}

func (w *collector[T]) Commit() error {
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	w.to.vals = append(w.to.vals, w.prepared...)
	w.prepared = nil
	return nil
}

func (w *collector[T]) Finish() error { return nil }
func (w *collector[T]) Abort(bool)    { w.open, w.prepared = nil, nil }
