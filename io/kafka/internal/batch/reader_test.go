package batch

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// change is something that is done to a batch; it is sealed again behind.
type change func(h header) header

// part is a batch of one word a record, with changes.
func part(t testing.TB, base int64, text []string, changes ...change) []byte {
	h := header(built(t, None, words(100, text...)...))
	h.setBase(base)
	for _, c := range changes {
		h = c(h)
	}
	binary.BigEndian.PutUint32(h[atLength:], uint32(len(h)-beforeLength))
	h.seal()
	return h
}

func put16(at int, v int) change {
	return func(h header) header { binary.BigEndian.PutUint16(h[at:], uint16(v)); return h }
}

func put32(at int, v int) change {
	return func(h header) header { binary.BigEndian.PutUint32(h[at:], uint32(v)); return h }
}

func put64(at int, v int64) change {
	return func(h header) header { binary.BigEndian.PutUint64(h[at:], uint64(v)); return h }
}

// by makes the batch one of a producer's transaction.
func by(producer int64) change {
	return func(h header) header {
		stamp(h, Producer{producer, 0}, 0, true)
		return h
	}
}

// only keeps the records of these offset deltas, as compaction does.
func only(t testing.TB, deltas ...int64) change {
	return func(h header) header {
		var r Reader
		var rec Record
		out := slices.Clone(h[:HeaderSize])
		r.Reset(h, 0, Options{})
		for r.Next(&rec) {
			if delta := rec.Offset - h.base(); slices.Contains(deltas, delta) {
				out = append(out, record(rec.Timestamp-h.baseTime(), delta, nil, rec.Value)...)
			}
		}
		require.NoError(t, r.Err())
		return put32(atCount, len(deltas))(out)
	}
}

// record is one as bytes, of no headers.
func record(ts, delta int64, key, value []byte) []byte {
	b := []byte{0}
	b = binary.AppendVarint(b, ts)
	b = binary.AppendVarint(b, delta)
	b = appendBytes(b, key)
	b = append(appendBytes(b, value), 0)
	return append(binary.AppendVarint(nil, int64(len(b))), b...)
}

// marker ends a transaction.
func marker(t testing.TB, base, producer int64, kind byte) []byte {
	return part(t, base, []string{""}, by(producer), put16(atAttributes, transactional|control), func(h header) header {
		return append(h[:HeaderSize], record(0, 0, []byte{0, 0, 0, kind}, []byte{0, 0, 0, 0, 0, 0})...)
	})
}

func abortOf(t testing.TB, base, producer int64) []byte  { return marker(t, base, producer, 0) }
func commitOf(t testing.TB, base, producer int64) []byte { return marker(t, base, producer, 1) }

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func TestReader(t *testing.T) {
	type want struct {
		values  string // of one letter each
		offsets []int64
		next    int64
		partial bool
		need    int
	}
	abc := []string{"a", "b", "c"}
	def := []string{"d", "e", "f"}
	abcBytes := part(t, 10, abc)
	cases := []struct {
		name string
		raw  []byte
		from int64
		o    Options
		want want
	}{
		{"nothing", nil, 7, Options{}, want{"", nil, 7, false, 0}},
		{"two batches", join(part(t, 10, abc), part(t, 13, def)), 10, Options{},
			want{"abcdef", []int64{10, 11, 12, 13, 14, 15}, 16, false, 0}},
		{"the batch begins below the asked offset", join(part(t, 10, abc), part(t, 13, def)), 12, Options{},
			want{"cdef", []int64{12, 13, 14, 15}, 16, false, 0}},
		{"a whole batch is below", join(part(t, 10, abc), part(t, 13, def)), 13, Options{},
			want{"def", []int64{13, 14, 15}, 16, false, 0}},
		{"all is below", part(t, 10, abc), 50, Options{}, want{"", nil, 50, false, 0}},
		{"a gap between batches", join(part(t, 10, abc), part(t, 100, def)), 10, Options{},
			want{"abcdef", []int64{10, 11, 12, 100, 101, 102}, 103, false, 0}},
		{"the log begins above the asked offset", part(t, 10, abc), 3, Options{}, want{"abc", []int64{10, 11, 12}, 13, false, 0}},
		{"compaction took the middle", part(t, 10, abc, only(t, 0, 2)), 10, Options{}, want{"ac", []int64{10, 12}, 13, false, 0}},
		{"compaction took the first", part(t, 10, abc, only(t, 1, 2)), 10, Options{}, want{"bc", []int64{11, 12}, 13, false, 0}},
		{"compaction took the last: the batch says where it ended", part(t, 10, abc, only(t, 0)), 10, Options{}, want{"a", []int64{10}, 13, false, 0}},
		{"compaction took all and left the batch", join(part(t, 10, abc, only(t)), part(t, 13, def)), 10, Options{},
			want{"def", []int64{13, 14, 15}, 16, false, 0}},
		{"only a batch of which compaction took all", part(t, 10, abc, only(t)), 10, Options{}, want{"", nil, 13, false, 0}},
		{"an empty batch that has a codec", part(t, 10, abc, only(t), put16(atAttributes, int(Zstd))), 10, Options{}, want{"", nil, 13, false, 0}},
		{"the last batch is cut off", join(part(t, 10, abc), part(t, 13, def)[:70]), 10, Options{},
			want{"abc", []int64{10, 11, 12}, 13, true, 0}},
		{"the last batch has not even its size", join(part(t, 10, abc), part(t, 13, def)[:5]), 10, Options{},
			want{"abc", []int64{10, 11, 12}, 13, true, 0}},
		{"the fetch was too small for one batch", abcBytes[:70], 10, Options{}, want{"", nil, 10, true, len(abcBytes)}},
		{"the fetch was too small for a size", abcBytes[:11], 10, Options{}, want{"", nil, 10, true, HeaderSize}},
		{"an aborted batch and then a piece is progress", join(part(t, 10, abc, by(1)), part(t, 13, def)[:70]), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 10}}}, want{"", nil, 13, true, 0}},

		{"control batches are no records", join(part(t, 10, abc, by(1)), commitOf(t, 13, 1), part(t, 14, def)), 10, Options{},
			want{"abcdef", []int64{10, 11, 12, 14, 15, 16}, 17, false, 0}},
		{"a control batch at the end is stepped over", join(part(t, 10, abc, by(1)), commitOf(t, 13, 1)), 10, Options{Committed: true},
			want{"abc", []int64{10, 11, 12}, 14, false, 0}},
		{"only a control batch", commitOf(t, 13, 1), 13, Options{Committed: true}, want{"", nil, 14, false, 0}},
		{"an aborted transaction", join(part(t, 10, abc, by(1)), abortOf(t, 13, 1), part(t, 14, def)), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 10}}}, want{"def", []int64{14, 15, 16}, 17, false, 0}},
		{"an aborted transaction, read uncommitted", join(part(t, 10, abc, by(1)), abortOf(t, 13, 1)), 10,
			Options{Aborted: []Aborted{{1, 10}}}, want{"abc", []int64{10, 11, 12}, 14, false, 0}},
		{"aborted at the end of the fetch", join(part(t, 10, abc), part(t, 13, def, by(1)), abortOf(t, 16, 1)), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 13}}}, want{"abc", []int64{10, 11, 12}, 17, false, 0}},
		{"the transaction began before this fetch", join(part(t, 10, abc, by(1)), abortOf(t, 13, 1)), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 2}}}, want{"", nil, 14, false, 0}},
		{"the same producer goes on, and commits", join(part(t, 10, abc, by(1)), abortOf(t, 13, 1), part(t, 14, def, by(1)), commitOf(t, 17, 1)), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 10}}}, want{"def", []int64{14, 15, 16}, 18, false, 0}},
		{"committed first, then aborted", join(part(t, 10, abc, by(1)), commitOf(t, 13, 1), part(t, 14, def, by(1)), abortOf(t, 17, 1)), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 14}}}, want{"abc", []int64{10, 11, 12}, 18, false, 0}},
		{"aborted twice, the list in the wrong order", join(part(t, 10, abc, by(1)), abortOf(t, 13, 1), part(t, 14, def, by(1)), abortOf(t, 17, 1)), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 14}, {1, 10}}}, want{"", nil, 18, false, 0}},
		{"two producers, woven", join(part(t, 10, []string{"a"}, by(1)), part(t, 11, []string{"b"}, by(2)), part(t, 12, []string{"c"}, by(1)),
			part(t, 13, []string{"d"}, by(2)), abortOf(t, 14, 1), commitOf(t, 15, 2), part(t, 16, []string{"e"}, by(1))), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 10}}}, want{"bde", []int64{11, 13, 16}, 17, false, 0}},
		{"the other's commit ends nothing", join(part(t, 10, abc, by(1)), commitOf(t, 13, 2), part(t, 14, def, by(1)), abortOf(t, 17, 1)), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 10}}}, want{"", nil, 18, false, 0}},
		{"a producer that also sends without a transaction", part(t, 10, abc, by(1), put16(atAttributes, 0)), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 10}}}, want{"abc", []int64{10, 11, 12}, 13, false, 0}},
		{"an abort marker below the asked offset counts", join(part(t, 10, abc, by(1)), abortOf(t, 13, 1), part(t, 14, def, by(1))), 14,
			Options{Committed: true, Aborted: []Aborted{{1, 10}}}, want{"def", []int64{14, 15, 16}, 17, false, 0}},
		{"an abort marker that compaction emptied ends nothing", join(part(t, 10, abc, by(1)), part(t, 13, []string{""}, by(1), only(t), put16(atAttributes, transactional|control)), part(t, 14, def, by(1))), 10,
			Options{Committed: true, Aborted: []Aborted{{1, 10}}}, want{"", nil, 17, false, 0}},
	}
	var r Reader // one for all: nothing of a case may be left for the next
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := all(&r, c.raw, c.from, c.o)
			require.NoError(t, err)
			values, offsets := "", []int64(nil)
			for _, g := range out {
				values, offsets = values+string(g.value), append(offsets, g.offset)
			}
			assert.Equal(t, c.want, want{values, offsets, r.NextOffset(), r.Partial(), r.Need()})
			assert.False(t, r.Next(&Record{}))
		})
	}
}

func TestReader_nextOffsetInsideBatch(t *testing.T) {
	raw := join(part(t, 10, []string{"a", "b", "c", "d"}, only(t, 0, 2)), part(t, 20, []string{"e"}))
	var r Reader
	var rec Record
	r.Reset(raw, 11, Options{})
	assert.Equal(t, int64(11), r.NextOffset())
	require.True(t, r.Next(&rec))
	assert.Equal(t, int64(12), rec.Offset)
	assert.Equal(t, int64(14), r.NextOffset(), "the last record of the batch: its end is known")
	require.True(t, r.Next(&rec))
	assert.Equal(t, int64(21), r.NextOffset())

	r.Reset(part(t, 10, []string{"a", "b", "c"}), 10, Options{})
	for want := int64(11); r.Next(&rec); want++ {
		assert.Equal(t, want, r.NextOffset())
	}
}

func TestReader_leaderEpoch(t *testing.T) {
	var r Reader
	raw := join(part(t, 0, []string{"a"}, put32(atEpoch, 4)), part(t, 1, []string{"b"}, put32(atEpoch, 6)))
	r.Reset(raw, 0, Options{})
	assert.Equal(t, int32(-1), r.LeaderEpoch())
	var rec Record
	require.True(t, r.Next(&rec))
	assert.Equal(t, int32(4), r.LeaderEpoch())
	require.True(t, r.Next(&rec))
	assert.Equal(t, int32(6), r.LeaderEpoch())
}

func TestReader_times(t *testing.T) {
	read := func(raw []byte) (times []int64) {
		out, err := all(new(Reader), raw, 0, Options{})
		require.NoError(t, err)
		for _, g := range out {
			times = append(times, g.ts)
		}
		return times
	}
	abc := []string{"a", "b", "c"}
	assert.Equal(t, []int64{100, 101, 102}, read(part(t, 0, abc)), "of the producer")
	assert.Equal(t, []int64{777, 777, 777}, read(part(t, 0, abc, put16(atAttributes, logAppendTime), put64(atMaxTime, 777))), "of the log: the batch's for all")
	// Where compaction notes when it may delete, that is the base, and deltas
	// are counted from it.
	horizon := part(t, 0, abc, put16(atAttributes, 1<<6), put64(atBaseTime, 5000), func(h header) header {
		h = append(h[:HeaderSize], record(-4900, 0, nil, []byte("a"))...)
		return put32(atCount, 1)(h)
	})
	assert.Equal(t, []int64{100}, read(horizon), "behind a delete horizon")
}

func TestReader_oldFormats(t *testing.T) {
	for magic := range byte(2) {
		raw := part(t, 7, []string{"a"})
		raw[atMagic] = magic
		out, err := all(new(Reader), join(part(t, 6, []string{"x"}), raw), 0, Options{})
		assert.Len(t, out, 1)
		require.ErrorIs(t, err, ErrOldFormat)
		assert.ErrorContains(t, err, "offset 7")

		// A message of this age may be shorter than a batch's header.
		_, err = all(new(Reader), raw[:30], 0, Options{})
		require.ErrorIs(t, err, ErrOldFormat)
	}
}

func TestReader_unknownCodec(t *testing.T) {
	for c := 5; c < 8; c++ {
		r := new(Reader)
		out, err := all(r, join(part(t, 6, []string{"x"}), part(t, 7, []string{"a"}, put16(atAttributes, c))), 0, Options{})
		assert.Len(t, out, 1)
		require.ErrorIs(t, err, ErrCodec)
		assert.Equal(t, int64(7), r.NextOffset())
	}
}

// squeezed is a batch of words whose records are replaced by what some other
// client makes of them.
func squeezed(t testing.TB, c Codec, text []string, squeeze func([]byte) []byte) []byte {
	return part(t, 0, text, put16(atAttributes, int(c)), func(h header) header {
		return append(slices.Clone(h[:HeaderSize]), squeeze(h.records())...)
	})
}

// javaSnappy frames as SnappyOutputStream does, in blocks of n bytes.
func javaSnappy(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		out := append(slices.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
		for chunk := range slices.Chunk(b, n) {
			block := snappy.Encode(nil, chunk)
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(block))), block...)
		}
		return out
	}
}

func TestReader_snappyOfOtherClients(t *testing.T) {
	text := []string{"a", "bb", "ccc", "dddd"}
	twice := func(b []byte) []byte { return join(javaSnappy(5)(b[:9]), javaSnappy(5)(b[9:])) }
	for name, squeeze := range map[string]func([]byte) []byte{
		"one frame": javaSnappy(1 << 20), "many frames": javaSnappy(3), "two streams": twice,
		"none": func(b []byte) []byte { return snappy.Encode(nil, b) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, keep := range []bool{false, true} {
				out, err := all(new(Reader), squeezed(t, Snappy, text, squeeze), 0, Options{Keep: keep})
				require.NoError(t, err)
				require.Len(t, out, 4)
				assert.Equal(t, "dddd", string(out[3].value))
			}
		})
	}
}

func TestReader_keep(t *testing.T) {
	for _, c := range codecs {
		a := built(t, c, words(1, string(filler(5000, 1)))...)
		b := built(t, c, words(1, string(filler(5000, 2)))...)
		header(b).setBase(1)
		var r Reader
		var first, second Record
		r.Reset(join(a, b), 0, Options{Keep: true})
		require.True(t, r.Next(&first))
		require.True(t, r.Next(&second))
		r.Reset(join(a, b), 0, Options{Keep: true})
		require.True(t, r.Next(new(Record)))
		assert.Equal(t, filler(5000, 1), first.Value, c)
		assert.Equal(t, filler(5000, 2), second.Value, c)
	}
}

func TestRecord_headers(t *testing.T) {
	raw := built(t, None, rec{1, nil, nil, []Header{{"a", []byte("1")}, {"b", nil}, {"a", []byte("2")}}}, rec{2, nil, nil, nil})
	var r Reader
	var x Record
	r.Reset(raw, 0, Options{})
	require.True(t, r.Next(&x))
	assert.Equal(t, 3, x.HeaderCount())
	v, ok := x.Header("a")
	assert.True(t, ok)
	assert.Equal(t, "2", string(v))
	v, ok = x.Header("b")
	assert.True(t, ok)
	assert.Nil(t, v)
	_, ok = x.Header("c")
	assert.False(t, ok)
	for k := range x.Headers() {
		assert.Equal(t, "a", k)
		break
	}
	require.True(t, r.Next(&x))
	assert.Zero(t, x.HeaderCount())
	for range x.Headers() {
		t.Error("a header of the record before")
	}
}
