package flow

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// groups runs values through a Group and returns each key's values by window.
func groups(t testing.TB, s window.Strategy, budget int64, in []got[kv], every int) map[string][]int64 {
	op := &Group[string, int64]{Key: cod[string](t), Val: cod[int64](t), Assign: NewAssign(s, false)}
	out := map[string][]int64{}
	build := func(c *graph.Ctx) *opened[kv, coder.KV[string, iter.Seq[int64]]] {
		o := &opened[kv, coder.KV[string, iter.Seq[int64]]]{c: c}
		rs, live := op.Open(c, []any{Recv[coder.KV[string, iter.Seq[int64]]](func(c *graph.Ctx, v coder.KV[string, iter.Seq[int64]]) {
			id := fmt.Sprint(v.Key, " ", c.Win.Start)
			if c.Win == window.Global {
				id = v.Key
			}
			require.NotContains(t, out, id, "a group came twice")
			out[id] = slices.Collect(v.Value)
			require.Equal(t, out[id], slices.Collect(v.Value), "ranging again")
		})})
		o.in, o.live = recvOf[kv](rs[0]), live
		return o
	}
	setup := func(r *graph.Run) { r.MemoryBudget, r.Epochs = budget, every > 0 }
	c := testLane(t, setup)
	o, st := build(c), &store{rows: map[string][]byte{}}
	for i, e := range in {
		o.push(e.ts, e.v)
		if every > 0 && i%every == 0 {
			o.live.(graph.Keeper).Delta(st)
			require.NoError(t, o.live.(graph.Closer).Close(o.c))
			o = build(testLane(t, setup))
			for k, v := range st.rows {
				require.NoError(t, o.live.(graph.Keeper).Load([]byte(k), v))
			}
		}
	}
	o.advance(window.MaxTime)
	require.NoError(t, o.c.Err())
	require.NoError(t, o.live.(graph.Closer).Close(o.c))
	left, err := os.ReadDir(o.c.Run.TempDir)
	require.NoError(t, err)
	require.Empty(t, left, "spilled files are removed")
	return out
}

// Goal: grouping gives the same whether all fits in memory, most is spilled, or
// it is restored now and then; values keep their order.
func TestGroup_spilledAndRestoredLikeInMemory(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var in []got[kv]
	for i := range int64(30_000) {
		in = append(in, got[kv]{int64(rnd.IntN(100)), kv{Key: fmt.Sprint("key", rnd.IntN(500)), Value: i}})
	}
	for i := range int64(300_000) { // one key that is larger than the others together
		in = append(in, got[kv]{5, kv{Key: "big", Value: i}})
	}
	for _, s := range []window.Strategy{{}, window.New(window.Fixed(25 * time.Millisecond)), window.New(window.Sliding(50*time.Millisecond, 25*time.Millisecond))} {
		want := groups(t, s, 0, in, 0)
		require.Equal(t, want, groups(t, s, 1<<20, in, 0), "%v: spilled", s.Fn)
		require.Equal(t, want, groups(t, s, 20_000, in, 0), "%v: spilled into more runs than there may be", s.Fn)
		few := in[:3000]
		require.Equal(t, groups(t, s, 0, few, 0), groups(t, s, 0, few, 400), "%v: restored", s.Fn)
	}
}

func TestGroup_keptSequencePanicsWithASentence(t *testing.T) {
	op := &Group[string, int64]{Key: cod[string](t), Val: cod[int64](t), Assign: NewAssign(window.Strategy{}, false)}
	o := open[kv, coder.KV[string, iter.Seq[int64]]](testLane(t), op)
	o.push(0, kv{Key: "a", Value: 1})
	o.advance(window.MaxTime)
	kept := o.out[0].v.Value
	require.PanicsWithValue(t, "the values of key a were kept after the call that brought them: copy them (slices.Collect) to keep them",
		func() { _ = slices.Collect(kept) })
}

func TestGroup_valuesLargerThanABlock(t *testing.T) {
	op := &Group[string, string]{Key: cod[string](t), Val: cod[string](t), Assign: NewAssign(window.Strategy{}, false)}
	for _, budget := range []int64{0, 1 << 20} {
		c := testLane(t, func(r *graph.Run) { r.MemoryBudget = budget })
		sizes := map[string][]int{}
		in, live := op.Open(c, []any{Recv[coder.KV[string, iter.Seq[string]]](func(_ *graph.Ctx, v coder.KV[string, iter.Seq[string]]) {
			for s := range v.Value {
				sizes[v.Key] = append(sizes[v.Key], len(s))
			}
		})})
		put := recvOf[coder.KV[string, string]](in[0])
		for i := range 6 {
			put(c, coder.KV[string, string]{Key: fmt.Sprint(i % 2), Value: strings.Repeat("x", i<<19)})
			put(c, coder.KV[string, string]{Key: fmt.Sprint(i % 2), Value: ""})
		}
		live.(graph.Watermarker).Advance(c, window.MaxTime)
		require.NoError(t, c.Err())
		require.Equal(t, map[string][]int{"0": {0, 0, 2 << 19, 0, 4 << 19, 0}, "1": {1 << 19, 0, 3 << 19, 0, 5 << 19, 0}}, sizes)
	}
}
