package host

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/held"
)

// performing does what the core has decided and nobody else has done.
func (h *Host) performing() {
	for {
		select {
		case <-h.rouse:
		case <-h.ctx.Done():
			return
		}
		h.mu.Lock()
		h.performAll(func(held.Act) bool { return true })
		h.mu.Unlock()
		h.trimWanted()
	}
}

// performAll does what the core has decided, in order, up to the first that may not be done
// here; what takes long, beside it. It does nothing while somebody else does that. mu is
// held, but not while something is done.
func (h *Host) performAll(may func(held.Act) bool) {
	if h.acting {
		return
	}
	h.acting = true
	for len(h.acts) > 0 && h.ctx.Err() == nil {
		n := slices.IndexFunc(h.acts, func(a held.Act) bool { return !may(a) })
		if n == 0 {
			h.rouseUp()
			break
		}
		if n < 0 {
			n = len(h.acts)
		}
		acts := h.acts[:n:n]
		h.acts = h.acts[n:]
		h.mu.Unlock()
		err := h.performEach(acts)
		h.mu.Lock()
		if err != nil {
			h.cancel(err)
		}
	}
	h.acting = false
}

func (h *Host) performEach(acts []held.Act) error {
	for _, a := range acts {
		if h.ctx.Err() != nil {
			return nil
		}
		if err := h.perform(a); err != nil {
			return err
		}
	}
	return nil
}

// isQuick reports that an act takes no time worth mentioning, and never waits for others.
func isQuick(a held.Act) bool {
	switch a.(type) {
	case held.SendEnd, held.SendAck, held.SendState, held.CutNow, held.Commit, held.Wake, held.Drop, held.Trim:
		return true
	}
	return false
}

func (h *Host) perform(a held.Act) error {
	switch a := a.(type) {
	case held.CutNow:
		h.cutNow()
	case held.SendEnd:
		h.sendEnd(&a.End)
	case held.Resend:
		h.resend(&a.Kept)
	case held.SendAck:
		return h.cfg.Control.Tell(a.Ack.Src, held.Append(nil, &a.Ack))
	case held.SendState:
		return h.cfg.Control.TellAll(held.Append(nil, &a.State))
	case held.WriteCopies:
		list := h.copies(a.Kept) // now, while they are here
		h.beside(func() error { return h.writeCopies(a.Kept, list) })
	case held.Commit:
		h.beside(func() error { return h.commit(a.Record) })
	case held.Wake:
		h.wakeAll()
	case held.Drop:
		h.do(func() { h.in.drop(a, h.cfg.Frames) })
	case held.Trim:
		h.do(func() { h.trim(a.Dst, a.Epoch) })
	case held.Adopt:
		h.beside(func() error { return h.adopt(a) })
	case held.Finalise:
		h.finalise(a.Epoch)
	case held.Peek:
		h.beside(func() error { return h.peek(a.Slot) })
	case held.ReadJob:
		h.beside(h.readNews)
	case held.Stop:
		if a.Why == held.RolledBack {
			return errRolledBack
		}
		return ErrReplaced
	}
	return nil
}

// beside does something that takes a while; the host ends when it fails.
func (h *Host) beside(f func() error) {
	h.work.Go(func() {
		if err := f(); err != nil {
			h.cancel(err)
		}
	})
}

// cutNow asks the engine for a cut, or where it has come to its end, cuts.
func (h *Host) cutNow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.finished {
		h.turnAtEnd()
		h.cutOpen(h.marks)
		if len(h.objects) > 0 {
			h.beside(func() error {
				err := h.keepGiven()
				if err == nil {
					h.do(func() { h.core.ChunksDurable(h.store.named) })
				}
				return err
			})
		} else {
			h.core.ChunksDurable(h.store.named)
		}
		h.collect()
		return
	}
	select {
	case h.asks <- engine.Ask{Do: func(commit.Store) error { return nil }, Done: func(error) {}}:
	default: // the one that waits will do
	}
}

func (h *Host) wakeAll() {
	h.mu.Lock()
	wake := h.wake
	h.mu.Unlock()
	for lane := range h.shape.Lanes {
		if wake != nil {
			wake(h.cfg.Slot*h.shape.Lanes + lane)
		}
	}
}

func (h *Host) sendEnd(m *held.End) {
	h.send(m.Dst, frame.Append(nil, &frame.Header{
		Job: h.cfg.Job, Gen: uint64(m.Gen), Inc: uint64(m.Inc), Epoch: uint64(m.Epoch), Colour: uint64(m.Colour),
		Src: uint32(m.Src), Dst: uint32(m.Dst), Kind: frame.EpochEnd,
	}, held.Append(nil, m), frame.Raw))
}

func (h *Host) resend(k *held.Kept) {
	h.mu.Lock()
	classes := h.out[copyID{k.Dst, k.Inc, k.Epoch}]
	gen := h.core.Gen()
	h.mu.Unlock()
	end := held.End{Gen: gen, Src: h.cfg.Slot, Dst: k.Dst, Inc: k.Inc, Epoch: k.Epoch, Prev: k.Prev, Colour: k.Colour, Version: k.Version, Marks: k.Marks}
	for _, frames := range classes {
		end.Counts = append(end.Counts, len(frames))
		for _, f := range frames {
			h.cfg.Meter.Resent.add(f)
			h.send(k.Dst, f)
		}
	}
	if classes != nil { // else it was trimmed meanwhile
		h.sendEnd(&end)
	}
}

// commit puts a record into the slot's register.
func (h *Host) commit(r *held.Record) error {
	b, began := held.Append(nil, r), time.Now()
	if r.Tag.At == r.Ident() {
		if err := h.again(func() error { return writeRecord(h.ctx, h.cfg.Objects, h.cfg.Slot, r.Ident(), b) }); err != nil {
			return err
		}
	}
	if err := h.reg.put(b); err != nil {
		return replaced(err)
	}
	h.do(func() {
		h.core.Committed(h.now())
		h.committed(r)
		if r.Ident() == h.cut {
			h.cfg.Meter.Ready.Observe(began.Sub(h.cutAt))
			h.cfg.Meter.Put.Observe(time.Since(began))
			h.cfg.Meter.Commit.Observe(time.Since(h.cutAt))
		}
		h.changed.Broadcast()
	})
	h.begun()
	return nil
}

// begun takes what has come before the incarnation was committed.
func (h *Host) begun() {
	h.mu.Lock()
	early := h.early
	h.up, h.early = true, nil
	h.mu.Unlock()
	for _, m := range early {
		h.take(m)
	}
}

func (h *Host) peek(slot int) error {
	b := confirmed(h.ctx, h.cfg.Acceptors, slotKey(slot))
	r := &held.Record{}
	if b != nil && held.Decode(b, r) == nil {
		h.do(func() { h.core.Peeked(r, h.now()) })
	}
	return nil
}

func (h *Host) readNews() error {
	b := confirmed(h.ctx, h.cfg.Acceptors, jobKey)
	m := &held.News{}
	if b != nil && held.Decode(b, &m.Job) == nil {
		h.do(func() { h.news(m) })
	}
	return nil
}
