package blob

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/millrace/millrace/io/filesystem"
)

// OpenBucket opens a bucket by its name.
type OpenBucket func(ctx context.Context, name string) (*blob.Bucket, error)

// Register makes known the files of scheme://bucket/key. A nil open takes the
// gocloud.dev driver of that scheme, with what [Parameters] has set. Each bucket
// is opened once, at its first use, and stays open.
func Register(scheme string, open OpenBucket) {
	if open == nil {
		open = func(ctx context.Context, name string) (*blob.Bucket, error) {
			url := scheme + "://" + name
			if q := parametersOf(scheme); q != "" {
				url += "?" + q
			}
			return blob.OpenBucket(ctx, url)
		}
	}
	s := &store{scheme: scheme, open: open, buckets: map[string]*bucketFS{}}
	filesystem.Register(scheme, s.find)
}

var (
	parametersMu sync.Mutex // guards parameters
	parameters   = map[string]string{}
)

// Parameters sets the URL parameters with which the buckets of a scheme are
// opened, in the form a=1&b=2; which there are is in the driver's documentation
// at gocloud.dev. For an S3 store of one's own:
//
//	blob.Parameters("s3", "endpoint=http://minio:9000&use_path_style=true&region=x")
//
// It is for the beginning of main: buckets that are open stay as they are.
func Parameters(scheme, query string) {
	parametersMu.Lock()
	defer parametersMu.Unlock()
	parameters[scheme] = query
}

func parametersOf(scheme string) string {
	parametersMu.Lock()
	defer parametersMu.Unlock()
	return parameters[scheme]
}

// store is the buckets of a scheme.
type store struct {
	scheme string
	open   OpenBucket

	mu      sync.Mutex // guards buckets
	buckets map[string]*bucketFS
}

// find is the bucket of a URL.
func (s *store) find(ctx context.Context, url string) (filesystem.FS, error) {
	name, _, slash := strings.Cut(strings.TrimPrefix(url, s.scheme+"://"), "/")
	if name == "" || !slash || filesystem.HasMeta(name) {
		return nil, fmt.Errorf("%s: want %s://bucket/key, with the bucket spelled out", url, s.scheme)
	}
	s.mu.Lock()
	b := s.buckets[name]
	s.mu.Unlock()
	if b != nil {
		return b, nil
	}
	opened, err := s.open(context.WithoutCancel(ctx), name) // it outlives the call
	if err != nil {
		return nil, fmt.Errorf("open bucket %s://%s: %w", s.scheme, name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[name]; b != nil { // another was faster
		opened.Close()
		return b, nil
	}
	b = &bucketFS{opened, s.scheme + "://" + name + "/"}
	s.buckets[name] = b
	return b, nil
}

// bucketFS is the files of one bucket.
type bucketFS struct {
	*blob.Bucket
	root string // scheme://bucket/
}

func (b *bucketFS) key(path string) string { return strings.TrimPrefix(path, b.root) }

// explain says which file err is about, and makes one that is not there the error
// that it is everywhere.
func explain(path string, err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return fmt.Errorf("%s: %w: %w", path, filesystem.ErrNoMatch, err)
	case gcerrors.PermissionDenied:
		return fmt.Errorf("%s: %w: %w", path, fs.ErrPermission, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// list calls fn for each object whose key begins with prefix, by key.
func (b *bucketFS) list(ctx context.Context, prefix string, fn func(*blob.ListObject)) error {
	it := b.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := it.Next(ctx)
		if ctx.Err() != nil { // not every driver looks
			err = ctx.Err()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return explain(b.root+prefix, err)
		}
		fn(o)
	}
}

func (b *bucketFS) Match(ctx context.Context, pattern string) ([]filesystem.File, error) {
	key := b.key(pattern)
	if !filesystem.HasMeta(key) {
		return b.matchOne(ctx, pattern, key)
	}
	prefix := key[:strings.IndexAny(key, `*?[{\`)]
	var out []filesystem.File
	err := b.list(ctx, prefix, func(o *blob.ListObject) {
		if hidden(o.Key) || strings.HasSuffix(o.Key, "/") || !doublestar.MatchUnvalidated(key, o.Key) {
			return
		}
		out = append(out, filesystem.File{Path: b.root + o.Key, Size: o.Size, ModTime: o.ModTime})
	})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %w matches, among those that begin with %s", pattern, filesystem.ErrNoMatch, b.root+prefix)
	}
	slices.SortFunc(out, func(x, y filesystem.File) int { return cmp.Compare(x.Path, y.Path) })
	return out, nil
}

// hidden reports that key is a part of an unfinished file.
func hidden(key string) bool {
	_, ok := filesystem.UnfinishedOf(path.Base(path.Dir(key)))
	return ok
}

func (b *bucketFS) matchOne(ctx context.Context, pattern, key string) ([]filesystem.File, error) {
	if key != "" && !strings.HasSuffix(key, "/") {
		a, err := b.Attributes(ctx, key)
		if err == nil {
			return []filesystem.File{{Path: pattern, Size: a.Size, ModTime: a.ModTime}}, nil
		}
		if gcerrors.Code(err) != gcerrors.NotFound {
			return nil, explain(pattern, err)
		}
		key += "/"
	}
	it := b.List(&blob.ListOptions{Prefix: key})
	_, err := it.Next(ctx)
	switch {
	case err == nil || err == io.EOF && strings.Trim(key, "/") == "":
		return nil, fmt.Errorf("%s is a folder: name its files, as %s/*", pattern, strings.TrimSuffix(pattern, "/"))
	case err == io.EOF:
		return nil, fmt.Errorf("%s: %w", pattern, filesystem.ErrNoMatch)
	}
	return nil, explain(pattern, err)
}

func (b *bucketFS) OpenRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	key := b.key(path)
	r, err := b.NewRangeReader(ctx, key, offset, length, nil)
	if err == nil {
		return &reader{ctx, r}, nil
	}
	if offset > 0 && gcerrors.Code(err) != gcerrors.NotFound { // most stores refuse what begins behind the end
		if a, err := b.Attributes(ctx, key); err == nil && a.Size <= offset {
			return io.NopCloser(strings.NewReader("")), nil
		}
	}
	return nil, explain(path, err)
}

// reader ends with its ctx, at every store.
type reader struct {
	ctx context.Context
	*blob.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// WriteTo hides the embedded one, which would read past ctx.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

func (b *bucketFS) Remove(ctx context.Context, p string) error {
	key := b.key(p)
	if _, unfinished := filesystem.UnfinishedOf(path.Base(key)); !unfinished {
		return b.delete(ctx, key)
	}
	parts, err := b.parts(ctx, key)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := b.delete(ctx, part.Key); err != nil {
			return err
		}
	}
	return nil
}

func (b *bucketFS) delete(ctx context.Context, key string) error {
	if err := b.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return explain(b.root+key, err)
	}
	return nil
}

// parts is the objects of an unfinished file, in order.
func (b *bucketFS) parts(ctx context.Context, temp string) (out []*blob.ListObject, err error) {
	err = b.list(ctx, temp+"/", func(o *blob.ListObject) { out = append(out, o) })
	slices.SortFunc(out, func(x, y *blob.ListObject) int { return cmp.Compare(x.Key, y.Key) })
	return out, err
}

func (b *bucketFS) Leftovers(ctx context.Context, pattern string) ([]filesystem.File, error) {
	dir, names := path.Split(b.key(pattern))
	prefix := dir + "."
	if i := strings.IndexAny(names, `*?[{\`); i >= 0 {
		prefix += names[:i]
	} else {
		prefix += names
	}
	found := map[string]*filesystem.File{}
	err := b.list(ctx, prefix, func(o *blob.ListObject) {
		temp := path.Dir(o.Key)
		of, ok := filesystem.UnfinishedOf(path.Base(temp))
		if !ok || strings.Contains(temp[len(dir):], "/") || !doublestar.MatchUnvalidated(names, of) {
			return
		}
		f := found[temp]
		if f == nil {
			f = &filesystem.File{Path: b.root + temp}
			found[temp] = f
		}
		f.Size += o.Size
		if o.ModTime.After(f.ModTime) {
			f.ModTime = o.ModTime
		}
	})
	var out []filesystem.File
	for _, f := range found {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(x, y filesystem.File) int { return cmp.Compare(x.Path, y.Path) })
	return out, err
}
