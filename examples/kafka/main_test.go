package main

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

// Goal: each click counts once, with and without transactions, for a reader of what is
// committed.
func TestJob(t *testing.T) {
	const n = 3000
	clicks := map[string]int64{}
	for i := range uint64(n) {
		clicks[clickAt(i).Page]++
	}
	for name, dir := range map[string]string{"at least once": "", "exactly once": filepath.Join(t.TempDir(), "state")} {
		t.Run(name, func(t *testing.T) {
			k, err := connect("", dir)
			require.NoError(t, err)
			defer k.stop()
			require.NoError(t, k.fill(n))
			p := pipeline.New()
			k.writeCounts(perPage(k.readClicks(p, true)))
			_, err = local.Run(t.Context(), p, local.Config{Parallelism: 3, StateDir: dir, Checkpoint: 10 * time.Millisecond})
			require.NoError(t, err)

			p = pipeline.New()
			counts := pipeline.Collect(k.readCounts(p, kafka.Stop(kafka.Latest())))
			_, err = local.Run(t.Context(), p, local.Config{})
			require.NoError(t, err)
			got, seen := map[string]int64{}, map[count]bool{}
			for _, c := range counts.Values() {
				got[c.Page] += c.Clicks
				c.Clicks = 0
				require.False(t, seen[c], "%v is there twice", c)
				seen[c] = true
				require.Equal(t, size, c.To.Sub(c.From))
			}
			require.Equal(t, clicks, got)

			var table strings.Builder
			require.NoError(t, k.print(&table))
			require.Regexp(t, `^09:00:00-09:00:05 / +\d+ █+\n`, table.String())
			require.Equal(t, len(counts.Values()), strings.Count(table.String(), "\n"))
		})
	}
}

// Goal: clicks without end, made and counted by one job, which shows counts as they come.
func TestJob_endless(t *testing.T) {
	k, err := connect("", "")
	require.NoError(t, err)
	defer k.stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := pipeline.New()
	lines := &lines{enough: func(n int) {
		if n == len(pages) {
			cancel()
		}
	}}
	k.writeClicks(endless(p, 1000))
	k.writeCounts(perPage(k.readClicks(p, false)))
	show(k.readCounts(p), lines)
	_, err = local.Run(ctx, p, local.Config{Parallelism: 2})
	require.ErrorIs(t, err, context.Canceled)
	for line := range strings.Lines(lines.text.String()) {
		require.Regexp(t, regexp.MustCompile(`^\d\d:\d\d:\d[05]-\d\d:\d\d:\d[05] /[a-z/]* +\d+ █*\n$`), line)
	}
}

// lines counts the lines that are written to it.
type lines struct {
	mu     sync.Mutex // guards what follows
	text   strings.Builder
	enough func(n int)
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	l.enough(strings.Count(l.text.String(), "\n"))
	return len(b), nil
}
