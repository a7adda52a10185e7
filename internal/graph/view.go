package graph

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/window"
)

// ViewSlot is where a side input's content is published, whole or window by
// window: written by the lane that gathers it, read by all.
type ViewSlot struct {
	v       atomic.Pointer[any] // of a side input that is read as a whole
	version atomic.Int64        // rises with each pane that is published

	mu      sync.RWMutex // guards what follows
	panes   map[window.Interval]viewPane
	wakes   []func()
	readers []*ViewReader
}

type viewPane struct {
	index int64
	v     any
}

// ViewReader is a lane that reads a view: as long as its watermark is not past all
// that may ask for a window, the window is kept (M94).
type ViewReader struct{ at atomic.Int64 }

// Say tells how far the reader's main input is.
func (r *ViewReader) Say(wm int64) { r.at.Store(wm) }

// Publish shows v to all readers. v is immutable from now on.
func (s *ViewSlot) Publish(v any) {
	s.v.Store(&v)
	s.changed()
}

// Get returns what was published as a whole, or nil.
func (s *ViewSlot) Get() any {
	if p := s.v.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *ViewSlot) changed() {
	s.version.Add(1)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, wake := range s.wakes {
		wake()
	}
}

// PublishPane shows v as the content of w. It takes the place of an earlier pane;
// a later one stays (M95).
func (s *ViewSlot) PublishPane(w window.Interval, index int64, v any) {
	s.mu.Lock()
	if s.panes == nil {
		s.panes = map[window.Interval]viewPane{}
	}
	if old, ok := s.panes[w]; ok && old.index > index {
		s.mu.Unlock()
		return
	}
	s.panes[w] = viewPane{index, v}
	s.mu.Unlock()
	s.changed()
}

// Pane returns the content of w, and whether there is any.
func (s *ViewSlot) Pane(w window.Interval) (any, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.panes[w]
	return p.v, ok
}

// Version rises whenever something is published.
func (s *ViewSlot) Version() int64 { return s.version.Load() }

// Join adds a lane that reads; wake is called whenever something is published, by
// any goroutine.
func (s *ViewSlot) Join(wake func()) *ViewReader {
	r := &ViewReader{}
	r.at.Store(window.MinTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers = append(s.readers, r)
	s.wakes = append(s.wakes, wake)
	return r
}

// Forget drops the windows that all readers are past, each told by passed, and
// returns them.
func (s *ViewSlot) Forget(passed func(w window.Interval, wm int64) bool) (gone []window.Interval) {
	s.mu.Lock()
	defer s.mu.Unlock()
	least := int64(math.MaxInt64)
	for _, r := range s.readers {
		least = min(least, r.at.Load())
	}
	for w := range s.panes {
		if passed(w, least) {
			gone = append(gone, w)
			delete(s.panes, w)
		}
	}
	return gone
}
