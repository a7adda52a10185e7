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
	ExitFailed      = 1   // the pipeline could not be built or its run failed
	ExitUsage       = 2   // a flag is wrong
	ExitInterrupted = 130 // Ctrl-C
)

// Main parses the command line's flags, builds a pipeline and runs it; then it
// returns, or exits with a status that says what went wrong. Declare flags of
// your own before calling it and read them in build. Ctrl-C cancels the run:
// nothing uncommitted is left; a second one kills the program.
//
// Where a command stands behind the flags, such as "state ls", it is done instead of
// running the pipeline, and the program exits: -help lists them, docs/state.md shows
// them. Only some of them call build.
func Main(build func(p *pipeline.Pipeline)) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C is the default again
	code := run(ctx, flag.CommandLine, os.Args[1:], build, os.Stdout, os.Stderr)
	if graph := flag.CommandLine.Lookup("graph"); code != 0 || graph.Value.String() != "" || flag.NArg() > 0 {
		os.Exit(code) // after -graph and commands nothing has run that a program could go on with
	}
}

// run is Main without the process.
func run(ctx context.Context, fs *flag.FlagSet, args []string, build func(*pipeline.Pipeline), stdout, stderr io.Writer) int {
	fs.SetOutput(stderr)
	name := fs.String("runner", "local", "what runs the pipeline: "+names())
	graph := fs.String("graph", "", "print the pipeline's graph and exit: "+strings.Join(draw.Formats, ", "))
	var instead overrides
	instead.register(fs)
	for _, r := range runner.All() {
		r.Flags(fs)
	}
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
	if fs.NArg() > 0 {
		cmd, rest, err := findCommand(fs.Args())
		if err != nil {
			fmt.Fprintln(stderr, err)
			return ExitUsage
		}
		return runCommand(&call{subcommand: cmd, ctx: ctx, runner: r, build: build, instead: instead, prog: filepath.Base(fs.Name()), args: rest, errs: stderr}, stdout)
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
	err = r.Run(ctx, p, stderr)
	var usage *runner.UsageError
	var stopped *runner.StoppedError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, err)
		return ExitUsage
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
