package local

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/internal/terminal"
	"github.com/millrace/millrace/pipeline"
)

func init() { runner.Register(newRunner()) }

// newRunner is the runner for -runner=local.
func newRunner() runner.Runner {
	f := &flags{}
	return runner.Runner{Name: "local", Doc: "in this process", Flags: f.register, Run: f.run, Job: f.job}
}

// httpToken is the variable with the secret of -http: a flag would show it to all.
const httpToken = "MILLRACE_HTTP_TOKEN"

// flags are the local runner's flags.
type flags struct {
	parallelism int
	memory      string
	tempDir     string
	onError     string
	retries     int
	progress    string
	explain     time.Duration
	stateDir    string
	state       string
	stateMemory string
	checkpoint  time.Duration
	from        string
	dropped     string
	renamed     string
	http        string
}

func (f *flags) register(fs *flag.FlagSet) {
	fs.IntVar(&f.parallelism, "parallelism", 0, "lanes that run side by side; 0: one for each core")
	fs.StringVar(&f.memory, "memory", "", "memory that groupings may use before they spill to disk, as 512MiB or 4GiB; default a quarter of what there is")
	fs.StringVar(&f.tempDir, "temp-dir", "", "folder to spill to; default the system's")
	fs.StringVar(&f.onError, "on-error", string(Stop), "what becomes of an element that fails: stop, dead-letter, park (and its key waits)")
	fs.IntVar(&f.retries, "retries", 0, "further tries of a failing element")
	fs.StringVar(&f.stateDir, "state-dir", "", "the job's folder: checkpoints are kept there, and a run that did not come to its end is gone on with by the next one")
	fs.StringVar(&f.state, "state", "", "what keeps them: "+stateNames()+"; default what the folder was made by, or memory")
	fs.StringVar(&f.stateMemory, "state-memory", "", "memory for state that is on disk, too, as 512MiB; default 128MiB, at most half of -memory")
	fs.DurationVar(&f.checkpoint, "checkpoint-interval", 0, "time between checkpoints; default 1s where there is a state folder or -on-error wants them")
	fs.StringVar(&f.from, "from", "", "savepoint to begin with, where the state folder holds no checkpoint yet")
	fs.StringVar(&f.dropped, "allow-dropped", "", "transforms, between commas, whose state may go because the pipeline has them no more; *: all such")
	fs.StringVar(&f.renamed, "renamed", "", "new names of transforms whose state is kept under old ones, as old=new,old=new")
	fs.StringVar(&f.http, "http", "", "address, as localhost:8080, where a job with a state folder can be asked for its status and for savepoints; "+httpToken+" is what callers have to send, if others than this machine can reach it")
	fs.DurationVar(&f.explain, "explain", time.Minute, "log why a window is not fired when it has been overdue for so long; 0: never")
	fs.StringVar(&f.progress, "progress", "auto", "progress line: auto (on a terminal), on, off")
}

func (f *flags) config() (Config, error) {
	budget, err := runner.ParseBytes(f.memory)
	if err != nil {
		return Config{}, &runner.UsageError{Flag: "memory", Problem: err.Error()}
	}
	stateMemory, err := runner.ParseBytes(f.stateMemory)
	if err != nil {
		return Config{}, &runner.UsageError{Flag: "state-memory", Problem: err.Error()}
	}
	cfg := Config{StateDir: f.stateDir, State: f.state, StateMemory: stateMemory, Checkpoint: f.checkpoint, From: f.from, HTTP: f.http, HTTPToken: os.Getenv(httpToken),
		Parallelism: f.parallelism, MemoryBudget: budget, TempDir: f.tempDir, OnError: OnError(f.onError), Retries: f.retries, ExplainAfter: f.explain}
	if f.dropped != "" {
		cfg.AllowDropped = strings.Split(f.dropped, ",")
	}
	if cfg.Renamed, err = runner.ParseRenamed(f.renamed); err != nil {
		return cfg, err
	}
	if err := cfg.check(); err != nil {
		return cfg, &runner.UsageError{Flag: flagOf(&cfg), Problem: err.Error()}
	}
	return cfg, nil
}

func stateNames() string {
	var names []string
	for _, s := range runner.States() {
		names = append(names, s.Name+" ("+s.Doc+")")
	}
	return strings.Join(names, ", ")
}

// flagOf names the flag that check objects to.
func flagOf(c *Config) string {
	switch {
	case c.Parallelism < 0 || c.Parallelism > 1024:
		return "parallelism"
	case c.Retries < 0:
		return "retries"
	case c.ExplainAfter < 0:
		return "explain"
	case c.Checkpoint < 0:
		return "checkpoint-interval"
	case c.StateDir == "" && c.State != "" && c.State != defaultState:
		return "state"
	case c.StateDir == "" && c.From != "":
		return "from"
	case c.StateDir == "" && len(c.AllowDropped) > 0:
		return "allow-dropped"
	}
	return "on-error"
}

func (f *flags) run(ctx context.Context, p *pipeline.Pipeline, out io.Writer) error {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	show := false
	switch f.progress {
	case "auto":
		show = terminal.Is(out)
	case "on":
		show = true
	case "off":
	default:
		return &runner.UsageError{Flag: "progress", Problem: fmt.Sprintf("%q: want auto, on or off", f.progress)}
	}
	var line *terminal.Line
	var seen *Observer
	cfg.Progress = func(o *Observer) {
		if seen = o; show {
			line = terminal.Start(out, 200*time.Millisecond, o.Line)
		}
	}
	if f.stateDir != "" {
		requests, end := onSignal()
		defer end()
		cfg.Savepoints = requests
	}
	_, err = Run(ctx, p, cfg)
	if line != nil {
		line.Stop()
	}
	if f.stateDir == "" || seen == nil || ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	note := "stopped before the first checkpoint of this run"
	if c := seen.Checkpoint(); c.Epoch > 0 {
		note = fmt.Sprintf("stopped at checkpoint %d", c.Epoch)
	}
	return &runner.StoppedError{Note: note + "; the next run with -state-dir=" + f.stateDir + " goes on from there", Err: err}
}
