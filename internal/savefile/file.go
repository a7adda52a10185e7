package savefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"github.com/millrace/millrace/internal/commit"
)

// File is a savepoint that is open. It is a commit.Pages to which nothing can be
// committed; all of its methods but Close may be called by several goroutines at once.
type File struct {
	f     io.ReaderAt
	close func() error
	path  string
	facts Facts
	rec   *commit.Record
	nodes []node
	unzip *zstd.Decoder
	warm  atomic.Pointer[warm] // the chunk that Get read last
}

// warm is a chunk's rows. They are not changed.
type warm struct {
	c   *chunk
	raw []byte
}

// ErrNot is what opening a file fails with that is no savepoint at all.
var ErrNot = errors.New("not a savepoint")

// Open opens the savepoint at path. It reads and checks everything but the rows,
// which are checked as they are read; [File.Check] reads them all. An error is
// [ErrNot], [ErrDamaged], commit.ErrNewer, or the disk's.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := open(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("savepoint %s: %w", path, err)
	}
	s.path = path
	return s, nil
}

func open(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, ErrNot
	}
	s, err := openAt(f, info.Size())
	if err == nil {
		s.close = f.Close
	}
	return s, err
}

// openAt opens the size bytes of r.
func openAt(r io.ReaderAt, size int64) (*File, error) {
	s := &File{f: r, close: func() error { return nil }}
	head := make([]byte, min(size, int64(headSize)))
	if err := s.read(head, 0); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return nil, ErrNot
	}
	if size < int64(headSize+footerSize) {
		return nil, fmt.Errorf("%w: it has %d bytes, less than any has", ErrDamaged, size)
	}
	foot := make([]byte, footerSize)
	if err := s.read(foot, size-int64(footerSize)); err != nil {
		return nil, err
	}
	// The version is looked at first: another one may have another footer.
	if v := binary.BigEndian.Uint32(head[len(magic):]); v != version {
		if v > version && v < 1<<16 {
			return nil, fmt.Errorf("version %d: %w", v, commit.ErrNewer)
		}
		return nil, fmt.Errorf("%w: there is no version %d", ErrDamaged, v)
	}
	if string(foot[footerSize-len(endMagic):]) != endMagic {
		return nil, fmt.Errorf("%w: its end is missing", ErrDamaged)
	}
	return s, s.readFrame(head, foot, size)
}

// readFrame reads all but the chunks.
func (s *File) readFrame(head, foot []byte, size int64) error {
	facts, rec := binary.BigEndian.Uint64(head[len(magic)+4:]), binary.BigEndian.Uint64(head[len(magic)+12:])
	at, n := binary.BigEndian.Uint64(foot), binary.BigEndian.Uint64(foot[8:])
	room := uint64(size) - uint64(headSize+footerSize) // for facts, record, chunks, index
	if facts > room || rec > room-facts || n > room-facts-rec || at != uint64(size)-uint64(footerSize)-n {
		return fmt.Errorf("%w: its lengths can't be", ErrDamaged)
	}
	front := make([]byte, facts+rec)
	index := make([]byte, n)
	if err := s.read(front, int64(headSize)); err != nil {
		return err
	}
	if err := s.read(index, int64(at)); err != nil {
		return err
	}
	crc := uint32(0)
	for _, b := range [...][]byte{head, front, index, foot[:16]} {
		crc = crc32.Update(crc, castagnoli, b)
	}
	if crc != binary.BigEndian.Uint32(foot[16:]) {
		return fmt.Errorf("%w: the checksum of its frame does not hold", ErrDamaged)
	}
	var err error
	if s.facts, err = decodeFacts(front[:facts]); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if s.rec, err = commit.DecodeRecord(front[facts:]); errors.Is(err, commit.ErrNewer) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if s.nodes, err = decodeIndex(index, int64(headSize)+int64(facts+rec), int64(at)); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	s.unzip, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(smallChunk))
	return err
}

func (s *File) read(b []byte, at int64) error {
	if n, err := s.f.ReadAt(b, at); n < len(b) {
		if err == io.EOF {
			return fmt.Errorf("%w: it ends too soon", ErrDamaged)
		}
		return err
	}
	return nil
}

// Path is where the file was opened.
func (s *File) Path() string { return s.path }

// Facts is how the savepoint came about.
func (s *File) Facts() Facts { return s.facts }

// Last implements commit.Store: the record of the savepoint.
func (s *File) Last() *commit.Record { return s.rec }

// WantsWhole implements commit.Store.
func (s *File) WantsWhole() bool { return false }

// Close implements commit.Store.
func (s *File) Close() error {
	s.unzip.Close()
	return s.close()
}

// Size is how many rows a node has, and how many bytes their keys and values.
type Size struct{ Rows, Bytes int64 }

// Size is that of the rows of a node, without reading them.
func (s *File) Size(name string) Size {
	if n := find(s.nodes, name); n != nil {
		return Size{n.rows, n.bytes}
	}
	return Size{}
}

// Nodes are those that have rows, sorted.
func (s *File) Nodes() []string {
	var names []string
	for i := range s.nodes {
		names = append(names, s.nodes[i].name)
	}
	return names
}

// Check reads all rows, and fails where one is not what was written.
func (s *File) Check() error {
	return s.Rows(commit.Want{}, func(commit.Row) error { return nil })
}

// Rows implements commit.Store. They come in the order of the file: by node, group,
// lane, key. Chunks without wanted rows are not read.
func (s *File) Rows(want commit.Want, f func(commit.Row) error) error {
	var b buffers
	for i := range s.nodes {
		n := &s.nodes[i]
		if want.Node != nil && !want.Node(n.name) {
			continue
		}
		for j := range n.chunks {
			if !n.wanted(j, &want) {
				continue
			}
			err := s.chunk(n, j, &b, func(p place, val []byte) error {
				if !want.Wants(n.name, p.lane, p.group) {
					return nil
				}
				return f(rowOf(n.name, p, val))
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func rowOf(name string, p place, val []byte) commit.Row {
	r := commit.Row{Node: name, Lane: p.lane, Group: p.group, Key: p.key, Val: val}
	if p.group >= 0 {
		r.Lane = -1
	}
	return r
}

// errStop ends a walk that has found what it looked for.
var errStop = errors.New("enough")

// Get implements commit.Pages. It reads and decodes one chunk, unless the row is in the
// chunk of the Get before.
func (s *File) Get(name string, group int, key, buf []byte) (val []byte, ok bool, err error) {
	n := find(s.nodes, name)
	if n == nil || len(n.chunks) == 0 {
		return buf, false, nil
	}
	p := place{group, 0, key}
	c := &n.chunks[n.from(p)]
	w := s.warm.Load()
	if w == nil || w.c != c {
		var b buffers
		if err := s.load(n, c, &b); err != nil {
			return buf, false, err
		}
		w = &warm{c, b.raw}
		s.warm.Store(w)
	}
	err = s.walk(n, c, w.raw, func(at place, v []byte) error {
		switch cmp := at.compare(p); {
		case cmp < 0:
			return nil
		case cmp == 0:
			buf, ok = append(buf, v...), true
		}
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return buf, ok, err
}

// Scan implements commit.Pages.
func (s *File) Scan(name string, group int, prefix []byte, f func(key, val []byte) error) error {
	return s.scan(name, place{group, 0, prefix}, func(at place, v []byte) error {
		if at.group != group || !bytes.HasPrefix(at.key, prefix) {
			return errStop
		}
		return f(at.key, v)
	})
}

// scan calls f with the rows of a node from p on, until f fails; errStop is no failure.
func (s *File) scan(name string, p place, f func(place, []byte) error) error {
	n := find(s.nodes, name)
	if n == nil {
		return nil
	}
	var b buffers
	for i := n.from(p); i < len(n.chunks); i++ {
		err := s.chunk(n, i, &b, func(at place, v []byte) error {
			if at.compare(p) < 0 {
				return nil
			}
			return f(at, v)
		})
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// buffers are reused from chunk to chunk.
type buffers struct{ stored, raw []byte }

// chunk calls f with the rows of chunk i of n.
func (s *File) chunk(n *node, i int, b *buffers, f func(place, []byte) error) error {
	c := &n.chunks[i]
	if err := s.load(n, c, b); err != nil {
		return err
	}
	return s.walk(n, c, b.raw, f)
}

func (s *File) damaged(n *node, c *chunk, why string) error {
	return fmt.Errorf("savepoint %s: %w: rows of %q at byte %d: %s", s.path, ErrDamaged, n.name, c.at, why)
}

// load reads the rows of a chunk into b.
func (s *File) load(n *node, c *chunk, b *buffers) error {
	b.stored = slices.Grow(b.stored[:0], c.stored)[:c.stored]
	if err := s.read(b.stored, c.at); err != nil {
		return fmt.Errorf("savepoint %s: rows of %q: %w", s.path, n.name, err)
	}
	if crc32.Checksum(b.stored, castagnoli) != c.crc {
		return s.damaged(n, c, "the checksum does not hold")
	}
	if err := s.decompress(c, b); err != nil {
		return s.damaged(n, c, err.Error())
	}
	return nil
}

// walk calls f with the rows in raw.
func (s *File) walk(n *node, c *chunk, raw []byte, f func(place, []byte) error) error {
	d := reader{b: raw}
	for range c.rows {
		p, val := d.place(), d.block()
		if d.err != nil {
			return s.damaged(n, c, d.err.Error())
		}
		if err := f(p, val); err != nil {
			return err
		}
	}
	if err := d.end(); err != nil {
		return s.damaged(n, c, err.Error())
	}
	return nil
}

// decompress takes memory for what there is, not for what a length says.
func (s *File) decompress(c *chunk, b *buffers) (err error) {
	if c.raw < smallChunk {
		b.raw, err = s.unzip.DecodeAll(b.stored, b.raw[:0])
	} else {
		b.raw, err = decompressLarge(b.stored, c.raw)
	}
	if err == nil && len(b.raw) != c.raw {
		err = fmt.Errorf("%d bytes instead of %d", len(b.raw), c.raw)
	}
	return err
}

func decompressLarge(stored []byte, raw int) ([]byte, error) {
	zr, err := zstd.NewReader(bytes.NewReader(stored), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(2*rowMax))
	if err != nil {
		return nil, err
	}
	defer zr.Close()
	return io.ReadAll(io.LimitReader(zr, int64(raw)+1))
}

// Begin implements commit.Store: the epoch can be written, but not committed.
func (s *File) Begin(lanes int) commit.Epoch { return refusal{s.path} }

// refusal is an epoch that comes to nothing.
type refusal struct{ path string }

func (refusal) Whole()                       {}
func (refusal) Relaned()                     {}
func (e refusal) Lane(int) commit.LaneWriter { return e }
func (refusal) Discard()                     {}
func (refusal) Node(string)                  {}
func (refusal) Put(int, []byte, []byte)      {}
func (refusal) Append(int, []byte, []byte)   {}
func (refusal) Delete(int, []byte)           {}

func (e refusal) Commit(*commit.Record) error {
	return fmt.Errorf("savepoint %s: a savepoint never changes; start a job from it, with a state folder of its own", e.path)
}
