package flow

import (
	"math"
	"reflect"
	"slices"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// fold is one window's, or slice's, flat table of accumulators.
type fold[K comparable, A any] struct {
	win      window.Interval
	from, to int64 // elements of these times are in this one alone; empty where windows overlap
	dir      *Dir[K]
	acc      *Column[A]
	at       *A // of key, or nil: the accumulator found last, where keys are few
	key      K
	late     int64        // of a slice: how many of its windows have been fired
	merged   bool         // the slice is part of a window's result
	pages    *pagedDir[K] // nil: all rows are here
}

// folds is the open tables, ordered by end, and emptied ones to use again.
//
// Elements that are out of order go to and fro between two neighbouring windows,
// so two tables are at hand; neither is nil.
type folds[K comparable, A any] struct {
	assign   Assign
	disjoint bool // a timestamp is in one window
	few      bool // there are one or two keys only
	word     bool // keys are hashed by hashWord
	most     int  // keys of a window
	hash     keygroup.Hasher[K]
	init     func() A
	open     []*fold[K, A]
	idle     []*fold[K, A]
	wins     []window.Interval
	cur, alt *fold[K, A]
	nothing  *fold[K, A]                   // is in no window
	pages    *pages                        // nil: all rows are in memory
	missed   func(f *fold[K, A], r uint32) // reads a row that was just made from the store; nil without pages
}

func newFolds[K comparable, A any](a Assign, hash keygroup.Hasher[K], init func() A) *folds[K, A] {
	p := &folds[K, A]{assign: a, hash: hash, init: init, most: math.MaxInt, nothing: &fold[K, A]{}}
	p.disjoint = a.mode == global || a.mode == single
	p.word = isWord[K]()
	p.few = reflect.TypeFor[K]().Kind() == reflect.Bool
	p.cur, p.alt = p.nothing, p.nothing
	return p
}

// fresh is an empty table for w.
func (p *folds[K, A]) fresh(w window.Interval) *fold[K, A] {
	var f *fold[K, A]
	if n := len(p.idle); n > 0 {
		f = p.idle[n-1]
		p.idle = p.idle[:n-1]
	} else {
		d := NewDir[K](p.hash)
		f = &fold[K, A]{dir: d, acc: AddColumn[A](d)}
		if p.pages != nil {
			f.pages = newPagedDir(d)
		}
	}
	if f.pages != nil {
		f.pages.away = groupSet{}
	}
	f.win, f.at, f.late, f.merged = w, nil, 0, false
	if p.disjoint {
		if f.from, f.to = w.Start, w.End; p.assign.Global() {
			f.from, f.to = window.MinTime, window.MaxTime+1
		}
	}
	return f
}

// recycle empties f for another window.
func (p *folds[K, A]) recycle(f *fold[K, A]) {
	f.dir.Reset()
	if f == p.cur || f == p.alt {
		p.cur, p.alt = p.nothing, p.nothing
	}
	if len(p.idle) < 8 {
		p.idle = append(p.idle, f)
	}
}

// holds reports that f is the table of an element at ts, and of no other.
func (f *fold[K, A]) holds(ts int64) bool { return f.from <= ts && ts < f.to }

// near is the table of an element at ts if it is at hand, or nil. It is the
// slow half of a look that begins with cur.holds.
func (p *folds[K, A]) near(ts int64) *fold[K, A] {
	if p.alt.holds(ts) {
		p.cur, p.alt = p.alt, p.cur
		return p.cur
	}
	return nil
}

// at is w's table, which it opens if need be and which is then at hand.
func (p *folds[K, A]) at(w window.Interval) *fold[K, A] {
	if p.cur.win == w && p.cur != p.nothing {
		return p.cur
	}
	i, ok := slices.BinarySearchFunc(p.open, w, func(f *fold[K, A], w window.Interval) int { return compareWindows(f.win, w) })
	if !ok {
		p.open = slices.Insert(p.open, i, p.fresh(w))
	}
	p.cur, p.alt = p.open[i], p.cur
	return p.cur
}

// close takes out every table whose window the watermark has passed, after
// calling f for it, which recycles it.
func (p *folds[K, A]) close(wm int64, f func(*fold[K, A])) {
	for len(p.open) > 0 {
		t := p.open[0]
		if wm <= t.win.Last() {
			return
		}
		p.open = slices.Delete(p.open, 0, 1)
		f(t)
	}
}

// spot is the accumulator of key k in the window of the element at hand, or nil
// where that window is not at hand or is about to have most keys.
func (p *folds[K, A]) spot(c *graph.Ctx, k K) *A {
	f := p.cur
	if !f.holds(c.TS) && (p.disjoint || f.win != c.Win) {
		if f = p.near(c.TS); f == nil {
			return nil
		}
	}
	switch {
	case p.word:
		if r, is := f.dir.home(k, hashWord(&k)); is {
			return &f.acc.Vals[r]
		}
	case p.few:
		if f.at != nil && f.key == k {
			return f.at
		}
		return nil
	}
	if f.dir.n+1 >= p.most {
		return nil
	}
	return &f.acc.Vals[p.row(f, k)]
}

// row finds or makes k's accumulator in f.
func (p *folds[K, A]) row(f *fold[K, A], k K) uint32 {
	r, fresh := f.dir.Row(k)
	if fresh {
		p.made(f, r)
	}
	if p.few { // so few that the table does not grow
		f.at, f.key = &f.acc.Vals[r], k
	}
	return r
}

// made begins the accumulator of a row that was just made.
func (p *folds[K, A]) made(f *fold[K, A], r uint32) {
	if p.init != nil {
		f.acc.Vals[r] = p.init()
	}
	if p.missed != nil {
		p.missed(f, r)
	}
}

// windows is the windows of the element at hand; the slice is used again.
func (p *folds[K, A]) windows(c *graph.Ctx) []window.Interval {
	p.wins = p.assign.windows(c, p.wins)
	return p.wins
}
