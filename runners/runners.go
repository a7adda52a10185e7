// Package runners runs a pipeline by whichever runner the -runner flag names.
//
// The local runner is always there. Others are linked in by importing their
// packages; a program that wants the local one only can import runners/local itself.
//
// By -source and -sink files stand in for the sources and sinks of a pipeline, so that
// one which reads and writes Kafka, say, can be tried without it: docs/kafka.md shows it.
package runners

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/millrace/millrace/internal/draw"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/pipeline"
	_ "github.com/millrace/millrace/runners/local"        // the runner that is always there
	_ "github.com/millrace/millrace/runners/local/pebble" // for its -state=pebble
)

// Exit statuses of [Main].
const (
	ExitFailed      = 1                    // the pipeline could not be built or its run failed
	ExitUsage       = 2                    // a flag is wrong
	ExitRefused     = runner.StatusRefused // a job does not take this process as a worker
	ExitInterrupted = 130                  // Ctrl-C
)

// exitWorker says that the process was a worker, and has nothing more to do.
const exitWorker = -1

// Main parses the command line's flags, builds a pipeline and runs it; then it
// returns, or exits with a status that says what went wrong. Declare flags of
// your own before calling it and read them in build. Ctrl-C cancels the run:
// nothing uncommitted is left; a second one kills the program.
//
// Where a command stands behind the flags, such as "state ls", it is done instead of
// running the pipeline, and the program exits: -help lists them, docs/state.md shows
// them. Only some of them call build. The program exits, too, where it has worked for a
// job that another process submitted: that one has the results.
func Main(build func(p *pipeline.Pipeline)) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C is the default again
	code := run(ctx, flag.CommandLine, os.Args[1:], build, os.Stdout, os.Stderr)
	if code == exitWorker {
		os.Exit(0)
	}
	if graph := flag.CommandLine.Lookup("graph"); code != 0 || graph.Value.String() != "" || flag.NArg() > 0 {
		os.Exit(code) // after -graph and commands nothing has run that a program could go on with
	}
}

// run is Main without the process.
func run(ctx context.Context, fs *flag.FlagSet, args []string, build func(*pipeline.Pipeline), stdout, stderr io.Writer) int {
	fs.SetOutput(stderr)
	own := map[string]bool{"source": true, "sink": true}
	fs.VisitAll(func(f *flag.Flag) { own[f.Name] = true })
	name := fs.String("runner", "local", "what runs the pipeline: "+names())
	graph := fs.String("graph", "", "print the pipeline's graph and exit: "+strings.Join(draw.Formats, ", "))
	var instead overrides
	instead.register(fs)
	declared := declare(fs)
	flags := fs.Usage
	fs.Usage = func() { usage(fs, flags) }
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return ExitUsage
	}
	r, err := find(*name)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return ExitUsage
	}
	if err := checkFlags(fs, r, declared); err != nil {
		fmt.Fprintln(stderr, err)
		return ExitUsage
	}
	if fs.NArg() > 0 {
		cmd, rest, err := findCommand(commandsOf(r), fs.Args())
		if err != nil {
			fmt.Fprintln(stderr, err)
			return ExitUsage
		}
		return runCommand(&call{subcommand: cmd, ctx: ctx, runner: r, build: build, instead: instead, prog: filepath.Base(fs.Name()), args: rest, errs: stderr}, stdout)
	}
	if r.Before != nil && *graph == "" {
		if err := r.Before(ctx, runner.NewOwn(fs, own, args)); err != nil {
			return report(ctx, err, stderr)
		}
	}
	p := pipeline.New()
	build(p)
	if err := p.Err(); err != nil {
		fmt.Fprintf(stderr, "the pipeline can't be run:\n%s\n", indent(err))
		return ExitFailed
	}
	if err := instead.apply(p.Graph(), stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return ExitUsage
	}
	if *graph != "" {
		if err := draw.Write(stdout, p.Graph(), *graph); err != nil {
			fmt.Fprintf(stderr, "-graph: %v\n", err)
			return ExitUsage
		}
		return 0
	}
	return report(ctx, r.Run(ctx, p, stderr), stderr)
}

// report says how a run has ended, and returns the program's status.
func report(ctx context.Context, err error, stderr io.Writer) int {
	var usage *runner.UsageError
	var refused *runner.RefusedError
	var stopped *runner.StoppedError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, runner.ErrWorker):
		return exitWorker
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, err)
		return ExitUsage
	case errors.As(err, &refused):
		fmt.Fprintln(stderr, err)
		return ExitRefused
	case errors.As(err, &stopped):
		fmt.Fprintln(stderr, stopped.Note)
		return ExitInterrupted
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "cancelled; nothing uncommitted was left behind")
		return ExitInterrupted
	}
	fmt.Fprintf(stderr, "the run failed: %v\n", err)
	return ExitFailed
}

// declare lets all runners declare their flags, and returns who has declared which.
func declare(fs *flag.FlagSet) map[string]string {
	declared := map[string]string{}
	fs.VisitAll(func(f *flag.Flag) { declared[f.Name] = "" })
	for _, r := range runner.All() {
		r.Flags(fs)
		fs.VisitAll(func(f *flag.Flag) {
			if _, ok := declared[f.Name]; !ok {
				declared[f.Name] = r.Name
			}
		})
	}
	return declared
}

// checkFlags fails if a flag is given that says nothing to r.
func checkFlags(fs *flag.FlagSet, r runner.Runner, declared map[string]string) (err error) {
	fs.Visit(func(f *flag.Flag) {
		if owner := declared[f.Name]; err == nil && owner != "" && owner != r.Name && !slices.Contains(r.Takes, f.Name) {
			err = &runner.UsageError{Flag: f.Name, Problem: fmt.Sprintf("it is for -runner=%s, and this is -runner=%s", owner, r.Name)}
		}
	})
	return err
}

// find returns the runner of a name; an unknown one lists what there is.
func find(name string) (runner.Runner, error) {
	for _, r := range runner.All() {
		if r.Name == name {
			return r, nil
		}
	}
	return runner.Runner{}, fmt.Errorf("-runner=%s: no such runner is linked into this program; there is: %s (import a runner's package to add it)", name, names())
}

func names() string {
	var out []string
	for _, r := range runner.All() {
		out = append(out, r.Name)
	}
	return strings.Join(out, ", ")
}

func indent(err error) string { return "  " + strings.ReplaceAll(err.Error(), "\n", "\n  ") }
