package text

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

const (
	pieceMost  = 32 << 20 // bytes
	pieceLeast = 1 << 20  // bytes; less is not worth opening a file for
	perLane    = 4        // pieces for each lane, so that all end at about one time
)

// source is what to read, whatever is made of it.
type source struct {
	pattern     string
	maxLine     int
	piece       int64
	skip        int
	compression filesystem.Compression

	poll    *time.Duration // for Tail
	fromEnd bool
}

// whole reports that a file can only be read from its beginning.
func (s *source) whole(path string) bool {
	return s.compression.Of(path) != filesystem.None || s.skip > 0
}

// parser makes an element of the line that r has just read.
type parser[T any] func(r *reader, line string) (v T, ok bool, err error)

// typed is a source of T.
type typed[T any] struct {
	*source
	open func(context.Context, filesystem.File) (parser[T], error)
}

func (s *typed[T]) Bounded() bool { return true }

// Splits cuts the files into pieces: enough for every lane, none too small. Files
// that can't be cut come first, big ones before small ones, as the run would wait
// for one that a lane begins late.
func (s *typed[T]) Splits(ctx context.Context, lanes int) (out []pipeline.Split[T], err error) {
	files, err := match(ctx, s.pattern)
	if err != nil {
		return nil, err
	}
	var total int64
	for _, f := range files {
		total += f.Size
		if s.whole(f.Path) {
			out = append(out, &piece[T]{s, f, 0, toEnd})
		}
	}
	slices.SortStableFunc(out, func(a, b pipeline.Split[T]) int {
		return cmp.Compare(b.(*piece[T]).file.Size, a.(*piece[T]).file.Size)
	})
	size := s.piece
	if size == 0 {
		size = min(max(total/int64(perLane*lanes), pieceLeast), pieceMost)
	}
	for _, f := range files {
		if s.whole(f.Path) {
			continue
		}
		for from := int64(0); from < f.Size; from += size {
			out = append(out, &piece[T]{s, f, from, min(from+size, f.Size)})
		}
	}
	return out, nil
}

const (
	toEnd  = -1 // end of a piece that is the whole file
	unread = -1 // position of a piece of which nothing was read
)

// piece is the lines that begin in [from, to) of a file.
type piece[T any] struct {
	src      *typed[T]
	file     filesystem.File
	from, to int64
}

func (p *piece[T]) ID() string {
	if p.to == toEnd {
		return p.file.Path
	}
	return fmt.Sprintf("%s:%d-%d", p.file.Path, p.from, p.to)
}

// Size is in bytes of the file, compressed ones if it is compressed.
func (p *piece[T]) Size() int64 {
	if p.to == toEnd {
		return p.file.Size
	}
	return p.to - p.from
}

// Open begins at the first line that begins in the piece, which is behind the
// first line end at from-1 or later. A position is the offset of the next line.
func (p *piece[T]) Open(ctx context.Context, position []byte) (pipeline.Reader[T], error) {
	r := &reader{source: p.src.source, file: p.file, from: p.from, to: p.to, next: p.from}
	r.seek = p.from > 0
	if position != nil {
		at, n := binary.Varint(position)
		if n <= 0 || n != len(position) || at != unread && (at < p.from || p.to == toEnd && at < 0 || p.to != toEnd && at > p.to+int64(p.src.maxLine)+2) { // 2 for the line's end
			return nil, fmt.Errorf("%s: damaged position", p.file.Path)
		}
		if at != unread {
			r.next, r.seek = at, false
		}
	}
	if r.seek {
		r.next--
	}
	r.place = r.next
	parse, err := p.src.open(ctx, p.file)
	if err != nil {
		return nil, err
	}
	if err := r.open(ctx); err != nil {
		if r.in != nil {
			r.in.Close()
		}
		return nil, err
	}
	return &pieceReader[T]{r, parse}, nil
}

// pieceReader makes lines into elements.
type pieceReader[T any] struct {
	*reader
	parse parser[T]
}

func (r *pieceReader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	for range max {
		line, ok, err := r.line()
		if err != nil || !ok {
			return pipeline.Done, err
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
