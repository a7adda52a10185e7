// Package csv reads and writes files of comma-separated values (RFC 4180) as structs.
//
// The first line of a file names its columns. A column belongs to the struct's
// field with the tag `csv:"name"`, or else with that name; columns without a field
// are passed over, and a field without a column is an error. The mapping is by
// github.com/jszwec/csvutil, whose tags and interfaces apply.
package csv

import (
	"reflect"

	"github.com/millrace/millrace/internal/csvrecord"
	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
)

// Option configures [Read].
type Option func(*config)

type config struct {
	comma       rune
	columns     []string
	compression filesystem.Compression
	splittable  bool
	pieces      []text.ReadOption
}

// Comma is what is between two columns; default a comma.
func Comma(r rune) Option { return func(c *config) { c.comma = r } }

// Columns names the columns of files that have no line which does.
func Columns(names ...string) Option { return func(c *config) { c.columns = names } }

// Compression overrides what the file's name says about its compression.
func Compression(k filesystem.Compression) Option { return func(c *config) { c.compression = k } }

// Splittable says whether each record is one line, no value in quotes having a
// line end in it. If so, big files are cut into pieces, as text.Read cuts them,
// and errors name the record's offset in place of its line. It is an error if it
// turns out not to be so, as far as it does: quotes that are not closed in a line
// are found, a piece that begins in a value may be read as something else.
// more is passed on to package text, which reads the lines.
func Splittable(yes bool, more ...text.ReadOption) Option {
	return func(c *config) { c.splittable, c.pieces = yes, more }
}

// Read is the records of all files that the pattern matches, looked up as by
// text.Read. Values in quotes may span lines, so that each file is read from its
// beginning, by one lane, unless [Splittable] says otherwise. A record that is no
// T fails the run, with file, line and column.
func Read[T any](p *pipeline.Pipeline, pattern string, opts ...Option) pipeline.PCollection[T] {
	c := config{comma: ','}
	for _, o := range opts {
		o(&c)
	}
	fields, err := csvrecord.Fields[T]()
	if err != nil {
		pipeline.Fail(p, "csv.Read: records of type %v can't be read: %w", reflect.TypeFor[T](), err)
	}
	if !csvrecord.ValidComma(c.comma) {
		pipeline.Fail(p, "csv.Read: %q can't be between columns", c.comma)
	}
	d := dialect{config: c, fields: fields}
	if c.splittable {
		return text.ReadRecords(p, "csv.Read", pattern, pieceOf[T](d), append(c.pieces, text.Compression(c.compression))...)
	}
	if err := filesystem.CheckPattern(pattern); err != nil {
		pipeline.Fail(p, "csv.Read: %w", err)
	}
	return pipeline.Read[T](p, "csv.Read", &source[T]{pattern, d})
}
