package transforms

import (
	"cmp"
	"math"
	"slices"

	"github.com/millrace/millrace/pipeline"
)

// Quantiles is about the given quantiles of the values of each key and window, in
// the order of qs, which are in [0, 1]: 0 gives the least value, 0.5 the median, 1
// the greatest. Each is one of the values. Its rank is, of 99 results in 100, within
// 0.7 % of the number of values from the one asked for; of fewer than 400 values, and
// for 0 and 1, it is exact. A key takes the memory of up to 1,300 values.
//
// A NaN among floats counts as the least.
func Quantiles[K comparable, V cmp.Ordered](c pipeline.Keyed[K, V], qs []float64, opts ...pipeline.Option) pipeline.Keyed[K, []V] {
	return pipeline.Composite(c, "Quantiles", func() pipeline.Keyed[K, []V] {
		checkQuantiles(report(c), "Quantiles", qs)
		return pipeline.CombinePerKey(c, quantilesOf[V](qs), opts...)
	})
}

// QuantilesGlobally is about the quantiles of all elements as one slice, which is
// empty for an empty collection. See [Quantiles].
func QuantilesGlobally[V cmp.Ordered](c pipeline.PCollection[V], qs []float64, opts ...pipeline.Option) pipeline.PCollection[[]V] {
	return pipeline.Composite(c, "QuantilesGlobally", func() pipeline.PCollection[[]V] {
		checkQuantiles(report(c), "QuantilesGlobally", qs)
		return pipeline.CombineGlobally(c, quantilesOf[V](qs), opts...)
	})
}

// QuantilesOf is the combiner of [Quantiles].
func QuantilesOf[V cmp.Ordered](qs ...float64) pipeline.Combiner[V, QuantilesAcc[V], []V] {
	checkQuantiles(report(nil), "QuantilesOf", qs)
	return quantilesOf[V](qs)
}

func checkQuantiles(fail failer, kind string, qs []float64) {
	if len(qs) == 0 {
		fail("%s: no quantiles asked for", kind)
	}
	for _, q := range qs {
		if !(q >= 0 && q <= 1) {
			fail("%s: %v is no quantile: want 0 to 1", kind, q)
		}
	}
}

func quantilesOf[V cmp.Ordered](qs []float64) pipeline.Combiner[V, QuantilesAcc[V], []V] {
	qs = slices.Clone(qs)
	return pipeline.Combiner[V, QuantilesAcc[V], []V]{
		Add:     func(a *QuantilesAcc[V], v V) { a.add(v) },
		Merge:   func(a *QuantilesAcc[V], b QuantilesAcc[V]) { a.merge(b) },
		Extract: func(a QuantilesAcc[V]) []V { return a.quantiles(qs) },
	}
}

// QuantilesAcc is the accumulator of [QuantilesOf]: a KLL sketch. A value in
// Levels[h] stands for 2^h values. When the levels are full, the lowest full one is
// sorted and every other value of it moves up.
//
// Invariant: the weights add up to N.
//
// Source: Karnin, Lang, Liberty, "Optimal Quantile Approximation in Streams", FOCS
// 2016; widths and laziness as in Ivkin et al., "Streaming Quantiles Algorithms
// with Small Space and Update Time", 2019.
type QuantilesAcc[V cmp.Ordered] struct {
	N        int64
	Min, Max V // of all values; zero while N is 0
	Coin     uint64
	Levels   [][]V
}

const (
	kllWidth    = 400 // of the top level; the error of rank is about 2.3/kllWidth^0.97
	kllWidthMin = 8   // of any level
)

// widths[d] is how many values a level d below the top may hold; those further down
// hold kllWidthMin.
var widths = func() (w []int) {
	for width := float64(kllWidth); width > kllWidthMin; width *= 2.0 / 3 {
		w = append(w, int(math.Ceil(width)))
	}
	return w
}()

func widthBelowTop(d int) int {
	if d < len(widths) {
		return widths[d]
	}
	return kllWidthMin
}

func (a *QuantilesAcc[V]) add(v V) {
	if a.N == 0 {
		a.Min, a.Max = v, v
	} else if cmp.Less(v, a.Min) {
		a.Min = v
	} else if cmp.Less(a.Max, v) {
		a.Max = v
	}
	a.N++
	if len(a.Levels) == 0 {
		a.Levels = make([][]V, 1)
	}
	a.Levels[0] = append(a.Levels[0], v)
	if len(a.Levels[0])%kllWidthMin == 0 { // looking more often would cost more than it saves
		a.compress()
	}
}

func (a *QuantilesAcc[V]) merge(b QuantilesAcc[V]) {
	switch {
	case b.N == 0:
		return
	case a.N == 0:
		*a = b
		return
	}
	if cmp.Less(b.Min, a.Min) {
		a.Min = b.Min
	}
	if cmp.Less(a.Max, b.Max) {
		a.Max = b.Max
	}
	a.N += b.N
	a.Coin ^= b.Coin
	for h, vs := range b.Levels {
		if h == len(a.Levels) {
			a.Levels = append(a.Levels, nil)
		}
		a.Levels[h] = append(a.Levels[h], vs...)
	}
	a.compress()
}

// compress makes room until all levels together are within their widths.
func (a *QuantilesAcc[V]) compress() {
	for {
		size, room, full := 0, 0, -1
		for h, vs := range a.Levels {
			w := widthBelowTop(len(a.Levels) - 1 - h)
			size += len(vs)
			room += w
			if full < 0 && len(vs) >= w {
				full = h
			}
		}
		if size < room || full < 0 {
			return
		}
		a.compact(full)
	}
}

// compact halves level h. Of an odd number of values the first stays behind.
func (a *QuantilesAcc[V]) compact(h int) {
	if h+1 == len(a.Levels) {
		a.Levels = append(a.Levels, nil)
	}
	vs := a.Levels[h]
	odd := len(vs) & 1
	half := vs[odd:]
	slices.Sort(half)
	a.Coin = mix(a.Coin + uint64(a.N))
	for i := int(a.Coin & 1); i < len(half); i += 2 {
		a.Levels[h+1] = append(a.Levels[h+1], half[i])
	}
	clear(half) // lets go of strings
	a.Levels[h] = vs[:odd]
}

func (a *QuantilesAcc[V]) quantiles(qs []float64) []V {
	if a.N == 0 {
		return nil
	}
	type weighted struct {
		v V
		n int64
	}
	var all []weighted
	for h, vs := range a.Levels {
		for _, v := range vs {
			all = append(all, weighted{v, 1 << h})
		}
	}
	slices.SortFunc(all, func(x, y weighted) int { return cmp.Compare(x.v, y.v) })
	for i := 1; i < len(all); i++ {
		all[i].n += all[i-1].n // from weights to ranks
	}
	out := make([]V, len(qs))
	for i, q := range qs {
		rank := int64(math.Ceil(q * float64(a.N)))
		switch {
		case rank <= 1:
			out[i] = a.Min
		case rank >= a.N:
			out[i] = a.Max
		default:
			at, _ := slices.BinarySearchFunc(all, rank, func(w weighted, rank int64) int { return cmp.Compare(w.n, rank) })
			out[i] = all[min(at, len(all)-1)].v
		}
	}
	return out
}

// mix is the finaliser of splitmix64: equal in, equal out, and otherwise as good as random.
func mix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
