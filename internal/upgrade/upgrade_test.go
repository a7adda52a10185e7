package upgrade_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// configOf is that of a run with an epoch after each element, at one instant.
func configOf(t *testing.T, g *graph.Graph, lanes int, s commit.Store) engine.Config {
	return engine.Config{Lanes: lanes, EpochBundles: 1, Store: s, Manifest: upgrade.ManifestOf(g), TempDir: t.TempDir(),
		Now: func() time.Time { return time.Unix(1e9, 0) }}
}

// moved carries out a plan: a new store with the rows that the new version is to read.
func movedTo(t *testing.T, s *commit.Memory, r *upgrade.Result, m commit.Manifest) *commit.Memory {
	t.Helper()
	rec := *s.Last()
	to := commit.NewMemory()
	e := to.Begin(rec.Lanes)
	e.Whole()
	require.NoError(t, s.Rows(commit.Want{}, func(row commit.Row) error {
		name, _ := r.Name(row.Node)
		w := e.Lane(max(row.Lane, 0))
		put := func(group int, key, val []byte) {
			w.Node(name)
			w.Put(group, key, val)
		}
		if f := r.Migration(row.Node); f != nil {
			return f(row.Group, row.Key, row.Val, put)
		}
		put(row.Group, row.Key, row.Val)
		return nil
	}))
	rec.Manifest = m
	splits := map[string][]commit.Split{}
	for root, list := range rec.Splits {
		if name, ok := r.Name(root); ok {
			splits[name] = list
		}
	}
	rec.Splits = splits
	require.NoError(t, e.Commit(&rec))
	return to
}

const elements = 90

func built[E sale](fail int, make func(int) E) (*pipeline.Pipeline, []*pipeline.Collected[string]) {
	p := pipeline.New()
	sideFail := fail
	if fail < elements {
		sideFail = fail / 3
	}
	out := shop(p, numbers[E]{elements, fail, false, make}, numbers[E]{elements / 3, sideFail, true, make})
	return p, out
}

// texts is all that was collected, sorted.
func texts(outs ...*pipeline.Collected[string]) (all []string) {
	for _, o := range outs {
		all = append(all, o.Values()...)
	}
	slices.Sort(all)
	return all
}

// Goal: a job whose element type has changed goes on as if it had always been the new
// one. Method: a pipeline with every kind of state is stopped in the middle, its rows
// are migrated, and the pipeline of the new type goes on from them; what both have put
// out must be what the new one alone puts out.
func TestUpgrade_goesOnExactly(t *testing.T) {
	p, all := built(elements, makeSale2)
	require.NoError(t, p.Err())
	_, err := engine.Run(t.Context(), p.Graph(), configOf(t, p.Graph(), 2, commit.NewMemory()))
	require.NoError(t, err)
	want := texts(all...)

	for _, tc := range []struct{ fail, lanes int }{{31, 1}, {31, 2}, {58, 2}, {83, 1}} {
		t.Run(fmt.Sprintf("at element %d on %d lanes", tc.fail, tc.lanes), func(t *testing.T) {
			old, before := built(tc.fail, makeSale1)
			require.NoError(t, old.Err())
			store := commit.NewMemory()
			_, err := engine.Run(t.Context(), old.Graph(), configOf(t, old.Graph(), tc.lanes, store))
			require.ErrorIs(t, err, errNewVersion)
			require.NotNil(t, store.Last())
			require.NotEmpty(t, texts(before...))

			p, after := built(elements, makeSale2)
			m := upgrade.ManifestOf(p.Graph())
			r := upgrade.Plan(store.Last().Manifest, m, upgrade.Options{})
			require.NoError(t, r.Err())
			seen := map[string]int{}
			x := newTaken(t, p.Graph(), seen, new(sync.Mutex))
			to := movedTo(t, store, r, m)
			require.NoError(t, to.Rows(commit.Want{}, func(row commit.Row) error { x.row(row); return nil }))
			for _, part := range []string{graph.PartValue, graph.PartBag, graph.PartSet, graph.PartMap, graph.PartCombining, graph.PartOrderedList, graph.PartEventTimer,
				graph.PartEventTimers, graph.PartClockTimer, graph.PartGrouped, graph.PartCombined, graph.PartSliced, graph.PartPaned, graph.PartMerging, graph.PartView, graph.PartPanes, graph.PartHeld, graph.PartWaiting, graph.PartBroadcast, "apart"} {
				assert.Positive(t, seen[part], part)
			}
			_, err = engine.Run(t.Context(), p.Graph(), configOf(t, p.Graph(), tc.lanes, to))
			require.NoError(t, err)
			require.Equal(t, want, texts(append(before, after...)...))
		})
	}
}

// Lateness, and a collection of what is late, can be added to windows that are open.
func TestUpgrade_latenessIsAdded(t *testing.T) {
	build := func(fail int, late bool) (*pipeline.Pipeline, []*pipeline.Collected[string]) {
		p := pipeline.New()
		in := pipeline.EventTimeMs(pipeline.Read[sale1](p, "numbers.Read", numbers[sale1]{elements, fail, false, makeSale1}), func(e sale1) int64 { return e.id() * 1000 })
		var opts []window.Option
		named := func(name string) []pipeline.Option { return []pipeline.Option{pipeline.Named(name)} }
		if late {
			opts = []window.Option{window.AllowedLateness(time.Hour)}
			var lateOnes pipeline.Keyed[string, pipeline.Late[sale1]]
			named = func(name string) []pipeline.Option {
				return []pipeline.Option{pipeline.Named(name), pipeline.LateTo(&lateOnes)}
			}
		}
		w := pipeline.KeyBy(in, func(e sale1) string { return fmt.Sprint("k", e.id()%3) }).Windowed(window.Fixed(20*time.Second), opts...)
		group := pipeline.MapKV(pipeline.GroupByKey(w, named("group")...), func(k string, vs iter.Seq[sale1]) string {
			var texts []string
			for v := range vs {
				texts = append(texts, v.text())
			}
			return fmt.Sprint(k, texts)
		})
		sum := pipeline.MapKV(pipeline.CombinePerKey(w, totalling[sale1](true), named("sum")...), func(k, s string) string { return k + s })
		return p, []*pipeline.Collected[string]{pipeline.Collect(group, pipeline.Named("a")), pipeline.Collect(sum, pipeline.Named("b"))}
	}
	p, all := build(elements, true)
	require.NoError(t, p.Err())
	_, err := engine.Run(t.Context(), p.Graph(), configOf(t, p.Graph(), 2, commit.NewMemory()))
	require.NoError(t, err)

	old, before := build(50, false)
	store := commit.NewMemory()
	_, err = engine.Run(t.Context(), old.Graph(), configOf(t, old.Graph(), 2, store))
	require.ErrorIs(t, err, errNewVersion)
	p, after := build(elements, true)
	m := upgrade.ManifestOf(p.Graph())
	r := upgrade.Plan(store.Last().Manifest, m, upgrade.Options{})
	require.NoError(t, r.Err())
	require.Contains(t, r.String(), "windows that fired once may have further panes")
	_, err = engine.Run(t.Context(), p.Graph(), configOf(t, p.Graph(), 2, movedTo(t, store, r, m)))
	require.NoError(t, err)
	require.Equal(t, texts(all...), texts(append(before, after...)...))
}

// A key that is parked stays so, and what waits is of the new type; a sink goes on from
// its own state.
func TestUpgrade_parkedKeysAndSinks(t *testing.T) {
	p := pipeline.New()
	sumParked[sale1](p, numbers[sale1]{elements, 40, false, makeSale1})
	require.NoError(t, p.Err())
	store := commit.NewMemory()
	cfg := configOf(t, p.Graph(), 2, store)
	cfg.OnError = engine.Park
	_, err := engine.Run(t.Context(), p.Graph(), cfg)
	require.ErrorIs(t, err, errNewVersion)

	q := pipeline.New()
	sumParked[sale2](q, numbers[sale2]{elements, elements, false, makeSale2})
	m := upgrade.ManifestOf(q.Graph())
	r, err := upgrade.Check(store, m, upgrade.Options{})
	require.NoError(t, err)
	require.NoError(t, r.Err())
	seen := map[string]int{}
	x := newTaken(t, q.Graph(), seen, new(sync.Mutex))
	var parked []string
	require.NoError(t, movedTo(t, store, r, m).Rows(commit.Want{}, func(row commit.Row) error {
		x.row(row)
		if e, err := x.layouts[row.Node].Split(row.Key, row.Val); err == nil && e.Kind == upgrade.ParkedRow {
			text, err := e.AppendJSON(nil)
			require.NoError(t, err)
			parked = append(parked, string(text))
		}
		return nil
	}))
	require.Len(t, parked, 1)
	require.Contains(t, parked[0], `{"key":"k1","parked":{"cause":"no sevens","elements":[{"time":"1970-01-01T00:00:07Z","value":{"ID":7,"Added":null,"Items":[{"New":{},"Price":-7}],"Pair":[1,7],"Rate":0}},`)

	type other struct{ ID string } // nothing that a sale may become
	z := pipeline.New()
	in := pipeline.Read[other](z, "numbers.Read", numbers[other]{elements, elements, false, func(int) other { return other{} }})
	pipeline.Collect(pipeline.Stateful(pipeline.KeyBy(in, func(o other) string { return o.ID }), "sum", func(s *pipeline.Setup[string, string]) pipeline.Process[string, other, string] {
		pipeline.ValueState[int64](s, "sum")
		return func(*pipeline.Ctx[string], other, pipeline.Emit[string]) error { return nil }
	}))
	r = upgrade.Plan(store.Last().Manifest, upgrade.ManifestOf(z.Graph()), upgrade.Options{})
	require.NoError(t, r.Err(), "elements are seldom parked")
	var failed error
	require.NoError(t, store.Rows(commit.Want{Node: func(n string) bool { return n == "sum" }}, func(row commit.Row) error {
		failed = errors.Join(failed, r.Migration("sum")(row.Group, row.Key, row.Val, func(int, []byte, []byte) {}))
		return nil
	}))
	require.ErrorContains(t, failed, "elements are parked at it that its new version does not take: field ID: int32 cannot become string")
}

func sumParked[E sale](p *pipeline.Pipeline, src numbers[E]) {
	in := pipeline.EventTimeMs(pipeline.Read[E](p, "numbers.Read", src), func(e E) int64 { return e.id() * 1000 })
	pipeline.Collect(pipeline.Stateful(pipeline.KeyBy(in, func(e E) string { return fmt.Sprint("k", e.id()%3) }), "sum", func(s *pipeline.Setup[string, string]) pipeline.Process[string, E, string] {
		sum := pipeline.ValueState[int64](s, "sum")
		return func(c *pipeline.Ctx[string], e E, _ pipeline.Emit[string]) error {
			if e.id() == 7 {
				return errors.New("no sevens")
			}
			sum.Set(c, sum.Get(c)+e.id())
			return nil
		}
	}))
}
