package statelog

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// uncachedMin is how many bytes at once are written past the page cache: they are read
// after a crash only, and new pages of the cache cost more than the copy into them. Few
// bytes at once would write the last page of a file again and again.
const uncachedMin = 256 << 10

// osFile is written from its start to its end.
type osFile struct {
	*os.File
	cached bool // the kernel (before Linux 6.14) or the file system knows no better
}

func newOSFile(f *os.File) File { return &osFile{File: f} }

// Write implements File.
func (f *osFile) Write(b []byte) (written int, err error) {
	for len(b)-written >= uncachedMin && !f.cached {
		n, err := f.writeUncached(b[written:])
		written += max(n, 0)
		switch {
		case err == nil, errors.Is(err, unix.EINTR):
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, unix.EINVAL):
			f.cached = true
		default:
			return written, &fs.PathError{Op: "write", Path: f.Name(), Err: err}
		}
	}
	n, err := f.File.Write(b[written:])
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
	return n, errors.Join(closed, err)
}
