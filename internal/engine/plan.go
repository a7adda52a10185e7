package engine

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/graph"
)

// stage is nodes that call each other on one lane and have one watermark.
// Stages are numbered topologically.
type stage struct {
	id     int
	nodes  []*graph.Node
	inputs []*input // none for a root
	outs   []*input // of other stages, fed by this one
	clock  bool     // makes its own watermark: its first node is an EventTime
	letter bool     // is, or descends from, the dead-letter root

	rank  int // the most exchanges between slots on the way from a source
	reach int // the least rank of what goes from here, or from behind here, to other slots; NoRank: nothing

	// roots are the roots whose elements reach this stage without leaving the
	// lane: a clock must wait until all of their splits are open.
	roots []*stage
}

func (s *stage) root() bool { return s.nodes[0].Src != nil }

// input is where a stage is entered from another one.
type input struct {
	to, from *stage
	index    int // among to.inputs
	in       graph.In
	node     *graph.Node // the consumer, first of its stage
	port     int         // which of its inputs
	queue    bool        // over queues; false: by a call on the same lane
	shuffled bool        // from lanes of other slots, too
	edge     int         // its number among all inputs
}

// sameLane reports that what comes over the input was on the lane before: it has kept
// the number of its split, and follows it in order.
func (in *input) sameLane() bool { return !in.queue || in.in.Kind == graph.Forward }

// senders are the lanes of the slot whose watermarks and barriers lane gets over the
// input. A gathered stage has elements on lane 0 only; on the others it follows its
// own lane, so that what is behind it there knows how far the lane is.
func (in *input) senders(lane int, at place) []int {
	if !in.meets(lane, at) {
		return []int{lane}
	}
	all := make([]int, at.lanes)
	for i := range all {
		all[i] = i
	}
	return all
}

// meets reports that lane hears from all lanes over the input.
func (in *input) meets(lane int, at place) bool {
	switch {
	case !in.queue || in.in.Kind == graph.Forward:
		return false
	case in.in.Kind == graph.Gather:
		return at.first()+lane == 0
	case in.in.Kind == graph.Copies:
		return lane == 0
	}
	return true
}

// receivers are the lanes of the slot that get what lane sends, the inverse of senders.
func (in *input) receivers(lane int, at place) (out []int) {
	for to := range at.lanes {
		for _, from := range in.senders(to, at) {
			if from == lane {
				out = append(out, to)
			}
		}
	}
	return out
}

// plan is a graph cut into stages. It is pure data; nothing of a run is in it.
type plan struct {
	stages  []*stage
	stageOf map[*graph.Node]*stage
	at      place
	inputs  []*input // of all stages, by number
	spills  int      // nodes that share the memory budget
	keeps   int      // nodes whose rows share the memory for state

	consumers map[graph.Ref][]consumer
}

// consumer is one use of an output.
type consumer struct {
	node *graph.Node
	port int
	in   *input // nil when fused
}

// newPlan cuts g. A stage begins at a root, an exchange, a node of several
// inputs, a clock, and everywhere when fusion is off.
func newPlan(g *graph.Graph, cfg Config) *plan {
	p := &plan{at: cfg.place(), stageOf: map[*graph.Node]*stage{}, consumers: map[graph.Ref][]consumer{}}
	for _, n := range g.Nodes { // the order of construction is topological
		s := p.fusedWith(n, cfg)
		if s == nil {
			s = &stage{id: len(p.stages), clock: n.Kind == clockKind, letter: n.DeadLetter}
			p.stages = append(p.stages, s)
			if n.Src != nil {
				s.roots = []*stage{s}
			}
			for port, in := range n.In {
				p.enter(s, n, port, in, cfg)
			}
		} else {
			p.consumers[n.In[0].Ref] = append(p.consumers[n.In[0].Ref], consumer{n, 0, nil})
		}
		s.nodes = append(s.nodes, n)
		p.stageOf[n] = s
		if n.Spills {
			p.spills++
		}
		if n.Stateful {
			p.keeps++
		}
	}
	p.reaches()
	return p
}

// clockKind is the kind of nodes whose live part is a graph.Clock.
const clockKind = "EventTime"

// fusedWith is the stage that n continues, or nil if it begins one.
func (p *plan) fusedWith(n *graph.Node, cfg Config) *stage {
	if n.Src != nil || len(n.In) != 1 || p.kind(n, n.In[0]) != graph.Forward || n.Kind == clockKind || cfg.NoFusion {
		return nil
	}
	return p.stageOf[n.In[0].Node]
}

// kind is how elements reach n: a side input has to be in every slot that reads it.
func (p *plan) kind(n *graph.Node, in graph.In) graph.EdgeKind {
	if n.View > 0 && p.at.slots > 1 {
		return graph.Copies
	}
	return in.Kind
}

// enter adds an input to s.
func (p *plan) enter(s *stage, n *graph.Node, port int, in graph.In, cfg Config) {
	from := p.stageOf[in.Node]
	in.Kind = p.kind(n, in)
	i := &input{to: s, from: from, index: len(s.inputs), edge: len(p.inputs), in: in, node: n, port: port}
	i.queue = cfg.NoFusion || in.Kind != graph.Forward && p.at.lanes*p.at.slots > 1
	i.shuffled = in.Kind != graph.Forward && p.at.slots > 1 && !(in.Signal && in.Node.View > 0) // that is in each slot
	s.rank = max(s.rank, from.rank)
	if i.shuffled {
		s.rank = max(s.rank, from.rank+1)
	}
	s.inputs = append(s.inputs, i)
	p.inputs = append(p.inputs, i)
	from.outs = append(from.outs, i)
	s.letter = s.letter || from.letter
	if i.sameLane() {
		s.roots = append(s.roots, from.roots...)
	}
	if !in.Signal {
		p.consumers[in.Ref] = append(p.consumers[in.Ref], consumer{n, port, i})
	}
}

// String draws the plan, a stage a line.
func (p *plan) String() string {
	var b strings.Builder
	for _, s := range p.stages {
		fmt.Fprintf(&b, "stage %d", s.id)
		if s.clock {
			b.WriteString(" clock")
		}
		if s.root() && s.reach != NoRank {
			fmt.Fprintf(&b, " leads to rank %d", s.reach)
		}
		for _, in := range s.inputs {
			how := in.in.Kind.String()
			if in.in.Signal {
				how = "signal"
			}
			if !in.queue {
				how += ", called"
			}
			if in.shuffled {
				how += fmt.Sprintf(", rank %d", in.from.rank)
			}
			fmt.Fprintf(&b, " <- %d (%s)", in.from.id, how)
		}
		for _, n := range s.nodes {
			fmt.Fprintf(&b, "\n\t%s", n.Name)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
