package cluster

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/upgrade"
)

// Graph is what processes tell each other of the graph that they have built: as much as
// has to be equal.
type Graph struct {
	Hash  uint64 `json:"hash,string"` // of the whole
	Count int    `json:"count"`       // of its transforms
	Nodes []Node `json:"nodes"`       // of these the first: what a message has room for
}

// Node is a transform of a [Graph].
type Node struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind"`
	Position  string   `json:"position"` // file:line
	Windowing string   `json:"windowing"`
	Key       string   `json:"key,omitempty"`   // coder of the key
	State     []string `json:"state,omitempty"` // parts of its rows
	In        []string `json:"in,omitempty"`    // "by key from split.0"
	Types     []string `json:"types,omitempty"` // of the outputs
	Coders    []string `json:"coders,omitempty"`
}

// graphRoom is how many bytes of texts a Graph has at most, so that it fits a message.
const graphRoom = 192 << 10

// GraphOf describes g.
func GraphOf(g *graph.Graph) Graph {
	m := upgrade.ManifestOf(g)
	out := Graph{Hash: m.Hash, Count: len(m.Nodes), Nodes: []Node{}}
	room := graphRoom
	for i, n := range m.Nodes {
		d := Node{Name: n.Name, Kind: n.Kind, Position: n.Position, Windowing: n.Windowing, Key: n.Key, State: n.State, Coders: n.Out}
		for _, in := range g.Nodes[i].In {
			d.In = append(d.In, fmt.Sprintf("%s from %s.%d", in.Kind, in.Node.Name, in.Out))
		}
		for _, t := range g.Nodes[i].Out {
			d.Types = append(d.Types, t.String())
		}
		if room -= d.size(); room < 0 {
			break
		}
		out.Nodes = append(out.Nodes, d)
	}
	return out
}

// Lasting is the graph without what may change from one run of a job to the next that goes
// on with it: where transforms stand in files.
func (g Graph) Lasting() Graph {
	g.Nodes = slices.Clone(g.Nodes)
	h := fnv.New64a()
	for i := range g.Nodes {
		g.Nodes[i].Position = ""
		fmt.Fprintf(h, "%q", g.Nodes[i])
	}
	fmt.Fprint(h, g.Count)
	g.Hash = h.Sum64()
	return g
}

// size is about what n takes in a message.
func (n *Node) size() int {
	size := 100
	for _, list := range [][]string{{n.Name, n.Kind, n.Position, n.Windowing, n.Key}, n.State, n.In, n.Types, n.Coders} {
		for _, s := range list {
			size += len(s) + 3
		}
	}
	return size
}

// diffLines is how many differences are told before "and 7 more".
const diffLines = 10

// Diff says for people how a worker's graph differs from the job's, one line for each
// transform that does; "" if they are equal.
func Diff(job, worker Graph) string {
	if job.Hash == worker.Hash {
		return ""
	}
	var lines []string
	theirs := map[string]*Node{}
	for i := range worker.Nodes {
		theirs[worker.Nodes[i].Name] = &worker.Nodes[i]
	}
	names := map[string]bool{}
	for i := range job.Nodes {
		n := &job.Nodes[i]
		names[n.Name] = true
		switch o := theirs[n.Name]; {
		case o != nil:
			if d := n.diff(o); d != "" {
				lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %q: %s", o.Position, o.Name, d)))
			}
		case worker.whole():
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %q (%s) is in the job only", n.Position, n.Name, n.Kind)))
		}
	}
	for _, n := range worker.Nodes {
		if !names[n.Name] && job.whole() {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %q (%s) is not in the job", n.Position, n.Name, n.Kind)))
		}
	}
	switch n := len(lines); {
	case n == 0 && (!job.whole() || !worker.whole()):
		return "they differ behind the first " + count(min(len(job.Nodes), len(worker.Nodes)), "transform")
	case n == 0:
		return "the same transforms stand in another order"
	case n > diffLines:
		lines = append(lines[:diffLines], fmt.Sprintf("and %d more", n-diffLines))
	}
	return strings.Join(lines, "\n")
}

func (g *Graph) whole() bool { return len(g.Nodes) == g.Count }

// diff says how o differs from n.
func (n *Node) diff(o *Node) string {
	var parts []string
	one := func(what, job, worker string) {
		if job != worker {
			parts = append(parts, fmt.Sprintf("%s %s, in the job %s", what, orNone(worker), orNone(job)))
		}
	}
	many := func(what string, job, worker []string) {
		if !slices.Equal(job, worker) {
			one(what, strings.Join(job, ", "), strings.Join(worker, ", "))
		}
	}
	one("is a", n.Kind, o.Kind)
	many("reads", n.In, o.In)
	many("gives", n.Types, o.Types)
	one("key has coder", n.Key, o.Key)
	many("has coder", n.Coders, o.Coders)
	one("has windowing", n.Windowing, o.Windowing)
	many("keeps", n.State, o.State)
	one("stands at", n.Position, o.Position)
	return strings.Join(parts, "; ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
