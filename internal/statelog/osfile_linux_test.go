package statelog

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Large and small pieces lie in the file in order, also where the file system knows of no
// writing past the page cache, as one in memory.
func TestOSFile(t *testing.T) {
	dirs := map[string]string{"a disk": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "statelog"); err == nil {
		dirs["memory"] = dir
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	for name, dir := range dirs {
		fs, err := OSFS(dir)
		require.NoError(t, err)
		f, err := fs.Create("a.log")
		require.NoError(t, err)
		var want []byte
		for i, size := range []int{10, uncachedMin, 1, 3*stretch + 5, 0, uncachedMin - 1, 2 * stretch} {
			b := bytes.Repeat([]byte{byte('a' + i)}, size)
			n, err := f.Write(b)
			require.NoError(t, err)
			require.Equal(t, size, n)
			want = append(want, b...)
		}
		require.NoError(t, f.Sync())
		require.NoError(t, f.Close())
		got, err := os.ReadFile(filepath.Join(dir, "a.log"))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), name)
	}
}

func TestOSFile_fails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	f := newOSFile(full)
	n, err := f.Write(make([]byte, 2*uncachedMin))
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.True(t, isFull(err))
	assert.Zero(t, n)
	require.NoError(t, f.Close())
	_, err = f.Write(make([]byte, 2*uncachedMin))
	require.ErrorIs(t, err, os.ErrClosed)

	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = newOSFile(w).Write(make([]byte, 2*uncachedMin))
	require.ErrorIs(t, err, syscall.EPIPE)
	require.NoError(t, w.Close())
}
