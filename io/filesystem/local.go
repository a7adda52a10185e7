package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// local is this machine's files.
type local struct{}

// CheckPattern reports a pattern that is not one, before anything is looked up.
func CheckPattern(pattern string) error {
	if pattern == "" {
		return errors.New("the path is empty")
	}
	if !strings.Contains(pattern, "://") && !doublestar.ValidatePathPattern(pattern) {
		return fmt.Errorf("%s: not a pattern: a [, { or \\ is not closed", pattern)
	}
	return nil
}

func (local) Match(ctx context.Context, pattern string) ([]File, error) {
	if err := CheckPattern(pattern); err != nil {
		return nil, err
	}
	if !HasMeta(pattern) {
		info, err := os.Stat(pattern)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s: %w", pattern, errNoMatch)
		case err != nil:
			return nil, err
		case info.IsDir():
			return nil, fmt.Errorf("%s is a folder: name its files, as %s", pattern, filepath.Join(pattern, "*"))
		}
		return []File{{pattern, info.Size(), info.ModTime()}}, nil
	}
	base, _ := doublestar.SplitPattern(filepath.ToSlash(pattern))
	if _, err := os.ReadDir(base); err != nil {
		return nil, fmt.Errorf("look for %s: %w", pattern, err)
	}
	paths, err := doublestar.FilepathGlob(pattern, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", pattern, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: %w matches, in folder %s", pattern, errNoMatch, base)
	}
	slices.Sort(paths)
	var out []File
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		out = append(out, File{p, info.Size(), info.ModTime()})
	}
	return out, ctx.Err()
}

func (local) OpenRange(_ context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s is a folder", path)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	if length < 0 {
		return f, nil
	}
	return &limited{io.LimitReader(f, length), f}, nil
}

type limited struct {
	io.Reader
	io.Closer
}

func (local) Create(_ context.Context, path string) (Writer, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	for {
		temp := filepath.Join(dir, fmt.Sprintf(".%s.%08x.partial", filepath.Base(path), rand.Uint32()))
		f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666) // not CreateTemp, whose files only their owner may read
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &localWriter{f: f, path: path}, nil
	}
}

func (local) Resume(_ context.Context, path, temp string, offset int64) (Writer, error) {
	f, err := os.OpenFile(temp, os.O_RDWR, 0o666)
	if err == nil {
		err = f.Truncate(offset)
	}
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("go on writing %s: %w", path, err)
	}
	return &localWriter{f: f, path: path, n: offset}, nil
}

type localWriter struct {
	f    *os.File
	path string
	n    int64
	done bool
}

func (w *localWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	w.n += int64(n)
	return n, err
}

func (w *localWriter) Sync() (int64, error) { return w.n, w.f.Sync() }
func (w *localWriter) Temp() string         { return w.f.Name() }

func (w *localWriter) Commit() error {
	if err := w.f.Sync(); err != nil {
		return err
	}
	if info, err := os.Stat(w.path); err == nil {
		if err := w.f.Chmod(info.Mode().Perm()); err != nil {
			return err
		}
	}
	if err := w.f.Close(); err != nil {
		return err
	}
	if err := os.Rename(w.f.Name(), w.path); err != nil {
		return err
	}
	w.done = true
	if d, err := os.Open(filepath.Dir(w.path)); err == nil { // the new name, too, is to survive a crash
		err = d.Sync()
		d.Close()
		return err
	}
	return nil
}

func (w *localWriter) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	w.f.Close()
	return os.Remove(w.f.Name())
}
