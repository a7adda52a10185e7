package upgrade_test

import (
	"fmt"
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

			p, after := built(elements, makeSale2)
			m := upgrade.ManifestOf(p.Graph())
			r := upgrade.Plan(store.Last().Manifest, m, upgrade.Options{})
			require.NoError(t, r.Err())
			seen := map[string]int{}
			x := newTaken(t, p.Graph(), seen, new(sync.Mutex))
			to := movedTo(t, store, r, m)
			require.NoError(t, to.Rows(commit.Want{}, func(row commit.Row) error { x.row(row); return nil }))
			for _, part := range []string{graph.PartValue, graph.PartBag, graph.PartSet, graph.PartMap, graph.PartCombining, graph.PartOrderedList, graph.PartEventTimer,
				graph.PartEventTimers, graph.PartClockTimer, graph.PartGrouped, graph.PartCombined, graph.PartSliced, graph.PartPaned, graph.PartMerging, graph.PartView, graph.PartHeld, graph.PartBroadcast} {
				assert.Positive(t, seen[part], part)
			}
			_, err = engine.Run(t.Context(), p.Graph(), configOf(t, p.Graph(), tc.lanes, to))
			require.NoError(t, err)
			require.Equal(t, want, texts(append(before, after...)...))
		})
	}
}
