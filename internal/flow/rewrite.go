package flow

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
)

// What operators do when an epoch has to hold rows that have not changed
// (graph.Rewriter), and how they make one of the rows of several lanes.

// leastOf takes in a row of numbers that every lane has written: the least of each
// counts, for a lane goes on from what all of them have reached.
type leastOf struct{ any bool }

func (l *leastOf) take(first *int64, val []byte, more ...*int64) error {
	for _, at := range append([]*int64{first}, more...) {
		v, rest, err := takeInt(val)
		if err != nil {
			return err
		}
		if val = rest; !l.any || v < *at {
			*at = v
		}
	}
	l.any = true
	return nil
}

// touchChosen marks the rows of chosen groups as changed. also is called for each; it may be nil.
func (d *Dir[K]) touchChosen(a graph.Anew, also func(r uint32)) {
	if a.Groups == nil {
		return
	}
	d.Each(func(r uint32) {
		if a.Groups(d.Group(r)) {
			d.Touch(r)
			if also != nil {
				also(r)
			}
		}
	})
}

func (o *stateful[K, V, O]) Rewrite(_ *graph.Ctx, a graph.Anew) {
	for _, s := range o.l.shared {
		if a.Lane {
			s.rewrite()
		}
	}
	for _, t := range o.tables.all() {
		t.dir.touchChosen(a, t.touchParts)
	}
	o.pages.rewrite(a)
	if o.parked != nil && a.Groups != nil {
		o.parked.rewrite(a)
	}
}

func (s *Shared[R]) rewrite() { s.dirty = true }

// rewrite notes that all pages are to be written; a store of pages asks for no part of them.
func (p *pages) rewrite(a graph.Anew) {
	if p != nil && a.Groups != nil {
		p.whole = true
	}
}

func (p *parking[K, V]) rewrite(a graph.Anew) {
	for _, k := range p.keys {
		if a.Groups(k.group) {
			k.saved = 0
		}
	}
}

func (o *combine[K, V, A, R]) Rewrite(_ *graph.Ctx, a graph.Anew) {
	for _, f := range o.open {
		f.dir.touchChosen(a, nil)
	}
	o.pages.rewrite(a)
}

func (o *unmerging[K]) Rewrite(_ *graph.Ctx, a graph.Anew) {
	for _, t := range o.tables.open {
		t.dir.touchChosen(a, nil)
	}
	o.pages.rewrite(a)
}

func (o *merging[K]) Rewrite(_ *graph.Ctx, a graph.Anew) {
	o.dir.touchChosen(a, nil)
	o.pages.rewrite(a)
}

func (v *paneView[T]) Rewrite(_ *graph.Ctx, a graph.Anew) {
	for _, k := range v.kept {
		k.saved = k.saved && !a.Chooses(v.group)
	}
}

func (v *view[T]) Rewrite(_ *graph.Ctx, a graph.Anew) {
	if a.Lane {
		v.saved = 0
	}
}

// Rewrite gives what waits new numbers: that of other lanes, whose number has
// changed, may have the same ones.
func (g *windowGate[T]) Rewrite(_ *graph.Ctx, a graph.Anew) {
	if !a.Lane {
		return
	}
	var all []*waiting
	for _, list := range g.waiting {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	slices.SortStableFunc(all, func(a, b *waiting) int { return cmp64(int64(a.seq), int64(b.seq)) })
	for _, x := range all {
		g.seq++
		x.seq, x.saved = g.seq, false
	}
	g.gone = nil
}

func (g *gate[T]) Rewrite(c *graph.Ctx, a graph.Anew) {
	if !a.Lane {
		return
	}
	g.emptied, g.log = false, nil
	err := g.spool.scan(func(b []byte) error {
		g.log = append(g.log, appendBytes(nil, b))
		return nil
	})
	if err != nil {
		c.Op = g.node.ID
		c.Fail(err)
	}
}

// scan calls f for every record, and leaves them where they are.
func (s *spool) scan(f func([]byte) error) error {
	for mem := s.mem; len(mem) > 0; {
		rec, rest, err := takeBytes(mem)
		if err == nil {
			err = f(rec)
		}
		if err != nil {
			return err
		}
		mem = rest
	}
	if s.f == nil {
		return nil
	}
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("spill held elements to %s: %w", s.f.Name(), err)
	}
	return s.read(io.NewSectionReader(s.f, 0, math.MaxInt64), f)
}

// Rewrite appends every value of chosen groups that is held, in memory and in files.
func (o *group[K, V]) Rewrite(c *graph.Ctx, a graph.Anew) {
	if a.Groups == nil {
		return
	}
	o.log.drop(a.Groups)
	o.gone.drop(a.Groups)
	if err := o.again(a.Groups); err != nil {
		c.Op = o.node.ID
		c.Fail(err)
	}
}

func (o *group[K, V]) again(chosen func(group int) bool) error {
	for _, r := range o.runs {
		if r.done {
			continue
		}
		for r := r.copied(); !r.done; {
			k, _, err := o.s.Key.Decode(r.row.key)
			if err != nil {
				return fmt.Errorf("read back a spilled key: %w", err)
			}
			group := keygroup.Group(o.hash.Sum(k))
			key := appendRowKey(nil, group, r.row.win, o.s.Key, k)
			p, err := r.part()
			if err == nil && chosen(group) {
				err = p.each(func(values []byte, n int) bool { return o.logged(key, values, n) })
			}
			if err != nil {
				return err
			}
		}
	}
	for _, t := range o.tables.all() {
		t.dir.Each(func(r uint32) {
			if !chosen(t.dir.Group(r)) {
				return
			}
			key := appendRowKey(nil, t.dir.Group(r), t.win, o.s.Key, t.dir.Keys[r])
			t.arena.each(t.chain.Vals[r], func(values []byte, n int) bool { return o.logged(key, values, n) })
		})
	}
	return nil
}

// logged adds n values to the next delta.
func (o *group[K, V]) logged(key, values []byte, n int) bool {
	for ; n > 0; n-- {
		_, rest, err := o.s.Val.Decode(values)
		if err != nil {
			panic("BUG: flow: a grouped value does not decode: " + err.Error())
		}
		size := len(values) - len(rest)
		b := append(o.log.bytes, key...)
		o.log.add(appendBytes(b, values[:size]), len(b))
		values = rest
	}
	return true
}

// copied is a reader of its own behind r's head.
func (r *run) copied() *run {
	c := *r
	c.r = bufio.NewReaderSize(io.NewSectionReader(r.f, r.at, math.MaxInt64-r.at), 1<<16)
	c.row.key = bytes.Clone(r.row.key)
	return &c
}
