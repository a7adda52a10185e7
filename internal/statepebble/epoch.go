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

// spillBytes is from which size on a lane's rows of a whole epoch are written ahead
// of its commit, under numbers that are no node's yet.
const spillBytes = 8 << 20

// epoch is an epoch that is being written.
type epoch struct {
	s     *Store
	whole bool
	over  bool

	mu    sync.Mutex
	table nodes // of the nodes whose rows it may hold; grows as lanes name nodes
	fresh []number
	lanes []*laneWriter
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
	w := &laneWriter{e: e, lane: lane, batch: e.s.newBatch(), node: noNode}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lanes = append(e.lanes, w)
	return w
}

func (s *Store) newBatch() *pebble.Batch {
	return s.db.NewBatch(pebble.WithInitialSizeBytes(64<<10), pebble.WithMaxRetainedSizeBytes(1<<20))
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
	b, err := e.gather()
	if err != nil {
		e.Discard()
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	err = s.commitBatch(b, e.table, rec)
	e.end(err != nil)
	return err
}

var errOver = errors.New("the epoch is over")

// gather makes one batch of those of the lanes.
func (e *epoch) gather() (*pebble.Batch, error) {
	var parts []*pebble.Batch
	size := 0
	for _, w := range e.lanes {
		if w.err != nil {
			return nil, w.err
		}
		if w.batch.Count() > 0 {
			parts = append(parts, w.batch)
			size += w.batch.Len()
		}
	}
	if size > maxEpoch {
		return nil, fmt.Errorf("%d bytes of changes are more than one epoch can hold (%d): cut epochs more often", size, maxEpoch)
	}
	if len(parts) == 1 {
		for _, w := range e.lanes {
			if w.batch == parts[0] {
				w.batch = nil
			}
		}
		return parts[0], nil
	}
	all := e.s.db.NewBatchWithSize(size + 4096)
	for _, w := range e.lanes {
		if err := all.Apply(w.batch, nil); err != nil {
			return nil, err
		}
		w.drop()
	}
	return all, nil
}

// commitBatch writes b with the table and the record, and shows it. s.write is held.
func (s *Store) commitBatch(b *pebble.Batch, table nodes, rec *commit.Record) error {
	bytes := commit.AppendRecord(nil, rec)
	kept, err := commit.DecodeRecord(bytes) // a copy that is the store's
	if err != nil {
		return fmt.Errorf("encode the record: %w", err)
	}
	live := map[number]bool{}
	for _, n := range table {
		live[n] = true
	}
	var gone []number
	for _, n := range s.now.nodes {
		if !live[n] {
			gone = append(gone, n)
		}
	}
	for _, n := range gone {
		if err := deleteNumber(b, n); err != nil {
			return err
		}
	}
	if err := b.Set(recordKey, bytes, nil); err != nil {
		return err
	}
	if err := b.Set(nodesKey, table.append(nil), nil); err != nil {
		return err
	}
	if err := s.apply(b, pebble.Sync); err != nil {
		return err
	}
	s.lastRec = kept
	s.pending, s.dropped = nodes{}, map[string]bool{}
	for _, n := range gone {
		delete(s.numbers.taken, n)
	}
	s.show(s.db.NewSnapshot(), table)
	return nil
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
		w.drop()
	}
	if givenUp {
		e.s.release(e.fresh)
	}
	e.s.open = false
}

// release deletes what is under numbers that will be no node's, and gives them back.
// s.write is held.
func (s *Store) release(fresh []number) {
	if len(fresh) == 0 || s.failed() != nil {
		return
	}
	b := s.db.NewBatch()
	for _, n := range fresh {
		if deleteNumber(b, n) != nil {
			return
		}
	}
	if s.apply(b, pebble.NoSync) != nil {
		return // the next Open removes them
	}
	for _, n := range fresh {
		delete(s.numbers.taken, n)
	}
}
