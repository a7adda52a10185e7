// Package json reads and writes files of JSON, one value a line.
package json

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
)

// Option configures [Read].
type Option func(*config)

type config struct {
	strict bool
	text   []text.ReadOption
}

// Strict refuses fields that T does not have.
func Strict() Option { return func(c *config) { c.strict = true } }

// Text passes options on to package text, which reads the lines.
func Text(opts ...text.ReadOption) Option {
	return func(c *config) { c.text = append(c.text, opts...) }
}

// Read is the values of all files that the pattern matches, one a line, by
// encoding/json; empty lines are passed over. A line that is no T fails the run,
// with file and offset. Files are cut and decompressed as package text does it.
func Read[T any](p *pipeline.Pipeline, pattern string, opts ...Option) pipeline.PCollection[T] {
	var c config
	for _, o := range opts {
		o(&c)
	}
	return text.ReadFunc(p, "json.Read", pattern, func(line string) (T, bool, error) {
		if strings.TrimSpace(line) == "" {
			var none T
			return none, false, nil
		}
		v, err := parse[T](line, c.strict)
		return v, true, err
	}, c.text...)
}

// parse reads one value; what follows it is an error.
func parse[T any](line string, strict bool) (v T, err error) {
	if !strict {
		err = json.Unmarshal([]byte(line), &v)
		return v, err
	}
	d := json.NewDecoder(bytes.NewReader([]byte(line)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, err
	}
	if d.More() {
		return v, errors.New("more than one value in a line")
	}
	return v, nil
}

// Write writes each element as a line of JSON, in shards as text.Write does it.
func Write[T any](c pipeline.PCollection[T], path string, opts ...text.WriteOption) {
	text.WriteFunc(c, "json.Write", path, func(b []byte, v T) ([]byte, error) {
		line, err := json.Marshal(v)
		return append(b, line...), err
	}, opts...)
}
