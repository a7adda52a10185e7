package text

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// roll says when a file is full, and the next one begins.
type roll struct {
	bytes *int64
	after *time.Duration
	each  bool
}

func (r roll) on() bool { return r.bytes != nil || r.after != nil || r.each }

func (r roll) check() error {
	switch {
	case r.bytes != nil && *r.bytes < 1:
		return fmt.Errorf("RollBytes(%d): want 1 or more", *r.bytes)
	case r.after != nil && *r.after <= 0:
		return fmt.Errorf("RollAfter(%v): want more than 0", *r.after)
	}
	return nil
}

// RollBytes ends a file once it holds n bytes, counted before compression, and
// begins another: see [Write] for how files of such a sink appear.
func RollBytes(n int64) WriteOption { return func(s *sink) { s.roll.bytes = &n } }

// RollAfter ends a file at the first checkpoint that comes d or more after its first
// line was written, and begins another with the next line.
func RollAfter(d time.Duration) WriteOption { return func(s *sink) { s.roll.after = &d } }

// RollEach ends a file at each checkpoint before which something was written to it.
func RollEach() WriteOption { return func(s *sink) { s.roll.each = true } }

// named is a part that lies there under its hidden name.
type named struct {
	N    int
	Temp string
}

// openPart is a part that goes on behind a snapshot.
type openPart struct {
	named
	Lines int64 // bytes of lines in it
	Began int64 // Unix ms of its first line
}

// rolled is a lane's state in a snapshot.
type rolled struct {
	Next   int       // number of the part that comes next
	Closed []named   // to be shown when the snapshot is taken
	Open   *openPart // nil: none

	Before int `json:",omitempty"` // only for a beginning: how many lanes there were before
}

// roller writes a lane's parts, one behind the other.
//
// A part is open (w.open, or w.rests when nothing was written to it since the
// snapshot that names it was restored), then closed, then promised by a Prepare,
// then shown.
type roller[T any] struct {
	ctx     context.Context
	sink    *sink
	base    string // path of the lane's shard, which parts are named after
	format  Formatter[T]
	next    int
	open    *shard
	at      openPart // of open; Temp is not kept up
	rests   *openPart
	closed  []closedPart // since the last Prepare
	promise []named      // by the last Prepare, not yet shown
	buf     []byte       // of the open part when there is none
}

type closedPart struct {
	named
	kept bool // a snapshot names it, open
}

// openRoller begins a lane's parts, or goes on where state left them, whose closed
// parts are shown at once: their snapshot was taken.
func openRoller[T any](ctx context.Context, s *sink, base string, state []byte, format Formatter[T]) (*roller[T], error) {
	w := &roller[T]{ctx: ctx, sink: s, base: base, format: format, buf: newBuffer()}
	var was rolled
	if state != nil {
		if err := decode(state, &was, &was.Next); err != nil {
			return nil, fmt.Errorf("go on writing %s: %w", base, err)
		}
	}
	w.next, w.rests, w.promise = was.Next, was.Open, was.Closed
	keep := temps(w.promise)
	if w.rests != nil {
		keep = append(keep, w.rests.Temp)
	}
	if err := filesystem.Sweep(ctx, base, isPart(base), keep...); err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", base, err)
	}
	return w, w.Commit()
}

func temps(ps []named) (out []string) {
	for _, p := range ps {
		out = append(out, p.Temp)
	}
	return out
}

// part is the path of part n of the shard at base: out-000017.txt.
func part(base string, n int) string {
	name, ext := splitExt(base)
	return fmt.Sprintf("%s-%06d%s", name, n, ext)
}

// isPart knows the names of the parts of base, and of base itself.
func isPart(base string) func(string) bool {
	_, file := filepath.Split(base)
	name, ext := splitExt(file)
	return func(file string) bool {
		if file == name+ext {
			return true
		}
		n, ok := strings.CutPrefix(file, name+"-")
		n, ok2 := strings.CutSuffix(n, ext)
		_, err := strconv.ParseUint(n, 10, 64)
		return ok && ok2 && len(n) >= 6 && err == nil
	}
}

func (w *roller[T]) Write(v T) error {
	if w.open == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	p := w.open
	had := len(p.buf)
	b, err := w.format(p.buf, v)
	if err != nil {
		return err
	}
	p.buf = append(b, '\n')
	w.at.Lines += int64(len(p.buf) - had)
	if w.sink.roll.bytes != nil && w.at.Lines >= *w.sink.roll.bytes {
		return w.close()
	}
	if len(p.buf) >= blockSize {
		return p.flush()
	}
	return nil
}

// begin opens the part that rests, or the next one.
func (w *roller[T]) begin() (err error) {
	if r := w.rests; r != nil {
		if w.open, err = resumeShard(w.ctx, w.sink, part(w.base, r.N), r.Temp, w.buf); err != nil {
			return err
		}
		w.at, w.rests, w.buf = *r, nil, nil
		return nil
	}
	if w.open, err = beginShard(w.ctx, w.sink, part(w.base, w.next), w.buf); err != nil {
		return err
	}
	w.at = openPart{named: named{N: w.next}, Lines: int64(len(w.open.buf)), Began: time.Now().UnixMilli()}
	w.next++
	w.buf = nil
	return nil
}

// close ends the open part, whose file is durable then, under its hidden name.
func (w *roller[T]) close() error {
	if w.rests != nil {
		w.closed = append(w.closed, closedPart{w.rests.named, true})
		w.rests = nil
		return nil
	}
	kept := w.open.durable
	if err := w.open.sync(); err != nil {
		return err
	}
	p := named{w.at.N, w.open.f.Temp()}
	if err := w.open.f.Keep(); err != nil {
		return fmt.Errorf("write %s: %w", w.open.path, err)
	}
	w.closed = append(w.closed, closedPart{p, kept})
	w.buf, w.open = w.open.buf[:0], nil
	return nil
}

// due says that the open part is to be ended at a checkpoint.
func (w *roller[T]) due() bool {
	at := w.at
	switch {
	case w.rests != nil:
		at = *w.rests
	case w.open == nil:
		return false
	}
	r := w.sink.roll
	return r.each || r.after != nil && time.Now().UnixMilli()-at.Began >= r.after.Milliseconds()
}

func (w *roller[T]) Prepare() ([]byte, error) {
	if w.due() {
		if err := w.close(); err != nil {
			return nil, err
		}
	}
	for _, c := range w.closed {
		w.promise = append(w.promise, c.named)
	}
	w.closed = nil
	s := rolled{Next: w.next, Closed: w.promise, Open: w.rests}
	if w.open != nil {
		if err := w.open.sync(); err != nil {
			return nil, err
		}
		w.at.Temp = w.open.f.Temp()
		s.Open = &w.at
	}
	return json.Marshal(s)
}

// Commit shows what the last Prepare promised.
func (w *roller[T]) Commit() error {
	for len(w.promise) > 0 {
		if err := w.show(w.promise[0]); err != nil {
			return err
		}
		w.promise = w.promise[1:]
	}
	w.promise = nil
	return nil
}

// show gives a part its name. One that had it before, and is gone, was taken away by
// its reader: hidden files vanish by being renamed only.
func (w *roller[T]) show(p named) error {
	err := filesystem.Finalize(w.ctx, part(w.base, p.N), p.Temp)
	if errors.Is(err, fs.ErrNotExist) {
		slog.Info("a finished file is not there any more", "file", part(w.base, p.N))
		return nil
	}
	return err
}

// Finish shows the part that is open, too.
func (w *roller[T]) Finish() error {
	if err := w.Commit(); err != nil {
		return err
	}
	if w.open == nil && w.rests == nil {
		return nil
	}
	if err := w.close(); err != nil {
		return err
	}
	w.promise = []named{w.closed[0].named}
	w.closed = nil
	return w.Commit()
}

// Abort removes what no snapshot can name, or all, if final. It has nobody to report
// an error to: what it can't remove stays hidden, and the next Open removes it.
func (w *roller[T]) Abort(final bool) {
	ctx := context.WithoutCancel(w.ctx) // it is cancelled by now, if that is why
	if w.open != nil {
		w.open.Abort(final)
	}
	if final {
		if w.rests != nil {
			w.promise = append(w.promise, w.rests.named)
		}
		for _, temp := range temps(w.promise) {
			remove(ctx, temp)
		}
	}
	for _, c := range w.closed {
		if final || !c.kept {
			remove(ctx, c.Temp)
		}
	}
	w.open, w.rests, w.promise, w.closed = nil, nil, nil, nil
}

func remove(ctx context.Context, temp string) {
	if u, err := filesystem.ParseUnfinished(temp); err == nil {
		_ = filesystem.Remove(ctx, u.Path)
	}
}

// succeedRolled is the state in which a lane begins behind those of a run with
// another number of lanes: no number is given out twice, whatever lanes there were.
func succeedRolled(states [][]byte) ([]byte, error) {
	out := rolled{Before: len(states)}
	for _, b := range states {
		var was rolled
		if err := decode(b, &was, &was.Next); err != nil {
			return nil, err
		}
		out.Next = max(out.Next, was.Next)
	}
	return json.Marshal(out)
}

var _ pipeline.Writer[string] = (*roller[string])(nil)
