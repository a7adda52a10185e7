package text

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/pipeline"
)

// linesOf is the source that Read makes.
func linesOf(pattern string, opts ...ReadOption) *typed[string] {
	s := &source{pattern: pattern, maxLine: 16 << 20}
	for _, o := range opts {
		o(s)
	}
	return &typed[string]{s, func(context.Context, filesystem.File) (parser[string], error) { return nil, nil }}
}

// readOn reads at most n lines of a piece behind pos; -1: all.
func readOn(ctx context.Context, sp pipeline.Split[string], pos []byte, n int) (lines []string, next []byte, err error) {
	x, err := sp.Open(ctx, pos)
	if err != nil {
		return nil, nil, err
	}
	defer x.Close()
	r := x.(*pieceReader[string])
	for len(lines) != n {
		line, ok, err := r.line()
		if err != nil {
			return lines, nil, err
		}
		if !ok {
			break
		}
		lines = append(lines, line)
	}
	if read := r.Progress(); read < 0 || read > sp.Size() {
		return lines, nil, fmt.Errorf("%d of %d bytes read", read, sp.Size())
	}
	return lines, r.Position(nil), nil
}

// inOrder is the lines of a text, as a plain loop finds them.
func inOrder(content string) (out []string) {
	for l := range strings.Lines(content) {
		out = append(out, strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r"))
	}
	return out
}

// checkPieces is the rule of pieces: however a file is cut and wherever readers
// are replaced by new ones, each line is read once. stop says after how many lines
// a reader is replaced.
func checkPieces(t *testing.T, path, content string, size int64, stop func() int) {
	t.Helper()
	splits, err := linesOf(path, PieceSize(size)).Splits(t.Context(), 2)
	require.NoError(t, err)
	var got []string
	for _, sp := range splits {
		var pos []byte
		for {
			n := stop()
			lines, next, err := readOn(t.Context(), sp, pos, n)
			require.NoError(t, err)
			got, pos = append(got, lines...), next
			if len(lines) < n {
				break
			}
		}
		lines, _, err := readOn(t.Context(), sp, pos, -1)
		require.NoError(t, err)
		require.Empty(t, lines, "behind the end of %s", sp.ID())
	}
	require.Equal(t, inOrder(content), got, "pieces of %d bytes of %q", size, content)
}

// Goal: the rule of pieces. Method: random texts of short lines and of long ones,
// all small piece sizes, readers replaced at random, also before their first line.
func TestReader_anyPiecesMakeTheWhole(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		var b strings.Builder
		for range rnd.IntN(20) {
			b.WriteString(strings.Repeat("x", rnd.IntN(9)))
			b.WriteString([]string{"\n", "\r\n", "\n\n", "\r"}[rnd.IntN(4)])
		}
		b.WriteString(strings.Repeat("y", rnd.IntN(4)))
		path := put(t, "x.txt", b.String())
		for size := int64(1); size < 12; size++ {
			checkPieces(t, path, b.String(), size, func() int { return rnd.IntN(4) + rnd.IntN(2) })
		}
		checkPieces(t, put(t, "x.gz", b.String()), b.String(), 1, func() int { return 1 + rnd.IntN(4) })
	}
	for range 4 { // lines about as long as blocks and tails are
		var b strings.Builder
		for range 12 {
			b.WriteString(strings.Repeat("x", rnd.IntN([]int{10, tailSize + 10, blockSize, 3 * blockSize}[rnd.IntN(4)])) + "\n")
		}
		path := put(t, "x.txt", b.String())
		for _, size := range []int64{1000, tailSize, 100_000, blockSize, 1 << 30} {
			checkPieces(t, path, b.String(), size, func() int { return 1 + rnd.IntN(5) })
		}
	}
}

func FuzzPieces(f *testing.F) {
	f.Add("a\nbb\r\n\nccc", uint8(2), uint8(1))
	f.Add("", uint8(1), uint8(3))
	f.Add("\n\n\r\n\r", uint8(1), uint8(1))
	f.Add("no end", uint8(3), uint8(2))
	f.Fuzz(func(t *testing.T, content string, size, stop uint8) {
		if len(content) > 300 || size == 0 || stop == 0 || packed([]byte(content)) {
			return
		}
		checkPieces(t, put(t, "x.txt", content), content, int64(size), func() int { return int(stop) })
	})
}

// Goal: enough pieces for every lane, none too small; files that can't be cut
// first, the biggest before the others.
func TestSplits(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"/a.txt": 10 << 20, "/b.txt": 100, "/c.txt": 0} {
		putAt(t, dir+name, strings.Repeat("x", size))
	}
	for name, n := range map[string]int{"/d.gz": 1000, "/e.gz": 5000} {
		putAt(t, dir+name, noise(n))
	}
	ids := func(lanes int, opts ...ReadOption) (out []string) {
		splits, err := linesOf(dir+"/*", opts...).Splits(t.Context(), lanes)
		require.NoError(t, err)
		for _, sp := range splits {
			out = append(out, strings.TrimPrefix(sp.ID(), dir))
		}
		return out
	}
	one := ids(1)
	require.Equal(t, []string{"/e.gz", "/d.gz", "/a.txt:0-"}, []string{one[0], one[1], one[2][:9]})
	require.Len(t, one, 2+4+1)
	require.Len(t, ids(100), 2+10+1, "1 MiB at least")
	require.Len(t, ids(1, PieceSize(5<<20)), 2+2+1)
	require.Len(t, ids(1, SkipLines(1)), 5)
}

func noise(n int) string {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return string(b)
}

func TestOpen_damagedPositions(t *testing.T) {
	splits, err := linesOf(put(t, "x.txt", "a\nb\n"), PieceSize(2)).Splits(t.Context(), 1)
	require.NoError(t, err)
	for _, pos := range [][]byte{{}, {0x80}, {3}, {0}} { // cut, cut, less than nothing, before the piece
		_, err := splits[1].Open(t.Context(), pos)
		require.ErrorContains(t, err, "x.txt: damaged position", "% x", pos)
	}
}

// Goal: a restored reader of a file that shrank meanwhile says so.
func TestOpen_behindTheEndOfCompressedData(t *testing.T) {
	splits, err := linesOf(put(t, "x.gz", "a\nb\n")).Splits(t.Context(), 1)
	require.NoError(t, err)
	_, err = splits[0].Open(t.Context(), []byte{200, 1})
	require.ErrorContains(t, err, "go on with ")
	require.ErrorContains(t, err, "x.gz at 100: EOF")
}

// Goal: a small piece costs small reads, whatever is behind it in the file.
func TestReader_readsLittleMoreThanItsPiece(t *testing.T) {
	content := strings.Repeat("some line\n", 200_000)
	splits, err := linesOf(put(t, "x.txt", content), PieceSize(10_000)).Splits(t.Context(), 1)
	require.NoError(t, err)
	x, err := splits[3].Open(t.Context(), nil)
	require.NoError(t, err)
	defer x.Close()
	r := x.(*pieceReader[string])
	var lines []string
	for {
		line, ok, err := r.line()
		require.NoError(t, err)
		if !ok {
			break
		}
		lines = append(lines, line)
	}
	require.Len(t, lines, 1000)
	require.True(t, slices.Equal(lines[:1], []string{"some line"}))
	require.LessOrEqual(t, cap(r.buf), 10_000+2*tailSize)
}
