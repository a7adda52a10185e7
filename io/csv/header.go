package csv

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jszwec/csvutil"

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
		return header{}, fmt.Errorf("%s: %w", f.Path, sentence(err, 0))
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

// decoder makes structs of the records that r reads.
func (d dialect) decoder(r *csv.Reader, columns []string) (*csvutil.Decoder, error) {
	r.Comma, r.ReuseRecord, r.FieldsPerRecord = d.comma, true, -1 // the number of fields is the decoder's to check
	return csvutil.NewDecoder(r, columns...)
}

// sentence makes an error of the libraries one that names the column; the run
// knows file and line. before is how many lines there are before what was read.
func sentence(err error, before int) error {
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		if syntax.StartLine != syntax.Line {
			return fmt.Errorf("character %d of line %d, in the record that begins in line %d: %w", syntax.Column, before+syntax.Line, before+syntax.StartLine, syntax.Err)
		}
		return fmt.Errorf("character %d: %w", syntax.Column, syntax.Err)
	}
	var value *csvutil.DecodeError
	if errors.As(err, &value) {
		return fmt.Errorf("column %s: %w", value.Field, value.Err)
	}
	return err
}

// ragged reports a record that does not have as many fields as there are columns.
func ragged(record, columns []string) error {
	if len(record) > len(columns) {
		return fmt.Errorf("the record has %d fields, more than the %d columns: the first without one is %.40q", len(record), len(columns), record[len(columns)])
	}
	return fmt.Errorf("the record has %d fields, fewer than the %d columns: the first that is missing is %s", len(record), len(columns), columns[len(record)])
}
