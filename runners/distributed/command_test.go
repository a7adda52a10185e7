package distributed

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/cluster"
)

// command runs a command of the program, and returns what it has printed.
func command(t *testing.T, dir string, env []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	a := start(t, dir, env, args...)
	err = a.wait()
	return a.stdout.String(), strings.Join(a.seen, "\n"), err
}

// Goal: what can be asked of a job, on the machine where it was submitted: nothing has to be
// said of where it is.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	a := start(t, dir, nil, "-workers=2")
	a.slots(2)
	ok := func(args ...string) string {
		t.Helper()
		stdout, stderr, err := command(t, dir, nil, args...)
		require.NoError(t, err, stderr)
		require.Empty(t, stderr)
		return stdout
	}
	require.Regexp(t, `^shop: running, 2 slots on 2 workers, led on .* for .* at nats://127.0.0.1:\d+\n$`, ok("list"))
	require.Regexp(t, `^job shop: running, led for .*\n.*\nworker 1 on .*\nworker 2 on .*\nslot 0 on worker \d: .*\nslot 1 on worker \d: .*\n$`, ok("status"))
	var s cluster.Status
	require.NoError(t, json.Unmarshal([]byte(ok("status", "-json")), &s))
	require.Equal(t, cluster.Running, s.Phase)
	require.Len(t, s.Workers, 2)
	require.Regexp(t, `^slot 0 on worker \d:\n  No window is open.\nslot 1 on worker \d:\n  No window is open.\n$`, ok("explain"))
	require.Regexp(t, `"slot": ?0,.*"protocol": ?"all is committed"`, strings.ReplaceAll(ok("explain", "-json"), "\n", ""))
	require.Contains(t, ok("logs"), "worker 1 | top is 3\n")
	require.Contains(t, ok("logs"), "all are here: 2 slots on 2 workers\n")
	require.Equal(t, 1, strings.Count(ok("logs", "-json", "-lines=1"), "\n"))
	require.Equal(t, `{"job":"shop","phase":"cancelled"}`+"\n", ok("cancel", "-json", "-wait"))
	require.EqualError(t, a.wait(), "exit status 1")
	require.Equal(t, "the run failed: the job was cancelled", a.seen[len(a.seen)-1])
	inFolder(t, dir)
	left, err := os.ReadDir(cardFolder())
	require.NoError(t, err)
	require.Empty(t, left)
}

// inFolder lets this process find the jobs of a test's folder.
func inFolder(t *testing.T, dir string) {
	for _, cache := range caches {
		t.Setenv(cache, dir)
	}
}

// Goal: what is wrong is said, and what to do.
func TestCommands_wrong(t *testing.T) {
	url, dir, token := outside(t), t.TempDir(), []string{joinToken + "=sesame"}
	a := start(t, dir, token, "-workers=1", "-nats="+url)
	a.slots(1)
	for _, tc := range []struct {
		env  []string
		args []string
		code int
		want string
	}{
		{nil, []string{"-nats=nats://127.0.0.1:1", "-job=shop", "status"}, 2, `^-job: set MILLRACE_JOIN_TOKEN to the token of the job "shop", which it has shown, or was started with$`},
		{token, []string{"-nats=nats://127.0.0.1:1", "status"}, 1, `^status: no NATS server answers at nats://127.0.0.1:1: is it running\?`},
		{token, []string{"-nats=" + url, "-job=shoe", "status"}, 1, `^status: no job "shoe" runs at ` + url + `; there is: shop$`},
		{nil, []string{"-job=shoe", "drain"}, 1, `^drain: no job "shoe" was submitted on this machine by this user, or it is over; there is: shop$`},
		{[]string{joinToken + "=guess"}, []string{"-nats=" + url, "status"}, 1, `^status: the job "shop" at .*: the join token is another one: set MILLRACE_JOIN_TOKEN to its own$`},
		{nil, []string{"status", "now"}, 2, `^status: "now" is one argument too many\nusage: status \[-json\]$`},
		{nil, []string{"cancel", "-help"}, 0, `^usage: cancel \[-wait\] \[-json\]\n  end the job at once, and delete what it keeps: its next run begins anew\n  -json\n`},
		{nil, []string{"logs", "-lines=-1"}, 1, `^logs: logs: want the number of lines, got "-1"$`},
		{nil, []string{"-job=a b", "status"}, 2, `^-job: "a b" is no name of a job: say which by -job$`},
		{nil, []string{"savepoint", "ls"}, 2, `unexpected argument "savepoint ls": there is\n  savepoint create FILE `},
		{nil, []string{"dance"}, 2, `commands are list, status, explain, logs, attach, rescale, savepoint create, drain, cancel, serve$`},
	} {
		b := start(t, dir, tc.env, tc.args...)
		_ = b.wait()
		require.Regexp(t, tc.want, strings.Join(b.seen, "\n"))
		require.Equal(t, tc.code, b.cmd.ProcessState.ExitCode(), tc.args)
		require.Empty(t, b.stdout.String())
	}
	stdout, _, err := command(t, dir, nil, "-nats="+url, "list", "-json")
	require.NoError(t, err)
	require.Contains(t, stdout, `"job":"shop"`)
	a.finish()
	require.NoError(t, a.wait())
	_, stderr, err := command(t, t.TempDir(), nil, "list")
	require.NoError(t, err)
	require.Equal(t, "no job runs; those at servers of others are listed with -nats=nats://host:4222", stderr)
}

// Goal: a terminal that is attached shows what the submitter's shows; Ctrl-C detaches it, and it
// sees the end of the job. A card that a killed process has left does not confuse it.
func TestCommands_attach(t *testing.T) {
	dir := t.TempDir()
	inFolder(t, dir)
	_, err := (&card{Job: "shop", Servers: []string{"nats://127.0.0.1:1"}, Pid: 1}).show()
	require.NoError(t, err)
	a := start(t, dir, nil, "-workers=2")
	pids := a.slots(2)
	first := attached(t, dir)
	second := attached(t, dir)
	require.NoError(t, syscall.Kill(pids[1], syscall.SIGKILL))
	first.await(`is gone: signal: killed$`)
	second.await(`^worker \d \| slot \d is here`)
	require.NoError(t, first.cmd.Process.Signal(os.Interrupt))
	first.await(`^detached: the job shop goes on; the command attach shows it again, and cancel ends it$`)
	require.NoError(t, first.wait())
	a.finish()
	second.await(`^the job shop is done$`)
	require.NoError(t, second.wait())
	require.NoError(t, a.wait())
}

// attached is a terminal that is attached to the job of a test's folder.
func attached(t *testing.T, dir string) *app {
	b := startAs(t, dir, true, nil, "-progress=on", "attach")
	b.await(`^attached to the job shop: Ctrl-C detaches, and the job goes on$`)
	b.await(`elements, .* of 2 slots on 2 workers`)
	return b
}
