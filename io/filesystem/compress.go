package filesystem

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is how a file is compressed.
type Compression string

const (
	ByName Compression = ""     // by the path's ending: .gz, .zst, else none
	None   Compression = "none" // as it is
	Gzip   Compression = "gzip"
	Zstd   Compression = "zstd"
)

// Of is the compression of the file at p.
func (c Compression) Of(p string) Compression {
	if c != ByName {
		return c
	}
	switch strings.ToLower(path.Ext(p)) {
	case ".gz", ".gzip":
		return Gzip
	case ".zst", ".zstd":
		return Zstd
	}
	return None
}

// Splittable reports whether the file at p can be read from its middle: one whose
// name says that it is compressed cannot.
func Splittable(p string) bool { return ByName.Of(p) == None }

// Detect is the compression of the file at p: what its name says, else what its
// first bytes say, for which it is opened.
func Detect(ctx context.Context, p string) (Compression, error) {
	if c := ByName.Of(p); c != None {
		return c, nil
	}
	r, err := OpenRange(ctx, p, 0, magicSize)
	if err != nil {
		return None, err
	}
	defer r.Close()
	head, err := io.ReadAll(r)
	if err != nil {
		return None, fmt.Errorf("read %s: %w", p, err)
	}
	return byMagic(head), nil
}

const magicSize = 4

// byMagic is the compression of data that begins with head (RFC 1952, RFC 8878).
func byMagic(head []byte) Compression {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return Gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return Zstd
	case len(head) == magicSize && head[0]&0xf0 == 0x50 && bytes.HasPrefix(head[1:], []byte{0x2a, 0x4d, 0x18}): // a frame to skip
		return Zstd
	}
	return None
}

// zstdWindowMost is how far back zstd data may refer, which is memory that the
// decoder keeps: as much as the zstd command allows by default.
const zstdWindowMost = 128 << 20

// Decompress reads what r holds compressed; closing it closes r. With ByName a
// name that says nothing leaves it to the first bytes. An empty file holds
// nothing, however it is compressed.
//
// name is for errors, which say how far the compressed file was read. After an
// error of Decompress itself, r is still the caller's to close.
func Decompress(r io.ReadCloser, name string, c Compression) (io.ReadCloser, error) {
	switch c {
	case None:
		return r, nil
	case ByName, Gzip, Zstd:
	default:
		return nil, unknown(name, c)
	}
	at := &position{r: r}
	in := bufio.NewReaderSize(at, 64<<10)
	head, err := in.Peek(magicSize)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	is := byMagic(head)
	want := c.Of(name)
	if c == ByName && want == None {
		want = is
	}
	if want == None || len(head) == 0 {
		return &decompressor{z: in, close: func() {}, r: r, in: in, at: at, name: name}, nil
	}
	d := &decompressor{r: r, in: in, at: at, name: name, kind: want}
	if is != want && len(head) == magicSize {
		return nil, fmt.Errorf("%s: not a %s file: it begins with the bytes % x", name, want, head)
	}
	switch want {
	case Gzip:
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, d.explain(err)
		}
		d.z, d.close = z, func() { z.Close() }
	case Zstd:
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindowMost))
		if err != nil {
			return nil, d.explain(err)
		}
		d.z, d.close = z, z.Close
	}
	return d, nil
}

func unknown(name string, c Compression) error {
	return fmt.Errorf("%s: compression %q is not known: it may be none, gzip or zstd", name, string(c))
}

type decompressor struct {
	z     io.Reader
	close func()
	r     io.Closer
	in    *bufio.Reader // between z and at
	at    *position
	name  string
	kind  Compression
}

func (d *decompressor) Read(b []byte) (int, error) {
	n, err := d.z.Read(b)
	if err != nil && err != io.EOF {
		err = d.explain(err)
	}
	return n, err
}

// explain tells data that is damaged from data that could not be read.
func (d *decompressor) explain(err error) error {
	if d.at.err != nil {
		return fmt.Errorf("read %s: %w", d.name, d.at.err)
	}
	at := d.at.n - int64(d.in.Buffered())
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%s: damaged %s data near byte %d of the file, which ends too early: %w", d.name, d.kind, at, io.ErrUnexpectedEOF)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("%s: the zstd data near byte %d needs a window of more than %d MiB: %w", d.name, at, zstdWindowMost>>20, err)
	}
	return fmt.Errorf("%s: damaged %s data near byte %d of the file: %w", d.name, d.kind, at, err)
}

func (d *decompressor) Close() error {
	d.close()
	return d.r.Close()
}

// position counts what was read, and remembers why reading ended.
type position struct {
	r   io.Reader
	n   int64
	err error // other than the end
}

func (p *position) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	if err != nil && err != io.EOF {
		p.err = err
	}
	return n, err
}

// Compressor writes compressed data to w; Close ends the data, not w. Data behind
// ended data is one file with it: a file may be ended at each snapshot, for a few
// bytes more each time.
func Compressor(w io.Writer, name string, c Compression) (io.WriteCloser, error) {
	switch c.Of(name) {
	case None:
		return plain{w}, nil
	case Gzip:
		z := gzips.Get().(*gzip.Writer)
		z.Reset(w)
		return &compressor{z, func() { gzips.Put(z) }}, nil
	case Zstd:
		z := zstds.Get().(*zstd.Encoder)
		z.Reset(w)
		return &compressor{z, func() { zstds.Put(z) }}, nil
	}
	return nil, unknown(name, c)
}

// Encoders keep up to a few MiB each, too much to make anew for each snapshot.
var (
	gzips = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	zstds = sync.Pool{New: func() any {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic("BUG: filesystem: zstd encoder: " + err.Error())
		}
		return z
	}}
)

// compressor is an encoder that goes back to its pool.
type compressor struct {
	z    io.WriteCloser // nil when it was closed
	back func()
}

var errClosed = errors.New("the compressed data was ended before")

func (c *compressor) Write(b []byte) (int, error) {
	if c.z == nil {
		return 0, errClosed
	}
	return c.z.Write(b)
}

func (c *compressor) Close() error {
	if c.z == nil {
		return nil
	}
	err := c.z.Close()
	c.z = nil
	c.back()
	return err
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }
