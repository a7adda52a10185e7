package kafkatest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReal_one(t *testing.T) {
	t.Parallel()
	c := Real(t, 1)
	t.Run("records", func(t *testing.T) { records(t, c) })
	t.Run("transactions", func(t *testing.T) { transactions(t, c) })
	t.Run("topics", func(t *testing.T) { topics(t, c) })
	t.Run("killed, stopped in good order, and restarted", func(t *testing.T) { restart(t, c, c.Kill, c.Stop) })
	t.Run("paused", func(t *testing.T) {
		c.Pause(0)
		assert.True(t, silent(t, c.Addrs()[0]))
		c.Resume(0)
		assert.False(t, silent(t, c.Addrs()[0]))
	})
}

func TestReal_three(t *testing.T) {
	t.Parallel()
	c := Real(t, 3)
	t.Run("leaders move", func(t *testing.T) { leaders(t, c) })
	t.Run("one is killed and comes back", func(t *testing.T) { failover(t, c, c.Kill) })
}

func TestShared(t *testing.T) {
	a, b := Shared(t), Shared(t)
	assert.Equal(t, a.Addrs(), b.Addrs())
	name := Name(t)
	assert.NotEqual(t, name, Name(t))
	a.CreateTopic(name, 1, -1, nil)
	Produce(t, a.Addrs(), name, Strings(0, "a"))
	assert.Equal(t, []string{"a"}, Values(ReadAll(t, b.Addrs(), name)))
}

// A node that can't start says why, and leaves nothing.
func TestLaunch_fails(t *testing.T) {
	Need(t)
	t.Setenv("TMPDIR", t.TempDir())
	lib, err := install()
	require.NoError(t, err)
	_, err = launch(lib, 1, "-Xmx1m")
	require.ErrorContains(t, err, "node 0 did not start:\n")
	assert.ErrorContains(t, err, "heap")
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Where Java or Maven is missing, the test says what to install.
func TestInstall_missing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := install()
	require.ErrorIs(t, err, errUnavailable)
	assert.ErrorContains(t, err, "Java 17 or newer is missing")

	require.NoError(t, os.Symlink("/bin/true", filepath.Join(os.Getenv("PATH"), "java")))
	_, err = install()
	require.ErrorIs(t, err, errUnavailable)
	assert.ErrorContains(t, err, "Maven is missing")
}

// The janitor kills what has left its id, and removes the folder, when its input ends.
func TestJanitor(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	dir := filepath.Join(t.TempDir(), "fleet")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "0"), 0o777))
	sleep := exec.Command("sleep", "1000")
	require.NoError(t, sleep.Start())
	n := node{dir: filepath.Join(dir, "0"), cmd: sleep}
	require.NoError(t, n.writePid())
	janitor := exec.Command(sh, "-c", janitorScript, dir)
	janitor.Stdin = strings.NewReader("")
	require.NoError(t, janitor.Run())
	done := make(chan error, 1)
	go func() { done <- sleep.Wait() }()
	select {
	case err := <-done:
		assert.Error(t, err)
	case <-time.After(10 * time.Second):
		t.Error("it lives")
		sleep.Process.Kill()
	}
	assert.NoDirExists(t, dir)
}
