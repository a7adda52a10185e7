package local_test

import (
	"context"
	"errors"
	"os"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/pipelinetest/conformance"
	"github.com/millrace/millrace/runners/local"
)

// runDurably runs p with its state in a folder, again and again while its script
// lets it crash, each time with another number of lanes.
func runDurably(ctx context.Context, p *pipeline.Pipeline, w conformance.Way, cfg local.Config) error {
	dir, err := os.MkdirTemp(memoryFolder(), "conformance-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg.StateDir, cfg.State, cfg.StateMemory = dir, w.State, 1 // whatever can be let go of is
	for {
		_, err := local.Run(ctx, p, cfg)
		if !errors.Is(err, pipelinetest.ErrCrash) {
			return err
		}
		if w.Rescale {
			cfg.Parallelism = cfg.Parallelism%4 + 1
		}
	}
}

// memoryFolder is a folder in memory, where there is one: thousands of checkpoints
// are synced, and that they are is not what is tested.
func memoryFolder() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err == nil && info.IsDir() {
		return shm
	}
	return ""
}
