package statepebble

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The marker is a file that says whose folder it is: one line "millrace statepebble
// VERSION STATE". It is "new" until the store behind it has been made, then "made":
// a folder that is made but lacks its manifest has been damaged.
const (
	markerName = "MILLRACE"
	markerTemp = "MILLRACE.tmp"
	markerHead = "millrace statepebble "
	version    = 1
)

type markerState string

const (
	markerNone markerState = ""
	markerNew  markerState = "new"
	markerMade markerState = "made"
)

// readMarker says what dir is, and refuses what isn't ours. It writes nothing.
func readMarker(fs vfs.FS, dir string) (markerState, error) {
	if _, err := fs.Stat(dir); isNotExist(err) {
		return markerNone, nil
	}
	names, err := fs.List(dir)
	if err != nil {
		return markerNone, err
	}
	if !slices.Contains(names, markerName) {
		for _, name := range names {
			if name != markerTemp && name != lockName {
				return markerNone, fmt.Errorf("the folder has no file %s, but a file %s: it holds something else than this program's state, and is left alone", markerName, name)
			}
		}
		return markerNone, nil
	}
	b, err := readFile(fs, fs.PathJoin(dir, markerName))
	if err != nil {
		return markerNone, err
	}
	rest, ours := strings.CutPrefix(string(b), markerHead)
	fields := strings.Fields(rest)
	if !ours || len(fields) < 1 {
		return markerNone, fmt.Errorf("the file %s is not one of this program's, or is damaged: the folder is left alone", markerName)
	}
	if v, err := strconv.Atoi(fields[0]); err != nil || v != version {
		return markerNone, fmt.Errorf("its state is of version %s, this program knows version %d: run the program that wrote it, or restore a savepoint", fields[0], version)
	}
	if len(fields) == 2 {
		if s := markerState(fields[1]); s == markerNew || s == markerMade {
			return s, nil
		}
	}
	return markerNone, fmt.Errorf("the file %s is damaged: restore from a savepoint into another folder", markerName)
}

func writeMarker(fs vfs.FS, dir string, s markerState) error {
	temp := fs.PathJoin(dir, markerTemp)
	if err := writeFile(fs, temp, fmt.Appendf(nil, "%s%d %s\n", markerHead, version, s)); err != nil {
		return err
	}
	if err := fs.Rename(temp, fs.PathJoin(dir, markerName)); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// makeDir makes dir and those above it that are missing, durably.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	} else if !isNotExist(err) {
		return err
	}
	up := fs.PathDir(dir)
	if up != dir {
		if err := makeDir(fs, up); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return syncDir(fs, up)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func writeFile(fs vfs.FS, name string, b []byte) error {
	if err := fs.Remove(name); err != nil && !isNotExist(err) {
		return err
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// Holds reports that a folder has the marker.
func Holds(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, markerName))
	return err == nil
}
