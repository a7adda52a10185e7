package text

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/millrace/millrace/io/filesystem"
)

// saved is a shard's state in a snapshot.
type saved struct {
	N    int    // number of the file; 0: it has none
	Temp string // as filesystem.Resume wants it; "": the file is not begun

	Before int `json:",omitempty"` // only for a beginning: how many lanes there were before
}

// sweepOthers removes what runs of other numbers of lanes have left that died before
// their first snapshot. Lane 0 does it, for all: of those lanes nobody knows any more.
// What the lanes of the last snapshot have begun is theirs to go on with.
func (s *sink) sweepOthers(ctx context.Context, lanes int, state []byte) error {
	if s.single {
		return nil
	}
	var was struct{ Before int }
	if state != nil && json.Unmarshal(state, &was) != nil {
		return nil // whoever opens the state says so
	}
	_, file := filepath.Split(s.path)
	name, ext := splitExt(file)
	shape := regexp.MustCompile("^" + regexp.QuoteMeta(name) + `-\d{5}-of-(\d{5})(-\d{6,})?` + regexp.QuoteMeta(ext) + "$")
	err := filesystem.Sweep(ctx, s.path, func(file string) bool {
		m := shape.FindStringSubmatch(file)
		if m == nil {
			return false
		}
		n, err := strconv.Atoi(m[1])
		return err == nil && n != lanes && n != was.Before
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	return nil
}

// shard is one file that is being written.
type shard struct {
	path        string
	n           int
	compression filesystem.Compression
	f           filesystem.Writer
	z           io.WriteCloser // to f; nil behind a snapshot, until something is written
	durable     bool           // a snapshot may name it: sync was called once
	buf         []byte         // not yet written
}

// decode reads a state; n is a number in it.
func decode(state []byte, to any, n *int) error {
	if err := json.Unmarshal(state, to); err != nil {
		return fmt.Errorf("the state is damaged: %w", err)
	}
	if *n < 0 {
		return fmt.Errorf("the state is damaged: number %d", *n)
	}
	return nil
}

func newBuffer() []byte { return make([]byte, 0, blockSize+blockSize/8) }

// openShard begins a shard, or goes on where state, if there is one, left it.
func openShard(ctx context.Context, s *sink, base string, state []byte) (*shard, error) {
	if state == nil {
		return beginShard(ctx, s, base, newBuffer())
	}
	var was saved
	if err := decode(state, &was, &was.N); err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", base, err)
	}
	name, keep := base, []string(nil)
	if was.N > 0 {
		name = part(base, was.N)
	}
	if was.Temp != "" {
		keep = []string{was.Temp}
	}
	_, own := filepath.Split(name)
	if err := filesystem.Sweep(ctx, name, func(of string) bool { return of == own }, keep...); err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", name, err)
	}
	open := func() (*shard, error) { return resumeShard(ctx, s, name, was.Temp, newBuffer()) }
	if was.Temp == "" {
		open = func() (*shard, error) { return beginShard(ctx, s, name, newBuffer()) }
	}
	w, err := open()
	if err == nil {
		w.n = was.N
	}
	return w, err
}

// beginShard begins a file. buf, which is empty, becomes the shard's.
func beginShard(ctx context.Context, s *sink, path string, buf []byte) (*shard, error) {
	f, err := filesystem.Create(ctx, path)
	if err != nil {
		return nil, err
	}
	if s.header != nil {
		buf = append(append(buf, *s.header...), '\n')
	}
	return &shard{path: path, compression: s.compression, f: f, buf: buf}, nil
}

// resumeShard goes on with a file as it was when its Temp gave temp.
func resumeShard(ctx context.Context, s *sink, path, temp string, buf []byte) (*shard, error) {
	was, err := filesystem.ParseUnfinished(temp)
	if err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", path, err)
	}
	f, err := filesystem.Resume(ctx, path, temp, was.Size)
	if err != nil {
		return nil, err
	}
	return &shard{path: path, compression: s.compression, f: f, durable: true, buf: buf}, nil
}

// flush passes the buffer on to the file.
func (w *shard) flush() (err error) {
	if w.z == nil {
		if w.z, err = filesystem.Compressor(w.f, w.path, w.compression); err != nil {
			return err
		}
	}
	if _, err := w.z.Write(w.buf); err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	w.buf = w.buf[:0]
	return nil
}

// sync makes what was written durable. Compressed data is ended there: gzip and zstd
// files may be several streams, one behind the other. One of them there must be, or
// other programs would not take the file for a compressed one.
func (w *shard) sync() (err error) {
	if len(w.buf) > 0 || !w.durable {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.z != nil {
		if err := w.z.Close(); err != nil {
			return fmt.Errorf("write %s: %w", w.path, err)
		}
		w.z = nil
		if _, err = w.f.Sync(); err != nil {
			return fmt.Errorf("write %s: %w", w.path, err)
		}
		w.durable = true
	}
	return nil
}

func (w *shard) Prepare() (state []byte, err error) {
	if err := w.sync(); err != nil {
		return nil, err
	}
	return json.Marshal(saved{N: w.n, Temp: w.f.Temp()})
}

func (w *shard) Commit() error { return nil }
func (w *shard) Finish() error { return w.f.Commit() }

// Abort removes the unfinished file, unless a snapshot may go on with it. It has
// nobody to report an error to: what it can't remove stays hidden, and
// filesystem.Leftovers lists it.
func (w *shard) Abort(final bool) {
	if w.durable && !final {
		_ = w.f.Keep()
		return
	}
	_ = w.f.Abort()
}

// succeedShard is the state in which a lane begins behind those of a run with another
// number of lanes, whose files are finished: its own has a number behind theirs, for
// there may have been as many lanes before.
func succeedShard(states [][]byte) ([]byte, error) {
	var out saved
	for _, b := range states {
		var was saved
		if err := decode(b, &was, &was.N); err != nil {
			return nil, err
		}
		out.N = max(out.N, was.N)
	}
	out.N++
	out.Before = len(states)
	return json.Marshal(out)
}
