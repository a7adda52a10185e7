package pipeline

import (
	"fmt"
	"reflect"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Pipeline is a graph under construction. It is not safe for use by several
// goroutines; once built it may be run many times, at once too.
type Pipeline struct{ g graph.Graph }

// New returns an empty pipeline.
func New() *Pipeline { return &Pipeline{} }

// Graph is for runners: the graph built so far, of a type internal to Millrace.
func (p *Pipeline) Graph() *graph.Graph { return &p.g }

// Err is every mistake made in building p so far, or nil.
func (p *Pipeline) Err() error { return p.g.Err() }

// KV is a key and its value: plain data.
type KV[K comparable, V any] = coder.KV[K, V]

// NewKV pairs a key with a value.
func NewKV[K comparable, V any](key K, value V) KV[K, V] { return KV[K, V]{Key: key, Value: value} }

// Emit sends one output element. It may be called during the call it was given
// for only, and not from other goroutines.
type Emit[T any] = func(T)

// PCollection is a collection of elements of type T.
type PCollection[T any] struct{ coll coll }

// Keyed is a collection of elements of type V that have a key each. Grouping,
// combining and state need one; [KeyBy] makes it.
type Keyed[K comparable, V any] struct {
	coll   coll
	placed bool // already partitioned by K: behind a grouping that holds no watermark, through MapValues
}

// coll is what both collection types are made of: one output of a node. They don't
// embed it, for its methods would be compiled anew for each type of element.
type coll struct {
	p         *Pipeline
	ref       graph.Ref
	windowing window.Strategy
	behind    bool // behind a grouping with this windowing: windows are known
	strayed   bool // behind, and timestamps may lie outside of the windows
	poisoned  bool // a mistake has been reported already
}

// Signal is any collection of which only the end matters: see [WaitOn].
type Signal interface{ signal() coll }

func (c PCollection[T]) signal() coll { return c.coll }
func (c Keyed[K, V]) signal() coll    { return c.coll }

// Option configures one transform.
type Option func(*options)

type options struct {
	name string
	late lateSink
}

// Named gives a transform its name. The name of a stateful transform ties its
// state to the code across versions: give one to whatever keeps state that
// should survive a change of the pipeline. Within a scope names are unique.
func Named(name string) Option { return func(o *options) { o.name = name } }

func nameOf(opts []Option) string { return optionsOf(opts).name }

func optionsOf(opts []Option) (o options) {
	for _, f := range opts {
		f(&o)
	}
	return o
}

// Composite opens a scope of names for the transforms that build adds, and
// returns what it returns. Libraries of transforms use it.
func Composite[C interface{ signal() coll }, R any](c C, name string, build func() R) R {
	if p := c.signal().p; p != nil {
		defer p.g.Scope(name)()
	}
	return build()
}

// ok reports whether c can be an input of a transform of this kind; if not, the
// mistake is recorded and the transform's outputs are poisoned.
func (c coll) ok(kind string) bool {
	if c.p != nil {
		return true
	}
	if !c.poisoned {
		graph.Orphanf("%s: its input is an empty collection, used before it was made: "+
			"a pipeline can't feed itself, and a variable must hold a collection before it is an input", kind)
	}
	return false
}

var poison = coll{poisoned: true}

// add adds a node that follows c, with c as its first input.
func (c coll) add(n *graph.Node, kind graph.EdgeKind, name string) *graph.Node {
	n.In = append([]graph.In{{Ref: c.ref, Kind: kind}}, n.In...)
	if n.Windowing.Fn.Kind() == window.KindGlobal {
		n.Windowing = c.windowing
	}
	n.WinColumns = n.WinColumns || c.behind
	return c.p.g.Add(n, name)
}

// to is output out of n, with c's windowing.
func (c coll) to(n *graph.Node, out int) coll {
	return coll{p: c.p, ref: graph.Ref{Node: n, Out: out}, windowing: c.windowing, behind: c.behind, strayed: c.strayed}
}

// typ is the type of c's elements.
func (c coll) typ() graph.Type { return c.ref.Node.Out[c.ref.Out] }

// coderOf is the coder of c's elements.
func coderOf[T any](c coll) coder.Coder[T] { return flow.CoderOf[T](c.typ()) }

// coderFor infers the coder of an output; a type without one is a mistake.
func coderFor[T any](p *Pipeline, kind string) coder.Coder[T] {
	cod, err := coder.For[T]()
	if err != nil {
		p.g.Errorf("%s: its output of type %v can't leave this process: %w", kind, reflect.TypeFor[T](), err)
	}
	return cod
}

// elemType is the type of a new collection of T; like is a collection whose coder
// serves if it is of the same type.
func elemType[T any](p *Pipeline, kind string, like coll) graph.Type {
	if like.p != nil {
		if t, ok := like.typ().(interface{ Is(reflect.Type) bool }); ok && t.Is(reflect.TypeFor[T]()) {
			return flow.Type(coderOf[T](like))
		}
	}
	return flow.Type(coderFor[T](p, kind))
}

// nilFunc records that a function is missing, and says so.
func (c coll) nilFunc(kind string, missing bool) bool {
	if missing {
		c.p.g.Errorf("%s: the function is nil", kind)
	}
	return missing
}

// keyCoder infers a key's coder and refuses keys that are not canonical. Without
// one nothing behind can be built: the transform's output is then poison.
func keyCoder[K comparable](p *Pipeline, kind string) (cod coder.Coder[K], ok bool) {
	if err := coder.CheckKey[K](); err != nil {
		p.g.Errorf("%s: %w", kind, err)
		return cod, false
	}
	cod, err := coder.For[K]()
	if err != nil {
		p.g.Errorf("%s: its key of type %v has no coder: %w", kind, reflect.TypeFor[K](), err)
	}
	return cod, err == nil
}

// same records a mistake if a and b belong to different pipelines.
func same(kind string, a, b coll) bool {
	if a.p != b.p {
		a.p.g.Errorf("%s: its inputs belong to different pipelines", kind)
		return false
	}
	return true
}

// Windowed says which windows the elements belong to from here on. Nothing
// happens until something groups them; elements are not copied.
func (c PCollection[T]) Windowed(fn window.Fn, opts ...window.Option) PCollection[T] {
	c.coll = c.coll.windowed(fn, opts)
	return c
}

// Windowed says which windows the elements belong to from here on.
func (c Keyed[K, V]) Windowed(fn window.Fn, opts ...window.Option) Keyed[K, V] {
	c.coll = c.coll.windowed(fn, opts)
	return c
}

// windowed keeps the larger of the old and new lateness, as Beam Java does (rule M29).
func (c coll) windowed(fn window.Fn, opts []window.Option) coll {
	if !c.ok("Windowed") {
		return poison
	}
	s := c.windowing.Rewindow(window.New(fn, opts...))
	if err := s.Validate(); err != nil {
		c.p.g.Errorf("Windowed: %w", err)
		return c
	}
	c.windowing, c.behind, c.strayed = s, false, false
	return c
}

// assign is how a consumer of c finds windows.
func (c coll) assign() flow.Assign {
	if c.strayed {
		return flow.CarriedAssign(c.windowing)
	}
	return flow.NewAssign(c.windowing, c.behind)
}

func (p *Pipeline) String() string { return fmt.Sprintf("pipeline of %d transforms", len(p.g.Nodes)) }
