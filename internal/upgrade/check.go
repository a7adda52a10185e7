package upgrade

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/commit"
)

// Check is Plan for the rows of a store. Where the plan alone would refuse a transform,
// it looks whether there are any rows that would be missed.
func Check(s commit.Store, new commit.Manifest, opts Options) (*Result, error) {
	last := s.Last()
	if last == nil {
		return Plan(commit.Manifest{}, new, opts), nil
	}
	r := Plan(last.Manifest, new, opts)
	empty := map[string]bool{}
	for i := range r.Transforms {
		t := &r.Transforms[i]
		if t.Outcome != Refused || t.Was == "" {
			continue
		}
		found, err := missed(s, t.Old)
		if err != nil {
			return nil, fmt.Errorf("look for rows of %q: %w", t.Old, err)
		}
		empty[t.Old] = !found
	}
	if len(empty) == 0 {
		return r, nil
	}
	opts.Empty = func(old string) bool { return empty[old] }
	return Plan(last.Manifest, new, opts), nil
}

var errFound = errors.New("found")

// missed reports whether a transform has a row other than its watermarks.
func missed(s commit.Store, node string) (bool, error) {
	want := commit.Want{Node: func(name string) bool { return name == node }}
	err := s.Rows(want, func(r commit.Row) error {
		if r.Group < 0 && (bytes.Equal(r.Key, outputRow) || bytes.Equal(r.Key, firedRow) || bytes.Equal(r.Key, sidesRow)) {
			return nil
		}
		return errFound
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}
