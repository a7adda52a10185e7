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
	put(t, dir+"/plain", "1")
	require.NoError(t, os.Symlink(dir+"/nothing", dir+"/dangling"))
	require.NoError(t, os.Symlink(dir+"/loop", dir+"/loop"))
	for _, tc := range []struct{ pattern, want string }{
		{"", "the path is empty"},
		{dir + "/none.txt", "/none.txt: no such file"},
		{dir + "/*.txt", "no such file matches, in folder " + dir},
		{dir + "/nowhere/*.txt", "no such file matches: there is no folder nowhere in " + dir},
		{dir, "is a folder: name its files, as"},
		{dir + "/[a", "not a pattern"},
		{dir + "/{a", "not a pattern"},
		{dir + "/a\\", "not a pattern"},
		{dir + "/a\x00", "a path has no zero byte"},
		{dir + "/no/where/x.txt", "no such file: there is no folder no in " + dir},
		{dir + "/plain/*.txt", "no such file matches: " + dir + "/plain is a file, not a folder"},
		{dir + "/dangling", "no such file"},
		{dir + "/dang*", "no such file matches, in folder " + dir},
		{dir + "/loop/*", "too many levels of symbolic links"},
		{"s3://bucket/x", `add them with import _ "github.com/millrace/millrace/io/filesystem/blob/s3"`},
		{"azblob://bucket/x", `add them with import _ "github.com/millrace/millrace/io/filesystem/blob/azure"`},
		{"ftp://host/x", "no files are known under ftp://; this program knows local paths"},
	} {
		_, err := filesystem.Match(t.Context(), tc.pattern)
		require.ErrorContains(t, err, tc.want, tc.pattern)
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
