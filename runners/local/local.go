// Package local runs pipelines in this process: one slot, with a lane for each core.
package local

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
)

// OnError is what becomes of an element that user code fails on.
type OnError string

const (
	Stop       OnError = "stop"        // end the run with the error: the default
	DeadLetter OnError = "dead-letter" // set the element aside, see [pipeline.DeadLetters], and go on
	// Park is DeadLetter, and where a Stateful transform fails all later elements of
	// that key wait in order behind the one that failed, while other keys run on.
	// What still waits when the input ends goes to the dead letters, in order.
	Park OnError = "park"
)

// Config configures a run. Zero fields mean the default.
type Config struct {
	Parallelism  int           // lanes; default: one for each core
	MemoryBudget int64         // bytes that all groupings together may hold before they spill to disk; default: a quarter of the machine's, or of the memory limit
	TempDir      string        // where they spill to; default: the system's
	OnError      OnError       // default Stop
	Retries      int           // further tries of a failing element before OnError takes it; default 0
	Checkpoint   time.Duration // between checkpoints; default 1s where OnError or StateDir need them, else none

	// StateDir is the job's folder: a run that ends before its input does, however it
	// ends, is gone on with by the next run with the same folder, exactly where the last
	// checkpoint left off. "": nothing outlives the run.
	StateDir string
	// State is what keeps checkpoints in the folder: "memory" (all state is in memory as
	// well; the default) or "pebble" (only as much as StateMemory; needs the import of
	// runners/local/pebble). "" is what the folder was made by.
	State       string
	StateMemory int64 // bytes that state may take which is on disk, too; default 128 MiB, at most half of MemoryBudget
	// From is a savepoint to begin with where StateDir holds no checkpoint yet.
	From string
	// HTTP is an address, "localhost:8080", at which the job can be asked for its status
	// and for savepoints, as at the socket in its folder; "": none. It must be of this
	// machine, unless callers have to send HTTPToken.
	HTTP, HTTPToken string
	// Savepoints, if not nil, brings requests for a savepoint, which is named by the time.
	Savepoints <-chan struct{}
	// AllowDropped names transforms of the checkpoint, which the pipeline has no more,
	// whose state may go; "*" are all of them.
	AllowDropped []string
	// Renamed says what transforms are called now, by the names that they had when the
	// state was written.
	Renamed map[string]string

	NoFusion     bool // a queue between any two transforms: for tests
	Batch        int  // elements in a batch between lanes; default 512
	Queue        int  // batches in a queue between two lanes; default 4
	BundleEpochs int  // a snapshot after so many bundles, for tests; 0: by time
	RestartEvery int  // restore from every so-many-th snapshot, for tests; 0: never

	// ExplainAfter, if not 0, is for how long a window may be overdue, with later data
	// there already, before the log says why.
	ExplainAfter time.Duration
	Log          *slog.Logger // default slog.Default()

	Now func() time.Time // processing time, for tests under a clock of their own; default time.Now

	// Progress, if not nil, is called with a reporter before the run begins.
	Progress func(*Observer)
}

// Observer reports how far a run is. Its methods may be called from any
// goroutine at any time.
type Observer struct{ o *engine.Observer }

// Progress is how far a run is.
type Progress struct {
	Elements           int64 // read from all sources, since the run began
	Read, Total        int64 // of the sources, in units of their own, from the job's beginning; Total is 0 where one of them does not know
	Stages, StagesDone int
}

// Progress is how far the run is.
func (o *Observer) Progress() Progress { return Progress(o.o.Progress()) }

// Checkpoint is a checkpoint that was taken.
type Checkpoint struct {
	Epoch uint64    // its number, from 1 over the life of the job; 0: none in this run so far
	At    time.Time // when it was durable
}

// Checkpoint is the newest checkpoint of the run.
func (o *Observer) Checkpoint() Checkpoint {
	e := o.o.Epoch()
	return Checkpoint{e.N, e.At}
}

// Metric is one metric of user code or of a transform, put together over lanes.
type Metric struct {
	Transform string
	Name      string
	Count     int64 // observations of a distribution
	Sum       int64 // a counter's count; a distribution's sum; a gauge's value
	Min, Max  int64 // of a distribution
}

// Result is what a run leaves.
type Result struct {
	Elapsed  time.Duration
	Metrics  []Metric
	Epochs   int // snapshots taken
	Restarts int // from a snapshot
}

// Counter is the sum of the counter of that name over all transforms.
func (r *Result) Counter(name string) (n int64) {
	for _, m := range r.Metrics {
		if m.Name == name {
			n += m.Sum
		}
	}
	return n
}

// Run runs p to its end. It returns p's construction mistakes, the first failure,
// or the cause with which ctx ended; then nothing uncommitted is left. No
// goroutine of the run is left when it returns.
func Run(ctx context.Context, p *pipeline.Pipeline, cfg Config) (_ *Result, runErr error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ec := engine.Config{
		Lanes: cfg.Parallelism, Batch: cfg.Batch, Queue: cfg.Queue, NoFusion: cfg.NoFusion,
		Epoch: cfg.Checkpoint, EpochBundles: cfg.BundleEpochs, RestartEvery: cfg.RestartEvery,
		Retries: cfg.Retries, TempDir: cfg.TempDir, MemoryBudget: cfg.MemoryBudget, StateMemory: cfg.StateMemory, Now: cfg.Now,
	}
	ec.OnError, _ = engine.PolicyOf(string(cfg.OnError), cfg.Retries)
	if ec.OnError != engine.Stop && ec.Epoch == 0 && ec.EpochBundles == 0 {
		ec.Epoch = time.Second
	}
	if cfg.Progress != nil {
		ec.Observe = &engine.Observer{}
		cfg.Progress(&Observer{ec.Observe})
	}
	if cfg.ExplainAfter > 0 {
		if ec.Observe == nil {
			ec.Observe = &engine.Observer{}
		}
		watching, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { watchWindows(watching, ec.Observe, cfg.ExplainAfter, cmp.Or(cfg.Log, slog.Default())) })
		defer wg.Wait()
		defer stop()
	}
	if cfg.StateDir != "" {
		if ec.Epoch == 0 && ec.EpochBundles == 0 {
			ec.Epoch = time.Second
		}
		if ec.Observe == nil {
			ec.Observe = &engine.Observer{}
		}
		j, err := openJob(ctx, p.Graph(), &cfg, &ec)
		if err != nil {
			return nil, err
		}
		defer func() {
			if e := j.close(); e != nil && runErr == nil {
				runErr = e
			}
		}()
	}
	res, err := engine.Run(ctx, p.Graph(), ec)
	if res == nil {
		return nil, err
	}
	out := &Result{Elapsed: res.Elapsed, Epochs: res.Epochs, Restarts: res.Restarts}
	for _, m := range res.Metrics {
		out.Metrics = append(out.Metrics, Metric{m.Node, m.Name, m.Count, m.Sum, m.Min, m.Max})
	}
	return out, err
}

func (c *Config) check() error {
	_, known := engine.PolicyOf(string(c.OnError), c.Retries)
	switch {
	case c.Parallelism < 0 || c.Parallelism > 1024:
		return fmt.Errorf("parallelism %d: want 1 to 1024, or 0 for one lane for each core", c.Parallelism)
	case !known:
		return fmt.Errorf("error policy %q: want %s, %s or %s", c.OnError, Stop, DeadLetter, Park)
	case c.ExplainAfter < 0:
		return fmt.Errorf("explain after %v: want 0 (never) or more", c.ExplainAfter)
	case c.Retries < 0:
		return fmt.Errorf("retries %d: want 0 or more", c.Retries)
	case c.Checkpoint < 0:
		return fmt.Errorf("checkpoint %v: want 0 (the default) or more", c.Checkpoint)
	case c.StateDir == "" && (c.State != "" && c.State != defaultState || c.From != "" || len(c.AllowDropped) > 0):
		return errNoStateDir
	case c.StateMemory < 0:
		return fmt.Errorf("state memory %d: want 0 or more bytes", c.StateMemory)
	case c.MemoryBudget < 0:
		return fmt.Errorf("memory budget %d: want 0 or more bytes", c.MemoryBudget)
	}
	return nil
}
