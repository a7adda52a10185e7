package text

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace/millrace/io/filesystem"
)

const (
	blockSize = 256 << 10 // bytes read at once
	tailSize  = 4 << 10   // bytes read at once behind a piece's end, for its last line
)

// reader reads the lines of a piece in blocks. A block becomes one string that its
// lines share: an allocation for each line would cost more than all the rest.
//
// Invariant: in the file, block is at at, and what buf holds is behind it; next is
// at plus pos, unless the piece has ended.
type reader struct {
	*source
	file     filesystem.File
	from, to int64 // the piece; to may be toEnd
	in       io.ReadCloser
	raw      *counter // below in, if in decompresses

	seek  bool   // the rest of the line at hand belongs to the piece before
	buf   []byte // read, but not yet in a block: the beginning of a line
	eof   bool
	at    int64  // offset of block
	block string // whole lines
	pos   int    // in block, of the next line
	next  int64  // offset of the next line
	place int64  // offset of the line read last
}

func (r *reader) open(ctx context.Context) (err error) {
	r.at = r.next
	if r.to != toEnd {
		if r.next >= r.to { // a position at the piece's end
			return nil
		}
		r.in, err = filesystem.OpenRange(ctx, r.file.Path, r.at, -1)
		return err
	}
	raw, err := filesystem.OpenRange(ctx, r.file.Path, 0, -1)
	if err != nil {
		return err
	}
	r.raw = &counter{ReadCloser: raw}
	if r.in, err = filesystem.Decompress(r.raw, r.file.Path, r.compression); err != nil {
		raw.Close()
		return err
	}
	if r.next > 0 { // pass what was read before
		if _, err := io.CopyN(io.Discard, r.in, r.next); err != nil {
			return fmt.Errorf("go on with %s at %d: %w", r.file.Path, r.next, err)
		}
		return nil
	}
	for range r.skip {
		if _, ok, err := r.line(); err != nil || !ok {
			return err
		}
	}
	return nil
}

// counter counts what was read.
type counter struct {
	io.ReadCloser
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n += int64(n)
	return n, err
}

// fill makes the next block; it is empty behind the last one.
func (r *reader) fill() error {
	r.at += int64(len(r.block))
	r.block, r.pos = "", 0
	for {
		seen := len(r.buf)
		if err := r.read(); err != nil {
			r.place = r.next
			return err
		}
		i := bytes.LastIndexByte(r.buf[seen:], '\n')
		switch {
		case i >= 0:
			r.take(seen + i + 1)
			return nil
		case r.eof:
			r.take(len(r.buf))
			return nil
		case r.seek: // not ours: no need to keep it
			r.at += int64(len(r.buf))
			r.buf = r.buf[:0]
			if r.at >= r.to {
				return nil
			}
		case len(r.buf) > r.maxLine+1: // 1 for a \r
			return r.tooLong()
		}
	}
}

// take makes a block of the first n bytes of what was read.
func (r *reader) take(n int) {
	r.block = string(r.buf[:n])
	r.buf = r.buf[:copy(r.buf, r.buf[n:])]
}

// read adds to buf what can be read at once.
func (r *reader) read() error {
	rest := len(r.buf)
	more := max(blockSize-rest, rest)
	if r.to != toEnd { // not much more than the piece: others read what is behind it
		left := max(r.to-r.at-int64(rest), 0)
		more = int(min(int64(more), left+max(tailSize, int64(rest))))
	}
	r.buf = slices.Grow(r.buf, more)[:rest+more]
	n, err := io.ReadFull(r.in, r.buf[rest:])
	r.buf = r.buf[:rest+n]
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // a damaged compressed file's error is wrapped
		r.eof = true
	case err != nil:
		return err
	}
	if r.at == 0 && rest == 0 && r.to != toEnd && r.compression == filesystem.ByName && packed(r.buf) {
		return fmt.Errorf("%s holds compressed data, which its name does not say; text.Compression does", r.file.Path)
	}
	return nil
}

// packed reports that a file begins as no text does, but compressed data: gzip
// (RFC 1952) or zstd (RFC 8878).
func packed(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8}) || bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd})
}

func (r *reader) tooLong() error {
	r.place = r.next
	return fmt.Errorf("the line is longer than %d bytes (text.MaxLine)", r.maxLine)
}

// line is the next line that begins in the piece; ok is false behind the last.
func (r *reader) line() (line string, ok bool, err error) {
	if r.seek {
		if err := r.passRest(); err != nil {
			return "", false, err
		}
	}
	if r.to != toEnd && r.next >= r.to {
		return "", false, nil
	}
	if r.pos == len(r.block) {
		if err := r.fill(); err != nil || r.block == "" {
			return "", false, err
		}
	}
	line = r.block[r.pos:]
	end := len(line) // of a last line without an end
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line, end = line[:i], i+1
	}
	line = strings.TrimSuffix(line, "\r")
	if len(line) > r.maxLine {
		return "", false, r.tooLong()
	}
	r.place = r.next
	r.pos += end
	r.next += int64(end)
	return line, true, nil
}

// passRest passes the line that began in the piece before, or the whole piece if
// there is no other.
func (r *reader) passRest() error {
	if err := r.fill(); err != nil {
		return err
	}
	r.seek = false
	r.next = r.at
	if i := strings.IndexByte(r.block, '\n'); i >= 0 {
		r.pos = i + 1
		r.next += int64(r.pos)
		return nil
	}
	r.next = max(r.next, r.to) // nothing begins here
	return nil
}

func (r *reader) Position(b []byte) []byte {
	if r.seek {
		return binary.AppendVarint(b, unread)
	}
	return binary.AppendVarint(b, r.next)
}

func (r *reader) Where() string { return fmt.Sprintf("%s:%d", r.file.Path, r.place) }

// Progress counts bytes of the file; of a compressed one, compressed bytes.
func (r *reader) Progress() int64 {
	if r.raw != nil {
		return min(r.raw.n, r.file.Size)
	}
	return min(max(r.next-r.from, 0), r.to-r.from)
}

func (r *reader) Close() error {
	if r.in == nil {
		return nil
	}
	return r.in.Close()
}
