package statepebble

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"

	cerrors "github.com/cockroachdb/errors"
	"github.com/cockroachdb/pebble/v2"
)

// DamageError says that files are not as they were written.
type DamageError struct {
	File string // in the folder; "" if it can't be told
	Err  error
}

func (e *DamageError) Error() string {
	what := "a file is damaged or missing"
	if e.File != "" {
		what = "the file " + e.File + " is damaged or missing"
	}
	return fmt.Sprintf("%s (%v): restore from a savepoint into another folder", what, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// blame makes a DamageError of what the library says of damaged files while reading.
func blame(err error) error {
	var d *DamageError
	if err == nil || errors.As(err, &d) || !pebble.IsCorruptionError(err) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return damage(err)
}

// blameOpen does it for the opening of a store that was made before: all is damage
// then but what the machine refuses.
func blameOpen(err error) error {
	var d *DamageError
	var no syscall.Errno
	if err == nil || errors.As(err, &d) || errors.As(err, &no) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return damage(err)
}

func damage(err error) error {
	text := strings.Join(append([]string{err.Error()}, cerrors.GetAllDetails(err)...), "; ")
	text = carrier.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "\n", "; ")
	return &DamageError{File: fileOf(text), Err: &saidError{text, err}}
}

// saidError is an error in other words.
type saidError struct {
	text string
	err  error
}

func (e *saidError) Error() string { return e.text }
func (e *saidError) Unwrap() error { return e.err }

var (
	carrier      = regexp.MustCompile(`[;\s]*<corruption detail carrier>`) // the library's own bookkeeping
	namedFile    = regexp.MustCompile(`\d{6}\.(log|sst)|(MANIFEST|OPTIONS)-\d{6}`)
	numberedFile = regexp.MustCompile(`(?:file|table) (\d{6})\b`)
)

// fileOf is the file that the library names, by its name or by its number.
func fileOf(text string) string {
	if name := namedFile.FindString(text); name != "" {
		return name
	}
	if m := numberedFile.FindStringSubmatch(text); m != nil {
		return m[1] + ".sst"
	}
	if strings.Contains(text, "key=value") || strings.Contains(text, "from options") {
		return "OPTIONS"
	}
	return ""
}
