package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

func TestCount(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.txt")
	require.NoError(t, os.WriteFile(in, []byte("a B\nb\n"), 0o600))
	p := pipeline.New()
	count(p, in, filepath.Join(dir, "counts.txt"))
	_, err := local.Run(t.Context(), p, local.Config{})
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "counts*"))
	require.NoError(t, err)
	var lines []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		lines = append(lines, strings.Split(strings.TrimSpace(string(b)), "\n")...)
	}
	require.ElementsMatch(t, []string{"a 1", "b 2"}, lines)
}
