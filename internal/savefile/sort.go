package savefile

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"slices"

	"github.com/millrace/millrace/internal/commit"
)

// sorter puts rows in the order of a savepoint, with at most about budget bytes in
// memory, whatever their number: what is more lies in sorted runs in one file that
// has no name, and goes when it is closed.
type sorter struct {
	dir    string
	budget int

	nodes []string          // by their numbers, in the order in which they came
	ids   map[string]uint32 // numbers of nodes
	arena []byte            // keys and values of rows
	rows  []entry
	spill *os.File
	runs  []section
	size  int64 // of spill
}

// entry is a row whose key and value are in the arena.
type entry struct {
	node     uint32
	group    int32
	lane     int32
	key, val int // their lengths
	at       int
}

type section struct{ from, to int64 }

const entrySize = 48 // bytes, about

func newSorter(dir string, budget int) *sorter {
	return &sorter{dir: dir, budget: budget, ids: map[string]uint32{}}
}

func (s *sorter) close() error {
	if s.spill == nil {
		return nil
	}
	err := s.spill.Close()
	os.Remove(s.spill.Name()) // where an open file could not be removed
	return err
}

// add takes a copy of r.
func (s *sorter) add(r *commit.Row) error {
	if !fits(r) {
		return fmt.Errorf("a row of %q in group %d, lane %d: there is no such group", r.Node, r.Group, r.Lane)
	}
	if len(r.Key)+len(r.Val) > rowMax {
		return fmt.Errorf("a row of %q has %d bytes: there may be at most %d", r.Node, len(r.Key)+len(r.Val), rowMax)
	}
	if len(s.rows) > 0 && len(s.arena)+len(r.Key)+len(r.Val)+len(s.rows)*entrySize > s.budget {
		if err := s.writeRun(); err != nil {
			return err
		}
	}
	id, ok := s.ids[r.Node]
	if !ok {
		id = uint32(len(s.nodes))
		s.nodes = append(s.nodes, r.Node)
		s.ids[r.Node] = id
	}
	p := placeOf(r)
	s.rows = append(s.rows, entry{id, int32(p.group), int32(p.lane), len(r.Key), len(r.Val), len(s.arena)})
	s.arena = append(append(s.arena, r.Key...), r.Val...)
	return nil
}

// sortedRow is a row on its way out of a sorter, good until the next one.
type sortedRow struct {
	node uint32
	place
	val []byte
}

func (s *sorter) compare(a, b *sortedRow) int {
	if a.node != b.node {
		return cmp.Compare(s.nodes[a.node], s.nodes[b.node])
	}
	return a.place.compare(b.place)
}

func (s *sorter) row(e *entry) sortedRow {
	k := e.at + e.key
	return sortedRow{e.node, place{int(e.group), int(e.lane), s.arena[e.at:k]}, s.arena[k : k+e.val]}
}

func (s *sorter) sortRows() {
	slices.SortFunc(s.rows, func(a, b entry) int {
		ra, rb := s.row(&a), s.row(&b)
		return s.compare(&ra, &rb)
	})
}

// writeRun sorts what is in memory and moves it to the file.
func (s *sorter) writeRun() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("sort the rows in %s: %w", s.dir, err)
		}
	}()
	if s.spill == nil {
		if s.spill, err = os.CreateTemp(s.dir, ".savepoint-*.sort"); err != nil {
			return err
		}
		os.Remove(s.spill.Name())
	}
	s.sortRows()
	sum := crc32.New(castagnoli)
	w := bufio.NewWriterSize(s.spill, 1<<16)
	var b []byte
	n := int64(0)
	put := func() error {
		sum.Write(b)
		n += int64(len(b))
		_, err := w.Write(b)
		return err
	}
	for i := range s.rows {
		r := s.row(&s.rows[i])
		b = appendUint(b[:0], uint64(r.node)+1)
		b = appendPlace(b, r.place)
		b = appendBlock(b, r.val)
		if err := put(); err != nil {
			return err
		}
	}
	b = appendUint(b[:0], 0)
	if err := put(); err != nil {
		return err
	}
	b = binary.BigEndian.AppendUint32(b[:0], sum.Sum32())
	if err := put(); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	s.runs = append(s.runs, section{s.size, s.size + n})
	s.size += n
	s.rows, s.arena = s.rows[:0], s.arena[:0]
	return nil
}

// each calls f with all rows in order. The slices are valid during the call only.
func (s *sorter) each(f func(node string, p place, val []byte) error) error {
	var last sortedRow
	some := false
	check := func(r *sortedRow) error {
		if some && s.compare(&last, r) == 0 {
			return fmt.Errorf("two rows of %q, group %d, lane %d, have one key, %x: this is a defect of the store", s.nodes[r.node], r.group, r.lane, r.key)
		}
		some = true
		last.node, last.group, last.lane, last.key = r.node, r.group, r.lane, append(last.key[:0], r.key...)
		return f(s.nodes[r.node], r.place, r.val)
	}
	if s.spill == nil {
		s.sortRows()
		for i := range s.rows {
			r := s.row(&s.rows[i])
			if err := check(&r); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.writeRun(); err != nil {
		return err
	}
	s.rows, s.arena = nil, nil
	return s.merge(check)
}

// runReader is the row at the front of a run.
type runReader struct {
	b   *bufio.Reader
	sum hash.Hash32
	row sortedRow
	buf bytes.Buffer // of row
}

// merged is a heap of runs, by their rows.
type merged struct {
	s    *sorter
	runs []*runReader
}

func (m *merged) Len() int           { return len(m.runs) }
func (m *merged) Less(i, j int) bool { return m.s.compare(&m.runs[i].row, &m.runs[j].row) < 0 }
func (m *merged) Swap(i, j int)      { m.runs[i], m.runs[j] = m.runs[j], m.runs[i] }
func (m *merged) Push(x any)         { m.runs = append(m.runs, x.(*runReader)) }

func (m *merged) Pop() any {
	last := m.runs[len(m.runs)-1]
	m.runs = m.runs[:len(m.runs)-1]
	return last
}

func (s *sorter) merge(f func(*sortedRow) error) error {
	m := &merged{s: s}
	size := min(max(s.budget/len(s.runs), 4<<10), 256<<10)
	for _, run := range s.runs {
		r := &runReader{b: bufio.NewReaderSize(io.NewSectionReader(s.spill, run.from, run.to-run.from), size), sum: crc32.New(castagnoli)}
		if more, err := r.next(len(s.nodes)); err != nil {
			return fmt.Errorf("read sorted rows back: %w", err)
		} else if more {
			m.runs = append(m.runs, r)
		}
	}
	heap.Init(m)
	for len(m.runs) > 0 {
		r := m.runs[0]
		if err := f(&r.row); err != nil {
			return err
		}
		more, err := r.next(len(s.nodes))
		switch {
		case err != nil:
			return fmt.Errorf("read sorted rows back: %w", err)
		case more:
			heap.Fix(m, 0)
		default:
			heap.Pop(m)
		}
	}
	return nil
}

var errRun = errors.New("what was written is not what is read")

// next reads the next row of the run, unless it has ended.
func (r *runReader) next(nodes int) (bool, error) {
	id, err := r.uint()
	if err != nil {
		return false, err
	}
	if id == 0 {
		var b [4]byte
		if _, err := io.ReadFull(r.b, b[:]); err != nil {
			return false, err
		}
		if binary.BigEndian.Uint32(b[:]) != r.sum.Sum32() {
			return false, errRun
		}
		return false, nil
	}
	if id > uint64(nodes) {
		return false, errRun
	}
	r.row = sortedRow{node: uint32(id - 1)}
	group, err := r.uint()
	if err != nil {
		return false, err
	}
	r.row.group = int(group) + firstGroup
	if r.row.group < 0 {
		lane, err := r.uint()
		if err != nil {
			return false, err
		}
		r.row.lane = int(lane)
	}
	r.buf.Reset()
	key, err := r.block()
	if err != nil {
		return false, err
	}
	if _, err := r.block(); err != nil {
		return false, err
	}
	all := r.buf.Bytes()
	r.row.key, r.row.val = all[:key], all[key:]
	return true, nil
}

func (r *runReader) uint() (uint64, error) {
	v, err := binary.ReadUvarint(r.b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	var b [binary.MaxVarintLen64]byte
	r.sum.Write(binary.AppendUvarint(b[:0], v))
	return v, err
}

// block appends a block to buf, and returns its length. It takes memory only for
// what there is.
func (r *runReader) block() (int, error) {
	n, err := r.uint()
	if err != nil {
		return 0, err
	}
	if n > rowMax {
		return 0, errRun
	}
	from := r.buf.Len()
	if _, err := io.CopyN(&r.buf, r.b, int64(n)); err != nil {
		return 0, err
	}
	r.sum.Write(r.buf.Bytes()[from:])
	return int(n), nil
}
