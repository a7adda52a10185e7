package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/millrace/millrace/internal/filelock"
)

func (local) Create(_ context.Context, path string) (Writer, error) {
	name, err := replaceable(localPath(path))
	if err != nil {
		return nil, err
	}
	if err := makeDir(filepath.Dir(name)); err != nil {
		return nil, err
	}
	for {
		temp := filepath.Join(filepath.Dir(name), UnfinishedName(filepath.Base(name)))
		f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666) // not CreateTemp, whose files only their owner may read
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		_, _ = filelock.Lock(f) // where files can't be locked, Resume copies
		at := Unfinished{Path: temp}
		return &localWriter{f: f, path: name, at: at, synced: at}, nil
	}
}

// replaceable is the file that is to be replaced: where path is a link, the one
// that it leads to. A rename would put a file in place of anything, so that what
// is no plain file is refused: above all /dev/null and its like.
func replaceable(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	switch {
	case err != nil:
		return "", err
	case info.IsDir():
		return "", fmt.Errorf("create %s: it is a folder", path)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("create %s: it is no plain file, and cannot be replaced by one", path)
	}
	return filepath.EvalSymlinks(path)
}

// makeDir makes a folder, and those above it, to stay.
func makeDir(dir string) error {
	if isDir(dir) {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !isDir(dir) { // another may have made it meanwhile
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a folder durable, where the system can do that.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil // a folder that may be written but not read, or no folders to open at all
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

func (local) Resume(_ context.Context, path, temp string, offset int64) (w Writer, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("go on writing %s: %w", path, err)
		}
	}()
	was, err := ParseUnfinished(temp)
	if err != nil {
		return nil, err
	}
	name, err := replaceable(localPath(path))
	if err != nil {
		return nil, err
	}
	f, err := reopen(name, was, offset)
	if err != nil {
		return nil, err
	}
	if was, err = cutTo(f, was, offset); err != nil {
		f.Close()
		return nil, err
	}
	return &localWriter{f: f, path: name, at: was, synced: was}, nil
}

// reopen opens an unfinished file, of which offset bytes are wanted. Who has it open may
// have been replaced without knowing it, and still write: a process that stood still, or
// that others don't reach. So the writer of a file has it locked, and where another one has,
// a copy takes its place, which that one does not have.
func reopen(name string, was Unfinished, offset int64) (*os.File, error) {
	f, err := os.OpenFile(was.Path, os.O_RDWR, 0o666)
	if errors.Is(err, fs.ErrNotExist) {
		return reopenCommitted(name, was)
	}
	if err != nil {
		return nil, err
	}
	if alone, err := filelock.Lock(f); err == nil && alone {
		return f, nil
	}
	defer f.Close()
	return replace(was.Path, func(to *os.File) error {
		_, err := io.Copy(to, io.LimitReader(f, offset))
		return err
	})
}

// reopenCommitted makes an unfinished file of one that was committed since: the
// crash came behind the rename, and before the run knew of it.
func reopenCommitted(name string, was Unfinished) (*os.File, error) {
	old, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("neither the unfinished file %s nor the finished one is there: %w", was.Path, fs.ErrNotExist)
	}
	defer old.Close()
	return replace(was.Path, func(to *os.File) error { return was.CopyCommitted(to, old) })
}

// replace puts a file that fill has written in the place of an unfinished one, and locks
// it. A crash in here leaves that one as it was.
func replace(path string, fill func(to *os.File) error) (_ *os.File, err error) {
	of, _ := UnfinishedOf(filepath.Base(path))
	half := filepath.Join(filepath.Dir(path), UnfinishedName(of))
	f, err := os.OpenFile(half, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	locked, _ := filelock.Lock(f)
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if !locked {
		f.Close() // Windows renames no open file, and locks none
	}
	if err == nil {
		err = os.Rename(half, path)
	}
	if err != nil {
		f.Close()
		os.Remove(half)
		return nil, err
	}
	if locked {
		return f, nil
	}
	return os.OpenFile(path, os.O_RDWR, 0o666)
}

// Finalize implements [Finalizer].
func (l local) Finalize(ctx context.Context, path, temp string) (err error) {
	was, err := ParseUnfinished(temp)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(was.Path); err == nil {
		w, err := l.Resume(ctx, path, temp, was.Size)
		if err != nil {
			return err
		}
		return w.Commit()
	}
	name, err := replaceable(localPath(path))
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("finish %s: neither the unfinished file %s nor the finished one is there: %w", path, was.Path, fs.ErrNotExist)
	}
	defer f.Close()
	if err := was.CopyCommitted(io.Discard, f); err != nil {
		return fmt.Errorf("finish %s: %w", path, err)
	}
	return syncDir(filepath.Dir(name)) // the process may have died between the rename and this
}

// cutTo drops what was written behind offset, and says what is left.
func cutTo(f *os.File, was Unfinished, offset int64) (Unfinished, error) {
	info, err := f.Stat()
	if err != nil {
		return was, err
	}
	if offset < 0 || info.Size() < offset { // cutting would add zeros
		return was, fmt.Errorf("%s holds %d bytes, not %d", was.Path, info.Size(), offset)
	}
	if was, err = was.At(offset, f); err != nil {
		return was, err
	}
	if err := f.Truncate(offset); err != nil {
		return was, err
	}
	_, err = f.Seek(offset, io.SeekStart)
	return was, err
}

// localWriter writes a hidden file beside its own.
type localWriter struct {
	f          *os.File
	path       string
	at, synced Unfinished // what is written, and what is durable
	named      bool       // the hidden name is durable
	ended      bool
}

func (w *localWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	w.at.Add(b[:n])
	return n, err
}

func (w *localWriter) Sync() (int64, error) {
	if err := w.f.Sync(); err != nil {
		return w.synced.Size, err
	}
	if !w.named {
		if err := syncDir(filepath.Dir(w.path)); err != nil {
			return w.synced.Size, err
		}
		w.named = true
	}
	w.synced = w.at
	return w.at.Size, nil
}

func (w *localWriter) Temp() string { return w.synced.String() }

func (w *localWriter) Commit() error {
	if w.ended {
		return nil
	}
	if err := w.commit(); err != nil {
		return fmt.Errorf("commit %s: %w", w.path, err)
	}
	return nil
}

func (w *localWriter) commit() error {
	if info, err := os.Stat(w.path); err == nil {
		if err := w.f.Chmod(info.Mode().Perm()); err != nil {
			return err
		}
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	if err := w.f.Close(); err != nil {
		return err
	}
	if err := os.Rename(w.at.Path, w.path); err != nil {
		return err
	}
	w.ended = true
	return syncDir(filepath.Dir(w.path))
}

func (w *localWriter) Abort() error {
	if w.ended {
		return nil
	}
	w.ended = true
	w.f.Close()
	return local{}.Remove(context.Background(), w.at.Path)
}

func (w *localWriter) Keep() error {
	if w.ended {
		return nil
	}
	w.ended = true
	return w.f.Close()
}
