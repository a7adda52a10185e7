package csv

import (
	"context"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jszwec/csvutil"

	"github.com/millrace/millrace/internal/csvrecord"
	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// source is the files, one split each.
type source[T any] struct {
	pattern string
	dialect
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

// Size is in bytes of the file, compressed ones if it is compressed.
func (f *file[T]) Size() int64 { return f.file.Size }

// Open begins a file behind its header, or where position says: an offset of the
// content, and how many lines are before it.
func (f *file[T]) Open(ctx context.Context, position []byte) (_ pipeline.Reader[T], err error) {
	h, err := f.src.readHeader(ctx, f.file)
	if err != nil {
		return nil, err
	}
	r := &reader[T]{file: f.file, columns: h.columns, base: h.bytes, lines: h.lines}
	if position != nil {
		if r.base, r.lines, err = parsePosition(position); err != nil {
			return nil, fmt.Errorf("%s: %w", f.file.Path, err)
		}
	}
	if h.columns == nil {
		return r, nil
	}
	if r.in, err = f.src.open(ctx, f.file); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.in.Close()
		}
	}()
	if _, err := io.CopyN(io.Discard, r.in, r.base); err != nil {
		return nil, fmt.Errorf("go on with %s at %d: %w", f.file.Path, r.base, err)
	}
	r.csv = csv.NewReader(r.in)
	if r.dec, err = csvrecord.NewDecoder(r.csv, f.src.comma, h.columns); err != nil {
		return nil, fmt.Errorf("%s: %w", f.file.Path, err)
	}
	return r, nil
}

func parsePosition(b []byte) (offset int64, lines int, err error) {
	at, n := binary.Uvarint(b)
	if n <= 0 || int64(at) < 0 {
		return 0, 0, errors.New("damaged position")
	}
	l, k := binary.Uvarint(b[n:])
	if k <= 0 || n+k != len(b) || int(l) < 0 {
		return 0, 0, errors.New("damaged position")
	}
	return int64(at), int(l), nil
}

// reader reads a file's records.
type reader[T any] struct {
	file    filesystem.File
	columns []string // nil: the file is empty
	in      *input   // nil then
	csv     *csv.Reader
	dec     *csvutil.Decoder
	base    int64 // bytes before what csv reads
	lines   int   // the same
	read    int   // lines that csv has read
	at      int   // line of the record read last, or of the error
}

func (r *reader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	if r.columns == nil {
		return pipeline.Done, nil
	}
	for range max {
		v, ok, err := r.record()
		if err != nil || !ok {
			return pipeline.Done, err
		}
		out.Emit(v)
	}
	if out.Stopped() {
		return pipeline.Done, nil
	}
	return pipeline.More, nil
}

// record is the next record; ok is false behind the last.
func (r *reader[T]) record() (v T, ok bool, err error) {
	err = r.dec.Decode(&v)
	if err == io.EOF {
		return v, false, nil
	}
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		r.at = r.lines + syntax.Line
		return v, false, csvrecord.Sentence(err, r.lines)
	}
	if err != nil && len(r.dec.Record()) == 0 { // the file could not be read
		return v, false, err
	}
	first, _ := r.csv.FieldPos(0)
	r.at = r.lines + first
	record := r.dec.Record()
	last, _ := r.csv.FieldPos(len(record) - 1)
	r.read = last + strings.Count(record[len(record)-1], "\n")
	if errors.Is(err, csvutil.ErrFieldCount) {
		return v, false, csvrecord.Ragged(record, r.columns)
	}
	return v, err == nil, csvrecord.Sentence(err, r.lines)
}

// Position is what is before the next record. Lines that are empty may be, which
// makes no difference.
func (r *reader[T]) Position(b []byte) []byte {
	offset := r.base
	if r.csv != nil {
		offset += r.csv.InputOffset()
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(offset)), uint64(r.lines+r.read))
}

func (r *reader[T]) Where() string {
	if r.at == 0 {
		return r.file.Path
	}
	return fmt.Sprintf("%s:%d", r.file.Path, r.at)
}

// Progress counts bytes of the file, as Size does.
func (r *reader[T]) Progress() int64 {
	if r.in == nil {
		return 0
	}
	return min(r.in.raw.n, r.file.Size)
}

func (r *reader[T]) Close() error {
	if r.in == nil {
		return nil
	}
	return r.in.Close()
}
