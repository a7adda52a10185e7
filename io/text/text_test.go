package text

import (
	"bytes"
	"fmt"
	"math/rand/v2"
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
	path := filepath.Join(t.TempDir(), name)
	if c := filesystem.ByName.Of(name); c != filesystem.None {
		var b bytes.Buffer
		w, err := filesystem.Compressor(&b, name, c)
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

// Goal: however a file is cut, each line is read once. Method: random texts, all
// small piece sizes.
func TestRead_piecesMakeTheWhole(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 60 {
		var b strings.Builder
		for range rnd.IntN(20) {
			b.WriteString(strings.Repeat("x", rnd.IntN(9)))
			b.WriteString([]string{"\n", "\r\n", "\n\n"}[rnd.IntN(3)])
		}
		b.WriteString(strings.Repeat("y", rnd.IntN(4)))
		path := put(t, "x.txt", b.String())
		for size := int64(1); size < 12; size++ {
			require.Equal(t, want(b.String()), read(t, path, 2, PieceSize(size)), "pieces of %d of %q", size, b.String())
		}
	}
}

func FuzzPieces(f *testing.F) {
	f.Add("a\nbb\r\n\nccc", uint8(2))
	f.Add("", uint8(1))
	f.Fuzz(func(t *testing.T, content string, size uint8) {
		if len(content) > 300 || size == 0 {
			return
		}
		path := put(t, "x.txt", content)
		require.Equal(t, want(content), read(t, path, 1, PieceSize(int64(size))))
	})
}

// Goal: a reader that is opened at any position of another one reads just the rest.
func TestReader_goesOnWhereItWas(t *testing.T) {
	content := "one\ntwo\r\n\nfour\nfive"
	for _, name := range []string{"x.txt", "x.gz"} {
		src := &typed[string]{&source{pattern: put(t, name, content), maxLine: 100, piece: 6}, func(_ *reader, l string) (string, bool, error) { return l, true, nil }}
		splits, err := src.Splits(t.Context(), 2)
		require.NoError(t, err)
		var got []string
		for _, sp := range splits {
			var pos []byte
			for { // a new reader for each line
				r, err := sp.Open(t.Context(), pos)
				require.NoError(t, err)
				again, err := sp.Open(t.Context(), r.Position(nil))
				require.NoError(t, err)
				require.NoError(t, r.Close())
				line, ok, err := again.(*pieceReader[string]).line()
				require.NoError(t, err)
				pos = again.Position(nil)
				require.NoError(t, again.Close())
				if !ok {
					break
				}
				got = append(got, line)
			}
		}
		require.Equal(t, []string{"one", "two", "", "four", "five"}, got, name)
	}
}

func TestRead_sentences(t *testing.T) {
	dir := t.TempDir()
	long := put(t, "long.txt", "short\n"+strings.Repeat("x", 1000))
	bad := put(t, "bad.gz", strings.Repeat("hello ", 100_000))
	b, err := os.ReadFile(bad)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(bad, b[:len(b)/2], 0o666))
	for _, tc := range []struct {
		pattern string
		want    string
	}{
		{dir + "/none.txt", "text.Read (text/text_test.go:"},
		{dir + "/none.txt", "none.txt: no such file"},
		{dir + "/*.none", "no such file matches, in folder " + dir},
		{dir, "is a folder"},
		{"[x", "text.Read: [x: not a pattern"},
		{long, "long.txt:6: the line is longer than 100 bytes (text.MaxLine)"},
		{bad, "bad.gz: damaged gzip data"},
	} {
		p := pipeline.New()
		pipeline.Collect(Read(p, tc.pattern, MaxLine(100)))
		if tc.pattern == bad {
			p = pipeline.New()
			pipeline.Collect(Read(p, tc.pattern))
		}
		_, err := local.Run(t.Context(), p, local.Config{})
		require.ErrorContains(t, err, tc.want)
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

func parseDigit(s string) int64 {
	if len(s) != 1 {
		panic("not a digit: " + s)
	}
	return int64(s[0] - '0')
}

func TestWrite_shardsAndSingle(t *testing.T) {
	for _, name := range []string{"out.txt", "out.txt.gz", "out.zst"} {
		dir := t.TempDir()
		for _, cfg := range []local.Config{{Parallelism: 3}, {Parallelism: 2, BundleEpochs: 1, RestartEvery: 1}} {
			p := pipeline.New()
			lines := pipeline.Map(pipeline.Generate(p, 1000, func(i uint64, e *uint64) { *e = i }), func(i uint64) string { return fmt.Sprint("line ", i) })
			Write(lines, filepath.Join(dir, "sub", name))
			Write(lines, filepath.Join(dir, name), Single(), Header("# all"))
			_, err := local.Run(t.Context(), p, cfg)
			require.NoError(t, err)
			ext := strings.TrimPrefix(name, "out")
			shards := read(t, filepath.Join(dir, "sub", fmt.Sprintf("out-*-of-%05d%s", cfg.Parallelism, ext)), 1)
			require.Len(t, shards, 1000, "%+v", cfg)
			require.Len(t, slices.Compact(shards), 1000)
			require.Len(t, read(t, filepath.Join(dir, name), 1), 1001)
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
		Write(pipeline.Map(pipeline.Generate(p, 100_000, func(i uint64, e *uint64) { *e = i }), func(i uint64) string {
			if i == 90_000 {
				panic("90,000")
			}
			return "x"
		}), filepath.Join(dir, "out.txt"))
		_, err := local.Run(t.Context(), p, cfg)
		require.ErrorContains(t, err, "panic: 90,000")
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left, "%+v", cfg)
	}
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

func BenchmarkRead(b *testing.B) {
	content := strings.Repeat("a line of some length, as logs have them, more or less\n", 1_000_000)
	path := put(b, "x.txt", content)
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprint("lanes=", lanes), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				p := pipeline.New()
				pipeline.ForEachLane(Read(p, path), func(int) func(string) { return func(string) {} })
				if _, err := local.Run(b.Context(), p, local.Config{Parallelism: lanes}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
