package savefile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/millrace/millrace/internal/commit"
)

// Suffix is how the name of a savepoint's file ends.
const Suffix = ".savepoint"

// sortBudget is how many bytes of rows are sorted in memory.
const sortBudget = 64 << 20

// Write makes a savepoint of the newest epoch of store at path, which must not be
// there yet: what is at path is a whole savepoint or nothing, after a crash, too, and
// durable when Write returns nil. It takes some 100 MB of memory at most, and for a
// while as much room again as the rows take, in the folder of path. The store's
// newest epoch may not change meanwhile: then Write fails. Equal facts, records and
// rows give equal bytes.
func Write(path string, store commit.Store, facts Facts) error {
	rec := store.Last()
	if rec == nil {
		return fmt.Errorf("savepoint %s: nothing has been committed yet that it could hold", path)
	}
	return Create(path, facts, rec, func(row func(commit.Row) error) error {
		if err := store.Rows(commit.Want{}, row); err != nil {
			return err
		}
		if now := store.Last(); now == nil || now.Epoch != rec.Epoch {
			return fmt.Errorf("epoch %d was followed by another while its rows were read", rec.Epoch)
		}
		return nil
	})
}

// Create is Write of a record and the rows that each hands to its argument, in any
// order, no two of which have one name.
func Create(path string, facts Facts, rec *commit.Record, each func(row func(commit.Row) error) error) error {
	return create(path, facts, rec, each, sortBudget)
}

func create(path string, facts Facts, rec *commit.Record, each func(row func(commit.Row) error) error, budget int) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("savepoint %s: %w", path, err)
		}
	}()
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	removeLeftovers(dir, name)
	f, err := os.CreateTemp(dir, tempPrefix(name)+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	s := newSorter(dir, budget)
	defer s.close()
	if err := each(func(r commit.Row) error { return s.add(&r) }); err != nil {
		return err
	}
	w, err := newWriter(f, facts, rec)
	if err != nil {
		return err
	}
	if err := s.each(w.row); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// tempPrefix begins the names of files that become the savepoint of that name.
func tempPrefix(name string) string { return "." + name + ".tmp-" }

// removeLeftovers removes what a process left behind that died while it wrote. Of two
// that write one savepoint at once, one fails when it renames.
func removeLeftovers(dir, name string) {
	old, _ := filepath.Glob(filepath.Join(dir, tempPrefix(name)+"*"))
	for _, path := range old {
		os.Remove(path)
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// writer writes a file from rows in order.
type writer struct {
	w     *bufio.Writer
	crc   uint32 // of all but the chunks
	at    int64
	nodes []node
	zip   *zstd.Encoder

	first place // of the chunk that is begun
	rows  int
	raw   []byte
	out   []byte
}

func newWriter(f *os.File, facts Facts, rec *commit.Record) (*writer, error) {
	// One goroutine, or the bytes would hang on who comes first.
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	w := &writer{w: bufio.NewWriterSize(f, 1<<16), zip: zip}
	fb, rb := appendFacts(nil, &facts), commit.AppendRecord(nil, rec)
	head := binary.BigEndian.AppendUint32([]byte(magic), version)
	head = appendFixed(head, uint64(len(fb)), uint64(len(rb)))
	for _, b := range [...][]byte{head, fb, rb} {
		if err := w.checked(b); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// checked writes bytes that are under the checksum of the footer.
func (w *writer) checked(b []byte) error {
	w.crc = crc32.Update(w.crc, castagnoli, b)
	return w.plain(b)
}

func (w *writer) plain(b []byte) error {
	w.at += int64(len(b))
	_, err := w.w.Write(b)
	return err
}

func (w *writer) row(name string, p place, val []byte) error {
	fresh := len(w.nodes) == 0 || w.nodes[len(w.nodes)-1].name != name
	if w.rows > 0 && (fresh || len(w.raw)+len(p.key)+len(val) > chunkTarget) {
		if err := w.endChunk(); err != nil {
			return err
		}
	}
	if fresh {
		w.nodes = append(w.nodes, node{name: name})
	}
	n := &w.nodes[len(w.nodes)-1]
	n.rows++
	n.bytes += int64(len(p.key) + len(val))
	if w.rows == 0 {
		w.first.group, w.first.lane, w.first.key = p.group, p.lane, append([]byte(nil), p.key...)
	}
	w.rows++
	w.raw = appendBlock(appendPlace(w.raw, p), val)
	return nil
}

func (w *writer) endChunk() error {
	w.out = w.zip.EncodeAll(w.raw, w.out[:0])
	n := &w.nodes[len(w.nodes)-1]
	n.chunks = append(n.chunks, chunk{w.first, w.rows, len(w.raw), len(w.out), crc32.Checksum(w.out, castagnoli), w.at})
	w.rows = 0
	if cap(w.raw) > smallChunk { // one large row is no reason to keep so much
		w.raw = nil
	}
	w.raw = w.raw[:0]
	return w.plain(w.out)
}

func (w *writer) finish() error {
	if w.rows > 0 {
		if err := w.endChunk(); err != nil {
			return err
		}
	}
	at := w.at
	index := appendIndex(nil, w.nodes)
	if err := w.checked(index); err != nil {
		return err
	}
	if err := w.checked(appendFixed(nil, uint64(at), uint64(len(index)))); err != nil {
		return err
	}
	if err := w.plain(append(binary.BigEndian.AppendUint32(nil, w.crc), endMagic...)); err != nil {
		return err
	}
	return w.w.Flush()
}
