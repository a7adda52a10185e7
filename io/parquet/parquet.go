// Package parquet reads and writes Parquet files as structs, by
// github.com/parquet-go/parquet-go: its struct tags name the columns.
package parquet

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// Read is the rows of all files that the pattern matches. Each row group is a
// piece of its own.
func Read[T any](p *pipeline.Pipeline, pattern string) pipeline.PCollection[T] {
	if err := filesystem.CheckPattern(pattern); err != nil {
		pipeline.Fail(p, "parquet.Read: %w", err)
	}
	checkSchema[T](func(err error) { pipeline.Fail(p, "parquet.Read: %w", err) })
	return pipeline.Read[T](p, "parquet.Read", &source[T]{pattern})
}

// checkSchema reports a type that has no Parquet schema; the library panics.
func checkSchema[T any](report func(error)) {
	defer func() {
		if r := recover(); r != nil {
			report(fmt.Errorf("rows of type %v have no Parquet schema: %v", reflect.TypeFor[T](), r))
		}
	}()
	parquet.SchemaOf(new(T))
}

type source[T any] struct{ pattern string }

func (s *source[T]) Bounded() bool { return true }

func (s *source[T]) Splits(ctx context.Context, _ int) (out []pipeline.Split[T], err error) {
	files, err := filesystem.Match(ctx, s.pattern)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		file, err := open(ctx, f)
		if err != nil {
			return nil, err
		}
		for i, g := range file.RowGroups() {
			out = append(out, &group[T]{f, i, g.NumRows()})
		}
	}
	return out, nil
}

// open reads a file's metadata.
func open(ctx context.Context, f filesystem.File) (*parquet.File, error) {
	file, err := parquet.OpenFile(&ranges{ctx, f.Path}, f.Size)
	if err != nil {
		return nil, fmt.Errorf("%s: not a Parquet file: %w", f.Path, err)
	}
	return file, nil
}

// ranges reads a file at offsets.
type ranges struct {
	ctx  context.Context
	path string
}

func (r *ranges) ReadAt(b []byte, off int64) (int, error) {
	in, err := filesystem.OpenRange(r.ctx, r.path, off, int64(len(b)))
	if err != nil {
		return 0, err
	}
	defer in.Close()
	n, err := io.ReadFull(in, b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// group is one row group of a file.
type group[T any] struct {
	file filesystem.File
	n    int
	rows int64
}

func (g *group[T]) ID() string { return fmt.Sprintf("%s#%d", g.file.Path, g.n) }

// Size is the rows of the group.
func (g *group[T]) Size() int64 { return g.rows }

// Open begins a row group; a position is how many rows were read.
func (g *group[T]) Open(ctx context.Context, position []byte) (r pipeline.Reader[T], err error) {
	defer func() {
		if p := recover(); p != nil { // the library's way to say that the schemas don't fit
			err = fmt.Errorf("%s: its columns don't fit type %v: %v", g.file.Path, reflect.TypeFor[T](), p)
		}
	}()
	file, err := open(ctx, g.file)
	if err != nil {
		return nil, err
	}
	rg := file.RowGroups()[g.n]
	x := &reader[T]{g: g, rows: parquet.NewGenericRowGroupReader[T](rg)}
	if position != nil {
		n, k := binary.Varint(position)
		if k <= 0 {
			return nil, fmt.Errorf("%s: damaged position", g.file.Path)
		}
		if err := x.rows.SeekToRow(n); err != nil {
			return nil, fmt.Errorf("go on with %s behind row %d: %w", g.file.Path, n, err)
		}
		x.n = n
	}
	return x, nil
}

type reader[T any] struct {
	g    *group[T]
	rows *parquet.GenericReader[T]
	n    int64
}

func (r *reader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	buf := make([]T, max) // new ones: rows may share memory with it
	n, err := r.rows.Read(buf)
	for _, v := range buf[:n] {
		r.n++
		out.Emit(v)
	}
	switch {
	case err == io.EOF:
		return pipeline.Done, nil
	case err != nil:
		return pipeline.Done, fmt.Errorf("%s: row %d: %w", r.g.ID(), r.n, err)
	}
	return pipeline.More, nil
}

func (r *reader[T]) Position(b []byte) []byte { return binary.AppendVarint(b, r.n) }
func (r *reader[T]) Where() string            { return fmt.Sprintf("%s:%d", r.g.ID(), r.n-1) }
func (r *reader[T]) Progress() int64          { return r.n }
func (r *reader[T]) Close() error             { return r.rows.Close() }

// Write writes the elements as rows, in one file for each lane: out.parquet
// becomes out-00000-of-00004.parquet and so on. A Parquet file can't be gone on
// with once it is closed, so a run that takes snapshots begins another one behind
// each (out-00000-of-00004-1.parquet, …). Files appear, whole, when the run has
// ended well.
func Write[T any](c pipeline.PCollection[T], path string) {
	if path == "" {
		pipeline.FailAt(c, "parquet.Write: the path is empty")
		return
	}
	checkSchema[T](func(err error) { pipeline.FailAt(c, "parquet.Write: %w", err) })
	pipeline.Write[T](c, "parquet.Write", &sink[T]{path})
}

type sink[T any] struct{ path string }

// Open begins a lane's files; state is the parts that were written before.
func (s *sink[T]) Open(ctx context.Context, lane, lanes int, state []byte) (pipeline.Writer[T], error) {
	ext := filepath.Ext(s.path)
	w := &writer[T]{ctx: ctx, base: fmt.Sprintf("%s-%05d-of-%05d", strings.TrimSuffix(s.path, ext), lane, lanes), ext: ext}
	if state == nil {
		return w, w.begin()
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
	ctx       context.Context
	base, ext string
	parts     []part
	kept      int // of parts, in a snapshot that was committed
	f         filesystem.Writer
	rows      *parquet.GenericWriter[T]
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
	w.rows = parquet.NewGenericWriter[T](w.f)
	return nil
}

func (w *writer[T]) Write(v T) error {
	if w.f == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	_, err := w.rows.Write([]T{v})
	return err
}

// Prepare closes the open part.
func (w *writer[T]) Prepare() ([]byte, error) {
	if w.f != nil {
		if err := w.rows.Close(); err != nil {
			return nil, err
		}
		size, err := w.f.Sync()
		if err != nil {
			return nil, err
		}
		w.parts = append(w.parts, part{w.f.Temp(), size})
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
	w.parts = nil
	return nil
}

// Abort removes what no snapshot will go on with.
func (w *writer[T]) Abort(final bool) {
	if w.f != nil {
		w.f.Abort()
	}
	keep := w.kept
	if final {
		keep = 0
	}
	for i := keep; i < len(w.parts); i++ {
		if f, err := filesystem.Resume(w.ctx, w.name(i), w.parts[i].Temp, w.parts[i].Size); err == nil {
			f.Abort()
		}
	}
}
