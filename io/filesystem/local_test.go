//go:build unix

package filesystem_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/filesystem"
)

// What every place has in common is tested in blob/conformance_test.go.

func TestCreate_refusesWhatARenameWouldDestroy(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(dir+"/pipe", 0o666))
	for _, tc := range []struct{ path, want string }{
		{dir, "create " + dir + ": it is a folder"},
		{dir + "/pipe", "it is no plain file, and cannot be replaced by one"},
		{os.DevNull, "it is no plain file, and cannot be replaced by one"},
		{"", "it names no file"},
	} {
		_, err := filesystem.Create(t.Context(), tc.path)
		require.ErrorContains(t, err, tc.want, tc.path)
	}
}

func TestCreate_writesWhereALinkLeads(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/there/x", "old")
	require.NoError(t, os.Symlink(dir+"/there/x", dir+"/link"))
	w, err := filesystem.Create(t.Context(), dir+"/link")
	require.NoError(t, err)
	_, err = w.Write([]byte("new"))
	require.NoError(t, err)
	require.NoError(t, w.Commit())
	b, err := os.ReadFile(dir + "/there/x")
	require.NoError(t, err)
	require.Equal(t, "new", string(b))
	info, err := os.Lstat(dir + "/link")
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&fs.ModeSymlink)
}

func TestCommit_thatFailsLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	w, err := filesystem.Create(t.Context(), dir+"/x")
	require.NoError(t, err)
	put(t, dir+"/x/in/the/way", "a folder since")
	require.ErrorContains(t, w.Commit(), "commit "+dir+"/x: ")
	require.NoError(t, w.Abort())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a", "1")
	require.NoError(t, filesystem.Rename(t.Context(), dir+"/a", dir+"/b"))
	_, err := filesystem.Match(t.Context(), dir+"/a")
	require.ErrorIs(t, err, filesystem.ErrNoMatch)
	require.ErrorIs(t, filesystem.Rename(t.Context(), dir+"/a", dir+"/c"), fs.ErrNotExist)
}

// Goal: a writer that was replaced, and does not know it, changes nothing any more, be it in
// the middle of a file or when that is finished. Method: three writers of one file, and each
// writes on behind the next.
func TestResume_whileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	write := func(w filesystem.Writer, text string) {
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
		_, err = w.Sync()
		require.NoError(t, err)
	}
	first, err := filesystem.Create(t.Context(), dir+"/x")
	require.NoError(t, err)
	write(first, "one ")
	one := first.Temp()
	write(first, "lost ")

	second, err := filesystem.Resume(t.Context(), dir+"/x", one, 4)
	require.NoError(t, err)
	require.Equal(t, one, second.Temp(), "it is the same file for who has kept its name")
	write(first, "by who was replaced ")
	write(second, "two ")
	two := second.Temp()
	write(second, "lost as well, and longer than what follows ")

	third, err := filesystem.Resume(t.Context(), dir+"/x", two, 4)
	require.NoError(t, err, "a part of what was durable")
	write(third, "three ")
	write(second, "by who was replaced ")
	write(first, "by who was replaced ")
	require.NoError(t, third.Commit())
	write(second, "when it is finished")
	require.NoError(t, first.Keep())
	require.NoError(t, second.Keep())

	b, err := os.ReadFile(dir + "/x")
	require.NoError(t, err)
	require.Equal(t, "one three ", string(b))
	left, err := filesystem.Leftovers(t.Context(), dir+"/*")
	require.NoError(t, err)
	require.Empty(t, left)
}

// Goal: no file stays open, whichever way an operation ends. Method: count the
// open ones of this process; Linux lists them.
func TestFilesAreClosed(t *testing.T) {
	open := func() (n int) {
		entries, err := os.ReadDir("/dev/fd")
		require.NoError(t, err)
		for _, e := range entries {
			if to, err := os.Readlink("/dev/fd/" + e.Name()); err == nil && strings.Contains(to, "TestFilesAreClosed") {
				n++
			}
		}
		return n
	}
	dir := t.TempDir()
	put(t, dir+"/x", "x")
	for range 3 {
		w, err := filesystem.Create(t.Context(), dir+"/y")
		require.NoError(t, err)
		_, err = w.Sync()
		require.NoError(t, err)
		temp := w.Temp()
		require.NoError(t, w.Keep())
		_, err = filesystem.Resume(t.Context(), dir+"/y", temp, 9)
		require.Error(t, err)
		w, err = filesystem.Resume(t.Context(), dir+"/y", temp, 0)
		require.NoError(t, err)
		require.NoError(t, w.Commit())
		_, err = filesystem.Resume(t.Context(), dir+"/x", strings.Replace(temp, "#0", "#7", 1), 7)
		require.Error(t, err)
		w, err = filesystem.Create(t.Context(), dir+"/z")
		require.NoError(t, err)
		require.NoError(t, w.Abort())
		_, err = filesystem.Open(t.Context(), dir)
		require.Error(t, err)
		_, err = filesystem.Match(t.Context(), dir+"/**/*")
		require.NoError(t, err)
		r, err := filesystem.Open(t.Context(), dir+"/x")
		require.NoError(t, err)
		d, err := filesystem.Decompress(r, "x", filesystem.ByName)
		require.NoError(t, err)
		require.NoError(t, d.Close())
		_, err = filesystem.Detect(t.Context(), dir+"/x")
		require.NoError(t, err)
	}
	require.Zero(t, open())
}

// Goal: no pattern panics, and what Match gives can be read. Method: any pattern
// over a small tree that has links in a circle.
func FuzzMatch(f *testing.F) {
	for _, seed := range []string{"*", "**", "**/*.txt", "{a,b}*", "[a-z]*", `\*`, "a/../*", "{,a}/{b,{c,d}}", "[^]", "***/**", "*{", "sub/", "/", "."} {
		f.Add(seed)
	}
	dir := f.TempDir()
	for _, name := range []string{"a.txt", "sub/b.txt", "sub/deep/c", ".d.00000000.partial"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(dir+"/"+name), 0o777), os.WriteFile(dir+"/"+name, nil, 0o666)); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink("..", dir+"/sub/up"); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if strings.Contains(pattern, "..") || strings.Count(pattern, "*") > 6 || len(pattern) > 40 {
			return // out of the folder, or long in finding what a circle of links repeats
		}
		files, err := filesystem.Match(t.Context(), dir+"/"+pattern)
		if err != nil {
			require.Empty(t, files)
			return
		}
		require.NotEmpty(t, files)
		for i, file := range files {
			require.NotContains(t, file.Path, ".partial")
			require.True(t, i == 0 || files[i-1].Path < file.Path, "sorted, each once")
			r, err := filesystem.Open(t.Context(), file.Path)
			require.NoError(t, err)
			require.NoError(t, r.Close())
		}
	})
}

func FuzzParseUnfinished(f *testing.F) {
	f.Add(filesystem.Unfinished{Path: "/d/" + filesystem.UnfinishedName("x"), Size: 3, Sum: 4}.String())
	f.Add("a#b-c")
	f.Add("#")
	f.Fuzz(func(t *testing.T, temp string) {
		if u, err := filesystem.ParseUnfinished(temp); err == nil {
			again, err := filesystem.ParseUnfinished(u.String())
			require.NoError(t, err)
			require.Equal(t, u, again)
		}
	})
}
