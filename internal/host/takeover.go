package host

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/held"
)

func slotKey(slot int) string { return fmt.Sprintf("slot-%d", slot) }

const jobKey = "job"

// takeOver takes the register over, and restores what the record there names, or that of
// the job's last cut.
func (h *Host) takeOver() error {
	job, err := h.readJob()
	if err != nil {
		return err
	}
	h.reg = newRegister(h.ctx, slotKey(h.cfg.Slot), h.cfg.Acceptors, h.cfg.Stale, h.cfg.putMost)
	b, err := h.reg.takeOver()
	if err != nil {
		return err
	}
	h.phases.register = h.now()
	var rec *held.Record
	if b != nil {
		rec = &held.Record{}
		if err := held.Decode(b, rec); err != nil {
			return fmt.Errorf("the record of slot %d: %w", h.cfg.Slot, err)
		}
	}
	rec, gen, err := h.choose(job, rec)
	if err != nil {
		return err
	}
	var warm *image
	if h.cfg.From != nil {
		warm = h.cfg.From.leave()
	}
	if err := h.restore(rec, gen, warm); err != nil {
		return err
	}
	h.phases.restore = h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	var standby *held.Standby
	switch before := h.cfg.before; {
	case before != nil:
		standby = before.inherit(h, rec)
	case h.cfg.From != nil:
		standby = h.cfg.From.bequeath(h)
	}
	h.core = held.NewSlot(coreConfig(&h.cfg, h.shape), gen, h.reg.core.Ballot(), rec, standby, h.now())
	if h.cfg.Rests != nil && h.cfg.Rests() {
		h.core.Rest()
	}
	h.tellShown()
	h.opened()
	h.collect()
	return nil
}

// choose gives the record to begin behind, which is the one that was found in the register
// or that of the job's last cut, and the generation that begins.
func (h *Host) choose(job *held.Job, found *held.Record) (*held.Record, held.Gen, error) {
	for {
		at, fromCut := held.Choose(job, h.cfg.Slot, found)
		switch {
		case !fromCut:
			return found, found.Gen, nil
		case at == held.Ident{}:
			return nil, job.Gen, nil
		}
		var rec *held.Record
		err := h.again(func() (err error) {
			ctx, cancel := context.WithTimeout(h.ctx, recordMost)
			defer cancel()
			rec, err = readRecord(ctx, h.cfg.Objects, h.cfg.Slot, at)
			return err
		})
		if err == nil {
			return rec, job.Gen, nil
		}
		newest, e := h.readJob()
		if e != nil {
			return nil, 0, e
		}
		if newest.Cut == job.Cut && newest.Gen == job.Gen {
			return nil, 0, err
		}
		job = newest // it was deleted, as there is a newer cut
	}
}

// recordMost is how long reading the record of a cut may take.
const recordMost = 5 * callMost

// restore makes the state that a record names, for an incarnation of generation gen; nil
// is the start of the job. warm is what a standby has read, or nil.
func (h *Host) restore(rec *held.Record, gen held.Gen, warm *image) error {
	var m *image
	err := h.again(func() (err error) {
		if rec == nil {
			m, err = h.begin()
		} else {
			m, err = imageOf(h.ctx, h.cfg.Changes, rec, warm)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := h.restoreCopies(rec, gen); err != nil {
		return err
	}
	h.log.first, h.log.next = m.first, m.next
	h.store = restoreStore(h, rec, m)
	return nil
}

// restoreCopies takes back what was sent, as far as rec names it.
func (h *Host) restoreCopies(rec *held.Record, gen held.Gen) error {
	m := newImage()
	if rec != nil {
		err := h.again(func() (err error) {
			m, err = copiesOf(h.ctx, h.cfg.Copies, rec)
			return err
		})
		if err != nil {
			return err
		}
		for i := range rec.Kept {
			k := &rec.Kept[i]
			if err := h.restoreCopy(k, gen, m.parts[copyOf(k)].b); err != nil {
				return err
			}
		}
	}
	h.copied.first, h.copied.next = m.first, m.next
	h.young.first = m.first
	return nil
}

// readJob waits until a leader has begun the job.
func (h *Host) readJob() (*held.Job, error) {
	for {
		if b := confirmed(h.ctx, h.cfg.Acceptors, jobKey); b != nil {
			job := &held.Job{}
			if err := held.Decode(b, job); err != nil {
				return nil, fmt.Errorf("the record of the job: %w", err)
			}
			return job, nil
		}
		select {
		case <-time.After(callAgain):
		case <-h.ctx.Done():
			return nil, context.Cause(h.ctx)
		}
	}
}
