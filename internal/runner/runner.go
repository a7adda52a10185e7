// Package runner is the list of runners that are linked into a program. Runners
// add themselves when their package is imported; package runners picks one.
package runner

import (
	"context"
	"errors"
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
	Takes []string // flags that another runner declares, and this one takes as well

	// Before, if not nil, is called when flags have been parsed and the pipeline is not yet
	// built: it may set the program's own.
	Before func(ctx context.Context, own *Own) error

	// Run runs p to its end, or until ctx ends. Progress and messages for people
	// go to out.
	Run func(ctx context.Context, p *pipeline.Pipeline, out io.Writer) error

	// Job is the job that the flags name, for commands such as "state ls"; nil if the
	// runner keeps no state.
	Job func() (Job, error)

	// Commands are what else can be done with its jobs. One of the same words stands for that of
	// package runners.
	Commands []Command
}

// Command is something that a program does with a job instead of running its pipeline, when
// words stand behind its flags: "app -runner=distributed status".
type Command struct {
	Words string              // "status"
	Args  string              // for people
	Doc   string              // one line
	Flags func(*flag.FlagSet) // that may stand behind the words; nil: none
	Least int                 // arguments
	Most  int                 // arguments

	// Run does it. What was asked for goes to out, what people are to know beside it to errs.
	Run func(ctx context.Context, args []string, out, errs io.Writer) error
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

// ErrWorker is what Run returns in a process that has worked for a job of another one, to
// its end: the program has nothing to go on with.
var ErrWorker = errors.New("this process worked for a job that another one has submitted")

// RefusedError is that a job does not take this process as a worker, and would not either
// if it tried again.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// StatusRefused is the status of a program whose run ends with a RefusedError.
const StatusRefused = 3

// UsageError is a wrong flag.
type UsageError struct{ Flag, Problem string }

func (e *UsageError) Error() string { return "-" + e.Flag + ": " + e.Problem }
