package text

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

func put(t testing.TB, name, content string) string {
	return putAt(t, filepath.Join(t.TempDir(), name), content)
}

// putAt writes a file, compressed as its name says.
func putAt(t testing.TB, path, content string) string {
	if c := filesystem.ByName.Of(path); c != filesystem.None {
		var b bytes.Buffer
		w, err := filesystem.Compressor(&b, path, c)
		require.NoError(t, err)
		_, err = w.Write([]byte(content))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		content = b.String()
	}
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	return path
}

// want is the lines of a text, as a plain loop finds them.
func want(content string) (out []string) {
	for l := range strings.Lines(content) {
		l = strings.TrimSuffix(l, "\n")
		out = append(out, strings.TrimSuffix(l, "\r"))
	}
	slices.Sort(out)
	return out
}

func read(t testing.TB, pattern string, lanes int, opts ...ReadOption) []string {
	p := pipeline.New()
	c := pipeline.Collect(Read(p, pattern, opts...))
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: lanes})
	require.NoError(t, err)
	got := c.Values()
	slices.Sort(got)
	return got
}

func TestRead_linesOfAnyShape(t *testing.T) {
	for _, content := range []string{"", "\n", "a", "a\n", "a\nb", "a\r\nb\r\n", "\n\n\na\n\n", strings.Repeat("x", 600_000) + "\nb\n", strings.Repeat("word\n", 100_000)} {
		for _, name := range []string{"x.txt", "x.gz", "x.zst"} {
			path := put(t, name, content)
			for _, lanes := range []int{1, 3} {
				require.Equal(t, want(content), read(t, path, lanes), "%s, %d lanes, %.20q", name, lanes, content)
			}
		}
	}
}

// Goal: pieces are read by several lanes at once, and each line once.
func TestRead_piecesMakeTheWhole(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "line %d%s\n", i, strings.Repeat("x", i%50))
	}
	for _, size := range []int64{100, 5000, 1 << 20} {
		path := put(t, "x.txt", b.String())
		for _, lanes := range []int{1, 3} {
			require.Equal(t, want(b.String()), read(t, path, lanes, PieceSize(size)), "pieces of %d, %d lanes", size, lanes)
		}
	}
}

// Goal: a run that goes back to snapshots again and again reads and writes each
// line once.
func TestReadWrite_restored(t *testing.T) {
	lines := 20_000
	if testing.Short() {
		lines = 4_000
	}
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	for _, name := range []string{"x.txt", "x.gz", "x.zst"} {
		in, dir := put(t, name, b.String()), t.TempDir()
		p := pipeline.New()
		Write(Read(p, in, PieceSize(int64(lines/2))), filepath.Join(dir, name))
		_, err := local.Run(t.Context(), p, local.Config{Parallelism: 3, BundleEpochs: 1, RestartEvery: 2})
		require.NoError(t, err)
		require.Equal(t, want(b.String()), read(t, dir+"/*", 2), name)
		left, err := filesystem.Leftovers(t.Context(), dir+"/*")
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// A panic of user code names the transform, the input and the user's own frames.
func TestRead_panicNamesFileAndOffset(t *testing.T) {
	path := put(t, "numbers.txt", "1\n2\nthree\n4\n")
	p := pipeline.New()
	pipeline.Collect(pipeline.Map(Read(p, path), parseDigit, pipeline.Named("parse")))
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
	require.ErrorContains(t, err, "parse (text/text_test.go:")
	require.ErrorContains(t, err, "at input "+path+":4: panic: not a digit: three\n")
	require.ErrorContains(t, err, "text.parseDigit")
	require.NotContains(t, err.Error(), "internal/")
	require.NotContains(t, err.Error(), "runtime.")
}

// With the dead-letter policy the job finishes, and the line is in the dead-letter
// output, with its place and its error.
func TestRead_deadLettersNameFileAndOffset(t *testing.T) {
	path, dir := put(t, "numbers.txt", "1\n2\nthree\n4\n"), t.TempDir()
	for _, lanes := range []int{1, 2} {
		p := pipeline.New()
		good := pipeline.Collect(pipeline.Map(Read(p, path), parseDigit, pipeline.Named("parse")))
		dead := pipeline.Map(pipeline.DeadLetters(p), func(d pipeline.DeadLetter) string {
			return fmt.Sprint(d.Transform, " ", d.Source, " ", d.Text, " ", strings.SplitN(d.Error, "\n", 2)[0])
		})
		Write(dead, filepath.Join(dir, "dead.txt"), Single())
		_, err := local.Run(t.Context(), p, local.Config{Parallelism: lanes, OnError: local.DeadLetter})
		require.NoError(t, err)
		require.ElementsMatch(t, []int64{1, 2, 4}, good.Values())
		require.Equal(t, []string{"parse " + path + ":4 three panic: not a digit: three"}, read(t, filepath.Join(dir, "dead.txt"), 1))
	}
}

func parseDigit(s string) int64 {
	if len(s) != 1 {
		panic("not a digit: " + s)
	}
	return int64(s[0] - '0')
}

func TestRead_allocatesLittle(t *testing.T) {
	path := put(t, "x.txt", strings.Repeat("a line of some length\n", 200_000))
	allocs := testing.AllocsPerRun(1, func() {
		p := pipeline.New()
		n := 0
		pipeline.ForEachLane(Read(p, path), func(int) func(string) { return func(s string) { n += len(s) } })
		_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
		require.NoError(t, err)
	})
	require.Less(t, allocs/200_000, 0.01, "allocations per line")
}
