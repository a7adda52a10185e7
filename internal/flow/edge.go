package flow

import (
	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Batch is elements in transit, in columns. meta is empty unless the edge carries windows.
type Batch[T any] struct {
	ts   []int64
	vals []T
	meta []meta

	split int // of a Forward edge: which all elements came from
}

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
		b.meta = append(b.meta, meta{c.Win, c.Pane})
	}
}

// reset empties the batch for reuse; cleared, so that it keeps nothing alive.
func (b *Batch[T]) reset() {
	clear(b.vals)
	b.vals, b.ts, b.meta = b.vals[:0], b.ts[:0], b.meta[:0]
}

// edge is every kind of exchange but the one by key.
type edge[T any] struct{ cfg graph.EdgeConfig }

func (e *edge[T]) newBatch() *Batch[T] {
	b := &Batch[T]{ts: make([]int64, 0, e.cfg.Size), vals: make([]T, 0, e.cfg.Size)}
	if e.cfg.Windows {
		b.meta = make([]meta, 0, e.cfg.Size)
	}
	return b
}

// outbox is the begun batches of one sender.
type outbox[T any] struct {
	e    *edge[T]
	open []*Batch[T]
	send func(int, graph.Batch) graph.Batch
}

func (e *edge[T]) outbox(lanes int, send func(int, graph.Batch) graph.Batch) *outbox[T] {
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
	o, windows := e.outbox(c.Lanes, send), e.cfg.Windows
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
			e.setSplit(c, b)
			bi.many(c, b)
			c.TS = old
			b.reset()
		}
	}
	r, windows := recvOf[T](in), e.cfg.Windows
	return func(gb graph.Batch) {
		b := gb.(*Batch[T])
		ts, win, pane := c.TS, c.Win, c.Pane
		e.setSplit(c, b)
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
func (e *edge[T]) setSplit(c *graph.Ctx, b *Batch[T]) {
	if e.cfg.Kind == graph.Forward {
		c.Split = b.split
	}
}

// keyEdge sends each element to the lane that owns its key's group.
type keyEdge[K comparable, V any] struct {
	edge[coder.KV[K, V]]
	hash keygroup.Hasher[K]
}

func (e *keyEdge[K, V]) Sender(c *graph.Ctx, owner []uint16, send func(int, graph.Batch) graph.Batch) (any, func()) {
	o := e.outbox(c.Lanes, send)
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
			b.meta = append(b.meta, meta{c.Win, c.Pane})
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
			b.vals = append(b.vals, coder.KV[K, V]{Key: k, Value: v})
			if windows {
				b.meta = append(b.meta, meta{c.Win, c.Pane})
			}
			if b.full() {
				o.give(int(to))
			}
		}
	}
	return &keyIn[K, V]{one, by}, o.flush
}
