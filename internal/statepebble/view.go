package statepebble

import (
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// view is what readers see: the rows of one epoch. The store and each reader hold it.
type view struct {
	snap  *pebble.Snapshot
	nodes nodes
	held  atomic.Int32
	s     *Store

	mu   sync.Mutex
	idle []*getter // for the next Get
}

// getter reads rows one by one. It is used again and again: opening an iterator
// costs more than a read.
type getter struct {
	it  *pebble.Iterator
	key []byte
}

// getter takes one that is idle, or a new one.
func (v *view) getter() (*getter, error) {
	v.mu.Lock()
	if n := len(v.idle); n > 0 {
		g := v.idle[n-1]
		v.idle = v.idle[:n-1]
		v.mu.Unlock()
		return g, nil
	}
	v.mu.Unlock()
	it, err := v.snap.NewIter(&pebble.IterOptions{
		LowerBound:   number(1).append(nil),
		UseL6Filters: true, // most rows are there, and many that are asked for are nowhere
	})
	return &getter{it: it}, err
}

func (v *view) put(g *getter) {
	v.mu.Lock()
	v.idle = append(v.idle, g)
	v.mu.Unlock()
}

// look takes hold of the newest view, until letGo.
func (s *Store) look() (*view, error) {
	s.seen.RLock()
	defer s.seen.RUnlock()
	if s.now == nil {
		return nil, errClosed
	}
	s.now.held.Add(1)
	return s.now, nil
}

func (v *view) letGo() {
	if v.held.Add(-1) == 0 {
		for _, g := range v.idle {
			_ = g.it.Close() // whoever used it has seen its error
		}
		_ = v.snap.Close() // fails only if closed already
		v.s.views.Done()
	}
}

// show makes snap, with its table of nodes, what readers see; nothing if nil.
func (s *Store) show(snap *pebble.Snapshot, table nodes) {
	var v *view
	if snap != nil {
		v = &view{snap: snap, nodes: table, s: s}
		v.held.Store(1)
		s.views.Add(1)
	}
	s.seen.Lock()
	old := s.now
	s.now = v
	s.seen.Unlock()
	if old != nil {
		old.letGo()
	}
}
