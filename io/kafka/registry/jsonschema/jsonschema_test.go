package jsonschema_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/jsonschema"
	"github.com/millrace/millrace/io/kafka/registry/registrytest"
)

type order struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

const schema = `{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Order", "type": "object",
	"properties": {"id": {"type": "string", "minLength": 1}, "cents": {"type": "integer", "minimum": 0}},
	"required": ["id", "cents"]}`

func encode[T any](t *testing.T, f kafka.Format[T], v T) *kafka.Record {
	t.Helper()
	require.NoError(t, f.Err)
	r := &kafka.Record{Topic: "orders", Value: make([]byte, 0, 1000)}
	require.NoError(t, f.Encode(v, r))
	return r
}

func TestFormat_roundTrip(t *testing.T) {
	reg := registrytest.New(t)
	f := jsonschema.Format[order](reg.URL(), registry.Schema(schema), registry.Register())
	r := encode(t, f, order{"a", 1 << 60})
	assert.Equal(t, "\x00\x00\x00\x00\x01"+`{"id":"a","cents":1152921504606846976}`, string(r.Value))
	for _, reader := range []kafka.Format[order]{f, jsonschema.Format[order](reg.URL())} {
		got, err := reader.Decode(r)
		require.NoError(t, err)
		assert.Equal(t, order{"a", 1 << 60}, got)
		assert.Equal(t, byte(0), r.Value[0], "the record is as it was")
	}
	latest := jsonschema.Format[*order](reg.URL(), registry.Latest())
	assert.Equal(t, r.Value, encode(t, latest, &order{"a", 1 << 60}).Value)
	assert.Nil(t, encode(t, latest, nil).Value, "a tombstone")
	got, err := latest.Decode(&kafka.Record{})
	require.NoError(t, err)
	assert.Nil(t, got)

	encode(t, jsonschema.Format[order](reg.URL(), registry.Schema(schema), registry.Register(), registry.Subject(registry.ByRecord)), order{"a", 1})
	assert.Equal(t, 1, reg.Schemas("Order"))
}

func TestFormat_references(t *testing.T) {
	reg := registrytest.New(t)
	reg.Register("money", registrytest.JSON, `{"type": "integer", "minimum": 5}`)
	for _, id := range []string{"", `"$id": "https://example.com/schemas/order.json",`} {
		subject := "orders" + id + "-value"
		reg.Register(subject, registrytest.JSON, `{`+id+`"properties": {"cents": {"$ref": "money.json"}}}`,
			registrytest.Reference{Name: "money.json", Subject: "money", Version: 1})
		f := jsonschema.Format[order](reg.URL(), registry.Latest(), registry.Subject(func(string, string, bool) string { return subject }))
		encode(t, f, order{"a", 5})
		require.EqualError(t, f.Encode(order{"a", 4}, &kafka.Record{}), "the value does not fit its schema: at '/cents': minimum: got 4, want 5")
	}
}

func TestFormat_sentences(t *testing.T) {
	reg := registrytest.New(t)
	f := jsonschema.Format[order](reg.URL(), registry.Schema(schema), registry.Register())
	encode(t, f, order{"a", 1})
	reg.Register("avro", registrytest.Avro, `"string"`)
	reg.Register("lost", registrytest.JSON, `{"$ref": "file:///etc/passwd"}`)
	for value, want := range map[string]string{
		`{"id": "a"}`:                         "begins with 0x7b, not with 0",
		"\x00\x00\x00\x00\x01{":               "unexpected EOF",
		"\x00\x00\x00\x00\x01{} {}":           "after top-level value",
		"\x00\x00\x00\x00\x01" + `{"id": ""}`: "the value does not fit its schema: at '': missing property 'cents'; at '/id': minLength: got 0, want 1",
		"\x00\x00\x00\x00\x02" + `{}`:         "schema id 2 is for AVRO, not for JSON",
		"\x00\x00\x00\x00\x09" + `{}`:         "schema id 9: the schema registry at " + reg.URL() + " does not know it: ",
	} {
		_, err := f.Decode(&kafka.Record{Value: []byte(value)})
		require.ErrorContains(t, err, want)
		_, out := errors.AsType[*kafka.Outage](err)
		assert.False(t, out)
	}
	_, err := jsonschema.Format[order](reg.URL()).Decode(&kafka.Record{Value: []byte("\x00\x00\x00\x00\x03{}")})
	require.ErrorContains(t, err, "schema id 3 is damaged: ")
	require.ErrorContains(t, err, "the schema has no reference file:///etc/passwd in the registry")
	_, err = f.Decode(&kafka.Record{})
	require.ErrorIs(t, err, kafka.ErrTombstone)

	r := &kafka.Record{Topic: "orders"}
	require.ErrorContains(t, f.Encode(order{"a", -1}, r), "the value does not fit its schema: at '/cents': minimum: got -1, want 0")
	require.ErrorContains(t, jsonschema.Format[order](reg.URL()).Encode(order{}, r), "jsonschema_test.order has no schema of its own: want registry.Schema or registry.Latest")
	require.ErrorContains(t, jsonschema.Format[order](reg.URL(), registry.Schema("{")).Err, "jsonschema.Format: registry.Schema: ")
	require.ErrorContains(t, jsonschema.Format[order]("x").Err, "want the schema registry's URL")
}

func FuzzDecode(f *testing.F) {
	reg := registrytest.New(f)
	reg.Register("orders-value", registrytest.JSON, schema)
	f.Add([]byte("\x00\x00\x00\x00\x01" + `{"id":"a","cents":1}`))
	f.Add([]byte("\x00\x00\x00\x00\x01[]"))
	format := jsonschema.Format[order](reg.URL())
	f.Fuzz(func(t *testing.T, value []byte) {
		v, err := format.Decode(&kafka.Record{Value: value})
		if err == nil {
			require.GreaterOrEqual(t, v.Cents, int64(0))
			require.True(t, json.Valid(value[5:]))
		}
	})
}
