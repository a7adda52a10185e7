package sim

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/internal/commit/plant"
)

// outside is where the sinks write: it outlives every crash, as a file system or a
// broker does. What is prepared is durable there; what is committed is seen.
type outside struct {
	txns []*txn
}

type txn struct {
	id    uint64
	lane  int
	epoch uint64 // that it belongs to
	outs  []output
	state txnState
}

type txnState uint8

const (
	txnPrepared txnState = iota
	txnShown
	txnGone
)

func (o *outside) find(id uint64) *txn {
	if id == 0 || id > uint64(len(o.txns)) {
		return nil
	}
	return o.txns[id-1]
}

// writer is a sink's part on one lane, as pipeline.Writer wants it.
type writer struct {
	o        *outside
	lane     int
	open     []output
	prepared []uint64 // transactions that the next Commit shows
}

// openWriter opens the part of one lane. states are those that Prepare gave for the
// last snapshot: several where lanes have become fewer.
func openWriter(o *outside, lane int, states [][]byte, eager bool) (*writer, error) {
	w := &writer{o: o, lane: lane}
	for _, s := range states {
		ids, err := transactions(s)
		if err != nil {
			return nil, err
		}
		w.prepared = append(w.prepared, ids...)
	}
	for _, id := range w.prepared {
		if t := o.find(id); t == nil || t.state == txnGone {
			return nil, fmt.Errorf("transaction %d of the snapshot is gone", id)
		}
	}
	if plant.Is(plant.NotFinalised) {
		w.prepared = nil
	}
	if eager {
		w.commit()
	}
	return w, nil
}

// transactions are those that a writer's state names.
func transactions(state []byte) (ids []uint64, err error) {
	if len(state)%8 != 0 {
		return nil, fmt.Errorf("a sink's state of %d bytes", len(state))
	}
	for ; len(state) > 0; state = state[8:] {
		ids = append(ids, binary.BigEndian.Uint64(state))
	}
	return ids, nil
}

// undo gives up what is prepared and in no state of the snapshot: it was written since.
func (o *outside) undo(states [][]byte) error {
	named := map[uint64]bool{}
	for _, s := range states {
		ids, err := transactions(s)
		if err != nil {
			return err
		}
		for _, id := range ids {
			named[id] = true
		}
	}
	for _, t := range o.txns {
		if t.state == txnPrepared && !named[t.id] {
			t.state = txnGone
		}
	}
	return nil
}

func (w *writer) write(out output) { w.open = append(w.open, out) }

// prepare makes what was written durable.
func (w *writer) prepare(epoch uint64) {
	if len(w.open) > 0 {
		t := &txn{id: uint64(len(w.o.txns) + 1), lane: w.lane, epoch: epoch, outs: w.open}
		w.o.txns = append(w.o.txns, t)
		w.open, w.prepared = nil, append(w.prepared, t.id)
	}
}

// state is what openWriter needs to go on from here.
func (w *writer) state() (state []byte) {
	state = []byte{}
	for _, id := range w.prepared {
		state = binary.BigEndian.AppendUint64(state, id)
	}
	return state
}

// abort lets go of the writer. What was prepared stays: whether it counts is known
// only to who opens the next one.
func (w *writer) abort() {
	w.open = nil
	if plant.Is(plant.AbortDurable) {
		for _, id := range w.prepared {
			if t := w.o.find(id); t.state == txnPrepared {
				t.state = txnGone
			}
		}
	}
}

// commit shows what was prepared. It may be called again.
func (w *writer) commit() (shown []*txn) {
	for _, id := range w.prepared {
		if t := w.o.find(id); t.state == txnPrepared {
			t.state = txnShown
			shown = append(shown, t)
		}
	}
	w.prepared = w.prepared[:0]
	return shown
}
