package statepebble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system under the store. Where the disk is full, whoever writes
// waits for room: the store behind it takes every failed write for the end.
//
// A sync that fails for want of room is not tried again: the kernel has then
// forgotten what it couldn't write, and a second sync would lie.
type disk struct {
	vfs.FS
	ctx    context.Context // while it lasts, writers wait
	onFull func(error)
	onFail func(error)   // told that a folder could not be synced
	retry  time.Duration // between two tries

	mu      sync.Mutex
	waiting int       // writers that wait for room
	dead    error     // if set, nothing may be changed any more
	lock    io.Closer // of the folder; nil if not held
}

var _ vfs.FS = (*disk)(nil)

func newDisk(ctx context.Context, c Config) *disk {
	return &disk{FS: c.FS, ctx: ctx, onFull: c.OnFull, retry: c.retry}
}

// kill makes all that would change a file fail with err from now on.
func (d *disk) kill(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead == nil {
		d.dead = err
	}
}

// alive is why nothing may be changed any more. It takes a while to say so, for the
// library tries in vain again and again.
func (d *disk) alive() error {
	d.mu.Lock()
	dead := d.dead
	d.mu.Unlock()
	pause(dead)
	return dead
}

// pause takes a while if err says that the disk fails.
func pause(err error) {
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrExist) {
		<-time.After(10 * time.Millisecond)
	}
}

// Lock takes the folder for this process. Whoever gives up on the library lets go of
// it by unlock.
func (d *disk) Lock(name string) (io.Closer, error) {
	l, err := d.FS.Lock(name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lock = l
	return unlocker{d}, nil
}

type unlocker struct{ d *disk }

func (u unlocker) Close() error { return u.d.unlock() }

// unlock lets go of the folder; a second time it does nothing.
func (d *disk) unlock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	l := d.lock
	d.lock = nil
	return l.Close()
}

// try does what changes files, until it doesn't fail for want of room.
func (d *disk) try(do func() error) error {
	if err := d.alive(); err != nil {
		return err
	}
	err := do()
	if !isFull(err) {
		pause(err)
		return err
	}
	if d.ctx.Err() != nil {
		pause(err)
		return err
	}
	d.wait(err)
	defer d.waited()
	tick := time.NewTicker(d.retry)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return fmt.Errorf("waiting for room on the disk: %w (%w)", err, context.Cause(d.ctx))
		case <-tick.C:
		}
		if dead := d.alive(); dead != nil {
			return dead
		}
		if err = do(); !isFull(err) {
			return err
		}
	}
}

func (d *disk) wait(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting++; d.waiting == 1 {
		d.onFull(err)
	}
}

func (d *disk) waited() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting--; d.waiting == 0 {
		d.onFull(nil)
	}
}

// isFull reports that the disk or what the user may have of it is full.
func isFull(err error) bool {
	return err != nil && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT))
}

func (d *disk) file(open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := d.try(func() (err error) { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.before(name); err != nil {
		return nil, err
	}
	return d.file(func() (vfs.File, error) { return d.FS.Create(name, c) })
}

// before syncs the folder if name is one of the library's markers, which say by their
// names what holds: the library makes the new one and removes the old one before it
// syncs. A disk that keeps names in another order than they came could be left with a
// marker whose manifest has no name yet, or with no marker.
func (d *disk) before(name string) error {
	if !strings.HasPrefix(d.PathBase(name), "marker.") {
		return nil
	}
	if err := d.alive(); err != nil {
		return err
	}
	return syncDir(d.FS, d.PathDir(name))
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.file(func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite doesn't: a file that was renamed before its opening failed could not be tried again.
func (d *disk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Remove(from); err != nil {
		return nil, err
	}
	return d.Create(to, c)
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &diskDir{f, d}, nil
}

func (d *disk) Link(from, to string) error {
	return d.try(func() error { return d.FS.Link(from, to) })
}

func (d *disk) Rename(from, to string) error {
	return d.try(func() error { return d.FS.Rename(from, to) })
}

func (d *disk) Remove(name string) error {
	if err := d.before(name); err != nil {
		return err
	}
	return d.try(func() error { return d.FS.Remove(name) })
}

func (d *disk) RemoveAll(name string) error {
	return d.try(func() error { return d.FS.RemoveAll(name) })
}

func (d *disk) MkdirAll(dir string, perm os.FileMode) error {
	return d.try(func() error { return d.FS.MkdirAll(dir, perm) })
}

func (d *disk) Unwrap() vfs.FS { return d.FS }

type diskFile struct {
	vfs.File
	d *disk
}

func (f *diskFile) Write(b []byte) (int, error) {
	done := 0
	err := f.d.try(func() error {
		n, err := f.File.Write(b[done:])
		done += n
		return err
	})
	return done, err
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	done := 0
	err := f.d.try(func() error {
		n, err := f.File.WriteAt(b[done:], off+int64(done))
		done += n
		return err
	})
	return done, err
}

// Preallocate is for speed alone.
func (f *diskFile) Preallocate(off, n int64) error {
	if err := f.d.alive(); err != nil {
		return err
	}
	if err := f.File.Preallocate(off, n); !isFull(err) {
		return err
	}
	return nil
}

func (f *diskFile) Sync() error {
	if err := f.d.alive(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *diskFile) SyncData() error {
	if err := f.d.alive(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *diskFile) SyncTo(n int64) (bool, error) {
	if err := f.d.alive(); err != nil {
		return false, err
	}
	return f.File.SyncTo(n)
}

// diskDir is a folder, to be synced.
type diskDir struct {
	vfs.File
	d *disk
}

// Sync ends the store if it fails. It doesn't say so to the library, which would end
// the process.
func (f *diskDir) Sync() error {
	if f.d.alive() == nil {
		if err := f.File.Sync(); err != nil {
			f.d.onFail(err)
		}
	}
	return nil
}
