package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/runner"
)

// A job's folder holds
//
//	state/       epochs, kept by a backend
//	savepoints/  NAME.savepoint
//	control.sock while the job runs
const (
	stateFolder     = "state"
	savepointFolder = "savepoints"
)

// defaultState is the backend of a new folder.
const defaultState = "memory"

// jobState is the state folder of a running job.
type jobState struct {
	dir     string
	store   commit.Store
	stopped atomic.Bool // the disk is full: no input is taken
	log     *slog.Logger
}

// backend finds a backend by name; "" is that which the folder was made by, or memory.
func backend(name, dir string) (runner.State, error) {
	var names []string
	for _, s := range runner.States() {
		if s.Name == name || name == "" && s.Holds(dir) {
			return s, nil
		}
		names = append(names, s.Name)
	}
	if name == "" {
		return backend(defaultState, dir)
	}
	return runner.State{}, fmt.Errorf("state backend %q: want %s (import runners/local/pebble for pebble)", name, strings.Join(names, " or "))
}

// openState opens the folder dir.
func openState(ctx context.Context, dir, name string, memory int64, log *slog.Logger) (*jobState, error) {
	inner := filepath.Join(dir, stateFolder)
	b, err := backend(name, inner)
	if err != nil {
		return nil, err
	}
	for _, o := range runner.States() {
		if o.Name != b.Name && o.Holds(inner) {
			return nil, fmt.Errorf("the state in %s was made by -state=%s, and is not readable as %s: make a savepoint with the former, and begin from it in another folder", dir, o.Name, b.Name)
		}
	}
	if err := os.MkdirAll(inner, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	j := &jobState{dir: dir, log: log}
	j.store, err = b.Open(inner, runner.StateOptions{
		Context: ctx, Memory: memory, Full: j.full,
		Warn: func(msg string) { log.Warn(msg, "state", dir) },
	})
	if err != nil {
		return nil, fmt.Errorf("open the state in %s: %w", dir, err)
	}
	return j, nil
}

// full is told when the disk is full, and when there is room again.
func (j *jobState) full(err error) {
	if j.stopped.Swap(err != nil) == (err != nil) {
		return
	}
	if err == nil {
		j.log.Info("there is room on the disk again: the run goes on", "state", j.dir)
		return
	}
	j.log.Error("the disk is full: no input is taken until there is room; nothing is lost", "state", j.dir, "error", err)
}

// errNoStateDir is what settings of state want.
var errNoStateDir = errors.New("-state, -from and -allow-dropped want a state folder: set -state-dir as well")
