package graph

import (
	"context"

	"github.com/millrace/millrace/window"
)

// Ctx travels with an element down a fused chain: one for each lane, passed by
// pointer. Who changes a field before calling on restores it before returning.
type Ctx struct {
	_ [64]byte // a lane writes here for each element: no other lane's data may share the cache line

	TS    int64           // event time of the element at hand, Unix ms
	Win   window.Interval // its window; meaningful behind a grouping only
	Pane  window.Pane     // the pane that brought it; the zero Pane before any grouping
	WM    int64           // watermark of the stage that runs
	Split int             // which source split the element came from, Lanes or more; behind an exchange the sending lane, below Lanes
	Now   int64           // processing time, Unix ms: read once a round

	Op  int    // ID of the node whose user code runs: names the culprit of a panic
	Src Reader // reader that is polling, or nil behind an exchange: says where in the input we are

	Lane, Lanes int // of the job, over all slots
	Run         *Run
	Wake        func() // wakes the lane, which then ends bundles; may be called from any goroutine, does not block

	err error

	_ [64]byte
}

// Fail records the first failure of this lane since it was opened; later ones
// are dropped. The lane looks after each batch and each quantum: elements that
// are on their way down the chain still arrive, and their effects are rolled
// back with the epoch or discarded with the run.
func (c *Ctx) Fail(err error) {
	if c.err == nil && err != nil {
		c.err = &UserError{Node: c.Node(), Where: c.Where(), Err: err}
		if c.Run.Cancel != nil {
			c.Run.Cancel(c.err)
		}
	}
}

// Restore puts the fields back as saved, but for a failure since.
func (c *Ctx) Restore(saved *Ctx) {
	err := c.err
	*c = *saved
	c.err = err
}

// SlotLanes is how many lanes a slot has.
func (c *Ctx) SlotLanes() int { return c.Lanes / max(c.Run.Slots, 1) }

// First reports that this is the first lane of its slot: what a slot has once is there.
func (c *Ctx) First() bool { return c.Lane%c.SlotLanes() == 0 }

// Node is the node whose code runs. The hot path sets Op rather than a pointer,
// which would cost a check of the collector's write barrier for each operator.
func (c *Ctx) Node() *Node {
	if c.Run == nil || c.Op >= len(c.Run.Nodes) {
		return nil
	}
	return c.Run.Nodes[c.Op]
}

// Err is the sticky failure, or nil.
func (c *Ctx) Err() error { return c.err }

// Where says which input the element at hand came from, as far as is known:
// "access.log:18230", or "" behind an exchange.
func (c *Ctx) Where() string {
	if c.Src == nil {
		return ""
	}
	return c.Src.Where()
}

// Run is what the lanes of one run of a slot share.
type Run struct {
	Context      context.Context
	Clock        func() int64            // processing time, Unix ms
	Aligned      *Alignments             // sources that wait for each other
	Cancel       context.CancelCauseFunc // ends Context: user code that waits, here or on other lanes, must not keep a failed run from ending
	Nodes        []*Node                 // of the graph, by ID
	Epochs       bool                    // state changes are asked for (Keeper.Delta); false: nobody will
	Careful      bool                    // user calls are guarded one by one, and a failure goes to OnFailure
	Slots        int                     // of the job; 0 is 1
	Owner        []uint16                // key group -> lane that its elements go to
	Here         []uint16                // key group -> lane that has its state; as Owner, but while groups move between slots
	TempDir      string                  // of this run; removed when it ends
	MemoryBudget int64                   // bytes that one grouping may hold on one lane before it spills
	Park         bool                    // a key whose element fails for good waits, with all that comes for it
	Retries      int                     // further tries of a failing element in careful mode
	Metrics      *Metrics
	Letters      *Letters   // failures on their way to the dead-letter collection
	Views        []ViewSlot // by view number (Node.View): what side inputs read

	// OnFailure takes an element that failed for good in careful mode. It
	// reports whether the element is disposed of; false stops the run with the
	// error. Called on the lane's goroutine.
	OnFailure func(c *Ctx, f *Failure) bool
}

// Failure is an element that user code could not handle.
type Failure struct {
	Node  *Node
	Where string // input position, see [Ctx.Where]
	TS    int64
	Key   []byte // encoded key, for keyed operations; nil otherwise
	Input []byte // the element in its coder's bytes
	Text  string // the element as %v prints it, at most 1,000 bytes
	Err   error
	Stack string // the user's own frames, for a panic; "" for an error
}
