package local_test

import (
	"context"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/conformance"
	"github.com/millrace/millrace/runners/local"
)

// The rules of docs/semantics.md, in all ways to run.
func TestConformance(t *testing.T) { conformance.Run(t, run) }

func init() { conformance.States = backends }

// Random windows, triggers and scripts: the panes of a plain model, and one output
// in all ways to run.
func TestConformance_random(t *testing.T) { conformance.RunRandom(t, run, 300) }

// Random programs with state and timers.
func TestConformance_randomPrograms(t *testing.T) { conformance.RunRandomPrograms(t, run, 20) }

func run(ctx context.Context, p *pipeline.Pipeline, w conformance.Way) error {
	cfg := local.Config{Parallelism: w.Lanes, NoFusion: w.NoFuse, BundleEpochs: 1, Now: w.Now}
	if w.Restart {
		cfg.RestartEvery = 1
	}
	if w.State != "" {
		return runDurably(ctx, p, w, cfg)
	}
	_, err := local.Run(ctx, p, cfg)
	return err
}
