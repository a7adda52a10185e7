package text

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"unsafe"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// ReadOption configures [Read].
type ReadOption func(*source)

// MaxLine is how long a line may be, in bytes; default 16 MiB. A longer one fails
// the run, with its place.
func MaxLine(n int) ReadOption { return func(s *source) { s.maxLine = n } }

// Compression overrides what the file's name says about its compression.
func Compression(c filesystem.Compression) ReadOption {
	return func(s *source) { s.compression = c }
}

// SkipLines passes the first n lines of each file, which is then one piece.
func SkipLines(n int) ReadOption { return func(s *source) { s.skip = n } }

// PieceSize is how many bytes of a file are read as one piece; default 32 MiB,
// less where there would be fewer pieces than lanes.
func PieceSize(n int64) ReadOption { return func(s *source) { s.piece = n } }

// Read is the lines of all files that the pattern matches, without their line
// ends (\n or \r\n). Order is undefined. Lines of one block of a file share
// memory: keeping one line of many alive keeps its block (256 KiB) alive, unless
// it is copied with strings.Clone; state and groupings copy by themselves.
func Read(p *pipeline.Pipeline, pattern string, opts ...ReadOption) pipeline.PCollection[string] {
	src := newSource(p, "text.Read", pattern, opts)
	return pipeline.Read[string](p, "text.Read", &typed[string]{src, func(_ *reader, line string) (string, bool, error) { return line, true, nil }})
}

// Line is a line with its place.
type Line struct {
	File   string
	Offset int64 // of the line's first byte; in a compressed file, of its content
	Text   string
}

// ReadLines is [Read] with each line's place.
func ReadLines(p *pipeline.Pipeline, pattern string, opts ...ReadOption) pipeline.PCollection[Line] {
	src := newSource(p, "text.ReadLines", pattern, opts)
	return pipeline.Read[Line](p, "text.ReadLines", &typed[Line]{src, func(r *reader, line string) (Line, bool, error) {
		return Line{r.file.Path, r.lineAt, line}, true, nil
	}})
}

// ReadFunc is a collection of what parse makes of each line, if it says that there
// is something: for connectors of formats that have one record a line. kind names
// the operation. An error of parse fails the run, with file and offset.
func ReadFunc[T any](p *pipeline.Pipeline, kind, pattern string, parse func(line string) (v T, ok bool, err error), opts ...ReadOption) pipeline.PCollection[T] {
	src := newSource(p, kind, pattern, opts)
	return pipeline.Read[T](p, kind, &typed[T]{src, func(_ *reader, line string) (T, bool, error) { return parse(line) }})
}

// newSource checks what can be checked while the pipeline is built.
func newSource(p *pipeline.Pipeline, kind, pattern string, opts []ReadOption) *source {
	s := &source{pattern: pattern, maxLine: 16 << 20}
	for _, o := range opts {
		o(s)
	}
	if err := filesystem.CheckPattern(pattern); err != nil {
		pipeline.Fail(p, "%s: %w", kind, err)
	}
	if s.maxLine < 1 || s.piece < 0 || s.skip < 0 {
		pipeline.Fail(p, "%s: MaxLine, PieceSize and SkipLines want positive numbers", kind)
	}
	return s
}

const (
	pieceMost  = 32 << 20
	pieceLeast = 1 << 20
	blockSize  = 256 << 10
)

// source is what to read, whatever it is made into.
type source struct {
	pattern     string
	maxLine     int
	piece       int64
	skip        int
	compression filesystem.Compression
}

// typed is a source of T.
type typed[T any] struct {
	*source
	parse func(r *reader, line string) (T, bool, error)
}

func (s *typed[T]) Bounded() bool { return true }

// Splits cuts the files into pieces: enough for every lane, none too small.
func (s *typed[T]) Splits(ctx context.Context, lanes int) (out []pipeline.Split[T], err error) {
	files, err := filesystem.Match(ctx, s.pattern)
	if err != nil {
		return nil, err
	}
	var total int64
	for _, f := range files {
		total += f.Size
	}
	size := s.piece
	if size == 0 {
		size = min(max(total/int64(4*lanes), pieceLeast), pieceMost)
	}
	for _, f := range files {
		whole := s.compression.Of(f.Path) != filesystem.None || s.skip > 0
		if whole {
			out = append(out, &piece[T]{s, f, 0, -1})
			continue
		}
		for from := int64(0); from < f.Size; from += size {
			out = append(out, &piece[T]{s, f, from, min(from+size, f.Size)})
		}
	}
	return out, nil
}

// unread is the position of a piece of which nothing was read yet.
const unread = -1

// piece is the lines that begin in [from, to) of a file; to is -1 for a file that
// can only be read from its beginning.
type piece[T any] struct {
	src      *typed[T]
	file     filesystem.File
	from, to int64
}

func (p *piece[T]) ID() string { return fmt.Sprintf("%s:%d-%d", p.file.Path, p.from, p.to) }

// Open begins at the first line that begins in the piece: behind the first line
// end at or behind its first byte less one. A position is the offset of the next line.
func (p *piece[T]) Open(ctx context.Context, position []byte) (pipeline.Reader[T], error) {
	from, behindLine := p.from, p.from == 0
	if position != nil {
		at, n := binary.Varint(position)
		if n <= 0 {
			return nil, fmt.Errorf("%s: damaged position", p.file.Path)
		}
		if at != unread {
			from, behindLine = at, true
		}
	}
	r := &reader{source: p.src.source, file: p.file, first: p.from, to: p.to, next: from, at: from}
	if p.to >= 0 {
		if !behindLine {
			r.at, r.next, r.seek = from-1, from-1, true
		}
		if r.next >= p.to {
			r.eof = true
			return &pieceReader[T]{r, p.src.parse}, nil
		}
	}
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	return &pieceReader[T]{r, p.src.parse}, nil
}

// reader reads the lines of a piece in blocks.
type reader struct {
	*source
	file      filesystem.File
	first, to int64 // the piece
	r         io.ReadCloser
	seek      bool // the rest of the line at hand belongs to the piece before

	at     int64  // offset of block's first byte
	block  []byte // whole lines, and the beginning of one
	pos    int    // in block, of the next line
	eof    bool
	next   int64 // offset of the next line
	lineAt int64 // offset of the line emitted last
}

func (r *reader) open(ctx context.Context) (err error) {
	if r.to >= 0 {
		r.r, err = filesystem.OpenRange(ctx, r.file.Path, r.at, -1)
		return err
	}
	raw, err := filesystem.OpenRange(ctx, r.file.Path, 0, -1)
	if err != nil {
		return err
	}
	if r.r, err = filesystem.Decompress(raw, r.file.Path, r.compression); err != nil {
		raw.Close()
		return err
	}
	skip := r.next
	r.at, r.next = 0, 0
	if skip > 0 { // a restored position: pass what was read before
		if _, err := io.CopyN(io.Discard, r.r, skip); err != nil {
			return fmt.Errorf("go on with %s at %d: %w", r.file.Path, skip, err)
		}
		r.at, r.next = skip, skip
		return nil
	}
	for range r.skip {
		if _, ok, err := r.line(); err != nil || !ok {
			return err
		}
	}
	return nil
}

// fill makes the block begin with the line at pos and adds what can be read.
func (r *reader) fill() error {
	rest := r.block[r.pos:]
	if len(rest) > r.maxLine {
		return fmt.Errorf("%s:%d: the line is longer than %d bytes (text.MaxLine)", r.file.Path, r.at+int64(r.pos), r.maxLine)
	}
	size := max(blockSize, 2*len(rest))
	block := make([]byte, len(rest), size) // a new one: lines of the old block are out there
	copy(block, rest)
	n, err := io.ReadFull(r.r, block[len(rest):size])
	r.at += int64(r.pos)
	r.block, r.pos = block[:len(rest)+n], 0
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // a damaged compressed file's error is wrapped
		r.eof = true
	case err != nil:
		return fmt.Errorf("read %s: %w", r.file.Path, err)
	}
	return nil
}

// line is the next line that begins in the piece.
func (r *reader) line() (line string, ok bool, err error) {
	for {
		if r.to >= 0 && r.next >= r.to && !r.seek {
			return "", false, nil
		}
		rest := r.block[r.pos:]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			if !r.eof {
				if err := r.fill(); err != nil {
					return "", false, err
				}
				continue
			}
			if len(rest) == 0 || r.seek {
				r.next = r.at + int64(len(r.block))
				r.seek = false
				r.pos = len(r.block)
				if r.to >= 0 {
					r.to = min(r.to, r.next)
				}
				return "", false, nil
			}
			i = len(rest)
		}
		start := r.next
		r.pos = min(r.pos+i+1, len(r.block))
		r.next = r.at + int64(r.pos)
		if r.seek {
			r.seek = false
			continue
		}
		r.lineAt = start
		b := rest[:i]
		if i > 0 && b[i-1] == '\r' {
			b = b[:i-1]
		}
		if len(b) > r.maxLine {
			return "", false, fmt.Errorf("%s:%d: the line is longer than %d bytes (text.MaxLine)", r.file.Path, start, r.maxLine)
		}
		return unsafe.String(unsafe.SliceData(b), len(b)), true, nil // the block is never written again
	}
}

// pieceReader makes lines into elements.
type pieceReader[T any] struct {
	*reader
	parse func(r *reader, line string) (T, bool, error)
}

func (r *pieceReader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	for range max {
		line, ok, err := r.line()
		if err != nil {
			return pipeline.Done, err
		}
		if !ok {
			return pipeline.Done, nil
		}
		v, some, err := r.parse(r.reader, line)
		if err != nil {
			return pipeline.Done, err
		}
		if some {
			out.Emit(v)
		}
	}
	if out.Stopped() {
		return pipeline.Done, nil
	}
	return pipeline.More, nil
}

func (r *reader) Position(b []byte) []byte {
	if r.seek {
		return binary.AppendVarint(b, unread)
	}
	return binary.AppendVarint(b, r.next)
}

func (r *reader) Where() string { return fmt.Sprintf("%s:%d", r.file.Path, r.lineAt) }

func (r *reader) Progress() (read, total int64) {
	if r.to < 0 {
		return r.next, 0
	}
	return max(min(r.next, r.to)-r.first, 0), r.to - r.first
}

func (r *reader) Close() error {
	if r.r == nil {
		return nil
	}
	return r.r.Close()
}
