//go:build unix

package filelock

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	for range 2 {
		ok, err := Lock(first)
		require.NoError(t, err)
		require.True(t, ok, "it may be taken again by who has it")
	}
	ok, err := Lock(second)
	require.NoError(t, err)
	require.False(t, ok)
	first.Close()
	ok, err = Lock(second)
	require.NoError(t, err)
	require.True(t, ok)
}
