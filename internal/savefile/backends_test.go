package savefile

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/statelog"
	"github.com/millrace/millrace/internal/statepebble"
	"github.com/stretchr/testify/require"
)

// Goal: a savepoint does not show which backend kept the state, and goes from each to
// each other.
func TestBackends_oneSavepoint(t *testing.T) {
	rows := append(randomRows(11, 4_000), smallRows()...)
	first := openFile(t, writeTo(t, rows, sortBudget))
	var want []byte
	for _, b := range []struct {
		name string
		open func(dir string) (commit.Store, error)
	}{
		{"memory", func(string) (commit.Store, error) { return commit.NewMemory(), nil }},
		{"files", func(dir string) (commit.Store, error) {
			fs, err := statelog.OSFS(dir)
			if err != nil {
				return nil, err
			}
			return statelog.Open(fs, statelog.Config{})
		}},
		{"pebble", func(dir string) (commit.Store, error) { return statepebble.Open(dir, statepebble.Config{}) }},
	} {
		dir := t.TempDir()
		inner := filepath.Join(dir, "state")
		require.NoError(t, os.MkdirAll(inner, 0o700))
		s, err := b.open(inner)
		require.NoError(t, err, b.name)
		require.NoError(t, Import(s, first), b.name)
		path := filepath.Join(dir, "x"+Suffix)
		require.NoError(t, Write(path, s, facts), b.name)
		require.NoError(t, s.Close())
		require.Empty(t, compare(sorted(rows), read(t, openFile(t, path), commit.Want{})), b.name)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		if want == nil {
			want = got
		}
		require.True(t, bytes.Equal(want, got), "%s: other bytes than of the store in memory", b.name)
	}
}
