package statelog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/millrace/millrace/internal/commit/plant"
)

// scanned is what a segment holds.
type scanned struct {
	seg    *segment
	epochs []*epochFrames // those that are whole, up to the first that is not
	wrong  string         // why the rest is not used; "" if there is none
	at     int64          // where that is
	size   int64          // of the file
	seen   uint64         // the newest epoch of which there is a commit, used or not
	begun  uint64         // the newest epoch of which there are rows
}

// scan reads a segment behind its header, and checks all of it.
type scan struct {
	scanned
	win    window
	names  map[string]string // nodes, so that each is there once
	epoch  uint64            // the number that the next one must have
	before uint32            // chain of the one before
	chunks []chunk           // behind the last commit
	heads  []uint32
	bad    []badChunk
}

// badChunk is a chunk whose rows are not what they were.
type badChunk struct {
	off  int64
	what string
}

func scanSegment(r ReadFile, seg *segment, names map[string]string) (scanned, error) {
	s := scan{scanned: scanned{seg: seg, size: r.Size()}, win: window{r: r, size: r.Size()}, names: names, epoch: seg.follows + 1, before: seg.chain}
	off := int64(headerSize)
	for off < s.size {
		next, wrong, err := s.frame(off)
		if err != nil {
			return s.scanned, fmt.Errorf("read %s at byte %d: %w", seg.name(), off, err)
		}
		if wrong != "" {
			s.stop(off, wrong)
			err := s.search(off)
			return s.scanned, err
		}
		off = next
	}
	if len(s.chunks) > 0 {
		s.stop(s.size, "an epoch has no commit")
	}
	return s.scanned, nil
}

// past is the newest epoch that was synced for sure: the one after it was begun.
func (s *scanned) past() uint64 {
	if next := max(s.seen, s.begun); next > 0 {
		return next - 1
	}
	return 0
}

// fault says in words why something that should be there is not used.
func (s *scanned) fault() string {
	if s.wrong == "" {
		return fmt.Sprintf("%s at byte %d: it ends too soon", s.seg.name(), s.size)
	}
	return fmt.Sprintf("%s at byte %d: %s", s.seg.name(), s.at, s.wrong)
}

// stop notes the first thing that is wrong: nothing behind it is used.
func (s *scan) stop(off int64, wrong string) {
	if s.wrong == "" {
		s.wrong, s.at = wrong, off
	}
}

// frame reads the frame at off and returns where the next one is. When it says what
// is wrong, that is not known.
func (s *scan) frame(off int64) (next int64, wrong string, err error) {
	left := s.size - off
	b, err := s.win.bytes(off, int(min(left, commitHead)))
	if err != nil {
		return 0, "", err
	}
	switch {
	case len(b) >= chunkHead && binary.LittleEndian.Uint32(b) == chunkMagic:
		return s.chunk(off, left, int(binary.LittleEndian.Uint16(b[32:])))
	case len(b) >= commitHead && binary.LittleEndian.Uint32(b) == commitMagic:
		return s.commit(off, left, b)
	}
	return 0, "there is neither a chunk of rows nor a commit", nil
}

func (s *scan) chunk(off, left int64, name int) (int64, string, error) {
	b, err := s.win.bytes(off, int(min(left, int64(chunkHead+name))))
	if err != nil {
		return 0, "", err
	}
	c, head, wrong := decodeChunk(b, left, s.seg.seed)
	if wrong != "" {
		return 0, wrong, nil
	}
	if known, ok := s.names[c.node]; ok {
		c.node = known
	} else {
		s.names[c.node] = c.node
	}
	c.seg, c.off = s.seg, off
	s.begun = max(s.begun, c.epoch)
	rows, err := s.win.sum(off+int64(chunkHead+len(c.node)), int64(c.size), s.seg.seed)
	if err != nil {
		return 0, "", err
	}
	if rows != c.sum && !plant.Is(plant.NoChecksum) {
		s.bad = append(s.bad, badChunk{off, fmt.Sprintf("the rows of %q on lane %d in epoch %d do not have their checksum", c.node, c.lane, c.epoch)})
	}
	s.chunks, s.heads = append(s.chunks, c), append(s.heads, head)
	return off + c.frameSize(), "", nil
}

func (s *scan) commit(off, left int64, b []byte) (int64, string, error) {
	c, size, recordSum, wrong := decodeCommit(b, left, s.seg.seed)
	if wrong != "" {
		return 0, wrong, nil
	}
	got, err := s.win.sum(off+commitHead, int64(size), s.seg.seed)
	if err != nil {
		return 0, "", err
	}
	s.seen = max(s.seen, c.epoch)
	end := off + commitHead + int64(size)
	if at, wrong := s.judge(&c, off, got == recordSum); wrong != "" {
		s.stop(at, wrong)
		if n := len(s.epochs); plant.Is(plant.FallbackMixes) && n > 0 {
			s.epochs[n-1].chunks = append(s.epochs[n-1].chunks, s.chunks...)
		}
	}
	if s.wrong == "" {
		chunks := slices.Clone(s.chunks[len(s.chunks)-c.chunks:])
		s.epochs = append(s.epochs, &epochFrames{s.seg, c.epoch, c.whole, c.relaned, c.chain, end - c.start, chunks, span{off + commitHead, size}})
		s.epoch, s.before = c.epoch+1, c.chain
	}
	s.chunks, s.heads, s.bad = s.chunks[:0], s.heads[:0], s.bad[:0]
	return end, "", nil
}

// judge says what is wrong with the epoch that c at off ends, and where.
func (s *scan) judge(c *commitFrame, off int64, recordOK bool) (int64, string) {
	for _, b := range s.bad {
		if b.off >= c.start { // what lies before is of an epoch that was given up
			return b.off, b.what
		}
	}
	first, _ := slices.BinarySearchFunc(s.chunks, c.start, func(c chunk, start int64) int { return int(c.off - start) })
	heads := uint32(0)
	for i := first; i < len(s.chunks); i++ {
		if s.chunks[i].epoch != c.epoch {
			return s.chunks[i].off, fmt.Sprintf("a chunk of epoch %d lies in epoch %d", s.chunks[i].epoch, c.epoch)
		}
		heads = sum(heads, binary.LittleEndian.AppendUint32(nil, s.heads[i]))
	}
	switch {
	case !recordOK:
		return off, fmt.Sprintf("the record of epoch %d does not have its checksum", c.epoch)
	case c.epoch != s.epoch || c.before != s.before:
		return off, fmt.Sprintf("epoch %d does not follow the one before it", c.epoch)
	case len(s.chunks)-first != c.chunks || heads != c.rows:
		return off, fmt.Sprintf("chunks of epoch %d are missing", c.epoch)
	case c.whole != (s.seg.base && c.epoch == s.seg.follows+1):
		return off, fmt.Sprintf("epoch %d is not what its file is for", c.epoch)
	}
	return 0, ""
}

// search looks for commits behind something that is damaged, where it is not known
// where frames begin: they tell damage from a crash before a commit.
func (s *scan) search(off int64) error {
	magic := binary.LittleEndian.AppendUint32(nil, commitMagic)
	for off+commitHead <= s.size {
		b, err := s.win.bytes(off, int(min(windowSize, s.size-off)))
		if err != nil {
			return fmt.Errorf("read %s at byte %d: %w", s.seg.name(), off, err)
		}
		n := bytes.Index(b, magic)
		switch {
		case n < 0:
			off += int64(len(b) - len(magic) + 1)
			continue
		case n+commitHead > len(b) && n > 0:
			off += int64(n)
			continue
		case n+commitHead <= len(b):
			if c, _, _, wrong := decodeCommit(b[n:], s.size-off-int64(n), s.seg.seed); wrong == "" {
				s.seen = max(s.seen, c.epoch)
			}
		}
		off += int64(n + 1)
	}
	return nil
}

// window reads a file from front to back in large pieces.
type window struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	off  int64 // of buf
}

const windowSize = 1 << 20

// bytes returns n bytes at off, which the file has; they are valid until the next call.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	if off < w.off || off+int64(n) > w.off+int64(len(w.buf)) {
		if off+int64(n) > w.size {
			return nil, io.ErrUnexpectedEOF
		}
		want := int(min(max(int64(n), windowSize), w.size-off))
		if cap(w.buf) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.off = w.buf[:want], off
		if m, err := w.r.ReadAt(w.buf, off); m < want {
			w.buf = w.buf[:0]
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	at := int(off - w.off)
	return w.buf[at : at+n : at+n], nil
}

// sum is the sum of n bytes at off.
func (w *window) sum(off, n int64, seed uint32) (uint32, error) {
	for n > 0 {
		b, err := w.bytes(off, int(min(n, windowSize)))
		if err != nil {
			return 0, err
		}
		seed = sum(seed, b)
		off, n = off+int64(len(b)), n-int64(len(b))
	}
	return seed, nil
}
