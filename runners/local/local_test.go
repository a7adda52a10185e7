package local_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// Goal: three exchanges in a row, each with more elements than the one before,
// and queues of one batch: lanes must not wait in a circle, and every
// configuration must give the same.
func TestLanes_oneResult(t *testing.T) {
	type key = uint64
	build := func(sum, n *atomic.Uint64) *pipeline.Pipeline {
		p := pipeline.New()
		numbers := pipeline.Generate(p, 1000, func(i uint64, e *uint64) { *e = i })
		src := pipeline.EventTimeMs(numbers, func(i uint64) int64 { return int64(i) })
		many := func(s *pipeline.Setup[key, uint64]) pipeline.Process[key, uint64, uint64] {
			c := pipeline.ValueState[uint64](s, "c")
			return func(x *pipeline.Ctx[key], v uint64, emit pipeline.Emit[uint64]) error {
				c.Set(x, c.Get(x)+1)
				for j := range uint64(6) {
					emit(v*7 + j)
				}
				return nil
			}
		}
		mod := func(m uint64) func(uint64) key { return func(v uint64) key { return v % m } }
		a := pipeline.Stateful(pipeline.KeyBy(src, mod(97)), "a", many)
		b := pipeline.Stateful(pipeline.KeyBy(a, mod(31)), "b", many)
		counts := pipeline.CombinePerKey(pipeline.KeyBy(b, mod(1009)).Windowed(window.Fixed(100*time.Millisecond)), counting)
		out := pipeline.ParDo(pipeline.Pairs(counts), func(_ *pipeline.DoFn, emit pipeline.Emit[uint64]) func(pipeline.Elem, pipeline.KV[key, int64]) error {
			return func(e pipeline.Elem, kv pipeline.KV[key, int64]) error {
				emit(kv.Key*1000003 ^ uint64(kv.Value)*77 ^ uint64(e.Window().End)*1299709)
				return nil
			}
		})
		pipeline.ForEachLane(out, func(int) func(uint64) { return func(h uint64) { sum.Add(h); n.Add(1) } })
		return p
	}
	want := ""
	for _, lanes := range []int{1, 2, 3, 7} {
		for _, batch := range []int{1, 5, 64} {
			for _, noFusion := range []bool{false, true} {
				for _, checkpoint := range []time.Duration{0, time.Millisecond} {
					cfg := local.Config{Parallelism: lanes, Batch: batch, Queue: 1, NoFusion: noFusion, Checkpoint: checkpoint}
					var sum, n atomic.Uint64
					_, err := local.Run(t.Context(), build(&sum, &n), cfg)
					got := fmt.Sprint(n.Load(), " ", sum.Load())
					if want == "" {
						want = got
					}
					require.NoError(t, err, "%+v", cfg)
					require.Equal(t, want, got, "%+v", cfg)
				}
			}
		}
	}
}

var counting = pipeline.Combiner[uint64, int64, int64]{
	Add:     func(a *int64, _ uint64) { *a++ },
	Merge:   func(a *int64, b int64) { *a += b },
	Extract: func(a int64) int64 { return a },
}
