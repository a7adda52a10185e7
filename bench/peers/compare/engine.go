package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

var engineNames = []string{"ours", "go", "timely", "flink"}

// defaultN is long enough for the fastest engine to run for about half a second
// and short enough for the slowest to end within ten. Each is in expected.tsv.
var defaultN = map[string]uint64{
	"q0": 50_000_000, "q1": 50_000_000, "q2": 50_000_000,
	"q3": 20_000_000, "q5": 10_000_000, "q7": 10_000_000,
	"w1": 1_350_000, "w2": 30_000_000, "w3": 10_000_000,
}

func queryNames() []string { return slices.Sorted(maps.Keys(defaultN)) }

// contender is one engine set up for one query.
type contender struct {
	engine string
	query  string // as all engines and expected.tsv call it
	asked  string // as this engine calls it
	par    int
}

func (c contender) label() string { return fmt.Sprintf("%s x%d", c.engine, c.par) }

// contenders are the runs of a round, in order. Millrace runs at par, and on one
// lane as well where the loop, which has one thread, is to be compared with.
func contenders(query string, par int, engines []string) []contender {
	var cs []contender
	has := func(e string) bool { return slices.Contains(engines, e) }
	add := func(engine, asked string, par int) { cs = append(cs, contender{engine, query, asked, par}) }
	if has("go") {
		add("go", query, 1)
		if has("ours") && par != 1 {
			add("ours", query, 1)
		}
	}
	if has("ours") {
		add("ours", query, par)
	}
	if asked, ok := timelyQueries[query]; has("timely") && ok {
		add("timely", asked, par)
	}
	if has("flink") {
		add("flink", query, par)
	}
	return cs
}

// timelyQueries is what the timely programs cover. Its word count with a
// combiner is the like of ours; the one without sends every word.
var timelyQueries = map[string]string{"q0": "q0", "q5": "q5", "q7": "q7", "w1": "w1c", "w2": "w2", "w3": "w3"}

// lab runs contenders, one at a time.
type lab struct {
	root string // of the module
	tmp  string // holds our binary
}

// newLab finds the module that the current folder is in.
func newLab(ctx context.Context) (*lab, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	if _, err := os.Stat(filepath.Join(root, "bench", "peers", "run.sh")); err != nil {
		return nil, fmt.Errorf("compare has to run inside a checkout of Millrace: %w", err)
	}
	tmp, err := os.MkdirTemp("", "compare")
	if err != nil {
		return nil, err
	}
	return &lab{root, tmp}, nil
}

func (l *lab) close() { os.RemoveAll(l.tmp) }

// prepare builds each engine and has it make a small result, so that no timed
// run waits for a build. It gives the engines that work, and a note for each other.
func (l *lab) prepare(ctx context.Context, engines []string, progress io.Writer) (usable, notes []string) {
	for _, e := range engines {
		fmt.Fprintf(progress, "preparing %s\n", e)
		err := l.build(ctx, e)
		if err == nil {
			_, err = l.run(ctx, contender{engine: e, query: "q0", asked: "q0", par: 1}, 1_000_000)
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s is left out: %v", e, err))
			continue
		}
		usable = append(usable, e)
	}
	return usable, notes
}

// build builds our own program; run.sh builds the others on their first run.
func (l *lab) build(ctx context.Context, engine string) error {
	if engine != "ours" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(l.tmp, "nexmark"), "./bench/nexmark")
	cmd.Dir = l.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build ./bench/nexmark: %w: %s", err, lastLine(out))
	}
	return nil
}

// run makes one run and checks its result.
func (l *lab) run(ctx context.Context, c contender, n uint64) (result, error) {
	cmd := l.command(ctx, c, n)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("run %s of %d on %s: %w: %s", c.asked, n, c.label(), err, lastLine(stderr.Bytes()))
	}
	r, err := parse(out)
	if err == nil {
		err = r.check(c.query, n)
	}
	if err != nil {
		return result{}, fmt.Errorf("run %s of %d on %s: %w", c.asked, n, c.label(), err)
	}
	return r, nil
}

func (l *lab) command(ctx context.Context, c contender, n uint64) *exec.Cmd {
	events, par := strconv.FormatUint(n, 10), strconv.Itoa(c.par)
	if c.engine == "ours" {
		return exec.CommandContext(ctx, filepath.Join(l.tmp, "nexmark"), "-q", c.asked, "-n", events, "-parallelism", par)
	}
	return exec.CommandContext(ctx, filepath.Join(l.root, "bench", "peers", "run.sh"), c.engine, c.asked, events, par)
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
