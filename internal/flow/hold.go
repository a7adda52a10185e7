package flow

import (
	"container/heap"

	"github.com/millrace/millrace/window"
)

// holds is the instants at which an operator holds its output back, each with how
// many hold there (M41). They are a multiset because a leak would stop the
// pipeline and a release too early would make what follows late (trap 16).
type holds struct {
	n    map[int64]int
	heap instants // all instants of n, and some that are released already
}

func newHolds() *holds { return &holds{n: map[int64]int{}} }

func (h *holds) add(at int64) {
	if h.n[at]++; h.n[at] == 1 {
		heap.Push(&h.heap, at)
	}
}

func (h *holds) remove(at int64) {
	switch n := h.n[at]; n {
	case 0:
		panic("BUG: flow: a hold is released twice")
	case 1:
		delete(h.n, at)
	default:
		h.n[at] = n - 1
	}
}

// least is the earliest hold; MaxTime when there is none.
func (h *holds) least() int64 {
	for len(h.heap) > 0 {
		if at := h.heap[0]; h.n[at] > 0 {
			return at
		}
		heap.Pop(&h.heap)
	}
	return window.MaxTime
}

type instants []int64

func (s instants) Len() int           { return len(s) }
func (s instants) Less(i, j int) bool { return s[i] < s[j] }
func (s instants) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *instants) Push(x any)        { *s = append(*s, x.(int64)) }
func (s *instants) Pop() any {
	old := *s
	x := old[len(old)-1]
	*s = old[:len(old)-1]
	return x
}

// hints says which rows of a directory want to be looked at when: at most one
// hint that counts for each row, at or before its time, so that putting it off is
// free. A hint may be stale: whoever pops it looks at the row and decides.
type hints struct {
	in   *Column[int64] // time of the row's earliest hint, packed; 0: none
	heap timerHeap
	seq  uint32
}

func newHints[K comparable](d *Dir[K]) *hints {
	h := &hints{in: AddColumn[int64](d)}
	d.moved = append(d.moved, func(to []uint32) {
		for i := range h.heap {
			if r := h.heap[i].row; r != none {
				h.heap[i].row = to[r]
			}
		}
	})
	return h
}

// want makes sure that row is looked at when at has come.
func (h *hints) want(row uint32, at int64) {
	p := pack(at)
	if in := h.in.Vals[row]; in == 0 || p < in {
		h.in.Vals[row] = p
		h.seq++
		h.heap.push(timerEntry{p, h.seq, row})
	}
}

// next is the time of the earliest hint.
func (h *hints) next() (at int64, ok bool) {
	if len(h.heap) == 0 {
		return 0, false
	}
	return unpack(h.heap[0].at), true
}

// pop takes the earliest hint out; row is none if the row was removed.
func (h *hints) pop() (row uint32) {
	row = h.heap.pop().row
	if row != none {
		h.in.Vals[row] = 0
	}
	return row
}

func (h *hints) reset() { h.heap = h.heap[:0] }
