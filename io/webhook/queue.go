package webhook

import "sync"

// batch is the elements of one request.
type batch[T any] struct {
	sender   string
	elements []T
	next     int           // element to be read
	safe     chan struct{} // closed when a snapshot holds their effects
}

// queue is the requests whose elements wait. Its methods may be called from any
// goroutine.
type queue[T any] struct {
	max int // elements

	mu      sync.Mutex // guards what follows
	batches []*batch[T]
	held    int // elements, with those that were read and not yet freed
}

// verdict is whether a batch is in the queue.
type verdict uint8

const (
	accepted verdict = iota
	full             // for now
	tooMany          // for ever
)

func (q *queue[T]) put(b *batch[T]) verdict {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch n := len(b.elements); {
	case n > q.max:
		return tooMany
	case q.held+n > q.max:
		return full
	default:
		q.held += n
	}
	q.batches = append(q.batches, b)
	return accepted
}

// take is the next element, the batch that it is of, and whether it is the batch's
// last; a nil batch if there is none. An element that is kept holds its room until
// its batch is freed.
func (q *queue[T]) take(keep bool) (v T, from *batch[T], whole bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return v, nil, false
	}
	from = q.batches[0]
	v = from.elements[from.next]
	from.next++
	whole = from.next == len(from.elements)
	if whole {
		q.batches[0] = nil
		q.batches = q.batches[1:]
	}
	if !keep {
		q.held--
	}
	return v, from, whole
}

// free gives the room of n elements back.
func (q *queue[T]) free(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held -= n
}

// clear drops all, what was read and not freed as well.
func (q *queue[T]) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batches, q.held = nil, 0
}
