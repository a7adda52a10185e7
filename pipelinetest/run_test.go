package pipelinetest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

type KV = pipeline.KV[string, int64]

var sum = pipeline.Combiner[int64, int64, int64]{
	Add:     func(a *int64, v int64) { *a += v },
	Merge:   func(a *int64, b int64) { *a += b },
	Extract: func(a int64) int64 { return a },
}

var kv = pipeline.NewKV[string, int64]

func numbers(n int64) (out []int64) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

func parity(i int64) string { return []string{"even", "odd"}[i%2] }

// Goal: the operations of package pipeline, each in all ways to run.
func TestOperations(t *testing.T) {
	for _, tc := range []struct {
		name  string
		build func(t *pipelinetest.T, p *pipeline.Pipeline)
	}{
		{"sequence", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			pipelinetest.Equal(t, pipeline.CombineGlobally(pipeline.Map(pipeline.GenerateSequence(p, 1000), func(i uint64) int64 { return int64(i) }), sum), 999*1000/2)
			pipelinetest.Empty(t, pipeline.GenerateSequence(p, 0))
		}},
		{"map and filter", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(20)...)
			tens := pipeline.Map(n, func(i int64) int64 { return 10 * i }).Filter(func(i int64) bool { return i%40 == 0 })
			pipelinetest.Equal(t, tens, 0, 40, 80, 120, 160)
		}},
		{"flat map", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			lines := pipeline.Create(p, "a b", "", "c")
			pipelinetest.Equal(t, pipeline.FlatMap(lines, strings.FieldsSeq), "a", "b", "c")
		}},
		{"nothing at all", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			none := pipeline.Create[int64](p)
			pipelinetest.Empty(t, pipeline.Map(none, func(i int64) int64 { return i }))
			pipelinetest.Empty(t, pipeline.Pairs(pipeline.CombinePerKey(pipeline.KeyBy(none, parity), sum)))
			pipelinetest.Equal(t, pipeline.CombineGlobally(none, sum), 0)
		}},
		{"combine per key", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := pipeline.KeyBy(pipeline.Create(p, numbers(100)...), parity)
			pipelinetest.EqualKeyed(t, pipeline.CombinePerKey(n, sum), map[string]int64{"even": 2450, "odd": 2500})
			unlifted := sum
			unlifted.Merge = nil
			pipelinetest.EqualKeyed(t, pipeline.CombinePerKey(n, unlifted), map[string]int64{"even": 2450, "odd": 2500})
		}},
		{"combine twice without a second shuffle", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := pipeline.KeyBy(pipeline.Create(p, numbers(100)...), parity)
			again := pipeline.CombinePerKey(pipeline.MapValues(pipeline.CombinePerKey(n, sum), func(v int64) int64 { return -v }), sum)
			pipelinetest.EqualKeyed(t, again, map[string]int64{"even": -2450, "odd": -2500})
		}},
		{"combine globally", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			pipelinetest.Equal(t, pipeline.CombineGlobally(pipeline.Create(p, numbers(100)...), sum), 4950)
		}},
		{"group by key", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := pipeline.KeyBy(pipeline.Create(p, numbers(50)...), func(i int64) int64 { return i % 7 })
			pipelinetest.Equal(t, pipeline.MapKV(pipeline.GroupByKey(n), func(k int64, vs iter.Seq[int64]) string {
				all := slices.Sorted(vs)
				return fmt.Sprint(k, len(all), all[0])
			}), "0 8 0", "1 7 1", "2 7 2", "3 7 3", "4 7 4", "5 7 5", "6 7 6")
		}},
		{"groups over a shuffle are materialised", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := pipeline.KeyBy(pipeline.Create(p, numbers(10)...), parity)
			groups := pipeline.Reshuffle(pipeline.Pairs(pipeline.GroupByKey(n)))
			pipelinetest.Equal(t, pipeline.Map(groups, func(g pipeline.KV[string, iter.Seq[int64]]) string {
				return fmt.Sprint(g.Key, slices.Sorted(g.Value))
			}), "even[0 2 4 6 8]", "odd[1 3 5 7 9]")
		}},
		{"flatten and partition", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			parts := pipeline.Partition(pipeline.Create(p, numbers(9)...), 3, func(i int64) int { return int(i % 3) })
			pipelinetest.Equal(t, pipeline.Flatten(parts[2], parts[0], parts[2]), 0, 3, 6, 2, 5, 8, 2, 5, 8)
		}},
		{"a flattened diamond into a shuffle", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(30)...)
			twice := pipeline.Flatten(n, pipeline.Map(n, func(i int64) int64 { return i }), pipeline.Reshuffle(n))
			pipelinetest.EqualKeyed(t, pipeline.CombinePerKey(pipeline.KeyBy(twice, parity), sum), map[string]int64{"even": 630, "odd": 675})
		}},
		{"co-group", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			a := pipeline.KeyBy(pipeline.Create(p, "apple", "avocado", "beet"), func(s string) string { return s[:1] })
			b := pipeline.KeyBy(pipeline.Create(p, numbers(3)...), func(i int64) string { return string(rune('a' + i)) })
			both := pipeline.MapKV(pipeline.CoGroup(a, b), func(k string, g pipeline.Grouped2[string, int64]) string {
				return fmt.Sprint(k, slices.Sorted(g.A), slices.Collect(g.B))
			})
			pipelinetest.Equal(t, both, "a[apple avocado] [0]", "b[beet] [1]", "c[] [2]")
		}},
		{"side inputs", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(6)...)
			total := pipeline.AsSingleton(pipeline.CombineGlobally(n, sum))
			names := pipeline.AsMap(pipeline.KeyBy(pipeline.Create(p, "zero", "one", "two"), func(s string) int64 { return int64(strings.Index("zero-one-two", s) / 4) }))
			all := pipeline.AsIterable(n)
			out := pipeline.ParDo(n, func(d *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, int64) error {
				total, names, all := pipeline.UseView(d, total), pipeline.UseView(d, names), pipeline.UseView(d, all)
				return func(_ pipeline.Elem, v int64) error {
					if name, ok := names.Get()[v]; ok {
						emit(fmt.Sprint(name, " of ", total.Get(), " ", len(all.Get())))
					}
					return nil
				}
			})
			pipelinetest.Equal(t, out, "zero of 15 6", "one of 15 6", "two of 15 6")
		}},
		{"wait on", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			first := pipeline.Create(p, numbers(5)...)
			pipelinetest.Equal(t, pipeline.WaitOn(pipeline.Create(p, "after"), first, pipeline.KeyBy(first, parity)), "after")
		}},
		{"fixed windows", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := pipeline.EventTimeMs(pipeline.Create(p, numbers(25)...), func(i int64) int64 { return i }, pipeline.OutOfOrder(time.Second))
			w := pipeline.KeyBy(n, parity).Windowed(window.Fixed(10 * time.Millisecond))
			pipelinetest.EqualPerWindow(t, pipeline.Pairs(pipeline.CombinePerKey(w, sum)), map[window.Interval][]KV{
				{Start: 0, End: 10}: {kv("even", 20), kv("odd", 25)}, {Start: 10, End: 20}: {kv("even", 70), kv("odd", 75)}, {Start: 20, End: 30}: {kv("even", 66), kv("odd", 44)}})
		}},
		{"sliding windows, grouped and then combined per window", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := pipeline.EventTimeMs(pipeline.Create(p, numbers(10)...), func(i int64) int64 { return i }, pipeline.OutOfOrder(time.Second))
			w := pipeline.KeyBy(n, func(int64) string { return "all" }).Windowed(window.Sliding(10*time.Millisecond, 5*time.Millisecond))
			sizes := pipeline.MapValues(pipeline.GroupByKey(w), func(vs iter.Seq[int64]) int64 { return int64(len(slices.Collect(vs))) })
			again := pipeline.CombinePerKey(pipeline.KeyBy(pipeline.Pairs(sizes), func(kv KV) string { return "k" }), pipeline.Combiner[KV, int64, int64]{
				Add: func(a *int64, kv KV) { *a += kv.Value }, Merge: sum.Merge, Extract: sum.Extract})
			pipelinetest.EqualPerWindow(t, pipeline.Pairs(again), map[window.Interval][]KV{
				{Start: -5, End: 5}: {kv("k", 5)}, {Start: 0, End: 10}: {kv("k", 10)}, {Start: 5, End: 15}: {kv("k", 5)}})
		}},
		{"bundles are finished", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			sums := pipeline.ParDo(pipeline.Create(p, numbers(100)...), func(d *pipeline.DoFn, emit pipeline.Emit[int64]) func(pipeline.Elem, int64) error {
				open := int64(0)
				d.OnFinishBundle(func() error { emit(open); open = 0; return nil })
				return func(_ pipeline.Elem, v int64) error { open += v; return nil }
			})
			pipelinetest.Equal(t, pipeline.CombineGlobally(sums, sum), 4950)
		}},
		{"several outputs", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			small, big := pipeline.ParDo2(pipeline.Create(p, numbers(6)...), func(_ *pipeline.DoFn, small pipeline.Emit[int64], big pipeline.Emit[string]) func(pipeline.Elem, int64) error {
				return func(_ pipeline.Elem, v int64) error {
					if v < 3 {
						small(v)
					} else {
						big(fmt.Sprint(v))
					}
					return nil
				}
			})
			pipelinetest.Equal(t, small, 0, 1, 2)
			pipelinetest.Equal(t, big, "3", "4", "5")
		}},
		{"caught failures", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			good, bad := pipeline.CatchMap(pipeline.Create(p, numbers(4)...), func(_ context.Context, v int64) (int64, error) {
				switch v {
				case 1:
					return 0, errors.New("one")
				case 3:
					panic("three")
				}
				return v, nil
			})
			pipelinetest.Equal(t, good, 0, 2)
			pipelinetest.Satisfies(t, bad, func(t *pipelinetest.T, got []pipeline.Failed[int64]) {
				require.Len(t, got, 2)
				for _, f := range got {
					require.Contains(t, f.Error, map[int64]string{1: "one", 3: "panic: three"}[f.Input])
				}
			})
		}},
		{"golden", func(t *pipelinetest.T, p *pipeline.Pipeline) {
			pipelinetest.Golden(t, pipeline.Create(p, numbers(5)...), "numbers.txt")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) { pipelinetest.Run(t, tc.build) })
	}
}

// Every kind of state, per key, through restarts.
func TestStateful_allKindsOfState(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		n := pipeline.KeyBy(pipeline.Create(p, numbers(40)...), parity)
		out := pipeline.Stateful(n, "all", func(s *pipeline.Setup[string, string]) pipeline.Process[string, int64, string] {
			value := pipeline.ValueState[int64](s, "value")
			bag := pipeline.BagState[int64](s, "bag")
			m := pipeline.MapState[string, int64](s, "map")
			set := pipeline.SetState[int64](s, "set")
			fold := pipeline.CombiningState(s, "fold", sum)
			list := pipeline.OrderedListState[int64](s, "list")
			return func(c *pipeline.Ctx[string], v int64, emit pipeline.Emit[string]) error {
				value.Set(c, value.Get(c)+1)
				bag.Add(c, v)
				m.Put(c, fmt.Sprint(v%5), v)
				set.Add(c, v%3)
				fold.Add(c, v)
				list.Add(c, time.UnixMilli(100-v), v)
				list.ClearRange(c, time.UnixMilli(0), time.UnixMilli(100-v))
				if value.Get(c) == 20 {
					first := int64(-1)
					for _, x := range list.All(c) {
						first = x
						break
					}
					emit(fmt.Sprint(c.Key(), bag.Len(c), m.Len(c), set.Len(c), fold.Get(c), " ", list.Len(c) > 0, first >= 0))
				}
				return nil
			}
		})
		pipelinetest.Equal(t, out, "even20 5 3 380 true true", "odd20 5 3 400 true true")
	})
}

func TestEventTimers(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		n := pipeline.EventTimeMs(pipeline.Create(p, numbers(40)...), func(i int64) int64 { return i }, pipeline.OutOfOrder(time.Second))
		out := pipeline.Stateful(pipeline.KeyBy(n, parity), "count", func(s *pipeline.Setup[string, string]) pipeline.Process[string, int64, string] {
			count := pipeline.ValueState[int64](s, "count")
			flush := pipeline.EventTimer(s, "flush", func(c *pipeline.Ctx[string], emit pipeline.Emit[string]) error {
				emit(fmt.Sprint(c.Key(), " ", count.Get(c), " at ", c.TimestampMs()))
				return nil
			})
			return func(c *pipeline.Ctx[string], v int64, _ pipeline.Emit[string]) error {
				count.Set(c, count.Get(c)+1)
				flush.SetMs(c, 1000)
				return nil
			}
		})
		pipelinetest.Equal(t, out, "even 20 at 1000", "odd 20 at 1000")
	})
}

func TestDeadLetters_jobFinishesAndRecordIsThere(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		n := pipeline.Create(p, numbers(30)...)
		ok := pipeline.Map(n, func(i int64) int64 {
			if i%10 == 7 {
				panic(fmt.Sprint("no sevens: ", i))
			}
			return i
		}, pipeline.Named("picky"))
		pipelinetest.EqualKeyed(t, pipeline.CombinePerKey(pipeline.KeyBy(ok, parity), sum), map[string]int64{"even": 210, "odd": 225 - 51})
		pipelinetest.Satisfies(t, pipeline.DeadLetters(p), func(t *pipelinetest.T, got []pipeline.DeadLetter) {
			var texts []string
			for _, d := range got {
				texts = append(texts, d.Text)
				require.Equal(t, "picky", d.Transform)
				require.Contains(t, d.Position, "pipelinetest/run_test.go:")
				require.Equal(t, "panic: no sevens: "+d.Text, strings.SplitN(d.Error, "\n", 2)[0])
				require.Contains(t, d.Stack, "run_test.go")
				require.NotContains(t, d.Stack, "internal/flow")
			}
			slices.Sort(texts)
			require.Equal(t, []string{"17", "27", "7"}, texts)
		})
	}, pipelinetest.OnError(local.DeadLetter))
}

func TestFails_namesTransformInputAndFrames(t *testing.T) {
	err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) {
		pipeline.Collect(pipeline.Map(pipeline.Create(p, numbers(9)...), func(i int64) int64 { return 1 / (i - 5) }, pipeline.Named("divide")))
	})
	require.ErrorContains(t, err, "divide (pipelinetest/run_test.go:")
	require.ErrorContains(t, err, "at input value 5: panic: runtime error: integer divide by zero")
	require.NotContains(t, err.Error(), "internal/flow")
	require.NotContains(t, err.Error(), "runtime.gopanic")
}

func TestGroupByKey_spillsInTests(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		n := pipeline.Generate(p, 3000, func(i uint64, e *string) { *e = fmt.Sprint(i) + strings.Repeat("x", 500) })
		groups := pipeline.GroupByKey(pipeline.KeyBy(n, func(s string) byte { return s[0] }))
		pipelinetest.Equal(t, pipeline.MapKV(groups, func(k byte, vs iter.Seq[string]) int64 { return int64(len(slices.Collect(vs))) }),
			1, 1111, 1111, 111, 111, 111, 111, 111, 111, 111)
	}, pipelinetest.MemoryBudget(1<<20))
}

// A key whose element fails waits, in order; the others run on.
func TestPark_keyWaitsOthersRunOn(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		n := pipeline.KeyBy(pipeline.Create(p, numbers(20)...), parity)
		out := pipeline.Stateful(n, "running", func(s *pipeline.Setup[string, int64]) pipeline.Process[string, int64, int64] {
			count := pipeline.ValueState[int64](s, "count")
			return func(c *pipeline.Ctx[string], v int64, emit pipeline.Emit[int64]) error {
				count.Set(c, count.Get(c)+1)
				if c.Key() == "odd" && count.Get(c) == 3 {
					return errors.New("the third odd one")
				}
				emit(count.Get(c))
				return nil
			}
		})
		pipelinetest.Equal(t, out, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2)
		pipelinetest.Satisfies(t, pipeline.DeadLetters(p), func(t *pipelinetest.T, got []pipeline.DeadLetter) {
			require.Len(t, got, 8)
			failed := 0
			for _, d := range got {
				require.Equal(t, "running", d.Transform)
				if d.Error == "the third odd one" {
					failed++
				} else {
					require.Equal(t, "waited behind an element of its key that failed: the third odd one", d.Error)
				}
			}
			require.Equal(t, 1, failed)
		})
	}, pipelinetest.OnError(local.Park))
}
