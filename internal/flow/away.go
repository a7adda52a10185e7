package flow

// awayHints says when rows of a directory that are not in it want to be looked at. A
// hint may be stale, and a key may have several: whoever pops one looks at the row and
// decides.
type awayHints[K comparable] struct {
	heap []awayHint[K] // binary
	most int           // how many there may be before those of the same key are made one
}

type awayHint[K comparable] struct {
	at int64 // packed
	k  K
}

// next is the time of the earliest hint, packed.
func (h *awayHints[K]) next() (at int64, ok bool) {
	if len(h.heap) == 0 {
		return 0, false
	}
	return h.heap[0].at, true
}

// push wants k to be looked at when at, packed, has come. So many rows are away: if
// there are far more hints, many are of the same keys.
func (h *awayHints[K]) push(at int64, k K, away int) {
	if len(h.heap) >= max(h.most, 1024) && len(h.heap) > 2*away {
		h.prune()
	}
	h.heap = append(h.heap, awayHint[K]{at, k})
	s := h.heap
	for i := len(s) - 1; i > 0; {
		p := (i - 1) / 2
		if s[p].at <= s[i].at {
			break
		}
		s[p], s[i] = s[i], s[p]
		i = p
	}
}

// pop takes the earliest hint out.
func (h *awayHints[K]) pop() K {
	k, n := h.heap[0].k, len(h.heap)-1
	h.heap[0], h.heap[n] = h.heap[n], awayHint[K]{}
	h.heap = h.heap[:n]
	h.down(0)
	return k
}

func (h *awayHints[K]) down(i int) {
	s := h.heap
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(s); c++ {
			if s[c].at < s[least].at {
				least = c
			}
		}
		if least == i {
			return
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}

// prune leaves each key its earliest hint. It is done when there are twice as many as
// were left the last time, so that a push costs a few steps on average.
func (h *awayHints[K]) prune() {
	first := make(map[K]int64, len(h.heap)/2)
	for _, e := range h.heap {
		if at, ok := first[e.k]; !ok || e.at < at {
			first[e.k] = e.at
		}
	}
	n := 0
	for _, e := range h.heap {
		if at, ok := first[e.k]; ok && at == e.at {
			delete(first, e.k)
			h.heap[n] = e
			n++
		}
	}
	clear(h.heap[n:])
	h.heap = h.heap[:n]
	for i := n/2 - 1; i >= 0; i-- {
		h.down(i)
	}
	h.most = 2 * n
}

// sweep takes out the entries whose rows are about to be let go, by their ages, or
// were removed.
func (h *timerHeap) sweep(age []uint8) {
	s, n := *h, 0
	for _, e := range s {
		if e.row != none && age[e.row] != victim {
			s[n] = e
			n++
		}
	}
	if n == len(s) {
		return
	}
	*h = s[:0]
	for _, e := range s[:n] { // those before e are a heap already, in the same memory
		h.push(e)
	}
}
