package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCount_likeThePlainLoop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text.txt")
	require.NoError(t, write(path, 1_000_000))
	want, err := plain(path)
	require.NoError(t, err)
	for _, par := range []int{1, 3} {
		got, err := count(path, par)
		require.NoError(t, err)
		require.Equal(t, want.Checksum, got.Checksum)
		require.Equal(t, want.Words, got.Words)
		require.Equal(t, want.Distinct, got.Distinct)
	}
}
