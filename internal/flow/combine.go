package flow

import (
	"bytes"
	"reflect"
	"slices"

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

// CombinePre folds on the sender's lane, before the exchange, at most maxRows
// keys at a time. It keeps nothing over a barrier and never drops late elements:
// the receiver does (rule M38, trap 8).
func CombinePre[K comparable, V, A, R any](key coder.Coder[K], val coder.Coder[V], a Assign, cb Combiner[V, A, R], maxRows int) graph.Op {
	hash := keygroup.Of[K](key.Append)
	in := coder.KVOf(key, val)
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		p := &pre[K, A]{folds: newFolds(a, hash, cb.Init), next: recvOf[coder.KV[K, A]](out[0])}
		p.most = maxRows
		if c.Run.Careful {
			return one(preCarefully(c, p, cb, in, key)), p
		}
		add := cb.Add
		id := c.Op
		others := func(c *graph.Ctx, k K, v V) {
			for _, w := range p.windows(c) {
				f := p.at(w)
				add(&f.acc.Vals[p.row(f, k)], v)
				if f.dir.n >= maxRows {
					p.Flush(c)
				}
			}
		}
		if !p.disjoint && a.mode != carried {
			return one(Recv[coder.KV[K, V]](func(c *graph.Ctx, v coder.KV[K, V]) {
				c.Op = id
				others(c, v.Key, v.Value)
			})), p
		}
		recv := func(c *graph.Ctx, v coder.KV[K, V]) {
			c.Op = id
			if at := p.spot(c, v.Key); at != nil {
				add(at, v.Value)
				return
			}
			others(c, v.Key, v.Value)
		}
		return []any{&keyIn[K, V]{recv, func(key func(V) K, by int) Recv[V] {
			if p.few && p.disjoint { // spot, spelled out: one accumulator, and its Add may be a comparison
				return func(c *graph.Ctx, v V) {
					c.Op = by
					k := key(v)
					c.Op = id
					if f := p.cur; f.at != nil && f.key == k && f.holds(c.TS) {
						add(f.at, v)
						return
					}
					others(c, k, v)
				}
			}
			return func(c *graph.Ctx, v V) {
				c.Op = by
				k := key(v)
				c.Op = id
				if at := p.spot(c, k); at != nil {
					add(at, v)
					return
				}
				others(c, k, v)
			}
		}}}, p
	})
}

type pre[K comparable, A any] struct {
	*folds[K, A]
	rows []uint32
	next Recv[coder.KV[K, A]]
}

// preCarefully sends each element on as an accumulator of its own: what a
// failing Add has begun is then simply dropped.
func preCarefully[K comparable, V, A, R any](c *graph.Ctx, p *pre[K, A], cb Combiner[V, A, R], in coder.Coder[coder.KV[K, V]], key coder.Coder[K]) Recv[coder.KV[K, V]] {
	g := &guard[coder.KV[K, V]]{node: c.Node(), cod: in, key: func(v coder.KV[K, V]) []byte { return key.Append(nil, v.Key) }}
	return func(c *graph.Ctx, v coder.KV[K, V]) {
		for _, w := range p.windows(c) {
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
	for _, r := range f.dir.all(&p.rows) {
		p.next(c, coder.KV[K, A]{Key: f.dir.Keys[r], Value: f.acc.Vals[r]})
	}
	c.TS, c.Win = ts, win
	p.recycle(f)
}

// Advance gives up the windows that wm passes.
func (p *pre[K, A]) Advance(c *graph.Ctx, wm int64) {
	p.close(wm, func(f *fold[K, A]) { p.emit(c, f) })
}

// Flush gives up everything.
func (p *pre[K, A]) Flush(c *graph.Ctx) {
	p.close(window.MaxTime, func(f *fold[K, A]) { p.emit(c, f) })
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
	Merge     func(*A, A) // of slices
	Slices    bool        // keep slices of the windows, see [Sliced]
	Extract   func(A) R
	EmitEmpty *K // emit Extract of an empty accumulator for this key if the global window got nothing
}

// Open implements graph.Op.
func (s *Combine[K, V, A, R]) Open(c *graph.Ctx, out []any) ([]any, any) {
	assign := s.Assign
	if s.Slices {
		assign = NewSliceAssign(s.Assign.fn)
	}
	o := &combine[K, V, A, R]{folds: newFolds(assign, keygroup.Of[K](s.Key.Append), s.Init), s: s, node: c.Node(), wm: window.MinTime,
		next: recvOf[coder.KV[K, R]](out[0]), c: c, late: c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedLate), epochs: c.Run.Epochs}
	if c.Run.Careful {
		o.g = &guard[coder.KV[K, V]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Val), key: func(v coder.KV[K, V]) []byte { return s.Key.Append(nil, v.Key) }}
		o.gOut = &guard[coder.KV[K, A]]{node: c.Node(), cod: coder.KVOf(s.Key, s.Acc), key: func(v coder.KV[K, A]) []byte { return s.Key.Append(nil, v.Key) }}
	}
	if s.Slices {
		o.slices = &sliced[K, A]{slicer: newSlicer(s.Assign.fn)}
		if !plain(reflect.TypeFor[A]()) {
			var b []byte
			o.slices.copied = func(a A) A {
				b = s.Acc.Append(b[:0], a)
				return decoded(s.Acc, b)
			}
		}
	}
	if o.g == nil && o.disjoint {
		return []any{&batchIn[coder.KV[K, V]]{o.recv, o.recvBatch}}, o
	}
	return one(Recv[coder.KV[K, V]](o.recv)), o
}

type combine[K comparable, V, A, R any] struct {
	*folds[K, A]
	s      *Combine[K, V, A, R]
	node   *graph.Node
	next   Recv[coder.KV[K, R]]
	wm     int64
	fired  bool // a global window was emitted
	epochs bool
	slices *sliced[K, A] // nil: none
	rows   rows
	late   *graph.Cell
	gone   rowList // rows of windows that were emitted
	c      *graph.Ctx
	paged  []*pagedDir[K]
	g      *guard[coder.KV[K, V]]
	gOut   *guard[coder.KV[K, A]]
}

func (o *combine[K, V, A, R]) recv(c *graph.Ctx, v coder.KV[K, V]) {
	c.Op = o.node.ID
	f := o.cur
	if f.holds(c.TS) {
		o.add(c, f, v)
		return
	}
	if f = o.near(c.TS); f != nil {
		o.add(c, f, v)
		return
	}
	if o.slices != nil {
		if f = o.openSlice(c); f != nil {
			o.add(c, f, v)
		}
		return
	}
	for _, w := range o.windows(c) {
		if o.assign.late(w, o.wm) {
			o.late.Add(1)
			continue
		}
		o.add(c, o.at(w), v)
	}
}

// add adds v to its accumulator in f.
func (o *combine[K, V, A, R]) add(c *graph.Ctx, f *fold[K, A], v coder.KV[K, V]) {
	if f.late != 0 {
		o.late.Add(f.late)
		o.slices.stale = true
	}
	r := o.row(f, v.Key)
	if o.g != nil {
		o.addCarefully(c, f, r, v)
	} else {
		o.s.Add(&f.acc.Vals[r], v.Value)
	}
	if o.epochs {
		f.dir.Touch(r)
	}
}

// recvBatch is recv of each element; where all go to one table, the rows are
// looked up beforehand.
func (o *combine[K, V, A, R]) recvBatch(c *graph.Ctx, b *Batch[coder.KV[K, V]]) {
	c.TS = b.ts[0]
	o.recv(c, b.vals[0])
	f, ts, vals := o.cur, b.ts[1:], b.vals[1:]
	if f == o.nothing || len(f.dir.ctrl) < bigTable || f.late != 0 || slices.ContainsFunc(ts, func(t int64) bool { return !f.holds(t) }) {
		for i, v := range vals {
			c.TS = ts[i]
			o.recv(c, v)
		}
		return
	}
	rows := rowsOf(f.dir, vals, &o.rows)
	for _, i := range o.rows.fresh {
		o.made(f, rows[i])
	}
	for i, r := range rows {
		o.s.Add(&f.acc.Vals[r], vals[i].Value)
		if o.epochs {
			f.dir.Touch(r)
		}
	}
}

// addCarefully puts the accumulator back as it was when Add fails half way.
func (o *combine[K, V, A, R]) addCarefully(c *graph.Ctx, f *fold[K, A], r uint32, v coder.KV[K, V]) {
	was := o.s.Acc.Append(nil, f.acc.Vals[r])
	o.g.try(c, v, func() error { o.s.Add(&f.acc.Vals[r], v.Value); return nil }, func() { f.acc.Vals[r] = decoded(o.s.Acc, was) })
}

// Advance emits the windows that wm has passed (rule M30), stamped with their last instant (M40).
func (o *combine[K, V, A, R]) Advance(c *graph.Ctx, wm int64) {
	if o.slices != nil {
		o.advanceSlices(c, wm)
		return
	}
	o.wm = wm
	o.close(wm, func(f *fold[K, A]) {
		o.fired = o.fired || f.dir.n > 0 || f.pages != nil && f.pages.away.any()
		o.emit(c, f)
		if f.pages != nil {
			o.emitAway(c, f)
		}
		o.drop(c, f)
	})
	if k := o.s.EmitEmpty; k != nil && wm == window.MaxTime && !o.fired && o.mine(c, *k) {
		o.fired = true
		f := o.fresh(window.Global)
		o.row(f, *k)
		o.emit(c, f)
		o.recycle(f)
	}
}

// drop forgets f, which is no longer open.
func (o *combine[K, V, A, R]) drop(c *graph.Ctx, f *fold[K, A]) {
	if f.pages != nil {
		o.pages.die(f.win, &f.pages.away)
	}
	if c.Run.Epochs {
		f.dir.Each(func(r uint32) {
			if f.pages != nil && f.pages.age.Vals[r] == unstored {
				return
			}
			o.gone.addKey(appendRowKey(o.gone.bytes, f.dir.Group(r), f.win, o.s.Key, f.dir.Keys[r]))
		})
	}
	o.recycle(f)
}

// mine reports that this lane has the state of k.
func (o *combine[K, V, A, R]) mine(c *graph.Ctx, k K) bool {
	return int(c.Run.Here[keygroup.Group(o.hash.Sum(k))]) == c.Lane
}

func (o *combine[K, V, A, R]) emit(c *graph.Ctx, f *fold[K, A]) {
	ts, win, pane := c.TS, c.Win, c.Pane
	c.TS, c.Win, c.Pane = f.win.Last(), f.win, onlyPane
	id, extract, next := o.node.ID, o.s.Extract, o.next
	for _, r := range f.dir.all(&o.rows.row) {
		k := f.dir.Keys[r]
		if o.gOut == nil {
			c.Op = id
			next(c, coder.KV[K, R]{Key: k, Value: extract(f.acc.Vals[r])})
			continue
		}
		var res R
		if o.gOut.try(c, coder.KV[K, A]{Key: k, Value: f.acc.Vals[r]}, func() error { res = extract(f.acc.Vals[r]); return nil }, nil) {
			next(c, coder.KV[K, R]{Key: k, Value: res})
		}
	}
	c.TS, c.Win, c.Pane = ts, win, pane
}

// onlyPane is the pane of a window that is emitted once, on time (rules M32, M33).
var onlyPane = window.Pane{Timing: window.PaneOnTime, First: true, Last: true}

// firedRow names the row that tells what was fired: of slices, the watermark up
// to which; else, that the global window was. No window's bytes begin so: its
// end would be before its start.
var firedRow = []byte("fired")

// Delta implements graph.Keeper. A row is named by its window, or slice, and key.
func (o *combine[K, V, A, R]) Delta(w graph.DeltaWriter) {
	o.gone.delete(w)
	if o.pages != nil {
		o.deltaAway(w)
	}
	var win, key, val []byte
	for _, f := range o.open {
		win = appendWindow(win[:0], f.win)
		f.dir.EachDirty(func(r uint32) {
			key = o.s.Key.Append(append(key[:0], win...), f.dir.Keys[r])
			val = o.s.Acc.Append(val[:0], f.acc.Vals[r])
			w.Put(f.dir.Group(r), key, val)
			if f.pages != nil {
				f.pages.wrote(o.pages, r, len(key)-len(win), len(val))
			}
		})
	}
	if o.fired {
		w.Put(graph.EveryLane, firedRow, nil)
	}
	if o.slices != nil {
		w.Put(graph.EveryLane, firedRow, appendInt(nil, o.wm))
	}
}

// Load implements graph.Keeper.
func (o *combine[K, V, A, R]) Load(key, val []byte) error {
	if bytes.Equal(key, firedRow) {
		if o.slices == nil {
			o.fired = true
			return nil
		}
		wm, _, err := takeInt(val)
		o.wm = max(o.wm, wm) // equal on all lanes, for they are behind one exchange
		return err
	}
	w, k, err := splitRowKey(key, o.s.Key)
	if err != nil {
		return err
	}
	a, _, err := o.s.Acc.Decode(val)
	if err != nil {
		return err
	}
	f := o.at(w)
	r := o.row(f, k)
	f.acc.Vals[r] = a
	if f.pages != nil {
		f.pages.age.Vals[r] = o.pages.now
	}
	return nil
}
