// Package avro has values of records in Avro, with a schema registry.
//
//	type Order struct {
//		ID    string `avro:"id"`
//		Cents int64  `avro:"cents"`
//	}
//
//	orders := kafka.Read(p, "kafka://localhost:9092/orders", avro.Format[Order]("http://localhost:8081"))
//
// The library is github.com/twmb/avro, whose struct tags apply.
package avro

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/twmb/avro"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/internal/schemas"
)

// Format has values in Avro. T is a struct, a pointer to one, a type that a schema of
// another kind goes to, or any.
//
// What is read is made to fit the schema that registry.Schema gives, by Avro's rules:
// fields that the writer does not have get their defaults, types are widened, names
// follow aliases. Without it, the struct's fields get what the writer's schema has
// under their names, and the others stay zero.
//
// What is written is written by the schema that registry.Schema gives, or by the latest
// in the registry, or else by the one that github.com/twmb/avro's SchemaFor makes of the
// struct.
func Format[T any](url string, opts ...registry.Option) kafka.Format[T] {
	c, err := newCodec[T](url, opts)
	if err != nil {
		return kafka.Format[T]{Name: "avro", Err: fmt.Errorf("avro.Format: %w", err)}
	}
	return kafka.Tombstones(kafka.Format[T]{Name: "avro", Decode: c.decode, Encode: c.encode})
}

const kind = "AVRO"

// decodeOpts: fields that T does not have are passed over.
var decodeOpts = []avro.Opt{avro.SkipUnknown()}

// codec is a format's state.
type codec[T any] struct {
	client *schemas.Client
	fixed  *avro.Schema // that the options give; nil is none
	own    *avro.Schema // to write by; nil is none, and noOwn says why
	noOwn  error
	byID   *schemas.Cache[int, *avro.Schema] // that read values of the id
	writes *schemas.Cache[string, target]    // by topic
}

// target is what a topic is written by.
type target struct {
	id     int
	schema *avro.Schema
}

func newCodec[T any](url string, opts []registry.Option) (*codec[T], error) {
	client, err := schemas.New(url, opts)
	if err != nil {
		return nil, err
	}
	c := &codec[T]{client: client}
	if client.Schema == "" {
		c.own, c.noOwn = avro.SchemaFor[T]()
	} else if c.fixed, err = avro.Parse(client.Schema); err != nil {
		return nil, fmt.Errorf("registry.Schema: %w", err)
	} else {
		c.own = c.fixed
	}
	c.byID = schemas.NewCache(c.reader)
	c.writes = schemas.NewCache(c.target)
	return c, nil
}

// reader makes the schema that reads what was written by the one of that id.
func (c *codec[T]) reader(id int) (*avro.Schema, error) {
	s, err := c.client.ByID(id, kind)
	if err != nil {
		return nil, err
	}
	writer, err := parse(s)
	if err != nil {
		return nil, err
	}
	if c.fixed == nil {
		return writer, nil
	}
	resolved, err := avro.Resolve(writer, c.fixed)
	if err != nil {
		return nil, fmt.Errorf("what was written by schema id %d can't be read by the schema of registry.Schema: %w", id, err)
	}
	return resolved, nil
}

// target looks up, or registers, the schema for a topic.
func (c *codec[T]) target(topic string) (target, error) {
	own := schemas.Own{Type: kind}
	if c.own != nil {
		own.Text, own.Record = c.own.String(), fullName(c.own)
	} else if !c.client.Latest {
		return target{}, fmt.Errorf("%v makes no schema, want registry.Schema or registry.Latest: %w", reflect.TypeFor[T](), c.noOwn)
	}
	s, err := c.client.ToWrite(topic, own)
	if err != nil || !c.client.Latest {
		return target{s.ID, c.own}, err
	}
	latest, err := parse(s)
	return target{s.ID, latest}, err
}

func (c *codec[T]) decode(r *kafka.Record) (v T, err error) {
	id, value, err := schemas.CutID(r.Value)
	if err != nil {
		return v, err
	}
	s, err := c.byID.Get(id)
	if err != nil {
		return v, err
	}
	rest, err := s.Decode(value, &v, decodeOpts...)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes are left behind the value", len(rest))
	}
	if err != nil {
		return v, fmt.Errorf("schema id %d: %w", id, err)
	}
	return v, nil
}

func (c *codec[T]) encode(v T, r *kafka.Record) error {
	t, err := c.writes.Get(r.Topic)
	if err != nil {
		return err
	}
	b, err := t.schema.AppendEncode(schemas.AppendID(r.Value[:0], t.id), &v)
	if err != nil {
		return fmt.Errorf("schema id %d: %w", t.id, err)
	}
	r.Value = b
	return nil
}

// parse is the schema with all that it refers to.
func parse(s schemas.Schema) (*avro.Schema, error) {
	var names avro.SchemaCache
	for _, ref := range s.Refs {
		if _, err := names.Parse(ref.Text); err != nil {
			return nil, fmt.Errorf("schema id %d refers to %s, which is damaged: %w", s.ID, ref.Name, err)
		}
	}
	out, err := names.Parse(s.Text)
	if err != nil {
		return nil, fmt.Errorf("schema id %d is damaged: %w", s.ID, err)
	}
	return out, nil
}

func fullName(s *avro.Schema) string {
	root := s.Root()
	if root.Namespace == "" || strings.Contains(root.Name, ".") {
		return root.Name
	}
	return root.Namespace + "." + root.Name
}
