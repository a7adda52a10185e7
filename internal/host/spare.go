package host

import "sync"

// spare keeps memory of frames that all receivers have taken in for new ones.
type spare struct {
	mu   sync.Mutex // guards list
	list [][]byte
}

// Frames are about half as long as what is kept for them, which is a size that the
// allocator has; longer ones, of large elements, are not kept.
const (
	spareSize = 40 << 10
	spareMost = 1024 // buffers
)

// get gives memory of at least spareSize bytes, whatever they are.
func (s *spare) get() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.list)
	if n == 0 {
		return make([]byte, spareSize)
	}
	b := s.list[n-1]
	s.list[n-1], s.list = nil, s.list[:n-1]
	return b
}

// put takes back what get gave. Nobody may hold it any more.
func (s *spare) put(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cap(b) == spareSize && len(s.list) < spareMost {
		s.list = append(s.list, b[:spareSize])
	}
}
