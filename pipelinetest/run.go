package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// T is the test of one way to run a pipeline. It is a testing.TB: testify's
// functions take it.
type T struct {
	testing.TB
	way    string
	checks []func()
	seen   *results
	tl     *Timeline
	result *local.Result // after the run
}

// Timeline is that of the test's scripts.
func (t *T) Timeline() *Timeline { return t.tl }

func (t *T) timeline() *Timeline { return t.tl }

// results is what the first way gave for each assertion, as text: the others
// must give the same.
type results struct {
	first map[int]string // by the assertion's ordinal
	way   string
}

// way is one way to run a pipeline.
type way struct {
	name string
	cfg  local.Config
}

// ways are all ways that tests run in.
var ways = []way{
	{"one lane", local.Config{Parallelism: 1}},
	{"three lanes", local.Config{Parallelism: 3}},
	{"no fusion", local.Config{Parallelism: 2, NoFusion: true, Batch: 1, Queue: 1}},
	{"restart after every bundle", local.Config{Parallelism: 2, BundleEpochs: 1, RestartEvery: 1}},
}

// Option configures the runs of a test.
type Option func(*local.Config)

// OnError is the policy for elements that fail; the default is to stop.
func OnError(policy local.OnError) Option { return func(c *local.Config) { c.OnError = policy } }

// MemoryBudget bounds what groupings hold in memory, so that small tests spill, too.
func MemoryBudget(bytes int64) Option { return func(c *local.Config) { c.MemoryBudget = bytes } }

// Run builds a pipeline and runs it in every way, as subtests. build is called
// once for each; the assertions it makes are checked after the run.
func Run(t *testing.T, build func(t *T, p *pipeline.Pipeline), opts ...Option) {
	t.Helper()
	seen := &results{first: map[int]string{}}
	for _, w := range ways {
		t.Run(w.name, func(st *testing.T) {
			p, pt := pipeline.New(), &T{TB: st, way: w.name, seen: seen, tl: NewTimeline()}
			build(pt, p)
			var err error
			cfg := pt.tl.configure(w.cfg)
			if cfg.StateDir == "" && len(pt.tl.crashes) > 0 {
				cfg.StateDir = st.TempDir()
			}
			if pt.result, err = runOne(st.Context(), p, cfg, opts); err != nil {
				st.Fatalf("the pipeline failed: %v", err)
			}
			for _, check := range pt.checks {
				check()
			}
		})
	}
}

// Fails builds a pipeline that must not succeed in any way to run it, and returns
// the error of the first, for assertions on its text.
func Fails(t *testing.T, build func(p *pipeline.Pipeline), opts ...Option) (first error) {
	t.Helper()
	for _, w := range ways {
		p := pipeline.New()
		build(p)
		_, err := runOne(t.Context(), p, w.cfg, opts)
		if err == nil {
			t.Fatalf("%s: the pipeline succeeded, want an error", w.name)
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func runOne(ctx context.Context, p *pipeline.Pipeline, cfg local.Config, opts []Option) (*local.Result, error) {
	for _, o := range opts {
		o(&cfg)
	}
	for {
		res, err := local.Run(ctx, p, cfg)
		if !errors.Is(err, ErrCrash) {
			return res, err
		}
	}
}

// same checks that this way gave what the first one gave for the i-th collection.
func (t *T) same(i int, text []string) {
	t.Helper()
	got := strings.Join(text, "\n")
	want, ok := t.seen.first[i]
	if !ok {
		t.seen.first[i], t.seen.way = got, t.way
		return
	}
	if want != got {
		t.Errorf("running with %s gave something else than with %s:\n%s", t.way, t.seen.way, diff(strings.Split(want, "\n"), text))
	}
}

// diff lists what is only in one of two sorted lists.
func diff(want, got []string) string {
	var b strings.Builder
	n := 0
	line := func(sign byte, s string) {
		if n++; n <= 20 {
			fmt.Fprintf(&b, "  %c %s\n", sign, s)
		}
	}
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0] < got[0]:
			line('-', want[0])
			want = want[1:]
		case len(want) == 0 || got[0] < want[0]:
			line('+', got[0])
			got = got[1:]
		default:
			want, got = want[1:], got[1:]
		}
	}
	if n > 20 {
		fmt.Fprintf(&b, "  … and %d more\n", n-20)
	}
	return b.String()
}
