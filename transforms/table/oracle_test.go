package table_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/transforms/table"
	"github.com/stretchr/testify/require"
)

type T = pipelinetest.T

// order is a row of the left table of the tests.
type order struct {
	Customer int64
	Amount   float64
	Status   string
}

// customer is a row of the right one.
type customer struct {
	Name string
	Tier int64
}

// event is a record of both feeds, as one: which table, and what the row becomes.
type event struct {
	Key      int64
	Seq      int64
	Right    bool
	Gone     bool
	Order    order
	Customer customer
	At       int64 // event time, ms
}

// lanesMax is a multiple of all numbers of lanes that tests run with: event i has a
// key that is i modulo lanesMax, so that a generator that deals events to its lanes in
// turn sends all of a key from one, in order.
const lanesMax = 6

// feed is n events of few keys, so that rows come and go often.
func feed(seed uint64, n int) (out []event) {
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		e := event{Key: int64(i%lanesMax) + lanesMax*r.Int64N(4), Seq: int64(i), Right: r.IntN(4) == 0, Gone: r.IntN(4) == 0, At: int64(i)}
		if !e.Gone && e.Right {
			e.Customer = customer{fmt.Sprintf("c%d", r.IntN(3)), r.Int64N(3)}
		} else if !e.Gone {
			e.Order = order{r.Int64N(30), float64(r.IntN(100)) / 10, []string{"new", "paid", "sent"}[r.IntN(3)]}
		}
		out = append(out, e)
	}
	return out
}

// rows is the two tables after the events: the oracle's inputs.
func rows(events []event) (orders map[int64]order, customers map[int64]customer) {
	orders, customers = map[int64]order{}, map[int64]customer{}
	for _, e := range events {
		switch {
		case e.Right && e.Gone:
			delete(customers, e.Key)
		case e.Right:
			customers[e.Key] = e.Customer
		case e.Gone:
			delete(orders, e.Key)
		default:
			orders[e.Key] = e.Order
		}
	}
	return orders, customers
}

// source is a way to bring events to a pipeline.
type source struct {
	name string
	make func(p *pipeline.Pipeline, events []event) pipeline.PCollection[event]
	opts []table.Option
}

var version = table.Version(func(e event) int64 { return e.Seq })

// sources differ in what they promise of the order.
var sources = []source{
	{"each key's events in order from one lane", func(p *pipeline.Pipeline, events []event) pipeline.PCollection[event] {
		return pipeline.Generate(p, uint64(len(events)), func(i uint64, e *event) { *e = events[i] })
	}, nil},
	{"one key after the other", func(p *pipeline.Pipeline, events []event) pipeline.PCollection[event] {
		events = slices.Clone(events)
		slices.SortStableFunc(events, func(a, b event) int { return int(a.Key - b.Key) })
		return pipeline.Create(p, events...)
	}, []table.Option{version}},
	{"in no order, some of them twice", func(p *pipeline.Pipeline, events []event) pipeline.PCollection[event] {
		events = append(slices.Clone(events), events[:len(events)/3]...)
		rand.New(rand.NewPCG(7, 7)).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		return pipeline.Create(p, events...)
	}, []table.Option{version}},
}

func (s source) tables(p *pipeline.Pipeline, events []event) (table.Table[int64, order], table.Table[int64, customer]) {
	timed := pipeline.EventTimeMs(s.make(p, events), func(e event) int64 { return e.At }, pipeline.OutOfOrder(100*time.Millisecond))
	all := pipeline.KeyBy(timed, func(e event) int64 { return e.Key })
	orders := table.From(all.Filter(func(_ int64, e event) bool { return !e.Right }), "orders",
		func(e event) (order, bool) { return e.Order, !e.Gone }, s.opts...)
	customers := table.From(all.Filter(func(_ int64, e event) bool { return e.Right }), "customers",
		func(e event) (customer, bool) { return e.Customer, !e.Gone }, s.opts...)
	return orders, customers
}

// fold applies changes, in the order of each key, and checks that each takes back
// what stands there.
func fold[K comparable, V any](t require.TestingT, changes []pipeline.KV[K, table.Change[V]]) map[K]V {
	rows := map[K]V{}
	for i, c := range changes {
		old, stands := rows[c.Key]
		switch c.Value.Kind {
		case table.Insert:
			require.Falsef(t, stands, "change %d, %v of key %v: %v stands there", i, c.Value, c.Key, old)
			rows[c.Key] = c.Value.New
		case table.Update:
			require.Truef(t, stands, "change %d, %v of key %v: nothing stands there", i, c.Value, c.Key)
			require.Equalf(t, old, c.Value.Old, "change %d of key %v takes back what is not there", i, c.Key)
			rows[c.Key] = c.Value.New
		case table.Delete:
			require.Truef(t, stands, "change %d, %v of key %v: nothing stands there", i, c.Value, c.Key)
			require.Equalf(t, old, c.Value.Old, "change %d of key %v takes back what is not there", i, c.Key)
			delete(rows, c.Key)
		default:
			require.Failf(t, "no change", "%v", c)
		}
	}
	return rows
}

// folds asserts that the changes of a table are exact, one by one, and give want.
func folds[K comparable, V any](t *T, got table.Table[K, V], want map[K]V) {
	t.Helper()
	pipelinetest.Satisfies(t, pipeline.Pairs(table.ToChanges(got)), func(t *T, changes []pipeline.KV[K, table.Change[V]]) {
		t.Helper()
		require.Equal(t, want, fold(t, changes))
	})
}

// query is a query over the two tables, and what it should give, from scratch.
type query struct {
	name  string
	check func(t *T, orders table.Table[int64, order], customers table.Table[int64, customer], o map[int64]order, c map[int64]customer)
}

// Goal: each query gives, over changing tables, what it gives over the tables that
// they have become, and every change on the way is exact. Method: random rows that
// come, change and go, from several kinds of sources, in all ways to run; the oracle
// computes from scratch.
func TestQueries_asFromScratch(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 600
	}
	for _, src := range sources {
		t.Run(src.name, func(t *testing.T) {
			for _, q := range queries {
				t.Run(q.name, func(t *testing.T) {
					events := feed(uint64(len(q.name)), n)
					o, c := rows(events)
					pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
						orders, customers := src.tables(p, events)
						q.check(t, orders, customers, o, c)
					})
				})
			}
		})
	}
}

// group gathers rows as GroupBy does.
func group[K, G comparable, V any](rows map[K]V, key func(K, V) G) map[G][]V {
	out := map[G][]V{}
	for k, v := range rows {
		out[key(k, v)] = append(out[key(k, v)], v)
	}
	return out
}

// mapped is m with other values.
func mapped[K comparable, V, W any](m map[K]V, f func(V) W) map[K]W {
	out := map[K]W{}
	for k, v := range m {
		out[k] = f(v)
	}
	return out
}

// filtered is the part of m that is kept.
func filtered[K comparable, V any](m map[K]V, keep func(K, V) bool) map[K]V {
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(k K, v V) bool { return !keep(k, v) })
	return m
}
