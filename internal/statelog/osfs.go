package statelog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/millrace/millrace/internal/filelock"
)

// OSFS is the folder dir, which is made if it is not there: for its owner alone, as
// all that is put into it.
func OSFS(dir string) (FS, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, err)
	}
	if err := makeDir(abs); err != nil {
		return nil, fmt.Errorf("make the folder %s: %w", dir, err)
	}
	return &osFS{dir, abs}, nil
}

// makeDir makes a folder, and those above it, to stay.
func makeDir(dir string) error {
	switch info, err := os.Stat(dir); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is no folder", dir)
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(parent)
	if err != nil {
		return nil // a folder that may be written but not read
	}
	defer d.Close()
	return ignoreUnsupported(d.Sync())
}

// ignoreUnsupported forgives file systems that can't sync a folder.
func ignoreUnsupported(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// osFS opens files by their whole path: names are a log's own, or of a list of the folder.
type osFS struct {
	dir string // as it was given
	abs string // whatever becomes the working folder
}

func (o *osFS) path(name string) string { return filepath.Join(o.abs, name) }

// String names the folder in sentences.
func (o *osFS) String() string { return o.dir }

func (o *osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(o.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return newOSFile(f), nil
}

func (o *osFS) Open(name string) (ReadFile, error) {
	f, err := os.Open(o.path(name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &osReadFile{f, info.Size()}, nil
}

type osReadFile struct {
	*os.File
	size int64
}

func (f *osReadFile) Size() int64 { return f.size }

func (o *osFS) List() ([]string, error) {
	d, err := os.Open(o.abs)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (o *osFS) Rename(from, to string) error { return os.Rename(o.path(from), o.path(to)) }
func (o *osFS) Remove(name string) error     { return os.Remove(o.path(name)) }

func (o *osFS) SyncDir() error {
	d, err := os.Open(o.abs)
	if err != nil {
		return err
	}
	defer d.Close()
	return ignoreUnsupported(d.Sync())
}

// Lock leaves the number of this process in the file, for the sentence that another
// one is refused with.
func (o *osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(o.path(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the folder %s: %w", o.dir, err)
	}
	switch ok, err := filelock.Lock(f); {
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock the folder %s: %w", o.dir, err)
	case !ok:
		defer f.Close()
		return nil, fmt.Errorf("the folder %s is in use by %s: give each job a folder of its own", o.dir, holder(f))
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // a full disk is no reason not to start
	}
	return f, nil
}

// holder says who has the lock, with the number of the process if it is known.
func holder(f *os.File) string {
	b := make([]byte, 24)
	n, _ := f.ReadAt(b, 0)
	switch pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); {
	case err != nil:
		return "another process"
	case pid == os.Getpid():
		return "this very process"
	default:
		return fmt.Sprintf("another process (pid %d)", pid)
	}
}

// isFull reports that there is no room on the disk, or none left for this user.
func isFull(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	const diskFull = syscall.Errno(112) // of Windows
	return runtime.GOOS == "windows" && errors.Is(err, diskFull)
}

// Holds reports that a folder has files of a log. Others use the same extension.
func Holds(dir string) bool {
	for ext, magic := range map[string]string{logExt: logMagic, ackExt: ackMagic} {
		found, err := filepath.Glob(filepath.Join(dir, "*"+ext))
		if err != nil {
			return false
		}
		for _, name := range found {
			if beginsWith(name, magic) {
				return true
			}
		}
	}
	return false
}

func beginsWith(name, magic string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len(magic))
	_, err = io.ReadFull(f, b)
	return err == nil && string(b) == magic
}
