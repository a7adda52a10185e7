package savepoint

import (
	"iter"
	"slices"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/window"
)

// Entry is what a cell holds for a key in a window.
type Entry[K comparable, V any] struct {
	Window window.Interval // window.Global where there are no windows
	Key    K
	Value  V
}

// Values are all keys for which a cell holds something, with what it holds, in no
// order that means anything; a key that has state in several windows comes once for
// each. When the loop has ended, failed says whether it ended early, and why: there is
// no such cell, it has other types, the file is damaged.
func Values[K comparable, V any](s *Savepoint, transform, cell string) (values iter.Seq2[K, V], failed func() error) {
	entries, failed := Entries[K, V](s, transform, cell)
	return func(yield func(K, V) bool) {
		for e := range entries {
			if !yield(e.Key, e.Value) {
				return
			}
		}
	}, failed
}

// Entries is [Values] with the windows.
func Entries[K comparable, V any](s *Savepoint, transform, cell string) (entries iter.Seq[Entry[K, V]], failed func() error) {
	c, err := cellOf[K, V](s.nodes, transform, cell)
	entries = func(yield func(Entry[K, V]) bool) {
		if err == nil {
			err = c.each(s, yield)
		}
	}
	return entries, func() error { return err }
}

func (c *cell[K, V]) each(s *Savepoint, yield func(Entry[K, V]) bool) error {
	stopped := false
	err := s.file.Rows(commit.Want{Node: func(n string) bool { return n == c.n.stored }}, func(r commit.Row) error {
		if r.Group < 0 {
			return nil
		}
		row, err := c.n.layout.Split(r.Key, r.Val)
		if err != nil || !c.in(&row) {
			return err
		}
		v, ok, err := c.get(&row)
		if err != nil || !ok {
			return err
		}
		e := Entry[K, V]{Value: v}
		if row.Window != nil {
			e.Window = *row.Window
		}
		if e.Key, err = c.decodeKey(row.Key); err != nil {
			return err
		}
		if !yield(e) {
			stopped = true
			return errStopped
		}
		return nil
	})
	if stopped {
		return nil
	}
	return err
}

// in reports that the row is the one that has the cell of its key.
func (c *cell[K, V]) in(row *upgrade.Entry) bool {
	switch row.Kind {
	case upgrade.KeyRow:
		return !slices.Contains(row.Apart, c.name)
	case upgrade.PartRow:
		return row.Parts[0].Name == c.name
	}
	return false
}

type stop struct{}

func (stop) Error() string { return "the loop has ended" }

var errStopped error = stop{}

// Get is what a cell holds for a key, in the global window; ok is false if nothing.
func Get[K comparable, V any](s *Savepoint, transform, cell string, key K) (v V, ok bool, err error) {
	return GetIn[K, V](s, transform, cell, window.Global, key)
}

// GetIn is what a cell holds for a key in a window.
func GetIn[K comparable, V any](s *Savepoint, transform, cell string, w window.Interval, key K) (v V, ok bool, err error) {
	c, err := cellOf[K, V](s.nodes, transform, cell)
	if err != nil {
		return v, false, err
	}
	group, name := c.row(key, w)
	val, ok, err := s.file.Get(c.n.stored, group, name, nil)
	if err != nil || !ok {
		return v, false, err
	}
	row, err := c.n.layout.Split(name, val)
	if err != nil {
		return v, false, err
	}
	if name, ok := c.apart(&row, w); ok {
		if val, ok, err = s.file.Get(c.n.stored, group, name, nil); err != nil || !ok {
			return v, false, err
		}
		if row, err = c.n.layout.Split(name, val); err != nil {
			return v, false, err
		}
	}
	return c.get(&row)
}
