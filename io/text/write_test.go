package text

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

func TestWrite_shardsAndSingle(t *testing.T) {
	for _, name := range []string{"out.txt", "out.txt.gz", "out.zst"} {
		dir := t.TempDir()
		for _, cfg := range []local.Config{{Parallelism: 3}, {Parallelism: 2, BundleEpochs: 1, RestartEvery: 1}} {
			p := pipeline.New()
			lines := pipeline.Map(pipeline.Generate(p, 300, func(i uint64, e *uint64) { *e = i }), func(i uint64) string { return fmt.Sprint("line ", i) })
			Write(lines, filepath.Join(dir, "sub", name))
			Write(lines, filepath.Join(dir, name), Single(), Header("# all"))
			_, err := local.Run(t.Context(), p, cfg)
			require.NoError(t, err)
			ext := strings.TrimPrefix(name, "out")
			shards := read(t, filepath.Join(dir, "sub", fmt.Sprintf("out-*-of-%05d%s", cfg.Parallelism, ext)), 1)
			require.Len(t, shards, 300, "%+v", cfg)
			require.Len(t, slices.Compact(shards), 300)
			require.Len(t, read(t, filepath.Join(dir, name), 1), 301)
			left, err := filepath.Glob(filepath.Join(dir, "*", ".*"))
			require.NoError(t, err)
			require.Empty(t, left, "no unfinished file stays")
		}
	}
}

func TestWrite_failedRunLeavesNothing(t *testing.T) {
	for _, cfg := range []local.Config{{Parallelism: 2}, {Parallelism: 2, BundleEpochs: 1}} {
		dir := t.TempDir()
		p := pipeline.New()
		Write(pipeline.Map(pipeline.Generate(p, 3000, func(i uint64, e *uint64) { *e = i }), func(i uint64) string {
			if i == 2700 {
				panic("2,700")
			}
			return "x"
		}), filepath.Join(dir, "out.txt"))
		_, err := local.Run(t.Context(), p, cfg)
		require.ErrorContains(t, err, "panic: 2,700")
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left, "%+v", cfg)
	}
}

// content is what a file holds, decompressed.
func content(t *testing.T, path string) string {
	t.Helper()
	p, err := openLines(t.Context(), path)
	require.NoError(t, err)
	return strings.Join(p, "\n")
}

// openLines reads a file's lines without a run.
func openLines(ctx context.Context, path string) (out []string, err error) {
	splits, err := linesOf(path).Splits(ctx, 1)
	if err != nil {
		return nil, err
	}
	for _, sp := range splits {
		lines, _, err := readOn(ctx, sp, nil, -1)
		if err != nil {
			return nil, err
		}
		out = append(out, lines...)
	}
	return out, nil
}

func hidden(t *testing.T, dir string) []string {
	t.Helper()
	left, err := filesystem.Leftovers(t.Context(), dir+"/*")
	require.NoError(t, err)
	var names []string
	for _, f := range left {
		names = append(names, filepath.Base(f.Path))
	}
	return names
}

// Goal: a lane that goes back to a snapshot has its file as it was there, and a
// snapshot that was not committed does not count.
func TestWriter_goesBackToTheSnapshot(t *testing.T) {
	for _, name := range []string{"out.txt", "out.gz", "out.zst"} {
		dir := t.TempDir()
		header := "head"
		s := &typedSink[string]{&sink{path: filepath.Join(dir, name), single: true, header: &header}, func() Formatter[string] {
			return func(b []byte, v string) ([]byte, error) { return append(b, v...), nil }
		}}
		open := func(state []byte) pipeline.Writer[string] {
			w, err := s.Open(t.Context(), 0, 1, state)
			require.NoError(t, err)
			return w
		}
		prepare := func(w pipeline.Writer[string]) []byte {
			state, err := w.Prepare()
			require.NoError(t, err)
			return state
		}
		w := open(nil)
		empty := prepare(w)
		require.NoError(t, w.Commit())
		require.NoError(t, w.Write("a"))
		w.Abort(false)

		w = open(empty)
		require.NoError(t, w.Write("b"))
		b := prepare(w)
		require.NoError(t, w.Commit())
		require.Equal(t, b, prepare(w), "nothing new")
		require.NoError(t, w.Commit())
		require.NoError(t, w.Write(strings.Repeat("c", blockSize+1)))
		prepare(w)
		w.Abort(false)

		w = open(b)
		require.NoError(t, w.Write("d"))
		d := prepare(w)
		require.NoError(t, w.Commit())
		require.NoFileExists(t, s.path)
		require.NoError(t, w.Finish())
		require.Equal(t, "head\nb\nd", content(t, s.path), name)
		require.Empty(t, hidden(t, dir))

		w = open(d) // the crash came behind Finish
		require.NoError(t, w.Finish())
		require.Equal(t, "head\nb\nd", content(t, s.path), name)
		require.Empty(t, hidden(t, dir))
	}
}

func TestWriter_abortRemovesWhatNoSnapshotNames(t *testing.T) {
	for _, tc := range []struct {
		story             string
		prepared, commits bool
		final             bool
		stays             bool
	}{
		{"nothing but written", false, false, false, false},
		{"prepared only: its snapshot may have been taken", true, false, false, true},
		{"prepared, but the run is over", true, false, true, false},
		{"committed, to go on", true, true, false, true},
		{"committed, but the run is over", true, true, true, false},
	} {
		dir := t.TempDir()
		s := &typedSink[string]{&sink{path: filepath.Join(dir, "out.txt")}, func() Formatter[string] {
			return func(b []byte, v string) ([]byte, error) { return append(b, v...), nil }
		}}
		w, err := s.Open(t.Context(), 0, 1, nil)
		require.NoError(t, err)
		require.NoError(t, w.Write("x"))
		if tc.prepared {
			_, err := w.Prepare()
			require.NoError(t, err)
		}
		if tc.commits {
			require.NoError(t, w.Commit())
		}
		w.Abort(tc.final)
		require.Equal(t, tc.stays, len(hidden(t, dir)) == 1, tc.story)
	}
}

// Goal: other programs take an empty shard for what its name says.
func TestWrite_emptyCompressedFileIsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.gz")
	p := pipeline.New()
	Write(pipeline.Create[string](p), path, Single())
	_, err := local.Run(t.Context(), p, local.Config{})
	require.NoError(t, err)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, filesystem.Gzip, must(filesystem.Detect(t.Context(), path)), "% x", b)
	require.Empty(t, content(t, path))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestShard_names(t *testing.T) {
	for path, want := range map[string]string{
		"out.txt":          "out-00001-of-00003.txt",
		"a.b/out.tar.gz":   "a.b/out-00001-of-00003.tar.gz",
		"s3://b/x/out":     "s3://b/x/out-00001-of-00003",
		"/d/.hidden":       "/d/.hidden-00001-of-00003",
		"/d/part-.x.txt.z": "/d/part--00001-of-00003.x.txt.z",
	} {
		require.Equal(t, want, (&sink{path: path}).shard(1, 3))
	}
}

func TestWrite_sentences(t *testing.T) {
	dir := t.TempDir()
	file := put(t, "file.txt", "")
	for path, want := range map[string]string{
		"":                 "text.Write: the path is empty",
		dir:                "it is a folder",
		file + "/out.txt":  "not a directory",
		dir + "/":          "it names no file",
		"nowhere://b/o.gz": "no files are known under nowhere://",
	} {
		p := pipeline.New()
		Write(pipeline.Create(p, "x"), path, Single())
		_, err := local.Run(t.Context(), p, local.Config{})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "text/write_test.go:")
	}
}
