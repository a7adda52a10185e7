package elements

import (
	"fmt"
	"iter"
	"strconv"
	"testing"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
)

const n = 1_000_000

// bench runs what build builds, of n elements, on so many lanes.
func bench(b *testing.B, lanes int, build func(p *pipeline.Pipeline)) {
	b.ReportAllocs()
	for b.Loop() {
		p := pipeline.New()
		build(p)
		if _, err := local.Run(b.Context(), p, local.Config{Parallelism: lanes}); err != nil {
			b.Fatal(err)
		}
	}
	perElement(b)
}

func perElement(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/elem")
}

func numbers(p *pipeline.Pipeline) pipeline.PCollection[uint64] {
	return pipeline.Generate(p, n, func(i uint64, e *uint64) { *e = i })
}

func drop[T any](c pipeline.PCollection[T]) {
	pipeline.ForEachLane(c, func(int) func(T) { return func(T) {} })
}

func step(v uint64) uint64 { return v*6364136223846793005 + 1442695040888963407 }

var sink uint64

func BenchmarkMaps(b *testing.B) {
	for _, maps := range []int{1, 4, 16} {
		b.Run(fmt.Sprint("maps=", maps, "/loop"), func(b *testing.B) {
			fs := make([]func(uint64) uint64, maps) // calls, as a pipeline has them
			for i := range fs {
				fs[i] = step
			}
			for b.Loop() {
				for i := range uint64(n) {
					v := i
					for _, f := range fs {
						v = f(v)
					}
					sink += v
				}
			}
			perElement(b)
		})
		b.Run(fmt.Sprint("maps=", maps, "/millrace"), func(b *testing.B) {
			bench(b, 1, func(p *pipeline.Pipeline) {
				c := numbers(p)
				for range maps {
					c = pipeline.Map(c, step)
				}
				drop(c)
			})
		})
	}
}

const keys = 10_000

func key(v uint64) uint64 { return step(v) >> 32 % keys }

func BenchmarkCombine(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		for b.Loop() {
			m := map[uint64]uint64{}
			for i := range uint64(n) {
				m[key(i)] += i
			}
			sink += uint64(len(m))
		}
		perElement(b)
	})
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprint("millrace/lanes=", lanes), func(b *testing.B) {
			bench(b, lanes, func(p *pipeline.Pipeline) {
				drop(pipeline.Pairs(transforms.Sum(pipeline.KeyBy(numbers(p), key))))
			})
		})
	}
}

func BenchmarkGroup(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		for b.Loop() {
			m := map[uint64][]uint64{}
			for i := range uint64(n) {
				m[key(i)] = append(m[key(i)], i)
			}
			for _, vs := range m {
				for _, v := range vs {
					sink += v
				}
			}
		}
		perElement(b)
	})
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprint("millrace/lanes=", lanes), func(b *testing.B) {
			bench(b, lanes, func(p *pipeline.Pipeline) {
				groups := pipeline.GroupByKey(pipeline.KeyBy(numbers(p), key))
				drop(pipeline.MapKV(groups, func(_ uint64, vs iter.Seq[uint64]) (sum uint64) {
					for v := range vs {
						sum += v
					}
					return sum
				}))
			})
		})
	}
}

func BenchmarkStateful(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		for b.Loop() {
			m := map[uint64]uint64{}
			for i := range uint64(n) {
				m[key(i)]++
				sink += m[key(i)]
			}
		}
		perElement(b)
	})
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprint("millrace/lanes=", lanes), func(b *testing.B) {
			bench(b, lanes, func(p *pipeline.Pipeline) {
				drop(pipeline.Stateful(pipeline.KeyBy(numbers(p), key), "count", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, uint64, uint64] {
					count := pipeline.ValueState[uint64](s, "count")
					return func(c *pipeline.Ctx[uint64], _ uint64, emit pipeline.Emit[uint64]) error {
						count.Set(c, count.Get(c)+1)
						emit(count.Get(c))
						return nil
					}
				}))
			})
		})
	}
}

func BenchmarkJoin(b *testing.B) {
	b.Run("loop", func(b *testing.B) {
		for b.Loop() {
			right := map[uint64]uint64{}
			for i := range uint64(n / 10) {
				right[i] = i
			}
			for i := range uint64(n) {
				if v, ok := right[i%(n/10)]; ok {
					sink += v
				}
			}
		}
		perElement(b)
	})
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprint("millrace/lanes=", lanes), func(b *testing.B) {
			bench(b, lanes, func(p *pipeline.Pipeline) {
				left := pipeline.KeyBy(numbers(p), func(v uint64) uint64 { return v % (n / 10) })
				right := pipeline.KeyBy(pipeline.Generate(p, n/10, func(i uint64, e *uint64) { *e = i }), func(v uint64) uint64 { return v })
				drop(pipeline.Pairs(transforms.InnerJoin(left, right)))
			})
		})
	}
}

// row is a user's struct.
type row struct {
	ID    int64
	Name  string
	Price float64
	Tags  []string
}

func BenchmarkCoder(b *testing.B) {
	v := row{42, "a name", 3.5, []string{"x", "y"}}
	b.Run("loop/append", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			buf = strconv.AppendInt(buf[:0], v.ID, 10)
			buf = append(append(buf, ','), v.Name...)
			buf = strconv.AppendFloat(append(buf, ','), v.Price, 'g', -1, 64)
			for _, t := range v.Tags {
				buf = append(append(buf, ','), t...)
			}
		}
		sink += uint64(len(buf))
	})
	cod, err := coder.For[row]()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("millrace/append", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = cod.Append(buf[:0], v)
		}
	})
	bytes := cod.Append(nil, v)
	b.Run("millrace/decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := cod.Decode(bytes); err != nil {
				b.Fatal(err)
			}
		}
	})
}
