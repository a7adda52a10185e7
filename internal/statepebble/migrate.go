package statepebble

import (
	"errors"
	"fmt"

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
		s.release([]number{to})
		return err
	}
	if old, ok := s.pending[node]; ok {
		s.release([]number{old})
	}
	s.pending[node] = to
	return nil
}

// Drop removes all rows of a node from the next Commit on.
func (s *Store) Drop(node string) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.canMigrate(); err != nil {
		return fmt.Errorf("state in %s: drop rows of %s: %w", s.dir, node, err)
	}
	if old, ok := s.pending[node]; ok {
		s.release([]number{old})
		delete(s.pending, node)
	}
	s.dropped[node] = true
	return nil
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
	s     *Store
	to    number
	batch *pebble.Batch
	lane  int // of the row at hand
	err   error
}

func (m *migration) run(from number, f func(group int, key, val []byte, put func(group int, key, val []byte)) error) error {
	low, high := from.span()
	it, err := m.s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return m.s.blame(err)
	}
	m.batch = m.s.newBatch()
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
		if err := f(p.group, key, val, m.put); err != nil {
			m.err = err
			break
		}
	}
	if err := it.Close(); err != nil {
		return m.s.blame(err)
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
	lane := m.lane
	h := headLen(group)
	op := m.batch.SetDeferred(h+len(key), len(val))
	putHead(op.Key, m.to, group, lane)
	copy(op.Key[h:], key)
	copy(op.Value, val)
	if m.err = op.Finish(); m.err == nil && m.batch.Len() >= spillBytes {
		m.flush()
		m.batch = m.s.newBatch()
	}
}

func (m *migration) flush() { m.err = m.s.apply(m.batch, pebble.NoSync) }
