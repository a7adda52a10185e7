// Command join joins two CSV files: it adds up what the customers of each country
// have ordered, and lists orders of customers that nobody knows.
//
//	go run ./examples/join -customers customers.csv -orders 'orders-*.csv' -out totals.csv
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/millrace/millrace/io/csv"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	"github.com/millrace/millrace/transforms"
)

// customer is a record of the first file.
type customer struct {
	ID      int64  `csv:"id"`
	Name    string `csv:"name"`
	Country string `csv:"country"`
}

// order is a record of the second.
type order struct {
	Number   string `csv:"number"`
	Customer int64  `csv:"customer"`
	Cents    int64  `csv:"cents"`
}

// total is a record of what is written.
type total struct {
	Country string `csv:"country"`
	Orders  int64  `csv:"orders"`
	Cents   int64  `csv:"cents"`
}

func main() {
	customers := flag.String("customers", "examples/join/testdata/customers.csv", "customers, a glob")
	orders := flag.String("orders", "examples/join/testdata/orders.csv", "orders, a glob")
	out := flag.String("out", "", "write the totals here, too")
	var found *pipeline.Collected[total]
	var lost *pipeline.Collected[order]
	runners.Main(func(p *pipeline.Pipeline) {
		totals, unknown := join(csv.Read[customer](p, *customers), csv.Read[order](p, *orders))
		found, lost = pipeline.Collect(totals), pipeline.Collect(unknown)
		if *out != "" {
			csv.Write(totals, *out, text.Single())
		}
	})
	if found == nil {
		return
	}
	totals := found.Values()
	slices.SortFunc(totals, func(a, b total) int { return strings.Compare(a.Country, b.Country) })
	for _, t := range totals {
		fmt.Fprintf(os.Stdout, "%-12s %4d orders %10.2f\n", t.Country, t.Orders, float64(t.Cents)/100)
	}
	for _, o := range lost.Values() {
		fmt.Fprintf(os.Stdout, "order %s is of customer %d, who is unknown\n", o.Number, o.Customer)
	}
}

// sum adds up orders.
var sum = pipeline.Combiner[order, total, total]{
	Add:     func(a *total, o order) { a.Orders++; a.Cents += o.Cents },
	Merge:   func(a *total, b total) { a.Orders += b.Orders; a.Cents += b.Cents },
	Extract: func(a total) total { return a },
}

// join is the totals of each country, and the orders without a customer.
func join(customers pipeline.PCollection[customer], orders pipeline.PCollection[order]) (pipeline.PCollection[total], pipeline.PCollection[order]) {
	byID := pipeline.KeyBy(customers, func(c customer) int64 { return c.ID })
	byCustomer := pipeline.KeyBy(orders, func(o order) int64 { return o.Customer })
	joined := transforms.Values(transforms.LeftJoin(byCustomer, byID))
	known, unknown := pipeline.ParDo2(joined, func(_ *pipeline.DoFn, known pipeline.Emit[pipeline.KV[string, order]], unknown pipeline.Emit[order]) func(pipeline.Elem, transforms.Pair[order, transforms.Optional[customer]]) error {
		return func(_ pipeline.Elem, m transforms.Pair[order, transforms.Optional[customer]]) error {
			if m.Right.OK {
				known(pipeline.NewKV(m.Right.Value.Country, m.Left))
			} else {
				unknown(m.Left)
			}
			return nil
		}
	})
	totals := pipeline.MapKV(pipeline.CombinePerKey(pipeline.FromPairs(known), sum), func(country string, t total) total {
		t.Country = country
		return t
	})
	return totals, unknown
}
