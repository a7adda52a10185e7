package flow

import (
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sent are the batches that an edge makes of what push pushes.
func sent[T any](t testing.TB, e graph.Edge, push func(c *graph.Ctx, recv Recv[T])) (out []graph.Batch) {
	c := testLane(t)
	recv, flush := e.Sender(c, c.Run.Owner, func(_ int, b graph.Batch) graph.Batch { out = append(out, b); return nil })
	push(c, recvOf[T](recv))
	flush()
	return out
}

// arrived is what an edge's receiver gets of a batch, a line for each element.
func arrived[T any](t testing.TB, e graph.Edge, b graph.Batch) (out []string) {
	c := testLane(t)
	e.Receiver(c, Recv[T](func(c *graph.Ctx, v T) { out = append(out, fmt.Sprint(c.TS, c.Win, c.Pane, v)) }))(b)
	return out
}

// wireMost is more than the batches of these tests are.
const wireMost = 1 << 20

type wirePair = coder.KV[string, int64]

func wireEdges(t testing.TB) map[string]graph.Edge {
	typ := KeyedType(coder.Strings(), coder.Varints())
	return map[string]graph.Edge{
		"by key":               typ.NewEdge(graph.EdgeConfig{Kind: graph.ByKey, Size: 4}),
		"by key, with windows": typ.NewEdge(graph.EdgeConfig{Kind: graph.ByKey, Size: 4, Windows: true}),
		"to all":               typ.NewEdge(graph.EdgeConfig{Kind: graph.Broadcast, Size: 4}),
		"gather, with windows": typ.NewEdge(graph.EdgeConfig{Kind: graph.Gather, Size: 4, Windows: true}),
	}
}

func pushPairs(c *graph.Ctx, recv Recv[wirePair]) {
	for i, ts := range []int64{window.MinTime, 17, 3, -5, window.MaxTime, 1 << 40} {
		c.TS, c.Win = ts, window.Interval{Start: ts / 10, End: ts/10 + 10}
		c.Pane = window.Pane{Timing: window.PaneLate, First: i == 0, Last: i == 1, Index: int64(i), NonSpeculativeIndex: -1}
		recv(c, wirePair{Key: fmt.Sprint("key-", i), Value: int64(i) - 3})
	}
}

// Goal: what a batch carries comes through as bytes, on each kind of edge, and the
// batch is used again.
func TestWire(t *testing.T) {
	for name, e := range wireEdges(t) {
		t.Run(name, func(t *testing.T) {
			var want, got []string
			for _, b := range sent(t, e, pushPairs) {
				want = append(want, arrived[wirePair](t, e, b)...)
			}
			require.Len(t, want, 6)
			var into graph.Batch
			for _, b := range sent(t, e, pushPairs) {
				p := e.Marshal([]byte("head"), b, wireMost)
				require.Equal(t, "head", string(p[:4]))
				require.Zero(t, b.Len(), "a batch is empty once it is bytes")
				back, err := e.Unmarshal(p[4:], into)
				require.NoError(t, err)
				clear(p) // the batch keeps nothing of it
				got = append(got, arrived[wirePair](t, e, back)...)
				into = back
			}
			require.Equal(t, want, got)
		})
	}
}

// Goal: values that are valid during the call only that brought them are there.
func TestWire_sequences(t *testing.T) {
	type group = coder.KV[string, iter.Seq[int64]]
	e := GroupedType(coder.Strings(), coder.Varints()).NewEdge(graph.EdgeConfig{Kind: graph.Gather, Size: 4, Windows: true})
	vals := []int64{1, 2, 3}
	bs := sent(t, e, func(c *graph.Ctx, recv Recv[group]) {
		recv(c, group{Key: "a", Value: slices.Values(vals)})
		clear(vals)
	})
	require.Len(t, bs, 1)
	b, err := e.Unmarshal(e.Marshal(nil, bs[0], wireMost), nil)
	require.NoError(t, err)
	var got []int64
	e.Receiver(testLane(t), Recv[group](func(_ *graph.Ctx, g group) { got = slices.Collect(g.Value) }))(b)
	require.Equal(t, []int64{1, 2, 3}, got)
}

// Goal: the bytes stay as they are. Method: golden bytes.
func TestWire_bytes(t *testing.T) {
	e := wireEdges(t)["by key, with windows"]
	bs := sent(t, e, func(c *graph.Ctx, recv Recv[wirePair]) {
		c.TS, c.Win, c.Pane = 1000, window.Interval{Start: 960, End: 1020}, window.Pane{Timing: window.PaneOnTime, First: true, Last: true}
		recv(c, wirePair{Key: "a", Value: 7})
		c.TS = 998
		recv(c, wirePair{Key: "a", Value: -1})
	})
	require.Equal(t, strings.Join([]string{
		"01", "01", "02", // version, flags, elements
		"d00f", "03", // 1000, 2 less
		"800f", "f80f", "02", "03", "00", "00", // window, pane
		"800f", "f80f", "02", "03", "00", "00",
		"0161", "07", // a, 7
		"0161", "ffffffffffffffffff01",
	}, ""), hex.EncodeToString(e.Marshal(nil, bs[0], wireMost)))
}

// Goal: bytes that are damaged give an error that says so.
func TestWire_damaged(t *testing.T) {
	e := wireEdges(t)["by key"]
	good := e.Marshal(nil, sent(t, e, pushPairs)[0], wireMost)
	for name, tc := range map[string]struct {
		bytes []byte
		err   string
	}{
		"nothing":                {nil, "end early"},
		"another version":        {append([]byte{9}, good[1:]...), "version 9, want 1"},
		"flags of the future":    {append([]byte{1, 64}, good[2:]...), "flags 0x40"},
		"windows where none":     {append([]byte{1, 1}, good[2:]...), "flags 0x1"},
		"more than there can be": {[]byte{1, 0, 0xff, 0xff, 0xff, 0x7f, 0}, "end early"},
		"cut off":                {good[:len(good)-1], "decode value 4 of 4"},
		"too long":               {append(slices.Clone(good), 0), "behind the last value"},
	} {
		_, err := e.Unmarshal(tc.bytes, nil)
		assert.ErrorContains(t, err, tc.err, name)
	}
}

// Goal: whatever the bytes, no panic and no memory that they don't justify; and what
// is read is written again as the same elements.
func FuzzWire(f *testing.F) {
	edges := wireEdges(f)
	plain, windows := edges["by key"], edges["by key, with windows"]
	for _, e := range []graph.Edge{plain, windows} {
		for _, b := range sent(f, e, pushPairs) {
			f.Add(e.Marshal(nil, b, wireMost))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, e := range []graph.Edge{plain, windows} {
			b, err := e.Unmarshal(p, nil)
			if err != nil {
				continue
			}
			require.LessOrEqual(t, b.Len(), len(p))
			again, err := e.Unmarshal(e.Marshal(nil, b, wireMost), nil)
			require.NoError(t, err)
			once, err := e.Unmarshal(p, nil)
			require.NoError(t, err)
			require.Equal(t, arrived[wirePair](t, e, once), arrived[wirePair](t, e, again))
		}
	})
}

// Goal: a batch goes in parts where it is longer than a frame may be, whether its elements
// are like those before or much longer, and nothing of it is lost.
func TestWire_inParts(t *testing.T) {
	e := Type(coder.Strings()).NewEdge(graph.EdgeConfig{Kind: graph.Gather, Size: 64})
	for _, size := range []int{10, 10, 5000, 10, 100_000} {
		const most = 1000
		bs := sent(t, e, func(c *graph.Ctx, recv Recv[string]) {
			for i := range 64 {
				c.TS = int64(i)
				recv(c, strings.Repeat("x", size)+fmt.Sprint(i))
			}
		})
		require.Len(t, bs, 1)
		parts := 0
		for i := 0; bs[0].Len() > 0; parts++ {
			p := e.Marshal([]byte("head"), bs[0], most)
			require.Less(t, len(p), 2*most+3*(size+20), "%d bytes each", size)
			back, err := e.Unmarshal(p[4:], nil)
			require.NoError(t, err)
			for k, v := range back.(*Batch[string]).vals {
				require.Equal(t, int64(i), back.(*Batch[string]).ts[k])
				require.Equal(t, strings.Repeat("x", size)+fmt.Sprint(i), v)
				i++
			}
			if bs[0].Len() == 0 {
				require.Equal(t, 64, i)
			}
		}
		require.Equal(t, size > 10, parts > 4, "%d parts of %d bytes each", parts, size)
	}
}

type wireWord = coder.KV[uint64, uint64]

// wireWords is an edge of words, and a batch of 512 of them.
func wireWords(t testing.TB) (graph.Edge, *Batch[wireWord]) {
	u := cod[uint64](t)
	e := KeyedType(u, u).NewEdge(graph.EdgeConfig{Kind: graph.ByKey, Size: 512})
	bs := sent(t, e, func(c *graph.Ctx, recv Recv[wireWord]) {
		for i := range uint64(512) {
			c.TS = 1_700_000_000_000 + int64(i)
			recv(c, wireWord{Key: i * 0x9e3779b97f4a7c15, Value: i})
		}
	})
	return e, bs[0].(*Batch[wireWord])
}

// Goal: words cost no memory on their way, either way.
func TestWire_allocations(t *testing.T) {
	e, b := wireWords(t)
	vals, ts := slices.Clone(b.vals), slices.Clone(b.ts)
	buf := e.Marshal(nil, b, wireMost)
	var into graph.Batch = b
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		b.vals, b.ts = append(b.vals[:0], vals...), append(b.ts[:0], ts...)
		buf = e.Marshal(buf[:0], b, wireMost)
		into, _ = e.Unmarshal(buf, into)
		b.reset()
	}))
}

func BenchmarkWire(b *testing.B) {
	e, words := wireWords(b)
	benchWire(b, "KV of words", e, words)
	str := Type(coder.Strings()).NewEdge(graph.EdgeConfig{Kind: graph.Rebalance, Size: 512})
	bs := sent(b, str, func(c *graph.Ctx, recv Recv[string]) {
		for i := range 512 {
			c.TS = 1_700_000_000_000 + int64(i)
			recv(c, strings.Repeat("x", 100))
		}
	})
	benchWire(b, "strings of 100 bytes", str, bs[0].(*Batch[string]))
	rec, records := wireRecords(b)
	benchWire(b, "KV of a word and 100 bytes", rec, records)
}

type wireRecord = coder.KV[uint64, [100]byte]

// wireRecords is a batch of records by number.
func wireRecords(t testing.TB) (graph.Edge, *Batch[wireRecord]) {
	e := KeyedType(cod[uint64](t), cod[[100]byte](t)).NewEdge(graph.EdgeConfig{Kind: graph.ByKey, Size: 512})
	bs := sent(t, e, func(c *graph.Ctx, recv Recv[wireRecord]) {
		for i := range uint64(512) {
			recv(c, wireRecord{Key: i})
		}
	})
	return e, bs[0].(*Batch[wireRecord])
}

// What a record costs from a KeyBy until it is in a frame.
func BenchmarkKeyEdge_send(b *testing.B) {
	e, _ := wireRecords(b)
	frame := make([]byte, 0, 1<<16)
	c := testLane(b)
	send, _ := e.Sender(c, c.Run.Owner, func(_ int, gb graph.Batch) graph.Batch {
		for gb.Len() > 0 {
			if frame = e.Marshal(frame, gb, 1<<15); len(frame) > 7<<12 {
				frame = frame[:0]
			}
		}
		return gb
	})
	in, _ := KeyBy(func(v [100]byte) uint64 { return uint64(v[0]) }, cod[[100]byte](b)).Open(c, []any{send})
	recv := recvOf[[100]byte](in[0])
	var v [100]byte
	b.ReportAllocs()
	for b.Loop() {
		v[0]++
		recv(c, v)
	}
}

func benchWire[T any](b *testing.B, name string, e graph.Edge, x *Batch[T]) {
	vals, ts := slices.Clone(x.vals), slices.Clone(x.ts)
	fill := func() { x.vals, x.ts = append(x.vals[:0], vals...), append(x.ts[:0], ts...) }
	fill()
	buf := e.Marshal(nil, x, wireMost)
	per := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(vals)), "ns/element")
		b.ReportMetric(math.Round(float64(len(buf))/float64(len(vals))*10)/10, "B/element")
	}
	b.Run(name+"/marshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			fill()
			buf = e.Marshal(buf[:0], x, wireMost)
		}
		per(b)
	})
	b.Run(name+"/unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.reset()
			_, _ = e.Unmarshal(buf, x)
		}
		per(b)
	})
}
