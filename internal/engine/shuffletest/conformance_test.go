package shuffletest

import (
	"context"
	"errors"
	"testing"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/pipelinetest/conformance"
)

// The rules of docs/semantics.md over three slots. Method: a step of a script is taken
// when no slot has anything left to do; slots that crash are restored from their stores.
func TestSlots_conformance(t *testing.T) {
	conformance.Run(t, conform, conformance.Except{
		"si-late-main-not-dropped": "its element comes when the side window may be gone (M94), and with several slots it may be gone sooner",
	})
}

func TestSlots_conformanceRandom(t *testing.T) { conformance.RunRandom(t, conform, seeds(50)) }

func TestSlots_conformanceRandomPrograms(t *testing.T) {
	conformance.RunRandomPrograms(t, conform, seeds(5))
}

// seeds is n, or fewer in short tests.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return (n + 4) / 5
	}
	return n
}

func init() { conformance.States = []string{"memory"} }

func conform(ctx context.Context, p *pipeline.Pipeline, w conformance.Way) error {
	cfg := engine.Config{EpochBundles: 1, NoFusion: w.NoFuse, Now: w.Now}
	if w.Restart {
		cfg.RestartEvery = 1
	}
	j := newJob(3, min(w.Lanes, 2))
	j.steps, j.kills = true, w.Restart
	return j.runAll(ctx, p.Graph(), cfg, func(err error) bool { return errors.Is(err, pipelinetest.ErrCrash) })
}
