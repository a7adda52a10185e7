package batch

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// raws puts b in the place of the records of one.
func raws(b ...byte) change {
	return func(h header) header { return append(slices.Clone(h[:HeaderSize]), b...) }
}

func TestReader_corrupt(t *testing.T) {
	one := []string{"a"}
	unsealed := func(at int, b byte) []byte {
		raw := part(t, 10, one)
		raw[at] = b
		return raw
	}
	// body is a record from its attributes on, with its length before it.
	body := func(b ...byte) change { return raws(append(binary.AppendVarint(nil, int64(len(b))), b...)...) }
	codec := func(c Codec, b ...byte) []byte { return part(t, 10, one, put16(atAttributes, int(c)), raws(b...)) }
	cases := []struct {
		name, says string
		raw        []byte
	}{
		{"a length below the header's", "shorter than its header", unsealed(atLength+3, 48)},
		{"a negative length", "shorter than its header", unsealed(atLength, 0x80)},
		{"a format of the future", "format 3", unsealed(atMagic, 3)},
		{"a wrong sum", "CRC-32C", unsealed(atSum, 1)},
		{"a negative base offset", "out of range", unsealed(0, 0xff)},
		{"a base offset with no room for the last", "out of range", join(part(t, 1<<63-1, one))},
		{"a negative last offset", "out of range", part(t, 10, one, put32(atLastDelta, -1))},
		{"a negative count", "as many offsets", part(t, 10, one, put32(atCount, -1))},
		{"more records than offsets", "as many offsets", part(t, 10, one, put32(atCount, 2))},
		{"fewer bytes than records", "ends outside its batch", part(t, 10, one, put32(atLastDelta, 9), put32(atCount, 2))},
		{"more bytes than records", "left behind", part(t, 10, []string{"a", "b"}, put32(atCount, 1))},
		{"a record of no length", "ends outside its batch", part(t, 10, one, raws(0))},
		{"a record of negative length", "ends outside its batch", part(t, 10, one, raws(1))},
		{"a record too long", "ends outside its batch", part(t, 10, one, raws(100, 0, 0, 0))},
		{"a length that does not end", "ends outside its batch", part(t, 10, one, raws(bytes.Repeat([]byte{0xff}, 20)...))},
		{"only attributes", "timestamp is cut off", part(t, 10, one, body(0))},
		{"no offset", "offset is not between", part(t, 10, one, body(0, 0))},
		{"an offset behind the batch", "offset is not between", part(t, 10, one, body(0, 0, 2, 1, 1, 0))},
		{"a negative offset", "offset is not between", part(t, 10, one, body(0, 0, 1, 1, 1, 0))},
		{"the same offset twice", "offset is not between", part(t, 10, []string{"a", "b"}, raws(join(record(0, 0, nil, nil), record(0, 0, nil, nil))...))},
		{"no key", "a key", part(t, 10, one, body(0, 0, 0))},
		{"a key too long", "a key", part(t, 10, one, body(0, 0, 0, 20, 1, 0))},
		{"a key of length -2", "a key", part(t, 10, one, body(0, 0, 0, 3, 1, 0))},
		{"no value", "a value", part(t, 10, one, body(0, 0, 0, 1))},
		{"a value too long", "a value", part(t, 10, one, body(0, 0, 0, 1, 20, 0))},
		{"a value of length -2", "a value", part(t, 10, one, body(0, 0, 0, 1, 3, 0))},
		{"no count of headers", "headers", part(t, 10, one, body(0, 0, 0, 1, 1))},
		{"fewer headers than counted", "headers", part(t, 10, one, body(0, 0, 0, 1, 1, 2))},
		{"very many headers", "headers", part(t, 10, one, body(0, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0))},
		{"a negative count of headers", "headers", part(t, 10, one, body(0, 0, 0, 1, 1, 1))},
		{"a null key of a header", "headers", part(t, 10, one, body(0, 0, 0, 1, 1, 2, 1, 1))},
		{"a header without a value", "headers", part(t, 10, one, body(0, 0, 0, 1, 1, 2, 0))},
		{"a header's value too long", "headers", part(t, 10, one, body(0, 0, 0, 1, 1, 2, 0, 9))},
		{"bytes behind the headers", "headers", part(t, 10, one, body(0, 0, 0, 1, 1, 2, 0, 1, 5))},
		{"offsets of the batch before", "batch before", join(part(t, 9, []string{"a", "b"}), part(t, 10, one))},
		{"gzip of nothing", "gzip", codec(Gzip)},
		{"gzip of three bytes", "gzip", codec(Gzip, 1, 2, 3)},
		{"gzip that is none", "gzip", codec(Gzip, bytes.Repeat([]byte{1}, 40)...)},
		{"snappy of nothing", "snappy", codec(Snappy)},
		{"snappy that promises much", "snappy", codec(Snappy, 0xff, 0xff, 0xff, 0x3f, 0)},
		{"snappy frames without a head", "snappy", codec(Snappy, xerial...)},
		{"a snappy frame cut off", "snappy", codec(Snappy, join(xerial, make([]byte, 8), []byte{0, 0, 0, 9, 1})...)},
		{"a snappy frame without length", "snappy", codec(Snappy, join(xerial, make([]byte, 8), []byte{0, 0})...)},
		{"snappy frames of nothing", "ends outside its batch", codec(Snappy, join(xerial, make([]byte, 8))...)},
		{"lz4 that is none", "lz4", codec(LZ4, bytes.Repeat([]byte{1}, 40)...)},
		{"zstd that is none", "zstd", codec(Zstd, bytes.Repeat([]byte{1}, 40)...)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var r Reader
			_, err := all(&r, join(c.raw, part(t, 1000, one)), 0, Options{})
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt)
			assert.ErrorContains(t, err, c.says)
			assert.False(t, r.Next(&Record{}), "nothing behind an error")
			assert.Less(t, r.NextOffset(), int64(1000), "nothing was stepped over")
		})
	}
}

func TestReader_corruptInside(t *testing.T) {
	raw := part(t, 10, []string{"a", "b", "c"}, raws(join(record(0, 0, nil, nil), record(0, 1, nil, nil), []byte{9, 9})...))
	var r Reader
	out, err := all(&r, raw, 0, Options{})
	assert.Len(t, out, 2)
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt)
	assert.Equal(t, int64(12), corrupt.Offset)
	assert.Equal(t, int64(12), r.NextOffset())
}

// What decompresses to more than is allowed takes no such memory.
func TestReader_tooLarge(t *testing.T) {
	for _, c := range codecs[1:] {
		raw := built(t, c, rec{1, nil, make([]byte, 8<<20), nil})
		require.Less(t, len(raw), 1<<20)
		_, err := all(new(Reader), raw, 0, Options{MaxSize: 1 << 20})
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt, c)
		require.ErrorIs(t, err, ErrTooLarge, c)
		out, err := all(new(Reader), raw, 0, Options{MaxSize: 9 << 20})
		require.NoError(t, err, c)
		assert.Len(t, out, 1)
	}
}

// golden are batches of all kinds, the second of which is always plain, so that
// what is done to the first cannot be hidden by the end.
func golden(t testing.TB) map[string][]byte {
	records := []rec{
		{1000, []byte("key"), filler(70, 1), []Header{{"h", []byte("v")}, {"n", nil}}},
		{1001, nil, filler(300, 1), nil},
		{1002, []byte{}, nil, nil},
	}
	out := map[string][]byte{"xerial": squeezed(t, Snappy, []string{"a", "bb", "ccc"}, javaSnappy(7))}
	for _, c := range codecs {
		out[c.String()] = built(t, c, records...)
		require.Equal(t, c, header(out[c.String()]).codec(), "it is compressed")
	}
	for _, raw := range out {
		stamp(raw, Producer{5, 2}, 77, true)
		header(raw).setBase(40)
	}
	return out
}

// Each bit of each byte, flipped, is found, except in the base offset, which is
// then different and still rises; in the leader's epoch; and in the length, where
// the batch may seem to go on behind what was fetched.
func TestReader_flips(t *testing.T) {
	for name, good := range golden(t) {
		var r Reader
		want, err := all(&r, good, 0, Options{})
		require.NoError(t, err)
		raw := slices.Clone(good)
		for i := range raw {
			for bit := range 8 {
				raw[i] ^= 1 << bit
				out, err := all(&r, raw, 0, Options{})
				switch {
				case err != nil:
					require.Empty(t, out, "%s: byte %d", name, i)
				case i < atLength:
					require.Equal(t, r.NextOffset()-3, out[0].offset)
					require.Len(t, out, len(want))
				case i < atEpoch:
					require.True(t, r.Partial(), "%s: byte %d bit %d", name, i, bit)
					require.Greater(t, r.Need(), len(raw))
					require.Empty(t, out)
				case i < atMagic:
					require.Equal(t, want, out)
				default:
					t.Errorf("%s: byte %d bit %d: not found", name, i, bit)
				}
				raw[i] ^= 1 << bit
			}
		}
	}
}

// Flips that the sum does not show, because they were there when it was made, do
// no harm: an error, or some records of rising offsets.
func TestReader_flipsUnderTheSum(t *testing.T) {
	for name, good := range golden(t) {
		raw := slices.Clone(good)
		for i := atAttributes; i < len(raw); i++ {
			for bit := range 8 {
				raw[i] ^= 1 << bit
				header(raw).seal()
				harmless(t, raw, name)
				raw[i] ^= 1 << bit
			}
		}
	}
}

func TestReader_truncations(t *testing.T) {
	for name, good := range golden(t) {
		var r Reader
		raw := join(good, part(t, 43, []string{"x"}))
		want, err := all(&r, raw, 0, Options{})
		require.NoError(t, err)
		for n := range raw {
			out, err := all(&r, raw[:n:n], 0, Options{})
			require.NoError(t, err, name)
			if n < len(good) {
				require.Empty(t, out)
				require.Equal(t, int64(0), r.NextOffset())
				require.Equal(t, n > 0, r.Need() > 0)
			} else {
				require.Equal(t, want[:3], out)
				require.Equal(t, int64(43), r.NextOffset())
				require.Zero(t, r.Need())
			}
			require.Equal(t, n > 0 && n != len(good), r.Partial(), "%s: %d", name, n)
		}
		for n := HeaderSize; n < len(good); n++ { // the records alone are cut, under a right sum
			cut := slices.Clone(good[:n])
			binary.BigEndian.PutUint32(cut[atLength:], uint32(n-beforeLength))
			header(cut).seal()
			if out, err := all(&r, cut, 0, Options{}); err == nil { // only marks behind the records are gone
				require.Equal(t, want[:3], out, "%s: %d", name, n)
			}
		}
	}
}

// harmless reads raw in all ways, and checks what holds for any bytes.
func harmless(t testing.TB, raw []byte, name string) {
	var r Reader
	var x Record
	for _, o := range []Options{
		{MaxSize: 1 << 20}, {MaxSize: 1 << 20, Keep: true},
		{MaxSize: 1 << 20, Committed: true, Aborted: []Aborted{{5, 0}, {-1, 41}, {5, 60}}},
	} {
		r.Reset(raw, 3, o)
		last := int64(2)
		for r.Next(&x) {
			if x.Offset <= last || r.NextOffset() <= x.Offset {
				t.Fatalf("%s: offset %d behind %d, next %d", name, x.Offset, last, r.NextOffset())
			}
			last = x.Offset
			n := 0
			for range x.Headers() {
				n++
			}
			if n != x.HeaderCount() {
				t.Fatalf("%s: %d of %d headers", name, n, x.HeaderCount())
			}
		}
		if r.NextOffset() <= last || r.Need() < 0 || r.Need() > 0 && !r.Partial() {
			t.Fatalf("%s: next %d behind %d, need %d", name, r.NextOffset(), last, r.Need())
		}
	}
	Count(raw)
}

func FuzzReader(f *testing.F) {
	for _, raw := range golden(f) {
		f.Add(raw, true)
		f.Add(join(raw, abortOf(f, 43, 5), part(f, 44, []string{"x"}, by(5))), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, seal bool) {
		if seal && len(raw) >= HeaderSize { // so that most get behind the sum
			raw = slices.Clone(raw)
			binary.BigEndian.PutUint32(raw[atLength:], uint32(len(raw)-beforeLength))
			raw[atMagic] = 2
			header(raw).seal()
		}
		harmless(t, raw, "fuzz")
	})
}

// Random records, batches, codecs and starts: what is built is read, from where
// it was asked for.
func TestRoundTrip_random(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		bytesOf := func(most int) []byte {
			if rnd.IntN(5) == 0 {
				return nil
			}
			return filler(rnd.IntN(most), rnd.IntN(1000))
		}
		var raw []byte
		var want []got
		var b Builder
		offset := rnd.Int64N(1 << 40)
		first := offset
		for range 1 + rnd.IntN(5) {
			b.Reset(make([]byte, 0, rnd.IntN(2000)))
			base := offset
			for range 1 + rnd.IntN(60) {
				g := got{offset, rec{rnd.Int64N(1<<42) - 1, bytesOf(20), bytesOf(1 + rnd.IntN(600)), nil}}
				for range max(0, rnd.IntN(6)-3) {
					g.headers = append(g.headers, Header{string(bytesOf(10)), bytesOf(100)})
				}
				b.Add(g.ts, g.key, g.value, g.headers)
				want = append(want, g)
				offset++
			}
			one := b.Finish(codecs[rnd.IntN(len(codecs))])
			Stamp(one, Producer{rnd.Int64(), int16(rnd.IntN(1 << 15))}, rnd.Int32(), rnd.IntN(2) == 0)
			header(one).setBase(base)
			raw = append(raw, one...)
			offset += rnd.Int64N(3)
		}
		require.Equal(t, len(want), Count(raw))
		from := first + rnd.Int64N(offset-first+1)
		want = want[slices.IndexFunc(append(want, got{offset: offset}), func(g got) bool { return g.offset >= from }):]
		var r Reader
		out, err := all(&r, raw, from, Options{Committed: true, Keep: seed%2 == 0})
		require.NoError(t, err, "seed %d", seed)
		require.Equal(t, len(want), len(out), "seed %d", seed)
		for i := range want {
			require.Equal(t, want[i], out[i], "seed %d", seed)
		}
	}
}
