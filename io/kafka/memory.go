package kafka

// recycled is memory of batches that are done with, for those to come: making it anew
// costs more than filling it.
type recycled struct {
	free  [][]byte
	bytes int
	most  int // bytes that may lie here
}

// get returns memory that is empty, nil if there is none.
func (r *recycled) get() []byte {
	n := len(r.free)
	if n == 0 {
		return nil
	}
	b := r.free[n-1]
	r.free[n-1] = nil
	r.free = r.free[:n-1]
	r.bytes -= cap(b)
	return b[:0]
}

func (r *recycled) put(b []byte) {
	if r.bytes+cap(b) <= r.most {
		r.free = append(r.free, b)
		r.bytes += cap(b)
	}
}
