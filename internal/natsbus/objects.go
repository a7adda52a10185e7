package natsbus

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
)

// Objects keeps snapshots by name: words of letters, digits, -, _ and dots that don't
// begin with a dot, with slashes between them.
type Objects interface {
	// Put keeps what r has under name, in place of what was there. After an error the name
	// may have the old content, the new one, or one that Get refuses.
	Put(ctx context.Context, name string, r io.Reader) error
	// Get reads what was put. The reader fails if it is not that any more; the caller has
	// to close it. ctx is also for reading.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List names, sorted, what begins with prefix.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete removes what is there under name, which may be nothing.
	Delete(ctx context.Context, name string) error
}

// ErrNoObject is what Get fails with when nothing has the name.
var ErrNoObject = errors.New("no such object")

// Objects returns the server's objects for the job, in JetStream's object store. It has
// to be created once.
func (s *Store) Objects() *Bucket { return &Bucket{s, s.name("objects")} }

// Bucket is [Objects] in JetStream.
type Bucket struct {
	store *Store
	name  string
}

var _ Objects = (*Bucket)(nil)

// Create makes room for objects, at most max bytes (0: as many as JetStream may keep), if
// there is none yet.
func (b *Bucket) Create(ctx context.Context, max int64) error {
	if max == 0 {
		max = -1
	}
	ctx, cancel := b.store.bound(ctx)
	defer cancel()
	_, err := b.store.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: b.name, Storage: jetstream.FileStorage, Replicas: b.store.kept, MaxBytes: max})
	if err != nil && !errors.Is(err, jetstream.ErrBucketExists) {
		return b.store.explain(ctx, "create "+b.name, err)
	}
	stream, err := b.store.js.Stream(ctx, "OBJ_"+b.name)
	if err != nil {
		return b.store.explain(ctx, "create "+b.name, err)
	}
	cfg := stream.CachedInfo().Config
	if cfg.Replicas != b.store.kept {
		return b.store.otherReplicas(cfg)
	}
	if direct := b.store.kept == 1; cfg.AllowDirect != direct {
		cfg.AllowDirect = direct // of several replicas only the one that leads is asked, as others may be late
		if _, err := b.store.js.UpdateStream(ctx, cfg); err != nil {
			return b.store.explain(ctx, "create "+b.name, err)
		}
	}
	return nil
}

// Put keeps an object.
func (b *Bucket) Put(ctx context.Context, name string, r io.Reader) error {
	return b.do(ctx, "put", name, func(ctx context.Context, store jetstream.ObjectStore) error {
		_, err := store.Put(ctx, jetstream.ObjectMeta{Name: name}, whole{r})
		return err
	})
}

// Get reads an object. Its pieces are read here, and not by the client, which waits for
// ever for one that is gone, and for a connection that is.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	ctx, cancel := b.store.tied(ctx)
	asking, asked := b.store.bound(ctx)
	defer asked()
	var o *object
	err := b.do(asking, "get", name, func(asking context.Context, store jetstream.ObjectStore) error {
		info, err := store.GetInfo(asking, name)
		if err != nil {
			return err
		}
		stream, err := b.store.stream(asking, "OBJ_"+b.name)
		if err != nil {
			return err
		}
		subject := "$O." + b.name + ".C." + info.NUID
		state, err := stream.Info(asking, jetstream.WithSubjectFilter(subject))
		if err != nil {
			return err
		}
		if n := state.State.Subjects[subject]; n != uint64(info.Chunks) {
			return fmt.Errorf("%w: %d of its %d pieces are there", errDamaged, n, info.Chunks)
		}
		o = &object{ctx: ctx, cancel: cancel, info: info, left: info.Chunks, sum: sha256.New()}
		o.explain = func(err error) error { return b.store.explain(o.ctx, "get object "+name, err) }
		if info.Chunks == 0 {
			return nil
		}
		o.ctx, _ = until(ctx, &o.come, errDeleted, func(ctx context.Context) bool {
			ctx, cancel := b.store.bound(ctx)
			defer cancel()
			state, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject))
			return err == nil && state.State.Subjects[subject] < uint64(info.Chunks)
		})
		o.messages, err = follow(asking, stream, subject, 1)
		return err
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return o, nil
}

var (
	errDamaged = errors.New("the object is damaged")
	errDeleted = fmt.Errorf("%w: it was deleted while it was read", ErrNoObject)
)

// List names objects.
func (b *Bucket) List(ctx context.Context, prefix string) (names []string, err error) {
	ctx, cancel := b.store.bound(ctx)
	defer cancel()
	err = b.do(ctx, "list", prefix, func(ctx context.Context, store jetstream.ObjectStore) error {
		infos, err := store.List(ctx)
		if errors.Is(err, jetstream.ErrNoObjectsFound) {
			return nil
		}
		for _, info := range infos {
			if strings.HasPrefix(info.Name, prefix) {
				names = append(names, info.Name)
			}
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

// Delete removes an object.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	ctx, cancel := b.store.bound(ctx)
	defer cancel()
	err := b.do(ctx, "delete", name, func(ctx context.Context, store jetstream.ObjectStore) error {
		if err := store.Delete(ctx, name); err != nil {
			return err
		}
		return b.unmark(ctx, name)
	})
	if errors.Is(err, ErrNoObject) {
		return nil
	}
	return err
}

// unmark removes what the client leaves behind to say that an object is deleted: names that
// never come again would add up.
func (b *Bucket) unmark(ctx context.Context, name string) error {
	stream, err := b.store.stream(ctx, "OBJ_"+b.name)
	if err != nil {
		return err
	}
	subject := "$O." + b.name + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
	m, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var about struct{ Deleted bool }
	if err := json.Unmarshal(m.Data, &about); err != nil || !about.Deleted { // it was put again
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(m.Sequence+1))
}

// do makes one call and explains how it failed.
func (b *Bucket) do(ctx context.Context, doing, name string, call func(context.Context, jetstream.ObjectStore) error) error {
	if doing != "list" && !validObject(name) {
		return fmt.Errorf("%q is no name for an object", name)
	}
	ctx, cancel := b.store.tied(ctx)
	defer cancel()
	store, err := b.store.js.ObjectStore(ctx, b.name)
	if err == nil {
		err = call(ctx, store)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrObjectNotFound):
		return fmt.Errorf("%s object %s: %w", doing, name, ErrNoObject)
	}
	return b.store.explain(ctx, doing+" object "+name, err)
}

// validObject says whether name may be that of an object, in JetStream and as a file.
func validObject(name string) bool {
	if !fs.ValidPath(name) || name == "." {
		return false
	}
	for word := range strings.SplitSeq(name, "/") {
		if word[0] == '.' {
			return false
		}
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == ""
}

// whole reads as much as there is room for: the client makes a piece of each read.
type whole struct{ r io.Reader }

func (w whole) Read(p []byte) (int, error) {
	n, err := io.ReadFull(w.r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// object is one that is being read.
type object struct {
	ctx      context.Context
	cancel   context.CancelFunc
	explain  func(error) error
	info     *jetstream.ObjectInfo
	messages jetstream.MessagesContext // nil: there are no pieces

	left  uint32        // pieces that were not received yet
	come  atomic.Uint64 // those that were
	piece []byte        // what is left of the one that was
	sum   hash.Hash
}

func (o *object) Read(p []byte) (int, error) {
	for len(o.piece) == 0 {
		if o.left == 0 {
			return 0, o.end()
		}
		m, err := o.messages.Next(jetstream.NextContext(o.ctx))
		if err != nil {
			return 0, o.explain(err)
		}
		o.left--
		o.come.Add(1)
		o.piece = m.Data()
		o.sum.Write(o.piece)
	}
	n := copy(p, o.piece)
	o.piece = o.piece[n:]
	return n, nil
}

// end is the end of an object, if it is what was put.
func (o *object) end() error {
	if want := "SHA-256=" + base64.URLEncoding.EncodeToString(o.sum.Sum(nil)); o.info.Digest != want {
		return o.explain(fmt.Errorf("%w: its sum is %s, and not %s", errDamaged, want, o.info.Digest))
	}
	return io.EOF
}

func (o *object) Close() error {
	if o.messages != nil {
		o.messages.Stop()
	}
	o.cancel()
	return nil
}
