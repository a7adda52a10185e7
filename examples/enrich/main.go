// Command enrich asks a web service about each order's product, many orders at a
// time, and adds up what was ordered from each shelf. Products that the service
// does not know are listed.
//
//	go run ./examples/enrich -orders 'orders-*.csv' -catalogue http://localhost:8080
//
// Without -catalogue it serves a small one itself.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/io/csv"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	"github.com/millrace/millrace/transforms"
)

// order is a record of the input.
type order struct {
	Number   string `csv:"number"`
	Product  string `csv:"product"`
	Quantity int64  `csv:"quantity"`
}

// calls is how many requests each lane has in flight at most.
const calls = 50

func main() {
	orders := flag.String("orders", "examples/enrich/testdata/orders.csv", "orders, a glob")
	base := flag.String("catalogue", "", "address of the catalogue; empty: a small one, served by this program")
	var sums *pipeline.Collected[pipeline.KV[string, int64]]
	var lost *pipeline.Collected[order]
	stop := func() {}
	runners.Main(func(p *pipeline.Pipeline) {
		if *base == "" {
			var err error
			if *base, stop, err = serve(shop()); err != nil {
				pipeline.Fail(p, "serve a catalogue: %w", err)
				return
			}
		}
		perShelf, unknown := enrich(csv.Read[order](p, *orders), newCatalogue(*base, calls))
		sums, lost = pipeline.Collect(perShelf), pipeline.Collect(unknown)
	})
	stop()
	if sums == nil {
		return
	}
	values := sums.Values()
	slices.SortFunc(values, func(a, b pipeline.KV[string, int64]) int { return strings.Compare(a.Key, b.Key) })
	for _, s := range values {
		fmt.Fprintf(os.Stdout, "%-10s %8.2f\n", s.Key, float64(s.Value)/100)
	}
	for _, o := range lost.Values() {
		fmt.Fprintf(os.Stdout, "order %s is of %q, which is in no catalogue\n", o.Number, o.Product)
	}
}

// enrich is the cents ordered from each shelf, and the orders of unknown products.
// Prices are remembered for a minute, and for ten seconds that there is none.
func enrich(orders pipeline.PCollection[order], c *catalogue) (pipeline.PCollection[pipeline.KV[string, int64]], pipeline.PCollection[order]) {
	byProduct := pipeline.KeyBy(orders, func(o order) string { return o.Product })
	priced := transforms.LookupLeftJoin(byProduct, c.product,
		transforms.Cache{Size: 10_000, TTL: time.Minute, MissTTL: 10 * time.Second},
		pipeline.Concurrency(calls),
		pipeline.CallTimeout(5*time.Second),
		pipeline.CallRetries(3),
		pipeline.Named("catalogue"))
	known := priced.Filter(func(_ string, m transforms.Pair[order, transforms.Optional[product]]) bool { return m.Right.OK })
	unknown := priced.Filter(func(_ string, m transforms.Pair[order, transforms.Optional[product]]) bool { return !m.Right.OK })
	cents := pipeline.MapKV(known, func(_ string, m transforms.Pair[order, transforms.Optional[product]]) pipeline.KV[string, int64] {
		return pipeline.NewKV(m.Right.Value.Shelf, m.Left.Quantity*m.Right.Value.Cents)
	})
	lost := pipeline.MapKV(unknown, func(_ string, m transforms.Pair[order, transforms.Optional[product]]) order { return m.Left })
	return pipeline.Pairs(transforms.Sum(pipeline.FromPairs(cents))), lost
}
