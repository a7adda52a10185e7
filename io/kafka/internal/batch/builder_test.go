package batch

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The bytes of a small batch, counted out by hand from the protocol guide.
func TestBuilder_golden(t *testing.T) {
	raw := built(t, None,
		rec{1000, []byte("k"), []byte("value"), []Header{{"h", nil}}},
		rec{999, nil, []byte{}, nil})
	Stamp(raw, Producer{0x0102, 3}, 4, true)
	sum := hex.EncodeToString(raw[atSum:atAttributes])
	assert.Equal(t, "0000000000000000"+ // base offset
		"00000048"+"ffffffff"+"02"+sum+ // length, epoch, magic, sum
		"0010"+"00000001"+ // transactional; last offset delta
		"00000000000003e8"+"00000000000003e8"+ // base and max timestamp
		"0000000000000102"+"0003"+"00000004"+"00000002"+ // producer, epoch, sequence, count
		"1e"+"00"+"00"+"00"+"02"+"6b"+"0a"+"76616c7565"+"02"+"02"+"68"+"01"+
		"0c"+"00"+"01"+"02"+"01"+"00"+"00",
		hex.EncodeToString(raw))
	assert.Equal(t, header(raw).summed(), header(raw).sum())
}

func TestBuilder_reuse(t *testing.T) {
	var b Builder
	assert.Nil(t, b.Finish(None), "no batch of no records")
	buf := make([]byte, 0, 10_000)
	for _, c := range codecs {
		b.Reset(buf)
		assert.Equal(t, HeaderSize, b.Size())
		b.Add(5, nil, filler(3000, 1), nil)
		raw := b.Finish(c)
		assert.Same(t, &buf[:1][0], &raw[0], "the batch lies where the caller said")
		assert.Equal(t, c, header(raw).codec())
		assert.Panics(t, func() { b.Add(1, nil, nil, nil) })
		out, err := all(new(Reader), raw, 0, Options{})
		require.NoError(t, err)
		assert.Equal(t, filler(3000, 1), out[0].value)
	}
}

// Goal: a batch that is built and stamped is one that is finished and stamped, whatever its
// memory held before.
func TestBuilder_build(t *testing.T) {
	for _, c := range codecs {
		var a, b Builder
		b.Reset(bytes.Repeat([]byte{0xa5}, 10_000))
		for _, x := range []*Builder{&a, &b} {
			x.Add(5, []byte("k"), filler(3000, 1), nil)
			x.Add(7, nil, filler(30, 2), nil)
		}
		want, got := a.Finish(c), b.Build(c)
		Stamp(want, Producer{7, 2}, 9, true)
		Stamp(got, Producer{7, 2}, 9, true)
		assert.Equal(t, want, got)
		assert.True(t, Sound(got))
	}
}

func TestBuilder_whatDoesNotShrinkIsLeft(t *testing.T) {
	for _, c := range codecs {
		raw := built(t, c, rec{1, nil, []byte("x"), nil})
		assert.Equal(t, None, header(raw).codec())
	}
}

func TestStamp(t *testing.T) {
	raw := built(t, Zstd, words(1, string(filler(500, 1)), "b")...)
	plain := bytes.Clone(raw)
	assert.Equal(t, int64(-1), header(raw).producer())
	Stamp(raw, Producer{9, 8}, 7, true)
	out, err := all(new(Reader), raw, 0, Options{Committed: true, Aborted: []Aborted{{9, 0}}})
	require.NoError(t, err)
	assert.Empty(t, out, "it is in the producer's transaction")
	Stamp(raw, Producer{9, 8}, 7, false)
	out, err = all(new(Reader), raw, 0, Options{Committed: true, Aborted: []Aborted{{9, 0}}})
	require.NoError(t, err)
	assert.Len(t, out, 2)
	Stamp(raw, Producer{-1, -1}, -1, false)
	assert.Equal(t, plain, raw)
	assert.Panics(t, func() { Stamp(raw[:len(raw)-1], Producer{}, 0, false) })
	assert.Panics(t, func() { Stamp(nil, Producer{}, 0, false) })
}

func TestNextSequence(t *testing.T) {
	assert.Equal(t, int32(5), NextSequence(2, 3))
	assert.Equal(t, int32(0), NextSequence(math.MaxInt32, 1))
	assert.Equal(t, int32(4), NextSequence(math.MaxInt32-1, 6))
}

func TestCount(t *testing.T) {
	a, b := part(t, 0, []string{"a", "b"}), part(t, 2, []string{"c"})
	assert.Equal(t, 3, Count(join(a, b)))
	assert.Equal(t, 2, Count(join(a, b[:65])))
	assert.Zero(t, Count(nil))
	a[atLength] = 0xff
	assert.Zero(t, Count(a))
}

func TestParseCodec(t *testing.T) {
	for _, c := range codecs {
		got, ok := ParseCodec(c.String())
		assert.True(t, ok)
		assert.Equal(t, c, got)
	}
	_, ok := ParseCodec("brotli")
	assert.False(t, ok)
	assert.Equal(t, "codec 7", Codec(7).String())
}
