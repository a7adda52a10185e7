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
func printAll[E any](p *pipeline.Pipeline, c pipeline.PCollection[E]) { printOn(p, c, 0) }

// printInOrder is printAll on one lane, where elements come in order.
func printInOrder[E any](p *pipeline.Pipeline, c pipeline.PCollection[E]) { printOn(p, c, 1) }

func printOn[E any](p *pipeline.Pipeline, c pipeline.PCollection[E], lanes int) {
	out := pipeline.Collect(c)
	if _, err := local.Run(context.Background(), p, local.Config{Parallelism: lanes}); err != nil {
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

// orders, and payments for them, with times in minutes.
func ordersAndPayments(p *pipeline.Pipeline) (orders, payments pipeline.Keyed[int, string]) {
	type event struct {
		Order, Minute int
		What          string
	}
	stream := func(es ...event) pipeline.Keyed[int, string] {
		timed := pipeline.EventTime(pipeline.Create(p, es...), func(e event) time.Time { return time.Unix(int64(60*e.Minute), 0) })
		return pipeline.MapValues(pipeline.KeyBy(timed, func(e event) int { return e.Order }), func(e event) string { return e.What })
	}
	return stream(event{1, 0, "tea"}, event{2, 5, "rice"}, event{3, 20, "salt"}),
		stream(event{1, 2, "3.50"}, event{3, 50, "1.20"})
}

// Payments within a quarter of an hour after the order.
func ExampleIntervalJoin() {
	p := pipeline.New()
	orders, payments := ordersAndPayments(p)
	printAll(p, pipeline.Pairs(transforms.IntervalJoin(orders, payments, 0, 15*time.Minute)))
	// Output: {1 {tea 3.50}}
}

// Orders that were not paid within a quarter of an hour come out when it is over.
func ExampleIntervalLeftJoin() {
	p := pipeline.New()
	orders, payments := ordersAndPayments(p)
	printAll(p, pipeline.Pairs(transforms.IntervalLeftJoin(orders, payments, 0, 15*time.Minute)))
	// Output:
	// {1 {tea {true 3.50}}}
	// {2 {rice {false }}}
	// {3 {salt {false }}}
}

func ExampleIntervalRightJoin() {
	p := pipeline.New()
	orders, payments := ordersAndPayments(p)
	printAll(p, pipeline.Pairs(transforms.IntervalRightJoin(orders, payments, 0, 15*time.Minute)))
	// Output:
	// {1 {{true tea} 3.50}}
	// {3 {{false } 1.20}}
}

func ExampleIntervalFullJoin() {
	p := pipeline.New()
	orders, payments := ordersAndPayments(p)
	printAll(p, pipeline.Pairs(transforms.IntervalFullJoin(orders, payments, 0, 15*time.Minute)))
	// Output:
	// {1 {{true tea} {true 3.50}}}
	// {2 {{true rice} {false }}}
	// {3 {{false } {true 1.20}}}
	// {3 {{true salt} {false }}}
}

// Every order with its payment, as soon as both are there.
func ExampleStreamJoin() {
	p := pipeline.New()
	orders, payments := ordersAndPayments(p)
	printAll(p, pipeline.Pairs(transforms.StreamJoin(orders, payments, 0)))
	// Output:
	// {1 {tea 3.50}}
	// {3 {salt 1.20}}
}

// salesAndRates is amounts by currency, and rates as they change; 0: no longer traded.
func salesAndRates(p *pipeline.Pipeline) (sales, rates pipeline.Keyed[string, float64]) {
	type event struct {
		Currency string
		Second   int64
		Value    float64
	}
	stream := func(es ...event) pipeline.Keyed[string, float64] {
		timed := pipeline.EventTime(pipeline.Create(p, es...), func(e event) time.Time { return time.Unix(e.Second, 0) })
		return pipeline.MapValues(pipeline.KeyBy(timed, func(e event) string { return e.Currency }), func(e event) float64 { return e.Value })
	}
	return stream(event{"usd", 5, 10}, event{"usd", 15, 20}, event{"eur", 20, 30}, event{"usd", 25, 40}),
		stream(event{"usd", 0, 1.5}, event{"usd", 10, 1.25}, event{"usd", 20, 0})
}

// changes marks the rates that are none as deletes.
func changes(rates pipeline.Keyed[string, float64]) pipeline.Keyed[string, transforms.Optional[float64]] {
	return pipeline.MapValues(rates, func(r float64) transforms.Optional[float64] {
		return transforms.Optional[float64]{OK: r > 0, Value: r}
	})
}

// Each sale at the rate of its time.
func ExampleTemporalJoin() {
	p := pipeline.New()
	sales, rates := salesAndRates(p)
	printAll(p, pipeline.Pairs(transforms.TemporalJoin(sales, rates)))
	// Output:
	// {usd {10 1.5}}
	// {usd {20 1.25}}
	// {usd {40 0}}
}

func ExampleTemporalLeftJoin() {
	p := pipeline.New()
	sales, rates := salesAndRates(p)
	printAll(p, pipeline.Pairs(transforms.TemporalLeftJoin(sales, rates)))
	// Output:
	// {eur {30 {false 0}}}
	// {usd {10 {true 1.5}}}
	// {usd {20 {true 1.25}}}
	// {usd {40 {true 0}}}
}

func ExampleTemporalJoinWithDeletes() {
	p := pipeline.New()
	sales, rates := salesAndRates(p)
	printAll(p, pipeline.Pairs(transforms.TemporalJoinWithDeletes(sales, changes(rates))))
	// Output:
	// {usd {10 1.5}}
	// {usd {20 1.25}}
}

func ExampleTemporalLeftJoinWithDeletes() {
	p := pipeline.New()
	sales, rates := salesAndRates(p)
	printAll(p, pipeline.Pairs(transforms.TemporalLeftJoinWithDeletes(sales, changes(rates))))
	// Output:
	// {eur {30 {false 0}}}
	// {usd {10 {true 1.5}}}
	// {usd {20 {true 1.25}}}
	// {usd {40 {false 0}}}
}

// visitsAndNames is pages that users visit, and users' names, "" for one who has
// left, as they come in one stream.
func visitsAndNames(p *pipeline.Pipeline) (visits, names pipeline.Keyed[int, string]) {
	type event struct {
		User       int
		Page, Name string
	}
	events := pipeline.Create(p, event{1, "/early", ""}, event{1, "", "ann"}, event{1, "/home", ""}, event{1, "", ""}, event{1, "/late", ""})
	byUser := pipeline.KeyBy(events, func(e event) int { return e.User })
	return pipeline.MapValues(byUser.Filter(func(_ int, e event) bool { return e.Page != "" }), func(e event) string { return e.Page }),
		pipeline.MapValues(byUser.Filter(func(_ int, e event) bool { return e.Page == "" }), func(e event) string { return e.Name })
}

// here marks names that are empty as deletes.
func here(names pipeline.Keyed[int, string]) pipeline.Keyed[int, transforms.Optional[string]] {
	return pipeline.MapValues(names, func(n string) transforms.Optional[string] {
		return transforms.Optional[string]{OK: n != "", Value: n}
	})
}

func ExampleStreamTableJoin() {
	p := pipeline.New()
	visits, names := visitsAndNames(p)
	printInOrder(p, pipeline.Pairs(transforms.StreamTableJoin(visits, names)))
	// Output:
	// {1 {/home ann}}
	// {1 {/late }}
}

func ExampleStreamTableLeftJoin() {
	p := pipeline.New()
	visits, names := visitsAndNames(p)
	printInOrder(p, pipeline.Pairs(transforms.StreamTableLeftJoin(visits, names)))
	// Output:
	// {1 {/early {false }}}
	// {1 {/home {true ann}}}
	// {1 {/late {true }}}
}

func ExampleStreamTableJoinWithDeletes() {
	p := pipeline.New()
	visits, names := visitsAndNames(p)
	printInOrder(p, pipeline.Pairs(transforms.StreamTableJoinWithDeletes(visits, here(names))))
	// Output: {1 {/home ann}}
}

func ExampleStreamTableLeftJoinWithDeletes() {
	p := pipeline.New()
	visits, names := visitsAndNames(p)
	printInOrder(p, pipeline.Pairs(transforms.StreamTableLeftJoinWithDeletes(visits, here(names))))
	// Output:
	// {1 {/early {false }}}
	// {1 {/home {true ann}}}
	// {1 {/late {false }}}
}

// message is what a sender repeats when it hears no answer.
type message struct {
	ID, Second int64
	Text       string
}

func messages(p *pipeline.Pipeline) pipeline.PCollection[message] {
	return pipeline.EventTime(pipeline.Create(p, message{1, 0, "hello"}, message{1, 2, "hello"}, message{2, 4, "hello"}, message{1, 900, "hello"}),
		func(m message) time.Time { return time.Unix(m.Second, 0) })
}

func ExampleDeduplicate() {
	p := pipeline.New()
	texts := pipeline.Map(messages(p), func(m message) string { return m.Text })
	printAll(p, transforms.Deduplicate(texts, time.Hour))
	// Output: hello
}

// A message's number is used again after a quarter of an hour.
func ExampleDeduplicateBy() {
	p := pipeline.New()
	first := transforms.DeduplicateBy(messages(p), func(m message) int64 { return m.ID }, 10*time.Minute)
	printAll(p, pipeline.Map(first, func(m message) string { return fmt.Sprint(m.ID, " ", m.Text) }))
	// Output:
	// 1 hello
	// 1 hello
	// 2 hello
}

func ExampleDeduplicateKeys() {
	p := pipeline.New()
	byID := pipeline.MapValues(pipeline.KeyBy(messages(p), func(m message) int64 { return m.ID }), func(m message) string { return m.Text })
	printAll(p, pipeline.Pairs(transforms.DeduplicateKeys(byID, time.Hour)))
	// Output:
	// {1 hello}
	// {2 hello}
}

func ExampleDeduplicatePerKey() {
	p := pipeline.New()
	likes := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("ann", "tea"), pipeline.NewKV("bo", "tea"), pipeline.NewKV("ann", "tea")))
	printAll(p, pipeline.Pairs(transforms.DeduplicatePerKey(likes, time.Hour)))
	// Output:
	// {ann tea}
	// {bo tea}
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

func ExampleSortByTime() {
	p := pipeline.New()
	readings := pipeline.CreateTimestamped(p,
		pipeline.Timestamped[string]{Time: time.UnixMilli(30), Value: "third"},
		pipeline.Timestamped[string]{Time: time.UnixMilli(10), Value: "first"},
		pipeline.Timestamped[string]{Time: time.UnixMilli(20), Value: "second"})
	perSensor := pipeline.KeyBy(readings, func(string) int { return 1 })
	out := pipeline.Collect(transforms.Values(transforms.SortByTime(perSensor)))
	if _, err := local.Run(context.Background(), p, local.Config{Parallelism: 1}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(out.Values())
	// Output: [first second third]
}
