package coder_test

import (
	"bytes"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/coder"
)

// small is a row of most of the kinds, small in memory, so that what a decoder
// allocates can be held against its input.
type small struct {
	A int32
	S string
	P *float64
	L []int16
	M map[string]bool
	T time.Time
	F [2]byte
}

// decoder decodes b with one coder; ok says that it did, and again is what the value
// is encoded as.
type decoder func(b []byte) (again []byte, ok bool)

func decoderOf[T any](c coder.Coder[T]) decoder {
	return func(b []byte) ([]byte, bool) {
		v, rest, err := c.Decode(b)
		if err != nil {
			return nil, false
		}
		if len(rest) > len(b) {
			panic("more bytes are left than there were")
		}
		return c.Append(nil, v), true
	}
}

// decoders lists every decoder of the package.
var decoders = []decoder{
	decoderOf(coder.Strings()), decoderOf(coder.ByteSlices()), decoderOf(coder.Bools()), decoderOf(coder.Varints()), decoderOf(coder.Doubles()),
	decoderOf(inferred[int8]()), decoderOf(inferred[int32]()), decoderOf(inferred[uint16]()), decoderOf(inferred[uint64]()), decoderOf(inferred[float32]()),
	decoderOf(inferred[[4]byte]()), decoderOf(inferred[time.Time]()), decoderOf(inferred[*string]()), decoderOf(coder.Nullable(coder.Varints())),
	decoderOf(inferred[[]int64]()), decoderOf(inferred[[][]string]()), decoderOf(inferred[[3]string]()), decoderOf(inferred[[]coder.GlobalWindow]()),
	decoderOf(coder.Iterable(coder.Strings())), decoderOf(coder.Iterable(coder.Iterable(coder.Bools()))), decoderOf(coder.Iterable(coder.GlobalWindows())),
	decoderOf(coder.StateBackedIterable(coder.Varints())), decoderOf(coder.LengthPrefixed(coder.Strings())),
	decoderOf(inferred[map[string]int]()), decoderOf(inferred[map[int][]string]()),
	decoderOf(inferred[small]()), decoderOf(inferred[[]small]()), decoderOf(inferred[struct{}]()), decoderOf(inferred[all]()),
	decoderOf(inferred[coder.KV[string, int]]()), decoderOf(coder.KVOf(coder.Strings(), coder.Doubles())), decoderOf(coder.Outer(coder.KVOf(coder.Varints(), coder.Strings()))),
	decoderOf(inferred[coder.ShardedKey[string]]()), decoderOf(coder.ShardedKeys(coder.Strings())),
	decoderOf(coder.IntervalWindows()), decoderOf(coder.WindowedValues(coder.Strings(), coder.IntervalWindows())),
	decoderOf(coder.WindowedValues(coder.Varints(), coder.GlobalWindows())), decoderOf(coder.Timers(coder.Strings(), coder.IntervalWindows())),
	func(b []byte) ([]byte, bool) { // a schema, from the bytes of a stranger
		s, err := coder.ParseSchema(b)
		if err != nil {
			return nil, false
		}
		again, _ := s.MarshalBinary()
		return again, true
	},
	func(b []byte) ([]byte, bool) {
		c, err := coder.ParamWindowedValues(coder.Varints(), coder.IntervalWindows(), b)
		if err != nil {
			return nil, false
		}
		return decoderOf(c)([]byte{5})
	},
}

// Goal: no bytes make a decoder panic or take memory out of proportion, and what a
// decoded value is encoded as is decoded to the same bytes again.
func FuzzDecode(f *testing.F) {
	seeds := [][]byte{
		nil, {0}, {1}, {0xff}, []byte("\x03abc"), []byte("\x7f\xff\xff\xff"), []byte("\xff\xff\xff\xff\x02\x01a\x01b\x00"),
		[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), []byte("\x00\x00\x00\x02\x01a\x02\x01b\x01"),
		[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x07"), bytes.Repeat([]byte{0x80}, 20),
		inferred[all]().Append(nil, all{S: "seed", L: []inner{{}}, M: map[string]int{"x": 1}}),
		inferred[small]().Append(nil, small{L: []int16{1, -1}, M: map[string]bool{"a": true, "b": false}}),
		coder.WindowedValues(coder.Strings(), coder.IntervalWindows()).Append(nil, coder.WindowedValue[string, coder.IntervalWindow]{
			Value: "v", Windows: []coder.IntervalWindow{{Start: 1, End: 2}}, Pane: coder.NoFiring}),
		coder.Timers(coder.Strings(), coder.IntervalWindows()).Append(nil, coder.Timer[string, coder.IntervalWindow]{Key: "k", Tag: "t"}),
	}
	if s, err := coder.SchemaOf[all](); err == nil {
		b, _ := s.MarshalBinary()
		seeds = append(seeds, b)
	}
	for _, seed := range seeds {
		for which := range decoders {
			f.Add(uint8(which), seed)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		d := decoders[int(which)%len(decoders)]
		again, ok := d(b)
		if !ok {
			return
		}
		twice, ok := d(again)
		require.True(t, ok, "what was encoded is not decoded: % x", again)
		require.Equal(t, again, twice)
	})
}

// Goal: a count that lies costs nothing. Method: each decoder is given short inputs
// that announce as much as the format can; the bytes that it allocates are counted.
func TestDecode_allocatesNoMoreThanTheInputJustifies(t *testing.T) {
	liars := [][]byte{
		[]byte("\x7f\xff\xff\xff"), []byte("\x7f\xff\xff\xff\x01\x01\x01\x01\x01\x01\x01\x01"),
		[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x07\x01\x01\x01"), []byte("\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
		[]byte("\xff\xff\xff\xff\x0f"), []byte("\x01\x0a\xff\xff\xff\xff\x0f"),
		append([]byte("\x00\x00\x0f\xff"), make([]byte, 4095)...), // 4 kB, and as many elements as bytes
		append([]byte("\xff\xff\xff\xff\xff\x1f"), make([]byte, 4095)...),
	}
	for i, d := range decoders {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			for _, b := range liars {
				d(b) // and first, what is made once
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				d(b)
				runtime.ReadMemStats(&after)
				// A string or slice takes 24 bytes of memory for one of its encoding, and
				// append may have grown twice; the encoding again is in the sum.
				require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8192+100*len(b)), "% x", b[:min(len(b), 16)])
			}
		})
	}
}

func TestDecode_elementsOfNoSize(t *testing.T) {
	b := []byte("\x00\x0f\xff\xff")
	v, _, err := inferred[[]coder.GlobalWindow]().Decode(b)
	require.NoError(t, err)
	require.Len(t, v, 1<<20-1)
	v, _, err = coder.Iterable(coder.GlobalWindows()).Decode(b)
	require.NoError(t, err)
	require.Len(t, v, 1<<20-1)
	for _, c := range []coder.Coder[[]coder.GlobalWindow]{coder.Iterable(coder.GlobalWindows()), inferred[[]coder.GlobalWindow]()} {
		_, _, err = c.Decode([]byte("\x7f\xff\xff\xff"))
		require.ErrorContains(t, err, "more than 1048576 elements without bytes")
	}
}
