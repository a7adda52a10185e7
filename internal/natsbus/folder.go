package natsbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Folder is [Objects] as files of a folder that all processes see. A file has its name
// when it is whole and synced.
type Folder struct{ dir string }

var _ Objects = (*Folder)(nil)

// OpenFolder makes the folder if there is none.
func OpenFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder of objects: %w", err)
	}
	return &Folder{filepath.Clean(dir)}, nil
}

// Put writes a file.
func (f *Folder) Put(ctx context.Context, name string, r io.Reader) (err error) {
	file, err := f.path(name)
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("put object %s: %w", name, err)
	}
	w, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("put object %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			os.Remove(w.Name())
			err = fmt.Errorf("put object %s: %w", name, err)
		}
	}()
	_, err = io.Copy(w, &patient{ctx, r})
	if err == nil {
		err = w.Sync()
	}
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(w.Name(), file)
	}
	for ; err == nil; dir = filepath.Dir(dir) { // the name, and those of folders that are new
		if err = syncDir(dir); dir == f.dir {
			return err
		}
	}
	return err
}

// Get opens a file.
func (f *Folder) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	file, err := f.path(name)
	if err != nil {
		return nil, err
	}
	r, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("get object %s: %w", name, ErrNoObject)
	}
	if err != nil {
		return nil, fmt.Errorf("get object %s: %w", name, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{&patient{ctx, r}, r}, nil
}

// List names files.
func (f *Folder) List(ctx context.Context, prefix string) (names []string, err error) {
	err = filepath.WalkDir(f.dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		name, err := filepath.Rel(f.dir, file)
		if name = filepath.ToSlash(name); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list objects %s: %w", prefix, err)
	}
	slices.Sort(names)
	return names, nil
}

// Delete removes a file.
func (f *Folder) Delete(_ context.Context, name string) error {
	file, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete object %s: %w", name, err)
	}
	return nil
}

func (f *Folder) path(name string) (string, error) {
	if !validObject(name) {
		return "", fmt.Errorf("%q is no name for an object", name)
	}
	return filepath.Join(f.dir, filepath.FromSlash(name)), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// patient reads until ctx ends.
type patient struct {
	ctx context.Context
	r   io.Reader
}

func (p *patient) Read(b []byte) (int, error) {
	if p.ctx.Err() != nil {
		return 0, context.Cause(p.ctx)
	}
	return p.r.Read(b)
}
