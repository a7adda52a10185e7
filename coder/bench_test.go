package coder_test

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/coder"
)

type bid struct {
	Auction int64
	Bidder  int64
	Price   int64
	Channel string
	Time    int64
	Score   float64
	Valid   bool
}

var aBid = bid{1_000_017, 2_003, 4_999, "channel-17", 1_454_293_425_000, 0.75, true}

// handBid writes the bytes of a bid as one would by hand.
func handBid(b []byte, v bid) []byte {
	b = append(b, 7, 0)
	b = binary.AppendUvarint(b, uint64(v.Auction))
	b = binary.AppendUvarint(b, uint64(v.Bidder))
	b = binary.AppendUvarint(b, uint64(v.Price))
	b = binary.AppendUvarint(b, uint64(len(v.Channel)))
	b = append(b, v.Channel...)
	b = binary.AppendUvarint(b, uint64(v.Time))
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(v.Score))
	if v.Valid {
		return append(b, 1)
	}
	return append(b, 0)
}

// handKV reads a kv as one would by hand.
func handKV(b []byte) (kv coder.KV[string, int64], rest []byte, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return kv, nil, errors.New("short")
	}
	kv.Key = string(b[k : k+int(n)])
	b = b[k+int(n):]
	v, k := binary.Uvarint(b)
	if k <= 0 {
		return kv, nil, errors.New("short")
	}
	kv.Value = int64(v)
	return kv, b[k:], nil
}

// Goal: the budgets of the hot path. Append into a buffer with room allocates
// nothing; Decode allocates the strings, slices and pointers of the value and
// nothing beside.
func TestAllocations(t *testing.T) {
	buf := make([]byte, 0, 1024)
	b := inferred[bid]()
	kv := inferred[coder.KV[string, int64]]()
	kvOf := coder.KVOf(coder.Strings(), coder.Varints())
	list := inferred[[]bid]()
	null := inferred[*bid]()
	rows := inferred[[]inner]()
	bids, inners := []bid{aBid, aBid}, []inner{{1, nil}, {2, ptr("x")}}
	pair := coder.KV[string, int64]{Key: "a long enough key", Value: 1 << 40}
	for name, f := range map[string]func(){
		"row":      func() { b.Append(buf, aBid) },
		"kv":       func() { kv.Append(buf, pair) },
		"KVOf":     func() { kvOf.Append(buf, pair) },
		"iterable": func() { list.Append(buf, bids) },
		"nullable": func() { null.Append(buf, &aBid) },
		"pointers": func() { rows.Append(buf, inners) },
	} {
		assert.Zero(t, testing.AllocsPerRun(100, f), "append %s", name)
	}
	for _, tc := range []struct {
		name string
		want float64
		f    func()
	}{
		{"row with a string", 1, decode(t, b, aBid)},
		{"kv with a string", 1, decode(t, kv, pair)},
		{"KVOf with a string", 1, decode(t, kvOf, pair)},
		{"integer", 0, decode(t, coder.Varints(), 1<<40)},
		{"two rows with a string each", 3, decode(t, list, bids)},
		{"pointer to a row with a string", 2, decode(t, null, &aBid)},
		{"a slice of integers", 1, decode(t, inferred[[]int64](), []int64{1, 2, 3})},
	} {
		assert.Equal(t, tc.want, testing.AllocsPerRun(100, tc.f), "decode %s", tc.name)
	}
}

func decode[T any](t *testing.T, c coder.Coder[T], v T) func() {
	b := c.Append(nil, v)
	_, _, err := c.Decode(b)
	require.NoError(t, err)
	return func() { c.Decode(b) }
}

func TestHandBid_isTheRow(t *testing.T) {
	assert.Equal(t, handBid(nil, aBid), inferred[bid]().Append(nil, aBid))
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, 256)
	pair := coder.KV[string, int64]{Key: "channel-17", Value: 1_000_017}
	row, kv := inferred[bid](), inferred[coder.KV[string, int64]]()
	kvOf := coder.KVOf(coder.Strings(), coder.Varints())
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	run("row/by hand", func() { buf = handBid(buf[:0], aBid) })
	run("row/inferred", func() { buf = row.Append(buf[:0], aBid) })
	run("kv/inferred", func() { buf = kv.Append(buf[:0], pair) })
	run("kv/KVOf", func() { buf = kvOf.Append(buf[:0], pair) })
}

func BenchmarkDecode(b *testing.B) {
	row, kv := inferred[bid](), inferred[coder.KV[string, int64]]()
	kvOf := coder.KVOf(coder.Strings(), coder.Varints())
	rowBytes := row.Append(nil, aBid)
	kvBytes := kv.Append(nil, coder.KV[string, int64]{Key: "channel-17", Value: 1_000_017})
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("row/inferred", func() error { _, _, err := row.Decode(rowBytes); return err })
	run("kv/by hand", func() error { _, _, err := handKV(kvBytes); return err })
	run("kv/inferred", func() error { _, _, err := kv.Decode(kvBytes); return err })
	run("kv/KVOf", func() error { _, _, err := kvOf.Decode(kvBytes); return err })
}
