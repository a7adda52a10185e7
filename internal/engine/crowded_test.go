package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
)

// hoarder is a sink that keeps what was written since the last Prepare, and has enough
// of it soon. It is its own writer, on one lane.
type hoarder struct {
	most, seen     int
	fresh          int // written since Prepare
	written, shown int
	behind         chan struct{} // holds one once something was written behind the newest Prepare
}

const hoard = 10

func (h *hoarder) Open(context.Context, int, int, []byte) (pipeline.Writer[uint64], error) {
	return h, nil
}

func (h *hoarder) Write(uint64) error {
	h.fresh++
	h.seen++
	h.most = max(h.most, h.fresh)
	if h.written > 0 && h.fresh == 1 {
		select {
		case h.behind <- struct{}{}:
		default: // nobody waits for the last ones
		}
	}
	return nil
}

func (h *hoarder) Crowded() bool { return h.fresh >= hoard }

func (h *hoarder) Prepare() ([]byte, error) {
	h.written, h.fresh = h.seen, 0
	return []byte{1}, nil
}

func (h *hoarder) Commit() error { h.shown = h.written; return nil }
func (h *hoarder) Finish() error { return nil }
func (h *hoarder) Abort(bool)    {}

// patient is a store whose commits wait until the lane has written on.
type patient struct {
	*commit.Memory
	h    *hoarder
	last uint64 // epochs that are followed by more
}

func (s *patient) Begin(lanes int) commit.Epoch { return patientEpoch{s.Memory.Begin(lanes), s} }

type patientEpoch struct {
	commit.Epoch
	s *patient
}

func (e patientEpoch) Commit(r *commit.Record) error {
	if next := e.s.Memory.Last(); next == nil || next.Epoch < e.s.last {
		select {
		case <-e.s.h.behind:
		case <-time.After(time.Minute):
			panic("nothing was written behind Prepare")
		}
	}
	return e.Epoch.Commit(r)
}

// Goal: a sink that has enough gets a cut before its time, and what comes behind its
// Prepare while the epoch is made durable, but no more than it wants.
func TestRun_crowdedSinkGoesOnBehindPrepare(t *testing.T) {
	h := &hoarder{behind: make(chan struct{}, 1)}
	p := pipeline.New()
	pipeline.Write(pipeline.GenerateSequence(p, 300), "test.Write", h)
	res, err := engine.Run(t.Context(), p.Graph(), engine.Config{
		Lanes: 1, EpochBundles: 1e9, Ahead: true, Store: &patient{commit.NewMemory(), h, 20},
	})
	require.NoError(t, err)
	require.Equal(t, 300, h.shown)
	require.Less(t, h.most, hoard+3, "it is asked once in each round, and rounds have three elements where cuts are by count")
	require.Positive(t, res.Elapsed)
}
