package text

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/millrace/millrace/io/filesystem"
)

// saved is a shard's state in a snapshot.
type saved struct {
	Temp   string
	Offset int64
}

// shard is one file that is being written.
type shard struct {
	path        string
	compression filesystem.Compression
	f           filesystem.Writer
	z           io.WriteCloser // to f; nil behind a snapshot, until something is written
	at          int64          // durable bytes
	durable     bool           // at stands for something: Prepare was called once
	buf         []byte         // not yet written
	kept        bool           // a committed snapshot names the unfinished file: it must survive Abort
	prepared    bool           // the snapshot being taken names it
}

// openShard begins a shard, or goes on where state, if there is one, left it.
func openShard(ctx context.Context, s *sink, path string, state []byte) (*shard, error) {
	w := &shard{path: path, compression: s.compression, buf: make([]byte, 0, blockSize+blockSize/8)}
	if state == nil {
		f, err := filesystem.Create(ctx, path)
		if err != nil {
			return nil, err
		}
		w.f = f
		if s.header != nil {
			w.buf = append(append(w.buf, *s.header...), '\n')
		}
		return w, nil
	}
	var was saved
	if err := json.Unmarshal(state, &was); err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", path, err)
	}
	f, err := filesystem.Resume(ctx, path, was.Temp, was.Offset)
	if err != nil {
		return nil, err
	}
	w.f, w.at, w.durable, w.kept = f, was.Offset, true, true
	return w, nil
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

// Prepare makes what was written durable. Compressed data is ended there: gzip
// and zstd files may be several streams, one behind the other. One of them there
// must be, or other programs would not take the file for a compressed one.
func (w *shard) Prepare() (state []byte, err error) {
	if len(w.buf) > 0 || !w.durable {
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
	if w.z != nil {
		if err := w.z.Close(); err != nil {
			return nil, fmt.Errorf("write %s: %w", w.path, err)
		}
		w.z = nil
		if w.at, err = w.f.Sync(); err != nil {
			return nil, fmt.Errorf("write %s: %w", w.path, err)
		}
		w.durable = true
	}
	w.prepared = true
	return json.Marshal(saved{w.f.Temp(), w.at})
}

func (w *shard) Commit() error { w.kept = w.prepared; return nil }
func (w *shard) Finish() error { return w.f.Commit() }

// Abort removes the unfinished file, unless a committed snapshot will go on with
// it. It has nobody to report an error to: what it can't remove stays hidden, and
// filesystem.Leftovers lists it.
func (w *shard) Abort(final bool) {
	if w.kept && !final {
		_ = w.f.Keep()
		return
	}
	_ = w.f.Abort()
}
