package filesystem

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

	"github.com/bmatcuk/doublestar/v4"
)

// local is this machine's files.
type local struct{}

// localPath is the path of a file:// URL.
func localPath(path string) string { return strings.TrimPrefix(path, "file://") }

func (local) Match(ctx context.Context, pattern string) ([]File, error) {
	name := localPath(pattern)
	if !HasMeta(name) {
		return matchOne(pattern, name)
	}
	base, rest := doublestar.SplitPattern(filepath.ToSlash(name))
	base = filepath.FromSlash(base)
	switch info, err := os.Stat(base); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w matches: %s", pattern, ErrNoMatch, missing(base))
	case err != nil:
		return nil, fmt.Errorf("look for %s: %w", pattern, err)
	case !info.IsDir():
		return nil, fmt.Errorf("%s: %w matches: %s is a file, not a folder", pattern, ErrNoMatch, base)
	}
	var out []File
	err := doublestar.GlobWalk(walked{ctx, base}, rest, func(name string, d fs.DirEntry) error {
		if _, unfinished := UnfinishedOf(d.Name()); unfinished {
			return nil
		}
		path := filepath.Join(base, filepath.FromSlash(name))
		info, err := os.Stat(path) // not d.Info: it may be a link
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since, or a link to nothing
		}
		if err == nil && !info.IsDir() {
			out = append(out, File{path, info.Size(), info.ModTime()})
		}
		return err
	}, doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", pattern, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %w matches, in folder %s", pattern, ErrNoMatch, full(base))
	}
	return sorted(out), nil
}

// matchOne is the file of a path without pattern characters.
func matchOne(pattern, name string) ([]File, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if dir := filepath.Dir(name); !isDir(dir) {
			return nil, fmt.Errorf("%s: %w: %s", pattern, ErrNoMatch, missing(dir))
		}
		return nil, fmt.Errorf("%s: %w", pattern, ErrNoMatch)
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder: name its files, as %s", pattern, filepath.Join(name, "*"))
	}
	return []File{{name, info.Size(), info.ModTime()}}, nil
}

// missing says which folder of the path to dir is the first that is not there.
func missing(dir string) string {
	for {
		parent := filepath.Dir(dir)
		if parent == dir || isDir(parent) {
			return fmt.Sprintf("there is no folder %s in %s", filepath.Base(dir), full(parent))
		}
		dir = parent
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// full is dir for a person to read: where we are, rather than a dot.
func full(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil && dir == "." {
		return abs
	}
	return dir
}

// sorted sorts by path and drops what alternatives of a pattern found twice.
func sorted(files []File) []File {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(files, func(a, b File) bool { return a.Path == b.Path })
}

// walked is a folder whose walk ends with ctx, and whose errors have whole paths.
type walked struct {
	ctx  context.Context
	base string
}

func (w walked) path(name string) (string, error) {
	return filepath.Join(w.base, filepath.FromSlash(name)), w.ctx.Err()
}

func (w walked) Open(name string) (fs.File, error) {
	path, err := w.path(name)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func (w walked) Stat(name string) (fs.FileInfo, error) {
	path, err := w.path(name)
	if err != nil {
		return nil, err
	}
	return os.Stat(path)
}

func (w walked) ReadDir(name string) ([]fs.DirEntry, error) {
	path, err := w.path(name)
	if err != nil {
		return nil, err
	}
	return os.ReadDir(path)
}

func (local) OpenRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	f, err := os.Open(localPath(path))
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s is a folder", path)
	}
	if offset > 0 { // a pipe cannot seek, and need not
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			f.Close()
			return nil, err
		}
	}
	return &localReader{ctx, f, length}, nil
}

// localReader reads what is left of a range.
type localReader struct {
	ctx  context.Context
	f    *os.File
	left int64 // -1: all
}

func (r *localReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.left < 0 {
		return r.f.Read(b)
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.f.Read(b[:min(int64(len(b)), r.left)])
	r.left -= int64(n)
	return n, err
}

func (r *localReader) Close() error { return r.f.Close() }

func (local) Remove(_ context.Context, path string) error {
	err := os.Remove(localPath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (local) Rename(_ context.Context, from, to string) error {
	if err := os.Rename(localPath(from), localPath(to)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(localPath(to)))
}

func (local) Leftovers(ctx context.Context, pattern string) ([]File, error) {
	dir, names := filepath.Split(localPath(pattern))
	dir = filepath.Clean(dir)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []File
	for _, e := range entries {
		of, ok := UnfinishedOf(e.Name())
		if !ok || !doublestar.MatchUnvalidated(names, of) {
			continue
		}
		if info, err := e.Info(); err == nil {
			out = append(out, File{filepath.Join(dir, e.Name()), info.Size(), info.ModTime()})
		}
	}
	return out, ctx.Err()
}
