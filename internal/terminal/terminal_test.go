package terminal_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/terminal"
	"github.com/stretchr/testify/require"
)

const clear = "\r\x1b[K"

// The line is rewritten every interval, and stands at the end.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := terminal.Start(&out, 200*time.Millisecond, time.Duration.String)
		time.Sleep(700 * time.Millisecond) // of the bubble's time
		l.Stop()
		require.Equal(t, []string{"", "200ms", "400ms", "600ms", "700ms\n"}, strings.Split(out.String(), clear))
	})
}

// What is over before the first interval prints nothing.
func TestLine_quick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := terminal.Start(&out, 200*time.Millisecond, time.Duration.String)
		time.Sleep(199 * time.Millisecond)
		l.Stop()
		require.Empty(t, out.String())
	})
}

// Without a line there are other lines only.
func TestLine_never(t *testing.T) {
	var out bytes.Buffer
	l := terminal.Start(&out, 0, nil)
	_, err := l.Write([]byte("one\n"))
	require.NoError(t, err)
	l.Stop()
	require.Equal(t, "one\n", out.String())
}

// Goal: other lines stand above, whenever they come. Method: what a terminal would show
// at the end, which is what is left of each line behind its last clearing.
func TestLine_above(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := terminal.Start(&out, 200*time.Millisecond, time.Duration.String)
		say := func(s string) {
			_, err := l.Write([]byte(s))
			require.NoError(t, err)
		}
		say("early\n")
		time.Sleep(300 * time.Millisecond)
		say("one\ntwo\n")
		time.Sleep(200 * time.Millisecond)
		say("three\n")
		l.Stop()
		say("late\n")
		var lines []string
		for line := range strings.SplitSeq(out.String(), "\n") {
			lines = append(lines, line[strings.LastIndex(line, clear)+1:])
		}
		for i, line := range lines {
			lines[i] = strings.TrimPrefix(line, clear[1:])
		}
		require.Equal(t, []string{"early", "one", "two", "three", "500ms", "late", ""}, lines)
	})
}

// A file or a pipe is no terminal.
func TestIs(t *testing.T) {
	require.False(t, terminal.Is(&bytes.Buffer{}))
	f, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer f.Close()
	require.False(t, terminal.Is(f))
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	require.False(t, terminal.Is(w))
}

func TestTexts(t *testing.T) {
	require.Equal(t, "1.5k elements, 500/s", terminal.Elements(1500, 3*time.Second))
	require.Equal(t, "", terminal.Left(5, 0, time.Second))
	require.Equal(t, ", 25% read, 6s left", terminal.Left(25, 100, 2*time.Second))
	require.Equal(t, ", 25% read", terminal.Left(25, 100, time.Second))
	require.Equal(t, ", 100% read", terminal.Left(120, 100, 2*time.Second))
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1k", 1234: "1.23k", 12345: "12.3k", 123456: "123k", 1234567: "1.23M", 9.87e9: "9.87G", 999999: "1M", 999499: "999k", 999500: "1M", 1e12: "1T"} {
		require.Equal(t, want, terminal.Count(n), n)
	}
}
