package host

import (
	"maps"

	"github.com/millrace/millrace/internal/held"
)

// bequest is what an incarnation leaves to the next one in this process: all that others
// count on it to have.
type bequest struct {
	core *held.Standby
	in   frames
	out  map[copyID][][]outFrame
}

// bequeath ends the incarnation, whose engine is gone.
func (h *Host) bequeath() *bequest {
	h.cancel(nil)
	h.work.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	b := &bequest{h.core.Bequeath(), h.in, h.out}
	h.left, h.in, h.out = true, nil, nil
	return b
}

// inherit gives h what the incarnation before has left, but for what it has not committed, as
// rec says. What h has has copies. h.mu is held.
func (b *bequest) inherit(h *Host, rec *held.Record) *held.Standby {
	h.in = b.in
	maps.DeleteFunc(h.in, func(id epochOf, _ map[frameOf]arrived) bool { return !b.core.Holds(id.src, id.inc, id.epoch) })
	for id, frames := range b.out {
		_, ok := h.out[id]
		if !ok && rec != nil && rec.Commits(id.inc, id.epoch) && b.core.Keeps(id.dst, id.inc, id.epoch) {
			h.out[id] = frames
		}
	}
	return b.core
}
