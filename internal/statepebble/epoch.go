package statepebble

import (
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/internal/commit"
)

// An epoch must fit into one write of the library.
const maxEpoch = 4<<30 - 1<<20

// spillShare is the part of MemTableBytes from which on a lane's rows of a whole epoch are written ahead
// of its commit, under numbers that are no node's yet.
const spillShare = 4

// epoch is an epoch that is being written.
type epoch struct {
	s     *Store
	whole bool
	over  bool

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
	for name := range s.dropped {
		delete(e.table, name)
	}
	maps.Copy(e.table, s.pending)
	return e
}

// Whole gives every node a new number: what is older goes with the commit.
func (e *epoch) Whole() {
	if len(e.lanes) > 0 {
		panic("BUG: statepebble: an epoch is whole from its start on")
	}
	e.whole, e.table = true, nodes{}
}

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
	var parts []*rows
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
	table := e.table.append(nil)
	b := s.newBatch(size + len(record) + len(table) + 1024)
	gone := e.gone()
	for _, n := range gone {
		if err := deleteNumber(b, n); err != nil {
			return err
		}
	}
	// In the order of keys, which saves the library sorting.
	if err := b.Set(nodesKey, table, nil); err != nil {
		return err
	}
	if err := b.Set(recordKey, record, nil); err != nil {
		return err
	}
	if err := s.count(b); err != nil {
		return err
	}
	if err := s.sorter.each(parts, into(b)); err != nil {
		return err
	}
	for _, w := range e.lanes {
		w.rows.reset()
	}
	if err := s.apply(b, pebble.Sync); err != nil {
		return err
	}
	s.lastRec = kept
	s.pending, s.dropped = nodes{}, map[string]bool{}
	for _, n := range gone {
		delete(s.numbers.taken, n)
	}
	s.show(s.db.NewSnapshot(), e.table)
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
		e.s.release(e.fresh, e.spilled)
	}
	e.s.open = false
}

// release gives numbers back that will be no node's, and if written deletes what is
// under them. s.write is held.
func (s *Store) release(fresh []number, written bool) {
	if written && len(fresh) > 0 {
		b := s.newBatch(1024)
		for _, n := range fresh {
			if deleteNumber(b, n) != nil {
				return
			}
		}
		if s.count(b) != nil || s.apply(b, pebble.NoSync) != nil {
			return // the next Open removes them
		}
	}
	for _, n := range fresh {
		delete(s.numbers.taken, n)
	}
}
