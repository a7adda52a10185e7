// Package parquet reads and writes Parquet files as structs, by
// github.com/parquet-go/parquet-go: its struct tags name the columns, as in
// `parquet:"price"`, and choose their types, as in `parquet:"at,timestamp"`.
package parquet

import (
	"fmt"
	"reflect"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// Read is the rows of all files that the pattern matches, looked up when the
// pipeline runs. Each row group is a piece of its own: a file of one row group is
// read by one lane. Only the columns that T has are read; fields without a column
// are zero.
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

// guard calls the library, which panics where a schema or a file is not as it should be.
func guard(what string, call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", what, r)
		}
	}()
	return call()
}
