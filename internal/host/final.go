package host

import (
	"math"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/held"
)

// newCuts is what the engine has to know of cuts; nil where sinks do not wait for them.
func (h *Host) newCuts() *engine.Cuts {
	if h.cfg.EpochSinks {
		return nil
	}
	return engine.NewCuts(func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.core.Wanted()
	})
}

// finalise lets sinks show what the last complete cut names. The core says it again in
// each incarnation, so that what a takeover finds prepared is shown as well.
func (h *Host) finalise(e held.Epoch) {
	if h.cuts != nil {
		h.cuts.Finalise(uint64(e))
	}
}

// waits reports that the slot's input has ended, and outputs wait for a cut.
func (h *Host) waits() bool { return h.cuts != nil && h.cuts.Ending() }

// tellShown tells the core which outputs sinks have shown, where they wait for cuts. mu is held.
func (h *Host) tellShown() {
	switch {
	case h.cuts == nil:
	case h.finished:
		h.core.Shown(math.MaxUint64)
	default:
		h.core.Shown(held.Epoch(h.cuts.Shown()))
	}
}

// finish notes that the engine has come to its end. From now on the host cuts by itself,
// also where the core has asked the engine in vain.
func (h *Host) finish() {
	h.do(func() { h.finished = true })
	h.cutNow()
}
