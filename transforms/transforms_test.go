package transforms_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

type T = pipelinetest.T

func numbers(n int64) (out []int64) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

func parity(i int64) string { return []string{"even", "odd"}[i%2] }

func less(a, b int64) bool { return a < b }

// Goal: every transform, in all ways to run.
func TestTransforms(t *testing.T) {
	for _, tc := range []struct {
		name  string
		build func(t *T, p *pipeline.Pipeline)
	}{
		{"count", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(11)...)
			pipelinetest.EqualKeyed(t, transforms.Count(pipeline.KeyBy(n, parity)), map[string]int64{"even": 6, "odd": 5})
			pipelinetest.Equal(t, transforms.CountGlobally(n), 11)
			pipelinetest.Equal(t, transforms.CountGlobally(pipeline.Create[int64](p)), 0)
			pipelinetest.EqualKeyed(t, transforms.CountPerElement(pipeline.Create(p, "a", "b", "a")), map[string]int64{"a": 2, "b": 1})
		}},
		{"count in windows", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.EventTimeMs(pipeline.Create(p, numbers(15)...), func(i int64) int64 { return i }, pipeline.OutOfOrder(time.Second))
			c := transforms.CountGlobally(n.Windowed(window.Fixed(10 * time.Millisecond)))
			pipelinetest.EqualPerWindow(t, c, map[window.Interval][]int64{{Start: 0, End: 10}: {10}, {Start: 10, End: 20}: {5}})
		}},
		{"each window has results of its own", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.EventTimeMs(pipeline.Create(p, numbers(15)...), func(i int64) int64 { return i }, pipeline.OutOfOrder(time.Second)).
				Windowed(window.Fixed(10 * time.Millisecond))
			first, second := window.Interval{Start: 0, End: 10}, window.Interval{Start: 10, End: 20}
			k := pipeline.KeyBy(n, parity)
			pipelinetest.EqualPerWindow(t, show(transforms.Sum(k)), map[window.Interval][]string{first: {"even 20", "odd 25"}, second: {"even 36", "odd 24"}})
			pipelinetest.EqualPerWindow(t, transforms.MaxGlobally(n), map[window.Interval][]transforms.Optional[int64]{first: {{OK: true, Value: 9}}, second: {{OK: true, Value: 14}}})
			pipelinetest.EqualPerWindow(t, transforms.TopGlobally(n, 2, less), map[window.Interval][][]int64{first: {{9, 8}}, second: {{14, 13}}})
			pipelinetest.EqualPerWindow(t, transforms.QuantilesGlobally(n, []float64{0, 1}), map[window.Interval][][]int64{first: {{0, 9}}, second: {{10, 14}}})
			pipelinetest.EqualPerWindow(t, transforms.ApproxDistinctGlobally(n), map[window.Interval][]int64{first: {10}, second: {5}})
			pipelinetest.EqualPerWindow(t, transforms.Distinct(pipeline.Map(n, parity)), map[window.Interval][]string{first: {"even", "odd"}, second: {"even", "odd"}})
			pipelinetest.EqualPerWindow(t, show(transforms.Latest(k)), map[window.Interval][]string{first: {"even 8", "odd 9"}, second: {"even 14", "odd 13"}})
			pipelinetest.EqualPerWindow(t, show(transforms.InnerJoin(transforms.Max(k), transforms.Count(k))), map[window.Interval][]string{first: {"even {8 5}", "odd {9 5}"}, second: {"even {14 3}", "odd {13 2}"}})
			sizes := pipeline.MapValues(transforms.BatchPerKey(k, "threes", 3), func(vs []int64) int { return len(vs) })
			pipelinetest.EqualPerWindow(t, show(sizes), map[window.Interval][]string{first: {"even 3", "even 2", "odd 3", "odd 2"}, second: {"even 3", "odd 2"}})
		}},
		{"empty windows have no results", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.Create[int64](p).Windowed(window.Fixed(time.Minute))
			pipelinetest.Empty(t, transforms.CountGlobally(n))
			pipelinetest.Empty(t, transforms.MinGlobally(n))
		}},
		{"sum and mean", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(11)...)
			pipelinetest.EqualKeyed(t, transforms.Sum(pipeline.KeyBy(n, parity)), map[string]int64{"even": 30, "odd": 25})
			pipelinetest.Equal(t, transforms.SumGlobally(n), 55)
			pipelinetest.Satisfies(t, transforms.MeanGlobally(n), func(t *T, got []float64) { require.InDeltaSlice(t, []float64{5}, got, 1e-9) })
			pipelinetest.Satisfies(t, transforms.MeanGlobally(pipeline.Create[int64](p)), func(t *T, got []float64) {
				require.Len(t, got, 1)
				require.True(t, math.IsNaN(got[0]), "the mean of nothing is %v", got[0])
			})
			big := pipeline.KeyBy(pipeline.Create(p, math.MaxInt64, math.MaxInt64), func(int) string { return "big" })
			pipelinetest.Satisfies(t, transforms.Values(transforms.Mean(big)), func(t *T, got []float64) { require.Equal(t, []float64{math.MaxInt64}, got) })
		}},
		{"least and greatest", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(11)...)
			pipelinetest.EqualKeyed(t, transforms.Min(pipeline.KeyBy(n, parity)), map[string]int64{"even": 0, "odd": 1})
			pipelinetest.EqualKeyed(t, transforms.Max(pipeline.KeyBy(n, parity)), map[string]int64{"even": 10, "odd": 9})
			pipelinetest.Equal(t, transforms.MaxGlobally(n), transforms.Optional[int64]{OK: true, Value: 10})
			pipelinetest.Equal(t, transforms.MinGlobally(pipeline.Create[string](p)), transforms.Optional[string]{})
		}},
		{"top", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(100)...)
			pipelinetest.EqualKeyed(t, transforms.Top(pipeline.KeyBy(n, parity), 3, less), map[string][]int64{"even": {98, 96, 94}, "odd": {99, 97, 95}})
			pipelinetest.Equal(t, transforms.TopGlobally(pipeline.Create(p, numbers(2)...), 5, less), []int64{1, 0})
			pipelinetest.Equal(t, transforms.TopGlobally(pipeline.Create[int64](p), 5, less), nil)
			pipelinetest.EqualKeyed(t, transforms.Bottom(pipeline.KeyBy(n, parity), 2, less), map[string][]int64{"even": {0, 2}, "odd": {1, 3}})
			pipelinetest.Equal(t, transforms.BottomGlobally(n, 3, less), []int64{0, 1, 2})
		}},
		{"sketches", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(2000)...)
			near := func(want float64) func(t *T, got []int64) {
				return func(t *T, got []int64) {
					require.Len(t, got, 1)
					require.InEpsilon(t, want, got[0], 0.03)
				}
			}
			pipelinetest.Satisfies(t, transforms.ApproxDistinctGlobally(pipeline.Map(n, func(i int64) int64 { return i % 500 })), near(500))
			pipelinetest.Satisfies(t, transforms.Values(transforms.ApproxDistinct(pipeline.KeyBy(n, func(int64) string { return "k" }))), near(2000))
			pipelinetest.Satisfies(t, transforms.QuantilesGlobally(n, []float64{0, 0.5, 0.99, 1}), func(t *T, got [][]int64) {
				require.Len(t, got, 1)
				require.InDeltaSlice(t, []int64{0, 1000, 1980, 1999}, got[0], 20)
			})
		}},
		{"sketches of little", func(t *T, p *pipeline.Pipeline) {
			none, one := pipeline.Create[string](p), pipeline.Create(p, "x")
			qs := []float64{0, 0.5, 1}
			pipelinetest.Equal(t, transforms.ApproxDistinctGlobally(none), 0)
			pipelinetest.Equal(t, transforms.ApproxDistinctGlobally(one), 1)
			pipelinetest.Equal(t, transforms.QuantilesGlobally(none, qs), nil)
			pipelinetest.Equal(t, transforms.QuantilesGlobally(one, qs), []string{"x", "x", "x"})
			pipelinetest.EqualKeyed(t, transforms.Quantiles(pipeline.KeyBy(pipeline.Create(p, numbers(10)...), parity), qs), map[string][]int64{"even": {0, 4, 8}, "odd": {1, 5, 9}})
		}},
		{"far from zero a sketch keeps values as they are", func(t *T, p *pipeline.Pipeline) {
			ms := pipeline.Map(pipeline.Create(p, numbers(101)...), func(i int64) int64 { return 1_790_000_000_000 + i })
			pipelinetest.Equal(t, transforms.QuantilesGlobally(ms, []float64{0.5}), []int64{1_790_000_000_050})
		}},
		{"distinct", func(t *T, p *pipeline.Pipeline) {
			pipelinetest.Empty(t, transforms.Distinct(pipeline.Create[string](p)))
			k := pipeline.KeyBy(pipeline.Map(pipeline.Create(p, numbers(40)...), func(i int64) int64 { return i % 4 }), parity)
			pipelinetest.Equal(t, show(transforms.DistinctPerKey(k)), "even 0", "even 2", "odd 1", "odd 3")
			pipelinetest.Equal(t, transforms.Distinct(pipeline.Create(p, "b", "a", "b", "a", "c")), "a", "b", "c")
			pipelinetest.Satisfies(t, transforms.DistinctBy(pipeline.Create(p, numbers(10)...), parity), func(t *T, got []int64) { require.Len(t, got, 2) })
		}},
		{"keys, values, swap", func(t *T, p *pipeline.Pipeline) {
			k := pipeline.KeyBy(pipeline.Create(p, int64(1), 2), parity)
			pipelinetest.Equal(t, transforms.Keys(k), "odd", "even")
			pipelinetest.Equal(t, transforms.Values(k), 1, 2)
			pipelinetest.EqualKeyed(t, transforms.Swap(k), map[int64]string{1: "odd", 2: "even"})
		}},
		{"to list and map", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(6)...)
			pipelinetest.Equal(t, pipeline.MapKV(transforms.ToList(pipeline.KeyBy(n, parity)), func(k string, vs []int64) string {
				slices.Sort(vs)
				return fmt.Sprint(k, vs)
			}), "even[0 2 4]", "odd[1 3 5]")
			pipelinetest.Equal(t, transforms.ToMap(transforms.Count(pipeline.KeyBy(n, parity))), map[string]int64{"even": 3, "odd": 3})
			pipelinetest.Equal(t, transforms.ToMap(transforms.Count(pipeline.KeyBy(pipeline.Create[int64](p), parity))), map[string]int64{})
		}},
		{"sample", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(100)...)
			pipelinetest.Equal(t, pipeline.Map(transforms.SampleGlobally(n, 1000, 1), func(vs []int64) int { return len(vs) }), 100)
			s := transforms.SampleGlobally(n, 5, 7)
			pipelinetest.Satisfies(t, s, func(t *T, got [][]int64) {
				require.Len(t, got, 1)
				require.Len(t, got[0], 5)
				require.Subset(t, numbers(100), got[0])
				require.Len(t, slices.Compact(slices.Sorted(slices.Values(got[0]))), 5, "drawn without putting back")
			})
			pipelinetest.EqualKeyed(t, pipeline.MapValues(transforms.Sample(pipeline.KeyBy(n, parity), 60, 7), func(vs []int64) int { return len(vs) }), map[string]int{"even": 50, "odd": 50})
			pipelinetest.Equal(t, pipeline.Map(transforms.SampleGlobally(pipeline.Create[int64](p), 3, 1), func(vs []int64) int { return len(vs) }), 0)
		}},
		{"joins", func(t *T, p *pipeline.Pipeline) {
			left := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("a", 1), pipeline.NewKV("a", 2), pipeline.NewKV("b", 3)))
			right := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("a", "x"), pipeline.NewKV("a", "y"), pipeline.NewKV("c", "z")))
			pipelinetest.Equal(t, show(transforms.InnerJoin(left, right)), "a {1 x}", "a {1 y}", "a {2 x}", "a {2 y}")
			pipelinetest.Equal(t, show(transforms.LeftJoin(left, right)), "a {1 {true x}}", "a {1 {true y}}", "a {2 {true x}}", "a {2 {true y}}", "b {3 {false }}")
			pipelinetest.Equal(t, show(transforms.RightJoin(left, right)), "a {{true 1} x}", "a {{true 1} y}", "a {{true 2} x}", "a {{true 2} y}", "c {{false 0} z}")
			pipelinetest.Equal(t, show(transforms.FullJoin(left, right)),
				"a {{true 1} {true x}}", "a {{true 1} {true y}}", "a {{true 2} {true x}}", "a {{true 2} {true y}}", "b {{true 3} {false }}", "c {{false 0} {true z}}")
		}},
		{"joins with nothing", func(t *T, p *pipeline.Pipeline) {
			some := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("a", 1)))
			none := pipeline.FromPairs(pipeline.Create[pipeline.KV[string, int]](p))
			pipelinetest.Empty(t, show(transforms.InnerJoin(some, none)))
			pipelinetest.Empty(t, show(transforms.LeftJoin(none, some)))
			pipelinetest.Equal(t, show(transforms.LeftJoin(some, none)), "a {1 {false 0}}")
			pipelinetest.Equal(t, show(transforms.RightJoin(none, some)), "a {{false 0} 1}")
			pipelinetest.Equal(t, show(transforms.FullJoin(none, some)), "a {{false 0} {true 1}}")
			pipelinetest.Empty(t, show(transforms.FullJoin(none, none)))
		}},
		{"a key with more right values than are held at a time", func(t *T, p *pipeline.Pipeline) {
			many := pipeline.KeyBy(pipeline.Create(p, numbers(2500)...), func(int64) string { return "k" })
			few := pipeline.KeyBy(pipeline.Create(p, numbers(3)...), func(int64) string { return "k" })
			none := pipeline.KeyBy(pipeline.Create[int64](p), func(int64) string { return "k" })
			for _, joined := range []pipeline.PCollection[string]{
				show(transforms.InnerJoin(few, many)), show(transforms.LeftJoin(few, many)), show(transforms.RightJoin(few, many)), show(transforms.FullJoin(few, many)),
				show(transforms.FullJoin(many, few)),
			} {
				pipelinetest.Equal(t, transforms.CountGlobally(joined), 7500)
				pipelinetest.Equal(t, transforms.CountGlobally(transforms.Distinct(joined)), 7500)
			}
			pipelinetest.Equal(t, transforms.CountGlobally(show(transforms.InnerJoin(none, many))), 0)
			pipelinetest.Equal(t, transforms.CountGlobally(show(transforms.LeftJoin(none, many))), 0)
			pipelinetest.Equal(t, transforms.CountGlobally(show(transforms.RightJoin(none, many))), 2500)
			pipelinetest.Equal(t, transforms.CountGlobally(show(transforms.FullJoin(many, none))), 2500)
		}},
		{"combiners in state", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.KeyBy(pipeline.Create(p, numbers(20)...), parity)
			type seen struct {
				Sum, Max int64
				Kinds    int64
				Median   []int64
			}
			all := pipeline.Stateful(n, "seen", func(s *pipeline.Setup[string, pipeline.KV[string, seen]]) pipeline.Process[string, int64, pipeline.KV[string, seen]] {
				sum := pipeline.CombiningState(s, "sum", transforms.SumOf[int64]())
				most := pipeline.CombiningState(s, "max", transforms.MaxOf[int64]())
				kinds := pipeline.CombiningState(s, "kinds", transforms.ApproxDistinctOf[int64]())
				median := pipeline.CombiningState(s, "median", transforms.QuantilesOf[int64](0.5))
				return func(c *pipeline.Ctx[string], v int64, emit pipeline.Emit[pipeline.KV[string, seen]]) error {
					sum.Add(c, v)
					most.Add(c, v)
					kinds.Add(c, v%3)
					median.Add(c, v)
					emit(pipeline.NewKV(c.Key(), seen{sum.Get(c), most.Get(c).Value, kinds.Get(c), median.Get(c)}))
					return nil
				}
			})
			last := transforms.Top(pipeline.FromPairs(all), 1, func(a, b seen) bool { return a.Sum < b.Sum || a.Sum == b.Sum && a.Max < b.Max })
			pipelinetest.EqualKeyed(t, pipeline.MapValues(last, func(s []seen) string { return fmt.Sprint(s[0]) }), map[string]string{"even": "{90 18 3 [8]}", "odd": "{100 19 3 [9]}"})
		}},
		{"batches", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.Create(p, numbers(25)...)
			pipelinetest.Empty(t, transforms.Batch(pipeline.Create[int64](p), 4))
			pipelinetest.Equal(t, transforms.Batch(pipeline.Create(p, "lone"), 4), []string{"lone"})
			pipelinetest.Satisfies(t, transforms.Batch(n, 4), func(t *T, got [][]int64) {
				all := slices.Concat(got...)
				slices.Sort(all)
				require.Equal(t, numbers(25), all)
				for _, b := range got {
					require.LessOrEqual(t, len(b), 4)
				}
			})
			sizes := pipeline.MapKV(transforms.BatchPerKey(pipeline.KeyBy(n, parity), "tens", 10), func(k string, vs []int64) string { return fmt.Sprint(k, " ", len(vs)) })
			pipelinetest.Equal(t, sizes, "even 10", "even 3", "odd 10", "odd 2")
		}},
		{"latest", func(t *T, p *pipeline.Pipeline) {
			n := pipeline.EventTimeMs(pipeline.Create(p, numbers(20)...), func(i int64) int64 { return (i * 7) % 20 }, pipeline.OutOfOrder(time.Second))
			pipelinetest.EqualKeyed(t, transforms.Latest(pipeline.KeyBy(n, parity)), map[string]int64{"even": 14, "odd": 17})
			pipelinetest.Equal(t, transforms.LatestGlobally(n), transforms.Optional[int64]{OK: true, Value: 17})
			pipelinetest.Equal(t, transforms.LatestGlobally(pipeline.Create[string](p)), transforms.Optional[string]{})
		}},
		{"regular expressions", func(t *T, p *pipeline.Pipeline) {
			s := pipeline.Create(p, "a1b22", "none", "c3")
			pipelinetest.Equal(t, transforms.Matches(s, `\d`), "a1b22", "c3")
			pipelinetest.Equal(t, transforms.FindAll(s, `\d+`), "1", "22", "3")
			pipelinetest.Equal(t, transforms.Replace(s, `(\d)`, "<$1>"), "a<1>b<2><2>", "none", "c<3>")
			pipelinetest.Equal(t, transforms.Split(s, `\d+`), "a", "b", "", "none", "c", "")
			pipelinetest.Equal(t, transforms.Extract(s, `([a-z])(\d)`), []string{"a1", "a", "1"}, []string{"c3", "c", "3"})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) { pipelinetest.Run(t, tc.build) })
	}
}

func show[K comparable, V any](c pipeline.Keyed[K, V]) pipeline.PCollection[string] {
	return pipeline.MapKV(c, func(k K, v V) string { return fmt.Sprint(k, " ", v) })
}

func TestSentences(t *testing.T) {
	for _, tc := range []struct {
		want  string
		build func(n pipeline.PCollection[int64], s pipeline.PCollection[string])
	}{
		{"TopGlobally: n is 0, want at least 1", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) {
			transforms.TopGlobally(n, 0, less)
		}},
		{"TopGlobally: the function is nil", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) {
			transforms.TopGlobally(n, 1, nil)
		}},
		{"SampleGlobally: n is -1, want at least 1", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) {
			transforms.SampleGlobally(n, -1, 0)
		}},
		{"Bottom: the function is nil", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) {
			transforms.Bottom(pipeline.KeyBy(n, parity), 1, nil)
		}},
		{"Quantiles: no quantiles asked for", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) {
			transforms.Quantiles(pipeline.KeyBy(n, parity), nil)
		}},
		{"QuantilesGlobally: NaN is no quantile", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) {
			transforms.QuantilesGlobally(n, []float64{math.NaN()})
		}},
		{"BatchPerKey: n is 0", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) {
			transforms.BatchPerKey(pipeline.KeyBy(n, parity), "b", 0)
		}},
		{"Split: error parsing regexp: missing closing ]", func(_ pipeline.PCollection[int64], s pipeline.PCollection[string]) { transforms.Split(s, "[") }},
		{"TopOf: n is 0, want at least 1", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) {
			pipeline.CombineGlobally(n, transforms.TopOf(0, less))
		}},
		{"CombinePerKey: its input is an empty collection", func(pipeline.PCollection[int64], pipeline.PCollection[string]) {
			var none pipeline.Keyed[string, int64]
			transforms.Count(none)
		}},
		{"Batch: n is 0", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) { transforms.Batch(n, 0) }},
		{"QuantilesGlobally: 1.5 is no quantile", func(n pipeline.PCollection[int64], _ pipeline.PCollection[string]) {
			transforms.QuantilesGlobally(n, []float64{1.5})
		}},
		{"Matches: error parsing regexp", func(_ pipeline.PCollection[int64], s pipeline.PCollection[string]) { transforms.Matches(s, "(") }},
	} {
		p := pipeline.New()
		tc.build(pipeline.Create[int64](p), pipeline.Create[string](p))
		err := p.Err()
		require.ErrorContains(t, err, tc.want)
		require.ErrorContains(t, err, "transforms/transforms_test.go:")
	}
}

// Goal: the name that ties a transform's state to the code is where it was put.
func TestNamed(t *testing.T) {
	for want, build := range map[string]func(n pipeline.PCollection[int64], name pipeline.Option){
		"Count/mine": func(n pipeline.PCollection[int64], name pipeline.Option) {
			transforms.Count(pipeline.KeyBy(n, parity), name)
		},
		"SumGlobally/mine/": func(n pipeline.PCollection[int64], name pipeline.Option) { transforms.SumGlobally(n, name) },
		"Distinct/mine":     func(n pipeline.PCollection[int64], name pipeline.Option) { transforms.Distinct(n, name) },
		"Matches/mine": func(n pipeline.PCollection[int64], name pipeline.Option) {
			transforms.Matches(pipeline.Map(n, parity), "e", name)
		},
		"LatestGlobally/mine/": func(n pipeline.PCollection[int64], name pipeline.Option) { transforms.LatestGlobally(n, name) },
		"InnerJoin/mine/": func(n pipeline.PCollection[int64], name pipeline.Option) {
			k := pipeline.KeyBy(n, parity)
			transforms.InnerJoin(k, k, name)
		},
	} {
		p := pipeline.New()
		build(pipeline.Create[int64](p), pipeline.Named("mine"))
		require.NoError(t, p.Err())
		found := false
		for _, n := range p.Graph().Nodes {
			found = found || strings.HasPrefix(n.Name, want)
		}
		require.True(t, found, "no transform is named %q…", want)
	}
}

func TestToMap_twoValuesFail(t *testing.T) {
	err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) {
		pipeline.Collect(transforms.ToMap(pipeline.KeyBy(pipeline.Create(p, numbers(5)...), parity)))
	})
	require.ErrorContains(t, err, "ToMap: two values for key ")
}
