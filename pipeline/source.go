package pipeline

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Source reads elements from somewhere: the contract of connectors. A source is
// immutable and may be asked by several runs at once. Package
// pipelinetest/connector checks that a source keeps the contract.
type Source[T any] interface {
	// Splits cuts the input into pieces that can be read apart, as many as make
	// sense; lanes is how many will read. More pieces than lanes are good: each
	// lane takes the next one when it is done. An error stops the run before it starts;
	// ctx ends a search that takes long. The pieces of an input that does not change
	// are the same each time that the same number of lanes asks.
	//
	// Of a source that is not bounded all pieces are opened at once, spread over the
	// lanes. It is asked once, when the run begins: what turns up later, a new file
	// say, has to belong to one of the pieces, or the source is a [Grower].
	Splits(ctx context.Context, lanes int) ([]Split[T], error)
	// Bounded reports that the input ends.
	Bounded() bool
}

// Split is one piece of a source.
type Split[T any] interface {
	// ID names the piece, equally in every process and run, and differently from the
	// source's other pieces: "access.log:0-67108864".
	ID() string
	// Size is how much there is to read, in a unit of the source's own, bytes or
	// elements: for progress and the time left. 0: unknown.
	Size() int64
	// Open begins reading behind position, which a Reader of the same piece
	// gave, or at the start for nil. position is the caller's: copy what is kept of
	// it. Bytes that no reader of the piece can have given are an error, not a panic.
	// ctx is for the reader, too: it ends with the run. Readers of one piece may be
	// open at once, in several runs.
	Open(ctx context.Context, position []byte) (Reader[T], error)
}

// ReadState is what a read found.
type ReadState = graph.ReadState

// What a [Reader] found.
const (
	More ReadState = graph.More // there may be more: read again
	Idle ReadState = graph.Idle // nothing at present: nothing was emitted, and to ask again at once is no use
	Done ReadState = graph.Done // the piece has ended, for good
)

// Reader reads one piece, on one goroutine at a time.
type Reader[T any] interface {
	// Read emits at most max elements, which are the run's from then on: their memory
	// is not used again. It may block for a disk, but not for elements that are not
	// there yet: then it returns Idle, and is called again after 1 to 10 ms.
	Read(max int, out *Output[T]) (ReadState, error)
	// Position appends where to go on after what was emitted so far: a reader opened
	// there emits exactly the rest. It is called between two Reads, and when the
	// snapshot that it is for is taken, nobody tells the reader.
	Position(b []byte) []byte
	// Where names the element emitted last, for people: "access.log:1042". It is
	// called within Emit, too.
	Where() string
	// Progress is how much of the piece has been read, in the unit of its Size. It
	// never falls, and is Size in the end where Size is known.
	Progress() int64
	// Close lets go of all that the reader holds. It is called once, in any state,
	// also behind an error of Read, and nothing is called behind it.
	Close() error
}

// Acknowledger is a [Reader] that is told of snapshots: for inputs that want to know
// what they need not keep any longer.
type Acknowledger interface {
	// Acknowledge says that a snapshot was taken which holds the Position that was
	// asked for last: what was emitted before it will not be asked for again. It comes
	// between two Reads, on the reader's goroutine, and must not wait for others. It
	// never comes in a run without snapshots, and not for what a reader emitted last
	// when the run ends or fails before the next one.
	Acknowledge()
}

// Snapshots reports that the run to which ctx belongs, that of [Source].Splits or
// [Split].Open, takes snapshots: an [Acknowledger] is told of them.
func Snapshots(ctx context.Context) bool { return graph.HasSnapshots(ctx) }

// Output takes what a [Reader] reads.
type Output[T any] struct {
	c    *graph.Ctx
	next flow.Recv[T]
	wm   int64
	idle bool
	n    int64
}

// Emit passes v on with no time of its own (the smallest).
func (o *Output[T]) Emit(v T) {
	o.n++
	o.idle = false
	o.next(o.c, v)
}

// EmitAt passes v on with event time ts, in Unix milliseconds.
func (o *Output[T]) EmitAt(ts int64, v T) {
	o.n++
	o.idle = false
	old := o.c.TS
	o.c.TS = ts
	o.next(o.c, v)
	o.c.TS = old
}

// Watermark promises that no element before ts will come from this piece from now
// on, in Unix milliseconds; less than was promised before is no promise. Without a
// promise the watermark waits for the piece's end, unless an EventTime behind the
// source makes it.
func (o *Output[T]) Watermark(ts int64) { o.wm, o.idle = max(o.wm, ts), false }

// Idle says that nothing is expected from this piece for now: until it emits or
// promises something again the watermark does not wait for it, and what it then
// brings may be late (M19). An EventTime behind the source takes its word, too; for
// pieces that are quiet and don't say so see [IdleAfter].
func (o *Output[T]) Idle() { o.idle = true }

// Now is processing time, in Unix milliseconds: the run's clock, which tests may
// set, rather than the machine's.
func (o *Output[T]) Now() int64 { return o.c.Run.Clock() }

// Waker is a function that makes the engine read from this piece again at once. A
// reader that returned Idle has it called when there is something, by whatever
// goroutine noticed; else it is asked after a while, of 1 to 10 ms. The function
// does not block, and costs little when nobody sleeps.
func (o *Output[T]) Waker() func() { return o.c.Wake }

// Counter makes a counter of this source: once for each reader, in its first Read.
func (o *Output[T]) Counter(name string) Counter { return Counter{o.cell(graph.CounterKind, name)} }

// Gauge is Counter for a gauge.
func (o *Output[T]) Gauge(name string) Gauge { return Gauge{o.cell(graph.GaugeKind, name)} }

func (o *Output[T]) cell(kind graph.MetricKind, name string) *graph.Cell {
	return o.c.Run.Metrics.NewCell(kind, o.c.Node().Name, name)
}

// Stopped reports that the run has failed or was cancelled: return from Read soon.
func (o *Output[T]) Stopped() bool { return o.c.Err() != nil }

// Read adds a source. kind is its operation's name in the graph, "text.Read".
func Read[T any](p *Pipeline, kind string, src Source[T], opts ...Option) PCollection[T] {
	if p == nil {
		graph.Orphanf("%s: the pipeline is nil: use pipeline.New or the one that runners.Main gives", kind)
		return PCollection[T]{poison}
	}
	if src == nil {
		p.g.Errorf("%s: the source is nil", kind)
		return PCollection[T]{poison}
	}
	if _, ok := src.(Grower[T]); ok && !src.Bounded() {
		return root[T](p, kind, growing[T]{source[T]{src}}, opts)
	}
	return root[T](p, kind, source[T]{src}, opts)
}

func root[T any](p *Pipeline, kind string, src graph.Source, opts []Option) PCollection[T] {
	cod := coderFor[T](p, kind)
	n := p.g.Add(&graph.Node{Kind: kind, Src: src, Out: []graph.Type{flow.Type(cod)}, Elements: flow.Elements(cod)}, nameOf(opts))
	return PCollection[T]{coll{p: p, ref: graph.Ref{Node: n}}}
}

// source makes a Source the engine's.
type source[T any] struct{ src Source[T] }

func (s source[T]) Bounded() bool { return s.src.Bounded() }

func (s source[T]) Splits(run *graph.Run, n int) (out []graph.Split, err error) {
	splits, err := s.src.Splits(run.Context, n)
	return splitsOf(splits), err
}

// growing is a source whose splits are not all known yet.
type growing[T any] struct{ source[T] }

func (s growing[T]) Grow(run *graph.Run, lanes int, found func([]graph.Split)) error {
	return s.src.(Grower[T]).Grow(run.Context, lanes, func(splits []Split[T]) { found(splitsOf(splits)) })
}

func splitsOf[T any](splits []Split[T]) (out []graph.Split) {
	for _, sp := range splits {
		out = append(out, split[T]{sp})
	}
	return out
}

type split[T any] struct{ Split[T] }

func (s split[T]) Open(c *graph.Ctx, out any, pos []byte) (graph.Reader, error) {
	r, err := s.Split.Open(c.Run.Context, pos)
	return readerOf(c, out, r, err)
}

func (s split[T]) OpenNew(c *graph.Ctx, out any) (graph.Reader, error) {
	n, ok := s.Split.(Newcomer[T])
	if !ok {
		return s.Open(c, out, nil)
	}
	r, err := n.OpenNew(c.Run.Context)
	return readerOf(c, out, r, err)
}

func readerOf[T any](c *graph.Ctx, out any, r Reader[T], err error) (graph.Reader, error) {
	if err != nil {
		return nil, err
	}
	return &reader[T]{Reader: r, node: c.Node(), out: Output[T]{c: c, next: flow.RecvOf[T](out), wm: window.MinTime}}, nil
}

type reader[T any] struct {
	Reader[T]
	node *graph.Node
	out  Output[T]
}

func (r *reader[T]) Poll(c *graph.Ctx, max int) (graph.ReadState, error) {
	c.Op = r.node.ID
	return r.Read(max, &r.out)
}

func (r *reader[T]) Watermark() int64 { return r.out.wm }
func (r *reader[T]) Idle() bool       { return r.out.idle }

// Acknowledge passes on that a snapshot was taken.
func (r *reader[T]) Acknowledge() {
	if a, ok := r.Reader.(Acknowledger); ok {
		a.Acknowledge()
	}
}

// Count is how many elements were emitted.
func (r *reader[T]) Count() int64 { return r.out.n }

// Create is a collection of the given values, with the smallest event time.
func Create[T any](p *Pipeline, values ...T) PCollection[T] {
	if p == nil {
		graph.Orphanf("Create: the pipeline is nil: use pipeline.New or the one that runners.Main gives")
		return PCollection[T]{poison}
	}
	return root[T](p, "Create", flow.Create(values, nil), nil)
}

// Timestamped is a value with its event time.
type Timestamped[T any] struct {
	Time  time.Time
	Value T
}

// CreateTimestamped is [Create] of values that have times.
func CreateTimestamped[T any](p *Pipeline, values ...Timestamped[T]) PCollection[T] {
	if p == nil {
		graph.Orphanf("CreateTimestamped: the pipeline is nil: use pipeline.New or the one that runners.Main gives")
		return PCollection[T]{poison}
	}
	vals, ts := make([]T, len(values)), make([]int64, len(values))
	for i, v := range values {
		vals[i], ts[i] = v.Value, v.Time.UnixMilli()
	}
	return root[T](p, "Create", flow.Create(vals, ts), nil)
}

// Impulse is a collection of one empty element, to begin something with.
func Impulse(p *Pipeline) PCollection[[]byte] {
	if p == nil {
		graph.Orphanf("Impulse: the pipeline is nil: use pipeline.New or the one that runners.Main gives")
		return PCollection[[]byte]{poison}
	}
	return root[[]byte](p, "Impulse", flow.Create([][]byte{{}}, nil), nil)
}

// Generate is a collection of n elements. fill makes element i in place; the
// fields of an element made before may still stand. It is called on several
// goroutines at once, each with an element of its own: lane l of P makes the
// numbers that are l modulo P, in order.
func Generate[T any](p *Pipeline, n uint64, fill func(i uint64, e *T), opts ...Option) PCollection[T] {
	if p == nil {
		graph.Orphanf("Generate: the pipeline is nil: use pipeline.New or the one that runners.Main gives")
		return PCollection[T]{poison}
	}
	if fill == nil {
		p.g.Errorf("Generate: the function is nil")
		return PCollection[T]{poison}
	}
	return root[T](p, "Generate", flow.Generate(n, fill), opts)
}

// GenerateSequence is the numbers 0 to n-1: lane l of P makes those that are l
// modulo P, in order. It is the quickest source, and the root of generated data.
func GenerateSequence(p *Pipeline, n uint64, opts ...Option) PCollection[uint64] {
	if p == nil {
		graph.Orphanf("GenerateSequence: the pipeline is nil: use pipeline.New or the one that runners.Main gives")
		return PCollection[uint64]{poison}
	}
	return root[uint64](p, "GenerateSequence", flow.Sequence(n), opts)
}

// DeadLetter is an element that user code could not handle, where the run's
// policy is to set it aside.
type DeadLetter struct {
	Transform string // path of the transform's name
	Position  string // its file:line in the program
	Source    string // the input the element came from, as far as is known: "access.log:18230"
	Input     []byte // the element in its coder's bytes
	Text      string // the element as %v prints it, at most 1,000 bytes
	Error     string
	Stack     string // the user's own frames, if it was a panic
}

// DeadLetters is the elements that were set aside anywhere in p, but for what is
// computed from this collection itself. It is empty unless the run's policy for
// failures is dead-letter.
func DeadLetters(p *Pipeline) PCollection[DeadLetter] {
	if p == nil {
		graph.Orphanf("DeadLetters: the pipeline is nil")
		return PCollection[DeadLetter]{poison}
	}
	src := flow.DeadLetters(func(f *flow.Letter) DeadLetter {
		return DeadLetter{f.Transform, f.Position, f.Where, f.Input, f.Text, f.Error, f.Stack}
	})
	n := p.g.Add(&graph.Node{Kind: "DeadLetters", Src: src, DeadLetter: true, Out: []graph.Type{flow.Type(coderFor[DeadLetter](p, "DeadLetters"))}}, "")
	return PCollection[DeadLetter]{coll{p: p, ref: graph.Ref{Node: n}}}
}

// Grower is a [Source] of which new pieces turn up while it is read: partitions that
// are added to a topic, say. It is not for bounded ones.
type Grower[T any] interface {
	// Grow looks for new pieces until ctx ends, and tells found of those that neither
	// Splits nor it has given before; found may be told of a piece again, which does
	// nothing. Only an error that looking again can't mend should be returned: it
	// stops the run. It runs on a goroutine of its own, once for each run.
	Grow(ctx context.Context, lanes int, found func([]Split[T])) error
}

// Newcomer is a [Split] that is read from elsewhere when it was not there as the job
// began: the start that a user asks for, such as the end of a topic, is for what was.
type Newcomer[T any] interface {
	// OpenNew is called instead of Open, with the same rules, for a piece that Grow
	// found, and for one that the checkpoint from which the run goes on does not know.
	OpenNew(ctx context.Context) (Reader[T], error)
}
