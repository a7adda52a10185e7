package statepebble

import (
	"context"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// writer is a batch or a table.
type writer interface {
	Set(key, val []byte) error
	Merge(key, val []byte) error
	Delete(key []byte) error
}

type batchWriter struct{ *pebble.Batch }

func (b batchWriter) Set(key, val []byte) error   { return b.Batch.Set(key, val, nil) }
func (b batchWriter) Merge(key, val []byte) error { return b.Batch.Merge(key, val, nil) }
func (b batchWriter) Delete(key []byte) error     { return b.Batch.Delete(key, nil) }

func (c change) write(w writer) error {
	switch c.kind {
	case put:
		return w.Set(c.key, c.val)
	case appendTo:
		return w.Merge(c.key, c.val)
	}
	return w.Delete(c.key)
}

// tables are files of rows in order that the library takes as they are. Rows of many
// bytes need not go through its log then, nor be in its memory.
type tables struct {
	s     *Store
	names []string
	w     *sstable.Writer // nil: none is open
	size  int             // of the keys and values in it
}

// aheadPrefix is what the names of files begin with that are not the library's yet.
const aheadPrefix = "ahead-"

// next closes the table and opens another.
func (t *tables) next() error {
	if err := t.close(); err != nil {
		return err
	}
	s := t.s
	name := s.disk.PathJoin(s.dir, fmt.Sprintf("%s%d", aheadPrefix, len(t.names)))
	f, err := s.disk.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	t.names = append(t.names, name)
	t.size = 0
	t.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), s.opts.MakeWriterOptions(0, s.db.TableFormat()))
	return nil
}

func (t *tables) close() error {
	if t.w == nil {
		return nil
	}
	w := t.w
	t.w = nil
	return w.Close()
}

func (t *tables) add(c change) error {
	if t.w == nil || t.size >= t.s.largeBytes {
		if err := t.next(); err != nil {
			return err
		}
	}
	t.size += len(c.key) + len(c.val)
	return c.write(t.w)
}

// remove removes what the library has not taken.
func (t *tables) remove() {
	_ = t.close()
	for _, name := range t.names {
		_ = t.s.disk.Remove(name) // the next Open does, else
	}
}

// removeAhead removes tables that an earlier process left.
func (s *Store) removeAhead() error {
	names, err := s.disk.List(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, aheadPrefix) {
			if err := s.disk.Remove(s.disk.PathJoin(s.dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeAll writes the rows of parts, and own rows, at once; durably if sync. If it
// fails nothing is written. s.write is held.
func (s *Store) writeAll(parts []*rows, own []change, sync bool) error {
	if err := s.failed(); err != nil {
		return err
	}
	own = append(own,
		change{appendTo, tallyKey, appendCount(nil, 1)},
		change{put, writesKey, appendCount(nil, s.writes+1)})
	size := 0
	for _, r := range parts {
		size += r.size
	}
	if size >= s.largeBytes {
		return s.writeTables(parts, own)
	}
	for _, c := range own {
		size += len(c.key) + len(c.val) + 32
	}
	b := s.db.NewBatchWithSize(size + 64)
	for _, c := range own {
		if err := c.write(batchWriter{b}); err != nil {
			return err
		}
	}
	if err := s.sorter.each(parts, func(c change) error { return c.write(batchWriter{b}) }); err != nil {
		return err
	}
	return s.apply(func() error {
		o := pebble.NoSync
		if sync {
			o = pebble.Sync
		}
		if err := s.db.Apply(b, o); err != nil {
			return err
		}
		return b.Close()
	})
}

// writeTables writes tables for the library to take.
func (s *Store) writeTables(parts []*rows, own []change) error {
	t := &tables{s: s}
	defer t.remove()
	for _, c := range own {
		if err := t.add(c); err != nil {
			return err
		}
	}
	// Rows begin another table: one of new numbers can go where nothing is yet.
	if err := t.next(); err != nil {
		return err
	}
	if err := s.sorter.each(parts, t.add); err != nil {
		return err
	}
	if err := t.close(); err != nil {
		return err
	}
	if err := s.room.wait(s.db); err != nil {
		return blame(err)
	}
	return s.apply(func() error { return s.db.Ingest(context.Background(), t.names) })
}

// apply does what changes the store.
func (s *Store) apply(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.end(fmt.Errorf("%v", r))
		}
		if e := s.log.err(); e != nil {
			s.poisoned, err = e, e
		}
	}()
	if err := do(); err != nil {
		return err
	}
	s.writes++
	return nil
}
