package coder

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// described describes the coder of t and returns it.
func describedType(t *testing.T, rt reflect.Type) (*codec, *Description) {
	t.Helper()
	k, err := (&compiler{root: rt}).compile(rt, place{})
	require.NoError(t, err)
	d, err := Describe(k.id)
	require.NoError(t, err)
	return k, d
}

func encodeValue(k *codec, v reflect.Value) []byte {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return k.enc(nil, p.UnsafePointer())
}

func decodeValue(t *testing.T, k *codec, rt reflect.Type, b []byte) reflect.Value {
	t.Helper()
	p := reflect.New(rt)
	rest, err := k.dec(p.UnsafePointer(), b)
	require.NoError(t, err)
	require.Empty(t, rest)
	return p.Elem()
}

// types makes random types and values.
type types struct{ *rand.Rand }

var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[[3]byte](), reflect.TypeFor[time.Time](),
	reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[int](),
	reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](),
}

// grown are the types that each number may become.
var grown = map[reflect.Kind][]reflect.Type{
	reflect.Int8:    {reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64]()},
	reflect.Int16:   {reflect.TypeFor[int32](), reflect.TypeFor[int]()},
	reflect.Int32:   {reflect.TypeFor[int64]()},
	reflect.Uint8:   {reflect.TypeFor[uint16](), reflect.TypeFor[uint64](), reflect.TypeFor[int16](), reflect.TypeFor[int64]()},
	reflect.Uint16:  {reflect.TypeFor[uint32](), reflect.TypeFor[uint](), reflect.TypeFor[int32]()},
	reflect.Uint32:  {reflect.TypeFor[uint64](), reflect.TypeFor[int64]()},
	reflect.Float32: {reflect.TypeFor[float64]()},
}

func (g types) typ(depth int) reflect.Type {
	if depth == 0 {
		return leaves[g.IntN(len(leaves))]
	}
	switch g.IntN(8) {
	case 0:
		return reflect.SliceOf(g.typ(depth - 1))
	case 1:
		return reflect.ArrayOf(g.IntN(3), g.structOf(depth-1))
	case 2:
		return reflect.MapOf([]reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[uint16](), reflect.TypeFor[int64]()}[g.IntN(3)], g.typ(depth-1))
	case 3:
		return reflect.PointerTo(g.structOf(depth - 1))
	case 4, 5:
		return g.structOf(depth - 1)
	}
	return g.typ(0)
}

func (g types) structOf(depth int) reflect.Type {
	var fields []reflect.StructField
	for i := range g.IntN(3 + 3*depth) {
		fields = append(fields, reflect.StructField{Name: fmt.Sprint("F", i), Type: g.typ(depth)})
	}
	return reflect.StructOf(fields)
}

// evolve changes t in a way that Convert is to follow. inKey: so that no two values
// become one.
func (g types) evolve(t reflect.Type, row, inKey bool) reflect.Type {
	if leaf := grown[t.Kind()]; leaf != nil && row && g.IntN(2) == 0 {
		return leaf[g.IntN(len(leaf))]
	}
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return reflect.SliceOf(g.evolve(t.Elem(), row, inKey))
		}
	case reflect.Array:
		if t.Elem().Kind() != reflect.Uint8 {
			return reflect.ArrayOf(t.Len(), g.evolve(t.Elem(), row, inKey))
		}
	case reflect.Map:
		return reflect.MapOf(g.evolve(t.Key(), row, true), g.evolve(t.Elem(), row, inKey))
	case reflect.Pointer:
		return reflect.PointerTo(g.evolve(t.Elem(), row, inKey))
	case reflect.Struct:
		if t == timeType {
			return t
		}
		var fields []reflect.StructField
		for f := range t.Fields() {
			if g.IntN(5) == 0 {
				continue
			}
			ft := g.evolve(f.Type, true, inKey)
			if ft.Kind() != reflect.Pointer && g.IntN(6) == 0 {
				ft = reflect.PointerTo(ft)
			}
			fields = append(fields, reflect.StructField{Name: f.Name, Type: ft})
		}
		for i := range g.IntN(3) {
			fields = append(fields, reflect.StructField{Name: fmt.Sprint("New", i), Type: g.typ(g.IntN(3))})
		}
		if g.IntN(2) == 0 {
			g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		}
		return reflect.StructOf(fields)
	}
	return t
}

func (g types) value(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.String:
		v.SetString(fmt.Sprint("s", g.IntN(1000)))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(g.IntN(1000)) / 8)
	case reflect.Pointer:
		if g.IntN(3) > 0 {
			v.Set(reflect.New(t.Elem()))
			v.Elem().Set(g.value(t.Elem()))
		}
	case reflect.Slice:
		for range g.IntN(4) {
			v.Set(reflect.Append(v, g.value(t.Elem())))
		}
	case reflect.Array:
		for i := range t.Len() {
			v.Index(i).Set(g.value(t.Elem()))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		for range g.IntN(5) {
			v.SetMapIndex(g.value(t.Key()), g.value(t.Elem()))
		}
	case reflect.Struct:
		if t == timeType {
			v.Set(reflect.ValueOf(time.Unix(g.Int64N(1<<40), g.Int64N(1e9)).UTC()))
			return v
		}
		for i := range t.NumField() {
			v.Field(i).Set(g.value(t.Field(i).Type))
		}
	default:
		if v.CanInt() {
			v.SetInt(int64(g.Uint64()) >> (64 - t.Bits()))
		} else {
			v.SetUint(g.Uint64() >> (64 - t.Bits()))
		}
	}
	return v
}

// moved is what a value of the old type is in the new one: the specification.
func moved(v reflect.Value, to reflect.Type) reflect.Value {
	out := reflect.New(to).Elem()
	switch {
	case to.Kind() == reflect.Pointer && v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(to.Elem()))
			out.Elem().Set(moved(v.Elem(), to.Elem()))
		}
	case to.Kind() == reflect.Pointer:
		out.Set(reflect.New(to.Elem()))
		out.Elem().Set(moved(v, to.Elem()))
	case v.Type() == to:
		out.Set(v)
	case to.Kind() == reflect.Slice:
		for i := range v.Len() {
			out.Set(reflect.Append(out, moved(v.Index(i), to.Elem())))
		}
	case to.Kind() == reflect.Array:
		for i := range v.Len() {
			out.Index(i).Set(moved(v.Index(i), to.Elem()))
		}
	case to.Kind() == reflect.Map:
		out.Set(reflect.MakeMap(to))
		for k, e := range v.Seq2() {
			out.SetMapIndex(moved(k, to.Key()), moved(e, to.Elem()))
		}
	case to.Kind() == reflect.Struct:
		for i := range to.NumField() {
			if f := v.FieldByName(to.Field(i).Name); f.IsValid() {
				out.Field(i).Set(moved(f, to.Field(i).Type))
			}
		}
	default:
		out.Set(v.Convert(to))
	}
	return out
}

// Goal: what was written by the coder of a type is read by that of a later one as one
// expects. Method: random types, changed at random in all allowed ways at any depth,
// random values, and reflection as the specification. The bytes must be those that the
// new coder writes.
func TestConvert_anyAllowedChange(t *testing.T) {
	same := 0
	for seed := range uint64(1500) {
		g := types{rand.New(rand.NewPCG(seed, 1))}
		was := g.structOf(2)
		is := was
		if seed%10 > 0 {
			is = g.evolve(was, true, false)
		}
		k1, d1 := describedType(t, was)
		k2, d2 := describedType(t, is)
		conv, err := Convert(d1, d2)
		require.NoError(t, err, "seed %d: %v to %v", seed, was, is)
		require.Equal(t, k1.id == k2.id, conv.Same(), "seed %d", seed)
		require.Equal(t, conv.Same(), len(conv.Changes()) == 0, "seed %d: %v", seed, conv.Changes())
		if conv.Same() {
			same++
		}
		for range 3 {
			v := g.value(was)
			want := moved(v, is)
			b, rest, err := conv.Append([]byte("x"), append(encodeValue(k1, v), "rest"...))
			require.NoError(t, err, "seed %d", seed)
			require.Equal(t, "rest", string(rest), "seed %d", seed)
			require.Equal(t, encodeValue(k2, want), b[1:], "seed %d: %v to %v: %v", seed, was, is, conv.Changes())
			decodeValue(t, k2, is, b[1:])
		}
	}
	assert.Greater(t, same, 150)
}

func ids[From, To any](t *testing.T) (*Conversion, error) {
	t.Helper()
	_, from := describedType(t, reflect.TypeFor[From]())
	_, to := describedType(t, reflect.TypeFor[To]())
	return Convert(from, to)
}

// What a plan of an upgrade shows.
func TestConvert_namesTheChanges(t *testing.T) {
	type item1 struct {
		Price int32
		Note  string
	}
	type item2 struct {
		Price int64
		Tags  []string
	}
	type order1 struct {
		ID    string
		Items []item1
		Per   map[string]item1
		Due   *item1
		Old   float32
	}
	type order2 struct {
		Items []item2
		ID    string
		Per   map[string]item2
		Due   *item2
		Old   *float64
	}
	conv, err := ids[order1, order2](t)
	require.NoError(t, err)
	assert.False(t, conv.Same())
	var got []string
	for _, c := range conv.Changes() {
		got = append(got, c.String())
	}
	assert.Equal(t, []string{
		"field Items[].Price: int32 becomes int64",
		"field Items[].Note string removed",
		"field Items[].Tags []string added",
		"field Per[value].Price: int32 becomes int64",
		"field Per[value].Note string removed",
		"field Per[value].Tags []string added",
		"field Due.Price: int32 becomes int64",
		"field Due.Note string removed",
		"field Due.Tags []string added",
		"field Old: float32 becomes *float64",
		"fields in another order",
	}, got)

	plain, err := ids[[]item1, []item1](t)
	require.NoError(t, err)
	assert.True(t, plain.Same())
	assert.Empty(t, plain.Changes())
}

func TestConvert_outsideOfRows(t *testing.T) {
	check := func(conv *Conversion, err error, from, to []byte) {
		t.Helper()
		require.NoError(t, err)
		b, rest, err := conv.Append(nil, from)
		require.NoError(t, err)
		assert.Empty(t, rest)
		assert.Equal(t, to, b)
	}
	conv, err := ids[float32, float64](t)
	check(conv, err, of[float32](floatCodec()).Append(nil, 1.5), Doubles().Append(nil, 1.5))
	conv, err = ids[int8, int64](t)
	check(conv, err, []byte{5}, []byte{5})
	assert.True(t, conv.Same(), "alone, all signed integers have one coder")
	conv, err = ids[string, *string](t)
	check(conv, err, []byte("\x01a"), []byte("\x01\x01a"))
	conv, err = ids[KV[string, struct{ A int8 }], KV[string, struct{ A, B int16 }]](t)
	check(conv, err, []byte("\x01k\x01\x00\x05"), []byte("\x01k\x02\x00\x00\x05\x00\x00"))
	conv, err = ids[ShardedKey[struct{ A int8 }], ShardedKey[struct{ A int16 }]](t)
	check(conv, err, []byte("\x01s\x01\x00\x05"), []byte("\x01s\x01\x00\x00\x05"))
	conv, err = ids[map[struct{ A int8 }]bool, map[struct{ A int16 }]bool](t)
	check(conv, err, []byte("\x00\x00\x00\x02\x01\x00\x05\x01\x01\x00\xff\x00"), []byte("\x00\x00\x00\x02\x01\x00\x00\x05\x01\x01\x00\xff\xff\x00"))
	conv, err = ids[[]struct{ A int8 }, []struct{ A int16 }](t)
	check(conv, err, []byte("\xff\xff\xff\xff\x01\x01\x00\x05\x00"), []byte("\x00\x00\x00\x01\x01\x00\x00\x05"))
	conv, err = ids[struct{ A, B int8 }, struct{ B, A, C int8 }](t)
	check(conv, err, []byte("\x01\x00\x05"), []byte("\x03\x00\x00\x05\x00"))
}

// What an author who has changed too much reads.
func TestConvert_refusesWithASentence(t *testing.T) {
	type amount1 struct{ Amount string }
	type amount2 struct{ Amount int64 }
	for _, tc := range []struct {
		name string
		err  func() (*Conversion, error)
		want string
	}{
		{"another type, deep inside", func() (*Conversion, error) {
			return ids[struct{ Total amount1 }, struct{ Total amount2 }](t)
		}, "field Total.Amount: string cannot become int64"},
		{"in a slice in a map", func() (*Conversion, error) {
			return ids[struct{ Per map[string][]amount1 }, struct{ Per map[string][]amount2 }](t)
		}, "field Per[value][].Amount: string cannot become int64"},
		{"another type altogether", func() (*Conversion, error) { return ids[string, amount2](t) }, "string cannot become struct{Amount int64}"},
		{"narrower", func() (*Conversion, error) { return ids[struct{ A int64 }, struct{ A int32 }](t) }, "field A: int64 cannot become int32"},
		{"a sign is lost", func() (*Conversion, error) { return ids[struct{ A int8 }, struct{ A uint64 }](t) }, "field A: int8 cannot become uint64"},
		{"a sign appears", func() (*Conversion, error) { return ids[struct{ A uint64 }, struct{ A int64 }](t) }, "field A: uint64 cannot become int64"},
		{"no longer a pointer", func() (*Conversion, error) { return ids[struct{ A *int8 }, struct{ A int8 }](t) }, "field A: *int8 cannot become int8: it may be null"},
		{"a pointer to another type", func() (*Conversion, error) { return ids[struct{ A string }, struct{ A *int8 }](t) }, "field A: string cannot become *int8"},
		{"alone, a pointer to another type", func() (*Conversion, error) { return ids[string, *bool](t) }, "string cannot become *bool"},
		{"a longer array", func() (*Conversion, error) { return ids[struct{ A [2]int8 }, struct{ A [3]int8 }](t) }, "field A: [2]int8 cannot become [3]int8"},
		{"a longer array of bytes", func() (*Conversion, error) { return ids[[2]byte, [3]byte](t) }, "[2]byte cannot become [3]byte"},
		{"keys that lose a part", func() (*Conversion, error) {
			return ids[map[struct{ A, B int8 }]bool, map[struct{ A int8 }]bool](t)
		}, "field [key]: struct{A int8; B int8} cannot become struct{A int8}: keys that differ in a field which was removed would become one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tc.err()
			require.EqualError(t, err, tc.want)
			_, ok := errorsAs(err)
			assert.True(t, ok)
		})
	}
	a, err := Describe("a:coder:x:v1")
	require.NoError(t, err)
	b, err := Describe("a:coder:y:v1")
	require.NoError(t, err)
	_, err = Convert(a, b)
	require.EqualError(t, err, "a:coder:x:v1 cannot become a:coder:y:v1: only the program knows their bytes")
	same, err := Convert(a, a)
	require.NoError(t, err)
	assert.True(t, same.Same())
	with, err := Describe("beam:coder:row:v1{A a:coder:x:v1<bytes>}")
	require.NoError(t, err)
	none, err := Describe("beam:coder:row:v1{}")
	require.NoError(t, err)
	_, err = Convert(none, with)
	require.EqualError(t, err, "field A: it was added: coder a:coder:x:v1 is not registered in this program, which alone knows its zero value")
}

func errorsAs(err error) (*Incompatible, bool) { e, ok := err.(*Incompatible); return e, ok }

// Goal: no bytes make a conversion panic. Method: each conversion of a few, on bytes cut
// short anywhere and with each byte changed.
func TestConvert_damagedBytes(t *testing.T) {
	for seed := range uint64(60) {
		g := types{rand.New(rand.NewPCG(seed, 2))}
		was := g.structOf(2)
		is := g.evolve(was, true, false)
		k1, d1 := describedType(t, was)
		_, d2 := describedType(t, is)
		conv, err := Convert(d1, d2)
		require.NoError(t, err)
		b := encodeValue(k1, g.value(was))
		for n := range min(len(b), 200) {
			_, _, err := conv.Append(nil, b[:n:n])
			require.Error(t, err)
			damaged := append([]byte(nil), b...)
			damaged[n] ^= byte(1 + g.IntN(255))
			_, _, _ = conv.Append(nil, damaged)
		}
	}
}
