package csv

import (
	"bytes"
	"encoding/csv"
	"reflect"

	"github.com/jszwec/csvutil"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
)

// Write writes each element as a record, in shards as text.Write does it, each
// beginning with a line of column names.
func Write[T any](c pipeline.PCollection[T], path string, opts ...text.WriteOption) {
	fields, err := fieldsOf[T]()
	if err != nil {
		pipeline.FailAt(c, "csv.Write: records of type %v can't be written: %w", reflect.TypeFor[T](), err)
		return
	}
	header, err := newEncoder().record(nil, func(e *encoder) error { return e.csv.Write(fields) })
	if err != nil {
		pipeline.FailAt(c, "csv.Write: %w", err)
		return
	}
	opts = append([]text.WriteOption{text.Header(string(header))}, opts...)
	text.WriteRecords(c, "csv.Write", path, func() text.Formatter[T] {
		e := newEncoder()
		return func(b []byte, v T) ([]byte, error) {
			return e.record(b, func(e *encoder) error { return e.fields.Encode(v) })
		}
	}, opts...)
}

// encoder makes records of structs.
type encoder struct {
	out    bytes.Buffer
	csv    *csv.Writer // to out
	fields *csvutil.Encoder
}

func newEncoder() *encoder {
	e := &encoder{}
	e.csv = csv.NewWriter(&e.out)
	e.fields = csvutil.NewEncoder(e.csv)
	e.fields.AutoHeader = false
	return e
}

// record appends the record that write writes, without its line end.
func (e *encoder) record(b []byte, write func(*encoder) error) ([]byte, error) {
	e.out.Reset()
	if err := write(e); err != nil {
		return b, err
	}
	e.csv.Flush()
	return append(b, bytes.TrimSuffix(e.out.Bytes(), []byte{'\n'})...), e.csv.Error()
}
