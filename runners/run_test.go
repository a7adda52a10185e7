package runners

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/require"
)

// command runs a program with flags, and returns its status and what it printed.
func command(ctx context.Context, build func(*pipeline.Pipeline), args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, flag.NewFlagSet("prog", flag.ContinueOnError), args, build, &out, &errs)
	return code, out.String(), errs.String()
}

func small(p *pipeline.Pipeline) {
	pipeline.ForEachLane(pipeline.Map(pipeline.Create(p, 1, 2, 3), func(i int) int { return i + 1 }), func(int) func(int) { return func(int) {} })
}

func TestRun_badFlags(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string
	}{
		{"-runner=flink", "-runner=flink: no such runner is linked into this program; there is: fake, local, stateless (import a runner's package to add it)"},
		{"-parallelism=-1", "-parallelism: parallelism -1: want 1 to 1024"},
		{"-memory=lots", `-memory: "lots": want a size such as 512MiB or 4GiB`},
		{"-on-error=shrug", `-on-error: error policy "shrug": want stop, dead-letter or park`},
		{"-retries=-2", "-retries: retries -2: want 0 or more"},
		{"-progress=maybe", `-progress: "maybe": want auto, on or off`},
		{"-graph=jpeg", `-graph: graph format "jpeg": want one of dot, mermaid, svg`},
		{"-nonsense", "flag provided but not defined: -nonsense"},
		{"input.txt", `unexpected argument "input.txt": flags look like -name=value`},
	} {
		code, _, stderr := command(t.Context(), small, strings.Fields(tc.args)...)
		require.Equal(t, ExitUsage, code, tc.args)
		require.Contains(t, stderr, tc.want)
	}
}

// Goal: a flag that means nothing to the runner is refused, rather than not looked at.
func TestRun_flagsOfOtherRunners(t *testing.T) {
	for args, want := range map[string]string{
		"-fake-dir=x":                      "-fake-dir: it is for -runner=fake, and this is -runner=local\n",
		"-runner=fake -memory=1GiB":        "-memory: it is for -runner=local, and this is -runner=fake\n",
		"-runner=fake -parallelism=2":      "",
		"-runner=fake -fake-dir=x":         "",
		"-runner=stateless -fake-from=x p": "-fake-from: it is for -runner=fake, and this is -runner=stateless\n",
	} {
		code, _, stderr := command(t.Context(), small, strings.Fields(args)...)
		require.Equal(t, want, stderr, args)
		if want != "" {
			require.Equal(t, ExitUsage, code)
		}
	}
}

// Goal: a runner sees the program's own flags before the pipeline is built, and may set
// those that were not given.
func TestRun_before(t *testing.T) {
	t.Cleanup(func() { theFake.more = nil })
	theFake.more = []runner.Setting{{Name: "top", Value: "7"}, {Name: "source", Value: "orders=file:x.jsonl"}}
	fs := flag.NewFlagSet("prog", flag.ContinueOnError)
	in, top := fs.String("in", "", ""), fs.Int("top", 0, "")
	var out bytes.Buffer
	code := run(t.Context(), fs, strings.Fields("-runner=fake -in a -parallelism=2 -sink s=-"), func(p *pipeline.Pipeline) {
		require.Equal(t, "a", *in)
		require.Equal(t, 7, *top)
		small(p)
	}, &out, &out)
	require.Equal(t, ExitUsage, code)
	require.Contains(t, out.String(), "-source orders=file:x.jsonl: ", "what -source was set to is looked for in the graph")
	require.Equal(t, []runner.Setting{{Name: "in", Value: "a"}, {Name: "sink", Value: "s=-"}}, theFake.given)

	theFake.more = []runner.Setting{{Name: "top", Value: "many"}}
	code, _, stderr := command(t.Context(), small, "-runner=fake")
	require.Equal(t, ExitUsage, code)
	require.Equal(t, "-top: set it to \"many\", as in the job: no such flag -top\n", stderr)
}

func TestRun_mistakesAndFailures(t *testing.T) {
	code, _, stderr := command(t.Context(), func(p *pipeline.Pipeline) {
		c := pipeline.Create(p, 1)
		pipeline.Map[int, int](c, nil)
		pipeline.Filter(c, nil)
	})
	require.Equal(t, ExitFailed, code)
	require.Regexp(t, `^the pipeline can't be run:\n  runners/run_test.go:\d+: Map: the function is nil\n  runners/run_test.go:\d+: Filter: the function is nil\n$`, stderr)

	code, _, stderr = command(t.Context(), func(p *pipeline.Pipeline) {
		pipeline.ForEach(pipeline.Create(p, 1), func(context.Context, int) error { return errors.New("no room") })
	})
	require.Equal(t, ExitFailed, code)
	require.Contains(t, stderr, "the run failed: ForEach (runners/run_test.go:")
	require.Contains(t, stderr, "at input value 0: no room")
}

func TestRun_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	code, _, stderr := command(ctx, func(p *pipeline.Pipeline) {
		pipeline.ForEach(pipeline.Generate(p, 1<<40, func(i uint64, e *uint64) { *e = i }), func(_ context.Context, i uint64) error {
			if i == 1000 {
				cancel()
			}
			return nil
		})
	})
	require.Equal(t, ExitInterrupted, code)
	require.Equal(t, "cancelled; nothing uncommitted was left behind\n", stderr)
}

func TestRun_quietUnlessAsked(t *testing.T) {
	code, stdout, stderr := command(t.Context(), small)
	require.Zero(t, code)
	require.Empty(t, stdout+stderr)
	code, _, _ = command(t.Context(), small, "-progress=on", "-parallelism=2", "-memory=64MiB", "-on-error=dead-letter", "-retries=1")
	require.Zero(t, code)
}

func TestRun_graphs(t *testing.T) {
	for format, want := range map[string]string{
		"dot":     "digraph pipeline {\n",
		"mermaid": "flowchart TD\n    n0[\"Create<br/><i>int</i>\"]\n    n1[\"Map<br/><i>int</i>\"]\n    n0 --> n1\n    n2[\"ForEach\"]\n    n1 --> n2\n",
		"svg":     "<svg xmlns=",
	} {
		code, stdout, stderr := command(t.Context(), small, "-graph="+format)
		require.Zero(t, code)
		require.Empty(t, stderr)
		require.True(t, strings.HasPrefix(stdout, want), stdout)
	}
}
