package savefile

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
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
	rec := *src.Last()
	lanes, err := lanesOf(src)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	e := dst.Begin(lanes)
	e.Whole()
	writers := make([]commit.LaneWriter, lanes)
	nodes := make([]string, lanes) // that each writer has been told last
	for i := range writers {
		writers[i] = e.Lane(i)
	}
	err = src.Rows(commit.Want{}, func(r commit.Row) error {
		lane := r.Lane
		if r.Group >= 0 {
			lane = r.Group * lanes / keygroup.N
		}
		if nodes[lane] != r.Node {
			nodes[lane] = r.Node
			writers[lane].Node(r.Node)
		}
		writers[lane].Put(r.Group, r.Key, r.Val)
		return nil
	})
	if err != nil {
		e.Discard()
		return fmt.Errorf("import: %w", err)
	}
	if err := e.Commit(&rec); err != nil {
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
