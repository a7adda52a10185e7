package local

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/pipeline"
)

func init() { runner.Register(newRunner()) }

// newRunner is the runner for -runner=local.
func newRunner() runner.Runner {
	f := &flags{}
	return runner.Runner{Name: "local", Doc: "in this process", Flags: f.register, Run: f.run}
}

// flags are the local runner's flags.
type flags struct {
	parallelism int
	memory      string
	tempDir     string
	onError     string
	retries     int
	progress    string
	explain     time.Duration
}

func (f *flags) register(fs *flag.FlagSet) {
	fs.IntVar(&f.parallelism, "parallelism", 0, "lanes that run side by side; 0: one for each core")
	fs.StringVar(&f.memory, "memory", "", "memory that groupings may use before they spill to disk, as 512MiB or 4GiB; default a quarter of what there is")
	fs.StringVar(&f.tempDir, "temp-dir", "", "folder to spill to; default the system's")
	fs.StringVar(&f.onError, "on-error", string(Stop), "what becomes of an element that fails: stop, dead-letter, park (and its key waits)")
	fs.IntVar(&f.retries, "retries", 0, "further tries of a failing element")
	fs.DurationVar(&f.explain, "explain", time.Minute, "log why a window is not fired when it has been overdue for so long; 0: never")
	fs.StringVar(&f.progress, "progress", "auto", "progress line: auto (on a terminal), on, off")
}

func (f *flags) config() (Config, error) {
	budget, err := parseBytes(f.memory)
	if err != nil {
		return Config{}, &runner.UsageError{Flag: "memory", Problem: err.Error()}
	}
	cfg := Config{Parallelism: f.parallelism, MemoryBudget: budget, TempDir: f.tempDir, OnError: OnError(f.onError), Retries: f.retries, ExplainAfter: f.explain}
	if err := cfg.check(); err != nil {
		return cfg, &runner.UsageError{Flag: flagOf(&cfg), Problem: err.Error()}
	}
	return cfg, nil
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
		show = isTerminal(out)
	case "on":
		show = true
	case "off":
	default:
		return &runner.UsageError{Flag: "progress", Problem: fmt.Sprintf("%q: want auto, on or off", f.progress)}
	}
	if !show {
		_, err = Run(ctx, p, cfg)
		return err
	}
	var line *progressLine
	cfg.Progress = func(o *Observer) { line = startProgress(out, o, 200*time.Millisecond) }
	_, err = Run(ctx, p, cfg)
	if line != nil {
		line.stop()
	}
	return err
}

// isTerminal reports whether people are looking at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// parseBytes reads a size: a number with B, KiB, MiB, GiB, or KB, MB, GB.
func parseBytes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits := strings.TrimRight(s, "BKMGikmgb")
	unit := map[string]int64{"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 1e3, "mb": 1e6, "gb": 1e9}[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseFloat(digits, 64)
	n *= float64(unit)
	if err != nil || unit == 0 || !(n >= 0 && n < math.MaxInt64) { // so, for NaN is neither
		return 0, fmt.Errorf("%q: want a size such as 512MiB or 4GiB", s)
	}
	return int64(n), nil
}
