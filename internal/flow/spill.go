package flow

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/window"
)

// spillRow is the head of one key's values in a run:
//
//	| start varint | end varint | hash u64 | key len uvarint, key | values uvarint | bytes uvarint | segments … |
//
// and a segment is | values uvarint | len uvarint | len bytes |. Rows are sorted
// by window, hash, key.
type spillRow struct {
	win   window.Interval
	hash  uint64
	key   []byte
	n     int   // values
	bytes int64 // of all segments, with their heads
}

// before orders rows as runs are sorted.
func (r *spillRow) compare(o *spillRow) int {
	if d := compareWindows(r.win, o.win); d != 0 {
		return d
	}
	switch {
	case r.hash < o.hash:
		return -1
	case r.hash > o.hash:
		return 1
	}
	return bytes.Compare(r.key, o.key)
}

// run is a sorted file of groups, read once from its start to its end.
type run struct {
	f    *os.File
	r    *bufio.Reader
	at   int64    // offset of r
	row  spillRow // the row at hand
	body int64    // offset of its segments
	done bool
}

// runWriter writes a run. Errors stick and come back from finish.
type runWriter struct {
	f   *os.File
	w   *bufio.Writer
	buf []byte
}

func newRunWriter(dir string) (*runWriter, error) {
	f, err := os.CreateTemp(dir, "group-*.run")
	if err != nil {
		return nil, fmt.Errorf("spill a grouping: %w (is the temporary directory writable and not full?)", err)
	}
	return &runWriter{f: f, w: bufio.NewWriterSize(f, 1<<18)}, nil
}

func (w *runWriter) row(r *spillRow) {
	b := appendWindow(w.buf[:0], r.win)
	b = binary.LittleEndian.AppendUint64(b, r.hash)
	b = appendBytes(b, r.key)
	b = binary.AppendUvarint(b, uint64(r.n))
	b = binary.AppendUvarint(b, uint64(r.bytes))
	w.buf = b
	w.w.Write(b)
}

func (w *runWriter) segment(values []byte, n int) {
	w.buf = appendSegmentHead(w.buf[:0], values, n)
	w.w.Write(w.buf)
	w.w.Write(values)
}

func appendSegmentHead(b, values []byte, n int) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(n)), uint64(len(values)))
}

// segmentSize is how many bytes a segment takes in a run.
func segmentSize(values []byte, n int) int64 {
	var b [2 * binary.MaxVarintLen64]byte
	return int64(len(appendSegmentHead(b[:0], values, n)) + len(values))
}

// finish turns what was written into a run to read.
func (w *runWriter) finish() (*run, error) {
	if err := w.w.Flush(); err != nil {
		w.f.Close()
		os.Remove(w.f.Name())
		return nil, fmt.Errorf("spill a grouping to %s: %w", w.f.Name(), err)
	}
	if _, err := w.f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read back %s: %w", w.f.Name(), err)
	}
	r := &run{f: w.f, r: bufio.NewReaderSize(w.f, 1<<16)}
	return r, r.next()
}

// next reads the head of the next row. The body of the row at hand must have been skipped.
func (r *run) next() error {
	c := &countReader{r: r.r}
	row := spillRow{key: r.row.key[:0]}
	var err error
	if row.win.Start, err = binary.ReadVarint(c); err == io.EOF && c.n == 0 {
		r.done = true
		return nil
	}
	num := func() (n uint64) {
		if err == nil {
			n, err = binary.ReadUvarint(c)
		}
		return n
	}
	if err == nil {
		row.win.End, err = binary.ReadVarint(c)
	}
	var h [8]byte
	if err == nil {
		_, err = io.ReadFull(c, h[:])
		row.hash = binary.LittleEndian.Uint64(h[:])
	}
	if n := num(); err == nil {
		if uint64(cap(row.key)) < n {
			row.key = make([]byte, n)
		}
		row.key = row.key[:n]
		_, err = io.ReadFull(c, row.key)
	}
	row.n, row.bytes = int(num()), int64(num())
	if err != nil {
		return fmt.Errorf("read back %s at %d: %w", r.f.Name(), r.at, err)
	}
	r.row = row
	r.body = r.at + c.n
	r.at = r.body
	return nil
}

// skip passes the body of the row at hand.
func (r *run) skip() error {
	_, err := r.r.Discard(int(r.row.bytes))
	r.at += r.row.bytes
	if err != nil {
		return fmt.Errorf("read back %s at %d: %w", r.f.Name(), r.at, err)
	}
	return r.next()
}

// copyTo copies the body of the row at hand.
func (r *run) copyTo(w io.Writer) error {
	n, err := io.CopyN(w, r.r, r.row.bytes)
	r.at += n
	if err != nil {
		return fmt.Errorf("merge %s at %d: %w", r.f.Name(), r.at, err)
	}
	return r.next()
}

// part copies a small body into memory, and names where a big one stands.
func (r *run) part() (p part, err error) {
	p = part{f: r.f, at: r.body, size: r.row.bytes, n: r.row.n}
	if r.row.bytes > 1<<16 {
		return p, r.skip()
	}
	p.mem = make([]byte, r.row.bytes)
	if _, err := io.ReadFull(r.r, p.mem); err != nil {
		return p, fmt.Errorf("read back %s at %d: %w", r.f.Name(), r.at, err)
	}
	r.at += r.row.bytes
	return p, r.next()
}

func (r *run) close() {
	r.f.Close()
	os.Remove(r.f.Name())
}

// part is some values of one key: in memory as segments, or in a file.
type part struct {
	mem  []byte
	f    *os.File
	at   int64
	size int64
	n    int
}

// each calls f for every segment, until it returns false.
func (p *part) each(f func(values []byte, n int) bool) error {
	if p.mem != nil || p.size == 0 {
		return p.eachInMemory(f)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(p.f, p.at, p.size), 1<<16)
	var buf []byte
	for {
		n, err := binary.ReadUvarint(r)
		if err == io.EOF {
			return nil
		}
		var size uint64
		if err == nil {
			size, err = binary.ReadUvarint(r)
		}
		if err == nil && size > uint64(p.size) {
			err = errShort
		}
		if err == nil {
			if uint64(cap(buf)) < size {
				buf = make([]byte, size)
			}
			buf = buf[:size]
			_, err = io.ReadFull(r, buf)
		}
		if err != nil {
			return fmt.Errorf("read back spilled values: %w", err)
		}
		if !f(buf, int(n)) {
			return nil
		}
	}
}

func (p *part) eachInMemory(f func(values []byte, n int) bool) error {
	for b := p.mem; len(b) > 0; {
		n, rest, err := takeUint(b)
		var values []byte
		if err == nil {
			values, b, err = takeBytes(rest)
		}
		if err != nil {
			return fmt.Errorf("read back spilled values: %w", err)
		}
		if !f(values, int(n)) {
			return nil
		}
	}
	return nil
}

// countReader counts what passes.
type countReader struct {
	r *bufio.Reader
	n int64
}

func (c *countReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
