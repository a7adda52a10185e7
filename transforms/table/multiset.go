package table

import (
	"slices"
	"sort"
)

// Multiset is the accumulator of [Min], [Max], [CountDistinct] and [First]: values in
// order, each with its count.
//
// Invariant: no block is empty, none has more than blockMax values, and all values of
// a block are before those of the next.
type Multiset[V any] struct{ Blocks [][]Counted[V] }

// Counted is a value and how often it is there.
type Counted[V any] struct {
	Value V
	N     int64
}

// blockMax is how many values a change moves at most.
const blockMax = 512

// find is the place of v: its block, its index there, and whether it is there. If
// not, that is where it belongs; the block is the last one for a v after all others.
func (m *Multiset[V]) find(v V, compare func(a, b V) int) (b, i int, ok bool) {
	b = sort.Search(len(m.Blocks), func(b int) bool {
		block := m.Blocks[b]
		return compare(block[len(block)-1].Value, v) >= 0
	})
	if b == len(m.Blocks) {
		if b == 0 {
			return 0, 0, false
		}
		return b - 1, len(m.Blocks[b-1]), false
	}
	i, ok = slices.BinarySearchFunc(m.Blocks[b], v, func(c Counted[V], v V) int { return compare(c.Value, v) })
	return b, i, ok
}

func (m *Multiset[V]) add(v V, compare func(a, b V) int) {
	b, i, ok := m.find(v, compare)
	switch {
	case ok:
		m.Blocks[b][i].N++
		return
	case len(m.Blocks) == 0:
		m.Blocks = [][]Counted[V]{{{v, 1}}}
		return
	}
	m.Blocks[b] = slices.Insert(m.Blocks[b], i, Counted[V]{v, 1})
	if block := m.Blocks[b]; len(block) > blockMax {
		m.Blocks[b] = slices.Clone(block[:len(block)/2])
		m.Blocks = slices.Insert(m.Blocks, b+1, slices.Clone(block[len(block)/2:]))
	}
}

// sub takes one v out. One that is not there is a function's fault that gave another
// value for the same row before; it is left alone.
func (m *Multiset[V]) sub(v V, compare func(a, b V) int) {
	b, i, ok := m.find(v, compare)
	if !ok {
		return
	}
	if m.Blocks[b][i].N--; m.Blocks[b][i].N > 0 {
		return
	}
	if m.Blocks[b] = slices.Delete(m.Blocks[b], i, i+1); len(m.Blocks[b]) == 0 {
		m.Blocks = slices.Delete(m.Blocks, b, b+1)
	}
}

func (m *Multiset[V]) first() (v V) {
	if len(m.Blocks) > 0 {
		v = m.Blocks[0][0].Value
	}
	return v
}

func (m *Multiset[V]) last() (v V) {
	if n := len(m.Blocks); n > 0 {
		v = m.Blocks[n-1][len(m.Blocks[n-1])-1].Value
	}
	return v
}

func (m *Multiset[V]) distinct() (n int64) {
	for _, b := range m.Blocks {
		n += int64(len(b))
	}
	return n
}

// head is the first n values, each as often as it is there.
func (m *Multiset[V]) head(n int) (out []V) {
	for _, b := range m.Blocks {
		for _, c := range b {
			for range c.N {
				if len(out) == n {
					return out
				}
				out = append(out, c.Value)
			}
		}
	}
	return out
}
