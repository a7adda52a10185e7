package batch

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

// rec is a record as tests write it down, and as they find it again.
type rec struct {
	ts         int64
	key, value []byte
	headers    []Header
}

type got struct {
	offset int64
	rec
}

// built is one batch of records, compressed if that makes it smaller.
func built(t testing.TB, c Codec, records ...rec) []byte {
	t.Helper()
	var b Builder
	for _, r := range records {
		size := b.SizeWith(r.ts, r.key, r.value, r.headers)
		b.Add(r.ts, r.key, r.value, r.headers)
		require.Equal(t, size, b.Size())
	}
	require.Equal(t, len(records), b.Len())
	return b.Finish(c)
}

// words makes records that compress well, of one word each.
func words(ts int64, words ...string) []rec {
	var out []rec
	for i, w := range words {
		out = append(out, rec{ts + int64(i), nil, []byte(w), nil})
	}
	return out
}

// all reads raw to its end, and copies what is in it.
func all(r *Reader, raw []byte, from int64, o Options) ([]got, error) {
	r.Reset(raw, from, o)
	var out []got
	var x Record
	for r.Next(&x) {
		g := got{x.Offset, rec{x.Timestamp, bytes.Clone(x.Key), bytes.Clone(x.Value), nil}}
		for k, v := range x.Headers() {
			g.headers = append(g.headers, Header{k, bytes.Clone(v)})
		}
		out = append(out, g)
	}
	return out, r.Err()
}

func TestRoundTrip(t *testing.T) {
	long := []byte(strings.Repeat("long ", 30_000))
	cases := map[string][]rec{
		"one word":              words(5, "word"),
		"null key and value":    {{7, nil, nil, nil}},
		"empty key and value":   {{7, []byte{}, []byte{}, nil}},
		"no timestamp":          {{-1, []byte("k"), []byte("v"), nil}},
		"times that go back":    {{1000, nil, []byte("a"), nil}, {10, nil, []byte("b"), nil}, {2000, nil, []byte("c"), nil}},
		"times at the limits":   {{math.MinInt64, nil, nil, nil}, {math.MaxInt64, nil, nil, nil}},
		"before 1970":           {{-12345678, []byte("k"), []byte("v"), nil}},
		"a long one":            {{1, long, long, nil}, {2, nil, []byte("short"), nil}},
		"headers":               {{1, nil, nil, []Header{{"a", []byte("1")}, {"", nil}, {"a", []byte{}}}}, {2, nil, nil, nil}},
		"63, 64, 8191 and 8192": {{63, long[:63], long[:64], nil}, {8191, long[:8191], long[:8192], nil}},
	}
	var many []rec
	for i := range 20_000 {
		many = append(many, rec{int64(i), fmt.Appendf(nil, "key %d", i), fmt.Appendf(nil, "value %d", i), nil})
	}
	cases["many"] = many
	for name, records := range cases {
		for _, c := range codecs {
			t.Run(name+"/"+c.String(), func(t *testing.T) {
				raw := built(t, c, records...)
				require.Equal(t, len(records), Count(raw))
				var r Reader
				out, err := all(&r, raw, 0, Options{})
				require.NoError(t, err)
				require.Len(t, out, len(records))
				for i := range out {
					require.Equal(t, got{int64(i), records[i]}, out[i])
				}
				assert.Equal(t, int64(len(records)), r.NextOffset())
				assert.False(t, r.Partial())
				assert.Zero(t, r.Need())
			})
		}
	}
}

func TestPartition(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		assert.Equal(t, want, murmur2([]byte(key)), key)
		for n := 1; n < 9; n++ {
			assert.Equal(t, int(want&0x7fffffff)%n, Partition([]byte(key), n))
		}
	}
}
