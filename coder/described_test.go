package coder_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/coder"
)

// described checks what the description of T's coder makes of v against the coder, and
// returns v as JSON.
func described[T any](t *testing.T, v T) string {
	t.Helper()
	c := inferred[T]()
	d, err := coder.Describe(c.ID)
	require.NoError(t, err)
	assert.Equal(t, c.ID, d.ID())
	b := c.Append(nil, v)
	rest, err := d.Skip(append(b[:len(b):len(b)], "tail"...))
	require.NoError(t, err)
	assert.Equal(t, "tail", string(rest))
	text, rest, err := d.AppendJSON([]byte("x"), append(b[:len(b):len(b)], "tail"...))
	require.NoError(t, err)
	assert.Equal(t, "tail", string(rest))
	text = text[1:]
	require.True(t, json.Valid(text), "%s", text)
	again, err := d.FromJSON([]byte("x"), text)
	require.NoError(t, err, "%s", text)
	assert.Equal(t, string(b), string(again[1:]), "%s", text)
	for n := range b {
		_, err := d.Skip(b[:n:n])
		assert.Error(t, err, "first %d bytes of % x", n, b)
		_, _, err = d.AppendJSON(nil, b[:n:n])
		assert.Error(t, err, "first %d bytes of % x", n, b)
	}
	zero, err := d.AppendZero(nil)
	require.NoError(t, err)
	var z T
	assert.Equal(t, string(c.Append(nil, z)), string(zero), "zero value of %T", z)
	return string(text)
}

// Goal: a description knows the bytes of every type that has a coder. Method: values of
// all kinds, passed over, shown and made again, and each cut short anywhere.
func TestDescribe_knowsAllTypes(t *testing.T) {
	low := all{Bool: true, I: math.MinInt, I8: math.MinInt8, I16: math.MinInt16, I32: math.MinInt32, I64: math.MinInt64,
		F32: -math.MaxFloat32, F64: -math.MaxFloat64, M: map[string]int{}}
	high := all{I: math.MaxInt, I8: math.MaxInt8, I16: math.MaxInt16, I32: math.MaxInt32, I64: math.MaxInt64,
		U: math.MaxUint, U8: math.MaxUint8, U16: math.MaxUint16, U32: math.MaxUint32, U64: math.MaxUint64, F32: math.MaxFloat32, F64: math.Inf(1),
		S: strings.Repeat("ä", 100), B: []byte{0, 255}, Fixed: [4]byte{1, 2, 3, 4}, Pair: [2]int32{-1, 1},
		T: time.Unix(-5, 999_999_999).UTC(), D: -time.Hour, ID: 1 << 63, In: inner{-3, ptr("")}, P: &inner{},
		L: []inner{{1, nil}, {2, ptr("x")}}, N: []*int64{nil, ptr(int64(5))}, M: map[string]int{"b": 1, "a": 2},
		KV: coder.KV[string, int]{Key: "k", Value: -1}, Nested: [][]string{nil, {"", "y"}}}
	described(t, low)
	described(t, []all{low, high})
	described(t, &high)
	described(t, coder.KV[userID, *all]{Key: 7, Value: &low})
	assert.Equal(t, `{"Bool":false,"I":9223372036854775807,"I8":127,"I16":32767,"I32":2147483647,"I64":9223372036854775807,`+
		`"U":18446744073709551615,"U8":255,"U16":65535,"U32":4294967295,"U64":18446744073709551615,"F32":340282350000000000000000000000000000000,`+
		`"F64":"Infinity","S":"`+strings.Repeat("ä", 100)+`","B":"AP8=","Fixed":"AQIDBA==","Pair":[-1,1],"T":"1969-12-31T23:59:55.999999999Z",`+
		`"D":-3600000000000,"ID":9223372036854775808,"In":{"A":-3,"B":""},"P":{"A":0,"B":null},"L":[{"A":1,"B":null},{"A":2,"B":"x"}],`+
		`"N":[null,5],"M":{"a":2,"b":1},"KV":{"Key":"k","Value":-1},"Nested":[[],["","y"]],"Empty":{}}`,
		strings.Replace(described(t, high), "3.4028235e+38", "340282350000000000000000000000000000000", 1))

	for want, got := range map[string]string{
		`-128`:                               described(t, int8(-128)),
		`18446744073709551615`:               described(t, uint64(math.MaxUint64)),
		`0.1`:                                described(t, float32(0.1)),
		`-0`:                                 described(t, math.Copysign(0, -1)),
		`"NaN"`:                              described(t, math.NaN()),
		`"-Infinity"`:                        described(t, math.Inf(-1)),
		`1e+300`:                             described(t, 1e300),
		`"\"\\\n\u0001` + "é" + `"`:          described(t, "\"\\\n\x01é"),
		`{"base64":"/w=="}`:                  described(t, "\xff"),
		`"AQID"`:                             described(t, [3]byte{1, 2, 3}),
		`"0001-01-01T00:00:00Z"`:             described(t, time.Time{}),
		`["a","","c"]`:                       described(t, [3]string{"a", "", "c"}),
		`["x"]`:                              described(t, ptr(ptr("x"))),
		`[null]`:                             described(t, ptr((*string)(nil))),
		`null`:                               described(t, (**string)(nil)),
		`[[1,["a"]],[300,[]]]`:               described(t, map[userID][]string{1: {"a"}, 300: nil}),
		`{"a":true}`:                         described(t, map[string]bool{"a": true}),
		`[["a",1],[{"base64":"/w=="},2]]`:    described(t, map[string]int{"a": 1, "\xff": 2}),
		`[{},{}]`:                            described(t, []struct{}{{}, {}}),
		`["global","global"]`:                described(t, []coder.GlobalWindow{{}, {}}),
		`{"start":-5,"end":10}`:              described(t, coder.IntervalWindow{Start: -5, End: 10}),
		`{"key":"a","value":1.5}`:            described(t, coder.KV[string, float64]{Key: "a", Value: 1.5}),
		`{"shard":"s","key":"k"}`:            described(t, coder.ShardedKey[string]{Shard: "s", Key: "k"}),
		`{"seconds":253402300800,"nanos":1}`: described(t, time.Unix(253402300800, 1).UTC()),
		`[]`:                                 described(t, [0]int{}),
		`{"A b":1,"\"":null}`: described(t, struct {
			A int     `beam:"A b"`
			B *string `beam:"\""`
		}{A: 1}),
		`{"A":[null,{"B":[1,2]}]}`: described(t, struct{ A []*struct{ B [2]int8 } }{[]*struct{ B [2]int8 }{nil, {[2]int8{1, 2}}}}),
	} {
		assert.Equal(t, want, got)
	}
}

// coin has no coder but a registered one.
type coin struct{ worth int64 }

func TestDescription_String(t *testing.T) {
	for want, id := range map[string]string{
		"struct{A int16; B *string}": inferred[inner]().ID,
		"map[string][]*int64":        inferred[map[string][]*int64]().ID,
		"KV[uint64, [3]time.Time]":   inferred[coder.KV[userID, [3]time.Time]]().ID,
		"struct{A [4]byte; B map[uint8]int8; C [2]uint16}": inferred[struct {
			A [4]byte
			B map[uint8]int8
			C [2]uint16
		}]().ID,
	} {
		d, err := coder.Describe(id)
		require.NoError(t, err)
		assert.Equal(t, want, d.String())
	}
}

// What the ID of a registered coder says depends on who reads it.
func TestDescribe_registered(t *testing.T) {
	coder.Register(coder.Coder[coin]{
		ID:     "example.com:coder:coin:v1<pence,shilling>",
		Append: func(b []byte, v coin) []byte { return coder.AppendVarint(b, v.worth) },
		Decode: func(b []byte) (coin, []byte, error) {
			v, rest, err := coder.ReadVarint(b)
			return coin{v}, rest, err
		},
	})
	type purse struct {
		Total coin
		Tip   *coin
		Items []coin
	}
	assert.Equal(t, `{"Total":"AQ==","Tip":"Ag==","Items":["Aw==","BA=="]}`, described(t, purse{coin{1}, &coin{2}, []coin{{3}, {4}}}))
	assert.Equal(t, `"BQ=="`, described(t, coin{5}))
	assert.Equal(t, `["AQ==","rAI="]`, described(t, []coin{{1}, {300}}))

	d, err := coder.Describe("elsewhere.org:coder:x:v1(5)<a,b>")
	require.NoError(t, err)
	assert.True(t, d.Opaque())
	text, rest, err := d.AppendJSON(nil, []byte("abc"))
	require.NoError(t, err)
	assert.Empty(t, rest)
	assert.Equal(t, `"YWJj"`, string(text))
	_, err = d.AppendZero(nil)
	require.ErrorContains(t, err, "coder elsewhere.org:coder:x:v1(5)<a,b> is not registered in this program")

	d, err = coder.Describe("beam:coder:row:v1{A elsewhere.org:coder:x:v1<bytes>, B string}")
	require.NoError(t, err)
	text, rest, err = d.AppendJSON(nil, []byte("\x02\x00\x03abc\x01zrest"))
	require.NoError(t, err)
	assert.Equal(t, `{"A":"YWJj","B":"z"}`, string(text), "in a row, others can pass over it")
	assert.Equal(t, "rest", string(rest))
}

// Joins bring two inputs to one key.
func TestDescribe_either(t *testing.T) {
	d, err := coder.Describe("millrace:coder:either:v1<beam:coder:string_utf8:v1,beam:coder:row:v1{A int16}>")
	require.NoError(t, err)
	for text, b := range map[string]string{`{"left":"a"}`: "\x00\x01a", `{"right":{"A":5}}`: "\x01\x01\x00\x00\x05"} {
		got, rest, err := d.AppendJSON(nil, []byte(b+"rest"))
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
		assert.Equal(t, "rest", string(rest))
		again, err := d.FromJSON(nil, got)
		require.NoError(t, err)
		assert.Equal(t, b, string(again))
	}
	_, err = d.FromJSON(nil, []byte(`{"middle":1}`))
	require.EqualError(t, err, `{"middle":1} cannot be either[string, struct{A int16}]`)
	to, err := coder.Describe("millrace:coder:either:v1<beam:coder:string_utf8:v1,beam:coder:row:v1{A int32}>")
	require.NoError(t, err)
	conv, err := coder.Convert(d, to)
	require.NoError(t, err)
	assert.Equal(t, "field [right].A: int16 becomes int32", conv.Changes()[0].String())
	b, _, err := conv.Append(nil, []byte("\x01\x01\x00\x00\x05"))
	require.NoError(t, err)
	assert.Equal(t, "\x01\x01\x00\x05", string(b))
}

// What state is shown as is put together from values.
func TestDescribe_tuple(t *testing.T) {
	d, err := coder.Describe("millrace:coder:tuple:v1{at millrace:coder:instant:v1, value beam:coder:iterable:v1<beam:coder:row:v1{A int16}>}")
	require.NoError(t, err)
	b := coder.AppendVarint(nil, 1500)
	b = append(b, "\x00\x00\x00\x01\x01\x00\x00\x05"...)
	got, rest, err := d.AppendJSON(nil, append(b[:len(b):len(b)], "rest"...))
	require.NoError(t, err)
	assert.Equal(t, `{"at":"1970-01-01T00:00:01.5Z","value":[{"A":5}]}`, string(got))
	assert.Equal(t, "rest", string(rest))
	again, err := d.FromJSON(nil, got)
	require.NoError(t, err)
	assert.Equal(t, b, again)
	again, err = d.FromJSON(nil, []byte(`{"value":[],"at":-300000000000000000}`))
	require.NoError(t, err)
	got, _, err = d.AppendJSON(nil, again)
	require.NoError(t, err)
	assert.Equal(t, `{"at":-300000000000000000,"value":[]}`, string(got))

	to, err := coder.Describe("millrace:coder:tuple:v1{at millrace:coder:instant:v1, value beam:coder:iterable:v1<beam:coder:row:v1{A int32}>}")
	require.NoError(t, err)
	conv, err := coder.Convert(d, to)
	require.NoError(t, err)
	assert.Equal(t, "field [].A: int16 becomes int32", conv.Changes()[0].String())
	b, rest, err = conv.Append(nil, append(b[:len(b):len(b)], "rest"...))
	require.NoError(t, err)
	assert.Equal(t, "rest", string(rest))
	got, _, err = to.AppendJSON(nil, b)
	require.NoError(t, err)
	assert.Equal(t, `{"at":"1970-01-01T00:00:01.5Z","value":[{"A":5}]}`, string(got))
	zero, err := to.AppendZero(nil)
	require.NoError(t, err)
	assert.Equal(t, "\x00\x00\x00\x00\x00", string(zero))
}

func TestDescribe_rowsOfFewerFields(t *testing.T) {
	d, err := coder.Describe(inferred[inner]().ID)
	require.NoError(t, err)
	text, _, err := d.AppendJSON(nil, []byte("\x01\x00\x00\x05"))
	require.NoError(t, err)
	assert.Equal(t, `{"A":5,"B":null}`, string(text))
	text, _, err = d.AppendJSON(nil, []byte("\x00\x00"))
	require.NoError(t, err)
	assert.Equal(t, `{"A":0,"B":null}`, string(text))
}

func TestDescribe_refusesWhatIsNoID(t *testing.T) {
	for id, want := range map[string]string{
		"":                                   "a component is empty",
		"beam:coder:iterable:v1<":            `"<" is not closed`,
		"beam:coder:iterable:v1<a>>":         "is not opened",
		"beam:coder:iterable:v1<(>)":         "belongs",
		"beam:coder:row:v1{A}":               "is no field",
		"beam:coder:row:v1{A int32, A int8}": `two fields are named "A"`,
		"beam:coder:row:v1{\xae int32}":      `a field is named "\xae", which is no UTF-8`,
		"beam:coder:row:v1{A decimal}":       `field "A": type "decimal" is unknown`,
		`beam:coder:row:v1{"A int32}`:        "a quote is not closed",
		strings.Repeat("beam:coder:nullable:v1<", 100) + "beam:coder:bool:v1" + strings.Repeat(">", 100): "nested more than 64 deep",
		strings.Repeat("x<", 1000): "nested more than 64 deep",
	} {
		_, err := coder.Describe(id)
		require.ErrorContains(t, err, want, id)
	}
}

func TestFromJSON_namesWhatIsWrong(t *testing.T) {
	d, err := coder.Describe(inferred[struct {
		A int8
		L []inner
		M map[string]uint64
	}]().ID)
	require.NoError(t, err)
	for text, want := range map[string]string{
		`{`:                                     "no json: unexpected end of JSON input",
		`[]`:                                    "an object belongs where [] stands",
		`{"A":1,"L":[]}`:                        `field "M" is missing`,
		`{"A":1,"L":[],"M":{},"X":1}`:           `there is no field "X"`,
		`{"A":1,"A":1,"L":[],"M":{}}`:           `field "A" is there twice`,
		`{"A":128,"L":[],"M":{}}`:               "A: 128 cannot be int8",
		`{"A":null,"L":[],"M":{}}`:              "A: null cannot be int8",
		`{"A":1,"L":[{"A":"x","B":""}],"M":{}}`: `L: [0]: A: "x" cannot be int16`,
		`{"A":1,"L":[],"M":{"k":-1}}`:           "M: [k]: -1 cannot be uint64",
		`{"A":1,"L":[],"M":[["k",1],["k",1]]}`:  "two entries of a map have one key",
		`{"A":1,"L":[],"M":[["k"]]}`:            `an entry of a map is [key, value], not ["k"]`,
	} {
		_, err := d.FromJSON(nil, []byte(text))
		require.ErrorContains(t, err, want, text)
	}
}

// Goal: neither an ID nor bytes from elsewhere make a description panic or agree with
// itself less than a coder: what it shows can be read back and shows the same.
func FuzzDescribe(f *testing.F) {
	for _, id := range []string{inferred[all]().ID, inferred[small]().ID, inferred[coder.KV[string, []coder.GlobalWindow]]().ID,
		inferred[map[int][]string]().ID, inferred[**string]().ID, inferred[coder.ShardedKey[[3]byte]]().ID, "beam:coder:length_prefix:v1<x>"} {
		f.Add(id, []byte{})
		f.Add(id, []byte("\x00\x00\x00\x02\x01a\x02\x01b\x01"))
		f.Add(id, []byte("\x7f\xff\xff\xff\x01\x02\x03"))
	}
	f.Add(inferred[all]().ID, inferred[all]().Append(nil, all{S: "seed", L: []inner{{}}, M: map[string]int{"x": 1}}))
	f.Fuzz(func(t *testing.T, id string, b []byte) {
		d, err := coder.Describe(id)
		if err != nil {
			return
		}
		_ = d.String()
		rest, err := d.Skip(b)
		text, left, err2 := d.AppendJSON(nil, b)
		if err != nil {
			require.Error(t, err2)
			return
		}
		if err2 != nil {
			return // more elements without bytes than will be shown
		}
		require.Equal(t, rest, left)
		again, err := d.FromJSON(nil, text)
		if err != nil {
			require.ErrorContains(t, err, "one key")
			return
		}
		twice, _, err := d.AppendJSON(nil, again)
		require.NoError(t, err)
		require.Equal(t, len(text), len(twice))
	})
}
