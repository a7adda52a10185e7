package blob_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/filesystem"
	_ "github.com/millrace/millrace/io/filesystem/blob/mem"
)

// Goal: a connector cannot tell one place from another. Method: each story once,
// run at every place; a new place is a line here.
func TestConformance(t *testing.T) {
	places := map[string]func(t *testing.T) string{ // a fresh folder
		"local": func(t *testing.T) string { return t.TempDir() },
		"file":  func(t *testing.T) string { return "file://" + t.TempDir() },
		"mem":   func(t *testing.T) string { return "mem://" + strings.ReplaceAll(t.Name(), "/", "-") + "/data" },
	}
	for place, folder := range places {
		for name, story := range stories {
			t.Run(place+"/"+name, func(t *testing.T) { story(t, folder(t)) })
		}
	}
}

var stories = map[string]func(t *testing.T, dir string){
	"patterns":                                  matchPatterns,
	"sentences":                                 matchSentences,
	"ranges":                                    readRanges,
	"reading ends with its context":             readEndsWithContext,
	"shown at commit":                           shownAtCommit,
	"aborted":                                   abortedLeavesNothing,
	"empty file":                                emptyFile,
	"many syncs":                                manySyncs,
	"resumed where a snapshot left it":          resumed,
	"resumed at an earlier place":               resumedEarlier,
	"resumed before its first byte":             resumedUnwritten,
	"resumed, though committed since":           resumedCommitted,
	"resumed, but another file is there":        resumedOther,
	"resumed, but nothing is left":              resumedGone,
	"resumed with less than there should be":    resumedShort,
	"resumed by a name that names nothing":      resumedNonsense,
	"leftovers are found and removed":           leftovers,
	"finalized, once and again":                 finalized,
	"swept":                                     swept,
	"removing what is not there":                removeNothing,
	"folders are named, files are what matches": foldersAreNoFiles,
}

// kept begins a file, and lets go of it as a crash would.
func kept(t *testing.T, path, text, behind string) (temp string) {
	t.Helper()
	w := create(t, path, text)
	_, err := w.Sync()
	require.NoError(t, err)
	temp = w.Temp()
	_, err = w.Write([]byte(behind))
	require.NoError(t, err)
	require.NoError(t, w.Keep())
	return temp
}

// Goal: an unfinished file is finished as it was; a finished one is not touched; and
// one that neither is there nor was is an error that tells.
func finalized(t *testing.T, dir string) {
	path := dir + "/x"
	temp := kept(t, path, "abc", "more")
	for range 3 {
		require.NoError(t, filesystem.Finalize(t.Context(), path, temp))
		require.Equal(t, "abc", get(t, path))
		left, err := filesystem.Leftovers(t.Context(), dir+"/*")
		require.NoError(t, err)
		require.Empty(t, left)
	}
	put(t, path, "another")
	require.ErrorContains(t, filesystem.Finalize(t.Context(), path, temp), "the file there did not come of it")
	require.NoError(t, filesystem.Remove(t.Context(), path))
	require.ErrorIs(t, filesystem.Finalize(t.Context(), path, temp), fs.ErrNotExist)
	require.ErrorContains(t, filesystem.Finalize(t.Context(), path, "nonsense"), "does not name an unfinished file")
}

func swept(t *testing.T, dir string) {
	a, _, _ := kept(t, dir+"/a", "1", ""), kept(t, dir+"/a", "2", ""), kept(t, dir+"/b", "3", "")
	put(t, dir+"/a", "finished")
	onlyA := func(name string) bool { return name == "a" }
	require.NoError(t, filesystem.Sweep(t.Context(), dir+"/whatever", onlyA, a))
	left, err := filesystem.Leftovers(t.Context(), dir+"/*")
	require.NoError(t, err)
	require.Len(t, left, 2, "that which is kept, and b")
	require.NoError(t, filesystem.Sweep(t.Context(), dir+"/whatever", onlyA))
	left, err = filesystem.Leftovers(t.Context(), dir+"/*")
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, "finished", get(t, dir+"/a"))
	require.Error(t, filesystem.Sweep(t.Context(), dir+"/x", onlyA, "nonsense"))
}

func put(t *testing.T, path, text string) {
	t.Helper()
	w := create(t, path, text)
	require.NoError(t, w.Commit())
}

func create(t *testing.T, path, text string) filesystem.Writer {
	t.Helper()
	w, err := filesystem.Create(t.Context(), path)
	require.NoError(t, err)
	write(t, w, text)
	return w
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
}

func get(t *testing.T, path string) string {
	t.Helper()
	r, err := filesystem.Open(t.Context(), path)
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return string(b)
}

// found is what pattern matches below dir; nothing is no failure.
func found(t *testing.T, dir, pattern string) (names []string) {
	t.Helper()
	files, err := filesystem.Match(t.Context(), dir+"/"+pattern)
	if !errors.Is(err, filesystem.ErrNoMatch) {
		require.NoError(t, err)
	}
	for _, f := range files {
		names = append(names, strings.TrimPrefix(f.Path, strings.TrimPrefix(dir, "file://")+"/"))
	}
	return names
}

func matchPatterns(t *testing.T, dir string) {
	for _, name := range []string{"a.txt", "b.txt", "sub/deep/b.txt", "sub/c.log", ".hidden", "odd*name"} {
		put(t, dir+"/"+name, name)
	}
	for _, tc := range []struct {
		pattern string
		want    []string
	}{
		{"a.txt", []string{dir + "/a.txt"}},
		{"*.txt", []string{"a.txt", "b.txt"}},
		{"?.txt", []string{"a.txt", "b.txt"}},
		{"[!a].txt", []string{"b.txt"}},
		{"{a,?}.txt", []string{"a.txt", "b.txt"}},
		{"**/*.txt", []string{"a.txt", "b.txt", "sub/deep/b.txt"}},
		{"sub/**", []string{"sub/c.log", "sub/deep/b.txt"}},
		{"s*/*/b.txt", []string{"sub/deep/b.txt"}},
		{"**/*.{txt,log}", []string{"a.txt", "b.txt", "sub/c.log", "sub/deep/b.txt"}},
		{`odd\*name`, []string{"odd*name"}},
		{"*", []string{".hidden", "a.txt", "b.txt", "odd*name"}},
	} {
		got := found(t, dir, tc.pattern)
		if tc.pattern == "a.txt" {
			tc.want = []string{"a.txt"}
		}
		require.Equal(t, tc.want, got, tc.pattern)
	}
	files, err := filesystem.Match(t.Context(), dir+"/sub/*")
	require.NoError(t, err)
	require.Equal(t, int64(len("sub/c.log")), files[0].Size)
	require.False(t, files[0].ModTime.IsZero())
	require.Equal(t, "sub/c.log", get(t, files[0].Path))
}

func matchSentences(t *testing.T, dir string) {
	put(t, dir+"/x/a.txt", "1")
	for _, tc := range []struct{ path, want string }{
		{"/x/none.txt", "/x/none.txt: no such file"},
		{"/x/*.log", "/x/*.log: no such file matches, "},
		{"/y/*.log", "/y/*.log: no such file matches"},
	} {
		_, err := filesystem.Match(t.Context(), dir+tc.path)
		require.ErrorIs(t, err, filesystem.ErrNoMatch, tc.path)
		require.ErrorIs(t, err, fs.ErrNotExist, tc.path)
		require.ErrorContains(t, err, dir+tc.want, tc.path)
	}
	_, err := filesystem.Match(t.Context(), dir+"/x")
	require.ErrorContains(t, err, "is a folder: name its files, as ")
	_, err = filesystem.Match(t.Context(), dir+"/[a")
	require.ErrorContains(t, err, "not a pattern: a [, { or \\ is not closed")
	_, err = filesystem.Open(t.Context(), dir+"/none.txt")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "none.txt")
	_, err = filesystem.Create(t.Context(), dir+"/")
	require.ErrorContains(t, err, "it names no file")
}

func readRanges(t *testing.T, dir string) {
	put(t, dir+"/x", "0123456789")
	for _, tc := range []struct {
		offset, length int64
		want           string
	}{{0, -1, "0123456789"}, {3, 4, "3456"}, {8, 10, "89"}, {10, -1, ""}, {11, 5, ""}, {2, 0, ""}, {9, 1, "9"}} {
		r, err := filesystem.OpenRange(t.Context(), dir+"/x", tc.offset, tc.length)
		require.NoError(t, err, tc)
		b, err := io.ReadAll(r)
		require.NoError(t, err, tc)
		require.NoError(t, r.Close())
		require.Equal(t, tc.want, string(b), tc)
	}
	_, err := filesystem.OpenRange(t.Context(), dir+"/x", -1, 2)
	require.ErrorContains(t, err, "cannot read 2 bytes from -1 on")
}

func readEndsWithContext(t *testing.T, dir string) {
	put(t, dir+"/x", strings.Repeat("x", 1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := filesystem.Open(ctx, dir+"/x")
	require.NoError(t, err)
	_, err = r.Read(make([]byte, 10))
	require.NoError(t, err)
	cancel()
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
	_, err = filesystem.Match(ctx, dir+"/**")
	require.ErrorIs(t, err, context.Canceled)
}

func shownAtCommit(t *testing.T, dir string) {
	put(t, dir+"/x", "old")
	w := create(t, dir+"/x", "new")
	require.Equal(t, "old", get(t, dir+"/x"))
	n, err := w.Sync()
	require.NoError(t, err)
	require.Equal(t, int64(3), n)
	require.Equal(t, "old", get(t, dir+"/x"))
	require.Equal(t, []string{"x"}, found(t, dir, "**"), "the unfinished file is no match")
	require.NoError(t, w.Commit())
	require.Equal(t, "new", get(t, dir+"/x"))
	require.NoError(t, w.Commit())
	require.NoError(t, w.Abort())
	require.NoError(t, w.Keep())
	require.Equal(t, "new", get(t, dir+"/x"))
	none(t, dir)
}

// none requires that nothing unfinished is left.
func none(t *testing.T, dir string) {
	t.Helper()
	left, err := filesystem.Leftovers(t.Context(), dir+"/*")
	require.NoError(t, err)
	require.Empty(t, left)
}

func abortedLeavesNothing(t *testing.T, dir string) {
	w := create(t, dir+"/x", "some")
	_, err := w.Sync()
	require.NoError(t, err)
	write(t, w, "more")
	require.NoError(t, w.Abort())
	require.NoError(t, w.Abort())
	require.Empty(t, found(t, dir, "**"))
	none(t, dir)
}

func emptyFile(t *testing.T, dir string) {
	put(t, dir+"/x", "")
	require.Equal(t, "", get(t, dir+"/x"))
	require.Equal(t, []string{"x"}, found(t, dir, "*"))
}

func manySyncs(t *testing.T, dir string) {
	w := create(t, dir+"/x", "")
	var want string
	for _, s := range []string{"one ", "", "two ", strings.Repeat("three ", 50_000)} {
		write(t, w, s)
		want += s
		n, err := w.Sync()
		require.NoError(t, err)
		require.Equal(t, int64(len(want)), n)
	}
	write(t, w, "end")
	require.NoError(t, w.Commit())
	require.Equal(t, want+"end", get(t, dir+"/x"))
	none(t, dir)
}

// snapshot is what a sink would keep of w.
func snapshot(t *testing.T, w filesystem.Writer) (temp string, offset int64) {
	t.Helper()
	offset, err := w.Sync()
	require.NoError(t, err)
	return w.Temp(), offset
}

func resume(t *testing.T, path, temp string, offset int64) filesystem.Writer {
	t.Helper()
	w, err := filesystem.Resume(t.Context(), path, temp, offset)
	require.NoError(t, err)
	return w
}

func resumed(t *testing.T, dir string) {
	w := create(t, dir+"/x", "kept ")
	temp, at := snapshot(t, w)
	write(t, w, "synced and lost ")
	_, err := w.Sync()
	require.NoError(t, err)
	write(t, w, "lost")
	require.NoError(t, w.Keep())

	w = resume(t, dir+"/x", temp, at)
	write(t, w, "again")
	temp, at = snapshot(t, w)
	require.NoError(t, w.Keep())
	w = resume(t, dir+"/x", temp, at)
	require.NoError(t, w.Commit())
	require.Equal(t, "kept again", get(t, dir+"/x"))
	none(t, dir)
}

func resumedEarlier(t *testing.T, dir string) {
	w := create(t, dir+"/x", "01234")
	_, err := w.Sync()
	require.NoError(t, err)
	write(t, w, "56789")
	temp, _ := snapshot(t, w)
	require.NoError(t, w.Keep())
	w = resume(t, dir+"/x", temp, 3)
	write(t, w, "x")
	temp, at := snapshot(t, w)
	require.Equal(t, int64(4), at)
	require.NoError(t, w.Commit())
	w = resume(t, dir+"/x", temp, at) // the sum went on from what was cut
	require.NoError(t, w.Commit())
	require.Equal(t, "012x", get(t, dir+"/x"))
}

func resumedUnwritten(t *testing.T, dir string) {
	w := create(t, dir+"/x", "")
	temp, at := snapshot(t, w)
	require.NoError(t, w.Keep())
	w = resume(t, dir+"/x", temp, at)
	write(t, w, "first")
	require.NoError(t, w.Commit())
	require.Equal(t, "first", get(t, dir+"/x"))
}

// The crash came when one lane had committed and another had not.
func resumedCommitted(t *testing.T, dir string) {
	w := create(t, dir+"/x", "kept ")
	temp, at := snapshot(t, w)
	write(t, w, "end")
	require.NoError(t, w.Commit())

	w = resume(t, dir+"/x", temp, at)
	require.Equal(t, "kept end", get(t, dir+"/x"), "what was shown stays")
	write(t, w, "another end")
	require.NoError(t, w.Commit())
	require.Equal(t, "kept another end", get(t, dir+"/x"))
	none(t, dir)
}

func resumedOther(t *testing.T, dir string) {
	w := create(t, dir+"/x", "mine")
	temp, at := snapshot(t, w)
	require.NoError(t, w.Abort())
	put(t, dir+"/x", "not mine")
	_, err := filesystem.Resume(t.Context(), dir+"/x", temp, at)
	require.ErrorContains(t, err, "the file there did not come of it")
	none(t, dir)
}

func resumedGone(t *testing.T, dir string) {
	w := create(t, dir+"/x", "mine")
	temp, at := snapshot(t, w)
	require.NoError(t, w.Abort())
	_, err := filesystem.Resume(t.Context(), dir+"/x", temp, at)
	require.ErrorContains(t, err, "go on writing "+dir+"/x: neither the unfinished file")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func resumedShort(t *testing.T, dir string) {
	w := create(t, dir+"/x", "mine")
	temp, at := snapshot(t, w)
	require.NoError(t, w.Keep())
	_, err := filesystem.Resume(t.Context(), dir+"/x", temp, at+1)
	require.ErrorContains(t, err, "holds 4 bytes, not 5")
}

func resumedNonsense(t *testing.T, dir string) {
	for _, temp := range []string{"", "x", dir + "/x#1-0", dir + "/.x.0000000g.partial#1-00000000"} {
		_, err := filesystem.Resume(t.Context(), dir+"/x", temp, 0)
		require.ErrorContains(t, err, "does not name an unfinished file", temp)
	}
}

func leftovers(t *testing.T, dir string) {
	for _, name := range []string{"out-0.txt", "out-1.txt", "other.txt", "sub/out-2.txt"} {
		w := create(t, dir+"/"+name, "12345")
		_, err := w.Sync()
		require.NoError(t, err)
		require.NoError(t, w.Keep())
	}
	live := create(t, dir+"/out-3.txt", "now")
	temp, _ := snapshot(t, live)

	left, err := filesystem.Leftovers(t.Context(), dir+"/out-*.txt", temp)
	require.NoError(t, err)
	require.Len(t, left, 2)
	for _, f := range left {
		require.Contains(t, f.Path, ".out-")
		require.Equal(t, int64(5), f.Size)
		require.False(t, f.ModTime.IsZero())
		require.NoError(t, filesystem.Remove(t.Context(), f.Path))
	}
	left, err = filesystem.Leftovers(t.Context(), dir+"/out-*.txt", temp)
	require.NoError(t, err)
	require.Empty(t, left)
	left, err = filesystem.Leftovers(t.Context(), dir+"/nowhere/*")
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = filesystem.Leftovers(t.Context(), dir+"/*/x")
	require.ErrorContains(t, err, "the folder has to be named")
	require.NoError(t, live.Commit())
}

func removeNothing(t *testing.T, dir string) {
	require.NoError(t, filesystem.Remove(t.Context(), dir+"/none"))
	put(t, dir+"/x", "1")
	require.NoError(t, filesystem.Remove(t.Context(), dir+"/x"))
	require.Empty(t, found(t, dir, "*"))
}

func foldersAreNoFiles(t *testing.T, dir string) {
	put(t, dir+"/a/b/c", "1")
	require.Empty(t, found(t, dir, "*"))
	require.Equal(t, []string{"a/b/c"}, found(t, dir, "**"))
}

func TestURLs(t *testing.T) {
	for _, tc := range []struct{ path, want string }{
		{"mem://", "want mem://bucket/key"},
		{"mem://bucket", "want mem://bucket/key"},
		{"mem://b*/x", "with the bucket spelled out"},
		{"mem://bucket/", "mem://bucket/ is a folder"},
		{"s3://bucket/x", `add them with import _ "github.com/millrace/millrace/io/filesystem/blob/s3"`},
		{"ftp://host/x", "no files are known under ftp://; this program knows local paths, mem://"},
	} {
		_, err := filesystem.Match(t.Context(), tc.path)
		require.ErrorContains(t, err, tc.want, tc.path)
	}
}

// Goal: a crash of the process at any step of a writer's life leaves the old file
// or the new one. Method: look at the folder after each step.
func TestCreate_crashAtAnyStep(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/x", []byte("old"), 0o600))
	w, err := filesystem.Create(t.Context(), dir+"/x")
	require.NoError(t, err)
	for _, step := range []func() error{
		func() error { _, err := io.WriteString(w, "new"); return err },
		func() error { _, err := w.Sync(); return err },
		func() error { _, err := io.WriteString(w, "er"); return err },
		w.Keep,
	} {
		require.NoError(t, step())
		require.Equal(t, "old", get(t, dir+"/x"))
		require.Equal(t, []string{"x"}, found(t, dir, "*"))
	}
	w, err = filesystem.Resume(t.Context(), dir+"/x", w.Temp(), 3)
	require.NoError(t, err)
	require.NoError(t, w.Commit())
	require.Equal(t, "new", get(t, dir+"/x"))
	info, err := os.Stat(dir + "/x")
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), "as the old file's")
}
