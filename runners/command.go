package runners

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/pipeline"
)

// subcommand is what a program does instead of running its pipeline when words stand
// behind its flags: "app -state-dir DIR state ls".
type subcommand struct {
	words string // "state ls"
	args  string // for people
	doc   string // one line
	run   func(c *call) error
}

// ofRunner is a runner's command.
func ofRunner(r runner.Command) subcommand {
	return subcommand{words: r.Words, args: r.Args, doc: r.Doc, run: func(c *call) error {
		set := r.Flags
		if set == nil {
			set = func(*flag.FlagSet) {}
		}
		if err := c.options(set); err != nil {
			return err
		}
		if err := c.wants(r.Least, r.Most); err != nil {
			return err
		}
		return r.Run(c.ctx, c.args, c.stdout, c.errs)
	}}
}

// commandsOf are the commands for a runner: its own, and those of this package which need
// its jobs.
func commandsOf(r runner.Runner) (list []subcommand) {
	for _, own := range r.Commands {
		list = append(list, ofRunner(own))
	}
	for _, c := range commands {
		if !slices.ContainsFunc(list, func(own subcommand) bool { return own.words == c.words }) && (r.Job != nil || r.Commands == nil) {
			list = append(list, c)
		}
	}
	return list
}

var commands = []subcommand{
	{"status", "", "what the running job says of itself, as JSON", status},
	{"plan", "[FILE.savepoint]", "what would become of the state if this program ran with it: kept, migrated, dropped, refused", plan},
	{"state ls", "[FILE.savepoint]", "the transforms that keep state, how much, and of which types, as JSON lines", stateList},
	{"state get", "[FILE.savepoint] TRANSFORM [CELL] KEY", "the state of a key, which is JSON, as JSON lines: one for each window", stateGet},
	{"state dump", "[FILE.savepoint] [TRANSFORM] [-cell CELL]", "all state, as JSON lines", stateDump},
	{"state splits", "[FILE.savepoint]", "how far sources are read, as JSON lines", stateSplits},
	{"savepoint create", "[NAME]", "make a savepoint, of a running job or a stopped one", savepointCreate},
	{"savepoint ls", "", "list the savepoints of the job", savepointList},
	{"savepoint rm", "NAME...", "remove savepoints", savepointRemove},
}

// call is a command with all that it may need.
type call struct {
	*subcommand
	ctx     context.Context
	runner  runner.Runner
	job     runner.Job
	build   func(*pipeline.Pipeline)
	instead overrides
	prog    string
	args    []string // behind the command's words, without flags
	out     *bufio.Writer
	stdout  io.Writer // beneath out
	errs    io.Writer
}

// misuse is a command that is called wrongly.
type misuse struct{ problem string }

func (m *misuse) Error() string { return m.problem }

// misused fails with what is wrong, and how the command is called.
func (c *call) misused(format string, args ...any) error {
	return &misuse{fmt.Sprintf("%s: %s\nusage: %s", c.words, fmt.Sprintf(format, args...), c.usage())}
}

// asked is a command that is asked what it is.
type asked struct{ text string }

func (a *asked) Error() string { return a.text }

// help says what the command is, and which flags of its own it has.
func (c *call) help(fs *flag.FlagSet) error {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s\n  %s\n", c.usage(), c.doc)
	fs.SetOutput(&b)
	fs.PrintDefaults()
	return &asked{b.String()}
}

func (c *subcommand) usage() string { return strings.TrimSpace(c.words + " " + c.args) }

// wants checks the number of arguments.
func (c *call) wants(least, most int) error {
	switch {
	case len(c.args) < least:
		return c.misused("an argument is missing")
	case len(c.args) > most:
		return c.misused("%q is one argument too many", c.args[most])
	}
	return nil
}

// findCommand returns the command of commands that args begin with, and what follows its
// words.
func findCommand(commands []subcommand, args []string) (*subcommand, []string, error) {
	for i := range commands {
		words := strings.Fields(commands[i].words)
		if len(args) >= len(words) && slices.Equal(words, args[:len(words)]) {
			return &commands[i], args[len(words):], nil
		}
	}
	var same []string
	for _, c := range commands {
		if first, _, more := strings.Cut(c.words, " "); more && first == args[0] {
			same = append(same, "  "+c.usage()+": "+c.doc)
		}
	}
	if same != nil {
		return nil, nil, fmt.Errorf("unexpected argument %q: there is\n%s", strings.Join(args[:min(2, len(args))], " "), strings.Join(same, "\n"))
	}
	return nil, nil, fmt.Errorf("unexpected argument %q: flags look like -name=value and come before anything else; commands are %s", args[0], commandNames(commands))
}

func commandNames(commands []subcommand) string {
	var names []string
	for _, c := range commands {
		names = append(names, c.words)
	}
	return strings.Join(names, ", ")
}

// usage prints the flags, and then the commands.
func usage(fs *flag.FlagSet, flags func()) {
	if flags != nil {
		flags()
	} else {
		fmt.Fprintf(fs.Output(), "Usage of %s:\n", fs.Name())
		fs.PrintDefaults()
	}
	fmt.Fprint(fs.Output(), "Commands, behind the flags:\n")
	for _, c := range commands {
		fmt.Fprintf(fs.Output(), "  %s\n    \t%s\n", c.usage(), c.doc)
	}
	for _, r := range runner.All() {
		if r.Commands == nil {
			continue
		}
		fmt.Fprintf(fs.Output(), "Commands with -runner=%s, behind the flags:\n", r.Name)
		for _, c := range r.Commands {
			fmt.Fprintf(fs.Output(), "  %s\n    \t%s\n", strings.TrimSpace(c.Words+" "+c.Args), c.Doc)
		}
	}
}

// runCommand runs a command and returns the program's status.
func runCommand(c *call, stdout io.Writer) int {
	err := c.do(stdout)
	var wrong *misuse
	var help *asked
	var flag *runner.UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &help):
		fmt.Fprint(c.errs, help.text)
		return 0
	case errors.As(err, &wrong), errors.As(err, &flag):
		fmt.Fprintln(c.errs, err)
		return ExitUsage
	case c.ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(c.errs, "cancelled")
		return ExitInterrupted
	}
	fmt.Fprintf(c.errs, "%s: %v\n", c.words, err)
	return ExitFailed
}

func (c *call) do(stdout io.Writer) (err error) {
	if c.stdout = stdout; slices.ContainsFunc(c.runner.Commands, func(own runner.Command) bool { return own.Words == c.words }) {
		return c.run(c)
	}
	if c.runner.Job == nil {
		return c.misused("the runner %s keeps no state", c.runner.Name)
	}
	if c.job, err = c.runner.Job(); err != nil {
		return err
	}
	c.out = bufio.NewWriter(stdout)
	if err := c.run(c); err != nil {
		c.out.Flush() // what has been found so far
		return err
	}
	return c.out.Flush()
}

// options takes the flags out of args, which may stand anywhere before "--". What
// begins like a number is none, for it may be a key.
func (c *call) options(set func(fs *flag.FlagSet)) error {
	fs := flag.NewFlagSet(c.words, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	set(fs)
	var words []string
	for args := c.args; len(args) > 0; {
		arg := args[0]
		if arg == "--" {
			words = append(words, args[1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' || arg[1] >= '0' && arg[1] <= '9' || arg[1] == '.' {
			words, args = append(words, arg), args[1:]
			continue
		}
		n := 1
		if f := fs.Lookup(strings.TrimLeft(arg, "-")); f != nil && !runner.IsBool(f) {
			n = min(2, len(args))
		}
		if err := fs.Parse(args[:n]); errors.Is(err, flag.ErrHelp) {
			return c.help(fs)
		} else if err != nil {
			return c.misused("%v", err)
		}
		args = args[n:]
	}
	c.args = words
	return nil
}
