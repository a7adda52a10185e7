package csv

import (
	"reflect"

	"github.com/millrace/millrace/internal/csvrecord"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
)

// Write writes each element as a record, in shards as text.Write does it, each
// beginning with a line of column names.
func Write[T any](c pipeline.PCollection[T], path string, opts ...text.WriteOption) {
	fields, err := csvrecord.Fields[T]()
	if err != nil {
		pipeline.FailAt(c, "csv.Write: records of type %v can't be written: %w", reflect.TypeFor[T](), err)
		return
	}
	header, err := csvrecord.NewEncoder(',').AppendStrings(nil, fields)
	if err != nil {
		pipeline.FailAt(c, "csv.Write: %w", err)
		return
	}
	opts = append([]text.WriteOption{text.Header(string(header))}, opts...)
	text.WriteRecords(c, "csv.Write", path, func() text.Formatter[T] {
		e := csvrecord.NewEncoder(',')
		return func(b []byte, v T) ([]byte, error) { return e.Append(b, v) }
	}, opts...)
}
