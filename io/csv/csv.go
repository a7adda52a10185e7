// Package csv reads and writes files of comma-separated values as structs.
//
// The first line of a file names its columns. A column belongs to the struct's
// field with the tag `csv:"name"`, or else with that name; columns without a field
// are passed over. The mapping is by github.com/jszwec/csvutil.
package csv

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/jszwec/csvutil"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
)

// Option configures [Read].
type Option func(*config)

type config struct {
	comma       rune
	header      []string
	compression filesystem.Compression
}

// Comma is what is between two columns; default a comma.
func Comma(r rune) Option { return func(c *config) { c.comma = r } }

// Columns names the columns of files that have no line which does.
func Columns(names ...string) Option { return func(c *config) { c.header = names } }

// Compression overrides what the file's name says about its compression.
func Compression(k filesystem.Compression) Option { return func(c *config) { c.compression = k } }

// Read is the records of all files that the pattern matches. Fields in quotes may
// span lines, so a file is read from its beginning, by one lane. A record that is
// no T fails the run, with file, line and column.
func Read[T any](p *pipeline.Pipeline, pattern string, opts ...Option) pipeline.PCollection[T] {
	c := config{comma: ','}
	for _, o := range opts {
		o(&c)
	}
	if err := filesystem.CheckPattern(pattern); err != nil {
		pipeline.Fail(p, "csv.Read: %w", err)
	}
	if _, err := csvutil.Header(*new(T), "csv"); err != nil {
		pipeline.Fail(p, "csv.Read: records of type %v can't be read: %w", reflect.TypeFor[T](), err)
	}
	return pipeline.Read[T](p, "csv.Read", &source[T]{pattern, c})
}

// source is the files, one split each.
type source[T any] struct {
	pattern string
	config
}

func (s *source[T]) Bounded() bool { return true }

func (s *source[T]) Splits(ctx context.Context, _ int) (out []pipeline.Split[T], err error) {
	files, err := filesystem.Match(ctx, s.pattern)
	for _, f := range files {
		out = append(out, &file[T]{s, f})
	}
	return out, err
}

type file[T any] struct {
	src  *source[T]
	file filesystem.File
}

func (f *file[T]) ID() string { return f.file.Path }

// Open begins a file; a position is how many records were read.
func (f *file[T]) Open(ctx context.Context, position []byte) (pipeline.Reader[T], error) {
	raw, err := filesystem.OpenRange(ctx, f.file.Path, 0, -1)
	if err != nil {
		return nil, err
	}
	in, err := filesystem.Decompress(raw, f.file.Path, f.src.compression)
	if err != nil {
		raw.Close()
		return nil, err
	}
	r := &reader[T]{f: f, in: in, csv: csv.NewReader(in)}
	r.csv.Comma, r.csv.ReuseRecord = f.src.comma, true
	r.dec, err = csvutil.NewDecoder(r.csv, f.src.header...)
	if errors.Is(err, io.EOF) { // an empty file has no records
		return r, nil
	}
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("%s: %w", f.file.Path, err)
	}
	r.dec.DisallowMissingColumns = true
	if position == nil {
		return r, nil
	}
	n, k := binary.Uvarint(position)
	if k <= 0 {
		in.Close()
		return nil, fmt.Errorf("%s: damaged position", f.file.Path)
	}
	for ; r.n < n; r.n++ {
		if _, err := r.csv.Read(); err != nil {
			in.Close()
			return nil, fmt.Errorf("go on with %s behind record %d: %w", f.file.Path, n, err)
		}
	}
	return r, nil
}

type reader[T any] struct {
	f   *file[T]
	in  io.ReadCloser
	csv *csv.Reader
	dec *csvutil.Decoder // nil: an empty file
	n   uint64
}

func (r *reader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	for range max {
		if r.dec == nil {
			return pipeline.Done, nil
		}
		var v T
		err := r.dec.Decode(&v)
		if err == io.EOF {
			return pipeline.Done, nil
		}
		if err != nil {
			return pipeline.Done, fmt.Errorf("%s: %w", r.f.file.Path, r.withLine(err))
		}
		r.n++
		out.Emit(v)
	}
	return pipeline.More, nil
}

// withLine adds the line, where the error does not name it itself.
func (r *reader[T]) withLine(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return err
	}
	line, _ := r.csv.FieldPos(0)
	var bad *csvutil.DecodeError
	if errors.As(err, &bad) {
		return fmt.Errorf("line %d, column %s: %w", line, bad.Field, bad.Err)
	}
	return fmt.Errorf("line %d: %w", line, err)
}

func (r *reader[T]) Position(b []byte) []byte { return binary.AppendUvarint(b, r.n) }

func (r *reader[T]) Where() string {
	if r.dec == nil || r.n == 0 {
		return r.f.file.Path
	}
	line, _ := r.csv.FieldPos(0)
	return fmt.Sprintf("%s:%d", r.f.file.Path, line)
}

func (r *reader[T]) Progress() (read, total int64) {
	if r.f.src.compression.Of(r.f.file.Path) != filesystem.None {
		return r.csv.InputOffset(), 0
	}
	return r.csv.InputOffset(), r.f.file.Size
}

func (r *reader[T]) Close() error { return r.in.Close() }

// Write writes each element as a record, in shards as text.Write does it, each
// beginning with a line of column names.
func Write[T any](c pipeline.PCollection[T], path string, opts ...text.WriteOption) {
	names, err := csvutil.Header(*new(T), "csv")
	if err != nil {
		pipeline.FailAt(c, "csv.Write: records of type %v can't be written: %w", reflect.TypeFor[T](), err)
		return
	}
	header, err := record(nil, names)
	if err != nil {
		pipeline.FailAt(c, "csv.Write: %w", err)
		return
	}
	opts = append([]text.WriteOption{text.Header(string(header))}, opts...)
	text.WriteFunc(c, "csv.Write", path, func(b []byte, v T) ([]byte, error) {
		var w fields
		e := csvutil.NewEncoder(&w)
		e.AutoHeader = false
		if err := e.Encode(v); err != nil {
			return b, err
		}
		return record(b, w.record)
	}, opts...)
}

// fields catches the record that the encoder makes.
type fields struct{ record []string }

func (f *fields) Write(r []string) error { f.record = r; return nil }

// record appends a record as a line, without its end.
func record(b []byte, fields []string) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.Write(fields); err != nil {
		return b, err
	}
	w.Flush()
	return append(b, strings.TrimSuffix(out.String(), "\n")...), w.Error()
}
