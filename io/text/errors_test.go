package text

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// broken is a place whose files may not be looked up, not be opened, or end in an
// error: what local files do only to others than root.
type broken struct{ filesystem.FS }

func (broken) Match(_ context.Context, pattern string) ([]filesystem.File, error) {
	if strings.HasPrefix(pattern, "broken://folder/") {
		return nil, &fs.PathError{Op: "open", Path: "broken://folder", Err: fs.ErrPermission}
	}
	return []filesystem.File{{Path: pattern, Size: 1000}}, nil
}

func (broken) OpenRange(_ context.Context, path string, _, _ int64) (io.ReadCloser, error) {
	if strings.HasPrefix(path, "broken://closed") {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	}
	head := strings.NewReader("one\ntwo\nthr")
	return io.NopCloser(io.MultiReader(head, iotest.ErrReader(errors.New("input/output error")))), nil
}

var registerBroken = sync.OnceFunc(func() {
	filesystem.Register("broken", func(context.Context, string) (filesystem.FS, error) { return broken{}, nil })
})

func TestRead_sentences(t *testing.T) {
	registerBroken()
	dir := t.TempDir()
	long := put(t, "long.txt", "short\n"+strings.Repeat("x", 1000))
	bad := put(t, "bad.gz", strings.Repeat(noise(100_000)+"\n", 10))
	b, err := os.ReadFile(bad)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(bad, b[:len(b)/2], 0o666))
	disguised := put(t, "x.gz", "text")
	require.NoError(t, os.Rename(disguised, disguised+".log"))
	require.NoError(t, os.Symlink("loop", dir+"/loop"))
	plain := put(t, "plain.gz.txt", "hello")
	require.NoError(t, os.Rename(plain, dir+"/plain.gz"))
	for _, tc := range []struct {
		story, pattern, want string
		opts                 []ReadOption
	}{
		{"where the program says it", dir + "/none.txt", "text.Read (text/errors_test.go:", nil},
		{"missing file", dir + "/none.txt", "none.txt: no such file", nil},
		{"missing folder", dir + "/no/x.txt", "no such file: there is no folder no in " + dir, nil},
		{"no match", dir + "/*.none", "no such file matches, in folder " + dir, nil},
		{"a folder", dir, "is a folder: name its files, as " + dir + "/*", nil},
		{"a link to itself", dir + "/loop", "too many levels of symbolic links", nil},
		{"below a file", long + "/x", "not a directory", nil},
		{"no pattern", "[x", "text.Read: [x: not a pattern", nil},
		{"nothing", "", "text.Read: the path is empty", nil},
		{"no such place", "nowhere://x", "no files are known under nowhere://", nil},
		{"a folder that may not be read", "broken://folder/*", "open broken://folder: permission denied", nil},
		{"a file that may not be read", "broken://closed", "open broken://closed: permission denied", nil},
		{"a file that can't be read on", "broken://x", "at input broken://x:0: input/output error", nil},
		{"a long line", long, "at input " + long + ":6: the line is longer than 100 bytes (text.MaxLine)", []ReadOption{MaxLine(100)}},
		{"a long line with an end", put(t, "long.txt", "abcd\r\nabcde\n"), "long.txt:6: the line is longer than 4 bytes (text.MaxLine)", []ReadOption{MaxLine(4)}},
		{"corrupt gzip data", bad, "bad.gz: damaged gzip data near byte ", nil},
		{"gzip by name only", dir + "/plain.gz", "plain.gz: not a gzip file: it begins with the bytes 68 65 6c 6c", nil},
		{"gzip data by another name", disguised + ".log", "x.gz.log holds compressed data, which its name does not say; text.Compression does", nil},
		{"unknown compression", long, `compression "lzma" is not known`, []ReadOption{Compression("lzma")}},
		{"options out of range", long, "text.Read: MaxLine, PieceSize and SkipLines want positive numbers", []ReadOption{MaxLine(0)}},
		{"no Go there", missingBook, "the sample text comes with Go, as $GOROOT/src/testdata/Isaac.Newton-Opticks.txt, but no installation of Go that has it was found", nil},
	} {
		p := pipeline.New()
		pipeline.Collect(Read(p, tc.pattern, tc.opts...))
		_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
		require.ErrorContains(t, err, tc.want, tc.story)
	}
}

// Goal: what was before a read error was emitted, and is not what the error names.
func TestReader_linesBeforeAnError(t *testing.T) {
	path := put(t, "x.gz", "one\n"+strings.Repeat(noise(1000)+"\n", 1000))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, b[:len(b)-100], 0o666))
	splits, err := linesOf(path).Splits(t.Context(), 1)
	require.NoError(t, err)
	x, err := splits[0].Open(t.Context(), nil)
	require.NoError(t, err)
	defer x.Close()
	r := x.(*pieceReader[string])
	n := int64(0)
	for {
		line, ok, err := r.line()
		if err != nil {
			require.ErrorContains(t, err, "damaged gzip data")
			break
		}
		require.True(t, ok)
		n += int64(len(line)) + 1
	}
	require.Greater(t, n, int64(4))
	require.Equal(t, r.next, r.place, "the place of the error")
}

func TestSample(t *testing.T) {
	lines, err := openLines(t.Context(), Sample())
	require.NoError(t, err)
	require.Contains(t, strings.Join(lines[:50], "\n"), "OPTICKS:")
	_, ok := bookIn("")
	require.False(t, ok)
	_, ok = bookIn(t.TempDir())
	require.False(t, ok)
}
