package savefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Info is what a list says of a savepoint.
type Info struct {
	Name    string    `json:"name"`
	Path    string    `json:"path"`
	Created time.Time `json:"created,omitzero"`
	Epoch   uint64    `json:"epoch,omitempty"`
	Lanes   int       `json:"parallelism,omitempty"`
	Rows    int64     `json:"rows"`
	Size    int64     `json:"size"`              // bytes of the file
	Problem string    `json:"problem,omitempty"` // it can't be read, and why
}

// List is the savepoints of a folder, by name; none where there is no such folder.
// Their rows are not read, so that damage in those does not show.
func List(dir string) ([]Info, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list savepoints: %w", err)
	}
	var list []Info
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), Suffix)
		if !ok || CheckName(name) != nil {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list savepoints: %w", err)
		}
		list = append(list, describe(name, filepath.Join(dir, e.Name()), info.Size()))
	}
	return list, nil
}

func describe(name, path string, size int64) Info {
	i := Info{Name: name, Path: path, Size: size}
	f, err := Open(path)
	if err != nil {
		i.Problem = err.Error()
		return i
	}
	defer f.Close()
	i.Created, i.Epoch, i.Lanes = f.facts.Created, f.rec.Epoch, f.rec.Lanes
	for _, n := range f.nodes {
		i.Rows += n.rows
	}
	return i
}

// nameMax leaves room for what is put around a name while its file is written.
const nameMax = 100

// CheckName refuses names of savepoints that could be anything but a file of their
// folder: a name has letters, digits, '-', '_' and '.' of ASCII, at most 100, and does
// not begin with '.' or '-'.
func CheckName(name string) error {
	ok := name != "" && len(name) <= nameMax && name[0] != '.' && name[0] != '-'
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	if !ok || strings.Contains(name, "..") {
		return fmt.Errorf("savepoint name %q: want at most %d letters, digits, '-', '_' and '.', the first a letter, digit or '_', and no two dots in a row", name, nameMax)
	}
	return nil
}

// NameAt is a name for a savepoint that nobody gave one, by the time.
func NameAt(t time.Time) string { return t.UTC().Format("20060102-150405") }
