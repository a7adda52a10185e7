package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// describe builds a pipeline and describes its graph.
func describe(build func(p *pipeline.Pipeline)) cluster.Graph {
	p := pipeline.New()
	build(p)
	return cluster.GraphOf(p.Graph())
}

// Goal: two processes of the same code describe the same graph, and where they do not,
// what is said names the transform and what differs. Method: each change is one that a
// user could make between two builds.
func TestDiff(t *testing.T) {
	build := func(width time.Duration, key func(int64) string, more bool) func(*pipeline.Pipeline) {
		return func(p *pipeline.Pipeline) {
			in := pipeline.Create(p, int64(1), 2).Windowed(window.Fixed(width))
			if more {
				in = pipeline.Map(in, func(v int64) int64 { return v })
			}
			pipeline.CombinePerKey(pipeline.KeyBy(in, key), transforms.SumOf[int64]())
		}
	}
	parity := func(v int64) string { return fmt.Sprint(v % 2) }
	job := describe(build(time.Minute, parity, false))

	require.Empty(t, cluster.Diff(job, describe(build(time.Minute, parity, false))))

	hour := cluster.Diff(job, describe(build(time.Hour, parity, false)))
	require.Regexp(t, `cluster/graph_test.go:\d+ "[^"]+": has windowing .*1h.*, in the job .*1m`, hour)

	more := cluster.Diff(job, describe(build(time.Minute, parity, true)))
	require.Regexp(t, `graph_test.go:\d+ "[^"]*" \([A-Za-z]+\) is not in the job`, more)
	less := cluster.Diff(describe(build(time.Minute, parity, true)), job)
	require.Contains(t, less, "is in the job only")
}

// Goal: each field of a transform that may differ is named, in the worker's words first.
func TestDiff_fields(t *testing.T) {
	node := cluster.Node{Name: "count", Kind: "CombinePerKey", Position: "shop/main.go:31", Windowing: "global", Key: "varint",
		State: []string{"value n varint"}, In: []string{"by key from read.0"}, Types: []string{"KV[string, int64]"}, Coders: []string{"kv"}}
	for _, tc := range []struct {
		change func(n *cluster.Node)
		want   string
	}{
		{func(n *cluster.Node) { n.Kind = "ParDo" }, "is a ParDo, in the job CombinePerKey"},
		{func(n *cluster.Node) { n.In = []string{"forward from read.0"} }, "reads forward from read.0, in the job by key from read.0"},
		{func(n *cluster.Node) { n.Types = nil }, "gives none, in the job KV[string, int64]"},
		{func(n *cluster.Node) { n.Key = "string" }, "key has coder string, in the job varint"},
		{func(n *cluster.Node) { n.Coders = []string{"row"} }, "has coder row, in the job kv"},
		{func(n *cluster.Node) { n.State = append(n.State, "timer end") }, "keeps value n varint, timer end, in the job value n varint"},
	} {
		other := node
		tc.change(&other)
		got := cluster.Diff(cluster.Graph{Hash: 1, Count: 1, Nodes: []cluster.Node{node}}, cluster.Graph{Hash: 2, Count: 1, Nodes: []cluster.Node{other}})
		require.Equal(t, `shop/main.go:31 "count": `+tc.want, got)
	}
	other := node
	other.Position = "shop/main.go:33"
	got := cluster.Diff(cluster.Graph{Hash: 1, Count: 1, Nodes: []cluster.Node{node}}, cluster.Graph{Hash: 2, Count: 1, Nodes: []cluster.Node{other}})
	require.Equal(t, `shop/main.go:33 "count": stands at shop/main.go:33, in the job shop/main.go:31`, got)
}

// Goal: a graph of any size fits a message, and what can't be told is not made up.
func TestDiff_large(t *testing.T) {
	large := func(n int, last string) cluster.Graph {
		return describe(func(p *pipeline.Pipeline) {
			in := pipeline.Create(p, int64(1))
			for range n {
				in = pipeline.Map(in, func(v int64) int64 { return v })
			}
			pipeline.Map(in, func(v int64) int64 { return v }, pipeline.Named(last))
		})
	}
	a, b := large(2000, "a"), large(2000, "b")
	require.Less(t, len(a.Nodes), a.Count)
	require.Regexp(t, `^they differ behind the first \d+ transforms$`, cluster.Diff(a, b))

	many := cluster.Diff(large(30, "a"), large(0, "a"))
	require.Len(t, strings.Split(many, "\n"), 11)
	require.Regexp(t, `and \d+ more$`, many)
}

// Goal: the same transforms in another order are another graph.
func TestDiff_order(t *testing.T) {
	a, b := cluster.Node{Name: "a"}, cluster.Node{Name: "b"}
	got := cluster.Diff(cluster.Graph{Hash: 1, Count: 2, Nodes: []cluster.Node{a, b}}, cluster.Graph{Hash: 2, Count: 2, Nodes: []cluster.Node{b, a}})
	require.Equal(t, "the same transforms stand in another order", got)
}
