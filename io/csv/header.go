package csv

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/csvrecord"
	"github.com/millrace/millrace/io/filesystem"
)

// dialect is how records look.
type dialect struct {
	config
	fields []string // that must have columns
}

// header is what is before the first record.
type header struct {
	columns []string // nil: the file is empty
	bytes   int64    // before the first record
	lines   int      // the same
}

// byteOrderMark is what some programs put before the columns.
var byteOrderMark = []byte("\ufeff")

// input is a file's content.
type input struct {
	io.ReadCloser
	raw *counter // below it
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

func (d dialect) open(ctx context.Context, f filesystem.File) (*input, error) {
	file, err := filesystem.OpenRange(ctx, f.Path, 0, -1)
	if err != nil {
		return nil, err
	}
	raw := &counter{ReadCloser: file}
	in, err := filesystem.Decompress(raw, f.Path, d.compression)
	if err != nil {
		file.Close()
		return nil, err
	}
	return &input{in, raw}, nil
}

// readHeader reads the names of the columns, and checks that T's are there.
func (d dialect) readHeader(ctx context.Context, f filesystem.File) (h header, err error) {
	in, err := d.open(ctx, f)
	if err != nil {
		return header{}, err
	}
	defer in.Close()
	var seen bytes.Buffer
	if _, err := io.CopyN(&seen, in, int64(len(byteOrderMark))); err != nil && err != io.EOF {
		return header{}, err
	}
	if bytes.Equal(seen.Bytes(), byteOrderMark) {
		h.bytes = int64(len(byteOrderMark))
		seen.Reset()
	}
	if d.columns != nil {
		h.columns = d.columns
		return h, d.check(f, h.columns)
	}
	head := bytes.Clone(seen.Bytes())
	r := csv.NewReader(io.MultiReader(bytes.NewReader(head), io.TeeReader(in, &seen)))
	r.Comma = d.comma
	h.columns, err = r.Read()
	if err == io.EOF {
		return header{}, nil
	}
	if err != nil {
		return header{}, fmt.Errorf("%s: %w", f.Path, csvrecord.Sentence(err, 0))
	}
	h.lines = bytes.Count(seen.Bytes()[:r.InputOffset()], []byte{'\n'})
	h.bytes += r.InputOffset()
	return h, d.check(f, h.columns)
}

// check reports fields that have no column, or more than one.
func (d dialect) check(f filesystem.File, columns []string) error {
	var missing []string
	for _, name := range d.fields {
		switch i := slices.Index(columns, name); {
		case i < 0:
			missing = append(missing, name)
		case slices.Contains(columns[i+1:], name):
			return fmt.Errorf("%s:1: two columns are named %s", f.Path, name)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("%s:1: missing columns: %s; there are: %s", f.Path, strings.Join(missing, ", "), strings.Join(columns, ", "))
}
