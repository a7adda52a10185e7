package parquet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

type source[T any] struct{ pattern string }

func (s *source[T]) Bounded() bool { return true }

// Splits reads the end of each file, which says where its row groups are.
func (s *source[T]) Splits(ctx context.Context, _ int) (out []pipeline.Split[T], err error) {
	files, err := filesystem.Match(ctx, s.pattern)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		file, _, err := open(ctx, f)
		if err != nil {
			return nil, err
		}
		if err := checkColumns[T](file); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		for i, g := range file.RowGroups() {
			out = append(out, &group[T]{f, i, g.NumRows()})
		}
	}
	return out, nil
}

// readBuffer is how many bytes of a column are read at once: a file is opened anew
// for each read, which is a request where files are far away. Each open row group
// takes this much memory for each column that is read.
const readBuffer = 256 << 10

// open reads a file's metadata, all but what is for searching in it.
func open(ctx context.Context, f filesystem.File) (file *parquet.File, in *ranges, err error) {
	in = &ranges{ctx: ctx, path: f.Path}
	err = guard("its metadata is damaged", func() (err error) {
		file, err = parquet.OpenFile(in, f.Size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(readBuffer))
		return err
	})
	switch {
	case in.err != nil:
		return nil, nil, in.err
	case err != nil:
		return nil, nil, fmt.Errorf("%s: not a Parquet file: %w", f.Path, err)
	}
	return file, in, nil
}

// ranges reads a file at offsets.
type ranges struct {
	ctx  context.Context
	path string
	err  error // the first that is not the file's contents' fault
}

func (r *ranges) ReadAt(b []byte, off int64) (n int, err error) {
	in, err := filesystem.OpenRange(r.ctx, r.path, off, int64(len(b)))
	if err == nil {
		n, err = io.ReadFull(in, b)
		in.Close()
	}
	switch {
	case err == io.ErrUnexpectedEOF:
		err = io.EOF
	case err != nil && err != io.EOF && r.err == nil:
		r.err = fmt.Errorf("read %s: %w", r.path, err)
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

// Size is in rows.
func (g *group[T]) Size() int64 { return g.rows }

// Open begins a row group; a position is how many rows were read.
func (g *group[T]) Open(ctx context.Context, position []byte) (pipeline.Reader[T], error) {
	file, in, err := open(ctx, g.file)
	if err != nil {
		return nil, err
	}
	if n := len(file.RowGroups()); g.n >= n {
		return nil, fmt.Errorf("%s: it has %d row groups by now", g.ID(), n)
	}
	r := &reader[T]{g: g, in: in}
	err = guard(fmt.Sprintf("its columns don't fit type %v", reflect.TypeFor[T]()), func() error {
		r.rows = parquet.NewGenericRowGroupReader[T](file.RowGroups()[g.n])
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.file.Path, err)
	}
	if position == nil {
		return r, nil
	}
	n, k := binary.Varint(position)
	if k <= 0 || k != len(position) || n < 0 || n > g.rows {
		err = errors.New("damaged position")
	} else {
		r.n = n
		err = guard("damaged", func() error { return r.rows.SeekToRow(n) })
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("go on with %s: %w", g.ID(), err)
	}
	return r, nil
}

type reader[T any] struct {
	g    *group[T]
	in   *ranges
	rows *parquet.GenericReader[T]
	buf  []T
	n    int64 // rows read
}

func (r *reader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	rows, err := r.next(max)
	for i := range rows {
		r.n++
		out.Emit(rows[i])
	}
	switch {
	case err == io.EOF:
		return pipeline.Done, nil
	case err != nil:
		r.n++ // for Where: the row that could not be read
		return pipeline.Done, err
	case out.Stopped():
		return pipeline.Done, nil
	}
	return pipeline.More, nil
}

// next reads at most max rows, which are good until the next call.
func (r *reader[T]) next(max int) (rows []T, err error) {
	if len(r.buf) < max {
		r.buf = make([]T, max)
	}
	clear(r.buf) // or the slices of rows that were emitted would be written to
	n := 0
	err = guard("damaged", func() error {
		n, err = r.rows.Read(r.buf[:max])
		return err
	})
	switch {
	case r.in.err != nil:
		err = r.in.err
	case err != nil && err != io.EOF:
		err = fmt.Errorf("the row group can't be read: %w", err)
	}
	return r.buf[:n], err
}

func (r *reader[T]) Position(b []byte) []byte { return binary.AppendVarint(b, r.n) }

func (r *reader[T]) Where() string {
	if r.n == 0 {
		return r.g.ID()
	}
	return fmt.Sprintf("%s:%d", r.g.ID(), r.n-1)
}

func (r *reader[T]) Progress() int64 { return r.n }
func (r *reader[T]) Close() error    { return r.rows.Close() }
