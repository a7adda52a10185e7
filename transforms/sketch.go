package transforms

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/axiomhq/hyperloglog"
	"github.com/caio/go-tdigest/v4"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/pipeline"
)

// ApproxDistinct is about how many different values each key and window has, by
// HyperLogLog with 2^14 registers: a standard error of 0.8 %, at most 16 KiB a key.
// Values are different if their coder's bytes are.
func ApproxDistinct[K comparable, V any](c pipeline.Keyed[K, V], opts ...pipeline.Option) pipeline.Keyed[K, int64] {
	return pipeline.Composite(c, "ApproxDistinct", func() pipeline.Keyed[K, int64] {
		return pipeline.CombinePerKey(c, distinctOf[V](c), opts...)
	})
}

// ApproxDistinctGlobally is about how many different elements there are; see [ApproxDistinct].
func ApproxDistinctGlobally[V any](c pipeline.PCollection[V]) pipeline.PCollection[int64] {
	return pipeline.Composite(c, "ApproxDistinctGlobally", func() pipeline.PCollection[int64] {
		return pipeline.CombineGlobally(c, distinctOf[V](c))
	})
}

type sketch = *hyperloglog.Sketch

func distinctOf[V any](c pipeline.Signal) pipeline.Combiner[V, sketch, int64] {
	cod, err := coder.For[V]()
	if err != nil {
		pipeline.FailAt(c, "ApproxDistinct: %w", err)
	}
	sketchCoder := framed("millrace:coder:hyperloglog:v1",
		func(b []byte, s sketch) []byte {
			if s == nil {
				return b
			}
			out, err := s.AppendBinary(b)
			if err != nil {
				panic("BUG: transforms: a sketch does not marshal: " + err.Error())
			}
			return out
		},
		func(b []byte) (sketch, error) {
			if len(b) == 0 {
				return nil, nil
			}
			s := hyperloglog.New14()
			return s, s.UnmarshalBinary(b)
		})
	return pipeline.Combiner[V, sketch, int64]{
		Init: hyperloglog.New14,
		Add:  func(s *sketch, v V) { (*s).Insert(cod.Append(nil, v)) },
		Merge: func(a *sketch, b sketch) {
			if err := (*a).Merge(b); err != nil {
				panic("BUG: transforms: sketches of one precision do not merge: " + err.Error())
			}
		},
		Extract: func(s sketch) int64 { return int64(s.Estimate()) },
		Coder:   &sketchCoder,
	}
}

// Quantiles is about the given quantiles of the values of each key and window, by
// a t-digest of compression 100: an error of rank of about 0.5 % in the middle and
// far less at the ends. Each q is in [0, 1]: 0.5 is the median.
func Quantiles[K comparable, V Number](c pipeline.Keyed[K, V], qs []float64, opts ...pipeline.Option) pipeline.Keyed[K, []float64] {
	return pipeline.Composite(c, "Quantiles", func() pipeline.Keyed[K, []float64] {
		return pipeline.CombinePerKey(c, quantilesOf[V](c, qs), opts...)
	})
}

// QuantilesGlobally is about the quantiles of all elements; none for an empty
// collection. See [Quantiles].
func QuantilesGlobally[V Number](c pipeline.PCollection[V], qs ...float64) pipeline.PCollection[[]float64] {
	return pipeline.Composite(c, "QuantilesGlobally", func() pipeline.PCollection[[]float64] {
		return pipeline.CombineGlobally(c, quantilesOf[V](c, qs))
	})
}

type digest = *tdigest.TDigest

// newDigest is an empty digest; its randomness is seeded, so that runs repeat.
func newDigest() digest {
	d, err := tdigest.New(tdigest.Compression(100), tdigest.LocalRandomNumberGenerator(1))
	if err != nil {
		panic("BUG: transforms: t-digest: " + err.Error())
	}
	return d
}

func quantilesOf[V Number](c pipeline.Signal, qs []float64) pipeline.Combiner[V, digest, []float64] {
	if len(qs) == 0 {
		pipeline.FailAt(c, "Quantiles: no quantiles asked for")
	}
	for _, q := range qs {
		if !(q >= 0 && q <= 1) {
			pipeline.FailAt(c, "Quantiles: %v is no quantile: want 0 to 1", q)
		}
	}
	digestCoder := framed("millrace:coder:tdigest:v1",
		func(b []byte, d digest) []byte {
			out, err := d.AsBytes()
			if err != nil {
				panic("BUG: transforms: a digest does not marshal: " + err.Error())
			}
			return append(b, out...)
		},
		func(b []byte) (digest, error) {
			return tdigest.FromBytes(bytes.NewReader(b), tdigest.LocalRandomNumberGenerator(1))
		})
	return pipeline.Combiner[V, digest, []float64]{
		Init: newDigest,
		Add: func(d *digest, v V) {
			if err := (*d).Add(float64(v)); err != nil {
				panic(fmt.Sprintf("Quantiles: %v has no rank: %v", v, err))
			}
		},
		Merge: func(a *digest, b digest) {
			if err := (*a).Merge(b); err != nil {
				panic("BUG: transforms: digests do not merge: " + err.Error())
			}
		},
		Extract: func(d digest) (out []float64) {
			if d.Count() == 0 {
				return nil
			}
			for _, q := range qs {
				out = append(out, d.Quantile(q))
			}
			return out
		},
		Coder: &digestCoder,
	}
}

// framed is a coder of what a library marshals, with its length before it.
func framed[T any](id string, marshal func([]byte, T) []byte, unmarshal func([]byte) (T, error)) coder.Coder[T] {
	return coder.Coder[T]{
		ID: id,
		Append: func(b []byte, v T) []byte {
			m := marshal(nil, v)
			return append(binary.AppendUvarint(b, uint64(len(m))), m...)
		},
		Decode: func(b []byte) (v T, rest []byte, err error) {
			n, k := binary.Uvarint(b)
			if k <= 0 || n > uint64(len(b)-k) {
				return v, nil, errors.New(id + ": bytes end early")
			}
			v, err = unmarshal(b[k : k+int(n)])
			return v, b[k+int(n):], err
		},
	}
}
