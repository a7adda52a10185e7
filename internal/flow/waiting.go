package flow

import (
	"slices"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// waiter is an element that waits for an answer of type R.
type waiter[A, R any] struct {
	v     A
	ts    int64
	win   window.Interval
	pane  window.Pane
	split int
	at    int // which of its call's answers

	r     R
	err   error
	done  bool
	index int // in pending.all, unless ordered
}

// pending is the elements of one lane that wait. In order, they leave from the
// front only.
type pending[A, R any] struct {
	ordered bool
	all     []*waiter[A, R] // ordered: those before head are gone
	head    int
}

func (p *pending[A, R]) len() int { return len(p.all) - p.head }

// add makes the element at hand wait.
func (p *pending[A, R]) add(c *graph.Ctx, v A) *waiter[A, R] {
	if p.head > 0 && len(p.all) == cap(p.all) {
		n := copy(p.all, p.all[p.head:])
		clear(p.all[n:])
		p.all, p.head = p.all[:n], 0
	}
	w := &waiter[A, R]{v: v, ts: c.TS, win: c.Win, pane: c.Pane, split: c.Split, index: len(p.all)}
	p.all = append(p.all, w)
	return w
}

// ready is the front element if it has its answer, or nil.
func (p *pending[A, R]) ready() *waiter[A, R] {
	if p.len() == 0 || !p.all[p.head].done {
		return nil
	}
	return p.all[p.head]
}

// remove takes w out, which is the front element if they are ordered.
func (p *pending[A, R]) remove(w *waiter[A, R]) {
	if p.ordered {
		p.all[p.head] = nil
		if p.head++; p.head == len(p.all) {
			p.all, p.head = p.all[:0], 0
		}
	} else {
		last := len(p.all) - 1
		p.all[w.index] = p.all[last]
		p.all[w.index].index = w.index
		p.all[last] = nil
		p.all = p.all[:last]
	}
}

// ofSplit reports that an element of a split waits.
func (p *pending[A, R]) ofSplit(split int) bool {
	return slices.ContainsFunc(p.all[p.head:], func(w *waiter[A, R]) bool { return w.split == split })
}

// least is the earliest event time of those that wait; MaxTime if none does.
func (p *pending[A, R]) least() int64 {
	low := int64(window.MaxTime)
	for _, w := range p.all[p.head:] {
		low = min(low, w.ts)
	}
	return low
}

// flier knows which requests are under way.
type flier[A, Q, R any] interface {
	find(q Q) (k *asyncCall[A, Q, R], at int, ok bool)
	add(q Q, k *asyncCall[A, Q, R], at int)
	drop(q Q)
}

// flights is the flier of comparable requests.
type flights[A any, K comparable, R any] map[K]flight[A, K, R]

type flight[A, Q, R any] struct {
	call *asyncCall[A, Q, R]
	at   int
}

func (f flights[A, K, R]) find(q K) (*asyncCall[A, K, R], int, bool) {
	x, ok := f[q]
	return x.call, x.at, ok
}

func (f flights[A, K, R]) add(q K, k *asyncCall[A, K, R], at int) { f[q] = flight[A, K, R]{k, at} }
func (f flights[A, K, R]) drop(q K)                               { delete(f, q) }
