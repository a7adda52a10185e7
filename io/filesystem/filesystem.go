// Package filesystem is the small interface through which all file connectors go.
//
// A path is a local one, or a URL whose scheme names where it is: local paths
// (and file:// URLs of them) are always there, others are linked in by importing
// a driver, such as io/filesystem/blob/s3. This package itself knows neither HTTP
// nor any cloud, so that a program with local files only stays small.
//
// A file is written under a hidden name beside its own, and appears whole, under
// its own name, when it is committed. Until then Match does not see it, and
// [Leftovers] does.
package filesystem

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// File is one file that a pattern matched.
type File struct {
	Path    string // to open it with
	Size    int64  // bytes
	ModTime time.Time
}

// FS is one place where files are. Its methods may be called from many goroutines
// at once; paths come to it as the user wrote them, with their scheme.
type FS interface {
	// Match lists the files that pattern matches, sorted by path, without the
	// unfinished ones. A pattern that matches nothing is an [ErrNoMatch] that says
	// what was looked for, and where.
	Match(ctx context.Context, pattern string) ([]File, error)
	// OpenRange reads length bytes from offset on, fewer where the file ends
	// before; length -1: to the end. Reads fail once ctx is done.
	OpenRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error)
	// Create begins a file that becomes visible, all at once, when it is committed.
	// ctx is for all that the writer does.
	Create(ctx context.Context, path string) (Writer, error)
	// Resume goes on with a file that was begun, behind its first offset bytes;
	// what was written behind them is dropped. temp is what Temp gave.
	Resume(ctx context.Context, path, temp string, offset int64) (Writer, error)
	// Remove removes a file, or one of the Leftovers. One that is not there is no error.
	Remove(ctx context.Context, path string) error
	// Leftovers lists the unfinished files of the paths that pattern matches; it
	// may have pattern characters behind the last slash only. None is no error.
	Leftovers(ctx context.Context, pattern string) ([]File, error)
}

// Writer writes one file. It belongs to one goroutine, and has to be ended by one
// of Commit, Abort and Keep; each of them does nothing after one that went well.
type Writer interface {
	io.Writer
	// Sync makes what was written durable, and says how much that is.
	Sync() (offset int64, err error)
	// Temp names the unfinished file as the last Sync left it, for Resume.
	Temp() string
	// Commit makes the file visible under its path, replacing an older one. When
	// it returns nil, the file is durable.
	Commit() error
	// Abort removes the unfinished file.
	Abort() error
	// Keep lets go of the unfinished file, which stays for Resume.
	Keep() error
}

// Renamer is an [FS] that can rename a file at one stroke.
type Renamer interface {
	// Rename gives a file another path, replacing what is there.
	Rename(ctx context.Context, from, to string) error
}

// Finalizer is an [FS] that can tell whether an unfinished file was committed
// without touching the finished one.
type Finalizer interface {
	// Finalize is the package's function of that name.
	Finalize(ctx context.Context, path, temp string) error
}

// ErrNoMatch reports a path that names no file, or a pattern that matches none.
// It is an fs.ErrNotExist, too.
var ErrNoMatch error = noMatch{}

type noMatch struct{}

func (noMatch) Error() string        { return "no such file" }
func (noMatch) Is(target error) bool { return target == fs.ErrNotExist }

// Opener gives the place where a URL's file is.
type Opener func(ctx context.Context, url string) (FS, error)

// The places that are linked in, by scheme; filled by init functions.
var (
	mu      sync.Mutex // guards schemes
	schemes = map[string]Opener{}
)

// Register makes open known for URLs that begin with scheme and "://". It is
// called for each operation, so that it has to keep what is costly to open.
// Registering a scheme twice panics.
func Register(scheme string, open Opener) {
	mu.Lock()
	defer mu.Unlock()
	if _, twice := schemes[scheme]; twice || scheme == "file" {
		panic(fmt.Sprintf("filesystem: %s:// is registered twice", scheme))
	}
	schemes[scheme] = open
}

// imports says what brings a scheme that is not there.
var imports = map[string]string{
	"s3":     "io/filesystem/blob/s3",
	"gs":     "io/filesystem/blob/gs",
	"azblob": "io/filesystem/blob/azure",
	"mem":    "io/filesystem/blob/mem",
}

// For is the place where path is.
func For(ctx context.Context, path string) (FS, error) {
	scheme, _, isURL := strings.Cut(path, "://")
	if !isURL || scheme == "file" {
		return local{}, nil
	}
	open, ok, known := lookup(scheme)
	if ok {
		return open(ctx, path)
	}
	if pkg, ok := imports[scheme]; ok {
		return nil, fmt.Errorf("%s: this program has no %s:// files; add them with import _ \"github.com/millrace/millrace/%s\"", path, scheme, pkg)
	}
	return nil, fmt.Errorf("%s: no files are known under %s://; this program knows %s", path, scheme, strings.Join(known, ", "))
}

// lookup is the opener of a scheme, and what is known instead.
func lookup(scheme string) (open Opener, ok bool, known []string) {
	mu.Lock()
	defer mu.Unlock()
	open, ok = schemes[scheme]
	known = []string{"local paths"}
	for _, s := range slices.Sorted(maps.Keys(schemes)) {
		known = append(known, s+"://")
	}
	return open, ok, known
}

// Match lists the files that pattern matches, sorted by path, without folders and
// unfinished files. Patterns are those of path.Match, with ** for any number of
// folders and {a,b} for either; \ takes a character as it is.
func Match(ctx context.Context, pattern string) ([]File, error) {
	if err := CheckPattern(pattern); err != nil {
		return nil, err
	}
	f, err := For(ctx, pattern)
	if err != nil {
		return nil, err
	}
	return f.Match(ctx, pattern)
}

// Open reads a file from its beginning.
func Open(ctx context.Context, path string) (io.ReadCloser, error) {
	return OpenRange(ctx, path, 0, -1)
}

// OpenRange reads length bytes of a file from offset on, fewer where the file ends
// before; length -1: to the end. Reads fail once ctx is done.
func OpenRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 || length < -1 {
		return nil, fmt.Errorf("%s: cannot read %d bytes from %d on", path, length, offset)
	}
	f, err := For(ctx, path)
	if err != nil {
		return nil, err
	}
	return f.OpenRange(ctx, path, offset, length)
}

// Create begins a file that becomes visible when it is committed. Folders that
// are not there are made.
func Create(ctx context.Context, path string) (Writer, error) {
	if path == "" || strings.HasSuffix(path, "/") {
		return nil, fmt.Errorf("create %q: it names no file", path)
	}
	f, err := For(ctx, path)
	if err != nil {
		return nil, err
	}
	return f.Create(ctx, path)
}

// Resume goes on with a file that was begun by Create, behind its first offset
// bytes, as Sync gave them. temp is what Temp gave after that Sync. If the file
// was committed since, it goes on with a copy of it, and Commit replaces it.
//
// An earlier writer may have been replaced without knowing it, and still have the file
// open: where files can be locked, what it writes goes nowhere, and the first offset bytes
// are copied for that. Elsewhere, and in other file systems than the local one, the caller
// makes sure that it writes no more.
func Resume(ctx context.Context, path, temp string, offset int64) (Writer, error) {
	f, err := For(ctx, path)
	if err != nil {
		return nil, err
	}
	return f.Resume(ctx, path, temp, offset)
}

// Finalize commits an unfinished file as it was when Temp gave temp, unless that has
// been done: then the finished file stays untouched, so that nobody who follows it
// takes it for a new one. When neither of the two is there, the error is an
// fs.ErrNotExist.
func Finalize(ctx context.Context, path, temp string) error {
	f, err := For(ctx, path)
	if err != nil {
		return err
	}
	if f, ok := f.(Finalizer); ok {
		return f.Finalize(ctx, path, temp)
	}
	was, err := ParseUnfinished(temp)
	if err != nil {
		return err
	}
	w, err := f.Resume(ctx, path, temp, was.Size)
	if err != nil {
		return err
	}
	return w.Commit()
}

// Sweep removes what crashed writers left of the files in the folder of path whose
// names mine takes, but not what keep names as Temp gave it. The folder is the part
// of path up to its last slash; one with pattern characters is left alone. The
// caller makes sure that nobody else writes these files.
func Sweep(ctx context.Context, path string, mine func(name string) bool, keep ...string) error {
	dir := path[:strings.LastIndexByte(path, '/')+1]
	if HasMeta(dir) {
		return nil
	}
	kept := map[string]bool{}
	for _, temp := range keep {
		u, err := ParseUnfinished(temp)
		if err != nil {
			return err
		}
		kept[lastName(u.Path)] = true // not the whole path: a link may have led there
	}
	left, err := Leftovers(ctx, dir+"*")
	if err != nil {
		return err
	}
	for _, f := range left {
		name := lastName(f.Path)
		if of, ok := UnfinishedOf(name); !ok || !mine(of) || kept[name] {
			continue
		}
		if err := Remove(ctx, f.Path); err != nil {
			return err
		}
	}
	return nil
}

// lastName is what stands behind the last slash.
func lastName(path string) string { return path[strings.LastIndexAny(path, `/\`)+1:] }

// Remove removes a file, or one of the Leftovers. One that is not there is no error.
func Remove(ctx context.Context, path string) error {
	f, err := For(ctx, path)
	if err != nil {
		return err
	}
	return f.Remove(ctx, path)
}

// Rename gives a file another path, replacing what is there, at one stroke; where
// that cannot be done it is an error.
func Rename(ctx context.Context, from, to string) error {
	f, err := For(ctx, from)
	if err != nil {
		return err
	}
	g, err := For(ctx, to)
	if err != nil {
		return err
	}
	r, ok := f.(Renamer)
	if !ok || f != g {
		return fmt.Errorf("rename %s to %s: files cannot be renamed there at one stroke", from, to)
	}
	return r.Rename(ctx, from, to)
}

// Leftovers lists what crashed or kept writers left of the paths that pattern
// matches, sorted by path, less what keep names as Temp gave it. Their ModTime
// says when they were written to last; Remove removes them. pattern may have
// pattern characters behind its last slash only.
func Leftovers(ctx context.Context, pattern string, keep ...string) ([]File, error) {
	if err := CheckPattern(pattern); err != nil {
		return nil, err
	}
	if dir := pattern[:strings.LastIndexByte(pattern, '/')+1]; HasMeta(dir) {
		return nil, fmt.Errorf("leftovers of %s: the folder has to be named, without *, ?, [, { or \\", pattern)
	}
	f, err := For(ctx, pattern)
	if err != nil {
		return nil, err
	}
	all, err := f.Leftovers(ctx, pattern)
	kept := map[string]bool{}
	for _, temp := range keep {
		u, err := ParseUnfinished(temp)
		if err != nil {
			return nil, err
		}
		kept[u.Path] = true
	}
	return slices.DeleteFunc(all, func(f File) bool { return kept[f.Path] }), err
}
