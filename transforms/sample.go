package transforms

import (
	"math/bits"
	"slices"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/pipeline"
)

// Sample is n of the values of each key and window, drawn without putting back,
// every one as likely as any other; all of them if there are fewer. They come in no
// particular order.
//
// seed decides the draw: where the values come in the same order, as on one lane
// from one input, the sample is the same. On several lanes the order, and with it
// the sample, may change from run to run.
func Sample[K comparable, V any](c pipeline.Keyed[K, V], n int, seed uint64, opts ...pipeline.Option) pipeline.Keyed[K, []V] {
	return pipeline.Composite(c, "Sample", func() pipeline.Keyed[K, []V] {
		return pipeline.CombinePerKey(c, sampleOf[V](report(c), "Sample", n, seed), opts...)
	})
}

// SampleGlobally is n of all elements, as one slice. See [Sample].
func SampleGlobally[V any](c pipeline.PCollection[V], n int, seed uint64, opts ...pipeline.Option) pipeline.PCollection[[]V] {
	return pipeline.Composite(c, "SampleGlobally", func() pipeline.PCollection[[]V] {
		return pipeline.CombineGlobally(c, sampleOf[V](report(c), "SampleGlobally", n, seed), opts...)
	})
}

// SampleOf is the combiner of [Sample].
func SampleOf[V any](n int, seed uint64) pipeline.Combiner[V, SampleAcc[V], []V] {
	return sampleOf[V](report(nil), "SampleOf", n, seed)
}

// SampleAcc is the accumulator of [SampleOf]: a reservoir.
//
// Invariant: Values is a sample of min(n, Seen) of the Seen values, but for state
// that was kept under another n.
type SampleAcc[V any] struct {
	Seen   int64
	Dice   uint64 // state of the random numbers
	Values []V
}

func sampleOf[V any](fail failer, kind string, n int, seed uint64) pipeline.Combiner[V, SampleAcc[V], []V] {
	if n < 1 {
		fail("%s: n is %d, want at least 1", kind, n)
	}
	cod, err := coder.For[V]()
	if err != nil {
		fail("%s: %w", kind, err)
	}
	return pipeline.Combiner[V, SampleAcc[V], []V]{
		Add: func(a *SampleAcc[V], v V) {
			if a.Seen == 0 {
				// Reservoirs of different lanes must not throw the same dice.
				a.Dice = hashBytes(cod.Append(nil, v), seed)
			}
			a.Seen++
			if len(a.Values) < n {
				a.Values = append(a.Values, v)
			} else if i := a.throw(a.Seen); i < int64(len(a.Values)) {
				a.Values[i] = v
			}
		},
		Merge: func(a *SampleAcc[V], b SampleAcc[V]) { a.merge(b, n) },
		// A copy: the reservoir goes on changing in place.
		Extract: func(a SampleAcc[V]) []V { return slices.Clone(a.Values[:min(n, len(a.Values))]) },
	}
}

// throw is a number in [0, n). The bias, n/2^64, is of no account.
func (a *SampleAcc[V]) throw(n int64) int64 {
	a.Dice += 0x9E3779B97F4A7C15
	hi, _ := bits.Mul64(mix(a.Dice), uint64(n))
	return int64(hi)
}

// merge draws n from both reservoirs as if from all values behind them: each time
// from the one or the other, as likely as it has values left.
func (a *SampleAcc[V]) merge(b SampleAcc[V], n int) {
	if a.Seen == 0 || b.Seen == 0 {
		if a.Seen == 0 {
			*a = b
		}
		return
	}
	a.Dice = mix(a.Dice ^ bits.RotateLeft64(b.Dice, 32))
	leftA, leftB := a.Seen, b.Seen
	a.Seen += b.Seen
	if len(a.Values)+len(b.Values) <= n { // both are complete
		a.Values = append(a.Values, b.Values...)
		return
	}
	from, other := a.Values, b.Values
	drawn := make([]V, 0, n)
	for len(drawn) < n { // there are enough: see above
		if len(other) == 0 || len(from) > 0 && a.throw(leftA+leftB) < leftA {
			leftA--
			drawn, from = a.draw(drawn, from)
		} else {
			leftB--
			drawn, other = a.draw(drawn, other)
		}
	}
	a.Values = drawn
}

// draw moves one of from to the end of to.
func (a *SampleAcc[V]) draw(to, from []V) ([]V, []V) {
	i, last := a.throw(int64(len(from))), len(from)-1
	to = append(to, from[i])
	from[i] = from[last]
	return to, from[:last]
}

// hashBytes is FNV-1a over b, begun with seed.
func hashBytes(b []byte, seed uint64) uint64 {
	h := mix(seed) ^ 0xcbf29ce484222325
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return mix(h)
}
