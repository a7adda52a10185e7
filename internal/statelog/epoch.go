package statelog

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/commit/plant"
	"github.com/millrace/millrace/internal/keygroup"
)

// epoch is an epoch that is being written. Lanes collect rows in buffers of their own
// and append full ones to the one segment, so that a commit costs one sync.
type epoch struct {
	log   *Log
	frame epochFrames // as far as it is written
	lanes []laneWriter

	before uint32 // chain of the epoch before
	copied bool   // it was read, and is written a second time

	// mu is held while a buffer is written, also while that waits for room: the other
	// lanes can't write either, and the pieces of one write must not be parted.
	mu    sync.Mutex
	start int64  // where the epoch's frames begin in the segment
	rows  uint32 // sum over the sums of the chunks' heads
	err   error  // the first one
	over  bool
	doubt bool // its commit may be found, whatever came of it
}

// Begin opens an epoch. The first one of a log is whole, whether it says so or not.
func (l *Log) Begin(lanes int) commit.Epoch {
	if l.open != nil {
		panic("BUG: statelog: an epoch begins while another one is open")
	}
	number, chain := l.newest()
	e := &epoch{log: l, frame: epochFrames{number: number + 1}, lanes: make([]laneWriter, lanes), before: chain, err: l.brokenBy()}
	for i := range e.lanes {
		e.lanes[i] = laneWriter{epoch: e, lane: i, at: -1}
	}
	if l.seg != nil {
		e.start = l.seg.end
	}
	if number == 0 {
		e.Whole()
	}
	l.open = e
	return e
}

// Whole begins a file for the epoch, and for those behind it.
func (e *epoch) Whole() {
	e.frame.whole = true
	e.log.dropSegment()
}

// Relaned says that the rows of lanes in earlier epochs are gone.
func (e *epoch) Relaned() { e.frame.relaned = true }

// dropSegment makes the next epoch begin a new file. One that nothing is committed in
// goes, unless it is there to say so.
func (l *Log) dropSegment() {
	s := l.seg
	if s == nil {
		return
	}
	s.close()
	l.seg = nil
	if newest, _ := l.newest(); s.follows == newest && !s.revokes {
		l.remove(s.seq)
	}
}

// remove drops a file that no epoch is in.
func (l *Log) remove(seq uint64) {
	l.mu.Lock()
	if n, ok := slices.BinarySearch(l.present, seq); ok {
		l.present = slices.Delete(l.present, n, n+1)
	}
	l.mu.Unlock()
	l.removeFiles(seq)
}

// segment is where the epoch's frames go. The caller holds mu or is alone.
func (e *epoch) segment() *segment {
	if e.log.seg == nil {
		e.log.seg = e.log.newSegment(header{base: e.frame.whole, copied: e.copied, follows: e.frame.number - 1, chain: e.before})
		e.log.seg.temp = e.copied
		e.start = headerSize
	}
	return e.log.seg
}

func (e *epoch) Lane(lane int) commit.LaneWriter { return &e.lanes[lane] }

// take gives a lane what the sums of its frames begin with, and a buffer.
func (e *epoch) take() (seed uint32, buf []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.log.spare); n > 0 {
		buf, e.log.spare = e.log.spare[n-1], e.log.spare[:n-1]
	} else {
		buf = make([]byte, 0, 4<<10)
	}
	return e.segment().seed, buf
}

// append writes a lane's sealed chunks, what is lent among them, and waits for room if it
// must.
func (e *epoch) append(buf []byte, lent []loan, chunks []chunk, heads []uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return
	}
	s, from := e.segment(), 0
	for _, l := range append(lent, loan{to: len(buf)}) {
		for _, b := range [...][]byte{buf[from:l.to], l.val} {
			if len(b) == 0 {
				continue
			}
			if e.err = e.write(s, b); e.err != nil {
				return
			}
		}
		from = l.to
	}
	off := s.end
	for i := range chunks {
		off -= chunks[i].frameSize()
	}
	for i := range chunks {
		e.add(s, chunks[i], off, heads[i])
		off += chunks[i].frameSize()
	}
}

// add notes that a chunk lies in s at off.
func (e *epoch) add(s *segment, c chunk, off int64, head uint32) {
	c.seg, c.off = s, off
	e.rows = sum(e.rows, []byte{byte(head), byte(head >> 8), byte(head >> 16), byte(head >> 24)})
	e.frame.chunks = append(e.frame.chunks, c)
}

func (e *epoch) write(s *segment, buf []byte) error {
	return e.log.withRoom(func() (err error) {
		if s.file == nil {
			if err := s.create(e.log.fs); err != nil {
				return err
			}
		}
		buf, err = s.write(buf)
		return err
	})
}

// Discard gives the epoch up. What is written of it lies before the start of the next one.
func (e *epoch) Discard() {
	if e.over {
		return
	}
	if e.err != nil || e.frame.whole {
		e.log.dropSegment()
	}
	e.end()
}

func (e *epoch) end() {
	for i := range e.lanes {
		w := &e.lanes[i]
		if w.buf == nil || cap(w.buf) > 2*bufferMax && w.most < cap(w.buf)/4 {
			continue // memory of a large row that does not come again is let go
		}
		e.log.spare = append(e.log.spare, w.buf[:0])
	}
	e.over, e.log.open, e.lanes = true, nil, nil
}

// Commit writes what the lanes still hold and the record behind it, and syncs once.
// When that fails it begins another file, which says that the epoch was not committed:
// otherwise the record, should it have reached the disk, would be believed.
func (e *epoch) Commit(rec *commit.Record) error {
	if e.over {
		return fmt.Errorf("commit epoch %d: %w", e.frame.number, errOver)
	}
	for i := range e.lanes {
		e.lanes[i].flush()
	}
	defer e.end()
	if e.err != nil {
		e.log.dropSegment()
		return fmt.Errorf("write epoch %d: %w", e.frame.number, e.err)
	}
	rec.Epoch = e.frame.number
	if plant.Is(plant.BaseRemovedEarly) && e.frame.whole {
		for _, seq := range slices.Clone(e.log.present) {
			if e.log.seg == nil || seq < e.log.seg.seq {
				e.log.remove(seq)
			}
		}
	}
	if err := e.commit(commit.AppendRecord(nil, rec)); err != nil {
		err = fmt.Errorf("commit epoch %d: %w", rec.Epoch, err)
		if e.doubt && !plant.Is(plant.NotRevoked) {
			e.log.revoke(err)
		} else {
			e.log.dropSegment()
		}
		return err
	}
	e.log.seg.acknowledge(e.log.fs, rec.Epoch)
	e.log.committed(&e.frame, rec)
	return nil
}

var errOver = errors.New("the epoch is over")

// revoke makes sure that an epoch whose commit failed is not found by a recovery.
func (l *Log) revoke(cause error) {
	failed := l.seg
	if l.seg = nil; failed != nil {
		failed.close()
	}
	number, chain := l.newest()
	s := l.newSegment(header{revokes: true, follows: number, chain: chain})
	if err := l.withRoom(func() error { return s.create(l.fs) }); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.broken = fmt.Errorf("the log can't be written after an error (%w), and whether that epoch will be found committed is not known: %w", cause, err)
		return
	}
	l.seg = s
	if failed != nil && failed.follows == number && !failed.revokes {
		l.remove(failed.seq)
	}
}

func (e *epoch) commit(record []byte) error {
	var left []*segment
	for {
		s := e.segment()
		if err := e.writeCommit(s, record); err != nil {
			return err
		}
		if plant.Is(plant.AcknowledgedEarly) {
			s.acknowledge(e.log.fs, e.frame.number)
		}
		err := s.sync()
		if err == nil {
			e.removeEmpty(left)
		}
		if !isFull(err) {
			return err
		}
		left = append(left, s)
		// What a failed sync has lost is not known, and a second one need not tell. The
		// epoch goes into a new file as a whole.
		s.close()
		e.log.seg = nil
		if err := e.move(s, err); err != nil {
			return err
		}
	}
}

// removeEmpty drops the files that the epoch has left and that nothing else is in.
func (e *epoch) removeEmpty(left []*segment) {
	for _, s := range left {
		switch {
		case s.temp:
			_ = e.log.fs.Remove(s.name()) // Open will try again
		case s.follows == e.frame.number-1 && !s.revokes:
			e.log.remove(s.seq)
		}
	}
}

func (e *epoch) writeCommit(s *segment, record []byte) error {
	c := commitFrame{epoch: e.frame.number, start: e.start, chunks: len(e.frame.chunks), whole: e.frame.whole, relaned: e.frame.relaned, before: e.before, rows: e.rows, record: record}
	frame := c.encode(s.seed)
	err := e.write(s, frame)
	e.doubt = e.doubt || !isFull(err) // then the end of it was not written
	if err != nil {
		return err
	}
	e.frame.seg, e.frame.chain, e.frame.bytes = s, c.chain, s.end-e.start
	e.frame.record = span{s.end - int64(len(record)), len(record)}
	return nil
}

// move writes the epoch's chunks to a new segment, from what from still says they are.
// full is why, if the disk is.
func (e *epoch) move(from *segment, full error) error {
	l := e.log
	r, err := l.fs.Open(from.name())
	if err != nil {
		return err
	}
	defer r.Close()
	chunks := e.frame.chunks
	e.frame.chunks, e.rows = nil, 0
	to := e.segment()
	err = l.withRoom(func() error { // the first failure has been, the rest is for append
		if full != nil {
			err := full
			full = nil
			return err
		}
		return to.create(l.fs)
	})
	for i := 0; i < len(chunks) && err == nil; i++ {
		err = e.moveChunk(r, from, to, &chunks[i])
	}
	return err
}

func (e *epoch) moveChunk(r ReadFile, from, to *segment, c *chunk) error {
	b := make([]byte, c.frameSize())
	if _, err := r.ReadAt(b, c.off); err != nil {
		return fmt.Errorf("read %s again: %w", from.name(), err)
	}
	if sum(from.seed, b[chunkHead+len(c.node):]) != c.sum {
		return fmt.Errorf("read %s again at byte %d: its rows do not have their checksum", from.name(), c.off)
	}
	moved := *c
	head := moved.seal(b, nil, to.seed)
	if err := e.write(to, b); err != nil {
		return err
	}
	e.add(to, moved, to.end-int64(len(b)), head)
	return nil
}

// laneWriter is where one lane writes. Its buffer holds sealed chunks, and behind them
// one that is open.
type laneWriter struct {
	epoch  *epoch
	lane   int
	node   string
	buf    []byte
	most   int // bytes that were in it
	at     int // where the frame of the open chunk begins; -1: none is open
	open   chunk
	seed   uint32
	chunks []chunk
	heads  []uint32
	lent   []loan // in order
	index  int
	err    error
}

// loan is a value that nobody changes meanwhile: the end of a chunk that has the rest of
// its frame in the buffer.
type loan struct {
	chunk    int // number among those of the buffer
	from, to int // of the rest
	val      []byte
}

const (
	// bufferMax is how many bytes a lane collects before it writes them.
	bufferMax = 1 << 20
	// loanMin is how large a value is that is written from where it is.
	loanMin = 256 << 10
)

func (w *laneWriter) Node(name string) {
	if name == w.node {
		return
	}
	w.seal()
	w.node = name
	if len(name) > nameMax {
		w.fail(fmt.Errorf("the name of a node has %d bytes, and %d are the most", len(name), nameMax))
	}
}

func (w *laneWriter) Put(group int, key, val []byte)    { w.add(kindPut, group, key, val) }
func (w *laneWriter) Append(group int, key, val []byte) { w.add(kindAppend, group, key, val) }
func (w *laneWriter) Delete(group int, key []byte)      { w.add(kindDelete, group, key, nil) }

// Lend implements graph.Lender. What takes time is left to Commit.
func (w *laneWriter) Lend(group int, key, val []byte) {
	if len(val) < loanMin {
		w.Put(group, key, val)
		return
	}
	w.seal()
	if !w.room(kindPut, group, len(key), len(val)) {
		return
	}
	w.buf = appendRowHead(w.buf, kindPut, group, key, len(val))
	w.lent = append(w.lent, loan{len(w.chunks), w.at, len(w.buf), val})
	w.seal()
}

func (w *laneWriter) fail(err error) {
	e := w.epoch
	e.mu.Lock()
	defer e.mu.Unlock()
	if w.err = err; e.err == nil {
		e.err = err
	}
}

func (w *laneWriter) add(kind byte, group int, key, val []byte) {
	if w.room(kind, group, len(key)+len(val), 0) {
		w.buf = appendRow(w.buf, kind, group, key, val)
	}
}

// room counts a row of size bytes, beside those that are lent, into the open chunk or a
// new one; false if it can't be.
func (w *laneWriter) room(kind byte, group, size, lent int) bool {
	if w.err != nil {
		return false
	}
	size += 1 + 2 + 5 + 5
	if w.at >= 0 && len(w.buf)-w.at-chunkHead-len(w.node)+size > chunkMax {
		w.seal()
	}
	if w.at < 0 {
		if len(w.buf)+size > bufferMax {
			w.write()
		}
		w.begin()
	}
	size += lent
	switch c := &w.open; {
	case group >= 0 && group < keygroup.N && size <= rowMax:
		c.min, c.max = min(c.min, group), max(c.max, group)
		c.flags |= hasKeys
	case group == commit.LaneBound && size <= rowMax:
		c.flags |= hasLane
	case group == commit.EveryLane && size <= rowMax:
		c.flags |= hasEvery
	default:
		w.fail(fmt.Errorf("node %q writes a row of %d bytes and group %d, which can't be", w.node, size, group))
		return false
	}
	if kind != kindPut {
		w.open.flags |= hasChanges
	}
	w.open.count++
	return true
}

// begin opens a chunk.
func (w *laneWriter) begin() {
	if w.buf == nil {
		w.seed, w.buf = w.epoch.take()
	}
	w.at = len(w.buf)
	w.open = chunk{epoch: w.epoch.frame.number, lane: w.lane, index: w.index, node: w.node, min: keygroup.N - 1}
	w.index++
	var head [chunkHead]byte
	w.buf = append(append(w.buf, head[:]...), w.node...)
}

// seal ends the open chunk.
func (w *laneWriter) seal() {
	if w.at < 0 {
		return
	}
	if w.open.flags&hasKeys == 0 {
		w.open.min = 0
	}
	head := uint32(0)
	if n := len(w.lent); n == 0 || w.lent[n-1].from < w.at { // write seals what is lent
		head = w.open.seal(w.buf[w.at:], nil, w.seed)
	}
	w.heads = append(w.heads, head)
	w.chunks = append(w.chunks, w.open)
	w.at = -1
}

// write hands the sealed chunks on.
func (w *laneWriter) write() {
	if len(w.buf) == 0 {
		return
	}
	for _, l := range w.lent {
		w.heads[l.chunk] = w.chunks[l.chunk].seal(w.buf[l.from:l.to], l.val, w.seed)
	}
	w.epoch.append(w.buf, w.lent, w.chunks, w.heads)
	clear(w.lent)
	w.chunks, w.heads, w.lent = w.chunks[:0], w.heads[:0], w.lent[:0]
	w.most, w.buf = max(w.most, len(w.buf)), w.buf[:0]
}

func (w *laneWriter) flush() {
	w.seal()
	w.write()
}
