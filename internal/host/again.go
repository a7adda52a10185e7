package host

import (
	"context"
	"time"
)

// again does f until it does not fail as what keeps things is away: that comes back, or the
// slot is another's meanwhile, of which its register tells, or the roster. What f does has
// to bear being done twice.
func (h *Host) again(f func() error) error {
	for said := false; ; said = true {
		err := f()
		if err == nil || h.cfg.Passing == nil || !h.cfg.Passing(err) {
			return err
		}
		if !said {
			h.cfg.Log.Warn("what keeps things is away; it is tried again until it is back", "slot", h.cfg.Slot, "error", err)
		}
		select {
		case <-time.After(callAgain):
		case <-h.ctx.Done():
			return context.Cause(h.ctx)
		}
	}
}
