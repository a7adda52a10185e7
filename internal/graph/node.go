package graph

import (
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/millrace/millrace/window"
)

// Ref is one output of a node.
type Ref struct {
	Node *Node
	Out  int
}

// In is one input of a node.
type In struct {
	Ref
	Kind EdgeKind
	// Signal marks an input that brings no elements, only its watermark (the
	// gate in front of a side input's reader).
	Signal bool
	// Aside marks a signal that does not hold back the node's watermark: the node
	// itself holds back what has to wait (M16).
	Aside bool
}

// Node is one transform. It is immutable once added, but for what replaces it before a
// graph is run for the first time.
type Node struct {
	ID   int
	Name string // path of scopes and a name, unique in the graph: ties state to code across versions
	Kind string // Beam's word for the operation: "ParDo", "GroupByKey", …
	Pos  string // user's file:line

	In  []In
	Out []Type
	Op  Op     // nil for a root
	Src Source // nil but for a root

	Windowing  window.Strategy // of the outputs
	WinColumns bool            // outputs carry windows that can't be had from the timestamp
	Stateful   bool            // keeps state: Name ties it to the code
	Key        string          // ID of the coder of the key by which it keeps state; "" if by none
	State      []string        // the parts of its rows, see Part: "value seen beam:coder:varint:v1"
	Spills     bool            // goes to disk beyond its share of the memory budget
	View       int             // number of the side input this node builds, from 1; 0: none
	ViewGroup  int             // group of the rows of that, in a job of one slot
	DeadLetter bool            // the root that brings failed elements back into the graph
	Elements   Elements        // of a source or a sink that can be replaced; nil elsewhere
	Replaced   string          // by what it was replaced, for people; "" if it was not
}

// Graph is what a pipeline builds. It is immutable once run; one graph may be
// run many times, at once too.
type Graph struct {
	Nodes []*Node // in order of construction, which is topological
	Views int     // how many side inputs

	scopes []string
	names  map[string]*Node
	counts map[string]int
	errs   []error
}

// Add puts n into the graph and gives it an ID, a position and a name. An
// explicit name that is taken already is a construction error; an empty one is
// made from the scope, the kind and an ordinal.
func (g *Graph) Add(n *Node, name string) *Node {
	if g.names == nil {
		g.names, g.counts = map[string]*Node{}, map[string]int{}
	}
	n.ID, n.Pos = len(g.Nodes), Caller()
	prefix := strings.Join(g.scopes, "/")
	if prefix != "" {
		prefix += "/"
	}
	if name == "" {
		n.Name = g.unused(prefix + n.Kind)
	} else {
		n.Name = prefix + name
		if o := g.names[n.Name]; o != nil {
			g.Errorf("two transforms are named %q, the other at %s: a name ties state to code, so give each its own", n.Name, o.Pos)
			n.Name = g.unused(n.Name)
		}
	}
	g.names[n.Name] = n
	g.Nodes = append(g.Nodes, n)
	return n
}

// unused returns base, or base#2, base#3, … whichever is free.
func (g *Graph) unused(base string) string {
	for {
		g.counts[base]++
		name := base
		if k := g.counts[base]; k > 1 {
			name = fmt.Sprint(base, "#", k)
		}
		if g.names[name] == nil {
			return name
		}
	}
}

// Scope opens a composite: names of nodes added before the returned function is
// called begin with name (with an ordinal when the scope is used again).
func (g *Graph) Scope(name string) (end func()) {
	if g.names == nil {
		g.names, g.counts = map[string]*Node{}, map[string]int{}
	}
	prefix := strings.Join(append(append([]string{}, g.scopes...), ""), "/")
	path := g.unused(prefix + name)
	g.scopes = append(g.scopes, path[len(prefix):])
	depth := len(g.scopes)
	return func() { g.scopes = g.scopes[:depth-1] }
}

// Errorf collects a construction mistake, with the user's file:line before it.
func (g *Graph) Errorf(f string, a ...any) {
	g.errs = append(g.errs, fmt.Errorf("%s: %w", Caller(), fmt.Errorf(f, a...)))
}

// Err is all construction mistakes together, or nil.
func (g *Graph) Err() error { return errors.Join(append(takeOrphans(), g.errs...)...) }

// Hash is equal in every process that built the same graph: operations, names,
// types, coders, state and source positions.
func (g *Graph) Hash() uint64 {
	h := fnv.New64a()
	for _, n := range g.Nodes {
		fmt.Fprintf(h, "%d %s %s %s %s %s %q\n", n.ID, n.Name, n.Kind, n.Pos, n.Windowing, n.Key, n.State)
		for _, t := range n.Out {
			fmt.Fprintln(h, t, t.CoderID())
		}
		for _, r := range n.In {
			fmt.Fprintln(h, r.Node.ID, r.Out, r.Kind)
		}
	}
	return h.Sum64()
}

// orphans are mistakes made with collections that belong to no pipeline, which
// therefore have nowhere else to be kept until one is run. One of the few
// package variables: losing such an error would be worse.
var orphans struct {
	sync.Mutex
	errs []error
}

// Orphanf collects a mistake made without a pipeline; the next Err of any graph reports it.
func Orphanf(f string, a ...any) {
	err := fmt.Errorf("%s: %w", Caller(), fmt.Errorf(f, a...))
	orphans.Lock()
	defer orphans.Unlock()
	orphans.errs = append(orphans.errs, err)
}

func takeOrphans() []error {
	orphans.Lock()
	defer orphans.Unlock()
	errs := orphans.errs
	orphans.errs = nil
	return errs
}

// ours are the packages that build nodes on a user's behalf; the position of a
// node is the first frame outside them.
var ours = []string{
	"github.com/millrace/millrace/internal/",
	"github.com/millrace/millrace/pipeline.",
	"github.com/millrace/millrace/transforms.",
	"github.com/millrace/millrace/transforms/",
	"github.com/millrace/millrace/io/",
	"github.com/millrace/millrace/pipelinetest.",
	"github.com/millrace/millrace/runners",
}

// Ours reports whether a function (as runtime names it) belongs to Millrace's
// own packages rather than to the user; tests of those packages are users.
func Ours(function, file string) bool {
	if strings.HasSuffix(file, "_test.go") {
		return false
	}
	for _, p := range ours {
		if strings.HasPrefix(function, p) {
			return true
		}
	}
	return false
}

// Caller is the user's file:line, with the file's last two path elements.
func Caller() string {
	var pc [64]uintptr
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc[:])])
	for {
		f, more := frames.Next()
		if !Ours(f.Function, f.File) && !strings.HasPrefix(f.Function, "runtime.") {
			return ShortFile(f.File, f.Line)
		}
		if !more {
			return "?"
		}
	}
}

// ShortFile is file:line with no more of the path than its last folder.
func ShortFile(file string, line int) string {
	dir, base := filepath.Split(file)
	return fmt.Sprintf("%s/%s:%d", filepath.Base(dir), base, line)
}
