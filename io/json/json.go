// Package json reads and writes files of JSON, one value a line.
//
// Values are made by encoding/json, not by one of the libraries that are some
// times as fast: those differ from it in what they accept and in what they make of
// struct tags and methods, or need unsafe tricks for each processor, and a program
// that is held up by JSON can use any of them through text.ReadRecords.
//
// A value that can't be read fails the run. Where bad input is to be set aside
// instead, read the lines by text.Read, and unmarshal them in a
// pipeline.TryMap, to which the run's policy for failures applies.
package json

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/millrace/millrace/io/filesystem"
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

// Read is the values of all files that the pattern matches, one a line; empty
// lines are passed over. A line that is no T fails the run, with file and offset.
// Files are looked up, cut and decompressed as text.Read does it.
func Read[T any](p *pipeline.Pipeline, pattern string, opts ...Option) pipeline.PCollection[T] {
	var c config
	for _, o := range opts {
		o(&c)
	}
	return text.ReadRecords(p, "json.Read", pattern, func(context.Context, filesystem.File) (text.Parser[T], error) {
		var buf []byte
		return func(line text.SourceLine) (v T, ok bool, err error) {
			if strings.TrimSpace(line.Line) == "" {
				return v, false, nil
			}
			if c.strict {
				err = strict(line.Line, &v)
			} else {
				buf = append(buf[:0], line.Line...) // not unsafe bytes of it: methods of T see them
				err = json.Unmarshal(buf, &v)
			}
			return v, true, err
		}, nil
	}, c.text...)
}

// strict reads the one value of a line.
func strict(line string, v any) error {
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if err == io.ErrUnexpectedEOF {
			return errors.New("unexpected end of JSON input")
		}
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something behind the value")
	}
	return nil
}

// Write writes each element as a line of JSON, in shards as text.Write does it.
// Characters that HTML gives a meaning to (<, > and &) are written as they are.
func Write[T any](c pipeline.PCollection[T], path string, opts ...text.WriteOption) {
	text.WriteRecords(c, "json.Write", path, func() text.Formatter[T] {
		var out appender
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		return func(b []byte, v T) ([]byte, error) {
			out.b = b
			err := e.Encode(v)
			b, out.b = out.b, nil
			if err != nil {
				return b, err
			}
			return b[:len(b)-1], nil // the line end
		}
	}, opts...)
}

// appender appends what is written.
type appender struct{ b []byte }

func (a *appender) Write(b []byte) (int, error) {
	a.b = append(a.b, b...)
	return len(b), nil
}
