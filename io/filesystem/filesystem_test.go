package filesystem_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/stretchr/testify/require"
)

func put(t *testing.T, path, text string) {
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
}

func TestMatch(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.txt"), "1")
	put(t, filepath.Join(dir, "sub/deep/b.txt"), "22")
	put(t, filepath.Join(dir, "sub/c.log"), "333")
	for _, tc := range []struct {
		pattern string
		want    []string
	}{
		{"a.txt", []string{"a.txt"}},
		{"*.txt", []string{"a.txt"}},
		{"**/*.txt", []string{"a.txt", "sub/deep/b.txt"}},
		{"**/*.{txt,log}", []string{"a.txt", "sub/c.log", "sub/deep/b.txt"}},
	} {
		files, err := filesystem.Match(t.Context(), filepath.Join(dir, tc.pattern))
		require.NoError(t, err)
		var got []string
		for _, f := range files {
			rel, err := filepath.Rel(dir, f.Path)
			require.NoError(t, err)
			got = append(got, filepath.ToSlash(rel))
		}
		require.Equal(t, tc.want, got, tc.pattern)
	}
}

func TestMatch_sentences(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ pattern, want string }{
		{"", "the path is empty"},
		{dir + "/none.txt", "/none.txt: no such file"},
		{dir + "/*.txt", "no such file matches, in folder " + dir},
		{dir + "/nowhere/*.txt", "no such file matches: there is no folder nowhere in " + dir},
		{dir, "is a folder: name its files, as"},
		{dir + "/[a", "not a pattern"},
		{"s3://bucket/x", `add them with import _ "github.com/millrace/millrace/io/filesystem/blob/s3"`},
		{"ftp://host/x", "no files are known under ftp://; this program knows local paths"},
	} {
		_, err := filesystem.Match(t.Context(), tc.pattern)
		require.ErrorContains(t, err, tc.want, tc.pattern)
	}
}

// Goal: a file is there whole or not at all, whatever happens to its writer.
func TestCreate_visibleOnlyWhenCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out", "x.txt")
	put(t, path, "old")
	w, err := filesystem.Create(t.Context(), path)
	require.NoError(t, err)
	_, err = io.WriteString(w, "new and more")
	require.NoError(t, err)
	at, err := w.Sync()
	require.NoError(t, err)
	require.Equal(t, int64(12), at)

	again, err := filesystem.Resume(t.Context(), path, w.Temp(), 3) // as after a crash
	require.NoError(t, err)
	_, err = io.WriteString(again, "er")
	require.NoError(t, err)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(b))
	require.NoError(t, again.Commit())
	require.NoError(t, again.Abort(), "after Commit it does nothing")
	b, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "newer", string(b))
}

func TestCreate_abortedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	w, err := filesystem.Create(t.Context(), filepath.Join(dir, "x"))
	require.NoError(t, err)
	require.NoError(t, w.Abort())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOpenRange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	put(t, path, "0123456789")
	for _, tc := range []struct {
		offset, length int64
		want           string
	}{{0, -1, "0123456789"}, {3, 4, "3456"}, {8, 10, "89"}, {10, -1, ""}} {
		r, err := filesystem.OpenRange(t.Context(), path, tc.offset, tc.length)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Equal(t, tc.want, string(b))
	}
}

func TestCompression_roundTripAndDamage(t *testing.T) {
	text := strings.Repeat("all the same ", 10_000)
	for _, name := range []string{"x.gz", "x.zst", "x.txt"} {
		var b bytes.Buffer
		w, err := filesystem.Compressor(&b, name, filesystem.ByName)
		require.NoError(t, err)
		_, err = io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		r, err := filesystem.Decompress(io.NopCloser(bytes.NewReader(b.Bytes())), name, filesystem.ByName)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Equal(t, text, string(got), name)
		if name == "x.txt" {
			continue
		}
		cut := b.Bytes()[:b.Len()-5]
		r, err = filesystem.Decompress(io.NopCloser(bytes.NewReader(cut)), name, filesystem.ByName)
		if err == nil {
			_, err = io.ReadAll(r)
			require.NoError(t, errors.Join(r.Close()))
		}
		require.ErrorContains(t, err, name+": damaged ")
	}
}
