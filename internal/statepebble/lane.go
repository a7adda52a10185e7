package statepebble

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// noNode is what a lane writes for before it has named a node.
const noNode number = ownRows

// laneWriter encodes the rows of one lane into a batch of its own.
type laneWriter struct {
	e     *epoch
	lane  int
	batch *pebble.Batch // nil once given away
	node  number
	err   error // the first
}

func (w *laneWriter) Node(name string) {
	n, err := w.e.number(name)
	w.fail(err)
	w.node = n
}

func (w *laneWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// ready reports that a row of so many bytes can be written.
func (w *laneWriter) ready(group, size int) bool {
	if w.err != nil {
		return false
	}
	if w.node == noNode {
		w.fail(fmt.Errorf("BUG: statepebble: lane %d writes before it names a node", w.lane))
		return false
	}
	if err := checkPlace(group, w.lane); err != nil {
		w.fail(err)
		return false
	}
	if w.batch.Len()+size > maxEpoch {
		w.fail(fmt.Errorf("lane %d has changed more than an epoch can hold (%d bytes): cut epochs more often", w.lane, maxEpoch))
		return false
	}
	if w.e.whole && w.batch.Len() >= spillBytes {
		w.spill()
	}
	return w.err == nil
}

// spill writes what has gathered ahead of the commit.
func (w *laneWriter) spill() {
	s := w.e.s
	s.write.Lock()
	defer s.write.Unlock()
	w.fail(s.apply(w.batch, pebble.NoSync))
	w.batch = s.newBatch()
}

func (w *laneWriter) Put(group int, key, val []byte) {
	if !w.ready(group, len(key)+len(val)+32) {
		return
	}
	h := headLen(group)
	op := w.batch.SetDeferred(h+len(key), len(val))
	w.fill(op, h, group, key)
	copy(op.Value, val)
	w.fail(op.Finish())
}

func (w *laneWriter) Append(group int, key, val []byte) {
	if !w.ready(group, len(key)+len(val)+32) {
		return
	}
	h := headLen(group)
	op := w.batch.MergeDeferred(h+len(key), len(val))
	w.fill(op, h, group, key)
	copy(op.Value, val)
	w.fail(op.Finish())
}

func (w *laneWriter) Delete(group int, key []byte) {
	if !w.ready(group, len(key)+32) {
		return
	}
	h := headLen(group)
	op := w.batch.DeleteDeferred(h + len(key))
	w.fill(op, h, group, key)
	w.fail(op.Finish())
}

func (w *laneWriter) fill(op *pebble.DeferredBatchOp, head, group int, key []byte) {
	putHead(op.Key, w.node, group, w.lane)
	copy(op.Key[head:], key)
}

func (w *laneWriter) drop() {
	if w.batch != nil {
		_ = w.batch.Close() // fails never, for a batch that was not committed
		w.batch = nil
	}
}
