package statelog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

func TestOSFS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "jobs", "one")
	fs, err := OSFS(dir)
	require.NoError(t, err)
	l := open(t, fs, Config{})
	e, m := l.Begin(1), newModel()
	both{e, m, 0, "count"}.put(1, "a", "1")
	require.NoError(t, e.Commit(record(1)))

	second, err := OSFS(dir)
	require.NoError(t, err)
	_, err = Open(second, Config{})
	require.EqualError(t, err, "the folder "+dir+" is in use by this very process: give each job a folder of its own")

	require.NoError(t, l.Close())
	l = open(t, second, Config{})
	assert.Equal(t, m.rows, rows(t, l, commit.Want{}))
	require.NoError(t, l.Close())

	if runtime.GOOS == "windows" {
		return
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), f.Name())
	}
}

func TestOSFS_foreignFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c", "d", ".hidden"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	fs, err := OSFS(dir)
	require.NoError(t, err)
	_, err = Open(fs, Config{})
	require.EqualError(t, err, "the folder "+dir+" holds files that are not of a log: a, b, c and 1 more; give the job a folder of its own")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 5, "nothing is written")

	_, err = OSFS(filepath.Join(dir, "a"))
	require.Error(t, err, "a file where the folder should be")
}

// Another process has the folder; when it is gone, however it went, the folder is free.
func TestOSFS_anotherProcess(t *testing.T) {
	if dir := os.Getenv("STATELOG_HOLD"); dir != "" {
		fs, err := OSFS(dir)
		require.NoError(t, err)
		_, err = Open(fs, Config{})
		require.NoError(t, err)
		fmt.Println("held")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the other end is closed, or for good
		os.Exit(0)
	}
	dir := t.TempDir()
	other := exec.Command(os.Args[0], "-test.run", "^TestOSFS_anotherProcess$")
	other.Env = append(os.Environ(), "STATELOG_HOLD="+dir)
	in, err := other.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	line := make([]byte, 5)
	_, err = out.Read(line)
	require.NoError(t, err)
	require.Equal(t, "held\n", string(line))

	fs, err := OSFS(dir)
	require.NoError(t, err)
	_, err = Open(fs, Config{})
	require.EqualError(t, err, fmt.Sprintf("the folder %s is in use by another process (pid %d): give each job a folder of its own", dir, other.Process.Pid))
	require.NoError(t, other.Process.Kill())
	require.Error(t, other.Wait())
	require.NoError(t, open(t, fs, Config{}).Close())
}

// TestFull_waitsForRoom is the test; this one is that a real disk behaves as its fake does,
// where one can be mounted.
func TestFull_realDisk(t *testing.T) {
	dir := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir).Run(); err != nil {
		t.Logf("no small disk to be had: %v", err)
		return
	}
	defer func() { assert.NoError(t, exec.Command("umount", dir).Run()) }()
	ballast := filepath.Join(dir, ".ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	fs, err := OSFS(dir)
	require.NoError(t, err)
	var told []error
	l := open(t, fs, Config{
		OnFull: func(err error) { told = append(told, err) },
		Wait:   func(context.Context) error { return os.Remove(ballast) },
	})
	e, m := l.Begin(1), newModel()
	for i := range 150 {
		both{e, m, 0, "count"}.put(i, fmt.Sprint(i), strings.Repeat("v", 10_000))
	}
	require.NoError(t, e.Commit(record(1)))
	require.Len(t, told, 2)
	assert.Contains(t, told[0].Error(), "no space left on device")
	assert.NoError(t, told[1])
	require.NoError(t, l.Close())
	l = open(t, fs, Config{})
	assert.Equal(t, m.rows, rows(t, l, commit.Want{}))
	require.NoError(t, l.Close())
	require.False(t, isFull(errors.New("something else")))
}
