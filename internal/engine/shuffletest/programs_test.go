package shuffletest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// program builds a pipeline whose outputs are the same in any order of its elements.
type program struct {
	name  string
	build func(p *pipeline.Pipeline) pipeline.PCollection[string]
}

const howMany = 4000

// input is numbers with times out of order, in splits of all lanes.
func input(p *pipeline.Pipeline) pipeline.PCollection[uint64] {
	return generate.Numbers(p, generate.Count(howMany), generate.Splits(7), generate.Times(time.UnixMilli(0), time.Millisecond), generate.OutOfOrder(20*time.Millisecond, 1))
}

func word(n uint64) string { return fmt.Sprint("word-", n*n%97) }

func text[K comparable, V any](c pipeline.Keyed[K, V]) pipeline.PCollection[string] {
	return pipeline.ParDo(pipeline.Pairs(c), func(_ *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, pipeline.KV[K, V]) error {
		return func(e pipeline.Elem, kv pipeline.KV[K, V]) error {
			emit(fmt.Sprint(kv.Key, "=", kv.Value, " in ", e.Window()))
			return nil
		}
	})
}

func sorted(vs iter.Seq[uint64]) string { return fmt.Sprint(slices.Sorted(vs)) }

var sumOf = pipeline.Combiner[uint64, uint64, uint64]{
	Add: func(a *uint64, v uint64) { *a += v }, Merge: func(a *uint64, b uint64) { *a += b }, Extract: func(a uint64) uint64 { return a }}

var programs = []program{
	{"word count", func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		return text(transforms.CountPerElement(pipeline.Map(input(p), word)))
	}},
	{"two shuffles and a gather", func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		counts := transforms.CountPerElement(pipeline.Map(input(p), word))
		byCount := pipeline.KeyBy(pipeline.Reshuffle(pipeline.Pairs(counts)), func(kv pipeline.KV[string, int64]) int64 { return kv.Value })
		sums := pipeline.MapValues(pipeline.GroupByKey(byCount), func(vs iter.Seq[pipeline.KV[string, int64]]) string {
			var words []string
			for kv := range vs {
				words = append(words, kv.Key)
			}
			slices.Sort(words)
			return strings.Join(words, " ")
		})
		total := pipeline.Map(pipeline.CombineGlobally(input(p), sumOf), func(n uint64) string { return fmt.Sprint("total ", n) })
		return pipeline.Flatten(text(sums), total)
	}},
	{"fixed windows", func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		k := pipeline.KeyBy(input(p), func(n uint64) uint64 { return n % 5 })
		return text(pipeline.MapValues(pipeline.GroupByKey(k.Windowed(window.Fixed(100*time.Millisecond))), sorted))
	}},
	{"sliding windows", func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		k := pipeline.KeyBy(input(p), func(n uint64) uint64 { return n % 5 })
		return text(pipeline.CombinePerKey(k.Windowed(window.Sliding(300*time.Millisecond, 100*time.Millisecond)), sumOf))
	}},
	{"sessions", func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		k := pipeline.KeyBy(input(p), func(n uint64) uint64 { return n / 50 })
		return text(pipeline.MapValues(pipeline.GroupByKey(k.Windowed(window.Sessions(30*time.Millisecond))), sorted))
	}},
	{"state and timers", func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		k := pipeline.KeyBy(input(p), func(n uint64) uint64 { return n % 31 }).Windowed(window.Fixed(500 * time.Millisecond))
		return pipeline.Stateful(k, "sums", func(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, uint64, string] {
			sum := pipeline.ValueState[uint64](s, "sum")
			pipeline.OnWindowExpiry(s, func(c *pipeline.Ctx[uint64], emit pipeline.Emit[string]) error {
				emit(fmt.Sprint(c.Key(), " ", sum.Get(c)))
				return nil
			})
			return func(c *pipeline.Ctx[uint64], v uint64, _ pipeline.Emit[string]) error {
				sum.Set(c, sum.Get(c)+v)
				return nil
			}
		})
	}},
	{"side inputs", func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		counts := pipeline.AsMap(transforms.CountPerElement(pipeline.Map(input(p), word)))
		perWindow := pipeline.AsSingletonOr(pipeline.MapKV(pipeline.CombinePerKey(
			pipeline.KeyBy(input(p), func(uint64) bool { return true }).Windowed(window.Fixed(200*time.Millisecond)), sumOf), func(_ bool, n uint64) uint64 { return n }), 0)
		main := pipeline.KeyBy(input(p), func(n uint64) uint64 { return n % 100 }).Windowed(window.Fixed(200 * time.Millisecond))
		return pipeline.ParDo(pipeline.Pairs(main), func(d *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, pipeline.KV[uint64, uint64]) error {
			counts, perWindow := pipeline.UseView(d, counts), pipeline.UseView(d, perWindow)
			return func(e pipeline.Elem, kv pipeline.KV[uint64, uint64]) error {
				emit(fmt.Sprint(kv.Value, " ", counts.Get()[word(kv.Value)], " ", perWindow.Get(), " ", e.Window()))
				return nil
			}
		})
	}},
	{"join", func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		a := pipeline.KeyBy(input(p), word).Windowed(window.Fixed(time.Second))
		b := pipeline.KeyBy(pipeline.Filter(input(p), func(n uint64) bool { return n%3 == 0 }), word).Windowed(window.Fixed(time.Second))
		return text(pipeline.MapValues(pipeline.CoGroup(a, b), func(g pipeline.Grouped2[uint64, uint64]) string {
			return sorted(g.A) + sorted(g.B)
		}))
	}},
	{"waiting", func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		first := pipeline.Map(input(p), word)
		return text(transforms.CountPerElement(pipeline.WaitOn(pipeline.Map(input(p), word), transforms.CountPerElement(first))))
	}},
}

// outcome runs a program with run and gives its outputs, in order.
func (x program) outcome(t testing.TB, run func(p *pipeline.Pipeline) error) string {
	t.Helper()
	p := pipeline.New()
	out := pipeline.Collect(x.build(p))
	require.NoError(t, p.Err())
	require.NoError(t, run(p))
	got := out.Values()
	require.NotEmpty(t, got)
	slices.Sort(got)
	return strings.Join(got, "\n")
}

// alone is the outcome in one slot.
func (x program) alone(t testing.TB) string {
	t.Helper()
	return x.outcome(t, func(p *pipeline.Pipeline) error {
		_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 1})
		return err
	})
}

func never(error) bool { return false }

// Goal: a job of several slots gives what one slot gives, also when there is little
// room between them. Method: all slots in this process.
func TestSlots(t *testing.T) {
	for _, x := range programs {
		t.Run(x.name, func(t *testing.T) {
			want := x.alone(t)
			for _, slots := range []int{2, 3} {
				for _, lanes := range []int{1, 2} {
					for _, room := range []int{0, 1} {
						ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
						defer cancel()
						j := newJob(slots, lanes)
						j.window = room
						got := x.outcome(t, func(p *pipeline.Pipeline) error {
							return j.runAll(ctx, p.Graph(), engine.Config{Epoch: 2 * time.Millisecond, Ahead: lanes == 2, Batch: 16}, never)
						})
						require.Equal(t, want, got, "%d slots of %d lanes, room %d", slots, lanes, room)
					}
				}
			}
		})
	}
}
