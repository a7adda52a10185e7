// Package parquet reads and writes Parquet files as structs, by
// github.com/parquet-go/parquet-go: its struct tags name the columns, as in
// `parquet:"price"`, and choose their types, as in `parquet:"at,timestamp"`.
package parquet

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// Read is the rows of all files that the pattern matches, looked up when the
// pipeline runs. Each row group is a piece of its own: a file of one row group is
// read by one lane. Only the columns that T has are read. One that a file lacks is
// an error, unless T has it as an optional one: then it is zero. Numbers and
// strings of another type than the field's are converted where the library can.
func Read[T any](p *pipeline.Pipeline, pattern string) pipeline.PCollection[T] {
	if err := filesystem.CheckPattern(pattern); err != nil {
		pipeline.Fail(p, "parquet.Read: %w", err)
	}
	if err := checkSchema[T](); err != nil {
		pipeline.Fail(p, "parquet.Read: %w", err)
	}
	return pipeline.Read[T](p, "parquet.Read", &source[T]{pattern})
}

// checkSchema reports a type that has no Parquet schema.
func checkSchema[T any]() error {
	if k := reflect.TypeFor[T]().Kind(); k != reflect.Struct {
		return fmt.Errorf("rows of type %v: they have to be structs", reflect.TypeFor[T]())
	}
	return guard(fmt.Sprintf("rows of type %v have no Parquet schema", reflect.TypeFor[T]()), func() error {
		parquet.SchemaOf(new(T))
		return nil
	})
}

// checkColumns reports columns that T needs and the file does not have. The library
// would leave their fields zero.
func checkColumns[T any](file *parquet.File) error {
	want, have := parquet.SchemaOf(new(T)), file.Schema()
	var missing []string
	for _, path := range want.Columns() {
		leaf, _ := want.Lookup(path...)
		optional := leaf.MaxDefinitionLevel > leaf.MaxRepetitionLevel // it, or what it is in
		if _, ok := have.Lookup(path...); !ok && !optional {
			missing = append(missing, strings.Join(path, "."))
		}
	}
	if missing == nil {
		return nil
	}
	var there []string
	for _, path := range have.Columns() {
		there = append(there, strings.Join(path, "."))
	}
	return fmt.Errorf("missing columns: %s; there are: %s", strings.Join(missing, ", "), strings.Join(there, ", "))
}

// guard calls the library, which panics where a schema or a file is not as it should be.
func guard(what string, call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", what, r)
		}
	}()
	return call()
}
