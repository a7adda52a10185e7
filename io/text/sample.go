package text

import (
	"context"
	"errors"
	"fmt"
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/io/filesystem"
)

const (
	book        = "src/testdata/Isaac.Newton-Opticks.txt"
	missingBook = "$GOROOT/" + book
)

// Sample is the path of a real book that comes with every Go installation:
// Newton's Opticks, half a megabyte. If it is not there, reading it says so.
func Sample() string {
	if p, ok := bookIn(build.Default.GOROOT); ok {
		return p
	}
	if out, err := exec.Command("go", "env", "GOROOT").Output(); err == nil { // a program built with -trimpath does not know
		if p, ok := bookIn(strings.TrimSpace(string(out))); ok {
			return p
		}
	}
	return missingBook
}

func bookIn(root string) (path string, ok bool) {
	path = filepath.Join(root, filepath.FromSlash(book))
	info, err := os.Stat(path)
	return path, root != "" && err == nil && info.Mode().IsRegular()
}

// match looks the files up, and knows what it means if Sample found nothing.
func match(ctx context.Context, pattern string) ([]filesystem.File, error) {
	files, err := filesystem.Match(ctx, pattern)
	if pattern == missingBook && errors.Is(err, filesystem.ErrNoMatch) {
		return nil, fmt.Errorf("the sample text comes with Go, as %s, but no installation of Go that has it was found on this machine; read a file of your own: %w", missingBook, err)
	}
	return files, err
}
