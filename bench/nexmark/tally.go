package main

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/pipeline"
)

// tally is a sink that counts outputs and adds up their hashes, exactly once: what
// it has seen is in the checkpoints.
type tally struct{ lanes *outcomes }

func (t tally) Open(_ context.Context, lane, _ int, state []byte) (pipeline.Writer[uint64], error) {
	w := &tallyWriter{to: &t.lanes[lane]}
	if state == nil {
		return w, nil
	}
	if len(state) != 16 {
		return nil, fmt.Errorf("a tally of %d bytes, not 16", len(state))
	}
	w.count, w.sum = binary.LittleEndian.Uint64(state), binary.LittleEndian.Uint64(state[8:])
	return w, nil
}

type tallyWriter struct {
	count, sum uint64
	to         *outcome
	_          [104]byte
}

func (w *tallyWriter) Write(h uint64) error {
	w.count++
	w.sum += h
	return nil
}

func (w *tallyWriter) Prepare() ([]byte, error) {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, w.count), w.sum), nil
}

func (w *tallyWriter) Commit() error { return nil }

func (w *tallyWriter) Finish() error {
	w.to.count, w.to.sum = w.count, w.sum
	return nil
}

func (w *tallyWriter) Abort(bool) {}
