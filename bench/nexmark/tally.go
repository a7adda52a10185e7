package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/pipeline"
)

// tally is a sink that counts outputs and adds up their hashes, exactly once: what
// it has seen is in the checkpoints.
type tally struct {
	lanes *outcomes
	dir   string // for what each lane has counted in the end; "": none
}

func (t tally) Open(_ context.Context, lane, _ int, state []byte) (pipeline.Writer[uint64], error) {
	w := &tallyWriter{to: &t.lanes[lane]}
	if t.dir != "" {
		w.file = filepath.Join(t.dir, fmt.Sprint("lane-", lane))
	}
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
	file       string
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
	if w.file == "" {
		return nil
	}
	return os.WriteFile(w.file, fmt.Appendf(nil, "%d %x", w.count, w.sum), 0o600)
}

func (w *tallyWriter) Abort(bool) {}
