package parquet

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
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
// older ones; a run that fails leaves none. Other files of an earlier run stay. When
// a run goes on with another number of lanes, the files of those before appear then.
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
	was, err := decode(state)
	if err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", s.path, err)
	}
	w.first, w.parts = was.First, was.Parts
	var keep []string
	for _, p := range w.parts {
		keep = append(keep, p.Temp)
	}
	if err := filesystem.Sweep(ctx, w.base+ext, w.owns, keep...); err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", s.path, err)
	}
	return w, nil
}

// Succeed implements [pipeline.Successor]: the parts of the lanes before are finished
// by now, and those that come have numbers behind theirs.
func (s *sink[T]) Succeed(states [][]byte) ([]byte, error) {
	var out saved
	for _, state := range states {
		was, err := decode(state)
		if err != nil {
			return nil, err
		}
		out.First = max(out.First, was.First+len(was.Parts))
	}
	return json.Marshal(out)
}

// saved is a lane's state in a snapshot.
type saved struct {
	First int // number of the first part
	Parts []part
}

func decode(state []byte) (s saved, err error) {
	if err := json.Unmarshal(state, &s); err != nil {
		return s, fmt.Errorf("the state is damaged: %w", err)
	}
	if s.First < 0 {
		return s, fmt.Errorf("the state is damaged: number %d", s.First)
	}
	return s, nil
}

// part is a closed file that has not got its name yet.
type part struct{ Temp string }

type writer[T any] struct {
	options
	ctx       context.Context
	base, ext string
	first     int // number of the first of parts
	parts     []part
	f         filesystem.Writer
	rows      *parquet.GenericWriter[T]
	buf       []T // not yet given to rows
}

// name is the path of part i.
func (w *writer[T]) name(i int) string {
	if i == 0 {
		return w.base + w.ext
	}
	return fmt.Sprintf("%s-%d%s", w.base, i, w.ext)
}

// owns knows the names of the lane's parts.
func (w *writer[T]) owns(file string) bool {
	_, name := filepath.Split(w.base)
	if file == name+w.ext {
		return true
	}
	n, ok := strings.CutPrefix(file, name+"-")
	n, ok2 := strings.CutSuffix(n, w.ext)
	i, err := strconv.ParseUint(n, 10, 31)
	return ok && ok2 && err == nil && n == strconv.FormatUint(i, 10)
}

// begin opens the next part.
func (w *writer[T]) begin() (err error) {
	if w.f, err = filesystem.Create(w.ctx, w.name(w.first+len(w.parts))); err != nil {
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
		return fmt.Errorf("write %s: %w", w.name(w.first+len(w.parts)), err)
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
		if _, err := w.f.Sync(); err != nil {
			return nil, w.wrap(err)
		}
		p := part{w.f.Temp()}
		if err := w.f.Keep(); err != nil {
			return nil, w.wrap(err)
		}
		w.parts = append(w.parts, p)
		w.f, w.rows = nil, nil
	}
	return json.Marshal(saved{w.first, w.parts})
}

func (w *writer[T]) Commit() error { return nil }

// Finish gives all parts their names.
func (w *writer[T]) Finish() error {
	for i, p := range w.parts {
		if err := filesystem.Finalize(w.ctx, w.name(w.first+i), p.Temp); err != nil {
			return err
		}
	}
	w.first, w.parts = w.first+len(w.parts), nil
	return nil
}

// Abort removes what no snapshot will go on with. It has nobody to report an error
// to: what it can't remove stays hidden, and the next Open removes it.
func (w *writer[T]) Abort(final bool) {
	if w.f != nil {
		_ = w.f.Abort()
	}
	if !final {
		return // the parts are of Prepares
	}
	ctx := context.WithoutCancel(w.ctx) // it is cancelled by now, if that is why
	for _, p := range w.parts {
		if u, err := filesystem.ParseUnfinished(p.Temp); err == nil {
			_ = filesystem.Remove(ctx, u.Path)
		}
	}
}
