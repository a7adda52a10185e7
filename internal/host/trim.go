package host

import (
	"maps"

	"github.com/millrace/millrace/internal/held"
)

// trimming is how much of a slot's changelog is needed, or of its copies. Things of one
// incarnation are named by records in the order in which they are appended, and no record is
// gone back behind that of the last complete cut. So whatever lies before that record's floor
// is free, be it of dead incarnations.
//
// With [Config.Logged] that would be all that slots have said to each other since the cut.
// But what is copied behind the newest cut of the slot is young: the slot's tagged record can't
// name it, and as nothing is lost nobody goes back to a later one. It is free as soon as the
// newest record does not name it, so that as much is kept as is under way.
type trimming struct {
	first   map[thing]uint64 // at or before the number of its first piece
	next    uint64           // at or before the number of what is appended from now on
	floors  []floor          // of this incarnation, by epoch; a record has the last one that is not behind it
	wanted  uint64           // it is to be trimmed before it; 0: it is not
	busy    bool             // it is being trimmed
	trimmed uint64           // all before it
}

// copiesMost is how many bytes of copies are made before young ones are trimmed.
const copiesMost = 4 << 20

// floor is the number of the first piece that a record needs, or a later one can.
type floor struct {
	epoch held.Epoch
	at    uint64
}

// append appends things in pieces to what l is of, by to.
func (h *Host) append(l *trimming, things []thing, pieces [][]byte, to func() (first, last uint64, err error)) error {
	h.mu.Lock()
	for _, t := range things {
		l.first[t] = l.next
	}
	h.mu.Unlock()
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	h.cfg.Meter.ChangelogBytes.Add(uint64(size))
	var last uint64
	err := h.again(func() (err error) {
		_, last, err = to()
		return err
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l.next = max(l.next, last+1)
	if l == &h.copied {
		h.copying += size
	}
	return nil
}

// committed notes the floors of a record that is in the register. mu is held.
func (h *Host) committed(r *held.Record) {
	l := &h.log
	at := l.next
	if len(r.Chunks) > 0 {
		at = min(at, l.first[chunkOf(firstOf(r.Chunks[0]))])
		if own := r.Ident(); own != firstOf(r.Chunks[len(r.Chunks)-1]) { // else the chain may begin there one day
			delete(l.first, chunkOf(own))
		}
	}
	l.needs(r.Epoch, at)

	l = &h.copied
	at = l.next
	for i := range r.Kept {
		at = min(at, l.first[copyOf(&r.Kept[i])])
	}
	for id := range h.out { // these may be named later
		if first, ok := l.first[thing{copyKind, 0, id.inc, id.epoch, id.dst}]; ok {
			at = min(at, first)
		}
	}
	l.needs(r.Epoch, at)
	h.newest = r.Colour
	if h.cfg.Logged && h.copying >= h.cfg.copiesMost && h.young.wants(at) {
		h.copying = 0
		h.rouseUp()
	}
}

// needs notes the floor of the record of epoch e.
func (l *trimming) needs(e held.Epoch, at uint64) {
	if n := len(l.floors); n == 0 || l.floors[n-1].at != at {
		l.floors = append(l.floors, floor{e, at})
	}
}

// wants reports that what is before at is to be trimmed, and not yet.
func (l *trimming) wants(at uint64) bool {
	if l.busy || at <= l.trimmed {
		return false
	}
	l.wanted = at
	return true
}

// free frees what is before the floor of the record of epoch e. It reports whether there is
// anything to trim.
func (l *trimming) free(e held.Epoch) bool {
	for len(l.floors) > 1 && l.floors[1].epoch <= e {
		l.floors = l.floors[1:]
	}
	return len(l.floors) > 0 && l.floors[0].epoch <= e && l.wants(l.floors[0].at)
}

// news takes what a leader tells. mu is held.
func (h *Host) news(m *held.News) {
	h.core.News(m, h.now())
	h.unsettled = !m.Job.Settled
	if h.cfg.Slot >= len(m.Job.At) {
		return
	}
	if at := m.Job.At[h.cfg.Slot]; m.Job.Gen == h.core.Gen() && at.Inc == h.core.Inc() {
		log, copied := h.log.free(at.Epoch), h.copied.free(at.Epoch)
		if log || copied {
			h.rouseUp()
		}
	}
}

// trimWanted frees what is wanted to be.
func (h *Host) trimWanted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	slot, cut := h.cfg.Slot, uint64(h.newest)
	h.trimOf(&h.log, func(before uint64) error { return h.cfg.Changes.Trim(h.ctx, slot, before) })
	h.trimOf(&h.copied, func(before uint64) error { return h.cfg.Copies.TrimAll(h.ctx, slot, before) })
	h.trimOf(&h.young, func(before uint64) error { return h.cfg.Copies.Trim(h.ctx, slot, cut, before) })
}

// trimOf frees what is wanted to be of l, by trim. mu is held.
func (h *Host) trimOf(l *trimming, trim func(before uint64) error) {
	before := l.wanted
	if l.wanted = 0; before == 0 {
		return
	}
	l.busy = true
	h.beside(func() error {
		err := trim(before)
		if err != nil && h.ctx.Err() == nil {
			h.cfg.Log.Warn("what is kept was not trimmed; it will be tried again", "slot", h.cfg.Slot, "error", err)
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
