package flow

import (
	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// contents is what a paned grouping holds, of types that it need not know: so the
// machinery is compiled for each type of key, not for each transform.
type contents[K comparable] interface {
	add(c *graph.Ctx, x *cell) bool // the element at hand; false if user code failed on it
	late(c *graph.Ctx, w window.Interval, wm int64, closed bool)
	merge(c *graph.Ctx, x, from *cell) // from is emptied
	emit(c *graph.Ctx, k K, x *cell)   // an empty cell as an empty accumulator
	drop(x *cell)
	append(b []byte, x *cell) []byte
	load(b []byte, x *cell) ([]byte, error)
}

// accumulators is the contents of one operator on one lane: cells name theirs by
// number.
type accumulators[K comparable, V, A, R any] struct {
	s       *Paned[K, V, A, R]
	node    *graph.Node
	next    Recv[coder.KV[K, R]]
	lateOut func(*graph.Ctx, coder.KV[K, V], window.Interval, int64, bool)
	v       coder.KV[K, V] // the element at hand
	accs    []A
	free    []uint32
	g       *guard[coder.KV[K, V]] // careful mode
	gOut    *guard[coder.KV[K, A]]
}

func (o *accumulators[K, V, A, R]) initial() (a A) {
	if o.s.Init != nil {
		a = o.s.Init()
	}
	return a
}

// of is x's accumulator, made if there is none.
func (o *accumulators[K, V, A, R]) of(x *cell) *A {
	if x.acc == 0 {
		if n := len(o.free); n > 0 {
			x.acc, o.free = o.free[n-1], o.free[:n-1]
		} else {
			o.accs = append(o.accs, *new(A))
			x.acc = uint32(len(o.accs))
		}
		o.accs[x.acc-1] = o.initial()
	}
	return &o.accs[x.acc-1]
}

func (o *accumulators[K, V, A, R]) add(c *graph.Ctx, x *cell) bool {
	had := x.acc != 0
	acc := o.of(x)
	c.Op = o.node.ID
	if o.g == nil {
		o.s.Add(acc, o.v.Value)
		return true
	}
	was := o.s.Acc.Append(nil, *acc)
	ok := o.g.try(c, o.v, func() error { o.s.Add(acc, o.v.Value); return nil }, func() { *acc = decoded(o.s.Acc, was) })
	if !ok && !had {
		o.drop(x)
	}
	return ok
}

// decoded is what was encoded before.
func decoded[A any](cod coder.Coder[A], b []byte) A {
	a, _, err := cod.Decode(b)
	if err != nil {
		panic("BUG: flow: an accumulator does not decode what it encoded: " + err.Error())
	}
	return a
}

func (o *accumulators[K, V, A, R]) late(c *graph.Ctx, w window.Interval, wm int64, closed bool) {
	if o.lateOut != nil {
		o.lateOut(c, o.v, w, wm, closed)
	}
}

func (o *accumulators[K, V, A, R]) merge(c *graph.Ctx, x, from *cell) {
	switch {
	case from.acc == 0:
	case x.acc == 0:
		x.acc, from.acc = from.acc, 0
	default:
		c.Op = o.node.ID
		o.s.Merge(o.of(x), *o.of(from))
		o.drop(from)
	}
}

func (o *accumulators[K, V, A, R]) emit(c *graph.Ctx, k K, x *cell) {
	var a A
	if x.acc != 0 {
		a = o.accs[x.acc-1]
	} else {
		a = o.initial()
	}
	c.Op = o.node.ID
	if o.gOut == nil {
		o.next(c, coder.KV[K, R]{Key: k, Value: o.s.Extract(c, a)})
		return
	}
	var r R
	if o.gOut.try(c, coder.KV[K, A]{Key: k, Value: a}, func() error { r = o.s.Extract(c, a); return nil }, nil) {
		o.next(c, coder.KV[K, R]{Key: k, Value: r})
	}
}

func (o *accumulators[K, V, A, R]) drop(x *cell) {
	if x.acc != 0 {
		o.accs[x.acc-1] = *new(A)
		o.free = append(o.free, x.acc)
		x.acc = 0
	}
}

func (o *accumulators[K, V, A, R]) append(b []byte, x *cell) []byte {
	return o.s.Acc.Append(b, *o.of(x))
}

func (o *accumulators[K, V, A, R]) load(b []byte, x *cell) ([]byte, error) {
	a, rest, err := o.s.Acc.Decode(b)
	if err == nil {
		*o.of(x) = a
	}
	return rest, err
}
