package statelog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"syscall"
)

// fakeFS is a folder in memory, on a disk of room bytes, whose calls can be made to fail.
type fakeFS struct {
	mu     sync.Mutex
	files  map[string]*fakeFile
	room   int                   // bytes left; negative: no end
	fail   func(op string) error // called before each operation: "create 00000001.log"
	locked bool
	syncs  int
	writes []string // names of what was created or removed
}

type fakeFile struct {
	b      []byte
	synced int // bytes
}

func newFake() *fakeFS { return &fakeFS{files: map[string]*fakeFile{}, room: -1} }

// copied is what another process would find: all, or after a power loss what is synced.
func (f *fakeFS) copied(onlySynced bool) *fakeFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := newFake()
	for name, file := range f.files {
		b := file.b
		if onlySynced {
			b = b[:file.synced]
		}
		c.files[name] = &fakeFile{slices.Clone(b), len(b)}
	}
	return c
}

func (f *fakeFS) bytes() (n int) {
	for _, file := range f.files {
		n += len(file.b)
	}
	return n
}

func (f *fakeFS) before(op string) error {
	if f.fail == nil {
		return nil
	}
	return f.fail(op)
}

func (f *fakeFS) Create(name string) (File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.before("create " + name); err != nil {
		return nil, err
	}
	f.writes = append(f.writes, name)
	if old := f.files[name]; old != nil && f.room >= 0 {
		f.room += len(old.b)
	}
	file := &fakeFile{}
	f.files[name] = file
	return &fakeWriter{f, name, file}, nil
}

type fakeWriter struct {
	fs   *fakeFS
	name string
	file *fakeFile
}

func (w *fakeWriter) Write(b []byte) (int, error) {
	w.fs.mu.Lock()
	defer w.fs.mu.Unlock()
	if err := w.fs.before("write " + w.name); err != nil {
		return 0, err
	}
	n := len(b)
	if w.fs.room >= 0 {
		n = min(n, w.fs.room)
		w.fs.room -= n
	}
	w.file.b = append(w.file.b, b[:n]...)
	if n < len(b) {
		return n, &fs.PathError{Op: "write", Path: w.name, Err: syscall.ENOSPC}
	}
	return n, nil
}

func (w *fakeWriter) Sync() error {
	w.fs.mu.Lock()
	defer w.fs.mu.Unlock()
	w.fs.syncs++
	if err := w.fs.before("sync " + w.name); err != nil {
		return err
	}
	w.file.synced = len(w.file.b)
	return nil
}

func (w *fakeWriter) Close() error { return nil }

func (f *fakeFS) Open(name string) (ReadFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.before("open " + name); err != nil {
		return nil, err
	}
	file := f.files[name]
	if file == nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return &fakeReader{f, file, int64(len(file.b))}, nil
}

type fakeReader struct {
	fs   *fakeFS
	file *fakeFile
	size int64
}

func (r *fakeReader) ReadAt(b []byte, off int64) (int, error) {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	if off >= int64(len(r.file.b)) {
		return 0, io.EOF
	}
	n := copy(b, r.file.b[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (r *fakeReader) Size() int64  { return r.size }
func (r *fakeReader) Close() error { return nil }

func (f *fakeFS) List() ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.files)), nil
}

func (f *fakeFS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.before("rename " + from); err != nil {
		return err
	}
	if f.files[from] == nil {
		return fs.ErrNotExist
	}
	f.files[to] = f.files[from]
	delete(f.files, from)
	return nil
}

func (f *fakeFS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files[name] == nil {
		return fs.ErrNotExist
	}
	f.writes = append(f.writes, name)
	if f.room >= 0 {
		f.room += len(f.files[name].b)
	}
	delete(f.files, name)
	return nil
}

func (f *fakeFS) SyncDir() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.before("syncdir")
}

func (f *fakeFS) Lock(name string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked {
		return nil, errors.New("in use")
	}
	f.locked = true
	if f.files[name] == nil {
		f.files[name] = &fakeFile{}
	}
	return fakeLock{f}, nil
}

type fakeLock struct{ fs *fakeFS }

func (l fakeLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	l.fs.locked = false
	return nil
}
