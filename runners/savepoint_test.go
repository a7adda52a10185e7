package runners

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/stretchr/testify/require"
)

// stoppedJob is a folder in which the fake runner has a job that does not run.
func stoppedJob(t *testing.T, rec *commit.Record) string {
	dir := t.TempDir()
	m := commit.NewMemory()
	if rec != nil {
		e := m.Begin(1)
		w := e.Lane(0)
		w.Node("count")
		w.Put(7, []byte("k"), []byte("v"))
		require.NoError(t, e.Commit(rec))
	}
	theFake.jobs[dir] = m
	return dir
}

// on runs a command on the fake runner's job in dir.
func on(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	return command(t.Context(), small, append([]string{"-runner=fake", "-fake-dir=" + dir}, args...)...)
}

// runningJob answers as the job that runs in dir, until the test ends.
func runningJob(t *testing.T, dir string, j control.Job) {
	s, err := control.Listen(control.Config{Dir: dir, Savepoints: filepath.Join(dir, "savepoints")}, j)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
}

// jobIn makes savepoints of a fixed state.
type jobIn struct {
	dir   string
	state *commit.Memory
}

func (j jobIn) Status() any { return map[string]string{"phase": "running"} }

func (j jobIn) Savepoint(_ context.Context, name string) (string, error) {
	path := filepath.Join(j.dir, "savepoints", name+savefile.Suffix)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, savefile.Write(path, j.state, savefile.Facts{Name: name})
}

func TestSavepoint_ofAStoppedJob(t *testing.T) {
	dir := stoppedJob(t, &commit.Record{Lanes: 3})
	code, out, stderr := on(t, dir, "savepoint", "create", "one")
	require.Zero(t, code, stderr)
	path := filepath.Join(dir, "savepoints", "one.savepoint")
	require.Equal(t, path+"\n", out)
	f, err := savefile.Open(path)
	require.NoError(t, err)
	facts := f.Facts()
	require.NoError(t, f.Close())
	require.Equal(t, []string{"one", "prog", "fake", "fake memory"}, []string{facts.Name, facts.Program, facts.Runner, facts.Backend})
	require.NotZero(t, facts.Created)

	code, _, stderr = on(t, dir, "savepoint", "create", "one")
	require.Equal(t, ExitFailed, code)
	require.Equal(t, "savepoint create: there is a savepoint \"one\" already\n", stderr)

	code, out, _ = on(t, dir, "savepoint", "create")
	require.Zero(t, code)
	require.Regexp(t, `/savepoints/\d{8}-\d{6}\.savepoint\n$`, out)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "savepoints", "torn.savepoint"), []byte("MILRSAVE"), 0o600))
	code, out, _ = on(t, dir, "savepoint", "ls")
	require.Zero(t, code)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4)
	require.Regexp(t, `^NAME +CREATED +EPOCH +PARALLELISM +ROWS +BYTES$`, lines[0])
	require.Regexp(t, `^one +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +1 +3 +1 +\d+$`, lines[2])
	require.Contains(t, lines[3], "unreadable: ")

	code, _, _ = on(t, dir, "savepoint", "rm", "one", "torn")
	require.Zero(t, code)
	require.NoFileExists(t, path)
	code, _, stderr = on(t, dir, "savepoint", "rm", "one")
	require.Equal(t, ExitFailed, code)
	require.Contains(t, stderr, `there is no savepoint "one" in `)
}

func TestSavepoint_ofARunningJob(t *testing.T) {
	dir := stoppedJob(t, &commit.Record{Lanes: 3})
	runningJob(t, dir, jobIn{dir, theFake.jobs[dir]})
	code, out, stderr := on(t, dir, "savepoint", "create", "one")
	require.Zero(t, code, stderr)
	require.Equal(t, filepath.Join(dir, "savepoints", "one.savepoint")+"\n", out)
	code, _, stderr = on(t, dir, "savepoint", "create", "one")
	require.Equal(t, ExitFailed, code)
	require.Equal(t, "savepoint create: there is a savepoint \"one\" already\n", stderr)

	code, out, _ = on(t, dir, "status")
	require.Zero(t, code)
	require.Regexp(t, `^\{"pid":\d+,"started":".*","job":\{"phase":"running"\}\}\n$`, out)
}

func TestCommands_misuse(t *testing.T) {
	dir := stoppedJob(t, nil)
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"savepoint", ExitUsage, "unexpected argument \"savepoint\": there is\n  savepoint create [NAME]: make a savepoint"},
		{"savepoint make", ExitUsage, `unexpected argument "savepoint make": there is`},
		{"savepoint create ../x", ExitUsage, `savepoint name "../x": want at most`},
		{"savepoint create a b", ExitUsage, "savepoint create: \"b\" is one argument too many\nusage: savepoint create [NAME]"},
		{"savepoint rm", ExitUsage, "savepoint rm: an argument is missing\nusage: savepoint rm NAME..."},
		{"savepoint rm /etc/passwd", ExitUsage, `savepoint name "/etc/passwd"`},
		{"savepoint create x", ExitFailed, "savepoint create: " + dir + ": no state is kept there yet"},
		{"status", ExitFailed, "status: no job is running there"},
		{"status now", ExitUsage, `status: "now" is one argument too many`},
	} {
		code, stdout, stderr := on(t, dir, strings.Fields(tc.args)...)
		require.Equal(t, tc.code, code, tc.args)
		require.Contains(t, stderr, tc.want, tc.args)
		require.Empty(t, stdout, tc.args)
	}
	code, _, stderr := command(t.Context(), small, "-runner=fake", "-fake-dir=", "savepoint", "ls")
	require.Equal(t, ExitUsage, code)
	require.Contains(t, stderr, "savepoint ls: which job? give its folder by -state-dir, before the command")
	code, _, stderr = command(t.Context(), small, "-runner=stateless", "savepoint", "ls")
	require.Equal(t, ExitUsage, code)
	require.Contains(t, stderr, "the runner stateless keeps no state")
	code, _, stderr = command(t.Context(), small, "-runner=fake", "-fake-dir="+t.TempDir(), "savepoint", "create")
	require.Equal(t, ExitFailed, code)
	require.Contains(t, stderr, "no state is kept there yet")
}

func TestHelp_listsCommands(t *testing.T) {
	code, _, stderr := command(t.Context(), small, "-help")
	require.Zero(t, code)
	require.Contains(t, stderr, "Usage of prog:\n")
	require.Contains(t, stderr, "  savepoint rm NAME...\n    \tremove savepoints\n")
}
