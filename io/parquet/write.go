package parquet

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// WriteOption configures [Write].
type WriteOption func(*options)

type options struct {
	path      string
	single    bool
	groupRows int64
}

// Single writes one file (or more: see [Write]) under just the path, on one lane.
func Single() WriteOption { return func(o *options) { o.single = true } }

// RowGroup is how many rows a row group has at most; default 256 Ki. A group is
// held in memory, encoded, until it is whole, and is what a reader reads apart.
func RowGroup(rows int64) WriteOption { return func(o *options) { o.groupRows = rows } }

// Write writes the elements as rows, compressed as their tags say, in one file for
// each lane: out.parquet becomes out-00000-of-00004.parquet and so on. A Parquet
// file can't be gone on with once it is closed, so a run that takes snapshots
// begins another one behind each that rows were written before
// (out-00000-of-00004-1.parquet, …): let it take them seldom.
//
// Files appear under their names, whole, when the run has ended well, and replace
// older ones; a run that fails leaves none. Other files of an earlier run stay.
func Write[T any](c pipeline.PCollection[T], path string, opts ...WriteOption) {
	o := options{path: path, groupRows: 256 << 10}
	for _, f := range opts {
		f(&o)
	}
	switch err := checkSchema[T](); {
	case path == "":
		pipeline.FailAt(c, "parquet.Write: the path is empty")
		return
	case err != nil:
		pipeline.FailAt(c, "parquet.Write: %w", err)
		return
	case o.groupRows < 1:
		pipeline.FailAt(c, "parquet.Write: a row group of %d rows", o.groupRows)
		return
	}
	if o.single {
		pipeline.WriteSingle[T](c, "parquet.Write", &sink[T]{o})
		return
	}
	pipeline.Write[T](c, "parquet.Write", &sink[T]{o})
}

type sink[T any] struct{ options }

// Open begins a lane's files; state is the parts that were written before.
func (s *sink[T]) Open(ctx context.Context, lane, lanes int, state []byte) (pipeline.Writer[T], error) {
	ext := filepath.Ext(s.path)
	w := &writer[T]{ctx: ctx, options: s.options, base: strings.TrimSuffix(s.path, ext), ext: ext}
	if !s.single {
		w.base = fmt.Sprintf("%s-%05d-of-%05d", w.base, lane, lanes)
	}
	if state == nil {
		return w, w.begin() // also for no rows: it holds the schema
	}
	if err := json.Unmarshal(state, &w.parts); err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", s.path, err)
	}
	w.kept = len(w.parts)
	return w, nil
}

// part is a closed file that has not got its name yet.
type part struct {
	Temp string
	Size int64
}

type writer[T any] struct {
	options
	ctx       context.Context
	base, ext string
	parts     []part
	kept      int // of parts, in a snapshot that was committed
	f         filesystem.Writer
	rows      *parquet.GenericWriter[T]
	buf       []T // not yet given to rows
}

// name is the path of the i-th part.
func (w *writer[T]) name(i int) string {
	if i == 0 {
		return w.base + w.ext
	}
	return fmt.Sprintf("%s-%d%s", w.base, i, w.ext)
}

// begin opens the next part.
func (w *writer[T]) begin() (err error) {
	if w.f, err = filesystem.Create(w.ctx, w.name(len(w.parts))); err != nil {
		return err
	}
	w.rows = parquet.NewGenericWriter[T](w.f, parquet.MaxRowsPerRowGroup(w.groupRows))
	return nil
}

// writeRows is how many rows are given to the library at once, which takes them
// apart by columns.
const writeRows = 128

func (w *writer[T]) Write(v T) error {
	w.buf = append(w.buf, v)
	if len(w.buf) < writeRows {
		return nil
	}
	return w.flush()
}

func (w *writer[T]) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if w.f == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	err := guard("a row does not fit its schema", func() error {
		_, err := w.rows.Write(w.buf)
		return err
	})
	clear(w.buf)
	w.buf = w.buf[:0]
	return w.wrap(err)
}

func (w *writer[T]) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("write %s: %w", w.name(len(w.parts)), err)
	}
	return nil
}

// Prepare closes the open part.
func (w *writer[T]) Prepare() ([]byte, error) {
	if err := w.flush(); err != nil {
		return nil, err
	}
	if w.f != nil {
		if err := w.rows.Close(); err != nil {
			return nil, w.wrap(err)
		}
		size, err := w.f.Sync()
		if err != nil {
			return nil, w.wrap(err)
		}
		p := part{w.f.Temp(), size}
		if err := w.f.Keep(); err != nil {
			return nil, w.wrap(err)
		}
		w.parts = append(w.parts, p)
		w.f, w.rows = nil, nil
	}
	return json.Marshal(w.parts)
}

func (w *writer[T]) Commit() error { w.kept = len(w.parts); return nil }

// Finish gives all parts their names.
func (w *writer[T]) Finish() error {
	for i, p := range w.parts {
		f, err := filesystem.Resume(w.ctx, w.name(i), p.Temp, p.Size)
		if err != nil {
			return err
		}
		if err := f.Commit(); err != nil {
			return err
		}
	}
	w.parts, w.kept = nil, 0
	return nil
}

// Abort removes what no snapshot will go on with. It has nobody to report an error
// to: what it can't remove stays hidden, and filesystem.Leftovers lists it.
func (w *writer[T]) Abort(final bool) {
	if w.f != nil {
		_ = w.f.Abort()
	}
	keep := w.kept
	if final {
		keep = 0
	}
	ctx := context.WithoutCancel(w.ctx) // it is cancelled by now, if that is why
	for i := keep; i < len(w.parts); i++ {
		if f, err := filesystem.Resume(ctx, w.name(i), w.parts[i].Temp, w.parts[i].Size); err == nil {
			_ = f.Abort()
		}
	}
}
