package flow

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// A sum for each of a million keys, by batches and by single elements, with all rows
// in memory.
func BenchmarkStateful_sumOfAMillionKeys(b *testing.B) {
	const keys = 1_000_000
	factory := &Stateful[uint64, int64, int64]{Key: cod[uint64](b), Val: cod[int64](b), Assign: NewAssign(window.Strategy{}, false),
		Bind: func(l *Lane[uint64], _ func(int64)) func(int64) error {
			n := NewValueCell(cod[int64](b))
			l.AddCell("value n", n)
			return func(v int64) error {
				n.Set(l.K.Row, n.Get(l.K.Row)+v)
				l.K.Touch()
				return nil
			}
		}}
	for _, size := range []int{1, 256} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := testLane(b, epochs)
			ins, _ := factory.Open(c, []any{Recv[int64](nil)})
			in := ins[0].(*batchIn[coder.KV[uint64, int64]])
			rnd := rand.New(rand.NewPCG(1, 2))
			batches := make([]Batch[coder.KV[uint64, int64]], keys/size)
			for i := range batches {
				for range size {
					batches[i].ts = append(batches[i].ts, 1)
					batches[i].vals = append(batches[i].vals, coder.KV[uint64, int64]{Key: rnd.Uint64N(keys), Value: 1})
				}
			}
			n := 0
			push := func() {
				if x := &batches[n%len(batches)]; size == 1 {
					in.one(c, x.vals[0])
				} else {
					in.many(c, x)
				}
				n++
			}
			for range batches {
				push()
			}
			for b.Loop() {
				push()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/element")
		})
	}
}

// A counter beside a text of 10 kB, of each of a thousand keys, with a delta after each
// has changed once. What it costs is the bytes that are written.
func BenchmarkStateful_counterBesideALargeText(b *testing.B) {
	const keys = 1000
	o := open[kv, int64](testLane(b, epochs), &Stateful[string, int64, int64]{Key: cod[string](b), Val: cod[int64](b), Assign: NewAssign(window.Strategy{}, false),
		Bind: func(l *Lane[string], _ func(int64)) func(int64) error {
			n, text := NewValueCell(cod[int64](b)), NewValueCell(cod[string](b))
			l.AddCell("value n", n)
			l.AddCell("value text", text)
			return func(v int64) error {
				if n.Set(l.K.Row, n.Get(l.K.Row)+v); v == 0 {
					text.Set(l.K.Row, strings.Repeat("x", 10_000))
				}
				l.K.Touch()
				return nil
			}
		}})
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprint("key ", i)
		o.push(1, kv{Key: names[i]})
	}
	w := &written{}
	o.live.(graph.Keeper).Delta(w)
	w.bytes = 0
	n := 0
	for b.Loop() {
		o.push(1, kv{Key: names[n%keys], Value: 1})
		if n++; n%keys == 0 {
			o.live.(graph.Keeper).Delta(w)
		}
	}
	b.ReportMetric(float64(w.bytes)/float64(b.N), "B/element")
}

// written counts the bytes of a delta.
type written struct{ bytes int }

func (w *written) Put(_ int, k, v []byte)    { w.bytes += len(k) + len(v) }
func (w *written) Append(_ int, k, v []byte) { w.bytes += len(k) + len(v) }
func (w *written) Delete(int, []byte)        {}
