package distributed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
)

// poisonOf is how many numbers poison reads. One in a thousand fails.
const poisonOf = 20_000

// poison writes numbers to files, and those that fail behind a shuffle to others.
func poison(p *pipeline.Pipeline, dir string) {
	n := generate.Numbers(p, generate.Count(poisonOf), generate.Splits(6), generate.Rate(poisonOf/4))
	lines := pipeline.TryMap(pipeline.Reshuffle(n), func(_ context.Context, v uint64) (string, error) {
		if v%1000 == 13 {
			return "", errors.New("poison")
		}
		if v == poisonOf/2 {
			fmt.Fprintln(os.Stderr, "this is the middle")
		}
		return fmt.Sprint(v), nil
	})
	text.Write(lines, filepath.Join(dir, "out.txt"), text.RollEach())
	aside := pipeline.Map(pipeline.DeadLetters(p), func(l pipeline.DeadLetter) string { return l.Text + " " + l.Error })
	text.Write(aside, filepath.Join(dir, "aside.txt"), text.RollEach())
}

// linesOf are the lines of all parts of a file, sorted.
func linesOf(t *testing.T, dir, name string) (all []string) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, name+"*"))
	require.NoError(t, err)
	for _, part := range parts {
		b, err := os.ReadFile(part)
		require.NoError(t, err)
		if s := strings.TrimSuffix(string(b), "\n"); s != "" {
			all = append(all, strings.Split(s, "\n")...)
		}
	}
	slices.Sort(all)
	return all
}

// Goal: what fails is set aside, once, by workers too that the process which submits the job
// has told of it, also when one of them is killed.
func TestJob_deadLetters(t *testing.T) {
	dir := t.TempDir()
	a := start(t, dir, []string{countVar + "=poison"}, "-workers=3", "-parallelism=1", "-on-error=dead-letter", "-retries=1")
	m := a.await(`^worker 2 \(.*, pid (\d+)\) is here$`)
	a.await(`this is the middle`)
	var pid int
	_, err := fmt.Sscan(m[1], &pid)
	require.NoError(t, err)
	victim, err := os.FindProcess(pid)
	require.NoError(t, err)
	require.NoError(t, victim.Kill())
	require.NoError(t, a.wait())
	var want, aside []string
	for v := range poisonOf {
		if v%1000 == 13 {
			aside = append(aside, fmt.Sprint(v, " poison"))
		} else {
			want = append(want, fmt.Sprint(v))
		}
	}
	slices.Sort(want)
	slices.Sort(aside)
	require.Equal(t, want, linesOf(t, dir, "out"))
	require.Equal(t, aside, linesOf(t, dir, "aside"))
}

// Goal: without a policy the job fails, and says what has.
func TestJob_stopsOnError(t *testing.T) {
	a := start(t, t.TempDir(), []string{countVar + "=poison"}, "-workers=2", "-parallelism=1")
	require.Error(t, a.wait())
	require.Contains(t, strings.Join(a.seen, "\n"), "poison")
}
