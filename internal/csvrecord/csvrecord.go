// Package csvrecord is what connectors share that have structs as comma-separated
// values (RFC 4180): the mapping of fields to columns by github.com/jszwec/csvutil, and
// errors that name the column.
package csvrecord

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"

	"github.com/jszwec/csvutil"
)

// Fields is the names of T's fields, as columns.
func Fields[T any]() ([]string, error) { return csvutil.Header(*new(T), "csv") }

// ValidComma is encoding/csv's rule, which it checks only when it reads.
func ValidComma(r rune) bool {
	return r != 0 && r != '"' && r != '\r' && r != '\n' && r != '\uFFFD' && string(r) != "\uFFFD"
}

// NewDecoder makes structs of the records that r reads.
func NewDecoder(r *csv.Reader, comma rune, columns []string) (*csvutil.Decoder, error) {
	r.Comma, r.ReuseRecord, r.FieldsPerRecord = comma, true, -1 // the number of fields is the decoder's to check
	return csvutil.NewDecoder(r, columns...)
}

// Sentence makes an error of the libraries one that names the column; the caller
// knows where the record is. before is how many lines there are before what was read.
func Sentence(err error, before int) error {
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

// Ragged reports a record that does not have as many fields as there are columns.
func Ragged(record, columns []string) error {
	if len(record) > len(columns) {
		return fmt.Errorf("the record has %d fields, more than the %d columns: the first without one is %.40q", len(record), len(columns), record[len(columns)])
	}
	return fmt.Errorf("the record has %d fields, fewer than the %d columns: the first that is missing is %s", len(record), len(columns), columns[len(record)])
}

// Encoder makes records of structs. One goroutine at a time uses it.
type Encoder struct {
	out    bytes.Buffer
	csv    *csv.Writer // to out
	fields *csvutil.Encoder
}

// NewEncoder makes an encoder with what is between two columns.
func NewEncoder(comma rune) *Encoder {
	e := &Encoder{}
	e.csv = csv.NewWriter(&e.out)
	e.csv.Comma = comma
	e.fields = csvutil.NewEncoder(e.csv)
	e.fields.AutoHeader = false
	return e
}

// SetHeader sets the columns to write, and their order; default all fields in theirs.
func (e *Encoder) SetHeader(columns []string) { e.fields.SetHeader(columns) }

// Append appends the record of v, a struct or a pointer to one, without a line end.
func (e *Encoder) Append(b []byte, v any) ([]byte, error) {
	e.out.Reset()
	return e.take(b, e.fields.Encode(v))
}

// AppendStrings appends the record of the fields, without a line end.
func (e *Encoder) AppendStrings(b []byte, fields []string) ([]byte, error) {
	e.out.Reset()
	return e.take(b, e.csv.Write(fields))
}

func (e *Encoder) take(b []byte, err error) ([]byte, error) {
	if err != nil {
		return b, err
	}
	e.csv.Flush()
	record := bytes.TrimSuffix(e.out.Bytes(), []byte{'\n'})
	if len(record) == 0 { // one empty field: readers pass over empty lines
		record = []byte(`""`)
	}
	return append(b, record...), e.csv.Error()
}
