package protobuf

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/internal/schemas"
	"github.com/millrace/millrace/io/kafka/registry/registrytest"
)

func encode[T any](t *testing.T, f kafka.Format[T], v T) *kafka.Record {
	t.Helper()
	require.NoError(t, f.Err)
	r := &kafka.Record{Topic: "orders"}
	require.NoError(t, f.Encode(v, r))
	return r
}

func idOf(r *kafka.Record) int { return int(binary.BigEndian.Uint32(r.Value[1:])) }

// same compares messages, which can't be compared by testify.
func same(t *testing.T, want, got proto.Message) {
	t.Helper()
	assert.True(t, proto.Equal(want, got), "%v is not %v", got, want)
}

func TestFormat_roundTrip(t *testing.T) {
	reg := registrytest.New(t)
	f := Format[*wrapperspb.StringValue](reg.URL(), registry.Register())
	r := encode(t, f, wrapperspb.String("a"))
	assert.Equal(t, []byte{2, 14}, r.Value[5:7], "the seventh message behind the first of its file")
	got, err := f.Decode(r)
	require.NoError(t, err)
	same(t, wrapperspb.String("a"), got)

	assert.Nil(t, encode(t, f, nil).Value, "a tombstone")
	got, err = f.Decode(&kafka.Record{})
	require.NoError(t, err)
	assert.Nil(t, got)

	nested := Format[*descriptorpb.DescriptorProto_ReservedRange](reg.URL(), registry.Register(), registry.Subject(registry.ByRecord))
	want := &descriptorpb.DescriptorProto_ReservedRange{Start: proto.Int32(3)}
	r = encode(t, nested, want)
	back, err := nested.Decode(r)
	require.NoError(t, err)
	same(t, want, back)
	assert.Equal(t, 1, reg.Schemas("google.protobuf.DescriptorProto.ReservedRange"))

	first := Format[*wrapperspb.DoubleValue](reg.URL())
	r = encode(t, first, wrapperspb.Double(0.5))
	assert.Zero(t, r.Value[5], "the first message is a zero byte")
	r.Value = append(append(append([]byte(nil), r.Value[:5]...), 2, 0), r.Value[6:]...)
	half, err := first.Decode(r)
	require.NoError(t, err, "the long form of the zero byte")
	same(t, wrapperspb.Double(0.5), half)
}

// compile is a message of sources.
func compile(t *testing.T, name protoreflect.FullName, sources map[string]string) protoreflect.MessageType {
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(sources)})}
	files, err := c.Compile(t.Context(), "orders.proto")
	require.NoError(t, err)
	d := files[0].FindDescriptorByName(name)
	require.NotNil(t, d)
	return dynamicpb.NewMessageType(d.(protoreflect.MessageDescriptor))
}

func formatOf(t *testing.T, m protoreflect.MessageType, reg *registrytest.Registry, opts ...registry.Option) kafka.Format[*dynamicpb.Message] {
	client, err := schemas.New(reg.URL(), opts)
	require.NoError(t, err)
	return codecOf[*dynamicpb.Message](client, m).format()
}

const money = `syntax = "proto3"; package example; message Money { int64 cents = 1; }`

// Goal: a writer with another file, more messages and fewer fields is read; the files
// that a file imports are registered before it.
func TestFormat_evolution(t *testing.T) {
	reg := registrytest.New(t)
	v1 := compile(t, "example.Order", map[string]string{"orders.proto": `syntax = "proto3"; package example;
		message Order { string id = 1; bool gone = 3; }`})
	v2 := compile(t, "example.Order", map[string]string{"money.proto": money, "orders.proto": `syntax = "proto3"; package example;
		import "google/protobuf/timestamp.proto"; import "money.proto";
		message Payment { string id = 1; }
		message Order { string id = 1; Money price = 2; google.protobuf.Timestamp at = 4; }`})
	f1, f2 := formatOf(t, v1, reg, registry.Register()), formatOf(t, v2, reg, registry.Register())
	set := func(m protoreflect.MessageType) *dynamicpb.Message {
		msg := m.New()
		msg.Set(m.Descriptor().Fields().ByName("id"), protoreflect.ValueOfString("a"))
		return msg.Interface().(*dynamicpb.Message)
	}
	r1, r2 := encode(t, f1, set(v1)), encode(t, f2, set(v2))
	assert.Equal(t, []byte{0}, r1.Value[5:6])
	assert.Equal(t, []byte{2, 2}, r2.Value[5:7])
	assert.Equal(t, 1, reg.Schemas("money.proto"))
	assert.Equal(t, 2, reg.Schemas("orders-value"))
	for _, f := range []struct {
		kafka.Format[*dynamicpb.Message]
		m protoreflect.MessageType
	}{{f1, v1}, {f2, v2}} {
		for _, r := range []*kafka.Record{r1, r2} {
			got, err := f.Decode(r)
			require.NoError(t, err)
			same(t, set(f.m), got)
		}
	}

	payment := compile(t, "example.Payment", map[string]string{"orders.proto": `syntax = "proto3"; package example; message Payment { string id = 1; }`})
	_, err := formatOf(t, payment, reg).Decode(r1)
	require.EqualError(t, err, "schema id 1 has no message example.Payment")
	_, err = formatOf(t, payment, reg).Decode(r2)
	require.EqualError(t, err, "schema id 3: the value is a message example.Order, not example.Payment")
}

// Goal: schemas as text, as other writers register them.
func TestFormat_text(t *testing.T) {
	reg := registrytest.New(t)
	const text = `syntax = "proto3";
		package google.protobuf; // not where we have it
		message Other {}
		message Outer { message Inner {} }
		message StringValue { string value = 1; }`
	id := reg.Register("orders-value", registrytest.Protobuf, text)
	for _, o := range []registry.Option{registry.Latest(), registry.Schema(text)} {
		f := Format[*wrapperspb.StringValue](reg.URL(), o)
		r := encode(t, f, wrapperspb.String("a"))
		assert.Equal(t, id, idOf(r))
		assert.Equal(t, []byte{2, 4}, r.Value[5:7])
		got, err := f.Decode(r)
		require.NoError(t, err)
		same(t, wrapperspb.String("a"), got)
	}
}

func TestFormat_sentences(t *testing.T) {
	reg := registrytest.New(t)
	f := Format[*wrapperspb.StringValue](reg.URL(), registry.Register())
	good := encode(t, f, wrapperspb.String("a"))
	damaged := reg.Register("damaged", registrytest.Protobuf, "message {")
	foreign := reg.Register("json", registrytest.JSON, "{}")
	for want, value := range map[string][]byte{
		"it begins with 0x01, not with 0": {1, 0, 0, 0, 1, 0},
		"schema id 1: the value is a message google.protobuf.DoubleValue, not google.protobuf.StringValue": {0, 0, 0, 0, 1, 0},
		"schema id 1: the value's message indexes are of no message in the schema":                         {0, 0, 0, 0, 1, 2, 100},
		"schema id 1: the value's message indexes are damaged":                                             {0, 0, 0, 0, 1},
		"cannot parse invalid wire-format data":                                                            append(good.Value[:7:7], 0xff),
		"schema id 2 is damaged: ":                                                                         {0, 0, 0, 0, byte(damaged), 0},
		"is for JSON, not for PROTOBUF":                                                                    {0, 0, 0, 0, byte(foreign), 0},
	} {
		_, err := f.Decode(&kafka.Record{Value: value})
		require.ErrorContains(t, err, want)
		_, out := errors.AsType[*kafka.Outage](err)
		assert.False(t, out)
	}
	require.ErrorContains(t, Format[proto.Message]("http://x").Err, "protobuf.Format: protoreflect.ProtoMessage is no message that was generated: want one as *pb.Order")
	require.ErrorContains(t, Format[*dynamicpb.Message]("http://x").Err, "*dynamicpb.Message is no message that was generated")
	require.ErrorContains(t, Format[*wrapperspb.StringValue]("").Err, "want the schema registry's URL")
}

func TestFormat_allocations(t *testing.T) {
	reg := registrytest.New(t)
	f := Format[*wrapperspb.StringValue](reg.URL(), registry.Register())
	r := encode(t, f, wrapperspb.String("abc"))
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = f.Decode(r) }), 2.0, "the message and its string")
	room, v := make([]byte, 0, 100), wrapperspb.String("abc")
	w := &kafka.Record{Topic: "orders"}
	assert.Zero(t, testing.AllocsPerRun(100, func() { w.Value = room; _ = f.Encode(v, w) }))
}

func FuzzDecode(f *testing.F) {
	reg := registrytest.New(f)
	format := Format[*wrapperspb.StringValue](reg.URL(), registry.Register())
	r := &kafka.Record{Topic: "orders"}
	require.NoError(f, format.Encode(wrapperspb.String("abc"), r))
	f.Add(r.Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		_, _ = format.Decode(&kafka.Record{Value: value})
	})
}

func FuzzParse(f *testing.F) {
	f.Add(money, "a.b")
	f.Add("message A { message B {} }", "A.B")
	f.Fuzz(func(t *testing.T, text, name string) {
		file, err := parse(text)
		if err != nil {
			return
		}
		if path := file.path(protoreflect.FullName(name)); path != nil {
			require.Equal(t, protoreflect.FullName(name), file.name(path))
		}
	})
}
