package statepebble

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// view is what readers see: the rows of one epoch. The store and each reader hold it.
type view struct {
	snap  *pebble.Snapshot
	nodes nodes
	held  atomic.Int32
	s     *Store
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
