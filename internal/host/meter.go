package host

import (
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/metrics"
)

// Meter counts what the incarnations of a slot do in this process.
type Meter struct {
	Takeovers      atomic.Uint64
	Rollbacks      atomic.Uint64
	Replays        atomic.Uint64 // changes between fast and careful mode
	Sent           Traffic       // all frames, those too that are sent again
	Resent         Traffic
	Received       Traffic
	ChangelogBytes atomic.Uint64
	GivenBytes     atomic.Uint64     // of the state of key groups that went to other slots
	Commit         metrics.Histogram // from the cut of an epoch until it is committed
	Ready          metrics.Histogram // of that, until receivers hold it and its changes are durable
	Put            metrics.Histogram // of that, how long its record takes to be in the register

	host atomic.Pointer[Host] // the newest incarnation
}

// Traffic is frames and their bytes.
type Traffic struct{ Frames, Bytes atomic.Uint64 }

func (t *Traffic) add(f []byte) {
	t.Frames.Add(1)
	t.Bytes.Add(uint64(len(f)))
}

// Bytes are those of other slots' frames that are held here, and of own frames that are kept
// until others have durably taken them in. It looks at each frame.
func (m *Meter) Bytes() (held, kept int) {
	h := m.host.Load()
	if h == nil {
		return 0, 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, frames := range h.in {
		for _, f := range frames {
			held += len(f.b)
		}
	}
	for _, classes := range h.out {
		for _, frames := range classes {
			for _, f := range frames {
				kept += len(f)
			}
		}
	}
	return held, kept
}

// Protocol tells where the slot is, for who looks for what it waits for; "" before it has begun.
func (m *Meter) Protocol() string {
	h := m.host.Load()
	if h == nil {
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.String()
}

// LeaderMeter counts what leaders do in this process.
type LeaderMeter struct {
	Cuts      atomic.Uint64 // that are complete
	Rollbacks atomic.Uint64
	Cut       metrics.Histogram // from when a cut is asked for until it is complete

	asked, done held.Cut // the newest that was asked for, and that is complete; of the leader's goroutine
	since       time.Time
}

// asks notes that a cut is asked for, again or not.
func (m *LeaderMeter) asks(cut held.Cut) {
	if cut > m.asked {
		m.asked, m.since = cut, time.Now()
	}
}

// durable notes that a record of the job is.
func (m *LeaderMeter) durable(rolledBack bool, cut held.Cut) {
	if rolledBack {
		m.Rollbacks.Add(1)
	}
	if cut > m.done && cut == m.asked {
		m.done = cut
		m.Cuts.Add(1)
		m.Cut.Observe(time.Since(m.since))
	}
}
