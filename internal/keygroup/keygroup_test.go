package keygroup

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type (
	userID  uint64
	country string
	level   int8
	flag    bool
	point   struct{ X, Y int32 }
)

func appendPoint(b []byte, p point) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.X))
	return binary.BigEndian.AppendUint32(b, uint32(p.Y))
}

func sum[K comparable](k K) uint64 {
	h := Of[K](nil)
	return h.Sum(k)
}

// ramp is n bytes: 0, 1, 2 ...
func ramp(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// Goal: the hash never changes, for state is placed by it. A failure here is a bug
// in the change, not in the figures: docs/format/keyhash.md lists the same ones.
func TestSum_golden(t *testing.T) {
	points := Of(appendPoint)
	for _, tc := range []struct {
		name string
		got  uint64
		want uint64
	}{
		{"zero", sum(0), 0x0000000000000000},
		{"one", sum(uint64(1)), 0x5692161d100b05e5},
		{"minus one", sum(-1), 0xb4d055fcf2cbbd7b},
		{"greatest", sum(int64(math.MaxInt64)), 0x5a682afe7965debd},
		{"true", sum(true), 0x5692161d100b05e5},
		{"empty string", sum(""), 0xe429e3e6538e36bc},
		{"a", sum("a"), 0x01fdc61918c59ce6},
		{"abc", sum("abc"), 0x73c524ed3eaf209f},
		{"4 bytes", SumBytes(ramp(4)), 0xfcf181973d90f2b8},
		{"7 bytes", SumBytes(ramp(7)), 0xcb23fba26d6523ac},
		{"8 bytes", SumBytes(ramp(8)), 0x7a82e947ff761fcf},
		{"16 bytes", SumBytes(ramp(16)), 0x16f17f4f6f5dad11},
		{"17 bytes", SumBytes(ramp(17)), 0x85a8defeb3fa7f57},
		{"32 bytes", SumBytes(ramp(32)), 0x3e96d778c091c68f},
		{"33 bytes", SumBytes(ramp(33)), 0xf3d84089f793616f},
		{"256 bytes", SumBytes(ramp(256)), 0x52e8ed3f33323373},
		{"a struct", points.Sum(point{1, -1}), 0x60067465c2914e46},
	} {
		assert.Equal(t, fmt.Sprintf("%#016x", tc.want), fmt.Sprintf("%#016x", tc.got), tc.name)
	}
}

// reference is SumBytes as the specification words it, with no thought of speed.
func reference(b []byte) uint64 {
	le := func(b []byte) (v uint64) {
		for i := range b {
			v |= uint64(b[i]) << (8 * i)
		}
		return v
	}
	fold := func(x, y uint64) uint64 {
		hi, lo := bits.Mul64(x, y)
		return hi ^ lo
	}
	const k0, k1, k2 = 0x9E3779B97F4A7C15, 0x243F6A8885A308D3, 0xB7E151628AED2A6B
	n := len(b)
	h := uint64(k0)
	for i := 0; n-i > 16; i += 16 {
		h = fold(le(b[i:i+8])^k1, le(b[i+8:i+16])^h)
	}
	var x, y uint64
	switch {
	case n > 16:
		x, y = le(b[n-16:n-8]), le(b[n-8:])
	case n >= 8:
		x, y = le(b[:8]), le(b[n-8:])
	case n >= 4:
		x, y = le(b[:4]), le(b[n-4:])
	case n >= 1:
		x = uint64(b[0])<<16 + uint64(b[n/2])<<8 + uint64(b[n-1])
	}
	return fold(k2^uint64(n), fold(x^k1, y^h))
}

func TestSumBytes_isWhatTheFormatSays(t *testing.T) {
	for n := range 300 {
		b := ramp(n)
		require.Equal(t, reference(b), SumBytes(b), "%d bytes", n)
		require.Equal(t, reference(b), SumString(string(b)), "%d bytes as a string", n)
	}
}

// A key keeps its group when its Go type changes to another of the same values.
func TestSum_dependsOnTheValueNotTheWidth(t *testing.T) {
	for _, v := range []int64{0, 1, 7, 127} {
		want := Mix(uint64(v))
		for name, got := range map[string]uint64{
			"int": sum(int(v)), "int8": sum(int8(v)), "int16": sum(int16(v)), "int32": sum(int32(v)), "int64": sum(v),
			"uint": sum(uint(v)), "uint8": sum(uint8(v)), "uint16": sum(uint16(v)), "uint32": sum(uint32(v)), "uint64": sum(uint64(v)),
			"named uint64": sum(userID(v)), "named int8": sum(level(v)),
		} {
			assert.Equal(t, want, got, "%s(%d)", name, v)
		}
	}
	for name, got := range map[string]uint64{
		"int": sum(-5), "int8": sum(int8(-5)), "int16": sum(int16(-5)), "int32": sum(int32(-5)), "int64": sum(int64(-5)), "named": sum(level(-5)),
	} {
		assert.Equal(t, Mix(1<<64-5), got, "negative numbers are sign-extended: %s", name)
	}
	assert.Equal(t, sum("de"), sum(country("de")))
	assert.Equal(t, sum(true), sum(flag(true)))
	assert.Equal(t, sum(false), sum(uint8(0)))
}

func TestSum_ofStructsGoesThroughTheirBytes(t *testing.T) {
	h := Of(appendPoint)
	assert.Equal(t, SumBytes(appendPoint(nil, point{3, 4})), h.Sum(point{3, 4}))
	assert.PanicsWithValue(t, "BUG: keygroup: keys of type keygroup.point need an encoding", func() { Of[point](nil) })
}

func TestHasher_isSharedByGoroutines(t *testing.T) {
	h := Of(appendPoint)
	want := make([]uint64, 100)
	for i := range want {
		want[i] = SumBytes(appendPoint(nil, point{int32(i), 1}))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range want {
				if got := h.Sum(point{int32(i), 1}); got != want[i] {
					t.Errorf("point %d: %#x, want %#x", i, got, want[i])
				}
			}
		})
	}
	wg.Wait()
}

// Goal: groups are filled evenly by the keys people have. Method: chi-square over
// the groups, with a bound that a fair hash passes but for one in a million.
func TestGroup_spreadsKeys(t *testing.T) {
	const perGroup = 200
	keys := map[string]func(i int) uint64{
		"counting":       func(i int) uint64 { return sum(i) },
		"every 1024th":   func(i int) uint64 { return sum(i * 1024) },
		"high bits only": func(i int) uint64 { return sum(uint64(i) << 44) },
		"small strings":  func(i int) uint64 { return sum(fmt.Sprint(i)) },
		"prefixed":       func(i int) uint64 { return sum(fmt.Sprintf("customer-%08d", i)) },
		"long, one end":  func(i int) uint64 { return sum(strings.Repeat("x", 40) + fmt.Sprint(i)) },
		"long, one head": func(i int) uint64 { return sum(fmt.Sprintf("%06d", i) + strings.Repeat("x", 40)) },
	}
	for name, key := range keys {
		var count [N]int
		for i := range N * perGroup {
			g := Group(key(i))
			require.True(t, 0 <= g && g < N)
			count[g]++
		}
		chi := 0.0
		for _, c := range count {
			chi += float64(c-perGroup) * float64(c-perGroup) / perGroup
		}
		assert.InDelta(t, N-1, chi, 5*math.Sqrt(2*(N-1)), name)
	}
}

// Goal: each bit of a key moves about half of the bits of its hash.
func TestSumBytes_avalanches(t *testing.T) {
	for _, n := range []int{1, 3, 4, 8, 12, 16, 17, 40} {
		total, trials := 0, 0
		for round := range 200 {
			b := ramp(n)
			binary.LittleEndian.PutUint16(append(b, 0, 0)[n/2:], uint16(round*257))
			h := SumBytes(b)
			for bit := range n * 8 {
				b[bit/8] ^= 1 << (bit % 8)
				total += bits.OnesCount64(h ^ SumBytes(b))
				trials++
				b[bit/8] ^= 1 << (bit % 8)
			}
		}
		assert.InDelta(t, 32, float64(total)/float64(trials), 1, "%d bytes", n)
	}
}

func TestSum_doesNotAllocate(t *testing.T) {
	ints, strs, points := Of[uint64](nil), Of[string](nil), Of(appendPoint)
	points.Sum(point{}) // makes the scratch space
	var sink uint64
	assert.Zero(t, testing.AllocsPerRun(100, func() { sink += ints.Sum(7) + strs.Sum("seven") }))
	assert.Less(t, testing.AllocsPerRun(1000, func() { sink += points.Sum(point{7, 7}) }), 0.1)
	_ = sink
}

func benchmark[K comparable](b *testing.B, h Hasher[K], keys []K) {
	b.ReportAllocs()
	var sink uint64
	i := 0
	for b.Loop() {
		for _, k := range keys {
			sink += h.Sum(k)
		}
		i += len(keys)
	}
	_ = sink
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(i), "ns/key")
}

func BenchmarkSum(b *testing.B) {
	var ints []uint64
	var narrow []int32
	var words, names []string
	var points []point
	for i := range 1024 {
		ints = append(ints, uint64(i))
		narrow = append(narrow, int32(i))
		words = append(words, fmt.Sprintf("word%d", i))
		names = append(names, fmt.Sprintf("customer/region-7/%010d", i))
		points = append(points, point{int32(i), 5})
	}
	b.Run("uint64", func(b *testing.B) { benchmark(b, Of[uint64](nil), ints) })
	b.Run("int32", func(b *testing.B) { benchmark(b, Of[int32](nil), narrow) })
	b.Run("string/8", func(b *testing.B) { benchmark(b, Of[string](nil), words) })
	b.Run("string/28", func(b *testing.B) { benchmark(b, Of[string](nil), names) })
	b.Run("struct", func(b *testing.B) { benchmark(b, Of(appendPoint), points) })
}

func ExampleGroup() {
	h := Of[string](nil)
	fmt.Println(Group(h.Sum("millrace")) == Group(SumString("millrace")))
	// Output: true
}
