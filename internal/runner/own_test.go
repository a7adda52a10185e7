package runner_test

import (
	"flag"
	"io"
	"testing"

	"github.com/millrace/millrace/internal/runner"
	"github.com/stretchr/testify/require"
)

// program is a program's flags, and one of a runner's.
type program struct {
	in   string
	fast bool
	n    int
	each []string
	own  *runner.Own
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{}
	fs := flag.NewFlagSet("app", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&p.in, "in", "default", "")
	fs.BoolVar(&p.fast, "fast", false, "")
	fs.IntVar(&p.n, "n", 0, "")
	fs.Func("each", "", func(s string) error { p.each = append(p.each, s); return nil })
	fs.Int("workers", 0, "of the runner")
	require.NoError(t, fs.Parse(args))
	p.own = runner.NewOwn(fs, map[string]bool{"in": true, "fast": true, "n": true, "each": true}, args)
	return p
}

// Goal: flags are seen as package flag sees them, in all their forms.
func TestOwn_given(t *testing.T) {
	p := start(t, "-workers", "3", "--in", "a b", "-fast", "-n=-5", "-each=x", "-each", "-y", "-workers=4", "status", "-n=7")
	require.Equal(t, []runner.Setting{{"in", "a b"}, {"fast", "true"}, {"n", "-5"}, {"each", "x"}, {"each", "-y"}}, p.own.Given())
	require.Equal(t, -5, p.n)
	require.Equal(t, []string{"x", "-y"}, p.each)
	require.Empty(t, start(t, "--", "-n=7").own.Given())
	require.Empty(t, start(t, "-", "-n=7").own.Given())
	require.Equal(t, []runner.Setting{{"in", ""}}, start(t, "-in=").own.Given())
}

// Goal: another process has the same flags, whether it was given them or not.
func TestOwn_take(t *testing.T) {
	job := start(t, "-in=x", "-fast", "-each=1", "-each=2")
	worker := start(t, "-workers=1", "-in=x")
	require.NoError(t, worker.own.Take(job.own.Given()))
	require.Equal(t, "x", worker.in)
	require.True(t, worker.fast)
	require.Equal(t, []string{"1", "2"}, worker.each)

	for args, want := range map[string]string{
		"-in=y":      `-in: it is "y" here, and "x" in the job: leave it away`,
		"-n=1":       `-n: it is "1" here, and not given in the job: leave it away`,
		"-each=1":    `-each: it is "1" here, and "1" and "2" in the job: leave it away`,
		"-fast=0":    `-fast: it is "0" here, and "true" in the job: leave it away`,
		"-workers=2": "",
	} {
		err := start(t, args).own.Take(job.own.Given())
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, want)
	}
	err := start(t).own.Take([]runner.Setting{{"n", "many"}})
	require.EqualError(t, err, `-n: set it to "many", as in the job: parse error`)
}
