package avro_test

import (
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/avro"
	"github.com/millrace/millrace/io/kafka/registry/registrytest"
	"github.com/millrace/millrace/pipeline"
)

type order struct {
	ID    string  `avro:"id"`
	Cents int64   `avro:"cents"`
	Note  *string `avro:"note"`
}

const (
	schemaV1 = `{"type": "record", "name": "Order", "namespace": "com.example", "fields": [
		{"name": "id", "type": "string"}, {"name": "cents", "type": "int"}, {"name": "gone", "type": "double"}]}`
	schemaV2 = `{"type": "record", "name": "Order", "namespace": "com.example", "fields": [
		{"name": "id", "type": "string"}, {"name": "cents", "type": "long"}, {"name": "currency", "type": "string", "default": "EUR"}]}`
)

type orderV1 struct {
	ID    string  `avro:"id"`
	Cents int32   `avro:"cents"`
	Gone  float64 `avro:"gone"`
}

type orderV2 struct {
	ID       string `avro:"id"`
	Cents    int64  `avro:"cents"`
	Currency string `avro:"currency"`
}

// encode is the record that is written to topic orders.
func encode[T any](t *testing.T, f kafka.Format[T], v T) *kafka.Record {
	t.Helper()
	require.NoError(t, f.Err)
	r := &kafka.Record{Topic: "orders"}
	require.NoError(t, f.Encode(v, r))
	return r
}

func idOf(r *kafka.Record) int { return int(binary.BigEndian.Uint32(r.Value[1:])) }

func TestFormat_roundTrip(t *testing.T) {
	reg := registrytest.New(t)
	note := "a note"
	f := avro.Format[order](reg.URL(), registry.Register())
	for _, want := range []order{{"a", 1, nil}, {"", -1 << 60, &note}} {
		r := encode(t, f, want)
		got, err := f.Decode(r)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	assert.Equal(t, 1, reg.Schemas("orders-value"))

	p := avro.Format[*order](reg.URL())
	r := encode(t, p, nil)
	assert.Nil(t, r.Value, "a tombstone")
	got, err := p.Decode(r)
	require.NoError(t, err)
	assert.Nil(t, got)
	got, err = p.Decode(encode(t, p, &order{ID: "b"}))
	require.NoError(t, err)
	assert.Equal(t, &order{ID: "b"}, got)
	_, err = f.Decode(r)
	require.ErrorIs(t, err, kafka.ErrTombstone)
}

// Goal: what an old program wrote is read by a new schema, and by a struct without one.
func TestFormat_evolution(t *testing.T) {
	reg := registrytest.New(t)
	old := avro.Format[orderV1](reg.URL(), registry.Schema(schemaV1), registry.Register())
	r := encode(t, old, orderV1{"a", 7, 1.5})

	got, err := avro.Format[orderV2](reg.URL(), registry.Schema(schemaV2)).Decode(r)
	require.NoError(t, err)
	assert.Equal(t, orderV2{"a", 7, "EUR"}, got)

	byStruct, err := avro.Format[orderV2](reg.URL()).Decode(r)
	require.NoError(t, err)
	assert.Equal(t, orderV2{"a", 7, ""}, byStruct)

	asAny, err := avro.Format[any](reg.URL()).Decode(r)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"id": "a", "cents": int32(7), "gone": 1.5}, asAny)

	reg.SetCompatibility("orders-value", "NONE")
	other := strings.Replace(schemaV2, `"type": "long"`, `"type": "string"`, 1)
	_, err = avro.Format[orderV2](reg.URL(), registry.Schema(other)).Decode(r)
	require.ErrorContains(t, err, "what was written by schema id 1 can't be read by the schema of registry.Schema: ")
	require.ErrorContains(t, err, "cents")
}

func TestFormat_references(t *testing.T) {
	reg := registrytest.New(t)
	reg.Register("money", registrytest.Avro, `{"type": "record", "name": "Money", "fields": [{"name": "cents", "type": "long"}]}`)
	reg.Register("orders-value", registrytest.Avro, `{"type": "record", "name": "Order", "fields": [{"name": "price", "type": "Money"}]}`,
		registrytest.Reference{Name: "Money", Subject: "money", Version: 1})
	type money struct {
		Cents int64 `avro:"cents"`
	}
	type priced struct {
		Price money `avro:"price"`
	}
	f := avro.Format[priced](reg.URL(), registry.Latest())
	got, err := f.Decode(encode(t, f, priced{money{3}}))
	require.NoError(t, err)
	assert.Equal(t, priced{money{3}}, got)
}

// Goal: the schema to write by is the one that the options say, in the subject that they
// say.
func TestFormat_subjects(t *testing.T) {
	reg := registrytest.New(t)
	id1 := reg.Register("orders-value", registrytest.Avro, schemaV1)
	reg.SetCompatibility("orders-value", "NONE")
	id2 := reg.Register("orders-value", registrytest.Avro, schemaV2)

	assert.Equal(t, id1, idOf(encode(t, avro.Format[orderV1](reg.URL(), registry.Schema(schemaV1)), orderV1{})))
	assert.Equal(t, id2, idOf(encode(t, avro.Format[orderV2](reg.URL(), registry.Latest()), orderV2{})))
	encode(t, avro.Format[orderV2](reg.URL(), registry.Schema(schemaV2), registry.Register(), registry.Subject(registry.ByRecord)), orderV2{})
	encode(t, avro.Format[orderV2](reg.URL(), registry.Schema(schemaV2), registry.Register(), registry.Subject(registry.ByTopicAndRecord)), orderV2{})
	assert.Equal(t, 1, reg.Schemas("com.example.Order"))
	assert.Equal(t, 1, reg.Schemas("orders-com.example.Order"))

	key := avro.Format[string](reg.URL(), registry.Schema(`"string"`), registry.Register(), registry.ForKey())
	kv := kafka.KeyValue(key, avro.Format[orderV1](reg.URL(), registry.Schema(schemaV1)))
	want := pipeline.KV[string, orderV1]{Key: "k", Value: orderV1{ID: "a"}}
	got, err := kv.Decode(encode(t, kv, want))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, 1, reg.Schemas("orders-key"))
}

// Goal: the registry is asked once for what does not change.
func TestFormat_remembers(t *testing.T) {
	reg := registrytest.New(t)
	f := avro.Format[order](reg.URL(), registry.Register())
	r := encode(t, f, order{ID: "a"})
	_, err := f.Decode(r)
	require.NoError(t, err)
	before := reg.Requests()
	unknown := &kafka.Record{Value: []byte{0, 0, 0, 1, 0, 7}}
	for range 100 {
		encode(t, f, order{ID: "a"})
		_, err := f.Decode(r)
		require.NoError(t, err)
		_, err = f.Decode(unknown)
		require.Error(t, err)
	}
	assert.Equal(t, before+1, reg.Requests())
}

// Goal: each error says what was wrong, and only outages are no fault of the record's.
func TestFormat_sentences(t *testing.T) {
	reg := registrytest.New(t)
	address := reg.URL()
	f := avro.Format[orderV1](address, registry.Schema(schemaV1), registry.Register(), registry.Timeout(time.Second))
	good := encode(t, f, orderV1{ID: "abc"})
	bad := func(value []byte, want string) {
		t.Helper()
		_, err := f.Decode(&kafka.Record{Value: value})
		require.ErrorContains(t, err, want)
		_, out := errors.AsType[*kafka.Outage](err)
		assert.False(t, out)
	}
	bad([]byte(`{"id": 1}`), "the value was not written with a schema registry: it begins with 0x7b, not with 0")
	bad([]byte{0, 0}, "the value was not written with a schema registry: it has but 2 bytes")
	bad([]byte{0, 0, 0, 0, 99}, "schema id 99: the schema registry at "+address+" does not know it: ")
	bad(good.Value[:7], "schema id 1: ")
	bad(append(good.Value, 1, 2), "schema id 1: 2 bytes are left behind the value")
	reg.Register("json", registrytest.JSON, `{}`)
	bad([]byte{0, 0, 0, 0, 2}, "schema id 2 is for JSON, not for AVRO")

	r := &kafka.Record{Topic: "orders"}
	incompatible := strings.Replace(schemaV1, `"int"`, `"string"`, 1)
	err := avro.Format[any](address, registry.Schema(incompatible), registry.Register()).Encode(map[string]any{}, r)
	require.ErrorContains(t, err, "register the schema in subject orders-value: the schema registry at "+address+" says that it is not compatible: ")
	err = avro.Format[orderV2](address, registry.Schema(schemaV2)).Encode(orderV2{}, &kafka.Record{Topic: "new"})
	require.ErrorContains(t, err, "look up the schema in subject new-value: the schema registry at "+address+" does not know it: ")
	require.ErrorContains(t, err, "(registry.Register registers it)")
	require.ErrorContains(t, avro.Format[any](address).Encode(1, r), "interface {} makes no schema, want registry.Schema or registry.Latest: ")
	require.ErrorContains(t, f.Encode(orderV1{}, &kafka.Record{}), `the subject of records "com.example.Order" for topic "" has no name`)
}

func TestFormat_outages(t *testing.T) {
	outage := func(url, want string, opts ...registry.Option) {
		t.Helper()
		f := avro.Format[order](url, append(opts, registry.Timeout(50*time.Millisecond))...)
		require.NoError(t, f.Err)
		_, err := f.Decode(&kafka.Record{Value: []byte{0, 0, 0, 0, 1, 0}})
		require.ErrorContains(t, err, want)
		_, out := errors.AsType[*kafka.Outage](err)
		assert.True(t, out, err)
		assert.NotContains(t, err.Error(), "secret")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().String()
	require.NoError(t, l.Close())
	outage("http://user:secret@"+nobody, "schema id 1: the schema registry at http://"+nobody+" does not answer: ")

	reg := registrytest.NewWithLogin(t, "user", "secret")
	outage(strings.Replace(reg.URL(), "secret", "other", 1), " refuses us: forbidden: check user and password")
	outage(strings.Replace(reg.URL(), "user:secret@", "", 1), " refuses us: unauthorized")
	outage(reg.URL()+"/elsewhere", "there is no schema registry at ")
	reg.Down(true)
	outage(reg.URL(), " fails: service unavailable: the registry is down")
}

// Goal: an outage is waited out, and not remembered.
func TestFormat_registryComesBack(t *testing.T) {
	reg := registrytest.NewWithLogin(t, "user", "secret")
	f := avro.Format[order](reg.URL(), registry.Register(), registry.Timeout(50*time.Millisecond))
	reg.Down(true)
	require.Error(t, f.Encode(order{}, &kafka.Record{Topic: "orders"}))
	reg.Down(false)
	encode(t, f, order{})

	patient := avro.Format[order](reg.URL(), registry.Timeout(time.Minute))
	reg.Down(true)
	asked := reg.Requests()
	done := make(chan error)
	go func() { done <- patient.Encode(order{}, &kafka.Record{Topic: "orders"}) }()
	require.Eventually(t, func() bool { return reg.Requests() > asked }, 10*time.Second, time.Millisecond)
	reg.Down(false)
	require.NoError(t, <-done)
}

func TestFormat_whatCannotBe(t *testing.T) {
	const url = "http://localhost:8081"
	for want, f := range map[string]kafka.Format[order]{
		"avro.Format: want the schema registry's URL as http://host:8081": avro.Format[order]("kafka://user:secret@x"),
		"the schema registry's URL has parameters":                        avro.Format[order](url + "?a=secret"),
		"registry.BasicAuth is given, and the URL has a user, too":        avro.Format[order]("http://a:secret@x", registry.BasicAuth("a", "secret")),
		"registry.Token is given, and a user, too":                        avro.Format[order]("http://a:secret@x", registry.Token("secret")),
		"registry.Register is given, and Latest, too":                     avro.Format[order](url, registry.Register(), registry.Latest()),
		"registry.Schema is given, and Latest, too":                       avro.Format[order](url, registry.Schema(schemaV1), registry.Latest()),
		"registry.Timeout is -1s":                                         avro.Format[order](url, registry.Timeout(-time.Second)),
		"registry.Schema: ":                                               avro.Format[order](url, registry.Schema("{")),
		"an option is nil":                                                avro.Format[order](url, nil),
	} {
		require.ErrorContains(t, f.Err, want)
		assert.NotContains(t, f.Err.Error(), "secret")
	}
}

// Goal: what a record costs beside what is in it.
func TestFormat_allocations(t *testing.T) {
	reg := registrytest.New(t)
	f := avro.Format[orderV1](reg.URL(), registry.Schema(schemaV1), registry.Register())
	r := encode(t, f, orderV1{"abc", 1, 2})
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = f.Decode(r) }), 2.0, "the struct and its string")
	room := make([]byte, 0, 100)
	w := &kafka.Record{Topic: "orders"}
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { w.Value = room; _ = f.Encode(orderV1{"abc", 1, 2}, w) }), 1.0, "the struct")
}

func FuzzDecode(f *testing.F) {
	reg := registrytest.New(f)
	id := reg.Register("orders-value", registrytest.Avro, schemaV1)
	f.Add([]byte{0, 0, 0, 0, byte(id), 2, 'a', 14, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 0, byte(id)})
	format := avro.Format[orderV2](reg.URL(), registry.Schema(schemaV2))
	f.Fuzz(func(t *testing.T, value []byte) {
		v, err := format.Decode(&kafka.Record{Value: value})
		if err == nil {
			require.Equal(t, "EUR", v.Currency)
		}
	})
}
