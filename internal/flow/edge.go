package flow

import (
	"reflect"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Batch is elements in transit, in columns.
type Batch[T any] struct {
	columns
	vals []T

	points    bool    // values lead to memory, which is let go with them
	out       int     // elements that drop has taken out
	whole     columns // with these, where there are any
	wholeVals []T
}

// columns is what does not depend on the type of a batch's elements. meta is empty
// unless the edge carries windows.
type columns struct {
	ts    []int64
	meta  []meta
	split int // of a Forward edge: which all elements came from
}

// dropRows takes the first n rows out. They stay in memory.
func dropRows(b *columns, n int) {
	b.ts = b.ts[n:]
	if len(b.meta) > 0 {
		b.meta = b.meta[n:]
	}
}

// addMeta adds the window of the element at hand. Not inlined: it would be compiled
// into each exchange.
//
//go:noinline
func addMeta(b *columns, c *graph.Ctx) { b.meta = append(b.meta, meta{c.Win, c.Pane}) }

// meta is what an element carries behind a grouping, where the timestamp does
// not tell its window.
type meta struct {
	win  window.Interval
	pane window.Pane
}

// Len is the number of elements.
func (b *Batch[T]) Len() int { return len(b.vals) }

func (b *Batch[T]) full() bool { return len(b.vals) == cap(b.vals) }

func (b *Batch[T]) add(c *graph.Ctx, v T, windows bool) {
	b.ts = append(b.ts, c.TS)
	b.vals = append(b.vals, v)
	if windows {
		addMeta(&b.columns, c)
	}
}

// reset empties the batch for reuse, so that it keeps nothing alive.
func (b *Batch[T]) reset() {
	if b.points {
		clear(b.vals)
	}
	b.vals, b.ts, b.meta = b.vals[:0], b.ts[:0], b.meta[:0]
}

// drop takes the first n elements out. What is behind them stays where it is until all are
// out.
func (b *Batch[T]) drop(n int) {
	if b.out == 0 {
		b.whole, b.wholeVals = b.columns, b.vals
	}
	if b.points {
		clear(b.vals[:n])
	}
	b.out += n
	b.vals = b.vals[n:]
	dropRows(&b.columns, n)
	if len(b.vals) == 0 {
		b.vals, b.ts, b.meta = b.wholeVals[:0], b.whole.ts[:0], b.whole.meta[:0]
		b.whole, b.wholeVals, b.out = columns{}, nil, 0
	}
}

// edge is every kind of exchange but the one by key.
type edge[T any] struct {
	cfg  graph.EdgeConfig
	cod  coder.Coder[T]
	size int // bytes of an element as they were marshalled last, rounded up; 0: not known
}

// batchBytes is what values of a batch take, about, which are written and read again while a
// cache has them. But there are batchLeast.
const (
	batchBytes = 256 << 10
	batchLeast = 16
)

func (e *edge[T]) newBatch() *Batch[T] {
	t := reflect.TypeFor[T]()
	b := &Batch[T]{points: pointsAt(t)}
	size := min(e.cfg.Size, max(batchLeast, batchBytes/max(1, int(t.Size()))))
	b.ts, b.vals = make([]int64, 0, size), make([]T, 0, size)
	if e.cfg.Windows {
		b.meta = make([]meta, 0, size)
	}
	return b
}

// outbox is the begun batches of one sender.
type outbox[T any] struct {
	e    *edge[T]
	open []*Batch[T]
	send func(int, graph.Batch) graph.Batch
}

func newOutbox[T any](e *edge[T], lanes int, send func(int, graph.Batch) graph.Batch) *outbox[T] {
	o := &outbox[T]{e, make([]*Batch[T], lanes), send}
	for i := range o.open {
		o.open[i] = e.newBatch()
	}
	return o
}

// give sends the begun batch of lane to. The slot is refilled first: while send
// waits for room the lane drains stages behind this one, which may push into
// other edges but never into this.
func (o *outbox[T]) give(to int) {
	b := o.open[to]
	n, _ := o.send(to, b).(*Batch[T])
	if n == nil {
		n = o.e.newBatch()
	}
	o.open[to] = n
}

func (o *outbox[T]) flush() {
	for to, b := range o.open {
		if len(b.vals) > 0 {
			o.give(to)
		}
	}
}

func (e *edge[T]) Sender(c *graph.Ctx, _ []uint16, send func(int, graph.Batch) graph.Batch) (any, func()) {
	o, windows := newOutbox(e, c.Lanes, send), e.cfg.Windows
	var recv Recv[T]
	put := func(c *graph.Ctx, to int, v T) {
		b := o.open[to]
		b.add(c, v, windows)
		if b.full() {
			o.give(to)
		}
	}
	switch e.cfg.Kind {
	case graph.Rebalance:
		to := c.Lane // begin with itself, so that lanes don't all send to the same
		recv = func(c *graph.Ctx, v T) {
			b := o.open[to]
			b.add(c, v, windows)
			if b.full() {
				o.give(to)
				to = (to + 1) % c.Lanes
			}
		}
	case graph.Broadcast:
		recv = func(c *graph.Ctx, v T) {
			for to := range c.Lanes {
				put(c, to, v)
			}
		}
	case graph.Copies:
		step := c.SlotLanes()
		recv = func(c *graph.Ctx, v T) {
			for to := 0; to < c.Lanes; to += step {
				put(c, to, v)
			}
		}
	case graph.Gather:
		recv = func(c *graph.Ctx, v T) { put(c, 0, v) }
	default: // Forward, when fusion is off
		self := c.Lane
		recv = func(c *graph.Ctx, v T) {
			if b := o.open[self]; b.split != c.Split {
				if len(b.vals) > 0 {
					o.give(self)
				}
				o.open[self].split = c.Split
			}
			put(c, self, v)
		}
	}
	return recv, o.flush
}

func (e *edge[T]) Receiver(c *graph.Ctx, in any) func(graph.Batch) {
	if bi, ok := in.(*batchIn[T]); ok && !e.cfg.Windows {
		return func(gb graph.Batch) {
			b, old := gb.(*Batch[T]), c.TS
			setSplit(c, e.cfg.Kind, b.split)
			bi.many(c, b)
			c.TS = old
			b.reset()
		}
	}
	r, windows := recvOf[T](in), e.cfg.Windows
	return func(gb graph.Batch) {
		b := gb.(*Batch[T])
		ts, win, pane := c.TS, c.Win, c.Pane
		setSplit(c, e.cfg.Kind, b.split)
		for i, v := range b.vals {
			c.TS = b.ts[i]
			if windows {
				c.Win, c.Pane = b.meta[i].win, b.meta[i].pane
			}
			r(c, v)
		}
		c.TS, c.Win, c.Pane = ts, win, pane
		b.reset()
	}
}

// setSplit keeps the split where elements stay on their lane. Elsewhere it is the lane
// that sent them, which the engine has set.
func setSplit(c *graph.Ctx, kind graph.EdgeKind, split int) {
	if kind == graph.Forward {
		c.Split = split
	}
}

// keyEdge sends each element to the lane that owns its key's group.
type keyEdge[K comparable, V any] struct {
	edge[coder.KV[K, V]]
	hash keygroup.Hasher[K]
}

func (e *keyEdge[K, V]) Sender(c *graph.Ctx, owner []uint16, send func(int, graph.Batch) graph.Batch) (any, func()) {
	o := newOutbox(&e.edge, c.Lanes, send)
	windows, word, hash := e.cfg.Windows, isWord[K](), e.hash
	own := (*[keygroup.N]uint16)(owner)
	sum := func(k K) uint64 { return hash.Sum(k) }
	one := func(c *graph.Ctx, v coder.KV[K, V]) {
		var h uint64
		if word {
			h = hashWord(&v.Key)
		} else {
			h = sum(v.Key)
		}
		to := own[h>>groupShift]
		b := o.open[to]
		b.ts = append(b.ts, c.TS)
		b.vals = append(b.vals, v)
		if windows {
			addMeta(&b.columns, c)
		}
		if b.full() {
			o.give(int(to))
		}
	}
	by := func(key func(V) K, id int) Recv[V] {
		return func(c *graph.Ctx, v V) { // one, spelled out
			c.Op = id
			k := key(v)
			var h uint64
			if word {
				h = hashWord(&k)
			} else {
				h = sum(k)
			}
			to := own[h>>groupShift]
			b := o.open[to]
			b.ts = append(b.ts, c.TS)
			b.vals = b.vals[:len(b.vals)+1] // it was not full; put together in place, v is copied once less
			at := &b.vals[len(b.vals)-1]
			at.Key, at.Value = k, v
			if windows {
				addMeta(&b.columns, c)
			}
			if b.full() {
				o.give(int(to))
			}
		}
	}
	return &keyIn[K, V]{one, by}, o.flush
}

// Part implements graph.KeyedEdge.
func (e *keyEdge[K, V]) Part(gb graph.Batch, groups func(group int) bool, f func(group int, part graph.Batch)) {
	b := gb.(*Batch[coder.KV[K, V]])
	parts := map[int]*Batch[coder.KV[K, V]]{}
	var order []int
	n := 0
	for i := range b.vals {
		group := keygroup.Group(e.hash.Sum(b.vals[i].Key))
		if !groups(group) {
			b.vals[n], b.ts[n] = b.vals[i], b.ts[i]
			if e.cfg.Windows {
				b.meta[n] = b.meta[i]
			}
			n++
			continue
		}
		p := parts[group]
		if p == nil {
			p = &Batch[coder.KV[K, V]]{points: b.points}
			parts[group], order = p, append(order, group)
		}
		p.vals, p.ts = append(p.vals, b.vals[i]), append(p.ts, b.ts[i])
		if e.cfg.Windows {
			p.meta = append(p.meta, b.meta[i])
		}
	}
	if b.points {
		clear(b.vals[n:])
	}
	b.vals, b.ts = b.vals[:n], b.ts[:n]
	if e.cfg.Windows {
		b.meta = b.meta[:n]
	}
	for _, group := range order {
		f(group, parts[group])
	}
}
