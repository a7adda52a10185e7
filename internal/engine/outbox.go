package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/internal/commit/plant"
	"github.com/millrace/millrace/internal/graph"
)

// outbox stands in front of a sink that shows what is final only. What reaches the sink
// is kept as bytes, in memory and in rows of its own, until the sink can be given all of
// it at once: after that it knows of nothing that is not in its prepared state.
//
//	key: | "held" |, of the lane
//	row: | (length uvarint | a batch, by its edge)* |
type outbox struct {
	edge    graph.Edge
	deliver func(graph.Batch) // to the sink
	flush   func()            // takes in what is begun
	sink    graph.Committer
	crowder graph.Crowder // the sink; nil: it is never crowded
	waits   bool          // the sink is not started: what it has prepared before may not be shown yet

	held  []byte        // batches in front of the sink
	saved int           // so much of held is in rows
	given bool          // the rows that there were are void
	body  []byte        // of one batch
	batch graph.Batch   // on its way to the sink
	total *atomic.Int64 // what all lanes hold, in bytes
	gives *atomic.Bool  // set when the sink is given something
}

const (
	heldKey  = "held"
	heldPart = 1 << 20 // bytes of a batch, about: of longer ones there are several
)

// heldRows names the rows of an outbox: those of node, but the sink does not see them.
func heldRows(node string) string { return node + heldSuffix }

// isHeld reports that rows of that name are those of an outbox.
func isHeld(name string) bool { return strings.HasSuffix(name, heldSuffix) }

const heldSuffix = "\x00held"

var errHeldBefore = errors.New("outputs of the last checkpoint wait for a cut of the job: run it with -sink-commit=cut, as before")

// holds reports that op is a sink which shows only what cuts name.
func (l *lane) holds(op *liveOp) bool {
	p, ok := op.live.(graph.Prompter)
	return l.inc.cfg.Cuts != nil && op.committer != nil && op.keeper != nil && !(ok && p.Prompt())
}

// hold stands an outbox in front of the sink op, whose receiver is in, and gives its own.
// What the sink has prepared before this incarnation may not be final yet: then it waits,
// as it may show that when it is started.
func (l *lane) hold(op *liveOp, in any) (recv any) {
	from := op.node.In[0]
	o := &outbox{sink: op.committer, total: &l.inc.held, gives: &l.inc.unshown}
	if rec := l.inc.slot.store.Last(); rec != nil {
		o.waits = rec.Prepared > 0 && !plant.Is(plant.StartedBeforeFinal)
	}
	o.edge = from.Node.Out[from.Out].NewEdge(graph.EdgeConfig{Kind: graph.Gather, Size: l.inc.cfg.Batch, Windows: from.Node.WinColumns})
	o.deliver = o.edge.Receiver(l.c, in)
	recv, o.flush = o.edge.Sender(&graph.Ctx{Lanes: 1}, nil, o.take)
	o.crowder, _ = op.live.(graph.Crowder)
	op.outbox, op.committer = o, nil
	return recv
}

// take keeps a batch, and gives it back empty.
func (o *outbox) take(_ int, b graph.Batch) graph.Batch {
	before := len(o.held)
	for b.Len() > 0 {
		o.body = o.edge.Marshal(o.body[:0], b, heldPart)
		o.held = append(binary.AppendUvarint(o.held, uint64(len(o.body))), o.body...)
	}
	o.total.Add(int64(len(o.held) - before))
	return b
}

// Delta implements graph.Keeper.
func (o *outbox) Delta(w graph.DeltaWriter) {
	if o.given && !plant.Is(plant.HeldTwice) {
		w.Delete(graph.LaneBound, []byte(heldKey))
	}
	if o.saved < len(o.held) {
		w.Append(graph.LaneBound, []byte(heldKey), o.held[o.saved:])
	}
	o.given, o.saved = false, len(o.held)
}

// Rewrite makes the next Delta hold everything, as there are no rows any more.
func (o *outbox) Rewrite() {
	if plant.Is(plant.HeldNotWhole) {
		return
	}
	o.given, o.saved = false, 0
}

// Load implements graph.Keeper. Where the number of lanes has changed, there may be
// several rows.
func (o *outbox) Load(key, val []byte) error {
	if string(key) != heldKey {
		return errHeld
	}
	if plant.Is(plant.HeldForgotten) {
		return nil
	}
	o.held = append(o.held, val...)
	o.saved = len(o.held)
	o.total.Add(int64(len(val)))
	return nil
}

var errHeld = errors.New("outputs that wait for a cut of the job are damaged")

// give gives the sink what was held: all of it, or as much as it can hold.
func (o *outbox) give() error {
	b := o.held
	if len(b) > 0 {
		o.gives.Store(true)
	}
	for len(b) > 0 && (o.crowder == nil || !o.crowder.Crowded()) {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return errHeld
		}
		batch, err := o.edge.Unmarshal(b[n:n+int(size)], o.batch)
		if err != nil {
			return fmt.Errorf("%w: %w", errHeld, err)
		}
		o.batch = batch
		o.deliver(batch)
		b = b[n+int(size):]
	}
	o.total.Add(-int64(len(o.held) - len(b)))
	o.given = o.given || o.saved > 0
	o.held, o.saved = bytes.Clone(b), 0
	return nil
}

// prepareHeld gives sinks what is held for them, and has them prepare, if this is the cut
// to do so. All stages have passed the barrier.
func (l *lane) prepareHeld(prepare bool) error {
	return l.outboxes(func(op *liveOp) error {
		o := op.outbox
		o.flush()
		if !prepare {
			return nil
		}
		if err := o.give(); err != nil {
			return err
		}
		if len(o.held) > 0 {
			l.inc.left.Store(true)
		}
		if l.c.Err() != nil {
			return l.c.Err()
		}
		return o.sink.Prepare(l.c)
	})
}

// show commits what sinks have prepared, as it is final. Those that had to wait for that
// are started.
func (l *lane) show() error {
	return l.outboxes(func(op *liveOp) error {
		if op.outbox.waits {
			op.outbox.waits = false
			if err := l.start(op); err != nil {
				return err
			}
		}
		return op.outbox.sink.Commit(l.c)
	})
}

// finishSinks ends sinks that have shown everything.
func (l *lane) finishSinks() error {
	return l.outboxes(func(op *liveOp) error { return op.outbox.sink.Finish(l.c) })
}

// outboxes calls f for each operator that has one.
func (l *lane) outboxes(f func(*liveOp) error) error {
	for _, st := range l.stages {
		for i := range st.ops {
			op := &st.ops[i]
			if op.outbox == nil {
				continue
			}
			l.c.Op = op.node.ID
			if err := f(op); err != nil && err != l.c.Err() {
				return &graph.UserError{Node: op.node, Err: err}
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}
