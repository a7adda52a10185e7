package savefile

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/commit"
)

// Import copies the newest epoch of src, rows and record, into dst, where nothing may
// have been committed yet: to start a job from a savepoint, or to change the backend.
// It becomes the first epoch of dst; after an error there is none. Beyond what dst
// takes, memory does not grow with the number of rows.
func Import(dst, src commit.Store) error {
	switch {
	case dst.Last() != nil:
		return fmt.Errorf("import: there is state already, of epoch %d", dst.Last().Epoch)
	case src.Last() == nil:
		return errors.New("import: there is nothing to import")
	}
	lanes, err := lanesOf(src)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	err = commit.Replace(dst, *src.Last(), lanes, func(put func(commit.Row) error) error { return src.Rows(commit.Want{}, put) })
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

// lanesOf is how many lanes have rows of their own in a store, or ran at its last epoch.
func lanesOf(s commit.Store) (int, error) {
	lanes := max(s.Last().Lanes, 1)
	err := s.Rows(commit.Want{Group: func(int) bool { return false }}, func(r commit.Row) error {
		lanes = max(lanes, r.Lane+1)
		return nil
	})
	return lanes, err
}
