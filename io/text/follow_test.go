package text

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/pipeline"
)

// tailed is all shares of a Tail, without a run.
type tailed struct {
	t  *testing.T
	rs []*tailReader[string]
}

// tailAt begins to follow a pattern, or goes on from positions.
func tailAt(t *testing.T, pattern string, positions [][]byte) *tailed {
	every := time.Hour // the test says when to look
	s := &tail[string]{&source{pattern: pattern, maxLine: 1 << 20, poll: &every}, func(l SourceLine) string { return l.Line }}
	splits, err := s.Splits(t.Context(), 1)
	require.NoError(t, err)
	out := &tailed{t: t}
	for i, sp := range splits {
		var pos []byte
		if positions != nil {
			pos = positions[i]
		}
		r, err := sp.Open(t.Context(), pos)
		require.NoError(t, err)
		out.rs = append(out.rs, r.(*tailReader[string]))
	}
	t.Cleanup(func() { out.close() })
	return out
}

// read looks once, and is all lines that are there, sorted.
func (x *tailed) read() (lines []string) {
	require.NoError(x.t, x.rs[0].list.look(x.t.Context()))
	for _, r := range x.rs {
		require.NoError(x.t, r.look(time.Now()))
		for {
			f, err := r.ready()
			require.NoError(x.t, err)
			if f == nil {
				break
			}
			line, at := f.line()
			lines = append(lines, fmt.Sprintf("%s:%d %s", filepath.Base(f.path), at, line))
		}
	}
	slices.Sort(lines)
	return lines
}

func (x *tailed) positions() (all [][]byte) {
	for _, r := range x.rs {
		all = append(all, r.Position(nil))
	}
	return all
}

func (x *tailed) close() {
	for _, r := range x.rs {
		require.NoError(x.t, r.Close())
	}
	x.rs = nil
}

func (x *tailed) files() (n, open int) {
	for _, r := range x.rs {
		n += len(r.files)
		open += r.open
	}
	return n, open
}

func write(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(content)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// Goal: what happens to files while nobody looks. Method: a.log is followed, at its
// fourth byte when the reader is closed, and then something is done to it.
func TestTail_betweenRuns(t *testing.T) {
	for _, tc := range []struct {
		story, pattern string
		do             func(t *testing.T, a string)
		want           []string
	}{
		{"nothing", "a.log", func(*testing.T, string) {}, nil},
		{"written", "a.log", func(t *testing.T, a string) { write(t, a, "two\n") }, []string{"a.log:4 two"}},
		{"renamed out of the pattern, and there is a new one", "a.log", func(t *testing.T, a string) {
			write(t, a, "two\n")
			require.NoError(t, os.Rename(a, a+".old"))
			write(t, a, "one\n")
		}, []string{"a.log.old:4 two", "a.log:0 one"}},
		{"renamed within the pattern", "a.log*", func(t *testing.T, a string) {
			write(t, a, "two\n")
			require.NoError(t, os.Rename(a, a+".1"))
			write(t, a, "one\nother\n")
		}, []string{"a.log.1:4 two", "a.log:0 one", "a.log:4 other"}},
		{"truncated", "a.log", func(t *testing.T, a string) { require.NoError(t, os.WriteFile(a, []byte("x\n"), 0o600)) }, []string{"a.log:0 x"}},
		{"truncated, and longer than before", "a.log", func(t *testing.T, a string) {
			require.NoError(t, os.WriteFile(a, []byte("xxx\nyyy\n"), 0o600))
		}, []string{"a.log:0 xxx", "a.log:4 yyy"}},
		{"deleted", "a.log", func(t *testing.T, a string) { require.NoError(t, os.Remove(a)) }, nil},
		{"its folder deleted", "a.log", func(t *testing.T, a string) { require.NoError(t, os.RemoveAll(filepath.Dir(a))) }, nil},
		{"deleted, and another one there, perhaps with its inode", "a.log", func(t *testing.T, a string) {
			require.NoError(t, os.Remove(a))
			write(t, a, "another\n")
		}, []string{"a.log:0 another"}},
	} {
		t.Run(tc.story, func(t *testing.T) {
			dir := t.TempDir()
			a := filepath.Join(dir, "a.log")
			write(t, a, "one\n")
			x := tailAt(t, filepath.Join(dir, tc.pattern), nil)
			require.Equal(t, []string{"a.log:0 one"}, x.read())
			pos := x.positions()
			x.close()
			tc.do(t, a)
			x = tailAt(t, filepath.Join(dir, tc.pattern), pos)
			require.Equal(t, tc.want, x.read())
			require.Empty(t, x.read())
			pos = x.positions()
			x.close()
			x = tailAt(t, filepath.Join(dir, tc.pattern), pos)
			require.Empty(t, x.read(), "nothing is read again")
		})
	}
}

// Goal: neither files nor memory pile up with many files and rotations.
func TestTail_letsGo(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a.log")
	x := tailAt(t, a, nil)
	for i := range 20 {
		write(t, a, fmt.Sprintln("line", i))
		require.Equal(t, []string{fmt.Sprint("a.log:0 line ", i)}, x.read())
		if i%2 == 0 {
			require.NoError(t, os.Rename(a, fmt.Sprint(a, ".", i)))
			require.NoError(t, os.Chtimes(fmt.Sprint(a, ".", i), time.Time{}, time.Unix(0, 0)))
		} else {
			require.NoError(t, os.Remove(a))
		}
	}
	for range goneLooks + 2 {
		require.Empty(t, x.read())
	}
	n, open := x.files()
	require.Equal(t, []int{10, 10}, []int{n, open}, "the deleted ones are forgotten")
	for _, r := range x.rs {
		for _, f := range r.files {
			f.since = f.since.Add(-2 * restAfter)
		}
	}
	require.Empty(t, x.read())
	n, open = x.files()
	require.Equal(t, []int{10, 0}, []int{n, open}, "those that rest are closed")
	write(t, a+".4", "late\n")
	require.Equal(t, []string{"a.log.4:7 late"}, x.read())

	for i := range 40 * openMost {
		write(t, fmt.Sprintf("%s/many%d", dir, i), "x\n")
	}
	many := tailAt(t, dir+"/many*", nil)
	require.Len(t, many.read(), 40*openMost)
	n, open = many.files()
	require.Equal(t, 40*openMost, n)
	require.LessOrEqual(t, open, shares*openMost)
	write(t, dir+"/many2000", "y\n")
	require.Equal(t, []string{"many2000:2 y"}, many.read())
}

// Goal: blocks, long lines and beginnings of any length. Method: one big file that
// grows by odd bits, compared with what a plain loop finds.
func TestTail_anyBits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	var content strings.Builder
	for i := range 3000 {
		content.WriteString(strings.Repeat("x", i*i%997) + []string{"\n", "\r\n"}[i%2])
	}
	content.WriteString(strings.Repeat("y", 3*blockSize) + "\nlast\n")
	all := content.String()
	var got []string
	var pos [][]byte
	for from, step := 0, 1; from < len(all); step = step*3 + 1 {
		to := min(from+step, len(all))
		write(t, path, all[from:to])
		from = to
		x := tailAt(t, path, pos)
		for _, l := range x.read() {
			_, line, _ := strings.Cut(l, " ")
			got = append(got, line)
		}
		pos = x.positions()
		x.close()
	}
	want := inOrder(all)
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, want, got)
}

// Goal: the same ID in any process, and all shares used.
func TestTail_shares(t *testing.T) {
	used := map[int]bool{}
	for i := range uint64(1000) {
		n := fileID{Device: 42, Inode: 131072 + i}.share()
		require.Less(t, n, shares)
		used[n] = true
	}
	require.Len(t, used, shares)
	var split pipeline.Split[string] = &tailShare[string]{tail: &tail[string]{source: &source{pattern: "x"}}, n: 3}
	require.Equal(t, "x#3/32", split.ID())
}
