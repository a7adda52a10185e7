package statepebble

import (
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/internal/commit"
)

// maxEpoch is how many bytes may change in an epoch that is not whole. Its rows are in
// memory until it is committed, so that it is far beyond what works.
const maxEpoch = 16 << 30

// epoch is an epoch that is being written.
type epoch struct {
	s       *Store
	whole   bool
	relaned bool
	over    bool

	mu    sync.Mutex
	table nodes // of the nodes whose rows it may hold; grows as lanes name nodes
	fresh []number
	lanes []*laneWriter

	spilled bool // rows were written ahead
}

// Begin opens the epoch behind Last.
func (s *Store) Begin(int) commit.Epoch {
	s.write.Lock()
	defer s.write.Unlock()
	if s.open {
		panic("BUG: statepebble: an epoch is open already")
	}
	s.open = true
	e := &epoch{s: s, table: nodes{}}
	if v, err := s.look(); err == nil {
		maps.Copy(e.table, v.nodes)
		v.letGo()
	}
	return e
}

// Whole gives every node a new number: what is older goes with the commit.
func (e *epoch) Whole() {
	if len(e.lanes) > 0 {
		panic("BUG: statepebble: an epoch is whole from its start on")
	}
	e.whole, e.table = true, nodes{}
}

// Relaned says that the rows of lanes in earlier epochs are gone.
func (e *epoch) Relaned() { e.relaned = true }

// Lane is where one lane writes.
func (e *epoch) Lane(lane int) commit.LaneWriter {
	w := &laneWriter{e: e, lane: lane, rows: newRows()}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lanes = append(e.lanes, w)
	return w
}

// number is that of a node, which may be new.
func (e *epoch) number(name string) (number, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n, ok := e.table[name]; ok {
		return n, nil
	}
	e.s.write.Lock()
	defer e.s.write.Unlock()
	n, err := e.s.numbers.fresh()
	if err != nil {
		return 0, err
	}
	e.table[name] = n
	e.fresh = append(e.fresh, n)
	return n, nil
}

// Commit writes the rows of all lanes, the table and the record at once.
func (e *epoch) Commit(rec *commit.Record) error {
	if err := e.commit(rec); err != nil {
		return fmt.Errorf("commit epoch %d to %s: %w", rec.Epoch, e.s.dir, err)
	}
	return nil
}

func (e *epoch) commit(rec *commit.Record) error {
	s := e.s
	if e.over {
		return errOver
	}
	rec.Epoch = 1
	if last := s.Last(); last != nil {
		rec.Epoch = last.Epoch + 1
	}
	s.write.Lock()
	defer s.write.Unlock()
	err := e.write(rec)
	e.end(err != nil)
	return err
}

var errOver = errors.New("the epoch is over")

// write makes one batch of the record, the table and the rows of all lanes, writes
// it, and shows it. s.write is held.
func (e *epoch) write(rec *commit.Record) error {
	s := e.s
	if err := s.failed(); err != nil {
		return err
	}
	parts := []*rows{newRows()}
	defer parts[0].reset()
	if e.relaned {
		if err := e.removeLanes(parts[0]); err != nil {
			return err
		}
	}
	size := 0
	for _, w := range e.lanes {
		if w.err != nil {
			return w.err
		}
		parts = append(parts, w.rows)
		size += w.rows.size
	}
	if size > maxEpoch {
		return fmt.Errorf("%d bytes of changes are more than an epoch can hold (%d): cut epochs more often", size, maxEpoch)
	}
	record := commit.AppendRecord(nil, rec)
	kept, err := commit.DecodeRecord(record) // a copy that is the store's
	if err != nil {
		return fmt.Errorf("encode the record: %w", err)
	}
	gone := e.gone()
	err = s.writeAll(parts, []change{
		{put, nodesKey, e.table.append(nil)},
		{put, recordKey, record},
	}, true)
	if err != nil {
		return err
	}
	s.last.Store(kept)
	s.show(s.db.NewSnapshot(), e.table)
	_ = s.newest.set(rec.Epoch) // for the sake of better words only
	_ = s.release(gone, true)   // the epoch is committed nevertheless, and the next one will say so
	return nil
}

// removeLanes removes all rows of lanes that are there. They are few, against those of
// keys; and a range could not be removed in the table that has others in its place.
func (e *epoch) removeLanes(r *rows) error {
	for _, n := range e.table {
		low, high := placeSpan(n, placeLane, placeEvery)
		it, err := e.s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
		if err != nil {
			return blame(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			_, p, key, err := cutHead(it.Key())
			if err != nil {
				_ = it.Close()
				return &DamageError{Err: err}
			}
			r.add(n, r.of(n), remove, p.group, p.lane, key, nil)
		}
		if err := it.Close(); err != nil {
			return blame(err)
		}
	}
	return nil
}

// gone are the numbers whose rows are of no use once the epoch is committed.
func (e *epoch) gone() []number {
	live := map[number]bool{}
	for _, n := range e.table {
		live[n] = true
	}
	var gone []number
	for _, n := range e.s.now.nodes {
		if !live[n] {
			gone = append(gone, n)
		}
	}
	return gone
}

// Discard gives the epoch up.
func (e *epoch) Discard() {
	e.s.write.Lock()
	defer e.s.write.Unlock()
	e.end(true)
}

// end closes the epoch. If it is given up, what it wrote ahead goes. s.write is held.
func (e *epoch) end(givenUp bool) {
	if e.over {
		return
	}
	e.over = true
	for _, w := range e.lanes {
		w.rows.reset()
	}
	if givenUp {
		_ = e.s.release(e.fresh, e.spilled) // the next Open does, else
	}
	e.s.open = false
}

// release gives numbers back that are no node's, and if written deletes what is under
// them: if that is lost in a crash, the next Open does it. s.write is held.
func (s *Store) release(ns []number, written bool) error {
	if written && len(ns) > 0 {
		if err := s.failed(); err != nil {
			return err
		}
		b := s.db.NewBatch()
		for _, n := range ns {
			start, end := n.span()
			if err := b.DeleteRange(start, end, nil); err != nil {
				return err
			}
		}
		if err := b.Merge(tallyKey, appendCount(nil, 1), nil); err != nil {
			return err
		}
		if err := b.Set(writesKey, appendCount(nil, s.writes+1), nil); err != nil {
			return err
		}
		if err := s.apply(func() error { return s.db.Apply(b, pebble.NoSync) }); err != nil {
			return err
		}
	}
	for _, n := range ns {
		delete(s.numbers.taken, n)
	}
	return nil
}
