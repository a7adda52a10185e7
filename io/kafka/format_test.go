package kafka_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
)

type order struct {
	ID    string `json:"id" csv:"id"`
	Cents int64  `json:"cents" csv:"cents"`
	Note  string `json:"note,omitempty" csv:"note"`
}

// roundTrip encodes and decodes each value, in a record whose memory is used again.
func roundTrip[T any](t *testing.T, f kafka.Format[T], values ...T) {
	t.Helper()
	require.NoError(t, f.Err)
	var got []T
	var key, value []byte
	for _, v := range values {
		w := kafka.Record{Key: key[:0], Value: value[:0]}
		require.NoError(t, f.Encode(v, &w), f.Name)
		r := kafka.Record{Key: clone(w.Key), Value: clone(w.Value), Headers: w.Headers, Time: w.Time}
		back, err := f.Decode(&r)
		require.NoError(t, err, "%s: %q", f.Name, w.Value)
		if !f.Keeps {
			scribble(r.Key)
			scribble(r.Value)
		}
		got = append(got, back)
		key, value = make([]byte, 0, 1000), make([]byte, 0, 1000)
	}
	assert.Equal(t, values, got, f.Name)
}

// clone keeps nil and empty apart.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

func scribble(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

// Goal: what was written is read, and values share no memory with a record unless the
// format says so.
func TestFormats_roundTrip(t *testing.T) {
	orders := []order{{"a", 1, ""}, {"", 0, ""}, {"b <&>", -5, "two\nlines, \"quoted\"\r\n"}, {"ü", 7, strings.Repeat("long ", 2000)}}
	var pointers []*order
	for i := range orders {
		pointers = append(pointers, &orders[i], nil)
	}
	roundTrip(t, kafka.Bytes(), []byte("a"), []byte{}, nil, []byte{0, 255})
	roundTrip(t, kafka.String(), "a", "", "ü\x00\xff")
	roundTrip(t, kafka.JSON[order](), orders...)
	roundTrip(t, kafka.JSON[*order](), pointers...)
	roundTrip(t, kafka.JSON[map[string]int](), map[string]int{"a": 1}, nil)
	roundTrip(t, kafka.JSON[int](), 1, 2)
	roundTrip(t, kafka.CSV[order](), withoutCR(orders)...)
	roundTrip(t, kafka.CSV[*order](), nil, &order{"a", 1, "x"}, nil)
	roundTrip(t, kafka.CSV[order]("note", "more", "id", "cents"), order{"a", 1, "x"})
	roundTrip(t, kafka.CSV[struct{ Only string }](), struct{ Only string }{""}, struct{ Only string }{"x"})
	roundTrip(t, kafka.WithKey(kafka.String(), strings.ToUpper), "a", "")

	type kv = pipeline.KV[string, *order]
	roundTrip(t, kafka.KeyValue(kafka.String(), kafka.JSON[*order]()), kv{Key: "k", Value: pointers[0]}, kv{})
	roundTrip(t, kafka.KeyValue(kafka.JSON[order](), kafka.CSV[order]()), pipeline.KV[order, order]{Key: orders[1], Value: orders[0]})
	roundTrip(t, kafka.KeyValue(kafka.String(), kafka.WithKey(kafka.Bytes(), func([]byte) string { return "not this one" })),
		pipeline.KV[string, []byte]{Key: "key", Value: []byte("value")})
}

// withoutCR is for CSV, which reads line ends as \n.
func withoutCR(orders []order) []order {
	out := append([]order(nil), orders...)
	for i := range out {
		out[i].Note = strings.ReplaceAll(out[i].Note, "\r", "")
	}
	return out
}

func TestRecords_copiesAll(t *testing.T) {
	f := kafka.Records()
	now := time.UnixMilli(1_700_000_000_123)
	for _, want := range []kafka.Record{
		{Topic: "t", Partition: 3, Offset: 9, Time: now, Key: []byte("key"), Value: []byte("value"), Headers: []kafka.Header{{Key: "a", Value: []byte("1")}, {Key: "a"}, {Key: "", Value: []byte{}}}},
		{Topic: "t", Key: []byte{}},
		{},
	} {
		r := want
		r.Key, r.Value = clone(want.Key), clone(want.Value)
		r.Headers = append([]kafka.Header(nil), want.Headers...)
		for i, h := range r.Headers {
			r.Headers[i].Value = clone(h.Value)
		}
		got, err := f.Decode(&r)
		require.NoError(t, err)
		scribble(r.Key)
		scribble(r.Value)
		for _, h := range r.Headers {
			scribble(h.Value)
		}
		clear(r.Headers)
		assert.Equal(t, want, got)
		if cap(got.Key) > 0 {
			_ = append(got.Key, '!')
			assert.Equal(t, want, got, "values don't overlap")
		}

		w := kafka.Record{Topic: "elsewhere", Partition: -1, Time: time.UnixMilli(5)}
		require.NoError(t, f.Encode(got, &w))
		assert.Equal(t, "elsewhere", w.Topic)
		assert.Equal(t, want.Partition, w.Partition)
		if want.Time.IsZero() {
			assert.Equal(t, time.UnixMilli(5), w.Time)
		} else {
			assert.Equal(t, now, w.Time)
		}
		assert.Equal(t, [3]any{want.Key, want.Value, want.Headers}, [3]any{w.Key, w.Value, w.Headers})
	}
}

func TestFormats_write(t *testing.T) {
	write := func(encode func(*kafka.Record) error) kafka.Record {
		var r kafka.Record
		require.NoError(t, encode(&r))
		return r
	}
	assert.Equal(t, kafka.Record{Value: []byte{}}, write(func(r *kafka.Record) error { return kafka.String().Encode("", r) }), "not a tombstone")
	assert.Equal(t, `{"id":"<&>","cents":0}`, string(write(func(r *kafka.Record) error { return kafka.JSON[order]().Encode(order{ID: "<&>"}, r) }).Value))
	assert.Nil(t, write(func(r *kafka.Record) error { return kafka.JSON[*order]().Encode(nil, r) }).Value, "a tombstone")
	assert.Equal(t, `1,,a,"x,y"`, string(write(func(r *kafka.Record) error {
		return kafka.CSV[order]("cents", "more", "id", "note").Encode(order{"a", 1, "x,y"}, r)
	}).Value))
	r := write(func(r *kafka.Record) error {
		return kafka.WithKey(kafka.JSON[order](), func(o order) string { return o.ID }).Encode(order{ID: "a"}, r)
	})
	assert.Equal(t, `a {"id":"a","cents":0}`, string(r.Key)+" "+string(r.Value))
	r = write(func(r *kafka.Record) error {
		return kafka.WithKey(kafka.String(), func(string) string { return "" }).Encode("a", r)
	})
	assert.NotNil(t, r.Key, "an empty key is one")
}

// Goal: each error says what was wrong, and doesn't spoil what is read next.
func TestFormats_sentences(t *testing.T) {
	sentence(t, kafka.JSON[order](), `{"id":1}`, "json: cannot unmarshal number into Go struct field order.id of type string")
	sentence(t, kafka.JSON[order](), "\x00\x00\x00\x00\x01{}", `invalid character '\x00' looking for beginning of value (it looks as if it was written with a schema registry: see io/kafka/registry)`)
	sentence(t, kafka.CSV[order](), "a,x,", `column cents: csvutil: cannot unmarshal "x" into Go value of type int64`)
	sentence(t, kafka.CSV[order](), "a,1", "the record has 2 fields, fewer than the 3 columns: the first that is missing is note")
	sentence(t, kafka.CSV[order](), "a,1,b,c", `the record has 4 fields, more than the 3 columns: the first without one is "c"`)
	sentence(t, kafka.CSV[order](), "a,1,b\na,1,b", "the value has more than one record")
	sentence(t, kafka.CSV[order](), "\n", "the value is empty")
	sentence(t, kafka.CSV[order](), "a,1,x\"", `character 6: bare " in non-quoted-field`)
	sentence(t, kafka.CSV[order](), "a,1,\"x\ny", `character 2 of line 2, in the record that begins in line 1: extraneous or missing " in quoted-field`)

	kv := kafka.KeyValue(kafka.JSON[int](), kafka.JSON[order]())
	r := kafka.Record{Key: []byte("x"), Value: []byte("{}")}
	_, err := kv.Decode(&r)
	require.EqualError(t, err, "key: invalid character 'x' looking for beginning of value")
	assert.Equal(t, "x {}", string(r.Key)+" "+string(r.Value), "the record is as it was")
	_, err = kv.Decode(&kafka.Record{Value: []byte("{}")})
	require.EqualError(t, err, "the record has no key")
	_, err = kv.Decode(&kafka.Record{Key: []byte("1")})
	require.ErrorIs(t, err, kafka.ErrTombstone)
	assert.Equal(t, "key json, value json", kv.Name)

	refusing := kafka.KeyValue(kafka.JSON[unwritable](), kafka.String())
	require.ErrorContains(t, refusing.Encode(pipeline.KV[unwritable, string]{}, &r), "key: json: error calling MarshalJSON")
}

type unwritable struct{}

func (unwritable) MarshalJSON() ([]byte, error) { return nil, errors.New("not for JSON") }

func sentence[T any](t *testing.T, f kafka.Format[T], value, want string) {
	t.Helper()
	good := func() {
		w := kafka.Record{}
		require.NoError(t, f.Encode(*new(T), &w))
		_, err := f.Decode(&w)
		require.NoError(t, err)
	}
	good()
	_, err := f.Decode(&kafka.Record{Value: []byte(value)})
	require.ErrorContains(t, err, want)
	_, err = f.Decode(&kafka.Record{})
	require.ErrorIs(t, err, kafka.ErrTombstone)
	good()
}

func TestCSV_whatCannotBe(t *testing.T) {
	for err, want := range map[error]string{
		kafka.CSV[int]().Err:                                 "records of type int can't be CSV",
		kafka.CSV[order]("id", "cents").Err:                  "missing columns: note; there are: id, cents",
		kafka.CSV[order]("id", "x", "x").Err:                 "two columns are named x",
		kafka.KeyValue(kafka.String(), kafka.CSV[int]()).Err: "records of type int can't be CSV",
	} {
		assert.ErrorContains(t, err, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"a","cents":1}`), []byte(`"k"`))
	f.Add([]byte("a,1,\"x\ny\""), []byte(nil))
	js := kafka.KeyValue(kafka.JSON[string](), kafka.JSON[*order]())
	cs := kafka.CSV[order]()
	good := kafka.Record{Value: []byte("a,1,b")}
	f.Fuzz(func(t *testing.T, value, key []byte) {
		if kv, err := js.Decode(&kafka.Record{Key: key, Value: value}); err == nil {
			roundTrip(t, js, kv)
		}
		if v, err := cs.Decode(&kafka.Record{Value: value}); err == nil {
			roundTrip(t, cs, withoutCR([]order{v})...)
		}
		v, err := cs.Decode(&good)
		require.NoError(t, err)
		require.Equal(t, order{"a", 1, "b"}, v)
	})
}
