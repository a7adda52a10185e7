package savepoint_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/savepoint"
	"github.com/stretchr/testify/require"
)

// albums keeps a count and a text for each of four users, which is large for all but the
// first, and puts out both.
func albums(t *testing.T, store commit.Store, n uint64) []string {
	var mu sync.Mutex
	var lines []string
	p := pipeline.New()
	visits := pipeline.Generate(p, n, func(i uint64, e *int) { *e = int(i) }, pipeline.Named("visits"))
	byUser := pipeline.KeyBy(visits, func(i int) string { return fmt.Sprint("user", i%4) })
	out := pipeline.Stateful(byUser, "albums", func(s *pipeline.Setup[string, string]) pipeline.Process[string, int, string] {
		text := pipeline.ValueState[string](s, "text", pipeline.TTL(time.Hour))
		seen := pipeline.ValueState[int64](s, "seen")
		return func(c *pipeline.Ctx[string], v int, emit pipeline.Emit[string]) error {
			if _, ok := text.Lookup(c); !ok {
				text.Set(c, strings.Repeat("x", v%4*1000))
			}
			seen.Set(c, seen.Get(c)+1)
			emit(fmt.Sprint(c.Key(), " ", seen.Get(c), " ", len(text.Get(c))))
			return nil
		}
	})
	pipeline.ForEach(out, func(_ context.Context, s string) error {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, s)
		return nil
	})
	require.NoError(t, p.Err())
	_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 2, EpochBundles: 1, Batch: 1, Store: store, Manifest: upgrade.ManifestOf(p.Graph())})
	require.NoError(t, err)
	slices.Sort(lines)
	return lines
}

// lengths are those of the values of the cell "text".
func lengths(t *testing.T, s *savepoint.Savepoint) map[string]int {
	m := map[string]int{}
	for k, v := range all[string, string](t, s, "albums", "text") {
		m[k] = len(v)
	}
	return m
}

// Goal: cells that lie apart, in rows of their own, are read, set, cleared and deleted as
// others are, and a job goes on from what was edited.
func TestEdit_ofLargeCells(t *testing.T) {
	dir := t.TempDir()
	albums(t, recording{commit.NewMemory(), dir}, events)
	files, err := filepath.Glob(filepath.Join(dir, "*.savepoint"))
	require.NoError(t, err)
	s, err := savepoint.Open(files[len(files)/2])
	require.NoError(t, err)
	defer s.Close()
	whole := map[string]int{"user0": 0, "user1": 1000, "user2": 2000, "user3": 3000}
	require.Equal(t, whole, lengths(t, s))
	require.Len(t, all[string, int64](t, s, "albums", "seen"), 4)
	text, ok, err := savepoint.Get[string, string](s, "albums", "text", "user2")
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, text, 2000)
	seen, ok, err := savepoint.Get[string, int64](s, "albums", "seen", "user2")
	require.NoError(t, err)
	require.True(t, ok)

	e := s.Edit()
	require.NoError(t, savepoint.Set(e, "albums", "seen", "user1", int64(1000)))
	require.NoError(t, savepoint.Set(e, "albums", "text", "user0", strings.Repeat("y", 5000)))
	require.NoError(t, savepoint.Set(e, "albums", "text", "user2", "y"))
	require.NoError(t, savepoint.Set(e, "albums", "text", "user2", "yy"))
	require.NoError(t, savepoint.Clear[string, string](e, "albums", "text", "user1"))
	require.NoError(t, savepoint.Delete(e, "albums", "user3"))
	path := filepath.Join(t.TempDir(), "edited.savepoint")
	require.NoError(t, e.Save(path))
	edited, err := savepoint.Open(path)
	require.NoError(t, err)
	defer edited.Close()
	require.NoError(t, edited.Check())
	require.Equal(t, map[string]int{"user0": 5000, "user2": 2}, lengths(t, edited))
	require.Equal(t, []string{"user0", "user1", "user2"}, slices.Sorted(maps.Keys(all[string, int64](t, edited, "albums", "seen"))))

	f, err := savefile.Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Rows(commit.Want{}, func(r commit.Row) error {
		require.False(t, strings.HasPrefix(string(r.Key), "part"), "what was large is in the row of its key, or nowhere")
		return nil
	}))
	store := commit.NewMemory()
	require.NoError(t, savefile.Import(store, f))
	got := strings.Join(albums(t, store, events), "\n")
	require.Contains(t, got, fmt.Sprintf("user2 %d 2\n", seen+1))
	require.Contains(t, got, "user1 1001 1000\n", "set anew")
	require.Contains(t, got, "user3 1 3000\n", "begun anew")
	require.Contains(t, got, " 5000\n")
}
