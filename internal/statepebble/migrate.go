package statepebble

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

var errOpen = errors.New("BUG: statepebble: an epoch is open")

// Migrate rewrites all rows of a node: f is called with each and puts what is to
// stand in its place, which may be nothing. A row of lanes stays with its lane. What
// f is given is valid during the call only; of rows with one key the last stays.
// Readers see the new rows from the next Commit on; before it a crash, or Close,
// leaves the old ones. It takes no more memory than a few MiB, and is not called
// while an epoch is open. When it fails, the rows are as before.
func (s *Store) Migrate(node string, f func(group int, key, val []byte, put func(group int, key, val []byte)) error) error {
	if err := s.migrate(node, f); err != nil {
		return fmt.Errorf("state in %s: migrate rows of %s: %w", s.dir, node, err)
	}
	return nil
}

func (s *Store) migrate(node string, f func(group int, key, val []byte, put func(group int, key, val []byte)) error) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.canMigrate(); err != nil {
		return err
	}
	from, ok := s.numberNext(node)
	if !ok {
		return nil
	}
	to, err := s.numbers.fresh()
	if err != nil {
		return err
	}
	m := migration{s: s, to: to}
	if err := m.run(from, f); err != nil {
		return errors.Join(err, s.release([]number{to}, true))
	}
	old, again := s.pending[node]
	s.pending[node] = to
	if again {
		return s.release([]number{old}, true)
	}
	return nil
}

// Drop removes all rows of a node from the next Commit on.
func (s *Store) Drop(node string) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.canMigrate(); err != nil {
		return fmt.Errorf("state in %s: drop rows of %s: %w", s.dir, node, err)
	}
	s.dropped[node] = true
	old, ok := s.pending[node]
	if !ok {
		return nil
	}
	delete(s.pending, node)
	return s.release([]number{old}, true)
}

func (s *Store) canMigrate() error {
	if s.open {
		return errOpen
	}
	return s.failed()
}

// numberNext is the number that a node's rows have in the next epoch.
func (s *Store) numberNext(node string) (number, bool) {
	if n, ok := s.pending[node]; ok {
		return n, true
	}
	if s.dropped[node] {
		return 0, false
	}
	n, ok := s.now.nodes[node]
	return n, ok
}

// migration writes rows under a fresh number. s.write is held all the time.
type migration struct {
	s    *Store
	to   number
	rows *rows
	lane int // of the row at hand
	err  error
}

func (m *migration) run(from number, f func(group int, key, val []byte, put func(group int, key, val []byte)) error) error {
	low, high := from.span()
	it, err := m.s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return blame(err)
	}
	m.rows = newRows()
	defer m.rows.reset()
	for ok := it.First(); ok && m.err == nil; ok = it.Next() {
		val, err := it.ValueAndErr()
		if err != nil {
			break
		}
		_, p, key, err := cutHead(it.Key())
		if err != nil {
			m.err = &DamageError{Err: err}
			break
		}
		m.lane = p.lane
		if err := f(p.group, key, slices.Clip(val), m.put); err != nil {
			m.err = err
			break
		}
	}
	if err := it.Close(); err != nil {
		return blame(err)
	}
	if m.err == nil {
		m.flush()
	}
	return m.err
}

func (m *migration) put(group int, key, val []byte) {
	if m.err == nil {
		m.err = checkPlace(group, m.lane)
	}
	if m.err != nil {
		return
	}
	m.rows.add(m.to, m.rows.of(m.to), put, group, m.lane, key, val)
	if m.rows.size >= m.s.largeBytes {
		m.flush()
	}
}

func (m *migration) flush() {
	m.err = m.s.writeAll([]*rows{m.rows}, nil, false)
	m.rows.reset()
}
