package text

import (
	"context"
	"fmt"
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
// ends in .gz or .zst is compressed, the worse the more often the run takes
// snapshots, as each ends the stream at hand. A \n within an element is written
// as it is, and makes two lines of it.
//
// Files appear under their names, whole, when the run has ended well, and replace
// older ones; a run that fails leaves none. Files of an earlier run with another
// number of lanes stay where they are: use Single, a new folder for each run, or
// clear the folder before, where another program reads them by a pattern.
//
// A run that has no end wants [RollBytes], [RollAfter] or [RollEach], or several of
// them: each lane then writes one file after the other, with a number behind the
// lane's: out-00000-of-00004-000017.txt, with [Single] out-000017.txt. A file appears,
// whole, when the checkpoint is committed before which it was ended, and is not
// touched again: its reader may take it away. One that has not been ended goes on
// over checkpoints, and also over restarts; at the end of the run it appears with the
// rest. A lane that has nothing to write leaves no file. Such a sink removes what a
// crash has left of its own hidden files, so that no two runs may write to one path.
//
// When a run goes on with another number of lanes than before, the files at hand are
// finished, and those of the new lanes get numbers that were not there.
func Write(c pipeline.PCollection[string], path string, opts ...WriteOption) {
	WriteRecords(c, "text.Write", path, func() Formatter[string] {
		return func(b []byte, line string) ([]byte, error) { return append(b, line...), nil }
	}, opts...)
}

// Formatter appends what is to be written for v to b, without a line end.
type Formatter[T any] func(b []byte, v T) ([]byte, error)

// WriteRecords writes what formatters make of the elements, each followed by a
// line end, in files as [Write] makes them: for connectors of formats that have
// one record a line. kind names the operation: "json.Write". format makes the
// formatter of one lane, which one goroutine uses: it may keep buffers.
func WriteRecords[T any](c pipeline.PCollection[T], kind, path string, format func() Formatter[T], opts ...WriteOption) {
	s := &sink{path: path}
	for _, o := range opts {
		o(s)
	}
	if path == "" {
		pipeline.FailAt(c, "%s: the path is empty", kind)
		return
	}
	if err := s.roll.check(); err != nil {
		pipeline.FailAt(c, "%s: %w", kind, err)
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
	roll        roll
}

// shard is the path of one lane's file.
func (s *sink) shard(lane, lanes int) string {
	if s.single {
		return s.path
	}
	name, ext := splitExt(s.path)
	return fmt.Sprintf("%s-%05d-of-%05d%s", name, lane, lanes, ext)
}

// splitExt cuts a path before its ending: all of it, as .tar.gz.
func splitExt(path string) (name, ext string) {
	dir, base := filepath.Split(path)
	if i := strings.IndexByte(base, '.'); i > 0 { // a first dot hides the file
		return dir + base[:i], base[i:]
	}
	return path, ""
}

type typedSink[T any] struct {
	*sink
	format func() Formatter[T]
}

// Open begins a lane's files, or goes on with them where the snapshot left them.
func (s *typedSink[T]) Open(ctx context.Context, lane, lanes int, state []byte) (pipeline.Writer[T], error) {
	if lane == 0 && (state != nil || s.roll.on()) {
		if err := s.sweepOthers(ctx, lanes, state); err != nil {
			return nil, err
		}
	}
	if s.roll.on() {
		return openRoller(ctx, s.sink, s.shard(lane, lanes), state, s.format())
	}
	f, err := openShard(ctx, s.sink, s.shard(lane, lanes), state)
	if err != nil {
		return nil, err
	}
	return &recordWriter[T]{f, s.format()}, nil
}

// Succeed implements [pipeline.Successor].
func (s *typedSink[T]) Succeed(states [][]byte) ([]byte, error) {
	if s.roll.on() {
		return succeedRolled(states)
	}
	return succeedShard(states)
}

// recordWriter makes lines of elements.
type recordWriter[T any] struct {
	*shard
	format Formatter[T]
}

func (w *recordWriter[T]) Write(v T) error {
	b, err := w.format(w.buf, v)
	if err != nil {
		return err
	}
	w.buf = append(b, '\n')
	if len(w.buf) >= blockSize {
		return w.flush()
	}
	return nil
}
