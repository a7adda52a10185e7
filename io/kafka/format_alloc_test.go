//go:build !race

package kafka_test // without -race: pools then forget on purpose

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
)

// Goal: what each format allocates for a record, at most.
func TestFormats_allocations(t *testing.T) {
	const runs = 200
	budget := func(name string, max float64, f func() error) {
		t.Helper()
		require.NoError(t, f())
		assert.LessOrEqual(t, testing.AllocsPerRun(runs, func() { _ = f() }), max, name)
	}
	key, value := make([]byte, 0, 100), make([]byte, 0, 1000)
	var w kafka.Record
	room := func() *kafka.Record { w = kafka.Record{Key: key, Value: value}; return &w }
	decode := func(text string) *kafka.Record { return &kafka.Record{Key: []byte("key"), Value: []byte(text)} }

	r := decode(`{"id":"abc","cents":12,"note":"x"}`)
	budget("bytes, read", 0, func() error { _, err := kafka.Bytes().Decode(r); return err })
	str := kafka.String()
	budget("string, read", 1, func() error { _, err := str.Decode(r); return err })
	budget("string, written", 0, func() error { return str.Encode("abc", room()) })
	records := kafka.Records()
	budget("record, read", 1, func() error { _, err := records.Decode(r); return err })
	budget("record, written", 0, func() error { return records.Encode(*r, room()) })
	withHeaders := *r
	for i := range 5 {
		withHeaders.Headers = append(withHeaders.Headers, kafka.Header{Key: fmt.Sprint("header ", i), Value: []byte("v")})
	}
	budget("record with headers, read", 3, func() error { _, err := records.Decode(&withHeaders); return err })
	kv := kafka.KeyValue(str, kafka.Bytes())
	budget("key and value, read", 1, func() error { _, err := kv.Decode(r); return err })
	one := pipeline.KV[string, []byte]{Key: "k", Value: []byte("v")}
	budget("key and value, written", 0, func() error { return kv.Encode(one, room()) })
	keyed := kafka.WithKey(kafka.Bytes(), func(b []byte) string { return "key" })
	budget("bytes with a key, written", 0, func() error { return keyed.Encode(one.Value, room()) })

	js := kafka.JSON[order]()
	unmarshal := testing.AllocsPerRun(runs, func() {
		var o order
		_ = json.Unmarshal(r.Value, &o)
	})
	budget("json, read", unmarshal, func() error { _, err := js.Decode(r); return err })
	budget("json, written", 0, func() error { return js.Encode(order{ID: "abc", Note: "x"}, room()) })
	cs := kafka.CSV[order]()
	c := decode(`abc,12,"x,y"`)
	budget("csv, read", 1, func() error { _, err := cs.Decode(c); return err })
	budget("csv, written", 1, func() error { return cs.Encode(order{ID: "abc", Cents: 1, Note: "x,y"}, room()) })
}
