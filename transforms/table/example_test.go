package table_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/transforms/table"
)

// printChanges runs p on one lane and prints the changes of a table as they come.
func printChanges[K comparable, V any](p *pipeline.Pipeline, t table.Table[K, V]) {
	printAll(p, pipeline.MapKV(table.ToChanges(t), func(k K, c table.Change[V]) string { return fmt.Sprintf("%v: %v", k, c) }))
}

func printAll[E any](p *pipeline.Pipeline, c pipeline.PCollection[E]) {
	out := pipeline.Collect(c)
	if _, err := local.Run(context.Background(), p, local.Config{Parallelism: 1}); err != nil {
		fmt.Println(err)
	}
	for _, v := range out.Values() {
		fmt.Println(v)
	}
}

// row is a shorthand of the examples.
func row[V any](k string, v V) pipeline.KV[string, V] { return pipeline.NewKV(k, v) }

func prices(p *pipeline.Pipeline) table.Table[string, int] {
	return table.FromUpserts(pipeline.FromPairs(pipeline.Create(p, row("tea", 3), row("milk", 2), row("tea", 4), row("milk", 5))), "prices")
}

func ExampleFromUpserts() {
	p := pipeline.New()
	printChanges(p, table.FromUpserts(pipeline.FromPairs(pipeline.Create(p, row("tea", 3), row("tea", 3), row("tea", 4))), "prices"))
	// Output:
	// tea: +I 3
	// tea: U 3 -> 4
}

func ExampleFromOptionals() {
	p := pipeline.New()
	topic := pipeline.Create(p, row("tea", transforms.Optional[int]{OK: true, Value: 3}), row("tea", transforms.Optional[int]{}))
	printChanges(p, table.FromOptionals(pipeline.FromPairs(topic), "prices"))
	// Output:
	// tea: +I 3
	// tea: -D 3
}

func ExampleFromChanges() {
	p := pipeline.New()
	feed := pipeline.Create(p, row("tea", table.Change[int]{Kind: table.Update, Old: 2, New: 3}), row("tea", table.Change[int]{Kind: table.Delete, Old: 3}))
	printChanges(p, table.FromChanges(pipeline.FromPairs(feed), "prices"))
	// Output:
	// tea: +I 3
	// tea: -D 3
}

// A record of any type makes a table, here one in which zero is gone.
func ExampleFrom() {
	p := pipeline.New()
	stock := pipeline.FromPairs(pipeline.Create(p, row("tea", 3), row("tea", 0)))
	printChanges(p, table.From(stock, "stock", func(n int) (int, bool) { return n, n > 0 }))
	// Output:
	// tea: +I 3
	// tea: -D 3
}

// What an older record says is not news.
func ExampleVersion() {
	p := pipeline.New()
	type price struct{ Seq, Cents int }
	feed := pipeline.Create(p, row("tea", price{1, 300}), row("tea", price{3, 400}), row("tea", price{2, 350}))
	printChanges(p, table.FromUpserts(pipeline.FromPairs(feed), "prices", table.Version(func(v price) int64 { return int64(v.Seq) })))
	// Output:
	// tea: +I {1 300}
	// tea: U {1 300} -> {3 400}
}

func ExampleDebezium() {
	p := pipeline.New()
	type item struct {
		ID    int
		Price float64
	}
	topic := pipeline.Create(p,
		[]byte(`{"op": "c", "after": {"id": 7, "price": 3.5}}`),
		[]byte(`{"op": "u", "after": {"id": 7, "price": 4}}`),
		[]byte(`{"op": "d", "before": {"id": 7}}`),
		[]byte(``)) // the tombstone
	byID := pipeline.KeyBy(table.Debezium[item](topic), func(e table.Envelope[item]) int { return e.Row().ID })
	printChanges(p, table.FromEnvelopes(byID, "items"))
	// Output:
	// 7: +I {7 3.5}
	// 7: U {7 3.5} -> {7 4}
	// 7: -D {7 4}
}

func ExampleToUpserts() {
	p := pipeline.New()
	topic := pipeline.Create(p, row("tea", transforms.Optional[int]{OK: true, Value: 3}), row("tea", transforms.Optional[int]{}))
	printAll(p, pipeline.Pairs(table.ToUpserts(table.FromOptionals(pipeline.FromPairs(topic), "prices"))))
	// Output:
	// {tea {true 3}}
	// {tea {false 0}}
}

func ExampleToEntries() {
	p := pipeline.New()
	tea := table.Filter(prices(p), func(name string, _ int) bool { return name == "tea" })
	printAll(p, pipeline.Pairs(table.ToEntries(tea)))
	// Output:
	// {tea +I 3}
	// {tea -U 3}
	// {tea +U 4}
}

func ExampleToChanges() {
	p := pipeline.New()
	deleted := table.ToChanges(prices(p)).Filter(func(_ string, c table.Change[int]) bool { return c.Kind == table.Update })
	printAll(p, pipeline.MapKV(deleted, func(name string, c table.Change[int]) string { return fmt.Sprintf("%s: %+d", name, c.New-c.Old) }))
	// Output:
	// tea: +1
	// milk: +3
}

func ExampleLatest() {
	p := pipeline.New()
	printAll(p, pipeline.Pairs(table.Latest(table.Filter(prices(p), func(name string, _ int) bool { return name == "tea" }), "latest")))
	// Output: {tea 4}
}

func ExampleMapValues() {
	p := pipeline.New()
	cheap := table.MapValues(prices(p), func(price int) bool { return price < 4 })
	printChanges(p, cheap)
	// Output:
	// tea: +I true
	// milk: +I true
	// tea: U true -> false
	// milk: U true -> false
}

func ExampleFilter() {
	p := pipeline.New()
	printChanges(p, table.Filter(prices(p), func(_ string, price int) bool { return price < 4 }))
	// Output:
	// tea: +I 3
	// milk: +I 2
	// tea: -D 3
	// milk: -D 2
}

func ExampleDistinct() {
	p := pipeline.New()
	small := table.MapValues(prices(p), func(price int) bool { return price < 5 })
	printChanges(p, table.Distinct(small)) // the tea's update from true to true is gone
	// Output:
	// tea: +I true
	// milk: +I true
	// milk: U true -> false
}

// player is a row of a game's table.
type player struct {
	Team  string
	Score int
}

func players(p *pipeline.Pipeline) table.Table[string, player] {
	return table.FromUpserts(pipeline.FromPairs(pipeline.Create(p,
		row("ann", player{"red", 5}), row("bo", player{"red", 9}), row("ann", player{"blue", 6}), row("bo", player{"red", 2}))), "players")
}

func team(_ string, v player) string { return v.Team }
func score(v player) int             { return v.Score }

func ExampleGroupBy() {
	p := pipeline.New()
	printChanges(p, table.Aggregate(table.GroupBy(players(p), team), "players of a team", table.Count[player]()))
	// Output:
	// red: +I 1
	// red: U 1 -> 2
	// red: U 2 -> 1
	// blue: +I 1
}

func ExampleAggregate() {
	p := pipeline.New()
	printChanges(p, table.Aggregate(table.GroupBy(players(p), team), "best of a team", table.Max(score)))
	// Output:
	// red: +I 5
	// red: U 5 -> 9
	// blue: +I 6
	// red: U 9 -> 2
}

// An aggregator of one's own says how to take a row out again.
func ExampleAggregator() {
	p := pipeline.New()
	parity := table.Aggregator[player, int, string]{
		Add:     func(odd *int, v player) { *odd += v.Score % 2 },
		Sub:     func(odd *int, v player) { *odd -= v.Score % 2 },
		Extract: func(odd int) string { return fmt.Sprint(odd, " odd") },
	}
	printChanges(p, table.Aggregate(table.GroupBy(players(p), team), "odd scores", parity))
	// Output:
	// red: +I 1 odd
	// red: U 1 odd -> 2 odd
	// red: U 2 odd -> 1 odd
	// blue: +I 0 odd
	// red: U 1 odd -> 0 odd
}

func ExampleBoth() {
	p := pipeline.New()
	all := table.GroupBy(players(p), func(string, player) string { return "all" })
	printChanges(p, table.Aggregate(all, "totals", table.Both(table.Sum(score), table.Mean(score))))
	// Output:
	// all: +I {5 5}
	// all: U {5 5} -> {14 7}
	// all: U {14 7} -> {15 7.5}
	// all: U {15 7.5} -> {8 4}
}

func ExampleFirst() {
	p := pipeline.New()
	all := table.GroupBy(players(p), func(string, player) string { return "leaders" })
	leaders := table.First(1, func(a, b player) int { return cmp.Compare(b.Score, a.Score) })
	printChanges(p, table.Aggregate(all, "leaders", leaders))
	// Output:
	// leaders: +I [{red 5}]
	// leaders: U [{red 5}] -> [{red 9}]
	// leaders: U [{red 9}] -> [{blue 6}]
}

func ExampleJoin() {
	p := pipeline.New()
	stock := table.FromUpserts(pipeline.FromPairs(pipeline.Create(p, row("tea", 70))), "stock")
	printAll(p, pipeline.Pairs(table.Latest(table.Join(prices(p), stock, "offers"), "latest")))
	// Output: {tea {4 70}}
}

func ExampleLeftJoin() {
	p := pipeline.New()
	stock := table.FromUpserts(pipeline.FromPairs(pipeline.Create(p, row("tea", 70))), "stock")
	offers := table.MapValues(table.LeftJoin(prices(p), stock, "offers"), func(v transforms.Pair[int, transforms.Optional[int]]) string {
		return fmt.Sprintf("%d of %d", v.Right.Value, v.Left)
	})
	milk := table.Filter(offers, func(name string, _ string) bool { return name == "milk" })
	printAll(p, pipeline.Pairs(table.Latest(milk, "latest")))
	// Output: {milk 0 of 5}
}

func ExampleFullJoin() {
	p := pipeline.New()
	stock := table.FromUpserts(pipeline.FromPairs(pipeline.Create(p, row("salt", 30))), "stock")
	unpriced := table.Filter(table.FullJoin(prices(p), stock, "offers"), func(_ string, v transforms.Pair[transforms.Optional[int], transforms.Optional[int]]) bool {
		return !v.Left.OK
	})
	printAll(p, pipeline.Pairs(table.Latest(unpriced, "latest")))
	// Output: {salt {{false 0} {true 30}}}
}

// Orders name their customer; a customer's change changes all of their orders.
func ExampleJoinOn() {
	p := pipeline.New()
	type sale struct{ Buyer, Item string }
	sales := table.FromUpserts(pipeline.FromPairs(pipeline.Create(p, row("#1", sale{"ann", "tea"}), row("#2", sale{"ann", "milk"}))), "sales")
	cities := table.FromUpserts(pipeline.FromPairs(pipeline.Create(p, row("ann", "Oslo"), row("ann", "Bergen"))), "cities")
	joined := table.JoinOn(sales, cities, func(s sale) string { return s.Buyer }, "sales with cities")
	where := table.MapValues(joined, func(v transforms.Pair[sale, string]) string { return v.Left.Item + " to " + v.Right })
	first := table.Filter(where, func(id, _ string) bool { return id == "#1" })
	printAll(p, pipeline.Pairs(table.Latest(first, "latest")))
	// Output: {#1 tea to Bergen}
}

func ExampleLeftJoinOn() {
	p := pipeline.New()
	sales := table.FromUpserts(pipeline.FromPairs(pipeline.Create(p, row("#1", "ann"))), "sales")
	cities := table.FromUpserts(pipeline.FromPairs(pipeline.Create(p, row("bo", "Oslo"))), "cities")
	printChanges(p, table.LeftJoinOn(sales, cities, strings.ToLower, "sales with cities"))
	// Output: #1: +I {ann {false }}
}

// A reading each second, and one change a minute.
func ExampleConsolidate() {
	p := pipeline.New()
	seconds := pipeline.EventTime(pipeline.GenerateSequence(p, 100), func(s uint64) time.Time { return time.Unix(int64(s), 0) })
	latest := table.FromUpserts(pipeline.KeyBy(seconds, func(uint64) string { return "gauge" }), "latest")
	printChanges(p, table.Consolidate(latest, "each minute", time.Minute))
	// Output:
	// gauge: +I 59
	// gauge: U 59 -> 99
}
