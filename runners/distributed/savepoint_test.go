package distributed

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/savefile"
)

// Goal: a savepoint with which a job ends, of which a worker is killed meanwhile, begins jobs
// of other numbers of workers, slots and lanes, and one of the local runner; with what the
// first has written, each writes every line once.
func TestSavepoint(t *testing.T) {
	dir := t.TempDir()
	env := []string{countVar + "=ranks"}
	a := start(t, dir, env, "-workers=3", "-slots=3", "-parallelism=2", "-cut=300ms")
	pid, err := strconv.Atoi(a.await(`^worker 2 \(.*, pid (\d+)\) is here$`)[1])
	require.NoError(t, err)
	a.await(`^all are here: `)
	path := filepath.Join(dir, "half.savepoint")
	saving := startAs(t, dir, true, nil, "savepoint", "create", "-stop", path)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	saving.await(`^` + path + `$`)
	require.NoError(t, saving.wait())
	require.Error(t, a.wait())

	f, err := savefile.Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Check())
	require.Equal(t, 6, f.Last().Lanes)
	require.Equal(t, 3, f.Last().Slots)
	var before map[string]int
	for _, args := range [][]string{
		{"-workers=2", "-slots=4", "-parallelism=1"},
		{"-runner=local", "-parallelism=3", "-state-dir=" + t.TempDir()},
	} {
		next := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(next, "finish"), nil, 0o600))
		b := start(t, next, env, append(args, "-from="+path)...)
		require.NoError(t, b.wait(), args)
		times := maps.Clone(before)
		if before == nil { // what the first had prepared when it ended is shown by who is next
			before = map[string]int{}
			takeFiles(t, dir, before)
			times = maps.Clone(before)
		}
		takeFiles(t, next, times)
		for line, n := range times {
			require.Equal(t, 1, n, line)
		}
		require.Equal(t, rankLines(), slices.Sorted(maps.Keys(times)), args)
		require.Less(t, len(before), len(times), args)
	}
}
