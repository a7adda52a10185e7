package table

import (
	"cmp"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: sums of floats are exact, whatever is put in and taken out. Method: values of
// all magnitudes, against sums of 3,000 bits.
func TestExact_againstBigFloats(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	value := func() float64 {
		switch r.IntN(4) {
		case 0:
			return math.Float64frombits(r.Uint64() &^ (1 << 62)) // tiny, to the subnormal
		case 1:
			return math.Ldexp(r.Float64()-0.5, r.IntN(2098)-1074)
		case 2:
			return float64(r.IntN(20)-10) / 10
		}
		return math.Ldexp(r.Float64()-0.5, 1024) // near the largest
	}
	for range 200 {
		var sum Exact
		var in []float64
		for range 60 {
			if len(in) > 0 && r.IntN(3) == 0 {
				i := r.IntN(len(in))
				sum.Sub(in[i])
				in = slices.Delete(in, i, i+1)
			} else if v := value(); !math.IsNaN(v) && !math.IsInf(v, 0) {
				in = append(in, v)
				sum.Add(v)
			}
			want := new(big.Float).SetPrec(3000)
			for _, v := range in {
				want.Add(want, big.NewFloat(v))
			}
			f, _ := want.Float64()
			require.Equal(t, f, sum.Value(), "%v", in)
		}
		for _, v := range in {
			sum.Sub(v)
		}
		require.Zero(t, sum.Value())
		require.Empty(t, sum.Parts)
	}
}

func TestExact_notFinite(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	var sum Exact
	sum.Add(1)
	sum.Add(inf)
	require.Equal(t, inf, sum.Value())
	sum.Add(-inf)
	require.True(t, math.IsNaN(sum.Value()))
	sum.Sub(inf)
	require.Equal(t, -inf, sum.Value())
	sum.Add(nan)
	require.True(t, math.IsNaN(sum.Value()))
	sum.Sub(nan)
	sum.Sub(-inf)
	require.Equal(t, 1.0, sum.Value())
	require.True(t, math.IsNaN(Exact{}.over(0)))

	for range 3 {
		sum.Add(math.MaxFloat64)
	}
	require.Equal(t, inf, sum.Value(), "more than a float holds")
	for range 3 {
		sum.Sub(math.MaxFloat64)
	}
	require.Equal(t, 1.0, sum.Value(), "and back")
}

// Goal: a multiset of many blocks keeps its order. Method: against a sorted slice.
func TestMultiset_againstASlice(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var m Multiset[int]
	var in []int
	for step := range 20_000 {
		grow := step < 12_000
		if len(in) > 0 && (r.IntN(5) == 0) == grow {
			i := r.IntN(len(in))
			m.sub(in[i], cmp.Compare)
			in = slices.Delete(in, i, i+1)
		} else if v := r.IntN(4000); grow {
			m.add(v, cmp.Compare)
			i, _ := slices.BinarySearch(in, v)
			in = slices.Insert(in, i, v)
		}
		if len(in) > 0 {
			require.Equal(t, in[0], m.first())
			require.Equal(t, in[len(in)-1], m.last())
		}
		if step%500 == 0 {
			require.Equal(t, slices.Clip(in), append([]int{}, m.head(len(in)+1)...))
			require.EqualValues(t, len(slices.Compact(slices.Clone(in))), m.distinct())
			for _, b := range m.Blocks {
				require.NotEmpty(t, b)
				require.LessOrEqual(t, len(b), blockMax)
			}
		}
	}
	for _, v := range in {
		m.sub(v, cmp.Compare)
	}
	require.Empty(t, m.Blocks)
	m.sub(1, cmp.Compare)
	require.Zero(t, m.first()+m.last())
}

// Goal: NaN is a value like others: what was put in can be taken out.
func TestMin_withNaN(t *testing.T) {
	agg := Min(func(v float64) float64 { return v })
	var a Multiset[float64]
	agg.Add(&a, 3)
	agg.Add(&a, math.NaN())
	require.True(t, math.IsNaN(agg.Extract(a)))
	agg.Sub(&a, math.NaN())
	require.Equal(t, 3.0, agg.Extract(a))
}

// Goal: the last of several equal rows of First is not the first one's.
func TestFirst_equalRows(t *testing.T) {
	type row struct{ Name, Note string }
	agg := First(2, func(a, b row) int { return cmp.Compare(a.Name, b.Name) })
	var a Multiset[row]
	for _, v := range []row{{"b", "2"}, {"b", "1"}, {"b", "1"}} {
		agg.Add(&a, v)
	}
	require.Equal(t, []row{{"b", "1"}, {"b", "1"}}, agg.Extract(a))
	agg.Sub(&a, row{"b", "1"})
	require.Equal(t, []row{{"b", "1"}, {"b", "2"}}, agg.Extract(a))
}
