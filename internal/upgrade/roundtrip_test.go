package upgrade_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/conformance"
)

// watched is a store in memory that shows all of its rows after each epoch.
type watched struct {
	*commit.Memory
	show func(commit.Row)
}

func (w watched) Begin(lanes int) commit.Epoch { return watchedEpoch{w.Memory.Begin(lanes), w} }

type watchedEpoch struct {
	commit.Epoch
	w watched
}

func (e watchedEpoch) Commit(rec *commit.Record) error {
	if err := e.Epoch.Commit(rec); err != nil {
		return err
	}
	return e.w.Rows(commit.Want{}, func(r commit.Row) error {
		e.w.show(r)
		return nil
	})
}

// taken takes rows apart and puts them together again, by way of JSON, too.
type taken struct {
	t       *testing.T
	layouts map[string]*upgrade.Layout
	mu      *sync.Mutex
	seen    map[string]int // by kind of part
}

func newTaken(t *testing.T, g *graph.Graph, seen map[string]int, mu *sync.Mutex) *taken {
	x := &taken{t, map[string]*upgrade.Layout{}, mu, seen}
	for _, n := range upgrade.ManifestOf(g).Nodes {
		l, err := upgrade.LayoutOf(n)
		require.NoError(t, err)
		x.layouts[n.Name] = l
	}
	return x
}

func (x *taken) row(r commit.Row) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.t
	l := x.layouts[r.Node]
	if !assert.NotNil(t, l, r.Node) {
		return
	}
	e, err := l.Split(r.Key, r.Val)
	if !assert.NoError(t, err, "%s: % x", r.Node, r.Val) {
		return
	}
	if r.Group >= 0 && e.Name == nil {
		assert.NotNil(t, e.KeyType)
	}
	key, val, err := l.Join(e)
	assert.NoError(t, err)
	assert.Equal(t, r.Key, key, r.Node)
	assert.Equal(t, string(r.Val), string(val), r.Node)
	text, err := e.AppendJSON(nil)
	assert.NoError(t, err)
	assert.True(t, json.Valid(text), "%s", text)
	if e.Kind == upgrade.PartRow {
		x.seen["apart"]++
	}
	for i, p := range e.Parts {
		x.seen[p.Kind]++
		text, _, err := p.Type.AppendJSON(nil, p.Bytes)
		assert.NoError(t, err)
		b, err := p.Type.FromJSON(nil, text)
		assert.NoError(t, err)
		assert.Equal(t, string(p.Bytes), string(b), "%s", text)
		e.Parts[i].Bytes = slices.Clone(b)
	}
}

// Goal: every row that operators write is as declared. Method: the random pipelines of
// the conformance tests, an epoch after each bundle, and each row of each epoch taken
// apart, shown, read back and put together again.
func TestLayout_knowsAllRows(t *testing.T) {
	seen := map[string]int{}
	var mu sync.Mutex
	run := func(ctx context.Context, p *pipeline.Pipeline, w conformance.Way) error {
		if err := p.Err(); err != nil {
			return err
		}
		x := newTaken(t, p.Graph(), seen, &mu)
		cfg := engine.Config{Lanes: w.Lanes, NoFusion: w.NoFuse, EpochBundles: 1, Now: w.Now, TempDir: t.TempDir(), Store: watched{commit.NewMemory(), x.row}}
		_, err := engine.Run(ctx, p.Graph(), cfg)
		return err
	}
	conformance.RunRandom(t, run, 60)
	conformance.RunRandomPrograms(t, run, 4)
	for _, kind := range []string{graph.PartPaned, graph.PartMerging, graph.PartBag, graph.PartEventTimers, graph.PartClockTimers, graph.PartGrouped, "apart"} {
		assert.Positive(t, seen[kind], kind)
	}
}
