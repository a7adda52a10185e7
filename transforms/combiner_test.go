package transforms_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
	"github.com/stretchr/testify/require"
)

// fold folds values the way a run may: in parts, each begun anew, encoded on the
// way and merged in any order.
func fold[V, A, R any](t testing.TB, cb pipeline.Combiner[V, A, R], values []V, parts int, rnd *rand.Rand) R {
	accs := make([]A, parts)
	for i := range accs {
		accs[i] = empty(cb)
	}
	for _, v := range values {
		cb.Add(&accs[rnd.IntN(parts)], v)
	}
	all := empty(cb)
	for _, i := range rnd.Perm(parts) {
		cb.Merge(&all, roundTrip(t, cb, accs[i]))
	}
	return cb.Extract(roundTrip(t, cb, all))
}

func empty[V, A, R any](cb pipeline.Combiner[V, A, R]) (a A) {
	if cb.Init != nil {
		return cb.Init()
	}
	return a
}

// roundTrip is a after a snapshot.
func roundTrip[V, A, R any](t testing.TB, cb pipeline.Combiner[V, A, R], a A) A {
	t.Helper()
	cod := cb.Coder
	if cod == nil {
		inferred, err := coder.For[A]()
		require.NoError(t, err)
		cod = &inferred
	}
	back, rest, err := cod.Decode(cod.Append(nil, a))
	require.NoError(t, err)
	require.Empty(t, rest)
	return back
}

// law is a combiner that must give one result however its input is cut and shuffled.
func law[V, A, R any](name string, cb pipeline.Combiner[V, A, R], norm func(R) any, values ...V) func(*testing.T) {
	return func(t *testing.T) {
		for n := range len(values) + 1 {
			one := norm(fold(t, cb, values[:n], 1, rand.New(rand.NewPCG(0, 0))))
			for seed := range uint64(5) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				shuffled := slices.Clone(values[:n])
				rnd.Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
				require.Equal(t, one, norm(fold(t, cb, shuffled, 1+int(seed), rnd)), "%s of %v as %v, seed %d", name, values[:n], shuffled, seed)
			}
		}
	}
}

func same[R any](r R) any { return fmt.Sprint(r) }

func sorted[V cmp.Ordered](vs []V) any { return fmt.Sprint(slices.Sorted(slices.Values(vs))) }

// Goal: the order of the input, how it is spread, and snapshots on the way don't
// show in the result, from no value on.
func TestCombiners_orderAndPartsDontShow(t *testing.T) {
	ints := []int{5, 3, 3, -1, 9, 0, 5, 7}
	nan := []float64{2, math.NaN(), 1, math.Inf(-1)}
	stamped := []transforms.Stamped[string]{{5, "e"}, {3, "c"}, {9, "i"}, {1, "a"}}
	for name, f := range map[string]func(*testing.T){
		"count":           law("count", transforms.CountOf[int](), same, ints...),
		"sum":             law("sum", transforms.SumOf[int](), same, ints...),
		"sum that wraps":  law("sum", transforms.SumOf[int8](), same, 100, 100, 100),
		"mean":            law("mean", transforms.MeanOf[int](), func(m float64) any { return fmt.Sprintf("%.9f", m) }, ints...),
		"min":             law("min", transforms.MinOf[int](), same, ints...),
		"max":             law("max", transforms.MaxOf[int](), same, ints...),
		"min with NaN":    law("min", transforms.MinOf[float64](), same, nan...),
		"max with NaN":    law("max", transforms.MaxOf[float64](), same, nan...),
		"max of strings":  law("max", transforms.MaxOf[string](), same, "b", "", "c", "a"),
		"best":            law("best", transforms.BestOf(func(a, b string) bool { return len(a) > len(b) }), same, "b", "", "ccc", "aa"),
		"top":             law("top", transforms.TopOf(3, func(a, b int) bool { return a < b }), same, ints...),
		"quantiles":       law("quantiles", transforms.QuantilesOf[int](0, 0.25, 0.5, 1), same, ints...),
		"approx distinct": law("approx distinct", transforms.ApproxDistinctOf[int](), same, ints...),
		"sample of all":   law("sample", transforms.SampleOf[int](100, 1), sorted[int], ints...),
		"list":            law("list", transforms.ListOf[int](), sorted[int], ints...),
		"map":             law("map", transforms.MapOf[string, int](), same, pipeline.NewKV("a", 1), pipeline.NewKV("b", 2), pipeline.NewKV("c", 3)),
		"latest":          law("latest", transforms.LatestOf[string](), same, stamped...),
	} {
		t.Run(name, f)
	}
}

// Goal: the documented error of rank, for inputs of all shapes, in one piece and in
// many that are merged.
func TestQuantiles_errorOfRank(t *testing.T) {
	const n = 100_000
	qs := []float64{0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1}
	for shape, at := range map[string]func(i int, rnd *rand.Rand) int{
		"random":   func(_ int, rnd *rand.Rand) int { return rnd.IntN(n) },
		"rising":   func(i int, _ *rand.Rand) int { return i },
		"falling":  func(i int, _ *rand.Rand) int { return n - i },
		"zigzag":   func(i int, _ *rand.Rand) int { return []int{i, n - i}[i%2] },
		"few":      func(i int, _ *rand.Rand) int { return i % 7 },
		"sawtooth": func(i int, _ *rand.Rand) int { return i % 1000 },
	} {
		t.Run(shape, func(t *testing.T) {
			bad, all := 0, 0
			for seed := range uint64(6) {
				rnd := rand.New(rand.NewPCG(seed, 7))
				values := make([]int, n)
				for i := range values {
					values[i] = at(i, rnd)
				}
				got := fold(t, transforms.QuantilesOf[int](qs...), values, []int{1, 1, 3, 50}[seed%4], rnd)
				slices.Sort(values)
				require.Equal(t, values[0], got[0])
				require.Equal(t, values[n-1], got[len(qs)-1])
				for i, q := range qs {
					// The value stands at the ranks [lo, hi): how far from them is q?
					lo, _ := slices.BinarySearch(values, got[i])
					hi, _ := slices.BinarySearch(values, got[i]+1)
					off := max(float64(lo)/n-q, q-float64(hi)/n, 0)
					require.Less(t, off, 0.012, "seed %d, quantile %v", seed, q)
					if all++; off > 0.007 {
						bad++
					}
				}
			}
			require.LessOrEqual(t, bad, all/50, "of %d quantiles so many are off by more than documented", all)
		})
	}
}

func TestQuantiles_memory(t *testing.T) {
	cb := transforms.QuantilesOf[int64](0.5)
	var a transforms.QuantilesAcc[int64]
	for i := range int64(2_000_000) {
		cb.Add(&a, i*7919%2_000_003)
		if i%10_007 == 0 {
			kept, weight := 0, int64(0)
			for h, vs := range a.Levels {
				kept += len(vs)
				weight += int64(len(vs)) << h
			}
			require.LessOrEqual(t, kept, 1300)
			require.Equal(t, a.N, weight)
		}
	}
}

// Goal: every value is drawn as often as any other, also where parts of very
// different size are merged, and values that are equal count each.
func TestSample_isFair(t *testing.T) {
	const values, n, rounds = 40, 5, 8000
	drawn := make([]float64, values)
	rnd := rand.New(rand.NewPCG(3, 3))
	for round := range rounds {
		cb := transforms.SampleOf[int](n, uint64(round))
		var big, small, tiny transforms.SampleAcc[int]
		for v := range values {
			switch {
			case v < 30:
				cb.Add(&big, v)
			case v < 38:
				cb.Add(&small, v)
			default:
				cb.Add(&tiny, v)
			}
		}
		if round%2 == 0 {
			big, small = small, big
		}
		cb.Merge(&small, tiny)
		cb.Merge(&small, big)
		require.EqualValues(t, values, small.Seen)
		got := cb.Extract(small)
		require.Len(t, got, n)
		for _, v := range got {
			drawn[v]++
		}
	}
	want, chi2 := float64(rounds*n)/values, 0.0
	for _, d := range drawn {
		chi2 += (d - want) * (d - want) / want
	}
	require.Less(t, chi2, 80.0, "39 degrees of freedom: above 80 once in 10,000 times; %v", drawn)

	common := make([]int, 2000) // one in ten is a 1, the others are 0
	for i := range common {
		common[i] = (i % 10) / 9
	}
	ones := 0
	for seed := range uint64(400) {
		for _, v := range fold(t, transforms.SampleOf[int](10, seed), common, 4, rnd) {
			ones += v
		}
	}
	require.InDelta(t, 400, ones, 100, "of 4000 draws a tenth are ones")
}

func TestSample_seedDecides(t *testing.T) {
	draw := func(seed uint64) []int {
		var a transforms.SampleAcc[int]
		cb := transforms.SampleOf[int](4, seed)
		for i := range 1000 {
			cb.Add(&a, i)
		}
		return cb.Extract(a)
	}
	require.Equal(t, draw(1), draw(1))
	require.NotEqual(t, draw(1), draw(2))
}

// Goal: a later version may ask for more or fewer than the state it finds.
func TestStateOfAnotherSize(t *testing.T) {
	add := func(cb pipeline.Combiner[int, transforms.SampleAcc[int], []int], from, to int) (a transforms.SampleAcc[int]) {
		for i := from; i < to; i++ {
			cb.Add(&a, i)
		}
		return a
	}
	small, large := transforms.SampleOf[int](2, 1), transforms.SampleOf[int](20, 1)
	a := add(small, 0, 100)
	large.Merge(&a, add(small, 100, 200))
	require.Len(t, large.Extract(a), 4)
	large.Merge(&a, add(large, 200, 300))
	require.Len(t, large.Extract(a), 20)
	require.Len(t, small.Extract(a), 2)

	var heap []int
	for i := range 10 {
		transforms.TopOf(5, func(a, b int) bool { return a < b }).Add(&heap, i)
	}
	require.Equal(t, []int{9, 8}, transforms.TopOf(2, func(a, b int) bool { return a < b }).Extract(heap))
}

// Goal: what was given out does not change when the accumulator does.
func TestExtract_isASnapshot(t *testing.T) {
	t.Run("list", func(t *testing.T) {
		cb, a := transforms.ListOf[int](), []int(nil)
		for i := range 5 {
			cb.Add(&a, i)
		}
		got := cb.Extract(a)
		cb.Add(&a, 5)
		_ = append(got, 99)
		require.Equal(t, []int{0, 1, 2, 3, 4, 5}, cb.Extract(a))
	})
	t.Run("map", func(t *testing.T) {
		cb := transforms.MapOf[string, int]()
		a := cb.Init()
		cb.Add(&a, pipeline.NewKV("a", 1))
		got := cb.Extract(a)
		cb.Add(&a, pipeline.NewKV("b", 2))
		require.Equal(t, map[string]int{"a": 1}, got)
	})
	t.Run("sample", func(t *testing.T) {
		cb, a := transforms.SampleOf[int](3, 1), transforms.SampleAcc[int]{}
		for i := range 3 {
			cb.Add(&a, i)
		}
		got := cb.Extract(a)
		for i := range 1000 {
			cb.Add(&a, i)
		}
		require.ElementsMatch(t, []int{0, 1, 2}, got)
	})
	t.Run("top", func(t *testing.T) {
		cb, a := transforms.TopOf(2, func(a, b int) bool { return a < b }), []int(nil)
		cb.Add(&a, 1)
		cb.Add(&a, 2)
		got := cb.Extract(a)
		cb.Add(&a, 3)
		require.Equal(t, []int{2, 1}, got)
	})
}

func TestMean_ofLargeValues(t *testing.T) {
	cb := transforms.MeanOf[int]()
	require.Equal(t, float64(math.MaxInt64), fold(t, cb, []int{math.MaxInt64, math.MaxInt64, math.MaxInt64}, 1, rand.New(rand.NewPCG(1, 1))))

	var a transforms.MeanAcc // a million ones beside a large value: a sum would round each
	big := transforms.MeanOf[float64]()
	big.Add(&a, 1e16)
	for range 999_999 {
		big.Add(&a, 1)
	}
	require.InEpsilon(t, 1e10+1, big.Extract(a), 1e-9)
}

func TestApproxDistinct_standardError(t *testing.T) {
	for _, n := range []int{1, 100, 5_000, 50_000, 300_000} {
		cb, sum := transforms.ApproxDistinctOf[int](), 0.0
		for start := range 4 {
			var a, b transforms.DistinctSketch
			for i := range n {
				cb.Add(&a, start*1_000_000+i)
				if i%2 == 0 {
					cb.Add(&b, start*1_000_000+i) // seen twice
				}
			}
			cb.Merge(&a, b)
			got := cb.Extract(roundTrip(t, cb, a))
			require.InEpsilon(t, n, got, 0.03, "%d values", n)
			sum += math.Pow(float64(got)/float64(n)-1, 2)
		}
		require.Less(t, math.Sqrt(sum/4), 0.016, "%d values: twice the standard error", n)
	}
}

// FuzzDistinctSketch feeds the decoder what is no encoding: it must not panic, and
// what it takes for a sketch must work.
func FuzzDistinctSketch(f *testing.F) {
	cb := transforms.ApproxDistinctOf[int]()
	var a transforms.DistinctSketch
	f.Add(cb.Coder.Append(nil, a))
	for i := range 30_000 {
		cb.Add(&a, i)
		if i == 3 || i == 2000 || i == 29_999 {
			f.Add(cb.Coder.Append(nil, a))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, _, err := cb.Coder.Decode(b)
		if err != nil {
			return
		}
		var other transforms.DistinctSketch
		cb.Add(&other, 1)
		cb.Add(&a, 2)
		cb.Merge(&other, a)
		cb.Extract(other)
		cb.Coder.Append(nil, other)
	})
}

// Goal: nothing on the way of an element allocates, once an accumulator has grown.
func TestAllocations(t *testing.T) {
	less := func(a, b int) bool { return a < b }
	t.Run("count", allocates(transforms.CountOf[int](), 0))
	t.Run("sum", allocates(transforms.SumOf[int](), 0))
	t.Run("mean", allocates(transforms.MeanOf[int](), 0))
	t.Run("min", allocates(transforms.MinOf[int](), 0))
	t.Run("max", allocates(transforms.MaxOf[int](), 0))
	t.Run("top", allocates(transforms.TopOf(10, less), 0))
	t.Run("sample", allocates(transforms.SampleOf[int](10, 1), 0))
	t.Run("quantiles", allocates(transforms.QuantilesOf[int](0.5), 0))
	t.Run("approx distinct", allocates(transforms.ApproxDistinctOf[int](), 0))
}

func allocates[A, R any](cb pipeline.Combiner[int, A, R], budget float64) func(*testing.T) {
	return func(t *testing.T) {
		a, x := empty(cb), uint64(1)
		next := func() {
			x = x*6364136223846793005 + 1442695040888963407
			cb.Add(&a, int(x>>33))
		}
		for range 200_000 {
			next()
		}
		require.LessOrEqual(t, testing.AllocsPerRun(10_000, next), budget)
	}
}

func BenchmarkAdd(b *testing.B) {
	less := func(a, b int) bool { return a < b }
	b.Run("count", benchmarkAdd(transforms.CountOf[int]()))
	b.Run("sum", benchmarkAdd(transforms.SumOf[int]()))
	b.Run("mean", benchmarkAdd(transforms.MeanOf[int]()))
	b.Run("max", benchmarkAdd(transforms.MaxOf[int]()))
	b.Run("top10", benchmarkAdd(transforms.TopOf(10, less)))
	b.Run("sample10", benchmarkAdd(transforms.SampleOf[int](10, 1)))
	b.Run("quantiles", benchmarkAdd(transforms.QuantilesOf[int](0.5)))
	b.Run("approx-distinct", benchmarkAdd(transforms.ApproxDistinctOf[int]()))
}

func benchmarkAdd[A, R any](cb pipeline.Combiner[int, A, R]) func(*testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		a, x := empty(cb), uint64(1)
		for b.Loop() {
			x = x*6364136223846793005 + 1442695040888963407
			cb.Add(&a, int(x>>33))
		}
	}
}
