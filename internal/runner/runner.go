// Package runner is the list of runners that are linked into a program. Runners
// add themselves when their package is imported; package runners picks one.
package runner

import (
	"context"
	"flag"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/pipeline"
)

// Runner runs pipelines.
type Runner struct {
	Name  string // of the -runner flag
	Doc   string // one line for -help
	Flags func(*flag.FlagSet)

	// Run runs p to its end, or until ctx ends. Progress and messages for people
	// go to out.
	Run func(ctx context.Context, p *pipeline.Pipeline, out io.Writer) error

	// Job is the job that the flags name, for commands such as "state ls"; nil if the
	// runner keeps no state.
	Job func() (Job, error)
}

// The one list of a program; filled by init functions, which is how Go programs
// link things in by import.
var (
	mu  sync.Mutex
	all []Runner
)

// Register adds r. A second runner of a name replaces the first.
func Register(r Runner) {
	mu.Lock()
	defer mu.Unlock()
	all = slices.DeleteFunc(all, func(o Runner) bool { return o.Name == r.Name })
	all = append(all, r)
	slices.SortFunc(all, func(a, b Runner) int { return strings.Compare(a.Name, b.Name) })
}

// All is the runners linked in, by name.
func All() []Runner {
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(all)
}

// StoppedError is a run that was stopped before its end, and how to go on with it.
type StoppedError struct {
	Note string
	Err  error
}

func (e *StoppedError) Error() string { return e.Err.Error() }
func (e *StoppedError) Unwrap() error { return e.Err }

// UsageError is a wrong flag.
type UsageError struct{ Flag, Problem string }

func (e *UsageError) Error() string { return "-" + e.Flag + ": " + e.Problem }
