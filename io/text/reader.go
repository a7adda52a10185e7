package text

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"unsafe"

	"github.com/millrace/millrace/io/filesystem"
)

const (
	blockSize = 256 << 10 // bytes read at once
	tailSize  = 4 << 10   // bytes read at once behind a piece's end, for its last line
)

// reader reads the lines of a piece in blocks.
//
// Invariant: next is at plus pos, unless the piece has ended.
type reader struct {
	*source
	file     filesystem.File
	from, to int64 // the piece; to may be toEnd
	in       io.ReadCloser
	raw      *counter // below in, if in decompresses

	seek  bool   // the rest of the line at hand belongs to the piece before
	at    int64  // offset of block's first byte
	block []byte // whole lines, and the beginning of one; never written again: lines share it
	pos   int    // in block, of the next line
	eof   bool
	next  int64 // offset of the next line
	place int64 // offset of the line read last
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

// fill makes the block begin with the line at pos and adds what can be read.
func (r *reader) fill() error {
	rest := r.block[r.pos:]
	if len(rest) > r.maxLine+1 { // 1 for a \r
		return r.tooLong()
	}
	more := max(blockSize-len(rest), len(rest))
	if r.to != toEnd { // not much more than the piece: others read what is behind it
		more = int(min(int64(more), max(r.to-r.at-int64(len(r.block)), 0)+max(tailSize, int64(len(rest)))))
	}
	block := make([]byte, len(rest)+more)
	copy(block, rest)
	n, err := io.ReadFull(r.in, block[len(rest):])
	r.at += int64(r.pos)
	r.block, r.pos = block[:len(rest)+n], 0
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // a damaged compressed file's error is wrapped
		r.eof = true
	case err != nil:
		r.place = r.next
		return err
	}
	if r.at == 0 && r.to != toEnd && r.compression == filesystem.ByName && packed(r.block) {
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
	var b []byte
	for {
		b = r.block[r.pos:]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[:i]
			break
		}
		if r.eof {
			if len(b) == 0 {
				return "", false, nil
			}
			break
		}
		if err := r.fill(); err != nil {
			return "", false, err
		}
	}
	start := r.next
	r.pos = min(r.pos+len(b)+1, len(r.block))
	r.next = r.at + int64(r.pos)
	if len(b) > 0 && b[len(b)-1] == '\r' {
		b = b[:len(b)-1]
	}
	if len(b) > r.maxLine {
		r.next = start
		return "", false, r.tooLong()
	}
	r.place = start
	return unsafe.String(unsafe.SliceData(b), len(b)), true, nil // see block
}

// passRest passes the line that began in the piece before, or the whole piece if
// there is no other.
func (r *reader) passRest() error {
	for r.next < r.to {
		b := r.block[r.pos:]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			r.pos += i + 1
			r.next = r.at + int64(r.pos)
			break
		}
		r.pos = len(r.block)
		r.next = r.at + int64(r.pos)
		if r.eof {
			r.next = max(r.next, r.to)
			break
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
	r.seek = false
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
