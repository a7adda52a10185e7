package flow

// timerEntry is a due time and the row it belongs to.
type timerEntry struct {
	at  int64
	seq uint32 // ties fire in the order in which they were set
	row uint32
}

func (a timerEntry) before(b timerEntry) bool {
	return a.at < b.at || a.at == b.at && int32(a.seq-b.seq) < 0
}

// timerHeap is a 4-ary heap of entries by value: container/heap would box each.
type timerHeap []timerEntry

func (h *timerHeap) push(e timerEntry) {
	*h = append(*h, e)
	s := *h
	i := len(s) - 1
	for i > 0 {
		p := (i - 1) / 4
		if !e.before(s[p]) {
			break
		}
		s[i] = s[p]
		i = p
	}
	s[i] = e
}

func (h *timerHeap) pop() timerEntry {
	s := *h
	top, n := s[0], len(s)-1
	e := s[n]
	s = s[:n]
	*h = s
	if n == 0 {
		return top
	}
	i := 0
	for {
		c := 4*i + 1
		if c >= n {
			break
		}
		least := c
		for k := c + 1; k < min(c+4, n); k++ {
			if s[k].before(s[least]) {
				least = k
			}
		}
		if !s[least].before(e) {
			break
		}
		s[i] = s[least]
		i = least
	}
	s[i] = e
	return top
}
