package coder_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/coder"
)

type (
	userID uint64
	inner  struct {
		A int16
		B *string
	}
	all struct {
		Bool   bool
		I      int
		I8     int8
		I16    int16
		I32    int32
		I64    int64
		U      uint
		U8     uint8
		U16    uint16
		U32    uint32
		U64    uint64
		F32    float32
		F64    float64
		S      string
		B      []byte
		Fixed  [4]byte
		Pair   [2]int32
		T      time.Time
		D      time.Duration
		ID     userID
		In     inner
		P      *inner
		L      []inner
		N      []*int64
		M      map[string]int
		KV     coder.KV[string, int]
		Nested [][]string
		Empty  struct{}
	}
	node struct{ Next *node }
	//lint:ignore U1000 the field is what is refused
	hidden struct{ Shown, secret int }
	deep   struct{ Rows []struct{ Bad chan int } }
	twice  struct {
		A, B int `beam:"x"`
	}
	leftOut struct {
		A int `beam:"-"`
	}
	pointers struct{ P **int }
)

func ptr[T any](v T) *T { return &v }

func roundTrip[T any](t *testing.T, v T) []byte {
	t.Helper()
	c, err := coder.For[T]()
	require.NoError(t, err)
	b := c.Append(nil, v)
	in := append([]byte(nil), b...)
	got, rest, err := c.Decode(in)
	require.NoError(t, err)
	assert.Empty(t, rest)
	clear(in) // no value may be a part of the bytes it came from
	assert.Equal(t, v, got)
	for n := range b { // cut short anywhere, it is an error and not another value
		_, _, err := c.Decode(b[:n:n])
		assert.Error(t, err, "first %d bytes of % x", n, b)
	}
	return b
}

// Goal: every kind comes back as it was. Method: the ends of each kind.
func TestFor_roundTrips(t *testing.T) {
	low := all{Bool: true, I: math.MinInt, I8: math.MinInt8, I16: math.MinInt16, I32: math.MinInt32, I64: math.MinInt64,
		F32: -math.MaxFloat32, F64: -math.MaxFloat64, M: map[string]int{}}
	high := all{I: math.MaxInt, I8: math.MaxInt8, I16: math.MaxInt16, I32: math.MaxInt32, I64: math.MaxInt64,
		U: math.MaxUint, U8: math.MaxUint8, U16: math.MaxUint16, U32: math.MaxUint32, U64: math.MaxUint64, F32: math.MaxFloat32, F64: math.Inf(1),
		S: strings.Repeat("ä", 100), B: []byte{0, 255}, Fixed: [4]byte{1, 2, 3, 4}, Pair: [2]int32{-1, 1},
		T: time.Unix(-5, 999_999_999).UTC(), D: -time.Hour, ID: 1 << 63, In: inner{-3, ptr("")}, P: &inner{},
		L: []inner{{1, nil}, {2, ptr("x")}}, N: []*int64{nil, ptr(int64(5))}, M: map[string]int{"b": 1, "a": 2},
		KV: coder.KV[string, int]{Key: "k", Value: -1}, Nested: [][]string{nil, {"", "y"}}}
	roundTrip(t, low)
	roundTrip(t, high)
	roundTrip(t, []all{low, high})
	roundTrip(t, &high)
	roundTrip(t, coder.KV[userID, *all]{Key: 7, Value: &low})

	roundTrip(t, int8(math.MinInt8))
	roundTrip(t, int16(-1))
	roundTrip(t, int32(-1))
	roundTrip(t, uint8(255))
	roundTrip(t, uint16(math.MaxUint16))
	roundTrip(t, uint32(math.MaxUint32))
	roundTrip(t, uint64(math.MaxUint64))
	roundTrip(t, uint(math.MaxUint))
	roundTrip(t, float32(0.1))
	roundTrip(t, userID(9))
	roundTrip(t, time.Time{})
	roundTrip(t, [3]string{"a", "", "c"})
	roundTrip(t, [0]int{})
	roundTrip(t, ptr(ptr("x")))
	roundTrip(t, map[userID][]string{1: {"a"}, 300: nil})
	roundTrip(t, []struct{}{{}, {}, {}})
}

// The bytes of our own coders; those of Beam's are in TestBeamStandardCoders.
func TestFor_goldenBytes(t *testing.T) {
	assert.Equal(t, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", string(roundTrip(t, uint64(math.MaxUint64))))
	assert.Equal(t, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", string(roundTrip(t, int8(-1))), "alone, integers are varints of 64 bits")
	assert.Equal(t, "\x04\x00\xff\xff\xff\xff\xff\xff\xff\x0f\xff",
		string(roundTrip(t, struct {
			A int8
			B int16
			C int32
			D uint8
		}{-1, -1, -1, 255})), "in a row they have the widths of schemas")
	assert.Equal(t, "\x3f\x80\x00\x00", string(roundTrip(t, float32(1))))
	assert.Equal(t, "\x02\x00\x01\x02", string(roundTrip(t, time.Unix(1, 2).UTC())))
	assert.Equal(t, "\x03\x01\x02\x03", string(roundTrip(t, [3]byte{1, 2, 3})))
	assert.Equal(t, "\x00\x00\x00\x02\x01\x02", string(roundTrip(t, [2]int{1, 2})))
	assert.Equal(t, "\x00\x00\x00\x02\x01a\x02\x01b\x01", string(roundTrip(t, map[string]int{"b": 1, "a": 2})), "maps are sorted")
	assert.Equal(t, "\x03\x01\x05\x01b", string(roundTrip(t, struct{ A, B, C *string }{nil, ptr("b"), nil})))
	assert.Equal(t, "\x01\x00\x02\x00\x00\x05\x00", string(roundTrip(t, struct{ In inner }{inner{5, ptr("")}})))
}

func TestFor_namesItsCoder(t *testing.T) {
	for want, got := range map[string]string{
		"beam:coder:kv:v1<beam:coder:string_utf8:v1,beam:coder:varint:v1>": inferred[coder.KV[string, int64]]().ID,
		"beam:coder:iterable:v1<beam:coder:bytes:v1>":                      inferred[[][]byte]().ID,
		"beam:coder:nullable:v1<beam:coder:double:v1>":                     inferred[*float64]().ID,
		"millrace:coder:uvarint:v1":                                        inferred[userID]().ID,
		"millrace:coder:time:v1":                                           inferred[time.Time]().ID,
		"millrace:coder:fixed_bytes:v1(16)":                                inferred[[16]byte]().ID,
		"beam:coder:row:v1{A int16, B string?}":                            inferred[inner]().ID,
	} {
		assert.Equal(t, want, got)
	}
	assert.Equal(t, inferred[coder.KV[string, int64]]().ID, coder.KVOf(coder.Strings(), coder.Varints()).ID)
	assert.Equal(t, inferred[[]*string]().ID, coder.Iterable(coder.Nullable(coder.Strings())).ID)
}

// What a program that cannot work says about itself.
func TestFor_refusesWithASentence(t *testing.T) {
	const advice = "; register a coder for it with coder.Register, or use another type"
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"an interface", errOf[any](), "type interface {} has no coder: it is an interface, and nothing says which types it holds" + advice},
		{"a channel deep inside", errOf[deep](), "type coder_test.deep has no coder: its part deep.Rows[].Bad (chan int) is a channel, which has no bytes" + advice},
		{"a function in a slice", errOf[[]func()](), "type []func() has no coder: its part [] (func()) is a function, which has no bytes" + advice},
		{"an unexported field", errOf[hidden](), "type coder_test.hidden has no coder: it is a struct with the unexported field secret, which would be lost" + advice},
		{"a list", errOf[node](), "type coder_test.node has no coder: its part node.Next (coder_test.node) is a type that contains itself, so its encoding could nest without end" + advice},
		{"one name for two fields", errOf[twice](), `type coder_test.twice has no coder: it is a struct whose fields A and B are both named "x"` + advice},
		{"a field to leave out", errOf[leftOut](), `type coder_test.leftOut has no coder: it is a struct whose field A has the tag beam:"-", but no field can be left out` + advice},
		{"null in two ways", errOf[pointers](), "type coder_test.pointers has no coder: its part pointers.P (**int) is a pointer to a pointer, and a field can be null in one way only" + advice},
		{"a complex number", errOf[complex128](), "type complex128 has no coder: it is a complex128, which has no coder" + advice},
		{"a map by pointer", errOf[map[*int]int](), "type map[*int]int has no coder: it is a map whose keys are pointers, which mean nothing to another process" + advice},
		{"a windowed value", errOf[coder.WindowedValue[int, coder.GlobalWindow]](), "made for exchange with Beam, and coder.WindowedValues makes its coder from those of its parts"},
	} {
		t.Run(tc.name, func(t *testing.T) { require.ErrorContains(t, tc.err, tc.want) })
	}
}

func errOf[T any]() error {
	_, err := coder.For[T]()
	return err
}

func TestCheckKey(t *testing.T) {
	type ok struct {
		ID   userID
		Name string
		At   [2]int
	}
	for name, err := range map[string]error{
		"integer": coder.CheckKey[int](), "named": coder.CheckKey[userID](), "string": coder.CheckKey[string](),
		"bool": coder.CheckKey[bool](), "struct": coder.CheckKey[ok](), "array": coder.CheckKey[[16]byte](),
	} {
		assert.NoError(t, err, name)
	}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{coder.CheckKey[*int](), "type *int cannot be a key: is a pointer, which means nothing to another process; use the value it stands for"},
		{coder.CheckKey[any](), "type interface {} cannot be a key: is an interface, and nothing says which types it holds; use a concrete type"},
		{coder.CheckKey[chan int](), "type chan int cannot be a key: is a channel"},
		{coder.CheckKey[float64](), "type float64 cannot be a key: is a floating-point number, and NaN is not even equal to itself"},
		{coder.CheckKey[[2]struct{ F float32 }](), "its part [].F (float32) is a floating-point number"},
		{coder.CheckKey[inner](), "type coder_test.inner cannot be a key: its part inner.B (*string) is a pointer"},
		{coder.CheckKey[time.Time](), "use its UnixMilli or UnixNano"},
	} {
		require.ErrorContains(t, tc.err, tc.want)
	}
}

func TestDecode_refusesWhatIsNoEncoding(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"a number too large for its type", decodeErr[int8]("\x80\x01"), "varint 128 does not fit into int8"},
		{"a varint without end", decodeErr[int64]("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "varint is longer than 64 bits"},
		{"a boolean of 2", decodeErr[bool]("\x02"), "byte 0x02 is no boolean"},
		{"a string longer than its bytes", decodeErr[string]("\xff\xff\xff\xff\x7fabc"), "encoding ends too early"},
		{"two billion elements in nine bytes", decodeErr[[]int64]("\x7f\xff\xff\xff\x01\x02\x03\x04\x05"), "encoding ends too early"},
		{"two billion entries in nine bytes", decodeErr[map[int]int]("\x7f\xff\xff\xff\x01\x02\x03\x04\x05"), "encoding ends too early"},
		{"an array of another length", decodeErr[[2]int]("\x00\x00\x00\x03\x01\x02\x03"), "3 elements for an array of 2"},
		{"a row of a later type", decodeErr[inner]("\x03\x00\x00\x01\x00\x00"), "row of 3 fields for coder_test.inner, which has 2"},
		{"null where there is no pointer", decodeErr[inner]("\x02\x01\x01"), "field A of coder_test.inner is null, but not a pointer"},
		{"an error inside a field", decodeErr[inner]("\x02\x00\x00\x01\x05"), "field B of coder_test.inner: encoding ends too early"},
		{"a window that ends before it starts", decodeErr[coder.IntervalWindow]("\x80\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "interval window of length -1"},
	} {
		t.Run(tc.name, func(t *testing.T) { require.ErrorContains(t, tc.err, tc.want) })
	}
	assert.ErrorIs(t, decodeErr[string]("\x05abc"), coder.ErrShort)
}

func decodeErr[T any](b string) error {
	_, _, err := inferred[T]().Decode([]byte(b))
	return err
}

// A row that was written before fields were added at the end is read: the new ones
// have their zero values.
func TestRow_readsFewerFields(t *testing.T) {
	type before struct{ A int }
	type after struct {
		A int
		B string
		C *int
	}
	b := inferred[before]().Append(nil, before{7})
	got, _, err := inferred[after]().Decode(b)
	require.NoError(t, err)
	assert.Equal(t, after{A: 7}, got)
}

func TestInt32_readsBeamsGoForm(t *testing.T) {
	type row struct{ V int32 }
	got, _, err := inferred[row]().Decode([]byte("\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	require.NoError(t, err)
	assert.Equal(t, row{-1}, got)
}

// money has no coder of its own; celsius would have another.
type (
	money   struct{ cents int64 }
	celsius float64
)

func moneyCoder() coder.Coder[money] {
	return coder.Coder[money]{
		ID: "example.com:coder:money:v1",
		// Padded, so that the length of a field takes two bytes.
		Append: func(b []byte, m money) []byte { return append(coder.AppendVarint(b, m.cents), make([]byte, 200)...) },
		Decode: func(b []byte) (money, []byte, error) {
			v, rest, err := coder.ReadVarint(b)
			if err != nil || len(rest) < 200 {
				return money{}, nil, errors.Join(err, coder.ErrShort)
			}
			return money{v}, rest[200:], nil
		},
	}
}

func TestRegister(t *testing.T) {
	require.ErrorContains(t, errOf[money](), "unexported field cents")
	coder.Register(moneyCoder())
	coder.Register(coder.Coder[celsius]{
		ID:     "example.com:coder:celsius:v1",
		Append: func(b []byte, c celsius) []byte { return coder.AppendVarint(b, int64(c*10)) },
		Decode: func(b []byte) (celsius, []byte, error) {
			v, rest, err := coder.ReadVarint(b)
			return celsius(v) / 10, rest, err
		},
	})
	type bill struct {
		Who   string
		Total money
		Tip   *money
		Items []money
	}
	roundTrip(t, money{5})
	roundTrip(t, celsius(21.5))
	roundTrip(t, bill{"a", money{1}, &money{2}, []money{{3}, {4}}})
	roundTrip(t, coder.KV[money, celsius]{Key: money{1}, Value: 2})
	assert.NoError(t, coder.CheckKey[money](), "its author answers for it")
	assert.Equal(t, "beam:coder:row:v1{Who string, Total example.com:coder:money:v1<bytes>, Tip example.com:coder:money:v1<bytes>?, "+
		"Items array<example.com:coder:money:v1<bytes>>}", inferred[bill]().ID)
	assert.Panics(t, func() { coder.Register(coder.Coder[money]{}) })
}

func TestLengthPrefixed(t *testing.T) {
	c := coder.LengthPrefixed(coder.Varints())
	assert.Equal(t, "beam:coder:length_prefix:v1<beam:coder:varint:v1>", c.ID)
	b := c.Append(nil, 300)
	assert.Equal(t, "\x02\xac\x02", string(b))
	v, rest, err := c.Decode(b)
	require.NoError(t, err)
	assert.Empty(t, rest)
	assert.EqualValues(t, 300, v)
	_, _, err = c.Decode([]byte("\x03\xac\x02\x00"))
	require.ErrorContains(t, err, "1 bytes follow a value of coder")
}

func TestPane_allForms(t *testing.T) {
	for _, p := range []coder.Pane{
		coder.NoFiring,
		{First: true, Timing: coder.Early, NonSpeculativeIndex: -1},
		{Timing: coder.Early, Index: 3, NonSpeculativeIndex: -1},
		{First: true, Last: true, Timing: coder.OnTime},
		{Timing: coder.OnTime, Index: 4, NonSpeculativeIndex: 4},
		{Last: true, Timing: coder.Late, Index: 400, NonSpeculativeIndex: 2},
	} {
		got, rest, err := coder.ReadPane(coder.AppendPane(nil, p))
		require.NoError(t, err)
		assert.Empty(t, rest)
		assert.Equal(t, p, got)
	}
}

// Goal: many values at once are the same bytes as one by one, whatever the way to them.
func TestAppendAll(t *testing.T) {
	type pair = coder.KV[uint64, [3]byte]
	pairs, err := coder.For[pair]()
	require.NoError(t, err)
	testAll(t, pairs, pair{7, [3]byte{1, 2, 3}}, pair{300, [3]byte{4}})
	testAll(t, coder.KVOf(coder.Strings(), coder.ByteSlices()), coder.KV[string, []byte]{Key: "a", Value: []byte("b")}, coder.KV[string, []byte]{Key: "c", Value: []byte("d")})
	testAll(t, coder.Varints(), 1, -1, 1<<40)
	testAll(t, coder.KVOf(coder.Varints(), pairs), coder.KV[int64, pair]{Key: 1, Value: pair{2, [3]byte{3}}})
}

func testAll[T any](t *testing.T, c coder.Coder[T], vs ...T) {
	var want []byte
	for _, v := range vs {
		want = c.Append(want, v)
	}
	b := c.AppendAll([]byte("head"), vs)
	require.Equal(t, append([]byte("head"), want...), b)
	got := make([]T, len(vs))
	n, rest, err := c.DecodeAll(got, append(want, "tail"...))
	require.NoError(t, err)
	require.Equal(t, len(vs), n)
	require.Equal(t, "tail", string(rest))
	require.Equal(t, vs, got)
	clear(got)
	n, _, err = c.DecodeAll(got, want[:len(want)-1])
	require.Error(t, err)
	require.Equal(t, len(vs)-1, n, "the last one is cut off")
}
