// Package filesystem is the small interface through which all file connectors go.
//
// A path is a local one, or a URL whose scheme names where it is: local paths are
// always there, others are linked in by importing a driver, such as
// io/filesystem/blob/s3.
package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// FS is one place where files are.
type FS interface {
	// Match lists the files that pattern matches, sorted by path. A pattern that
	// matches nothing is an error that says what was looked for.
	Match(ctx context.Context, pattern string) ([]File, error)
	// OpenRange reads length bytes from offset on; length -1: to the end.
	OpenRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error)
	// Create begins a file that becomes visible, all at once, when it is committed.
	Create(ctx context.Context, path string) (Writer, error)
	// Resume goes on with a file that was begun, behind its first offset bytes;
	// what was written behind them is dropped. temp is what Temp gave.
	Resume(ctx context.Context, path, temp string, offset int64) (Writer, error)
}

// Writer writes one file.
type Writer interface {
	io.Writer
	// Sync makes what was written durable, and says how much that is.
	Sync() (offset int64, err error)
	// Temp names the unfinished file, for Resume.
	Temp() string
	// Commit makes the file visible under its path, replacing an older one.
	Commit() error
	// Abort removes the unfinished file. After Commit it does nothing.
	Abort() error
}

// The places that are linked in, by scheme; filled by init functions.
var (
	mu      sync.Mutex
	schemes = map[string]FS{}
)

// Register makes fs the place of URLs that begin with scheme and "://".
func Register(scheme string, fs FS) {
	mu.Lock()
	defer mu.Unlock()
	schemes[scheme] = fs
}

// imports says what brings a scheme that is not there.
var imports = map[string]string{
	"s3": "io/filesystem/blob/s3", "gs": "io/filesystem/blob/gs", "azblob": "io/filesystem/blob/azure", "mem": "io/filesystem/blob/mem",
}

// For is the place where path is.
func For(path string) (FS, error) {
	scheme, _, ok := strings.Cut(path, "://")
	if !ok {
		return local{}, nil
	}
	mu.Lock()
	defer mu.Unlock()
	if fs, ok := schemes[scheme]; ok {
		return fs, nil
	}
	if pkg, ok := imports[scheme]; ok {
		return nil, fmt.Errorf("%s: this program has no %s:// files; add them with import _ \"github.com/millrace/millrace/%s\"", path, scheme, pkg)
	}
	known := []string{"local paths"}
	for s := range schemes {
		known = append(known, s+"://")
	}
	slices.Sort(known[1:])
	return nil, fmt.Errorf("%s: no files are known under %s://; this program knows %s", path, scheme, strings.Join(known, ", "))
}

// Match lists the files that pattern matches, sorted by path. Patterns are those
// of path.Match, with ** for any number of folders and {a,b} for either.
func Match(ctx context.Context, pattern string) ([]File, error) {
	fs, err := For(pattern)
	if err != nil {
		return nil, err
	}
	return fs.Match(ctx, pattern)
}

// OpenRange reads length bytes of a file from offset on; length -1: to the end.
func OpenRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	fs, err := For(path)
	if err != nil {
		return nil, err
	}
	return fs.OpenRange(ctx, path, offset, length)
}

// Create begins a file that becomes visible when it is committed.
func Create(ctx context.Context, path string) (Writer, error) {
	fs, err := For(path)
	if err != nil {
		return nil, err
	}
	return fs.Create(ctx, path)
}

// Resume goes on with a file that was begun by Create.
func Resume(ctx context.Context, path, temp string, offset int64) (Writer, error) {
	fs, err := For(path)
	if err != nil {
		return nil, err
	}
	return fs.Resume(ctx, path, temp, offset)
}

// errNoMatch reports a pattern that matched nothing.
var errNoMatch = errors.New("no such file")

// IsNoMatch reports that err says that a pattern matched no file.
func IsNoMatch(err error) bool { return errors.Is(err, errNoMatch) }

// HasMeta reports whether pattern has characters that match more than themselves.
func HasMeta(pattern string) bool { return strings.ContainsAny(pattern, `*?[{\`) }
