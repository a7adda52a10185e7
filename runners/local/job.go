package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/millrace/millrace/internal/upgrade"
)

// job is a run with a state folder: what outlives it, and what others may ask of it.
type job struct {
	*jobState
	backend string
	asks    chan engine.Ask
	server  *control.Server
	seen    *engine.Observer
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// openJob opens the folder of cfg for a run of g, and sets the engine to it.
func openJob(ctx context.Context, g *graph.Graph, cfg *Config, ec *engine.Config) (j *job, err error) {
	log := cmp.Or(cfg.Log, slog.Default())
	s, err := openState(ctx, cfg.StateDir, cfg.State, cfg.StateMemory, log)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	j = &job{jobState: s, asks: make(chan engine.Ask), seen: ec.Observe, stop: stop}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.close())
		}
	}()
	if cfg.From != "" {
		if err := j.begin(cfg.From); err != nil {
			return j, err
		}
	}
	ec.Manifest = upgrade.ManifestOf(g)
	ec.Store, ec.Stopped, ec.Ahead, ec.Asks = j.store, &j.stopped, true, j.asks
	if err := j.upgrade(cfg, ec); err != nil {
		return j, err
	}
	j.server, err = control.Listen(control.Config{Dir: cfg.StateDir, Savepoints: j.savepoints(), Address: cfg.HTTP, Token: cfg.HTTPToken}, j)
	if err != nil {
		return j, err
	}
	j.wg.Go(func() {
		if err := j.server.Run(ctx); err != nil {
			log.Error("the job can't be controlled any more", "state", cfg.StateDir, "error", err)
		}
	})
	if cfg.Savepoints != nil {
		j.wg.Go(func() { j.onRequest(ctx, cfg.Savepoints) })
	}
	return j, nil
}

// begin begins with a savepoint, unless there is a checkpoint already: a run that is
// started again goes on from that.
func (j *job) begin(path string) error {
	if rec := j.store.Last(); rec != nil {
		j.log.Info("there is a checkpoint already: the savepoint is not looked at", "state", j.dir, "checkpoint", rec.Epoch, "savepoint", path)
		return nil
	}
	f, err := savefile.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := savefile.Import(j.store, f); err != nil {
		return fmt.Errorf("begin with %s: %w", path, err)
	}
	return nil
}

func (j *job) savepoints() string { return filepath.Join(j.dir, savepointFolder) }

// onRequest makes a savepoint each time that something comes.
func (j *job) onRequest(ctx context.Context, requests <-chan struct{}) {
	for {
		select {
		case <-requests:
		case <-ctx.Done():
			return
		}
		if path, err := j.Savepoint(ctx, savefile.NameAt(time.Now())); err != nil {
			j.log.Error("no savepoint was made", "state", j.dir, "error", err)
		} else {
			j.log.Info("a savepoint was made", "path", path)
		}
	}
}

// Status implements control.Job.
func (j *job) Status() any {
	c, p := j.seen.Epoch(), j.seen.Progress()
	return struct {
		Checkpoint uint64    `json:"checkpoint"`
		At         time.Time `json:"checkpointAt,omitzero"`
		Elements   int64     `json:"elements"`
		Stopped    bool      `json:"stopped"` // the disk is full
	}{c.N, c.At, p.Elements, j.stopped.Load()}
}

// Savepoint implements control.Job.
func (j *job) Savepoint(ctx context.Context, name string) (string, error) {
	path := filepath.Join(j.savepoints(), name+savefile.Suffix)
	done := make(chan error, 1)
	ask := engine.Ask{
		Do: func(s commit.Store) error {
			if err := os.MkdirAll(j.savepoints(), 0o700); err != nil {
				return fmt.Errorf("make the folder of savepoints: %w", err)
			}
			if _, err := os.Stat(path); err == nil {
				return fs.ErrExist
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return savefile.Write(path, s, savefile.Facts{Created: time.Now(), Name: name, Program: filepath.Base(os.Args[0]), Runner: "local", Backend: j.backend})
		},
		Done: func(err error) { done <- err },
	}
	select {
	case j.asks <- ask:
	case <-ctx.Done():
		return "", fmt.Errorf("savepoint %s: %w", name, context.Cause(ctx))
	}
	select {
	case err := <-done:
		if err != nil {
			return "", fmt.Errorf("savepoint %s: %w", name, err)
		}
		return path, nil
	case <-ctx.Done():
		return "", fmt.Errorf("savepoint %s: %w", name, context.Cause(ctx))
	}
}

func (j *job) close() error {
	j.stop()
	j.wg.Wait()
	if err := j.store.Close(); err != nil {
		return fmt.Errorf("close the state in %s: %w", j.dir, err)
	}
	return nil
}

// job is the job that the flags name, for commands.
func (f *flags) job() (runner.Job, error) {
	cfg, err := f.config()
	if err != nil {
		return runner.Job{}, err
	}
	j := runner.Job{Dir: f.stateDir, From: f.from, AllowDropped: cfg.AllowDropped, Renamed: cfg.Renamed}
	if f.stateDir == "" {
		return j, nil
	}
	inner := filepath.Join(f.stateDir, stateFolder)
	b, err := backend(f.state, inner)
	if err != nil {
		return j, &runner.UsageError{Flag: "state", Problem: err.Error()}
	}
	j.Savepoints, j.Backend = filepath.Join(f.stateDir, savepointFolder), b.Name
	j.Open = func(ctx context.Context) (commit.Store, error) {
		if !b.Holds(inner) {
			return nil, fmt.Errorf("%s: %w", f.stateDir, runner.ErrNoState)
		}
		s, err := openState(ctx, f.stateDir, f.state, 0, slog.Default())
		if err != nil {
			return nil, err
		}
		return s.store, nil
	}
	return j, nil
}
