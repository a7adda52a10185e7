package statepebble

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/internal/commit"
)

const lockName = "LOCK"

// Store keeps the epochs of one slot in one folder. One goroutine drives it; Get,
// Scan and Rows may be called by several at once, and while an epoch commits.
type Store struct {
	dir  string
	db   *pebble.DB
	disk *disk
	log  *logger

	opts       *pebble.Options
	room       *room
	newest     *newest
	largeBytes int // from this size on rows are written as tables, each of about as much

	write    sync.Mutex // orders batches; guards what follows
	writes   uint64     // batches written
	sorter   sorter
	numbers  numbers // taken by nodes, or by rows that are to be theirs
	open     bool    // an epoch is
	closed   bool
	poisoned error

	last atomic.Pointer[commit.Record]
	stop context.CancelCauseFunc // ends the waiting for room

	seen  sync.RWMutex // guards now
	now   *view        // nil once closed
	views sync.WaitGroup
}

var _ commit.Pages = (*Store)(nil)

// Open opens the store in dir, or makes it there: the folder must be missing, empty,
// or one that Open made. A folder that is not the program's is refused before
// anything is written to it, and so is one that another process has open. Damage is
// an error that names the file, unless it is only in the newest epoch: then that
// epoch is gone and Warn is told.
func Open(dir string, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	s, err := open(dir, cfg)
	if err != nil {
		return nil, fmt.Errorf("state in %s: %w", dir, err)
	}
	return s, nil
}

func open(dir string, cfg Config) (_ *Store, err error) {
	if _, err := readMarker(cfg.FS, dir); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(cfg.Context)
	s := &Store{
		dir:  dir,
		disk: newDisk(ctx, cfg),

		stop:       stop,
		room:       newRoom(ctx),
		largeBytes: cfg.MemTableBytes / 2,
	}
	s.log = &logger{dir: dir, warn: cfg.Warn, onEnd: func(err error) {
		s.disk.kill(err)
		stop(err)
	}}
	s.disk.onFail = s.log.end
	defer func() {
		if err != nil {
			stop(err)
		}
	}()
	if err := makeDir(s.disk, dir); err != nil {
		return nil, err
	}
	lock, err := pebble.LockDirectory(dir, s.disk)
	if err != nil {
		return nil, fmt.Errorf("another process has it open, or it may not be written to: %w", err)
	}
	defer func() {
		if err != nil {
			s.disk.unlock()
		}
	}()
	is, err := readMarker(cfg.FS, dir) // again: another process may have been at it
	if err != nil {
		return nil, err
	}
	if is == markerNone {
		if err := writeMarker(s.disk, dir, markerNew); err != nil {
			return nil, err
		}
	}
	if err := s.removeAhead(); err != nil {
		return nil, err
	}
	o := cfg.options(s.disk, s.log, s.room)
	o.Lock = lock
	o.ErrorIfNotExists = is == markerMade
	o.EnsureDefaults()
	s.opts = o
	if s.db, err = openDB(dir, o); err != nil && is == markerMade {
		err = blameOpen(err)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.giveUp()
		}
	}()
	if is != markerMade {
		if err := writeMarker(s.disk, dir, markerMade); err != nil {
			return nil, err
		}
	}
	if err := s.load(); err != nil {
		return nil, blame(err)
	}
	if err := s.compareNewest(); err != nil {
		return nil, err
	}
	if err := s.sweep(); err != nil {
		return nil, blame(err)
	}
	if err := s.log.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// compareNewest looks whether epochs are lost.
func (s *Store) compareNewest() error {
	n, epoch, err := openNewest(s.disk, s.dir)
	if err != nil {
		return err
	}
	s.newest = n
	found := uint64(0)
	if last := s.Last(); last != nil {
		found = last.Epoch
	}
	sentence, err := lost(found, epoch)
	if err != nil {
		return err
	}
	if sentence != "" {
		s.log.once(fmt.Sprintf("state in %s: %s", s.dir, sentence))
	}
	return n.set(found)
}

// openDB turns what damage makes the library do into errors.
func openDB(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, &DamageError{Err: fmt.Errorf("reading it: %v", r)}
		}
	}()
	return pebble.Open(dir, o)
}

// load reads the store's own rows.
func (s *Store) load() error {
	snap := s.db.NewSnapshot()
	table := nodes{}
	rec, err := own(snap, recordKey)
	if err == nil && rec != nil {
		var last *commit.Record
		if last, err = commit.DecodeRecord(rec); err != nil {
			err = fmt.Errorf("read the record: %w", err) // of a newer version: the library has checked its bytes
		}
		s.last.Store(last)
	}
	var b []byte
	if err == nil {
		if b, err = own(snap, nodesKey); b != nil && err == nil {
			if table, err = decodeNodes(b); err != nil {
				err = &DamageError{Err: err}
			}
		}
	}
	if err == nil {
		s.writes, err = checkWrites(snap)
	}
	if err != nil {
		snap.Close()
		return err
	}
	s.numbers.taken = map[number]bool{}
	for _, n := range table {
		s.numbers.taken[n] = true
	}
	s.show(snap, table)
	return nil
}

// checkWrites compares the number of the newest batch with how many there are.
func checkWrites(snap *pebble.Snapshot) (uint64, error) {
	var n [2]uint64
	for i, key := range [][]byte{writesKey, tallyKey} {
		b, err := own(snap, key)
		if err != nil {
			return 0, err
		}
		if b == nil {
			continue
		}
		if n[i], err = decodeCount(b); err != nil {
			return 0, &DamageError{Err: err}
		}
	}
	if n[0] != n[1] {
		return 0, &DamageError{Err: fmt.Errorf("%d of %d writes are missing: a file of its log is gone", n[0]-n[1], n[0])}
	}
	return n[0], nil
}

// own reads one of the store's own rows; nil if there is none.
func own(r pebble.Reader, key []byte) ([]byte, error) {
	v, c, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v = append(make([]byte, 0, len(v)), v...)
	return v, c.Close()
}

// sweep deletes the rows under numbers that are no node's: of
// whole epochs that were never committed.
func (s *Store) sweep() error {
	it, err := s.now.snap.NewIter(&pebble.IterOptions{LowerBound: number(1).append(nil)})
	if err != nil {
		return err
	}
	var garbage []number
	for ok := it.First(); ok; {
		n, _, _, err := cutHead(it.Key())
		if err != nil {
			it.Close()
			return &DamageError{Err: err}
		}
		if !s.numbers.taken[n] {
			garbage = append(garbage, n)
		}
		ok = it.SeekGE((n + 1).append(nil))
	}
	if err := it.Close(); err != nil {
		return err
	}
	if len(garbage) == 0 {
		return nil
	}
	s.write.Lock()
	defer s.write.Unlock()
	return s.release(garbage, true)
}

// failed is why nothing can be written any more.
func (s *Store) failed() error {
	switch {
	case s.closed:
		return errClosed
	case s.poisoned != nil:
		return fmt.Errorf("after an earlier failure: %w", s.poisoned)
	}
	return s.log.err()
}

func (s *Store) failedWriting() error {
	if s.poisoned != nil {
		return s.poisoned
	}
	return s.log.err()
}

var errClosed = errors.New("the store is closed")

// Last is the record of the newest committed epoch; nil at the start of a job.
func (s *Store) Last() *commit.Record { return s.last.Load() }

// WantsWhole is never so: what is old is tidied away all the time.
func (s *Store) WantsWhole() bool { return false }

// Close lets go of the folder. It waits for those who read. What is not committed is lost.
func (s *Store) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.giveUp(); err != nil {
		return fmt.Errorf("close the state in %s: %w", s.dir, err)
	}
	return nil
}

// giveUp closes what is open, and lets go of the folder.
func (s *Store) giveUp() error {
	s.stop(errClosed) // what is left to write is of no use
	s.show(nil, nil)
	s.views.Wait()
	defer s.disk.unlock()
	if s.newest != nil {
		_ = s.newest.close()
	}
	if s.failedWriting() != nil {
		// The library may hold its locks for ever, and has nothing left to write.
		go func() {
			defer func() { _ = recover() }()
			_ = s.db.Close()
		}()
		return nil
	}
	if err := s.db.Close(); !isFull(err) { // what it couldn't write is of no use
		return err
	}
	return nil
}

func isNotExist(err error) bool { return errors.Is(err, os.ErrNotExist) }
