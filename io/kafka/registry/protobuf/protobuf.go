// Package protobuf has values of records in Protocol Buffers, with a schema registry.
//
//	orders := kafka.Read(p, "kafka://localhost:9092/orders", protobuf.Format[*pb.Order]("http://localhost:8081"))
package protobuf

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/internal/schemas"
)

// Format has values as messages; T is a generated type, as *pb.Order. A tombstone is nil.
//
// What is read has to be a message of T's full name, by the writer's schema in the
// registry; fields are matched by number, as Protocol Buffers do it, so that schemas may
// evolve without more.
//
// What is written is registered, or looked up, as the message's file, and the files that
// it imports as subjects of their paths; the registry has google/protobuf itself. They
// are sent as descriptors, in base64. For a registry that only takes text,
// registry.Schema gives the text of the message's file.
func Format[T proto.Message](url string, opts ...registry.Option) kafka.Format[T] {
	c, err := newCodec[T](url, opts)
	if err != nil {
		return kafka.Format[T]{Name: "protobuf", Err: fmt.Errorf("protobuf.Format: %w", err)}
	}
	return c.format()
}

const kind = "PROTOBUF"

// codec is a format's state.
type codec[T proto.Message] struct {
	client  *schemas.Client
	message protoreflect.MessageType
	byID    *schemas.Cache[int, writer]
	heads   *schemas.Cache[string, []byte] // how values begin, by topic
}

func newCodec[T proto.Message](url string, opts []registry.Option) (*codec[T], error) {
	client, err := schemas.New(url, opts)
	if err != nil {
		return nil, err
	}
	var none T
	_, dynamic := any(none).(*dynamicpb.Message)
	if reflect.TypeFor[T]().Kind() != reflect.Pointer || dynamic {
		return nil, fmt.Errorf("%v is no message that was generated: want one as *pb.Order", reflect.TypeFor[T]())
	}
	return codecOf[T](client, none.ProtoReflect().Type()), nil
}

func codecOf[T proto.Message](client *schemas.Client, m protoreflect.MessageType) *codec[T] {
	c := &codec[T]{client: client, message: m}
	c.byID = schemas.NewCache(c.writer)
	c.heads = schemas.NewCache(c.head)
	return c
}

func (c *codec[T]) format() kafka.Format[T] {
	return kafka.Tombstones(kafka.Format[T]{Name: "protobuf", Decode: c.decode, Encode: c.encode})
}

func (c *codec[T]) name() protoreflect.FullName { return c.message.Descriptor().FullName() }

// writer is where a writer's schema has our message.
type writer struct {
	file *file
	path []byte // as values have it
}

func (c *codec[T]) writer(id int) (writer, error) {
	s, err := c.client.ByID(id, kind)
	if err != nil {
		return writer{}, err
	}
	return c.find(s)
}

func (c *codec[T]) find(s schemas.Schema) (writer, error) {
	f, err := parse(s.Text)
	if err != nil {
		return writer{}, fmt.Errorf("schema id %d is damaged: %w", s.ID, err)
	}
	path := f.path(c.name())
	if path == nil {
		return writer{}, fmt.Errorf("schema id %d has no message %s", s.ID, c.name())
	}
	return writer{f, schemas.AppendPath(nil, path)}, nil
}

// head looks up, or registers, the schema for a topic.
func (c *codec[T]) head(topic string) (_ []byte, err error) {
	own := schemas.Own{Type: kind, Record: string(c.name()), Text: c.client.Schema}
	if !c.client.Latest {
		text, refs, err := describe(c.client, c.message.Descriptor().ParentFile())
		if err != nil {
			return nil, err
		}
		own.Refs = refs
		if own.Text == "" {
			own.Text = text
		}
	}
	s, err := c.client.ToWrite(topic, own)
	if err != nil {
		return nil, err
	}
	w, err := c.find(s)
	return append(schemas.AppendID(nil, s.ID), w.path...), err
}

func (c *codec[T]) decode(r *kafka.Record) (T, error) {
	var none T
	id, value, err := schemas.CutID(r.Value)
	if err != nil {
		return none, err
	}
	w, err := c.byID.Get(id)
	if err != nil {
		return none, err
	}
	if bytes.HasPrefix(value, w.path) {
		value = value[len(w.path):]
	} else if value, err = c.cutPath(w, value); err != nil {
		return none, fmt.Errorf("schema id %d: %w", id, err)
	}
	m := c.message.New().Interface().(T)
	if err := proto.Unmarshal(value, m); err != nil {
		return none, fmt.Errorf("schema id %d: %w", id, err)
	}
	return m, nil
}

// cutPath takes off a path that is not written as we do it, or is another message's.
func (c *codec[T]) cutPath(w writer, value []byte) ([]byte, error) {
	path, rest, err := schemas.CutPath(value)
	if err != nil {
		return nil, err
	}
	switch name := w.file.name(path); name {
	case c.name():
		return rest, nil
	case "":
		return nil, errors.New("the value's message indexes are of no message in the schema")
	default:
		return nil, fmt.Errorf("the value is a message %s, not %s", name, c.name())
	}
}

func (c *codec[T]) encode(m T, r *kafka.Record) error {
	head, err := c.heads.Get(r.Topic)
	if err != nil {
		return err
	}
	b, err := proto.MarshalOptions{}.MarshalAppend(append(r.Value[:0], head...), m)
	if err != nil {
		return err
	}
	r.Value = b
	return nil
}
