package kafka

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/jszwec/csvutil"

	"github.com/millrace/millrace/internal/csvrecord"
)

// CSV has structs as comma-separated values, one record a value and no line of column
// names; fields have columns as in package io/csv. columns are what values have, in
// their order; default T's fields in theirs. A column without a field is passed over,
// and written empty. Where T is a pointer, nil is a tombstone; elsewhere, tombstones
// are bad records.
func CSV[T any](columns ...string) Format[T] {
	fields, err := csvrecord.Fields[T]()
	if err != nil {
		return Format[T]{Name: "csv", Err: fmt.Errorf("records of type %v can't be CSV: %w", reflect.TypeFor[T](), err)}
	}
	if columns == nil {
		columns = fields
	}
	readers := sync.Pool{New: func() any { return newCSVReader[T](columns) }}
	writers := sync.Pool{New: func() any { return newCSVWriter[T](columns) }}
	return Tombstones(Format[T]{
		Name: "csv",
		Err:  checkColumns(columns, fields),
		Decode: func(r *Record) (T, error) {
			c := readers.Get().(*csvReader[T])
			v, err := c.read(r.Value)
			if err == nil { // else something may be left of what it was given
				readers.Put(c)
			}
			return v, err
		},
		Encode: func(v T, r *Record) (err error) {
			c := writers.Get().(*csvWriter[T])
			defer writers.Put(c)
			r.Value, err = c.append(r.Value[:0], v)
			return err
		},
	})
}

// checkColumns reports columns that come twice, and fields without one.
func checkColumns(columns, fields []string) error {
	for i, c := range columns {
		if slices.Contains(columns[i+1:], c) {
			return fmt.Errorf("two columns are named %s", c)
		}
	}
	missing := slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return slices.Contains(columns, f) })
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("missing columns: %s; there are: %s", strings.Join(missing, ", "), strings.Join(columns, ", "))
}

// csvReader reads values, one after the other.
type csvReader[T any] struct {
	columns []string
	in      bytes.Reader // the value that is read
	csv     *csv.Reader  // of in, which for it never ends
	dec     *csvutil.Decoder
	lines   int   // of the values before
	offset  int64 // behind the values before
	v       T     // here, so that the decoder has a pointer to it and nothing is allocated
}

func newCSVReader[T any](columns []string) *csvReader[T] {
	c := &csvReader[T]{columns: columns}
	c.csv = csv.NewReader(&c.in)
	var err error
	if c.dec, err = csvrecord.NewDecoder(c.csv, ',', columns); err != nil {
		panic(fmt.Sprintf("BUG: kafka: columns %q were checked: %v", columns, err))
	}
	return c
}

// read reads a value; after an error, c is not to be used again.
func (c *csvReader[T]) read(value []byte) (v T, err error) {
	value = bytes.TrimRight(value, "\r\n")
	c.in.Reset(value)
	err = c.dec.Decode(&c.v)
	c.in.Reset(nil)
	v, c.v = c.v, v
	switch {
	case err == io.EOF:
		return v, errors.New("the value is empty")
	case errors.Is(err, csvutil.ErrFieldCount):
		return v, csvrecord.Ragged(c.dec.Record(), c.columns)
	case err != nil:
		return v, csvrecord.Sentence(err, -c.lines)
	}
	c.lines += bytes.Count(value, []byte{'\n'}) + 1
	c.offset += int64(len(value))
	if c.csv.InputOffset() != c.offset {
		return v, errors.New("the value has more than one record")
	}
	return v, nil
}

// csvWriter appends records to what it is given.
type csvWriter[T any] struct {
	enc *csvrecord.Encoder
	v   T // here, so that the encoder has a pointer to it and nothing is allocated
}

func newCSVWriter[T any](columns []string) *csvWriter[T] {
	c := &csvWriter[T]{enc: csvrecord.NewEncoder(',')}
	c.enc.SetHeader(columns)
	return c
}

func (c *csvWriter[T]) append(b []byte, v T) ([]byte, error) {
	c.v = v
	b, err := c.enc.Append(b, &c.v)
	c.v = *new(T)
	return b, err
}
