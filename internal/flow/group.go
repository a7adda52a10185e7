package flow

import (
	"fmt"
	"iter"
	"slices"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Group gathers the values of each key and window, encoded in an arena, and
// emits them when the watermark has passed the window. What outgrows the memory
// budget goes to sorted files, which are merged at the end.
type Group[K comparable, V any] struct {
	Key    coder.Coder[K]
	Val    coder.Coder[V]
	Assign Assign
}

// chains is one window's keys and their values.
type chains[K comparable] struct {
	win   window.Interval
	dir   *Dir[K]
	chain *Column[chain]
	arena arena // of this window's values: all of it goes when the window does
}

func (t *chains[K]) interval() window.Interval { return t.win }
func (t *chains[K]) keys() int                 { return t.dir.n }

// Open implements graph.Op.
func (s *Group[K, V]) Open(c *graph.Ctx, out []any) ([]any, any) {
	o := &group[K, V]{s: s, c: c, node: c.Node(), hash: keygroup.Of[K](s.Key.Append), wm: window.MinTime,
		next: recvOf[coder.KV[K, iter.Seq[V]]](out[0]), late: c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, droppedLate),
		spills: c.Run.Metrics.NewCell(graph.CounterKind, c.Node().Name, "spilledBytes")}
	o.tables = newTables(s.Assign, func(w window.Interval) *chains[K] {
		d := NewDir[K](o.hash)
		return &chains[K]{w, d, AddColumn[chain](d), arena{spare: &o.spare}}
	}, nil)
	o.budget = c.Run.MemoryBudget
	if o.budget <= 0 {
		o.budget = 1 << 62
	}
	return one(Recv[coder.KV[K, V]](o.recv)), o
}

type group[K comparable, V any] struct {
	s      *Group[K, V]
	c      *graph.Ctx
	node   *graph.Node
	hash   keygroup.Hasher[K]
	next   Recv[coder.KV[K, iter.Seq[V]]]
	tables *tables[*chains[K]]
	spare  spare
	bytes  int64 // of values in memory
	runs   []*run
	budget int64
	wm     int64
	wins   []window.Interval
	buf    []byte
	late   *graph.Cell
	spills *graph.Cell
	log    rowList // values added since the last delta, when epochs are on
	gone   rowList
	gen    uint64 // of the group being emitted: a sequence of another one is stale
}

func (o *group[K, V]) recv(c *graph.Ctx, v coder.KV[K, V]) {
	c.Op = o.node.ID
	o.buf = o.s.Val.Append(o.buf[:0], v.Value)
	o.wins = o.s.Assign.windows(c, o.wins)
	for _, w := range o.wins {
		if o.s.Assign.late(w, o.wm) {
			o.late.Add(1)
			continue
		}
		o.add(w, v.Key, o.buf)
		if c.Run.Epochs {
			b := appendRowKey(o.log.bytes, keygroup.Group(o.hash.Sum(v.Key)), w, o.s.Key, v.Key)
			o.log.add(appendBytes(b, o.buf), len(b))
		}
	}
	if o.bytes > o.budget {
		if err := o.spill(c); err != nil {
			c.Fail(err)
		}
	}
}

func (o *group[K, V]) add(w window.Interval, k K, val []byte) {
	t := o.tables.at(nil, w)
	r, _ := t.dir.Row(k)
	was := t.arena.size()
	t.arena.add(&t.chain.Vals[r], val)
	o.bytes += t.arena.size() - was
}

// sorted returns t's rows in the order of runs.
func (o *group[K, V]) sorted(t *chains[K]) []uint32 {
	type ref struct {
		hash uint64
		row  uint32
	}
	refs := make([]ref, 0, t.dir.n)
	t.dir.Each(func(r uint32) { refs = append(refs, ref{o.hash.Sum(t.dir.Keys[r]), r}) })
	slices.SortFunc(refs, func(a, b ref) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		ka := o.s.Key.Append(nil, t.dir.Keys[a.row])
		kb := o.s.Key.Append(nil, t.dir.Keys[b.row])
		return slices.Compare(ka, kb)
	})
	rows := make([]uint32, len(refs))
	for i, r := range refs {
		rows[i] = r.row
	}
	return rows
}

// spill writes everything in memory to a sorted run.
func (o *group[K, V]) spill(c *graph.Ctx) error {
	w, err := newRunWriter(c.Run.TempDir)
	if err != nil {
		return err
	}
	o.spills.Add(o.bytes)
	for _, t := range o.tables.all() {
		for _, r := range o.sorted(t) {
			ch := t.chain.Vals[r]
			row := spillRow{win: t.win, hash: o.hash.Sum(t.dir.Keys[r]), key: o.s.Key.Append(nil, t.dir.Keys[r]), n: int(ch.n)}
			t.arena.each(ch, func(v []byte, n int) bool { row.bytes += segmentSize(v, n); return true })
			w.row(&row)
			t.arena.each(ch, func(v []byte, n int) bool { w.segment(v, n); return true })
		}
	}
	run, err := w.finish()
	if err != nil {
		return err
	}
	if o.runs = append(o.runs, run); len(o.runs) >= mostRuns {
		if err := o.compact(c, nil); err != nil {
			return err
		}
	}
	for _, t := range o.tables.open {
		t.arena.reset()
	}
	o.tables.open, o.tables.last, o.bytes = nil, nil, 0
	return nil
}

// mostRuns is how many files one grouping keeps open on one lane.
const mostRuns = 64

// compact merges all runs into one, without the keys of groups that are dropped; nil: with all.
func (o *group[K, V]) compact(c *graph.Ctx, drops func(group int) bool) error {
	w, err := newRunWriter(c.Run.TempDir)
	if err != nil {
		return err
	}
	for {
		var least *run
		for _, r := range o.runs {
			if !r.done && (least == nil || r.row.compare(&least.row) < 0) {
				least = r
			}
		}
		if least == nil {
			break
		}
		if drops != nil && drops(keygroup.Group(least.row.hash)) {
			if err := least.skip(); err != nil {
				return err
			}
			continue
		}
		row := spillRow{win: least.row.win, hash: least.row.hash, key: slices.Clone(least.row.key)}
		var parts []*run
		for _, r := range o.runs {
			if !r.done && r.row.compare(&row) == 0 {
				parts = append(parts, r)
				row.n, row.bytes = row.n+r.row.n, row.bytes+r.row.bytes
			}
		}
		w.row(&row)
		for _, r := range parts {
			if err := r.copyTo(w.w); err != nil {
				return err
			}
		}
	}
	merged, err := w.finish()
	if err != nil {
		return err
	}
	for _, r := range o.runs {
		r.close()
	}
	o.runs = []*run{merged}
	return nil
}

// Advance emits the windows that wm has passed, the earliest first, whether they
// are in memory, in runs or in both.
func (o *group[K, V]) Advance(c *graph.Ctx, wm int64) {
	o.wm = wm
	for c.Err() == nil {
		w, ok := o.earliest()
		if !ok || wm <= w.Last() {
			break
		}
		if err := o.emitWindow(c, w); err != nil {
			c.Fail(err)
		}
	}
}

// earliest is the open window that ends first.
func (o *group[K, V]) earliest() (w window.Interval, ok bool) {
	if len(o.tables.open) > 0 {
		w, ok = o.tables.open[0].win, true
	}
	for _, r := range o.runs {
		if !r.done && (!ok || compareWindows(r.row.win, w) < 0) {
			w, ok = r.row.win, true
		}
	}
	return w, ok
}

// emitWindow merges w's rows of all runs with those in memory.
func (o *group[K, V]) emitWindow(c *graph.Ctx, w window.Interval) error {
	var t *chains[K]
	if len(o.tables.open) > 0 && o.tables.open[0].win == w {
		t = o.tables.open[0]
		o.tables.open, o.tables.last = slices.Delete(o.tables.open, 0, 1), nil
		defer func() { o.bytes -= t.arena.size(); t.arena.reset() }()
	}
	ts, win, pane := c.TS, c.Win, c.Pane
	defer func() { c.TS, c.Win, c.Pane = ts, win, pane }()
	c.TS, c.Win, c.Pane = w.Last(), w, onlyPane

	live := slices.DeleteFunc(slices.Clone(o.runs), func(r *run) bool { return r.done || r.row.win != w })
	if len(live) == 0 {
		if t != nil {
			t.dir.Each(func(r uint32) { o.emit(c, w, t.dir.Keys[r], nil, &t.arena, t.chain.Vals[r]) })
		}
		return nil
	}
	var rows []uint32
	if t != nil {
		rows = o.sorted(t)
	}
	var mem spillRow
	for c.Err() == nil {
		var least *spillRow
		if len(rows) > 0 {
			k := t.dir.Keys[rows[0]]
			mem = spillRow{win: w, hash: o.hash.Sum(k), key: o.s.Key.Append(mem.key[:0], k)}
			least = &mem
		}
		for _, r := range live {
			if !r.done && r.row.win == w && (least == nil || r.row.compare(least) < 0) {
				least = &r.row
			}
		}
		if least == nil {
			break
		}
		if err := o.merge(c, w, least, live, t, &rows, &mem); err != nil {
			return err
		}
	}
	o.runs = slices.DeleteFunc(o.runs, func(r *run) bool {
		if r.done {
			r.close()
		}
		return r.done
	})
	return nil
}

// merge emits the group of the row least, of which every run and memory may have a part.
func (o *group[K, V]) merge(c *graph.Ctx, w window.Interval, least *spillRow, live []*run, t *chains[K], rows *[]uint32, mem *spillRow) error {
	id := spillRow{win: w, hash: least.hash, key: slices.Clone(least.key)}
	k, _, err := o.s.Key.Decode(id.key)
	if err != nil {
		return fmt.Errorf("read back a spilled key: %w", err)
	}
	var parts []part
	for _, r := range live {
		if !r.done && r.row.compare(&id) == 0 {
			p, err := r.part()
			if err != nil {
				return err
			}
			parts = append(parts, p)
		}
	}
	var ch chain
	var from *arena
	if len(*rows) > 0 && mem.compare(&id) == 0 {
		ch, from = t.chain.Vals[(*rows)[0]], &t.arena
		*rows = (*rows)[1:]
	}
	o.emit(c, w, k, parts, from, ch)
	return nil
}

// emit passes one group on. Its sequence reads memory and files; it can be
// ranged over again and is valid during the call only.
func (o *group[K, V]) emit(c *graph.Ctx, w window.Interval, k K, parts []part, from *arena, ch chain) {
	o.gen++
	gen := o.gen
	c.Op = o.node.ID
	o.next(c, coder.KV[K, iter.Seq[V]]{Key: k, Value: func(yield func(V) bool) {
		if gen != o.gen {
			panic(fmt.Sprintf("the values of key %v were kept after the call that brought them: copy them (slices.Collect) to keep them", k))
		}
		o.values(c, parts, from, ch, yield)
	}})
	o.gen++
	if c.Run.Epochs {
		o.gone.addKey(appendRowKey(o.gone.bytes, keygroup.Group(o.hash.Sum(k)), w, o.s.Key, k))
	}
}

func (o *group[K, V]) values(c *graph.Ctx, parts []part, from *arena, ch chain, yield func(V) bool) {
	going := true
	decode := func(b []byte, n int) bool {
		for ; n > 0 && going; n-- {
			v, rest, err := o.s.Val.Decode(b)
			if err != nil {
				c.Fail(fmt.Errorf("read back a grouped value: %w", err))
				going = false
				return false
			}
			b = rest
			going = yield(v)
		}
		return going
	}
	for i := range parts {
		if err := parts[i].each(decode); err != nil {
			c.Fail(err)
			return
		}
		if !going {
			return
		}
	}
	from.each(ch, decode)
}

// Delta implements graph.Keeper: values are appended to their key's row.
func (o *group[K, V]) Delta(w graph.DeltaWriter) {
	o.log.take(w.Append)
	o.gone.delete(w)
}

// Load implements graph.Keeper.
func (o *group[K, V]) Load(key, val []byte) error {
	w, k, err := splitRowKey(key, o.s.Key)
	for err == nil && len(val) > 0 {
		var v []byte
		if v, val, err = takeBytes(val); err == nil {
			o.add(w, k, v)
		}
	}
	return err
}

// Close removes the files.
func (o *group[K, V]) Close(*graph.Ctx) error {
	for _, r := range o.runs {
		r.close()
	}
	o.runs = nil
	return nil
}

// SeqCoder is the iterable coder for a sequence: it materialises.
func SeqCoder[V any](val coder.Coder[V]) coder.Coder[iter.Seq[V]] {
	list := coder.Iterable(val)
	return coder.Coder[iter.Seq[V]]{
		ID:     list.ID,
		Append: func(b []byte, s iter.Seq[V]) []byte { return list.Append(b, slices.Collect(s)) },
		Decode: func(b []byte) (iter.Seq[V], []byte, error) {
			vs, rest, err := list.Decode(b)
			return slices.Values(vs), rest, err
		},
	}
}

// lent is a keyed type whose values may be read during the call only: where an
// element is kept beyond it, own makes it its own.
type lent[K comparable, V any] struct {
	keyed[K, V]
	own func(V) V
}

// LentType is the collection type of Keyed[K, V] with lent values.
func LentType[K comparable, V any](key coder.Coder[K], val coder.Coder[V], own func(V) V) graph.Type {
	return lent[K, V]{KeyedType(key, val).(keyed[K, V]), own}
}

// GroupedType is the collection type of Keyed[K, iter.Seq[V]].
func GroupedType[K comparable, V any](key coder.Coder[K], val coder.Coder[V]) graph.Type {
	return LentType(key, SeqCoder(val), Own[V])
}

// Own materialises a sequence.
func Own[V any](s iter.Seq[V]) iter.Seq[V] { return slices.Values(slices.Collect(s)) }

func (t lent[K, V]) NewEdge(cfg graph.EdgeConfig) graph.Edge {
	return &owningEdge[coder.KV[K, V]]{t.keyed.NewEdge(cfg), func(v coder.KV[K, V]) coder.KV[K, V] {
		v.Value = t.own(v.Value)
		return v
	}}
}

// owningEdge makes each element its own before it goes into a batch.
type owningEdge[T any] struct {
	graph.Edge
	own func(T) T
}

func (e *owningEdge[T]) Sender(c *graph.Ctx, owner []uint16, send func(int, graph.Batch) graph.Batch) (any, func()) {
	recv, flush := e.Edge.Sender(c, owner, send)
	r := recvOf[T](recv)
	return Recv[T](func(c *graph.Ctx, v T) { r(c, e.own(v)) }), flush
}

// Part implements graph.KeyedEdge, where the edge is one by key.
func (e *owningEdge[T]) Part(b graph.Batch, groups func(group int) bool, f func(group int, part graph.Batch)) {
	e.Edge.(graph.KeyedEdge).Part(b, groups, f)
}
