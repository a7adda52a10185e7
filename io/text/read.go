package text

import (
	"context"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// ReadOption configures [Read].
type ReadOption func(*source)

// MaxLine is how long a line may be, in bytes without its end; default 16 MiB. A
// longer one fails the run, with its place.
func MaxLine(n int) ReadOption { return func(s *source) { s.maxLine = n } }

// Compression overrides what the file's name says about its compression.
func Compression(c filesystem.Compression) ReadOption {
	return func(s *source) { s.compression = c }
}

// SkipLines passes the first n lines of each file, which is then one piece.
func SkipLines(n int) ReadOption { return func(s *source) { s.skip = n } }

// PieceSize is how many bytes of a file are read as one piece; default 32 MiB,
// less (down to 1 MiB) where there would be fewer than four pieces for each lane.
func PieceSize(n int64) ReadOption { return func(s *source) { s.piece = n } }

// Read is the lines of all files that the pattern matches, without their line
// ends (\n or \r\n), in no order. Files are looked up when the pipeline runs, and
// no file at all is an error then; patterns are those of filesystem.Match.
//
// Lines cost no memory of their own: those of one block of a file share it, so
// that keeping one of them alive keeps its block (256 KiB) alive, unless it is
// copied with strings.Clone. State and groupings copy by themselves.
func Read(p *pipeline.Pipeline, pattern string, opts ...ReadOption) pipeline.PCollection[string] {
	return add(p, "text.Read", pattern, func(context.Context, filesystem.File) (parser[string], error) {
		return func(_ *reader, line string) (string, bool, error) { return line, true, nil }, nil
	}, opts)
}

// SourceLine is a line with its place.
type SourceLine struct {
	File   string
	Offset int64 // of the line's first byte; in a compressed file, of its content
	Line   string
}

// ReadWithSource is [Read] with each line's place.
func ReadWithSource(p *pipeline.Pipeline, pattern string, opts ...ReadOption) pipeline.PCollection[SourceLine] {
	return add(p, "text.ReadWithSource", pattern, func(context.Context, filesystem.File) (parser[SourceLine], error) {
		return func(r *reader, line string) (SourceLine, bool, error) {
			return SourceLine{r.file.Path, r.place, line}, true, nil
		}, nil
	}, opts)
}

// Parser makes an element of a line; ok says whether there is one. An error fails
// the run, which adds file and offset. The line's memory is shared, as with [Read].
type Parser[T any] func(line SourceLine) (v T, ok bool, err error)

// ReadRecords is a collection of what parsers make of the lines: for connectors of
// formats that have one record a line. kind names the operation: "json.Read".
//
// open makes the parser of one piece of file, which one goroutine uses: it may
// keep buffers. Any piece but one that begins at offset 0 begins somewhere within
// the file, so that a format with a header has to read that in open.
func ReadRecords[T any](p *pipeline.Pipeline, kind, pattern string, open func(ctx context.Context, file filesystem.File) (Parser[T], error), opts ...ReadOption) pipeline.PCollection[T] {
	return add(p, kind, pattern, func(ctx context.Context, file filesystem.File) (parser[T], error) {
		parse, err := open(ctx, file)
		if err != nil {
			return nil, err
		}
		return func(r *reader, line string) (T, bool, error) {
			return parse(SourceLine{r.file.Path, r.place, line})
		}, nil
	}, opts)
}

// add checks what can be checked while the pipeline is built.
func add[T any](p *pipeline.Pipeline, kind, pattern string, open func(context.Context, filesystem.File) (parser[T], error), opts []ReadOption) pipeline.PCollection[T] {
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
	if s.poll != nil || s.fromEnd {
		pipeline.Fail(p, "%s: PollInterval and FromEnd are for text.Tail", kind)
	}
	return pipeline.Read[T](p, kind, &typed[T]{s, open})
}
