package coder_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/coder"
)

const allSchema = "{Bool boolean, I int64, I8 millrace:logical_type:int8:v1<byte>, I16 int16, I32 int32, I64 int64, " +
	"U millrace:logical_type:uint64:v1<int64>, U8 byte, U16 millrace:logical_type:uint16:v1<int32>, U32 millrace:logical_type:uint32:v1<int64>, " +
	"U64 millrace:logical_type:uint64:v1<int64>, F32 float, F64 double, S string, B bytes, Fixed beam:logical_type:fixed_bytes:v1(4)<bytes>, " +
	"Pair millrace:logical_type:array:v1(2)<array<int32>>, T beam:logical_type:timestamp:v1(9)<row{seconds int64, subseconds int32}>, D int64, " +
	"ID millrace:logical_type:uint64:v1<int64>, In row{A int16, B string?}, P row{A int16, B string?}?, L array<row{A int16, B string?}>, " +
	"N array<int64?>, M map<string,int64>, KV row{Key string, Value int64}, Nested array<array<string>>, Empty row{}}"

func TestSchemaOf(t *testing.T) {
	s, err := coder.SchemaOf[all]()
	require.NoError(t, err)
	assert.Equal(t, allSchema, s.String())
	p, err := coder.SchemaOf[*all]()
	require.NoError(t, err)
	assert.Equal(t, s, p)

	_, err = coder.SchemaOf[int]()
	require.EqualError(t, err, "type int has no schema: only structs without a coder of their own have one")
}

func TestSchema_bytesRoundTrip(t *testing.T) {
	s, err := coder.SchemaOf[all]()
	require.NoError(t, err)
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	assert.EqualValues(t, 1, b[0], "the version")
	got, err := coder.ParseSchema(b)
	require.NoError(t, err)
	assert.Equal(t, s, got)
}

func TestSchema_goldenBytes(t *testing.T) {
	s, err := coder.SchemaOf[inner]()
	require.NoError(t, err)
	b, _ := s.MarshalBinary()
	assert.Equal(t, "\x01\n\x07\n\x01A\x1a\x02\x10\x02\n\x09\n\x01B\x1a\x04\x08\x01\x10\x07", string(b))
}

func TestParseSchema_refuses(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"nothing", "", "encoding ends too early"},
		{"a later version", "\x02", "schema of version 2, and this program knows version 1"},
		{"a field without a type", "\x01\n\x03\n\x01A", `field "A": no type`},
		{"an atomic type of the future", "\x01\n\x07\n\x01A\x1a\x02\x10\x63", "atomic type 99 is unknown"},
		{"a field cut short", "\x01\n\x07\n\x01A", "encoding ends too early"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := coder.ParseSchema([]byte(tc.in))
			require.ErrorContains(t, err, tc.want)
		})
	}
}
