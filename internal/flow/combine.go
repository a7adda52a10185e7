package flow

import (
	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Combiner folds values of V into an accumulator A in place.
type Combiner[V, A, R any] struct {
	Init    func() A // nil: the zero value
	Add     func(a *A, v V)
	Merge   func(a *A, b A)
	Extract func(A) R
	Acc     coder.Coder[A]
}

// fold is one window's flat table of accumulators.
type fold[K comparable, A any] struct {
	win window.Interval
	dir *Dir[K]
	acc *Column[A]
}

func (f *fold[K, A]) interval() window.Interval { return f.win }

// folds is the open windows' tables, and emptied ones to use again.
type folds[K comparable, A any] struct {
	*tables[*fold[K, A]]
	hash keygroup.Hasher[K]
	init func() A
	idle []*fold[K, A]
	wins []window.Interval
	cur  *fold[K, A] // the table at hand; nil when none
}

func newFolds[K comparable, A any](a Assign, hash keygroup.Hasher[K], init func() A) *folds[K, A] {
	p := &folds[K, A]{hash: hash, init: init}
	p.tables = newTables(a, p.open1, func(f *fold[K, A]) { p.cur = f })
	return p
}

func (p *folds[K, A]) open1(w window.Interval) *fold[K, A] {
	if n := len(p.idle); n > 0 {
		f := p.idle[n-1]
		p.idle = p.idle[:n-1]
		f.win = w
		return f
	}
	d := NewDir[K](p.hash)
	return &fold[K, A]{win: w, dir: d, acc: AddColumn[A](d)}
}

// recycle empties f for another window.
func (p *folds[K, A]) recycle(f *fold[K, A]) {
	f.dir.Reset()
	p.cur, p.last = nil, nil
	if len(p.idle) < 4 {
		p.idle = append(p.idle, f)
	}
}

// row finds or makes k's accumulator in f.
func (p *folds[K, A]) row(f *fold[K, A], k K) uint32 {
	r, fresh := f.dir.Row(k)
	if fresh && p.init != nil {
		f.acc.Vals[r] = p.init()
	}
	return r
}

// CombinePre folds on the sender's lane, before the exchange, at most maxRows
// keys at a time. It keeps nothing over a barrier and never drops late elements:
// the receiver does (rule M38, trap 8).
func CombinePre[K comparable, V, A, R any](key coder.Coder[K], val coder.Coder[V], a Assign, cb Combiner[V, A, R], maxRows int) graph.Op {
	hash := keygroup.Of[K](key.Append)
	in := coder.KVOf(key, val)
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		p := &pre[K, A]{newFolds(a, hash, cb.Init), recvOf[coder.KV[K, A]](out[0])}
		if c.Run.Careful {
			return one(preCarefully(c, p, cb, in, key)), p
		}
		add := cb.Add
		id := c.Op
		return one(Recv[coder.KV[K, V]](func(c *graph.Ctx, v coder.KV[K, V]) {
			c.Op = id
			if f := p.cur; f != nil && p.assign.same(c, f.win) {
				add(&f.acc.Vals[p.row(f, v.Key)], v.Value)
				if f.dir.n >= maxRows {
					p.Flush(c)
				}
				return
			}
			p.wins = p.assign.windows(c, p.wins)
			for _, w := range p.wins {
				f := p.at(c, w)
				add(&f.acc.Vals[p.row(f, v.Key)], v.Value)
				if f.dir.n >= maxRows {
					p.Flush(c)
				}
			}
		})), p
	})
}

type pre[K comparable, A any] struct {
	*folds[K, A]
	next Recv[coder.KV[K, A]]
}

// preCarefully sends each element on as an accumulator of its own: what a
// failing Add has begun is then simply dropped.
func preCarefully[K comparable, V, A, R any](c *graph.Ctx, p *pre[K, A], cb Combiner[V, A, R], in coder.Coder[coder.KV[K, V]], key coder.Coder[K]) Recv[coder.KV[K, V]] {
	g := &guard[coder.KV[K, V]]{node: c.Node(), cod: in, key: func(v coder.KV[K, V]) []byte { return key.Append(nil, v.Key) }}
	return func(c *graph.Ctx, v coder.KV[K, V]) {
		p.wins = p.assign.windows(c, p.wins)
		for _, w := range p.wins {
			var a A
			ok := g.try(c, v, func() error {
				if a = *new(A); cb.Init != nil {
					a = cb.Init()
				}
				cb.Add(&a, v.Value)
				return nil
			}, nil)
			if !ok {
				return
			}
			ts, win := c.TS, c.Win
			c.TS, c.Win = w.Last(), w
			p.next(c, coder.KV[K, A]{Key: v.Key, Value: a})
			c.TS, c.Win = ts, win
		}
	}
}

func (p *pre[K, A]) emit(c *graph.Ctx, f *fold[K, A]) {
	ts, win := c.TS, c.Win
	c.TS, c.Win = f.win.Last(), f.win
	f.dir.Each(func(r uint32) { p.next(c, coder.KV[K, A]{Key: f.dir.Keys[r], Value: f.acc.Vals[r]}) })
	c.TS, c.Win = ts, win
	p.recycle(f)
}

// Advance gives up the windows that wm passes.
func (p *pre[K, A]) Advance(c *graph.Ctx, wm int64) {
	p.close(wm, 0, func(f *fold[K, A]) { p.emit(c, f) })
}

// Flush gives up everything.
func (p *pre[K, A]) Flush(c *graph.Ctx) {
	p.close(window.MaxTime, 0, func(f *fold[K, A]) { p.emit(c, f) })
}

// Combine folds values by key and window and emits each window's results when
// the watermark has passed it. Its Add is the combiner's Add, or Merge behind a
// CombinePre.
type Combine[K comparable, V, A, R any] struct {
	Key       coder.Coder[K]
	Val       coder.Coder[V]
	Acc       coder.Coder[A]
	Assign    Assign
	Init      func() A
	Add       func(*A, V)
	Extract   func(A) R
	EmitEmpty *K // emit Extract of an empty accumulator for this key if the global window got nothing
}

// Open implements graph.Op.
func (s *Combine[K, V, A, R]) Open(c *graph.Ctx, out []any) ([]any, any) {
	o := &combine[K, V, A, R]{folds: newFolds(s.Assign, keygroup.Of[K](s.Key.Append), s.Init), s: s, node: c.Node(), wm: window.MinTime,
		next: recvOf[coder.KV[K, R]](out[0]), late: c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedLate)}
	if c.Run.Careful {
		o.g = &guard[coder.KV[K, V]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Val), key: func(v coder.KV[K, V]) []byte { return s.Key.Append(nil, v.Key) }}
		o.gOut = &guard[coder.KV[K, A]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Acc), key: func(v coder.KV[K, A]) []byte { return s.Key.Append(nil, v.Key) }}
	}
	return one(Recv[coder.KV[K, V]](o.recv)), o
}

type combine[K comparable, V, A, R any] struct {
	*folds[K, A]
	s     *Combine[K, V, A, R]
	node  *graph.Node
	next  Recv[coder.KV[K, R]]
	wm    int64
	fired bool // a global window was emitted
	late  *graph.Cell
	gone  [][]byte
	g     *guard[coder.KV[K, V]]
	gOut  *guard[coder.KV[K, A]]
}

func (o *combine[K, V, A, R]) recv(c *graph.Ctx, v coder.KV[K, V]) {
	c.Op = o.node.ID
	if f := o.cur; f != nil && o.g == nil && o.assign.same(c, f.win) {
		r := o.row(f, v.Key)
		o.s.Add(&f.acc.Vals[r], v.Value)
		f.dir.Touch(r)
		return
	}
	o.wins = o.assign.windows(c, o.wins)
	for _, w := range o.wins {
		if o.assign.late(w, o.wm) {
			o.late.Add(1)
			continue
		}
		f := o.at(c, w)
		r := o.row(f, v.Key)
		if o.g != nil {
			o.addCarefully(c, f, r, v)
		} else {
			o.s.Add(&f.acc.Vals[r], v.Value)
		}
		f.dir.Touch(r)
	}
}

// addCarefully puts the accumulator back as it was when Add fails half way.
func (o *combine[K, V, A, R]) addCarefully(c *graph.Ctx, f *fold[K, A], r uint32, v coder.KV[K, V]) {
	was := o.s.Acc.Append(nil, f.acc.Vals[r])
	o.g.try(c, v, func() error { o.s.Add(&f.acc.Vals[r], v.Value); return nil }, func() {
		a, _, err := o.s.Acc.Decode(was)
		if err != nil {
			panic("BUG: flow: an accumulator does not decode what it encoded: " + err.Error())
		}
		f.acc.Vals[r] = a
	})
}

// Advance emits the windows that wm has passed (rule M30), stamped with their last instant (M40).
func (o *combine[K, V, A, R]) Advance(c *graph.Ctx, wm int64) {
	o.wm = wm
	o.close(wm, 0, func(f *fold[K, A]) {
		o.fired = o.fired || f.dir.n > 0
		o.emit(c, f)
		if c.Run.Epochs {
			f.dir.Each(func(r uint32) {
				o.gone = append(o.gone, appendRowKey(nil, f.dir.Group(r), f.win, o.s.Key, f.dir.Keys[r]))
			})
		}
		o.recycle(f)
	})
	if k := o.s.EmitEmpty; k != nil && wm == window.MaxTime && !o.fired && o.mine(c, *k) {
		o.fired = true
		f := o.open1(window.Global)
		o.row(f, *k)
		o.emit(c, f)
		o.recycle(f)
	}
}

// mine reports that this lane owns k.
func (o *combine[K, V, A, R]) mine(c *graph.Ctx, k K) bool {
	return int(c.Run.Owner[keygroup.Group(o.hash.Sum(k))]) == c.Lane
}

func (o *combine[K, V, A, R]) emit(c *graph.Ctx, f *fold[K, A]) {
	ts, win, pane := c.TS, c.Win, c.Pane
	c.TS, c.Win, c.Pane = f.win.Last(), f.win, onlyPane
	f.dir.Each(func(r uint32) {
		c.Op = o.node.ID
		k := f.dir.Keys[r]
		var res R
		if o.gOut != nil {
			if !o.gOut.try(c, coder.KV[K, A]{Key: k, Value: f.acc.Vals[r]}, func() error { res = o.s.Extract(f.acc.Vals[r]); return nil }, nil) {
				return
			}
		} else {
			res = o.s.Extract(f.acc.Vals[r])
		}
		o.next(c, coder.KV[K, R]{Key: k, Value: res})
	})
	c.TS, c.Win, c.Pane = ts, win, pane
}

// onlyPane is the pane of a window that is emitted once, on time (rules M32, M33).
var onlyPane = window.Pane{Timing: window.PaneOnTime, First: true, Last: true}

// Delta implements graph.Keeper. A row is named by its window and key.
func (o *combine[K, V, A, R]) Delta(w graph.DeltaWriter) {
	deleteRows(w, o.gone)
	o.gone = nil
	var key, val []byte
	for _, f := range o.all() {
		f.dir.EachDirty(func(r uint32) {
			group := f.dir.Group(r)
			key = appendRowKey(key[:0], group, f.win, o.s.Key, f.dir.Keys[r])
			val = o.s.Acc.Append(val[:0], f.acc.Vals[r])
			w.Put(group, key[2:], val)
		})
	}
	if o.fired {
		w.Put(graph.LaneBound, []byte("fired"), nil)
	}
}

// Load implements graph.Keeper.
func (o *combine[K, V, A, R]) Load(key, val []byte) error {
	if string(key) == "fired" {
		o.fired = true
		return nil
	}
	w, k, err := splitRowKey(key, o.s.Key)
	if err != nil {
		return err
	}
	a, _, err := o.s.Acc.Decode(val)
	if err != nil {
		return err
	}
	f := o.at(nil, w)
	f.acc.Vals[o.row(f, k)] = a
	return nil
}
