package table_test

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/transforms/table"
)

func amount(o order) float64         { return o.Amount }
func status(_ int64, o order) string { return o.Status }
func paid(_ int64, o order) bool     { return o.Status == "paid" }
func buyer(o order) int64            { return o.Customer }

// exactly is the sum of the orders' amounts, rounded once.
func exactly(os []order) float64 {
	sum := new(big.Float).SetPrec(3000)
	for _, o := range os {
		sum.Add(sum, big.NewFloat(o.Amount))
	}
	f, _ := sum.Float64()
	return f
}

func least(os []order) float64 { return slices.Min(amounts(os)) }
func most(os []order) float64  { return slices.Max(amounts(os)) }

func amounts(os []order) (out []float64) {
	for _, o := range os {
		out = append(out, o.Amount)
	}
	return out
}

func byAmount(a, b order) int { return cmp.Compare(b.Amount, a.Amount) }

type (
	orders    = table.Table[int64, order]
	customers = table.Table[int64, customer]
)

func some[V any](v V) transforms.Optional[V] { return transforms.Optional[V]{OK: true, Value: v} }

func optional[K comparable, V any](m map[K]V, k K) (o transforms.Optional[V]) {
	o.Value, o.OK = m[k]
	return o
}

var queries = []query{
	{"rows", func(t *T, os orders, cs customers, o map[int64]order, c map[int64]customer) {
		folds(t, os, o)
		folds(t, cs, c)
		pipelinetest.EqualKeyed(t, table.Latest(os, "latest"), o)
	}},
	{"map and filter", func(t *T, os orders, _ customers, o map[int64]order, _ map[int64]customer) {
		folds(t, table.MapValues(os, amount), mapped(o, amount))
		folds(t, table.Filter(os, paid), filtered(o, paid))
		folds(t, table.Distinct(table.MapValues(os, func(o order) string { return o.Status })), mapped(o, func(o order) string { return o.Status }))
	}},
	{"out and in again", func(t *T, os orders, cs customers, o map[int64]order, c map[int64]customer) {
		folds(t, table.FromChanges(table.ToChanges(os), "again"), o)
		folds(t, table.FromOptionals(table.ToUpserts(cs), "again 2"), c)
	}},
	{"aggregates", func(t *T, os orders, _ customers, o map[int64]order, _ map[int64]customer) {
		by := table.GroupBy(os, status)
		want := group(o, status)
		folds(t, table.Aggregate(by, "count", table.Count[order]()), mapped(want, func(os []order) int64 { return int64(len(os)) }))
		folds(t, table.Aggregate(by, "sum", table.Sum(amount)), mapped(want, exactly))
		folds(t, table.Aggregate(by, "whole", table.Sum(buyer)), mapped(want, func(os []order) (n int64) {
			for _, o := range os {
				n += o.Customer
			}
			return n
		}))
		folds(t, table.Aggregate(by, "mean", table.Mean(amount)), mapped(want, func(os []order) float64 { return exactly(os) / float64(len(os)) }))
		folds(t, table.Aggregate(by, "min", table.Min(amount)), mapped(want, least))
		folds(t, table.Aggregate(by, "max", table.Max(amount)), mapped(want, most))
		folds(t, table.Aggregate(by, "distinct", table.CountDistinct(buyer)), mapped(want, func(os []order) int64 {
			seen := map[int64]bool{}
			for _, o := range os {
				seen[o.Customer] = true
			}
			return int64(len(seen))
		}))
		folds(t, table.Aggregate(by, "both", table.Both(table.Min(amount), table.Count[order]())), mapped(want, func(os []order) transforms.Pair[float64, int64] {
			return transforms.Pair[float64, int64]{Left: least(os), Right: int64(len(os))}
		}))
	}},
	{"first rows", func(t *T, os orders, _ customers, o map[int64]order, _ map[int64]customer) {
		first := table.Aggregate(table.GroupBy(os, status), "first", table.First(3, byAmount))
		folds(t, table.MapValues(first, amounts), mapped(group(o, status), func(os []order) []float64 {
			slices.SortFunc(os, byAmount)
			return amounts(os[:min(3, len(os))])
		}))
	}},
	{"aggregate of an aggregate", func(t *T, os orders, _ customers, o map[int64]order, _ map[int64]customer) {
		spent := table.Aggregate(table.GroupBy(os, func(_ int64, o order) int64 { return o.Customer }), "spent", table.Max(amount))
		histogram := table.Aggregate(table.GroupBy(spent, func(_ int64, most float64) int64 { return int64(most) }), "histogram", table.Count[float64]())
		want := group(mapped(group(o, func(_ int64, o order) int64 { return o.Customer }), most), func(_ int64, most float64) int64 { return int64(most) })
		folds(t, histogram, mapped(want, func(s []float64) int64 { return int64(len(s)) }))
	}},
	{"join by key", func(t *T, os orders, cs customers, o map[int64]order, c map[int64]customer) {
		inner, left, full := map[int64]transforms.Pair[order, customer]{}, map[int64]transforms.Pair[order, transforms.Optional[customer]]{}, map[int64]transforms.Pair[transforms.Optional[order], transforms.Optional[customer]]{}
		for k, v := range o {
			left[k] = transforms.Pair[order, transforms.Optional[customer]]{Left: v, Right: optional(c, k)}
			full[k] = transforms.Pair[transforms.Optional[order], transforms.Optional[customer]]{Left: some(v), Right: optional(c, k)}
			if r, ok := c[k]; ok {
				inner[k] = transforms.Pair[order, customer]{Left: v, Right: r}
			}
		}
		for k, v := range c {
			full[k] = transforms.Pair[transforms.Optional[order], transforms.Optional[customer]]{Left: optional(o, k), Right: some(v)}
		}
		folds(t, table.Join(os, cs, "inner"), inner)
		folds(t, table.LeftJoin(os, cs, "left"), left)
		folds(t, table.FullJoin(os, cs, "full"), full)
	}},
	{"join by a foreign key", func(t *T, os orders, cs customers, o map[int64]order, c map[int64]customer) {
		inner, left := map[int64]transforms.Pair[order, customer]{}, map[int64]transforms.Pair[order, transforms.Optional[customer]]{}
		for k, v := range o {
			left[k] = transforms.Pair[order, transforms.Optional[customer]]{Left: v, Right: optional(c, v.Customer)}
			if r, ok := c[v.Customer]; ok {
				inner[k] = transforms.Pair[order, customer]{Left: v, Right: r}
			}
		}
		folds(t, table.JoinOn(os, cs, buyer, "inner"), inner)
		folds(t, table.LeftJoinOn(os, cs, buyer, "left"), left)
	}},
	{"filter, join by a foreign key, group, filter", func(t *T, os orders, cs customers, o map[int64]order, c map[int64]customer) {
		type pair = transforms.Pair[order, customer]
		tier := func(_ int64, p pair) int64 { return p.Right.Tier }
		many := func(_ int64, n int64) bool { return n > 2 }
		byTier := table.GroupBy(table.JoinOn(table.Filter(os, paid), cs, buyer, "with customers"), tier)
		joined := map[int64]pair{}
		for k, v := range filtered(o, paid) {
			if r, ok := c[v.Customer]; ok {
				joined[k] = pair{Left: v, Right: r}
			}
		}
		counts := mapped(group(joined, tier), func(ps []pair) int64 { return int64(len(ps)) })
		folds(t, table.Filter(table.Aggregate(byTier, "count", table.Count[pair]()), many), filtered(counts, many))
	}},
	{"consolidated", func(t *T, os orders, _ customers, o map[int64]order, _ map[int64]customer) {
		folds(t, table.Consolidate(os, "rows", 20*time.Millisecond), o)
		counts := table.Aggregate(table.GroupBy(os, status), "count", table.Count[order]())
		folds(t, table.Consolidate(counts, "counts", 20*time.Millisecond), mapped(group(o, status), func(os []order) int64 { return int64(len(os)) }))
	}},
}
