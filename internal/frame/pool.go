package frame

import (
	"sync"

	"github.com/millrace/millrace/internal/invariant"
)

// Pool keeps memory of frames that are of no use any more for new ones. The zero value is an
// empty pool; many goroutines may use it at once.
//
// Who gets memory holds it, and so does everybody for whom Hold was called. Each gives it
// back with Put, and the last one lets others get it.
type Pool struct {
	mu   sync.Mutex // guards what follows
	free [][]byte
	held map[*byte]int // by the first byte: how many hold it, less one; what is not in here one holds
}

// Frames are about half as long as what is kept for them, which is a size that the allocator
// has. Neither longer ones, of large elements, are kept, nor short ones.
const (
	bufferSize = 40 << 10
	bufferUse  = 8 << 10 // the shortest frame that is worth one
	freeMost   = 1024    // buffers
)

// Get returns n bytes, whatever they are. Where n is 0 they are to be appended to, and there
// is room for a frame.
func (p *Pool) Get(n int) []byte {
	if n > bufferSize || n > 0 && n < bufferUse {
		return make([]byte, n)
	}
	p.mu.Lock()
	k := len(p.free) - 1
	if k < 0 {
		p.mu.Unlock()
		return make([]byte, n, bufferSize)
	}
	b := p.free[k]
	p.free[k], p.free = nil, p.free[:k]
	p.mu.Unlock()
	return b[:n]
}

// Hold says that b is in somebody else's hands, too. It is the whole frame, and nothing in it
// is changed until it is put back.
func (p *Pool) Hold(b []byte) {
	if cap(b) != bufferSize {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[*byte]int{}
	}
	p.held[&b[0]]++
}

// Put takes back what Get gave, from who got it or holds it. Other memory is left to the
// collector.
func (p *Pool) Put(b []byte) {
	if cap(b) != bufferSize {
		return
	}
	b = b[:bufferSize]
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, ok := p.held[&b[0]]; ok {
		if n--; n > 0 {
			p.held[&b[0]] = n
		} else {
			delete(p.held, &b[0])
		}
		return
	}
	if invariant.On {
		p.spoil(b)
	}
	if len(p.free) < freeMost {
		p.free = append(p.free, b)
	}
}

// spoil makes nonsense of what is free, for who still reads it. p.mu is held.
func (p *Pool) spoil(b []byte) {
	for _, other := range p.free {
		if &other[0] == &b[0] {
			panic("BUG: frame: memory is put back that is free")
		}
	}
	for i := range b {
		b[i] = 0xa5
	}
}
