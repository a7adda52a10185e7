package coder_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/millrace/millrace/coder"
)

// section is one document of standard_coders.yaml.
type section struct {
	Coder    spec      `yaml:"coder"`
	Nested   *bool     `yaml:"nested"`
	Examples yaml.Node `yaml:"examples"`
}

type spec struct {
	URN              string         `yaml:"urn"`
	Payload          string         `yaml:"payload"`
	Components       []spec         `yaml:"components"`
	NonDeterministic bool           `yaml:"non_deterministic"`
	State            map[string]any `yaml:"state"` // what a runner would hand out for a token
}

// id is the ID that a coder of this spec has.
func (s spec) id() string {
	if len(s.Components) == 0 {
		return s.URN
	}
	var parts []string
	for _, c := range s.Components {
		parts = append(parts, c.id())
	}
	return s.URN + "<" + strings.Join(parts, ",") + ">"
}

var schemaID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// name tells sections apart: the coder's ID, and what else makes the section its own.
func (s section) name() string {
	name := strings.ReplaceAll(s.Coder.id(), "beam:coder:", "")
	name = strings.ReplaceAll(name, ":v1", "")
	switch ids := schemaID.FindAllString(s.Coder.Payload, -1); {
	case s.Coder.URN == "beam:coder:row:v1":
		name += " " + ids[len(ids)-1] // the ID of the outermost schema comes last
	case s.Nested != nil && !*s.Nested:
		name += " outer"
	case s.Coder.State != nil:
		name += " with state"
	case s.Coder.NonDeterministic:
		name += " in chunks"
	}
	return name
}

// unsupported lists the sections that this package cannot read, and why. Beam's Go
// SDK supports none of them either.
var unsupported = map[string]string{
	"state_backed_iterable<varint> with state": "the rest of the iterable lies in a runner's state, which only a Beam harness can ask for; see TestStateBackedIterable_refusesToken",
	"custom_window<interval_window>":           "a window of a foreign SDK's own kind means nothing to a Go program",
	"row 33dafd37-397c-4083-a84e-42177d122221": "logical type micros_instant: a time.Time is timestamp:v1 of precision 9, which loses nothing",
	"row 80be749a-5700-4ede-89d8-dd9a4433a3f8": "logical type millis_instant: a time.Time is timestamp:v1 of precision 9, which loses nothing",
	"row 9c7c1b6c-2a5e-4c53-9b32-91b71c1f8ac3": "logical type timestamp:v1 of precision 3: a time.Time has precision 9",
	"row e0a72e10-b214-4fd2-a4dc-fca0e7f7d924": "logical type timestamp:v1 of precision 6: a time.Time has precision 9",
	"row 800c44ae-a1b7-4def-bbf6-6217cca89ec4": "logical type decimal: the standard library has no decimal number",
	"row f0ffb3a4-f46f-41ca-a942-85e3e939452a": "logical types of strings with a fixed or greatest length: Go has no such strings",
}

// subject checks the examples of a section.
type subject func(t *testing.T, s section, encoded []byte, value any)

// subjectOf checks coders of one type; parse makes a value out of the YAML.
func subjectOf[T any](parse func(any) T, coders ...coder.Coder[T]) subject {
	return func(t *testing.T, s section, encoded []byte, value any) {
		want := parse(value)
		for _, c := range coders {
			if s.Coder.Payload == "" {
				assert.Equal(t, s.Coder.id(), strings.TrimSuffix(c.ID, "(outer)"))
			}
			in := bytes.Clone(encoded)
			got, rest, err := c.Decode(in)
			require.NoError(t, err, "decode % x", encoded)
			assert.Empty(t, rest)
			clear(in) // what was decoded must not be a part of it
			equal(t, want, got)
			if !s.Coder.NonDeterministic {
				assert.Equal(t, encoded, c.Append([]byte{}, want), "encode %v", want)
				assert.Equal(t, append([]byte("before"), encoded...), c.Append([]byte("before"), want))
			}
			if strings.HasSuffix(c.ID, "(outer)") {
				continue
			}
			_, rest, err = c.Decode(append(bytes.Clone(encoded), "after"...))
			require.NoError(t, err)
			assert.Equal(t, "after", string(rest), "a nested encoding says itself where it ends")
		}
	}
}

// equal compares floats by their bits, for 0 is not -0, but NaN is NaN.
func equal(t *testing.T, want, got any) {
	if w, ok := want.(float64); ok && w != w {
		assert.True(t, math.IsNaN(got.(float64)))
		return
	} else if ok {
		want, got = math.Float64bits(w), math.Float64bits(got.(float64))
	}
	assert.Equal(t, want, got)
}

// rowOf checks the row coder of T and that T's schema is the section's payload.
func rowOf[T any](parse func(map[string]any) T) subject {
	return func(t *testing.T, s section, encoded []byte, value any) {
		want, err := coder.ParseBeamSchema(latin1(s.Coder.Payload))
		require.NoError(t, err)
		got, err := coder.SchemaOf[T]()
		require.NoError(t, err)
		assert.Equal(t, want.String(), got.String())
		subjectOf(func(v any) T { return parse(v.(map[string]any)) }, inferred[T]())(t, s, encoded, value)
	}
}

func inferred[T any]() coder.Coder[T] {
	c, err := coder.For[T]()
	if err != nil {
		panic(err)
	}
	return c
}

// The parts of a value in YAML.
func asString(v any) string { return v.(string) }
func asBytes(v any) []byte  { return []byte(v.(string)) }
func asBool(v any) bool     { return v.(bool) }
func asInt(v any) int64     { return int64(v.(int)) }

func asDouble(v any) float64 {
	f, err := strconv.ParseFloat(v.(string), 64)
	if err != nil {
		panic(err)
	}
	return f
}

func asList[T any](elem func(any) T) func(any) []T {
	return func(v any) (s []T) {
		for _, e := range v.([]any) {
			s = append(s, elem(e))
		}
		return s
	}
}

func asPointer[T any](elem func(any) T) func(any) *T {
	return func(v any) *T {
		if v == nil {
			return nil
		}
		e := elem(v)
		return &e
	}
}

func asKV[V any](value func(any) V) func(any) coder.KV[string, V] {
	return func(v any) coder.KV[string, V] {
		m := v.(map[string]any)
		return coder.KV[string, V]{Key: m["key"].(string), Value: value(m["value"])}
	}
}

func asGlobal(any) coder.GlobalWindow { return coder.GlobalWindow{} }

func asInterval(v any) coder.IntervalWindow {
	m := v.(map[string]any)
	return coder.IntervalWindow{Start: asInt(m["end"]) - asInt(m["span"]), End: asInt(m["end"])}
}

func asPane(v any) coder.Pane {
	m, ok := v.(map[string]any)
	if !ok {
		return coder.Pane{}
	}
	timing := map[string]coder.Timing{"EARLY": coder.Early, "ON_TIME": coder.OnTime, "LATE": coder.Late, "UNKNOWN": coder.Unknown}
	return coder.Pane{First: asBool(m["is_first"]), Last: asBool(m["is_last"]), Timing: timing[asString(m["timing"])],
		Index: asInt(m["index"]), NonSpeculativeIndex: asInt(m["on_time_index"])}
}

func asWindowed[W any](window func(any) W) func(any) coder.WindowedValue[int64, W] {
	return func(v any) coder.WindowedValue[int64, W] {
		m := v.(map[string]any)
		return coder.WindowedValue[int64, W]{Value: asInt(m["value"]), Time: asInt(m["timestamp"]),
			Windows: asList(window)(m["windows"]), Pane: asPane(m["pane"])}
	}
}

func asTimer(v any) coder.Timer[string, coder.GlobalWindow] {
	m := v.(map[string]any)
	tm := coder.Timer[string, coder.GlobalWindow]{Key: asString(m["userKey"]), Tag: asString(m["dynamicTimerTag"]),
		Windows: asList(asGlobal)(m["windows"]), Clear: asBool(m["clearBit"]), Pane: asPane(m["pane"])}
	if !tm.Clear {
		tm.Fire, tm.Hold = asInt(m["fireTimestamp"]), asInt(m["holdTimestamp"])
	}
	return tm
}

func asSharded(v any) coder.ShardedKey[string] {
	m := v.(map[string]any)
	return coder.ShardedKey[string]{Shard: asString(m["shardId"]), Key: asString(m["key"])}
}

// bytesKV is a kv of bytes and v. A []byte is not comparable, so the key is a Go
// string with the coder of bytes.
func bytesKV[V any](v coder.Coder[V]) coder.Coder[coder.KV[string, V]] {
	raw := coder.ByteSlices()
	return coder.KVOf(coder.Coder[string]{
		ID:     raw.ID,
		Append: func(b []byte, s string) []byte { return raw.Append(b, []byte(s)) },
		Decode: func(b []byte) (string, []byte, error) {
			s, rest, err := raw.Decode(b)
			return string(s), rest, err
		},
	}, v)
}

// param checks a param_windowed_value, whose coder is made from the payload.
func param[W any](parse func(any) W, window coder.Coder[W]) subject {
	return func(t *testing.T, s section, encoded []byte, value any) {
		c, err := coder.ParamWindowedValues(coder.Varints(), window, latin1(s.Coder.Payload))
		require.NoError(t, err)
		subjectOf(asWindowed(parse), c)(t, s, encoded, value)
	}
}

type plainRow struct {
	Str string   `beam:"str"`
	I32 int32    `beam:"i32"`
	F64 float64  `beam:"f64"`
	Arr []string `beam:"arr"`
}

type nullableRow struct {
	Str *string  `beam:"str"`
	I32 *int32   `beam:"i32"`
	F64 *float64 `beam:"f64"`
}

type bytesRow struct {
	Bool  bool    `beam:"f_bool"`
	Bytes *[]byte `beam:"f_bytes"`
}

type mapRow struct {
	Map map[string]*int64 `beam:"f_map"`
}

// positionsRow has its fields in the order in which they are encoded.
type positionsRow struct {
	I32  *int32 `beam:"i32"`
	Str  string `beam:"str"`
	Bool bool   `beam:"f_bool"`
}

type floatRow struct {
	Float float32 `beam:"f_float"`
}

type timeRow struct {
	Time time.Time `beam:"f_timestamp"`
}

func asInt32(v any) int32 { return int32(asInt(v)) }

var (
	vi      = coder.Varints()
	bs      = coder.ByteSlices()
	bo      = coder.Bools()
	global  = coder.GlobalWindows()
	ival    = coder.IntervalWindows()
	outerKV = coder.Outer(bytesKV(bs))
)

var subjects = map[string]subject{
	"bytes":           subjectOf(asBytes, bs, inferred[[]byte]()),
	"bytes outer":     subjectOf(asBytes, coder.Outer(bs), coder.Outer(inferred[[]byte]())),
	"bool":            subjectOf(asBool, bo, inferred[bool]()),
	"string_utf8":     subjectOf(asString, coder.Strings(), inferred[string]()),
	"varint":          subjectOf(asInt, vi, inferred[int64]()),
	"double":          subjectOf(asDouble, coder.Doubles(), inferred[float64]()),
	"nullable<bytes>": subjectOf(asPointer(asBytes), coder.Nullable(bs), inferred[*[]byte]()),

	"string_utf8 outer": subjectOf(asString, coder.Outer(coder.Strings()), coder.Outer(inferred[string]())),

	"kv<bytes,varint>":      subjectOf(asKV(asInt), bytesKV(vi), coder.Outer(bytesKV(vi))),
	"kv<bytes,bytes>":       subjectOf(asKV(asBytes), bytesKV(bs)),
	"kv<bytes,bytes> outer": subjectOf(asKV(asBytes), outerKV),
	"kv<bytes,bool>":        subjectOf(asKV(asBool), bytesKV(bo)),

	"iterable<varint>":          subjectOf(asList(asInt), coder.Iterable(vi), inferred[[]int64]()),
	"iterable<bytes>":           subjectOf(asList(asBytes), coder.Iterable(bs), inferred[[][]byte]()),
	"iterable<bytes> in chunks": subjectOf(asList(asBytes), coder.Iterable(bs), inferred[[][]byte]()),
	"iterable<bool>":            subjectOf(asList(asBool), coder.Iterable(bo), inferred[[]bool]()),
	"iterable<global_window>":   subjectOf(asList(asGlobal), coder.Iterable(global), inferred[[]coder.GlobalWindow]()),

	"state_backed_iterable<varint>":          subjectOf(asList(asInt), coder.StateBackedIterable(vi)),
	"state_backed_iterable<bytes>":           subjectOf(asList(asBytes), coder.StateBackedIterable(bs)),
	"state_backed_iterable<bytes> in chunks": subjectOf(asList(asBytes), coder.StateBackedIterable(bs)),
	"state_backed_iterable<bool>":            subjectOf(asList(asBool), coder.StateBackedIterable(bo)),
	"state_backed_iterable<global_window>":   subjectOf(asList(asGlobal), coder.StateBackedIterable(global)),

	"global_window":                                subjectOf(asGlobal, global, inferred[coder.GlobalWindow]()),
	"interval_window":                              subjectOf(asInterval, ival, inferred[coder.IntervalWindow]()),
	"timer<string_utf8,global_window>":             subjectOf(asTimer, coder.Timers(coder.Strings(), global)),
	"windowed_value<varint,global_window>":         subjectOf(asWindowed(asGlobal), coder.WindowedValues(vi, global)),
	"windowed_value<varint,interval_window>":       subjectOf(asWindowed(asInterval), coder.WindowedValues(vi, ival)),
	"param_windowed_value<varint,interval_window>": param(asInterval, ival),
	"param_windowed_value<varint,global_window>":   param(asGlobal, global),
	"sharded_key<string_utf8>":                     subjectOf(asSharded, coder.ShardedKeys(coder.Strings()), inferred[coder.ShardedKey[string]]()),

	"row 4e5e554c-d4c1-4a5d-b5e1-f3293a6b9f05": rowOf(func(m map[string]any) plainRow {
		return plainRow{asString(m["str"]), asInt32(m["i32"]), asDouble(m["f64"]), asList(asString)(m["arr"])}
	}),
	"row b20c6545-57af-4bc8-b2a9-51ace21c7393": rowOf(func(m map[string]any) nullableRow {
		return nullableRow{asPointer(asString)(m["str"]), asPointer(asInt32)(m["i32"]), asPointer(asDouble)(m["f64"])}
	}),
	"row eea1b747-7571-43d3-aafa-9255afdceafb": rowOf(func(m map[string]any) bytesRow {
		return bytesRow{asBool(m["f_bool"]), asPointer(asBytes)(m["f_bytes"])}
	}),
	"row d8c8f969-14e6-457f-a8b5-62a1aec7f1cd": rowOf(func(m map[string]any) mapRow {
		r := mapRow{map[string]*int64{}}
		for k, v := range m["f_map"].(map[string]any) {
			r.Map[k] = asPointer(asInt)(v)
		}
		return r
	}),
	"row 30ea5a25-dcd8-4cdb-abeb-5332d15ab4b9": rowOf(func(m map[string]any) positionsRow {
		return positionsRow{asPointer(asInt32)(m["i32"]), asString(m["str"]), asBool(m["f_bool"])}
	}),
	"row 8c97b6c5-69e5-4733-907b-26cd8edae612": rowOf(func(m map[string]any) floatRow {
		return floatRow{float32(asDouble(m["f_float"]))}
	}),
	"row cf03a3c1-4a3a-4f77-8e2b-6e5b19c19f27": rowOf(func(m map[string]any) timeRow {
		ts := m["f_timestamp"].(map[string]any)
		return timeRow{time.Unix(asInt(ts["seconds"]), asInt(ts["subseconds"])).UTC()}
	}),
}

// TestBeamStandardCoders holds this package to Beam's reference encodings, byte for
// byte, in both directions. Each section of the file is either a subject or listed
// as unsupported, and both lists fail the test when they name what is not there.
func TestBeamStandardCoders(t *testing.T) {
	sections, examples := map[string]bool{}, 0
	for _, s := range readSections(t) {
		name := s.name()
		require.False(t, sections[name], "two sections are named %s", name)
		sections[name] = true
		check, supported := subjects[name]
		if why := unsupported[name]; why != "" {
			require.False(t, supported, "%s is supported and listed as unsupported", name)
			continue
		}
		if !assert.True(t, supported, "section %s is neither tested nor listed as unsupported", name) {
			continue
		}
		require.NotEmpty(t, s.Examples.Content)
		for i := 0; i < len(s.Examples.Content); i += 2 {
			examples++
			var encoded string
			var value any
			require.NoError(t, s.Examples.Content[i].Decode(&encoded))
			require.NoError(t, s.Examples.Content[i+1].Decode(&value))
			t.Run(name+"/"+strconv.Itoa(i/2), func(t *testing.T) { check(t, s, latin1(encoded), value) })
		}
	}
	for name := range subjects {
		assert.True(t, sections[name], "subject %s is not in the file", name)
	}
	for name := range unsupported {
		assert.True(t, sections[name], "unsupported %s is not in the file: the list is stale", name)
	}
	assert.Equal(t, 102, examples, "examples that were checked")
}

func readSections(t *testing.T) (all []section) {
	f, err := os.Open("testdata/standard_coders.yaml")
	require.NoError(t, err)
	defer f.Close()
	for d := yaml.NewDecoder(f); ; {
		var s section
		if err := d.Decode(&s); errors.Is(err, io.EOF) {
			return all
		} else {
			require.NoError(t, err)
		}
		all = append(all, s)
	}
}

// latin1 undoes the file's writing of bytes as characters up to U+00FF.
func latin1(s string) []byte {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			panic("character beyond a byte: " + strconv.QuoteRune(r))
		}
		b = append(b, byte(r))
	}
	return b
}

// A runner may hand over an iterable whose end must be fetched: that is refused with
// a sentence rather than decoded as its beginning.
func TestStateBackedIterable_refusesToken(t *testing.T) {
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 2}, "\xc8\x01\xe8\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x0btoken bytes"...)
	_, _, err := coder.StateBackedIterable(vi).Decode(b)
	require.ErrorContains(t, err, "iterable continues in a runner's state")
}
