package upgrade

import (
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
)

// ManifestOf is what is kept of a graph beside its rows.
func ManifestOf(g *graph.Graph) commit.Manifest {
	m := commit.Manifest{Hash: g.Hash(), Nodes: make([]commit.Node, 0, len(g.Nodes))}
	for _, n := range g.Nodes {
		c := commit.Node{
			Name: n.Name, Kind: n.Kind, Position: n.Pos, Windowing: n.Windowing.String(),
			Key: n.Key, State: n.State, Source: n.Src != nil, Stateful: n.Stateful || len(n.State) > 0,
		}
		for _, t := range n.Out {
			c.Out = append(c.Out, t.CoderID())
		}
		m.Nodes = append(m.Nodes, c)
	}
	return m
}
