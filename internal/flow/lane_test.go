package flow

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// The tests of operators open them on a lane of their own, with no engine: in
// goes what a producer would push, out comes what a consumer would get.

// testLane is a Ctx with a run.
func testLane(t testing.TB, change ...func(*graph.Run)) *graph.Ctx {
	run := &graph.Run{Nodes: []*graph.Node{{Name: "op", Pos: "x_test.go:1"}}, Context: t.Context(), TempDir: t.TempDir(), Metrics: &graph.Metrics{}, Owner: make([]uint16, keygroup.N), Here: make([]uint16, keygroup.N), Letters: &graph.Letters{}}
	run.OnFailure = func(_ *graph.Ctx, f *graph.Failure) bool { run.Letters.Put(f); return true }
	for _, f := range change {
		f(run)
	}
	return &graph.Ctx{TS: window.MinTime, WM: window.MinTime, Lanes: 1, Run: run}
}

func careful(r *graph.Run) { r.Careful = true }
func epochs(r *graph.Run)  { r.Epochs = true }

// got is an output with its time.
type got[T any] struct {
	ts int64
	v  T
}

// opened is an operator with one input and one output on a lane.
type opened[A, B any] struct {
	c    *graph.Ctx
	in   Recv[A]
	raw  any // in, as it is wired
	live any
	out  []got[B]
}

func open[A, B any](c *graph.Ctx, o graph.Op) *opened[A, B] {
	x := &opened[A, B]{c: c}
	in, live := o.Open(c, []any{Recv[B](func(c *graph.Ctx, v B) { x.out = append(x.out, got[B]{c.TS, v}) })})
	x.in, x.raw, x.live = recvOf[A](in[0]), in[0], live
	return x
}

func (o *opened[A, B]) push(ts int64, v A) {
	old := o.c.TS
	o.c.TS = ts
	o.in(o.c, v)
	o.c.TS = old
}

func (o *opened[A, B]) advance(wm int64) { o.live.(graph.Watermarker).Advance(o.c, wm) }

func (o *opened[A, B]) values() (vs []B) {
	for _, g := range o.out {
		vs = append(vs, g.v)
	}
	return vs
}

// store keeps deltas and loads them into a fresh operator.
type store struct{ rows map[string][]byte }

func (s *store) Put(_ int, k, v []byte)    { s.rows[string(k)] = slices.Clone(v) }
func (s *store) Append(_ int, k, v []byte) { s.rows[string(k)] = append(s.rows[string(k)], v...) }
func (s *store) Delete(_ int, k []byte)    { delete(s.rows, string(k)) }

// restore moves o's state into a fresh operator made from the same factory.
func restore[A, B any](t testing.TB, o *opened[A, B], factory graph.Op, s *store) *opened[A, B] {
	o.live.(graph.Keeper).Delta(s)
	n := open[A, B](testLane(t, func(r *graph.Run) { *r = *o.c.Run }), factory)
	for k, v := range s.rows {
		require.NoError(t, n.live.(graph.Keeper).Load([]byte(k), v))
	}
	n.out = o.out
	return n
}

func cod[T any](t testing.TB) coder.Coder[T] {
	c, err := coder.For[T]()
	require.NoError(t, err)
	return c
}
