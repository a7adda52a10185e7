package frame_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/frame"
)

var update = flag.Bool("update", false, "write the golden frames anew")

const most = 1 << 20

// header is one whose fields are all different.
func header(kind frame.Kind) frame.Header {
	return frame.Header{
		Job: 0x1112131415161718, Gen: 2, Inc: 3 << 32, Epoch: 4, To: 5, Colour: 6,
		Src: 7, Dst: 8, Rank: 9, Lane: 10, Edge: 11, Frame: 12, Count: 13, Kind: kind,
	}
}

var marks = []frame.Mark{{Edge: 4, WM: -1}, {Edge: 5, WM: math.MaxInt64, Idle: true}}

// golden is frames of version 1, by the names of their files.
func golden() map[string]func() []byte {
	return map[string]func() []byte{
		"data.hex": func() []byte {
			h := header(frame.Data)
			return frame.Append(nil, &h, []byte("elements"), frame.Raw)
		},
		"end.hex": func() []byte {
			h := header(frame.EpochEnd)
			return frame.Append(nil, &h, frame.AppendMarks(nil, marks), frame.Raw)
		},
	}
}

// Goal: the bytes stay those of version 1.
func TestGolden(t *testing.T) {
	for name, make := range golden() {
		name = "testdata/v1/" + name
		if *update {
			require.NoError(t, os.MkdirAll("testdata/v1", 0o755))
			require.NoError(t, os.WriteFile(name, []byte(hex.Dump(make())), 0o644))
		}
		want, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, string(want), hex.Dump(make()), name)
	}
}

// Goal: a compressed frame of version 1 can be read for ever. What s2 writes may change,
// so that it is not compared.
func TestGolden_compressed(t *testing.T) {
	const name = "testdata/v1/s2.bin"
	want, h := bytes.Repeat([]byte("elements "), 20), header(frame.Data)
	if *update {
		require.NoError(t, os.WriteFile(name, frame.Append(nil, &h, want, frame.S2), 0o644))
	}
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	h, packed, err := frame.Decode(b, most)
	require.NoError(t, err)
	require.Equal(t, frame.S2, h.Codec)
	got, err := frame.Unpack(nil, &h, packed)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// Goal: a later version may make the header longer and still be read.
func TestDecode_longerHeader(t *testing.T) {
	h := header(frame.Data)
	b := frame.Append(nil, &h, []byte("new elements"), frame.Raw)
	binary.LittleEndian.PutUint16(b[12:], frame.Size+4)
	binary.LittleEndian.PutUint32(b[92:], 8)
	binary.LittleEndian.PutUint32(b[96:], 8)
	resum(b)
	_, payload, err := frame.Decode(b, most)
	require.NoError(t, err)
	assert.Equal(t, "elements", string(payload))
}

func TestAppend_thenDecode(t *testing.T) {
	noise := make([]byte, 5000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for _, tc := range []struct {
		name    string
		payload []byte
		codec   frame.Codec
		want    frame.Codec
	}{
		{"nothing", nil, frame.Raw, frame.Raw},
		{"nothing to compress", nil, frame.S2, frame.Raw},
		{"as it is", []byte("some elements"), frame.Raw, frame.Raw},
		{"compressed", bytes.Repeat([]byte("the same again "), 300), frame.S2, frame.S2},
		{"compressing makes it no smaller", noise, frame.S2, frame.Raw},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := header(frame.Data)
			b := frame.Append([]byte("before"), &h, tc.payload, tc.codec)
			require.Equal(t, "before", string(b[:6]))
			got, packed, err := frame.Decode(b[6:], most)
			require.NoError(t, err)
			assert.Equal(t, h, got)
			assert.Equal(t, tc.want, got.Codec)
			payload, err := frame.Unpack(nil, &got, packed)
			require.NoError(t, err)
			assert.Equal(t, string(tc.payload), string(payload))
			if tc.want == frame.S2 {
				assert.Less(t, len(b), len(tc.payload))
			}
		})
	}
}

// Goal: a frame that is made in place is the one that Append makes.
func TestSeal(t *testing.T) {
	h, g := header(frame.Data), header(frame.Data)
	b := append(make([]byte, frame.Size), "elements"...)
	frame.Seal(b, &h)
	assert.Equal(t, frame.Append(nil, &g, []byte("elements"), frame.Raw), b)
	assert.Equal(t, g, h)
}

// Goal: no byte of a frame can change, and none be missing or too many, without notice.
func TestDecode_refusesDamage(t *testing.T) {
	h := header(frame.Data)
	good := frame.Append(nil, &h, bytes.Repeat([]byte("elements "), 20), frame.S2)
	require.Equal(t, frame.S2, h.Codec)
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			_, _, err := frame.Decode(bad, most)
			if i == 8 {
				require.ErrorIs(t, err, frame.ErrVersion)
			} else {
				require.ErrorIs(t, err, frame.ErrDamaged, "byte %d bit %d", i, bit)
			}
		}
		_, _, err := frame.Decode(good[:i], most)
		require.ErrorIs(t, err, frame.ErrDamaged, "cut off at %d", i)
	}
	_, _, err := frame.Decode(append(bytes.Clone(good), 0), most)
	require.ErrorIs(t, err, frame.ErrDamaged)
}

// Goal: bytes from the network never make us take more memory than was agreed.
func TestDecode_bounds(t *testing.T) {
	h := header(frame.Data)
	for _, codec := range []frame.Codec{frame.Raw, frame.S2} {
		b := frame.Append(nil, &h, make([]byte, 1001), codec)
		_, _, err := frame.Decode(b, 1000)
		require.ErrorIs(t, err, frame.ErrDamaged)
		require.ErrorContains(t, err, "at most 1000 may come")
		_, _, err = frame.Decode(b, 1001)
		require.NoError(t, err)
	}

	b := frame.Append(nil, &h, make([]byte, 1000), frame.S2)
	h, packed, err := frame.Decode(b, 1000)
	require.NoError(t, err)
	h.RawLen = 999
	_, err = frame.Unpack(nil, &h, packed)
	require.ErrorIs(t, err, frame.ErrDamaged)
}

func TestFrame_allocatesNothing(t *testing.T) {
	payload := []byte(strings.Repeat(`{"user":12,"ok":true}`, 1500))
	h := header(frame.Data)
	out, buf := make([]byte, 0, frame.Bound(len(payload), frame.S2)), make([]byte, 0, len(payload))
	bytes, read := make([]byte, 0, 100), make([]frame.Mark, 0, 2)
	for _, codec := range []frame.Codec{frame.Raw, frame.S2} {
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			b := frame.Append(out, &h, payload, codec)
			got, packed, err := frame.Decode(b, most)
			if err == nil {
				_, err = frame.Unpack(buf, &got, packed)
			}
			if err == nil {
				_, err = frame.DecodeMarks(read, frame.AppendMarks(bytes, marks))
			}
			if err != nil {
				t.Fatal(err)
			}
		}), "codec %d", codec)
	}
	assert.Equal(t, marks, read[:2])
}

func TestDecodeMarks_refusesDamage(t *testing.T) {
	b := frame.AppendMarks(nil, marks)
	got, err := frame.DecodeMarks(nil, b)
	require.NoError(t, err)
	require.Equal(t, marks, got)
	_, err = frame.DecodeMarks(nil, b[:len(b)-1])
	require.ErrorIs(t, err, frame.ErrDamaged)
	b[len(b)-1] = 2
	_, err = frame.DecodeMarks(nil, b)
	require.ErrorIs(t, err, frame.ErrDamaged)
}

// Goal: no bytes make the decoder panic or take more than its bound; what it accepts
// unpacks to what it has said, or is refused.
func FuzzDecode(f *testing.F) {
	for _, make := range golden() {
		f.Add(make())
	}
	h := header(frame.Data)
	f.Add(frame.Append(nil, &h, bytes.Repeat([]byte("elements "), 20), frame.S2))
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 1 << 16
		for range 2 {
			h, packed, err := frame.Decode(b, most)
			if err == nil {
				payload, err := frame.Unpack(nil, &h, packed)
				if err == nil && (len(payload) != int(h.RawLen) || len(payload) > most) {
					t.Fatalf("%d bytes, and not %d", len(payload), h.RawLen)
				}
				if marks, err := frame.DecodeMarks(nil, payload); err == nil {
					require.Equal(t, string(payload), string(frame.AppendMarks(nil, marks)))
				}
			}
			if len(b) < frame.Size {
				return
			}
			resum(b) // the second time with a sum that is right, so that more than that is tried
		}
	})
}

// resum gives the bytes of a frame the sum that they ought to have.
func resum(b []byte) {
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], crc32.MakeTable(crc32.Castagnoli)))
}
