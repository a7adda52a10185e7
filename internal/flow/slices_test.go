package flow

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

var slidings = []window.Fn{
	window.Sliding(ms(10), ms(2)),
	window.Sliding(ms(10), ms(3)),
	window.Sliding(ms(10), ms(9)),
	window.Sliding(ms(7), ms(7)),
	window.Sliding(ms(5), ms(1)),
	window.Sliding(ms(12), ms(8), window.Offset(ms(3))),
	window.Sliding(ms(9), ms(4), window.Offset(ms(1))),
}

// Goal: the arithmetic of slices says what assigning each window would.
func TestSlicer_asWindowByWindow(t *testing.T) {
	for _, fn := range slidings {
		s := newSlicer(fn)
		var times []int64
		for d := range int64(40) {
			times = append(times, d-20, window.GlobalEnd-30+d, window.MinTime+d)
		}
		for _, ts := range times {
			slice := s.fn().AssignOne(ts)
			require.True(t, slice.Contains(min(ts, window.GlobalEnd)), "%v of %d in %v", slice, ts, fn)
			require.Equal(t, slice, s.fn().AssignOne(slice.Start), fn)
			require.Equal(t, slice, s.fn().AssignOne(slice.Last()), fn)
			ws := fn.Assign(ts, nil)
			slices.Reverse(ws) // the earliest first
			first, last := s.starts(slice)
			require.Equal(t, []int64{ws[0].Start, ws[len(ws)-1].Start}, []int64{first, last}, "%d in %v", ts, fn)
			for _, w := range ws {
				require.Equal(t, w, s.window(w.Start))
				require.True(t, w.Start <= slice.Start && slice.End <= w.End, "%v holds %v", w, slice)
			}
			for _, wm := range append(times, window.MaxTime, window.GlobalEnd+1) {
				open := slices.IndexFunc(ws, func(w window.Interval) bool { return !w.Passed(wm) })
				if open < 0 {
					open = len(ws)
				}
				n, of := s.passed(slice, wm)
				require.Equal(t, []int64{int64(open), int64(len(ws))}, []int64{n, of}, "%d in %v at %d", ts, fn, wm)
			}
		}
	}
}

func TestSliced_onlyWhereAWindowIsFiredOnce(t *testing.T) {
	fn := window.Sliding(ms(10), ms(2))
	require.True(t, Sliced(window.New(fn)))
	require.False(t, Sliced(window.New(window.Sliding(ms(10), ms(10)))))
	require.False(t, Sliced(window.New(window.Fixed(ms(10)))))
	require.False(t, Sliced(window.New(fn, window.AllowedLateness(ms(1)))))
	require.False(t, Sliced(window.New(fn, window.Triggering(window.AfterCount(2)))))
	require.False(t, Sliced(window.New(fn, window.TimestampsAt(window.Earliest))))
}

// tallied is an accumulator that shares memory when it is copied.
type tallied struct{ Values []int64 }

// tally keeps all values, in order of size: nothing lost, nothing twice.
func tally() Combiner[int64, tallied, string] {
	return Combiner[int64, tallied, string]{
		Add: func(a *tallied, v int64) { a.Values = append(a.Values, v) },
		Merge: func(a *tallied, b tallied) {
			if len(a.Values) == 0 {
				*a = b
				return
			}
			a.Values = append(a.Values, b.Values...)
		},
		Extract: func(a tallied) string { slices.Sort(a.Values); return fmt.Sprint(a.Values) },
	}
}

func sum() Combiner[int64, int64, string] {
	return Combiner[int64, int64, string]{
		Add: func(a *int64, v int64) { *a += v }, Merge: func(a *int64, b int64) { *a += b },
		Extract: func(a int64) string { return fmt.Sprint(a) },
	}
}

// Goal: a combine that keeps slices emits the same windows, at the same
// watermarks, in the same order of windows, and counts the same late elements, as
// one that keeps windows; restored in the middle or not, lifted or not, careful
// or not.
// Method: random elements and watermarks, some far behind, through both.
func TestCombine_slicesLikeWindows(t *testing.T) {
	t.Run("plain accumulators", func(t *testing.T) { slicesLikeWindows(t, sum()) })
	t.Run("accumulators with memory of their own", func(t *testing.T) { slicesLikeWindows(t, tally()) })
}

func slicesLikeWindows[A any](t *testing.T, cb Combiner[int64, A, string]) {
	type in = coder.KV[string, int64]
	type out = coder.KV[string, string]
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		fn := slidings[rnd.IntN(len(slidings))]
		base := []int64{0, 0, 0, window.GlobalEnd - 40, window.MinTime}[rnd.IntN(5)]
		op := Combine[string, int64, A, string]{Key: cod[string](t), Val: cod[int64](t), Acc: cod[A](t),
			Assign: NewAssign(window.New(fn), false), Add: cb.Add, Merge: cb.Merge, Extract: cb.Extract}
		bySlice := op
		bySlice.Slices = true
		change := []func(*graph.Run){epochs}
		if rnd.IntN(3) == 0 {
			change = append(change, careful)
		}
		a, b := open[in, out](testLane(t, change...), &op), open[in, out](testLane(t, change...), &bySlice)
		save := &store{rows: map[string][]byte{}}
		wm := max(base-20, window.MinTime)
		a.advance(wm)
		b.advance(wm)
		for step := range 120 {
			switch rnd.IntN(8) {
			case 0:
				wm += int64(rnd.IntN(12))
				a.advance(wm)
				b.advance(wm)
			case 1:
				if rnd.IntN(4) == 0 {
					b = restore(t, b, &bySlice, save)
					b.advance(wm) // as the engine does
				}
			default:
				v := in{Key: string(rune('a' + rnd.IntN(3))), Value: int64(step)}
				ts := max(wm-12+int64(rnd.IntN(30)), window.MinTime)
				a.push(ts, v)
				b.push(ts, v)
			}
			require.Equal(t, inOrder(a.out), inOrder(b.out), "seed %d, %v, step %d", seed, fn, step)
		}
		a.advance(window.MaxTime)
		b.advance(window.MaxTime)
		require.Equal(t, inOrder(a.out), inOrder(b.out), "seed %d, %v", seed, fn)
		require.Equal(t, lateOf(a.c), lateOf(b.c), "seed %d, %v", seed, fn)
		if b.live.(graph.Keeper).Delta(save); len(save.rows) > 0 {
			require.Equal(t, []string{string(firedRow)}, mapKeys(save.rows), "nothing is left behind")
		}
	}
}

func mapKeys(m map[string][]byte) (ks []string) {
	for k := range m {
		ks = append(ks, k)
	}
	return ks
}

// inOrder sorts what one window emitted, which is in no order.
func inOrder(out []got[coder.KV[string, string]]) []got[coder.KV[string, string]] {
	out = slices.Clone(out)
	for from := 0; from < len(out); {
		to := from
		for to < len(out) && out[to].ts == out[from].ts {
			to++
		}
		slices.SortFunc(out[from:to], func(a, b got[coder.KV[string, string]]) int {
			return slices.Compare([]string{a.v.Key, a.v.Value}, []string{b.v.Key, b.v.Value})
		})
		from = to
	}
	return out
}

func lateOf(c *graph.Ctx) (n int64) {
	for _, m := range c.Run.Metrics.Snapshot() {
		if m.Name == droppedLate {
			n += m.Sum
		}
	}
	return n
}

// Goal: the lifted half in front changes nothing but which late elements count as one.
func TestCombine_slicesBehindLift(t *testing.T) {
	type in = coder.KV[string, int64]
	type out = coder.KV[string, string]
	cb := sum()
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		fn := slidings[rnd.IntN(len(slidings))]
		whole := Combine[string, int64, int64, string]{Key: cod[string](t), Val: cod[int64](t), Acc: cod[int64](t),
			Assign: NewAssign(window.New(fn), false), Add: cb.Add, Merge: cb.Merge, Extract: cb.Extract}
		final := Combine[string, int64, int64, string]{Key: cod[string](t), Val: cod[int64](t), Acc: cod[int64](t),
			Assign: NewAssign(window.New(fn), true), Add: cb.Merge, Merge: cb.Merge, Slices: true, Extract: cb.Extract}
		a, b := open[in, out](testLane(t), &whole), open[in, out](testLane(t), &final)
		pre := CombinePre(cod[string](t), cod[int64](t), NewSliceAssign(fn), cb, 2)
		recv, live := pre.Open(b.c, []any{b.in})
		wm := int64(0)
		for step := range 100 {
			if rnd.IntN(8) == 0 {
				wm += int64(rnd.IntN(12))
				a.advance(wm)
				live.(graph.Watermarker).Advance(b.c, wm)
				b.advance(wm)
				require.Equal(t, inOrder(a.out), inOrder(b.out), "seed %d, %v, step %d", seed, fn, step)
				continue
			}
			v := in{Key: string(rune('a' + rnd.IntN(3))), Value: int64(step)}
			ts := wm - 12 + int64(rnd.IntN(30))
			a.push(ts, v)
			b.c.TS = ts
			recvOf[in](recv[0])(b.c, v)
		}
	}
}

// Goal: the batch form does as the form for one element, also where a batch is of
// several windows and where the table grows half way.
func TestCombine_batchesLikeElements(t *testing.T) {
	type in = coder.KV[int64, int64]
	type out = coder.KV[int64, int64]
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		fn := []window.Fn{window.GlobalWindows(), window.Fixed(ms(50))}[rnd.IntN(2)]
		add := func(a *int64, v int64) { *a += v }
		op := &Combine[int64, int64, int64, int64]{Key: cod[int64](t), Val: cod[int64](t), Acc: cod[int64](t),
			Assign: NewAssign(window.New(fn), false), Init: func() int64 { return 1 << 32 }, Add: add, Extract: func(a int64) int64 { return a }}
		sums := [2]map[got[int64]]int64{{}, {}}
		for batched := range 2 {
			rnd := rand.New(rand.NewPCG(seed, 4))
			c := testLane(t, epochs)
			in2, live := op.Open(c, []any{Recv[out](func(c *graph.Ctx, v out) { sums[batched][got[int64]{c.TS, v.Key}] += v.Value })})
			for range 200 {
				b := &Batch[in]{}
				jump := int64(rnd.IntN(3) * rnd.IntN(30))
				for range 512 {
					b.ts = append(b.ts, rnd.Int64N(1+jump))
					b.vals = append(b.vals, in{Key: rnd.Int64N(60_000), Value: 1})
				}
				if batched == 1 {
					in2[0].(*batchIn[in]).many(c, b)
					continue
				}
				for i, v := range b.vals {
					c.TS = b.ts[i]
					recvOf[in](in2[0])(c, v)
				}
			}
			live.(graph.Watermarker).Advance(c, window.MaxTime)
		}
		require.NotEmpty(t, sums[0])
		require.Equal(t, sums[0], sums[1], "%v", fn)
	}
}

// Both halves of a combine, over sliding windows: elements of known keys in turn
// from two slices allocate nothing, nor does the firing of windows, in the long run.
func TestCombine_slicesAllocateNothingPerElement(t *testing.T) {
	cb := sum()
	c := testLane(t)
	fn := window.Sliding(ms(100), ms(20))
	final := &Combine[int64, int64, int64, string]{Key: cod[int64](t), Val: cod[int64](t), Acc: cod[int64](t),
		Assign: NewAssign(window.New(fn), true), Add: cb.Merge, Merge: cb.Merge, Slices: true, Extract: func(int64) string { return "" }}
	in, last := final.Open(c, []any{Recv[coder.KV[int64, string]](func(*graph.Ctx, coder.KV[int64, string]) {})})
	pre, first := CombinePre(cod[int64](t), cod[int64](t), NewSliceAssign(fn), cb, 1000).Open(c, in)
	keyed, _ := KeyBy(func(v int64) int64 { return v % 50 }, cod[int64](t)).Open(c, pre)
	recv, ts := recvOf[int64](keyed[0]), int64(0)
	window := func() {
		for range 2000 {
			ts++
			c.TS = ts / 100
			recv(c, ts)
			c.TS += 19
			recv(c, ts)
		}
		first.(graph.Watermarker).Advance(c, ts/100-1)
		last.(graph.Watermarker).Advance(c, ts/100-1)
	}
	for range 20 {
		window()
	}
	require.LessOrEqual(t, testing.AllocsPerRun(20, window), 4.0, "for 4,000 elements and a window")
}
