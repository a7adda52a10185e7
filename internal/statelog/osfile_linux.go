package statelog

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// uncachedMin is how many bytes at once are written past the page cache: they are read
	// after a crash only, and new pages of the cache cost more than the copy into them. Few
	// bytes at once would write the last page of a file again and again.
	uncachedMin = 256 << 10
	// stretch is how many bytes of these may be on their way to the disk, beside those that
	// are written then: so that the same pages come again and again, also where a disk is
	// busy.
	stretch = 4 << 20
)

// osFile is written from its start to its end.
type osFile struct {
	*os.File
	end    int64
	cached bool     // the kernel (before Linux 6.14) or the file system knows no better
	waits  *os.File // the same file, to wait by: who is told of an error there is not who syncs
}

func newOSFile(f *os.File) File { return &osFile{File: f} }

// Write implements File.
func (f *osFile) Write(b []byte) (written int, err error) {
	for len(b)-written >= uncachedMin && !f.cached {
		n, err := f.writeUncached(b[written:min(written+stretch, len(b))])
		written += n
		switch {
		case err == nil, errors.Is(err, unix.EINTR):
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, unix.EINVAL):
			f.cached = true
		default:
			return written, &fs.PathError{Op: "write", Path: f.Name(), Err: err}
		}
		if before := f.end - int64(n); written > n {
			f.wait(before-stretch, before)
		}
	}
	n, err := f.File.Write(b[written:])
	f.end += int64(n)
	return written + n, err
}

// writeUncached writes some of b to where the file ends; its pages leave the cache when
// they are on the disk.
func (f *osFile) writeUncached(b []byte) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	closed := raw.Write(func(fd uintptr) bool {
		n, err = unix.Pwritev2(int(fd), [][]byte{b}, -1, unix.RWF_DONTCACHE)
		return true
	})
	n = max(n, 0)
	f.end += int64(n)
	return n, errors.Join(closed, err)
}

// wait waits until a part of the file is on the disk, for memory's sake: what goes wrong
// there the sync says.
func (f *osFile) wait(from, to int64) {
	if f.waits == nil {
		var err error
		if f.waits, err = os.Open(f.Name()); err != nil {
			return // without it it goes as well
		}
	}
	_ = unix.SyncFileRange(int(f.waits.Fd()), from, to-from, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
}

// Close implements File.
func (f *osFile) Close() error {
	if f.waits != nil {
		f.waits.Close()
	}
	return f.File.Close()
}
