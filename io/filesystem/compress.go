package filesystem

import (
	"fmt"
	"io"
	"path"
	"strings"

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

// Decompress reads what r holds compressed. name is for errors, which say how far
// the compressed file was read.
func Decompress(r io.ReadCloser, name string, c Compression) (io.ReadCloser, error) {
	at := &position{r: r}
	switch c.Of(name) {
	case Gzip:
		z, err := gzip.NewReader(at)
		if err == io.EOF { // an empty file holds nothing
			return r, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: not a gzip file: %w", name, err)
		}
		return &decompressor{z, z.Close, r, at, name, "gzip"}, nil
	case Zstd:
		z, err := zstd.NewReader(at, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("%s: not a zstd file: %w", name, err)
		}
		return &decompressor{z, func() error { z.Close(); return nil }, r, at, name, "zstd"}, nil
	}
	return r, nil
}

type decompressor struct {
	z     io.Reader
	close func() error
	r     io.Closer
	at    *position
	name  string
	kind  string
}

func (d *decompressor) Read(b []byte) (int, error) {
	n, err := d.z.Read(b)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: damaged %s data near byte %d of the file: %w", d.name, d.kind, d.at.n, err)
	}
	return n, err
}

func (d *decompressor) Close() error {
	err := d.close()
	if e := d.r.Close(); err == nil {
		err = e
	}
	return err
}

// position counts what was read.
type position struct {
	r io.Reader
	n int64
}

func (p *position) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	return n, err
}

// Compressor writes compressed data; Close ends the data, not the writer below.
func Compressor(w io.Writer, name string, c Compression) (io.WriteCloser, error) {
	switch c.Of(name) {
	case Gzip:
		return gzip.NewWriter(w), nil
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return plain{w}, nil
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }
