package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/io/filesystem"
)

// output is what a job has shown.
type output struct {
	windows []byte   // in order, as it was written
	users   []string // lines, sorted; those of one user by bucket
}

// readOutput reads the files of a job, and checks that the lines of each user came in
// the order of time in each file.
func readOutput(dir string) (*output, error) {
	var o output
	names, err := filepath.Glob(outputs(dir)[0])
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		o.windows = append(o.windows, b...)
	}
	if names, err = filepath.Glob(outputs(dir)[1]); err != nil {
		return nil, err
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		last := map[string]int64{}
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSuffix(line, "\n")
			f := strings.Fields(line)
			if len(f) != 4 {
				return nil, fmt.Errorf("%s: line %q", n, line)
			}
			at, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: line %q", n, line)
			}
			if was, ok := last[f[0]]; ok && at <= was {
				return nil, fmt.Errorf("%s: user %s: bucket %d comes behind %d", n, f[0], at, was)
			}
			last[f[0]] = at
			o.users = append(o.users, line)
		}
	}
	slices.Sort(o.users)
	return &o, nil
}

// difference counts lines that are missing in o, and those that are too many.
func (o *output) difference(want *output) (lost, duplicated int) {
	count := map[string]int{}
	for _, l := range slices.Concat(want.users, strings.Split(string(want.windows), "\n")) {
		count[l]++
	}
	for _, l := range slices.Concat(o.users, strings.Split(string(o.windows), "\n")) {
		count[l]--
	}
	for _, n := range count {
		lost += max(n, 0)
		duplicated += max(-n, 0)
	}
	return lost, duplicated
}

func (o *output) equal(want *output) bool {
	return bytes.Equal(o.windows, want.windows) && slices.Equal(o.users, want.users)
}

// shownFiles are the sizes of the files that a job has shown.
func shownFiles(dir string) (map[string]int64, error) {
	out := map[string]int64{}
	for _, pattern := range outputs(dir) {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			info, err := os.Stat(n)
			if err != nil {
				return nil, err
			}
			out[filepath.Base(n)] = info.Size()
		}
	}
	return out, nil
}

// stillThere checks that no shown file has gone or changed.
func stillThere(before, now map[string]int64) error {
	for name, size := range before {
		if n, ok := now[name]; !ok || n != size {
			return fmt.Errorf("the file %s was shown with %d bytes, and has %d now (there: %v)", name, size, n, ok)
		}
	}
	return nil
}

// unfinishedIn counts hidden files.
func unfinishedIn(dir string) (n int, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if _, ok := filesystem.UnfinishedOf(e.Name()); ok {
			n++
		}
	}
	return n, err
}
