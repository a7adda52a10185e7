package graph

// Op is the typed half of a transform: an immutable factory that all lanes,
// slots and repeated runs share.
type Op interface {
	// Open makes the operator on one lane. out[i] receives output i, a
	// func(*Ctx, T) in an any; in[i] is the receiver of input i (in the same
	// form, or another that the node's Type knows how to wire). c.Node is the
	// node that is opened; c is the lane's one Ctx and may be kept. live is nil
	// or implements whichever of the interfaces below it needs.
	Open(c *Ctx, out []any) (in []any, live any)
}

// Starter is told before the first element, after [Keeper.Load]: setup of user code.
type Starter interface{ Start(c *Ctx) error }

// Watermarker acts when the watermark of its stage rises: fires windows and
// timers into its outputs, before the watermark passes on. At the end of input
// wm is window.MaxTime, once.
type Watermarker interface{ Advance(c *Ctx, wm int64) }

// InputWatermarker is told each input's own watermark (the minimum over the
// senders of that input), before the stage's minimum.
type InputWatermarker interface {
	InputAdvance(c *Ctx, input int, wm int64)
}

// Clock is an operator that makes the watermark of what follows (EventTime). It
// is the first of its stage, whose watermark is then Watermark() rather than
// its input's, until the input ends. Splits are named as in [Ctx.Split]; the lane
// reports those that it reads itself.
type Clock interface {
	// Watermark never falls: the least of the splits that are open and not idle,
	// and what it was before while there is none.
	Watermark() int64
	SplitOpened(split int)
	// SplitDone says that split has ended and holds nothing any more.
	SplitDone(split int)
	// IdleAfter is after how many ms of silence a split no longer holds the
	// watermark back; 0: it always does.
	IdleAfter() int64
	SplitIdle(split int, idle bool)
	// Idle reports that all open splits are idle: the clock then says nothing
	// about time, and other lanes need not wait for it.
	Idle() bool
	// TooFar reports that split is so far ahead of others with which it is
	// aligned that it should not be read for now.
	TooFar(split int) bool
}

// Holder is an operator that may hold back the watermark of what follows: for
// panes and timers whose outputs will have earlier times (M13). Output is that
// watermark: it never falls and is never beyond the one of the last Advance. The
// engine asks after each Advance and at the end of each round.
type Holder interface{ Output() int64 }

// SplitHolder is an operator that passes elements on later, out of the call that
// brought them: while it has any of a split, that split has not ended for what follows.
type SplitHolder interface{ HoldsSplit(split int) bool }

// Alarmer acts by the machine's clock ([Ctx.Now]).
type Alarmer interface {
	// Alarm is the instant that the clock must be past for Ring to have work, in
	// Unix ms; math.MaxInt64 when there is none.
	Alarm() int64
	Ring(c *Ctx)
}

// Bundler ends a bundle: called between elements, after each quantum of its
// stage, and before a watermark or barrier passes on. It may emit.
type Bundler interface{ FinishBundle(c *Ctx) }

// Flusher gives up what it holds back for speed alone (lifted combiners) before
// a barrier. It is not called when the watermark rises: Advance then lets go of
// what the watermark passes, and the rest may go on gathering.
type Flusher interface{ Flush(c *Ctx) }

// Keeper has state. Rows are named by bytes that begin with nothing of the
// engine's: the engine adds the node and keeps rows apart by it.
type Keeper interface {
	// Delta hands every row that changed since the last call to w, and forgets
	// that it changed. The slices are w's to copy.
	Delta(w DeltaWriter)
	// Load puts one row back. Called before Start, on a fresh operator. The
	// slices are valid during the call only.
	Load(key, val []byte) error
}

// The groups of rows that belong to no key.
const (
	// LaneBound rows belong to the lane that wrote them. When the number of lanes
	// has changed, those of lane l are loaded by lane l modulo the new number.
	LaneBound = -1
	// EveryLane rows belong to the lane that wrote them, too; but when the number of
	// lanes has changed, every lane loads all of them: for what all lanes know about
	// alike, as watermarks. Load makes one of them.
	EveryLane = -2
)

// DeltaWriter takes the changed rows of one operator. group is the key group in
// [0, keygroup.N), or LaneBound, or EveryLane.
type DeltaWriter interface {
	Put(group int, key, val []byte)
	Append(group int, key, val []byte) // Load sees the values of all appends, in order, concatenated
	Delete(group int, key []byte)
}

// Lender is a DeltaWriter that need not copy large values.
type Lender interface {
	// Lend is Put, and val stays as it is until the epoch is committed or given up.
	Lend(group int, key, val []byte)
}

// Rewriter is a Keeper that writes only what has changed, and can be told to write
// more. Who writes all of its rows in every Delta need not be one.
type Rewriter interface {
	// Rewrite makes the next Delta hold the rows that a chooses, as if none of them had been
	// written before.
	Rewrite(c *Ctx, a Anew)
}

// Anew chooses rows that are to be written whether they have changed or not.
type Anew struct {
	Lane   bool                 // those that belong to a lane
	Groups func(group int) bool // those of keys of such groups; nil: of none
}

// Chooses reports that rows of a group, which may be that of those that belong to a lane, are
// to be written.
func (a *Anew) Chooses(group int) bool {
	if group < 0 {
		return a.Lane
	}
	return a.Groups != nil && a.Groups(group)
}

// All chooses all rows.
func All() Anew { return Anew{true, func(int) bool { return true }} }

// Mover is a Keeper whose rows of a key group can go to the same operator of another slot,
// and come from there, while elements flow. Both are done between elements, at a cut.
type Mover interface {
	Rewriter
	// Leave forgets all rows of the chosen groups, and what belongs to them: another slot has
	// them from now on. The last Delta has held all of them; what else is to go with them is
	// put into w, as rows of theirs.
	Leave(c *Ctx, groups func(group int) bool, w DeltaWriter)
	// Came says that Load has put in rows of groups that were not here. The next Rewrite
	// chooses them.
	Came(c *Ctx)
}

// Pager is a Keeper whose rows need not all be in memory: it reads those that it
// misses from a store, and lets go of some that the store has.
type Pager interface {
	Keeper
	// Page is called before Start; Load is then called for no rows of keys.
	Page(s RowStore)
	// Settled says that what the newest Delta wrote is in the store: rows that have not
	// changed since may be let go. It is called between elements.
	Settled(c *Ctx)
}

// Crowder is a Keeper that may need a cut early: what has changed since the last one
// must stay in memory until then.
type Crowder interface {
	// Crowded says that what is in memory is beyond its budget. It is cheap.
	Crowded() bool
}

// RowStore is the rows of one operator as of the newest committed epoch.
type RowStore interface {
	// Get appends the value of a key's row to buf.
	Get(group int, key, buf []byte) (val []byte, ok bool, err error)
	// Scan calls f with the rows of one group whose keys begin with prefix, in the
	// order of keys, until f fails. The slices are valid during the call only. f may
	// read the store, of this operator and of others.
	Scan(group int, prefix []byte, f func(key, val []byte) error) error
	// Groups are those whose rows are this lane's.
	Groups() []int
	// Budget is how many bytes the operator's rows may take on this lane, about.
	Budget() int64
}

// Committer holds its effects back until the epoch is decided. Prepare makes
// them durable but invisible and is called at the barrier, before Delta;
// Commit shows them, once the epoch's snapshot is taken; Finish is called after
// the last Commit of a run that ended well. On a run that fails the engine calls
// Abort instead: nothing uncommitted may stay, and if final, nothing at all that
// is not finished, for the snapshot will not be used again. A run without epochs
// has one, at its end.
type Committer interface {
	Prepare(c *Ctx) error
	Commit(c *Ctx) error
	Finish(c *Ctx) error
	Abort(final bool)
}

// Prompter is a Committer that may show its effects before it is told to: then nothing is
// won by giving it elements late.
type Prompter interface{ Prompt() bool }

// Closer lets go of resources (teardown), however the run ended. Called once.
type Closer interface{ Close(c *Ctx) error }

// Source is the typed half of a root.
type Source interface {
	// Splits cuts the input into pieces that can be read apart; n is the number
	// of lanes, a hint. The engine hands bounded splits to whichever lane is
	// free, and opens unbounded ones at once, spread over the lanes.
	Splits(run *Run, n int) ([]Split, error)
	Bounded() bool
}

// Split is opened on the lane that reads it.
type Split interface {
	// ID is equal in every process and run for the same piece of input.
	ID() string
	// Size is how much there is to read, in a unit of the source's own; 0: unknown.
	Size() int64
	// Open begins reading behind pos (a Position of an earlier run), or at the
	// start for nil. out is the receiver.
	Open(c *Ctx, out any, pos []byte) (Reader, error)
}

// Grower is a [Source] of which new pieces turn up while it is read.
type Grower interface {
	// Grow tells found of new pieces until run.Context ends. Those that it has given
	// before, or Splits, may be among them.
	Grow(run *Run, lanes int, found func([]Split)) error
}

// Newcomer is a [Split] that is opened otherwise if it was not there when the job began.
type Newcomer interface {
	OpenNew(c *Ctx, out any) (Reader, error)
}

// ReadState is what a poll found.
type ReadState uint8

const (
	More ReadState = iota // there is more: poll again
	Idle                  // nothing at present: poll when Wake says so, or after a while
	Done                  // this split has ended
)

// Reader pushes elements of one split into the chain.
type Reader interface {
	// Poll pushes at most max elements. It does not block when nothing is there.
	Poll(c *Ctx, max int) (ReadState, error)
	Watermark() int64
	// Position appends where to go on after the elements pushed so far.
	Position(b []byte) []byte
	// Where names the element at hand for people: "book.txt:1042".
	Where() string
	// Progress is how much of the split is read, in the unit of its Size.
	Progress() (read int64)
	Close() error
}

// Acknowledger is a reader that wants to know when a snapshot was taken that holds
// its newest Position.
type Acknowledger interface{ Acknowledge() }

// EdgeKind says how elements reach the lanes of a consumer.
type EdgeKind uint8

const (
	Forward   EdgeKind = iota // stay on the lane; fused into one call chain
	ByKey                     // to the lane that owns the key's group
	Rebalance                 // a full batch to each lane in turn
	Gather                    // all to lane 0
	Broadcast                 // each to every lane
	Copies                    // each to the first lane of every slot
)

func (k EdgeKind) String() string {
	return [...]string{"forward", "by key", "rebalance", "gather", "broadcast", "copies"}[k]
}

// Type is what an engine may do with a collection of elements that it can't see.
type Type interface {
	String() string
	CoderID() string
	// Tee is one receiver that calls all of outs; with none it drops.
	Tee(outs []any) any
	// NewEdge makes the typed half of an exchange. ByKey wants a keyed type.
	NewEdge(cfg EdgeConfig) Edge
}

// EdgeConfig configures a typed exchange.
type EdgeConfig struct {
	Kind    EdgeKind
	Size    int  // elements in a full batch
	Windows bool // carry window and pane, which can't be had from the timestamp
}

// Edge carries one collection between lanes.
type Edge interface {
	// Sender returns a receiver that sorts elements into batches; send takes a
	// batch and gives an empty one back (nil when it has none). flush sends what
	// is begun. owner maps a key group to its lane.
	Sender(c *Ctx, owner []uint16, send func(to int, b Batch) Batch) (recv any, flush func())
	// Receiver returns a function that pushes the elements of a batch into recv
	// and empties it for reuse. It sets and restores Ctx's element fields.
	Receiver(c *Ctx, recv any) func(b Batch)
	// Marshal appends the bytes of elements to buf, from the batch's first on, and takes
	// them out of it: one at least, and all unless buf would be much longer than most.
	Marshal(buf []byte, b Batch, most int) []byte
	// Unmarshal reads what Marshal wrote, all of b, into an empty batch, or a new one
	// if that is nil. It keeps nothing of b, and takes no more memory than b justifies.
	Unmarshal(b []byte, into Batch) (Batch, error)
}

// KeyedEdge is an Edge by key.
type KeyedEdge interface {
	Edge
	// Part takes the elements of chosen key groups out of a batch, and calls f for each of
	// these groups with a batch of what was of it, in order.
	Part(b Batch, groups func(group int) bool, f func(group int, part Batch))
}

// Batch is a *flow.Batch[T] that the engine moves and counts.
type Batch interface{ Len() int }
