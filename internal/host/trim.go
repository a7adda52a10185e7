package host

import (
	"maps"

	"github.com/millrace/millrace/internal/held"
)

// trimming is how much of a slot's changelog is needed. Things of one incarnation are
// named by records in the order in which they are appended, and no record is gone back
// behind that of the last complete cut. So whatever lies before that record's floor is
// free, be it of dead incarnations.
type trimming struct {
	first   map[thing]uint64 // at or before the number of its first piece
	next    uint64           // at or before the number of what is appended from now on
	floors  []floor          // of this incarnation, by epoch; a record has the last one that is not behind it
	wanted  uint64           // Trim is to be called before it; 0: it is not
	busy    bool             // Trim is under way
	trimmed uint64           // all before it
}

// floor is the number of the first piece that a record needs, or a later one can.
type floor struct {
	epoch held.Epoch
	at    uint64
}

// append appends things in pieces to the slot's changelog.
func (h *Host) append(things []thing, pieces [][]byte) error {
	h.mu.Lock()
	for _, t := range things {
		h.log.first[t] = h.log.next
	}
	h.mu.Unlock()
	for _, p := range pieces {
		h.cfg.Meter.ChangelogBytes.Add(uint64(len(p)))
	}
	var last uint64
	err := h.again(func() (err error) {
		_, last, err = h.cfg.Changes.Append(h.ctx, h.cfg.Slot, pieces...)
		return err
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log.next = max(h.log.next, last+1)
	return nil
}

// committed notes the floor of a record that is in the register. mu is held.
func (h *Host) committed(r *held.Record) {
	l := &h.log
	at := l.next
	if len(r.Chunks) > 0 {
		at = min(at, l.first[chunkOf(firstOf(r.Chunks[0]))])
		if own := r.Ident(); own != firstOf(r.Chunks[len(r.Chunks)-1]) { // else the chain may begin there one day
			delete(l.first, chunkOf(own))
		}
	}
	for i := range r.Kept {
		at = min(at, l.first[copyOf(&r.Kept[i])])
	}
	for id := range h.out { // these may be named later
		if first, ok := l.first[thing{copyKind, 0, id.inc, id.epoch, id.dst}]; ok {
			at = min(at, first)
		}
	}
	if n := len(l.floors); n == 0 || l.floors[n-1].at != at {
		l.floors = append(l.floors, floor{r.Epoch, at})
	}
}

// news takes what a leader tells. mu is held.
func (h *Host) news(m *held.News) {
	h.core.News(m, h.now())
	if h.cfg.Slot >= len(m.Job.At) {
		return
	}
	if at := m.Job.At[h.cfg.Slot]; m.Job.Gen == h.core.Gen() && at.Inc == h.core.Inc() {
		h.trimLog(at.Epoch)
	}
}

// trimLog frees what is before the record of epoch e, which the last complete cut names.
// mu is held.
func (h *Host) trimLog(e held.Epoch) {
	l := &h.log
	for len(l.floors) > 1 && l.floors[1].epoch <= e {
		l.floors = l.floors[1:]
	}
	if l.busy || len(l.floors) == 0 || l.floors[0].epoch > e || l.floors[0].at <= l.trimmed {
		return
	}
	l.wanted = l.floors[0].at
	h.rouseUp()
}

// trimWanted frees what is wanted to be.
func (h *Host) trimWanted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &h.log
	before := l.wanted
	if l.wanted = 0; before == 0 {
		return
	}
	l.busy = true
	h.beside(func() error {
		err := h.cfg.Changes.Trim(h.ctx, h.cfg.Slot, before)
		if err != nil && h.ctx.Err() == nil {
			h.cfg.Log.Warn("the changelog was not trimmed; it will be tried again", "slot", h.cfg.Slot, "error", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		l.busy = false
		if err == nil {
			l.trimmed = before
			maps.DeleteFunc(l.first, func(_ thing, at uint64) bool { return at < before })
		}
		return nil
	})
}
