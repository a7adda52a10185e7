package text

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// WriteOption configures [Write].
type WriteOption func(*sink)

// Single writes one file under just the path, on one lane.
func Single() WriteOption { return func(s *sink) { s.single = true } }

// Header begins each file with a line.
func Header(line string) WriteOption { return func(s *sink) { s.header = &line } }

// WriteCompression overrides what the path says about compression.
func WriteCompression(c filesystem.Compression) WriteOption {
	return func(s *sink) { s.compression = c }
}

// Write writes each element as a line, in one file for each lane: out.txt becomes
// out-00000-of-00004.txt and so on; with [Single] it is just out.txt. A path that
// ends in .gz or .zst is compressed.
//
// Files appear under their names, whole, when the run has ended well, and replace
// older ones; a run that fails leaves none. Files of an earlier run with another
// number of lanes stay where they are.
func Write(c pipeline.PCollection[string], path string, opts ...WriteOption) {
	WriteFunc(c, "text.Write", path, func(b []byte, line string) ([]byte, error) { return append(b, line...), nil }, opts...)
}

// WriteFunc writes the line that format appends for each element: for connectors
// of formats that have one record a line. kind names the operation.
func WriteFunc[T any](c pipeline.PCollection[T], kind, path string, format func(b []byte, v T) ([]byte, error), opts ...WriteOption) {
	s := &sink{path: path}
	for _, o := range opts {
		o(s)
	}
	if path == "" {
		pipeline.FailAt(c, "%s: the path is empty", kind)
		return
	}
	t := &typedSink[T]{s, format}
	if s.single {
		pipeline.WriteSingle[T](c, kind, t)
		return
	}
	pipeline.Write[T](c, kind, t)
}

// sink is where to write, whatever it is made of.
type sink struct {
	path        string
	single      bool
	header      *string
	compression filesystem.Compression
}

type typedSink[T any] struct {
	*sink
	format func(b []byte, v T) ([]byte, error)
}

// shard is the path of one lane's file.
func (s *sink) shard(lane, lanes int) string {
	if s.single {
		return s.path
	}
	dir, base := filepath.Split(s.path)
	name, ext, _ := strings.Cut(base, ".")
	if ext != "" {
		ext = "." + ext
	}
	return fmt.Sprintf("%s%s-%05d-of-%05d%s", dir, name, lane, lanes, ext)
}

// saved is a writer's state in a snapshot.
type saved struct {
	Temp   string
	Offset int64
}

// Open begins a shard, or goes on with it where the snapshot left it.
func (s *typedSink[T]) Open(ctx context.Context, lane, lanes int, state []byte) (pipeline.Writer[T], error) {
	w := &writer[T]{sink: s, path: s.shard(lane, lanes)}
	if state == nil {
		f, err := filesystem.Create(ctx, w.path)
		if err != nil {
			return nil, err
		}
		if err := w.begin(f); err != nil {
			return nil, err
		}
		if s.header != nil {
			w.buf.WriteString(*s.header)
			w.buf.WriteByte('\n')
		}
		return w, nil
	}
	var at saved
	if err := json.Unmarshal(state, &at); err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", w.path, err)
	}
	f, err := filesystem.Resume(ctx, w.path, at.Temp, at.Offset)
	if err != nil {
		return nil, err
	}
	w.kept = true
	return w, w.begin(f)
}

// writer writes one shard.
type writer[T any] struct {
	sink *typedSink[T]
	path string
	f    filesystem.Writer
	z    io.WriteCloser
	buf  *bufio.Writer
	line []byte
	kept bool // a snapshot names the unfinished file: it must survive Abort
	next bool // the snapshot being taken will
}

func (w *writer[T]) begin(f filesystem.Writer) (err error) {
	w.f = f
	if w.z, err = filesystem.Compressor(f, w.path, w.sink.compression); err != nil {
		return err
	}
	w.buf = bufio.NewWriterSize(w.z, 256<<10)
	return nil
}

func (w *writer[T]) Write(v T) (err error) {
	if w.line, err = w.sink.format(w.line[:0], v); err != nil {
		return err
	}
	w.line = append(w.line, '\n')
	_, err = w.buf.Write(w.line)
	return err
}

// Prepare makes what was written durable. Compressed data is ended there: gzip
// and zstd files may be several streams, one behind the other.
func (w *writer[T]) Prepare() ([]byte, error) {
	if err := w.buf.Flush(); err != nil {
		return nil, err
	}
	if err := w.z.Close(); err != nil {
		return nil, err
	}
	at, err := w.f.Sync()
	if err != nil {
		return nil, err
	}
	if err := w.begin(w.f); err != nil {
		return nil, err
	}
	w.next = true
	return json.Marshal(saved{w.f.Temp(), at})
}

func (w *writer[T]) Commit() error { w.kept = w.next; return nil }
func (w *writer[T]) Finish() error { return w.f.Commit() }

// Abort removes the unfinished file, unless a snapshot will go on with it.
func (w *writer[T]) Abort(final bool) {
	if final || !w.kept {
		w.f.Abort()
		return
	}
	w.f.Keep()
}
