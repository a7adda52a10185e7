package transforms_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
)

// printAll runs p and prints c's elements, sorted.
func printAll[E any](p *pipeline.Pipeline, c pipeline.PCollection[E]) {
	out := pipeline.Collect(c)
	if _, err := local.Run(context.Background(), p, local.Config{}); err != nil {
		fmt.Println(err)
		return
	}
	var lines []string
	for _, v := range out.Values() {
		lines = append(lines, fmt.Sprint(v))
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
}

func ExampleCount() {
	p := pipeline.New()
	words := pipeline.FlatMap(pipeline.Create(p, "to be or not", "to be"), strings.FieldsSeq)
	counts := transforms.Count(pipeline.KeyBy(words, strings.ToUpper))
	printAll(p, pipeline.Pairs(counts))
	// Output:
	// {BE 2}
	// {NOT 1}
	// {OR 1}
	// {TO 2}
}

func ExampleSum() {
	p := pipeline.New()
	sales := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("north", 3), pipeline.NewKV("south", 4), pipeline.NewKV("north", 5)))
	printAll(p, pipeline.Pairs(transforms.Sum(sales)))
	// Output:
	// {north 8}
	// {south 4}
}

func ExampleMean() {
	p := pipeline.New()
	ms := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("/", 10), pipeline.NewKV("/", 20)))
	printAll(p, pipeline.Pairs(transforms.Mean(ms)))
	// Output: {/ 15}
}

func ExampleMinGlobally() {
	p := pipeline.New()
	printAll(p, transforms.MinGlobally(pipeline.Create(p, 3, 1, 2)))
	// Output: {true 1}
}

func ExampleTopGlobally() {
	p := pipeline.New()
	longest := transforms.TopGlobally(pipeline.Create(p, "pear", "fig", "banana"), 2, func(a, b string) bool { return len(a) < len(b) })
	printAll(p, longest)
	// Output: [banana pear]
}

func ExampleQuantilesGlobally() {
	p := pipeline.New()
	printAll(p, transforms.QuantilesGlobally(pipeline.Create(p, 1, 2, 3, 4, 5), []float64{0, 0.5, 1}))
	// Output: [1 3 5]
}

func ExampleApproxDistinctGlobally() {
	p := pipeline.New()
	printAll(p, transforms.ApproxDistinctGlobally(pipeline.Create(p, "a", "b", "a")))
	// Output: 2
}

func ExampleDistinct() {
	p := pipeline.New()
	printAll(p, transforms.Distinct(pipeline.Create(p, "a", "b", "a")))
	// Output:
	// a
	// b
}

func ExampleInnerJoin() {
	p := pipeline.New()
	names := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "Ann"), pipeline.NewKV(2, "Bo")))
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea"), pipeline.NewKV(1, "milk")))
	printAll(p, pipeline.Pairs(transforms.InnerJoin(names, orders)))
	// Output:
	// {1 {Ann milk}}
	// {1 {Ann tea}}
}

func ExampleLeftJoin() {
	p := pipeline.New()
	names := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "Ann"), pipeline.NewKV(2, "Bo")))
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea")))
	printAll(p, pipeline.Pairs(transforms.LeftJoin(names, orders)))
	// Output:
	// {1 {Ann {true tea}}}
	// {2 {Bo {false }}}
}

func ExampleToMap() {
	p := pipeline.New()
	printAll(p, transforms.ToMap(pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("a", 1), pipeline.NewKV("b", 2)))))
	// Output: map[a:1 b:2]
}

func ExampleSampleGlobally() {
	p := pipeline.New()
	sample := transforms.SampleGlobally(pipeline.Create(p, "a", "b", "c", "d"), 2, 42)
	printAll(p, pipeline.Map(sample, func(vs []string) int { return len(vs) }))
	// Output: 2
}

func ExampleBatchPerKey() {
	p := pipeline.New()
	words := pipeline.KeyBy(pipeline.Create(p, "a", "a", "a"), func(s string) string { return s })
	printAll(p, pipeline.Pairs(transforms.BatchPerKey(words, "pairs", 2)))
	// Output:
	// {a [a a]}
	// {a [a]}
}

func ExampleExtract() {
	p := pipeline.New()
	printAll(p, transforms.Extract(pipeline.Create(p, "user=ann", "nobody"), `user=(\w+)`))
	// Output: [user=ann ann]
}

func ExampleCountPerElement() {
	p := pipeline.New()
	printAll(p, pipeline.Pairs(transforms.CountPerElement(pipeline.Create(p, "a", "b", "a"))))
	// Output:
	// {a 2}
	// {b 1}
}

func ExampleMax() {
	p := pipeline.New()
	byLength := pipeline.KeyBy(pipeline.Create(p, "pear", "fig", "plum"), func(s string) int { return len(s) })
	printAll(p, pipeline.Pairs(transforms.Max(byLength)))
	// Output:
	// {3 fig}
	// {4 plum}
}

func ExampleBottom() {
	p := pipeline.New()
	times := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("run", 31), pipeline.NewKV("run", 28), pipeline.NewKV("swim", 90), pipeline.NewKV("run", 29)))
	printAll(p, pipeline.Pairs(transforms.Bottom(times, 2, func(a, b int) bool { return a < b })))
	// Output:
	// {run [28 29]}
	// {swim [90]}
}

func ExampleQuantiles() {
	p := pipeline.New()
	ms := pipeline.KeyBy(pipeline.Create(p, 12, 15, 11, 300, 14), func(int) string { return "/index" })
	printAll(p, pipeline.Pairs(transforms.Quantiles(ms, []float64{0.5, 1})))
	// Output: {/index [14 300]}
}

func ExampleApproxDistinct() {
	p := pipeline.New()
	visits := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("/", "ann"), pipeline.NewKV("/", "bo"), pipeline.NewKV("/", "ann")))
	printAll(p, pipeline.Pairs(transforms.ApproxDistinct(visits)))
	// Output: {/ 2}
}

func ExampleDistinctPerKey() {
	p := pipeline.New()
	visits := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("/", "ann"), pipeline.NewKV("/", "bo"), pipeline.NewKV("/", "ann")))
	printAll(p, pipeline.Pairs(transforms.DistinctPerKey(visits)))
	// Output:
	// {/ ann}
	// {/ bo}
}

func ExampleDistinctBy() {
	p := pipeline.New()
	type user struct {
		ID   int
		Name string
	}
	users := pipeline.Create(p, user{1, "ann"}, user{2, "bo"}, user{1, "ann"})
	printAll(p, transforms.DistinctBy(users, func(u user) int { return u.ID }))
	// Output:
	// {1 ann}
	// {2 bo}
}

func ExampleRightJoin() {
	p := pipeline.New()
	names := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "Ann")))
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea"), pipeline.NewKV(2, "milk")))
	printAll(p, pipeline.Pairs(transforms.RightJoin(names, orders)))
	// Output:
	// {1 {{true Ann} tea}}
	// {2 {{false } milk}}
}

func ExampleFullJoin() {
	p := pipeline.New()
	names := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "Ann"), pipeline.NewKV(2, "Bo")))
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea"), pipeline.NewKV(3, "milk")))
	printAll(p, pipeline.Pairs(transforms.FullJoin(names, orders)))
	// Output:
	// {1 {{true Ann} {true tea}}}
	// {2 {{true Bo} {false }}}
	// {3 {{false } {true milk}}}
}

func ExampleKeys() {
	p := pipeline.New()
	printAll(p, transforms.Keys(pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("a", 1), pipeline.NewKV("b", 2)))))
	// Output:
	// a
	// b
}

func ExampleValues() {
	p := pipeline.New()
	printAll(p, transforms.Values(pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("a", 1), pipeline.NewKV("b", 2)))))
	// Output:
	// 1
	// 2
}

func ExampleSwap() {
	p := pipeline.New()
	printAll(p, pipeline.Pairs(transforms.Swap(pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("a", 1))))))
	// Output: {1 a}
}

func ExampleToList() {
	p := pipeline.New()
	lists := transforms.ToList(pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("a", 2), pipeline.NewKV("a", 1))))
	printAll(p, pipeline.MapKV(lists, func(k string, vs []int) string {
		slices.Sort(vs)
		return fmt.Sprint(k, vs)
	}))
	// Output: a[1 2]
}

func ExampleBatch() {
	p := pipeline.New()
	batches := transforms.Batch(pipeline.Create(p, 1, 2, 3, 4, 5), 2)
	sum := pipeline.Map(batches, func(vs []int) int { // one call for up to two
		n := 0
		for _, v := range vs {
			n += v
		}
		return n
	})
	printAll(p, transforms.SumGlobally(sum))
	// Output: 15
}

func ExampleLatest() {
	p := pipeline.New()
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	prices := pipeline.CreateTimestamped(p,
		pipeline.Timestamped[int]{Time: at(3), Value: 130}, pipeline.Timestamped[int]{Time: at(9), Value: 190}, pipeline.Timestamped[int]{Time: at(5), Value: 150})
	printAll(p, pipeline.Pairs(transforms.Latest(pipeline.KeyBy(prices, func(int) string { return "tea" }))))
	// Output: {tea 190}
}

func ExampleLatestGlobally() {
	p := pipeline.New()
	printAll(p, transforms.LatestGlobally(pipeline.CreateTimestamped(p, pipeline.Timestamped[string]{Time: time.Unix(1, 0), Value: "now"})))
	// Output: {true now}
}

func ExampleMatches() {
	p := pipeline.New()
	printAll(p, transforms.Matches(pipeline.Create(p, "GET /a", "POST /b"), `^GET `))
	// Output: GET /a
}

func ExampleFindAll() {
	p := pipeline.New()
	printAll(p, transforms.FindAll(pipeline.Create(p, "to #be or #not"), `#\w+`))
	// Output:
	// #be
	// #not
}

func ExampleReplace() {
	p := pipeline.New()
	printAll(p, transforms.Replace(pipeline.Create(p, "2026-11-24"), `(\d+)-(\d+)-(\d+)`, "$3.$2.$1"))
	// Output: 24.11.2026
}

func ExampleSplit() {
	p := pipeline.New()
	printAll(p, transforms.Split(pipeline.Create(p, "a, b;c"), `[,;]\s*`))
	// Output:
	// a
	// b
	// c
}

// A combiner keeps a sum in the state of each key.
func ExampleSumOf() {
	p := pipeline.New()
	spent := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("ann", 40), pipeline.NewKV("ann", 70), pipeline.NewKV("bo", 30)))
	warnings := pipeline.Stateful(spent, "limit", func(s *pipeline.Setup[string, string]) pipeline.Process[string, int, string] {
		total := pipeline.CombiningState(s, "total", transforms.SumOf[int]())
		return func(c *pipeline.Ctx[string], v int, emit pipeline.Emit[string]) error {
			if total.Add(c, v); total.Get(c) > 100 {
				emit(fmt.Sprintf("%s spent %d", c.Key(), total.Get(c)))
			}
			return nil
		}
	})
	printAll(p, warnings)
	// Output: ann spent 110
}

// The customers of orders are looked up in a service, here a function.
func ExampleLookupJoin() {
	p := pipeline.New()
	ask := func(_ context.Context, id int) (string, bool, error) {
		name, ok := map[int]string{1: "ann", 2: "bo"}[id]
		return name, ok, nil
	}
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea"), pipeline.NewKV(2, "salt"), pipeline.NewKV(3, "rye")))
	cache := transforms.Cache{Size: 10_000, TTL: time.Minute, MissTTL: 10 * time.Second}
	printAll(p, pipeline.Pairs(transforms.LookupJoin(orders, ask, cache, pipeline.Concurrency(50), pipeline.CallTimeout(2*time.Second), pipeline.CallRetries(3))))
	// Output:
	// {1 {tea ann}}
	// {2 {salt bo}}
}

// Orders of customers that nobody knows are kept.
func ExampleLookupLeftJoin() {
	p := pipeline.New()
	ask := func(_ context.Context, id int) (string, bool, error) { return "ann", id == 1, nil }
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea"), pipeline.NewKV(3, "rye")))
	printAll(p, pipeline.Pairs(transforms.LookupLeftJoin(orders, ask, transforms.Cache{})))
	// Output:
	// {1 {tea {true ann}}}
	// {3 {rye {false }}}
}

// A service that answers many keys at once is asked for up to 100 at a time.
func ExampleLookupBatchJoin() {
	p := pipeline.New()
	ask := func(_ context.Context, ids []int) (map[int]string, error) {
		return map[int]string{1: "ann", 2: "bo"}, nil
	}
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea"), pipeline.NewKV(2, "salt"), pipeline.NewKV(3, "rye")))
	printAll(p, pipeline.Pairs(transforms.LookupBatchJoin(orders, ask, 100, 5*time.Millisecond, transforms.Cache{Size: 10_000})))
	// Output:
	// {1 {tea ann}}
	// {2 {salt bo}}
}

func ExampleLookupBatchLeftJoin() {
	p := pipeline.New()
	ask := func(_ context.Context, ids []int) (map[int]string, error) {
		return map[int]string{1: "ann"}, nil
	}
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea"), pipeline.NewKV(3, "rye")))
	printAll(p, pipeline.Pairs(transforms.LookupBatchLeftJoin(orders, ask, 100, 5*time.Millisecond, transforms.Cache{})))
	// Output:
	// {1 {tea {true ann}}}
	// {3 {rye {false }}}
}
