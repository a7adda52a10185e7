package statepebble

import (
	"fmt"

	cerrors "github.com/cockroachdb/errors"
	"github.com/cockroachdb/pebble/v2"
)

// DamageError says that files are not as they were written.
type DamageError struct {
	File string // "" if it can't be told
	Err  error
}

func (e *DamageError) Error() string {
	what := "it is damaged"
	if e.File != "" {
		what = "the file " + e.File + " is damaged"
	}
	return fmt.Sprintf("%s (%v): restore from a savepoint into another folder", what, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// blame makes a DamageError of what the library says of damaged files.
func (s *Store) blame(err error) error {
	if err == nil || !pebble.IsCorruptionError(err) {
		return err
	}
	for _, d := range cerrors.GetAllDetails(err) {
		err = fmt.Errorf("%w; %s", err, d)
	}
	return &DamageError{Err: err}
}
