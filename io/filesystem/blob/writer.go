package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/millrace/millrace/io/filesystem"
)

// copyMost is how large an object may be for a store to copy it by itself: S3
// refuses more than 5 GiB.
const copyMost = 4 << 30

func (b *bucketFS) Create(ctx context.Context, name string) (filesystem.Writer, error) {
	key := b.key(name)
	temp := path.Join(path.Dir(key), filesystem.UnfinishedName(path.Base(key)))
	at := filesystem.Unfinished{Path: b.root + temp}
	return &writer{ctx: ctx, b: b, key: key, temp: temp, at: at, synced: at}, nil
}

func (b *bucketFS) Resume(ctx context.Context, name, temp string, offset int64) (_ filesystem.Writer, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("go on writing %s: %w", name, err)
		}
	}()
	was, err := filesystem.ParseUnfinished(temp)
	if err != nil {
		return nil, err
	}
	w := &writer{ctx: ctx, b: b, key: b.key(name), temp: b.key(was.Path)}
	parts, err := b.parts(ctx, w.temp)
	if err != nil {
		return nil, err
	}
	var size int64
	for _, p := range parts {
		size += p.Size
	}
	if size < was.Size || len(parts) == 0 && was.Size == 0 { // committed since, and the parts removed, or some of them
		if parts, err = w.reopenCommitted(was, parts); err != nil {
			return nil, err
		}
		size = was.Size
	}
	if offset < 0 || size < offset {
		return nil, fmt.Errorf("%s holds %d bytes, not %d", was.Path, size, offset)
	}
	if err := w.cutTo(parts, offset); err != nil {
		return nil, err
	}
	if offset != was.Size { // it was made durable again since, or not as far
		again := filesystem.Unfinished{Path: was.Path}
		if err := w.copyParts(&again); err != nil {
			return nil, err
		}
		was = again
	}
	w.at, w.synced = was, was
	return w, nil
}

// Finalize implements [filesystem.Finalizer].
func (b *bucketFS) Finalize(ctx context.Context, name, temp string) error {
	was, err := filesystem.ParseUnfinished(temp)
	if err != nil {
		return err
	}
	parts, err := b.parts(ctx, b.key(was.Path))
	if err != nil {
		return err
	}
	var size int64
	for _, p := range parts {
		size += p.Size
	}
	r, err := b.NewReader(ctx, b.key(name), nil)
	if size >= was.Size && (was.Size > 0 || err != nil) { // the parts are there
		if err == nil {
			r.Close()
		}
		w, err := b.Resume(ctx, name, temp, was.Size)
		if err != nil {
			return err
		}
		return w.Commit()
	}
	if err != nil {
		return fmt.Errorf("finish %s: the unfinished file %s is gone, and there is no finished one: %w", name, was.Path, explain(name, err))
	}
	defer r.Close()
	if err := was.CopyCommitted(io.Discard, r); err != nil {
		return fmt.Errorf("finish %s: %w", name, err)
	}
	return b.Remove(ctx, was.Path) // what is left of the parts
}

// writer writes the parts of one file.
type writer struct {
	ctx       context.Context // of Create or Resume
	b         *bucketFS
	key, temp string

	at, synced filesystem.Unfinished // what is written, and what is durable
	parts      []*blob.ListObject    // that are durable; only Key and Size are set
	next       int                   // number of the next part
	open       *blob.Writer          // of the part being written; nil before its first byte
	drop       context.CancelFunc    // makes open leave nothing
	ended      bool
}

var errEnded = errors.New("the file was ended before")

func (w *writer) Write(p []byte) (int, error) {
	if w.ended {
		return 0, fmt.Errorf("write %s%s: %w", w.b.root, w.key, errEnded)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if w.open == nil {
		if err := w.begin(); err != nil {
			return 0, err
		}
	}
	n, err := w.open.Write(p)
	w.at.Add(p[:n])
	if err != nil {
		err = explain(w.b.root+w.key, err)
	}
	return n, err
}

func (w *writer) partKey(i int) string { return fmt.Sprintf("%s/%08d", w.temp, i) }

func (w *writer) begin() error {
	ctx, drop := context.WithCancel(w.ctx)
	open, err := w.b.NewWriter(ctx, w.partKey(w.next), binary())
	if err != nil {
		drop()
		return explain(w.b.root+w.key, err)
	}
	w.open, w.drop = open, drop
	return nil
}

// binary keeps gocloud from guessing what is written, for which it would hold the
// first bytes back.
func binary() *blob.WriterOptions {
	return &blob.WriterOptions{ContentType: "application/octet-stream"}
}

// Sync ends the part at hand. After an error the writer can only be aborted or kept.
func (w *writer) Sync() (int64, error) {
	if w.open != nil {
		err := w.open.Close()
		w.drop()
		w.open = nil
		if err != nil {
			w.ended = true
			return w.synced.Size, explain(w.b.root+w.key, err)
		}
		w.parts = append(w.parts, &blob.ListObject{Key: w.partKey(w.next), Size: w.at.Size - w.synced.Size})
		w.next++
	}
	w.synced = w.at
	return w.at.Size, nil
}

func (w *writer) Temp() string { return w.synced.String() }

func (w *writer) Commit() error {
	if w.ended {
		return nil
	}
	_, err := w.Sync()
	if err == nil {
		err = w.show()
	}
	if err != nil {
		return fmt.Errorf("commit %s%s: %w", w.b.root, w.key, err)
	}
	w.ended = true
	// The file is there: parts that cannot be removed now are leftovers, no failure.
	_ = w.b.Remove(context.WithoutCancel(w.ctx), w.synced.Path)
	return nil
}

// show makes the parts one object.
func (w *writer) show() error {
	if len(w.parts) == 1 && w.parts[0].Size <= copyMost {
		return w.b.Copy(w.ctx, w.key, w.parts[0].Key, nil)
	}
	ctx, drop := context.WithCancel(w.ctx)
	defer drop()
	out, err := w.b.NewWriter(ctx, w.key, binary())
	if err != nil {
		return err
	}
	if err := w.copyParts(out); err != nil {
		drop() // before Close, which would show what there is
		out.Close()
		return err
	}
	return out.Close()
}

// copyParts writes the durable parts to out, in order.
func (w *writer) copyParts(out io.Writer) error {
	for _, p := range w.parts {
		r, err := w.b.OpenRange(w.ctx, w.b.root+p.Key, 0, -1)
		if err != nil {
			return err
		}
		n, err := io.Copy(out, r)
		r.Close()
		if err != nil {
			return err
		}
		if n != p.Size {
			return fmt.Errorf("%s holds %d bytes, not %d", p.Key, n, p.Size)
		}
	}
	return nil
}

func (w *writer) Abort() error {
	if !w.drops() {
		return nil
	}
	return w.b.Remove(context.WithoutCancel(w.ctx), w.at.Path)
}

func (w *writer) Keep() error {
	w.drops()
	return nil
}

// drops ends the writer without the part at hand; false when it was ended before.
func (w *writer) drops() bool {
	if w.open != nil {
		w.drop()
		w.open.Close() // with the error that it was dropped
		w.open = nil
	}
	was := w.ended
	w.ended = true
	return !was
}

// reopenCommitted makes a part of the file that the unfinished one has become.
func (w *writer) reopenCommitted(was filesystem.Unfinished, parts []*blob.ListObject) ([]*blob.ListObject, error) {
	r, err := w.b.NewReader(w.ctx, w.key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		if was.Size == 0 { // nothing was written yet
			return nil, nil
		}
		return nil, fmt.Errorf("neither the unfinished file %s nor the finished one is there: %w", was.Path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, explain(w.b.root+w.key, err)
	}
	defer r.Close()
	for _, p := range parts { // what is left of them; the file has it all
		if err := w.b.delete(w.ctx, p.Key); err != nil {
			return nil, err
		}
	}
	part := &blob.ListObject{Key: w.partKey(0), Size: was.Size}
	return []*blob.ListObject{part}, w.writePart(part.Key, func(out io.Writer) error { return was.CopyCommitted(out, r) })
}

// writePart writes an object, or leaves none.
func (w *writer) writePart(key string, fill func(io.Writer) error) error {
	ctx, drop := context.WithCancel(w.ctx)
	defer drop()
	out, err := w.b.NewWriter(ctx, key, binary())
	if err != nil {
		return err
	}
	if err := fill(out); err != nil {
		drop()
		out.Close()
		return err
	}
	return out.Close()
}

// cutTo keeps offset bytes of parts: it removes those behind, last first, and
// shortens the one in which offset is.
func (w *writer) cutTo(parts []*blob.ListObject, offset int64) error {
	var kept int64
	for i, p := range parts {
		if kept >= offset {
			for _, behind := range parts[i:] {
				if err := w.b.delete(w.ctx, behind.Key); err != nil {
					return err
				}
			}
			break
		}
		if over := kept + p.Size - offset; over > 0 {
			if err := w.shorten(p, p.Size-over); err != nil {
				return err
			}
		}
		kept += p.Size
		w.parts = append(w.parts, p)
	}
	w.next = len(w.parts)
	return nil
}

// shorten writes a part anew, with its first size bytes.
func (w *writer) shorten(p *blob.ListObject, size int64) error {
	r, err := w.b.OpenRange(w.ctx, w.b.root+p.Key, 0, size)
	if err != nil {
		return err
	}
	defer r.Close()
	p.Size = size
	return w.writePart(p.Key, func(out io.Writer) error {
		_, err := io.Copy(out, r)
		return err
	})
}
