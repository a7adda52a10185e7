package transforms

import (
	"encoding/binary"
	"slices"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/pipeline"
)

// drawn is an element and the lot it drew.
type drawn[V any] struct {
	lot uint64
	v   V
}

// Sample is n elements of each key and window, every one as likely as any other;
// all of them if there are fewer. The draw is by a hash of the element's bytes and
// seed: the same elements and seed give the same sample, however they are spread.
// Equal elements draw equal lots.
func Sample[K comparable, V any](c pipeline.Keyed[K, V], n int, seed uint64, opts ...pipeline.Option) pipeline.Keyed[K, []V] {
	return pipeline.Composite(c, "Sample", func() pipeline.Keyed[K, []V] {
		return pipeline.CombinePerKey(c, sampleOf[V](c, n, seed), opts...)
	})
}

// SampleGlobally is n elements of all, as one slice. See [Sample].
func SampleGlobally[V any](c pipeline.PCollection[V], n int, seed uint64) pipeline.PCollection[[]V] {
	return pipeline.Composite(c, "SampleGlobally", func() pipeline.PCollection[[]V] {
		return pipeline.CombineGlobally(c, sampleOf[V](c, n, seed))
	})
}

func sampleOf[V any](c pipeline.Signal, n int, seed uint64) pipeline.Combiner[V, []drawn[V], []V] {
	if n < 1 {
		pipeline.FailAt(c, "Sample: n is %d, want at least 1", n)
	}
	cod, err := coder.For[V]()
	if err != nil {
		pipeline.FailAt(c, "Sample: %w", err)
	}
	top := TopOf(n, func(a, b drawn[V]) bool { return a.lot < b.lot })
	lots := coder.Iterable(drawnCoder(cod))
	return pipeline.Combiner[V, []drawn[V], []V]{
		Add:   func(a *[]drawn[V], v V) { top.Add(a, drawn[V]{lot(cod.Append(nil, v), seed), v}) },
		Merge: top.Merge,
		Extract: func(a []drawn[V]) (out []V) {
			for _, d := range top.Extract(a) {
				out = append(out, d.v)
			}
			return slices.Clip(out)
		},
		Coder: &lots,
	}
}

// lot is FNV-1a over b, mixed with seed by the finaliser of splitmix64.
func lot(b []byte, seed uint64) uint64 {
	z := uint64(0xcbf29ce484222325) ^ seed*0x9E3779B97F4A7C15
	for _, c := range b {
		z = (z ^ uint64(c)) * 0x100000001b3
	}
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func drawnCoder[V any](cod coder.Coder[V]) coder.Coder[drawn[V]] {
	return coder.Coder[drawn[V]]{
		ID: "millrace:coder:drawn:v1<" + cod.ID + ">",
		Append: func(b []byte, d drawn[V]) []byte {
			return cod.Append(binary.BigEndian.AppendUint64(b, d.lot), d.v)
		},
		Decode: func(b []byte) (d drawn[V], rest []byte, err error) {
			if len(b) < 8 {
				return d, nil, errShort
			}
			d.lot = binary.BigEndian.Uint64(b)
			d.v, rest, err = cod.Decode(b[8:])
			return d, rest, err
		},
	}
}
