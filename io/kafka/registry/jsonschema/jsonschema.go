// Package jsonschema has values of records in JSON, checked by a schema of a schema
// registry.
//
//	orders := kafka.Read(p, "kafka://localhost:9092/orders", jsonschema.Format[Order]("http://localhost:8081"))
//
// The library is github.com/santhosh-tekuri/jsonschema/v6: drafts 4 to 2020-12.
package jsonschema

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/internal/schemas"
)

// Format has values in JSON as kafka.JSON has them, and in the wire format of schema
// registries.
//
// What is read is checked by the writer's schema, or else by the one that
// registry.Schema gives. What is written is checked by the schema that registry.Schema
// gives, or by the latest one in the registry; one of the two is needed.
func Format[T any](url string, opts ...registry.Option) kafka.Format[T] {
	c, err := newCodec[T](url, opts)
	if err != nil {
		return kafka.Format[T]{Name: "json schema", Err: fmt.Errorf("jsonschema.Format: %w", err)}
	}
	return kafka.Format[T]{Name: "json schema", Decode: c.decode, Encode: c.encode}
}

const kind = "JSON"

// codec is a format's state.
type codec[T any] struct {
	json   kafka.Format[T]
	client *schemas.Client
	fixed  *jsonschema.Schema // that the options give; nil is none
	byID   *schemas.Cache[int, *jsonschema.Schema]
	writes *schemas.Cache[string, target] // by topic
}

// target is what a topic is written by.
type target struct {
	head   []byte // how values begin
	schema *jsonschema.Schema
}

func newCodec[T any](url string, opts []registry.Option) (*codec[T], error) {
	client, err := schemas.New(url, opts)
	if err != nil {
		return nil, err
	}
	c := &codec[T]{json: kafka.JSON[T](), client: client}
	if client.Schema != "" {
		if c.fixed, err = compile(schemas.Schema{Text: client.Schema}); err != nil {
			return nil, fmt.Errorf("registry.Schema: %w", err)
		}
	}
	c.byID = schemas.NewCache(c.reader)
	c.writes = schemas.NewCache(c.target)
	return c, nil
}

// reader is what checks values of that id.
func (c *codec[T]) reader(id int) (*jsonschema.Schema, error) {
	s, err := c.client.ByID(id, kind)
	if err != nil || c.fixed != nil {
		return c.fixed, err
	}
	return compiled(s)
}

// target looks up, or registers, the schema for a topic.
func (c *codec[T]) target(topic string) (target, error) {
	if c.fixed == nil && !c.client.Latest {
		return target{}, fmt.Errorf("%v has no schema of its own: want registry.Schema or registry.Latest", reflect.TypeFor[T]())
	}
	s, err := c.client.ToWrite(topic, schemas.Own{Type: kind, Text: c.client.Schema, Record: title(c.fixed)})
	if err != nil {
		return target{}, err
	}
	t := target{schemas.AppendID(nil, s.ID), c.fixed}
	if t.schema == nil {
		t.schema, err = compiled(s)
	}
	return t, err
}

// title is the record's name, for strategies.
func title(s *jsonschema.Schema) string {
	if s == nil {
		return ""
	}
	return s.Title
}

func (c *codec[T]) decode(r *kafka.Record) (v T, err error) {
	if r.Value == nil {
		return c.json.Decode(r)
	}
	id, text, err := schemas.CutID(r.Value)
	if err != nil {
		return v, err
	}
	s, err := c.byID.Get(id)
	if err == nil {
		err = validate(s, text)
	}
	if err != nil {
		return v, err
	}
	whole := r.Value
	defer func() { r.Value = whole }()
	r.Value = text
	return c.json.Decode(r)
}

func (c *codec[T]) encode(v T, r *kafka.Record) error {
	if err := c.json.Encode(v, r); err != nil || r.Value == nil {
		return err
	}
	t, err := c.writes.Get(r.Topic)
	if err != nil {
		return err
	}
	if err := validate(t.schema, r.Value); err != nil {
		return err
	}
	r.Value = slices.Insert(r.Value, 0, t.head...)
	return nil
}

// validate says in one line what does not fit the schema.
func validate(s *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	err = s.Validate(v)
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return err
	}
	_, why, _ := strings.Cut(invalid.Error(), "\n") // behind a line with the schema's URL
	var all []string
	for line := range strings.Lines(why) {
		all = append(all, strings.TrimPrefix(strings.TrimSpace(line), "- "))
	}
	return fmt.Errorf("the value does not fit its schema: %s", strings.Join(all, "; "))
}

// base is where schemas are, for their references to each other.
const base = "registry:///"

func compiled(s schemas.Schema) (*jsonschema.Schema, error) {
	out, err := compile(s)
	if err != nil {
		return nil, fmt.Errorf("schema id %d is damaged: %w", s.ID, err)
	}
	return out, nil
}

func compile(s schemas.Schema) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(s.Text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(references(s.Refs))
	if err := c.AddResource(base+"schema", doc); err != nil {
		return nil, err
	}
	return c.Compile(base + "schema")
}

// references loads the schemas that one refers to from the registry, and nothing from
// files and the web.
type references []schemas.Schema

func (refs references) Load(url string) (any, error) {
	for _, ref := range refs {
		if url == ref.Name || strings.HasSuffix(url, "/"+ref.Name) {
			return jsonschema.UnmarshalJSON(strings.NewReader(ref.Text))
		}
	}
	return nil, fmt.Errorf("the schema has no reference %s in the registry", strings.TrimPrefix(url, base))
}
