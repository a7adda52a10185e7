package savepoint_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/savepoint"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// profile is a value of state with fields.
type profile struct {
	Name  string
	Score int
}

const events = 100

// shop is the pipeline that the savepoints here are of: visits of four users, a second
// apart. Its outputs go to out.
func shop(p *pipeline.Pipeline, name string, out func(string)) {
	visits := pipeline.Generate(p, events, func(i uint64, e *int) { *e = int(i) }, pipeline.Named("visits"))
	timed := pipeline.EventTime(visits, func(i int) time.Time { return time.UnixMilli(int64(i) * 1000) })
	byUser := pipeline.KeyBy(timed, func(i int) string { return fmt.Sprint("user", i%4) })
	found := pipeline.Stateful(byUser, name, func(s *pipeline.Setup[string, string]) pipeline.Process[string, int, string] {
		seen := pipeline.ValueState[int64](s, "seen")
		who := pipeline.ValueState[profile](s, "who", pipeline.TTL(time.Hour))
		bag := pipeline.BagState[int](s, "bag")
		set := pipeline.SetState[int](s, "set")
		byTen := pipeline.MapState[string, int](s, "tens")
		list := pipeline.OrderedListState[string](s, "list")
		wake := pipeline.EventTimer(s, "wake", func(*pipeline.Ctx[string], pipeline.Emit[string]) error { return nil })
		return func(c *pipeline.Ctx[string], v int, emit pipeline.Emit[string]) error {
			seen.Set(c, seen.Get(c)+1)
			who.Set(c, profile{who.Get(c).Name + "x", v})
			bag.Add(c, v)
			set.Add(c, v/10)
			byTen.Put(c, fmt.Sprint(v/10), v)
			list.Add(c, c.Timestamp(), fmt.Sprint(v))
			wake.Set(c, time.UnixMilli(1_000_000))
			emit(fmt.Sprintf("%s seen %d", c.Key(), seen.Get(c)))
			return nil
		}
	})
	perMinute := transforms.Count(byUser.Windowed(window.Fixed(time.Minute)), pipeline.Named("perMinute"))
	counts := pipeline.MapKV(perMinute, func(u string, n int64) string { return fmt.Sprintf("%s in a minute %d", u, n) })
	for _, c := range []pipeline.PCollection[string]{found, counts} {
		pipeline.ForEach(c, func(_ context.Context, s string) error { out(s); return nil })
	}
}

// recording is a store that makes a savepoint of each of its epochs.
type recording struct {
	*commit.Memory
	dir string
}

func (r recording) Begin(lanes int) commit.Epoch { return recordingEpoch{r.Memory.Begin(lanes), r} }

type recordingEpoch struct {
	commit.Epoch
	r recording
}

func (e recordingEpoch) Commit(rec *commit.Record) error {
	if err := e.Epoch.Commit(rec); err != nil {
		return err
	}
	facts := savefile.Facts{Created: time.Unix(1000, 0), Name: fmt.Sprint("epoch", rec.Epoch), Program: "shop"}
	return savefile.Write(filepath.Join(e.r.dir, fmt.Sprintf("%03d.savepoint", rec.Epoch)), e.r, facts)
}

// run runs the shop from a store, and returns what it put out, sorted.
func run(t testing.TB, store commit.Store, name string, lanes int) []string {
	var mu sync.Mutex
	var lines []string
	p := pipeline.New()
	shop(p, name, func(s string) { mu.Lock(); defer mu.Unlock(); lines = append(lines, s) })
	require.NoError(t, p.Err())
	_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: lanes, EpochBundles: 1, Store: store, Manifest: upgrade.ManifestOf(p.Graph())})
	require.NoError(t, err)
	slices.Sort(lines)
	return lines
}

// middle is the savepoint of a run of the shop that lies about in the middle.
func middle(t testing.TB) *savepoint.Savepoint {
	dir := t.TempDir()
	run(t, recording{commit.NewMemory(), dir}, "users", 1)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		s, err := savepoint.Open(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		seen, failed := savepoint.Values[string, int64](s, "users", "seen")
		n := int64(0)
		for _, v := range seen {
			n += v
		}
		require.NoError(t, failed())
		if n > events/4 && n < events {
			t.Cleanup(func() { s.Close() })
			return s
		}
		require.NoError(t, s.Close())
	}
	t.Fatalf("none of %d epochs lies in the middle", len(files))
	return nil
}

// all reads a cell of all keys.
func all[K comparable, V any](t testing.TB, s *savepoint.Savepoint, transform, cell string) map[K]V {
	values, failed := savepoint.Values[K, V](s, transform, cell)
	m := maps.Collect(values)
	require.NoError(t, failed())
	return m
}

func TestRead(t *testing.T) {
	s := middle(t)
	require.NoError(t, s.Check())
	require.Equal(t, fmt.Sprint("epoch", s.Epoch()), s.Name())
	require.Equal(t, time.Unix(1000, 0).UTC(), s.Created())
	require.Equal(t, 1, s.Parallelism())

	seen := all[string, int64](t, s, "users", "seen")
	require.Len(t, seen, 4)
	n := seen["user3"]
	who := all[string, profile](t, s, "users", "who")["user3"]
	require.Equal(t, profile{strings.Repeat("x", int(n)), int(n-1)*4 + 3}, who)
	bag := all[string, []int](t, s, "users", "bag")["user3"]
	require.Len(t, bag, int(n))
	require.Equal(t, 7, bag[1])
	require.Contains(t, all[string, []int](t, s, "users", "set")["user3"], 1)
	require.Equal(t, 7, all[string, map[string]int](t, s, "users", "tens")["user3"]["0"])
	list := all[string, []coder.KV[int64, string]](t, s, "users", "list")["user3"]
	require.Equal(t, coder.KV[int64, string]{Key: 7000, Value: "7"}, list[1])

	one, ok, err := savepoint.Get[string, int64](s, "users", "seen", "user3")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, n, one)
	_, ok, err = savepoint.Get[string, int64](s, "users", "seen", "nobody")
	require.NoError(t, err)
	require.False(t, ok)

	entries, failed := savepoint.Entries[string, int64](s, "Count/perMinute", "accumulator")
	counted := 0
	for e := range entries {
		counted++
		require.Equal(t, int64(time.Minute/time.Millisecond), e.Window.End-e.Window.Start)
		v, ok, err := savepoint.GetIn[string, int64](s, "Count/perMinute", "accumulator", e.Window, e.Key)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, e.Value, v)
	}
	require.NoError(t, failed())
	require.Positive(t, counted)

	values, failed := savepoint.Values[string, int64](s, "users", "seen")
	for range values {
		break
	}
	require.NoError(t, failed(), "a loop that is left early has not failed")
}

func TestTransforms(t *testing.T) {
	s := middle(t)
	byName := map[string]savepoint.Transform{}
	for _, x := range s.Transforms() {
		byName[x.Name] = x
	}
	users := byName["users"]
	require.Equal(t, "Stateful", users.Kind)
	require.Regexp(t, `savepoint_test\.go:\d+$`, users.Position)
	require.Equal(t, "string", users.Key)
	require.EqualValues(t, 5, users.Rows, "four keys, and the watermark")
	require.Positive(t, users.Bytes)
	require.Equal(t, savepoint.Cell{Name: "seen", Kind: "value", Type: "int64", Coder: "beam:coder:varint:v1"}, users.Cells[0])
	require.Equal(t, savepoint.Cell{Name: "wake", Kind: "event-timer"}, users.Cells[6])
	require.Equal(t, "struct{Name string; Score int64}", users.Cells[1].Type)
	require.True(t, byName["visits"].Source)
	require.Equal(t, "fixed(1m0s)", byName["Count/perMinute"].Windowing)
}

// Goal: what is asked for wrongly is a sentence that says what there is.
func TestRead_mistakes(t *testing.T) {
	s := middle(t)
	err := func(_ any, failed func() error) error { return failed() }
	for want, got := range map[string]error{
		`there is no transform "user"; state by key is kept by "users", "Count/perMinute"`: err(savepoint.Values[string, int64](s, "user", "seen")),
		`"visits" keeps no state by key`: err(savepoint.Values[string, int64](s, "visits", "seen")),
		`"users" has no cell "sen"; it has "seen", "who", "bag", "set", "tens", "list", "wake"`:                            err(savepoint.Values[string, int64](s, "users", "sen")),
		`the keys of "users" are string (beam:coder:string_utf8:v1), not int64 (beam:coder:varint:v1)`:                     err(savepoint.Values[int, int64](s, "users", "seen")),
		`value "seen" of "users" is int64 (beam:coder:varint:v1), not string (beam:coder:string_utf8:v1)`:                  err(savepoint.Values[string, string](s, "users", "seen")),
		`event-timer "wake" of "users" is not read by type; state dump shows it`:                                           err(savepoint.Values[string, int64](s, "users", "wake")),
		`bag "bag" of "users" is []int64 (beam:coder:iterable:v1<beam:coder:varint:v1>), not int64 (beam:coder:varint:v1)`: err(savepoint.Values[string, int64](s, "users", "bag")),
		`set: value "seen" of "users" is int64 (beam:coder:varint:v1), not bool (beam:coder:bool:v1)`:                      savepoint.Set(s.Edit(), "users", "seen", "user1", true),
		`clear: there is no transform "x"; state by key is kept by "users", "Count/perMinute"`:                             savepoint.Clear[string, int64](s.Edit(), "x", "seen", "user1"),
		`delete: the keys of "users" are string (beam:coder:string_utf8:v1), not int64 (beam:coder:varint:v1)`:             savepoint.Delete(s.Edit(), "users", 1),
		`drop: there is no transform "x"; state by key is kept by "users", "Count/perMinute"`:                              s.Edit().Drop("x"),
		`rename: there is no transform or scope "x"`:                                                                       s.Edit().Rename("x", "y"),
		`rename "users": there is a transform "visits" already`:                                                            s.Edit().Rename("users", "visits"),
	} {
		require.EqualError(t, got, want)
	}
	_, err2 := savepoint.Open(filepath.Join(t.TempDir(), "none.savepoint"))
	require.ErrorIs(t, err2, os.ErrNotExist)
}

// Goal: an edited savepoint is what a job goes on from, with what was not edited as it was.
func TestEdit(t *testing.T) {
	s := middle(t)
	before := all[string, int64](t, s, "users", "seen")
	e := s.Edit()
	require.NoError(t, savepoint.Set(e, "users", "seen", "user0", int64(1000)))
	require.NoError(t, savepoint.Set(e, "users", "who", "user0", profile{"edited", 1}))
	require.NoError(t, savepoint.Set(e, "users", "bag", "user0", []int{1, 2, 3}))
	require.NoError(t, savepoint.Set(e, "users", "list", "user0", []coder.KV[int64, string]{{Key: 5, Value: "five"}}))
	require.NoError(t, savepoint.Set(e, "users", "tens", "user0", map[string]int{"a": 1, "b": 2}))
	require.NoError(t, savepoint.Delete(e, "users", "user1"))
	require.NoError(t, savepoint.Delete(e, "users", "nobody"))
	require.NoError(t, savepoint.Clear[string, int64](e, "users", "seen", "user2"))
	require.NoError(t, savepoint.Clear[string, profile](e, "users", "who", "user2"))
	require.NoError(t, savepoint.Clear[string, profile](e, "users", "who", "nobody"))
	require.NoError(t, e.Rename("users", "people"))
	require.NoError(t, savepoint.Set(e, "people", "seen", "user9", int64(9)), "by the new name from here on")
	require.NoError(t, savepoint.Set(e, "people", "seen", "user8", int64(8)))
	require.NoError(t, savepoint.Delete(e, "people", "user8"))
	require.NoError(t, e.Drop("Count/perMinute"))
	path := filepath.Join(t.TempDir(), "edited.savepoint")
	require.NoError(t, e.Save(path))
	require.ErrorIs(t, e.Save(path), os.ErrExist)
	require.Equal(t, before, all[string, int64](t, s, "users", "seen"), "the savepoint itself is as it was")

	edited, err := savepoint.Open(path)
	require.NoError(t, err)
	defer edited.Close()
	require.NoError(t, edited.Check())
	require.Equal(t, "edited", edited.Name())
	require.Equal(t, map[string]int64{"user0": 1000, "user3": before["user3"], "user9": 9}, all[string, int64](t, edited, "people", "seen"))
	require.Equal(t, profile{"edited", 1}, all[string, profile](t, edited, "people", "who")["user0"])
	require.NotContains(t, all[string, profile](t, edited, "people", "who"), "user2")
	require.Equal(t, []int{1, 2, 3}, all[string, []int](t, edited, "people", "bag")["user0"])
	require.Equal(t, []coder.KV[int64, string]{{Key: 5, Value: "five"}}, all[string, []coder.KV[int64, string]](t, edited, "people", "list")["user0"])
	require.Equal(t, map[string]int{"a": 1, "b": 2}, all[string, map[string]int](t, edited, "people", "tens")["user0"])
	for _, x := range edited.Transforms() {
		require.NotEqual(t, "Count/perMinute", x.Name)
	}

	f, err := savefile.Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.Zero(t, f.Last().Manifest.Hash, "no such graph ever ran")
	for _, lanes := range []int{1, 3} {
		store := commit.NewMemory()
		require.NoError(t, savefile.Import(store, f))
		got := strings.Join(run(t, store, "people", lanes), "\n")
		require.Contains(t, got, "user0 seen 1001\n")
		require.Contains(t, got, fmt.Sprintf("user3 seen %d\n", before["user3"]+1))
		require.Contains(t, got, "user1 seen 1\n", "begun anew")
		require.Contains(t, got, "user2 seen 1\n", "begun anew")
		require.NotContains(t, got, "user0 seen 2\n")
	}
}

// Goal: a savepoint that nobody edited goes on to the undisturbed result, by any number of lanes.
func TestImport_goesOn(t *testing.T) {
	whole := run(t, commit.NewMemory(), "users", 1)
	dir := t.TempDir()
	run(t, recording{commit.NewMemory(), dir}, "users", 2)
	files, err := filepath.Glob(filepath.Join(dir, "*.savepoint"))
	require.NoError(t, err)
	for _, lanes := range []int{1, 3} {
		for _, path := range files[:min(len(files), 6)] {
			f, err := savefile.Open(path)
			require.NoError(t, err)
			store := commit.NewMemory()
			require.NoError(t, savefile.Import(store, f))
			require.NoError(t, f.Close())
			rest := run(t, store, "users", lanes)
			require.Subset(t, whole, rest, "%s by %d lanes", path, lanes)
		}
	}
}

func TestRename_ofAScope(t *testing.T) {
	s := middle(t)
	e := s.Edit()
	require.NoError(t, e.Rename("Count", "PerMinute"))
	path := filepath.Join(t.TempDir(), "x.savepoint")
	require.NoError(t, e.Save(path))
	renamed, err := savepoint.Open(path)
	require.NoError(t, err)
	defer renamed.Close()
	require.NotEmpty(t, all[string, int64](t, renamed, "PerMinute/perMinute", "accumulator"))
	require.Equal(t, all[string, int64](t, s, "Count/perMinute", "accumulator"), all[string, int64](t, renamed, "PerMinute/perMinute", "accumulator"))
}

// Goal: damage in the rows shows in the loop's error.
func TestRead_damaged(t *testing.T) {
	s := middle(t)
	path := filepath.Join(t.TempDir(), "x.savepoint")
	require.NoError(t, s.Edit().Save(path))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	detected := 0
	for i := range b {
		flipped := bytes.Clone(b)
		flipped[i] ^= 0x10
		require.NoError(t, os.WriteFile(path, flipped, 0o600))
		d, err := savepoint.Open(path)
		if err == nil {
			err = d.Check()
			require.NoError(t, d.Close())
		}
		if err != nil {
			detected++
		}
	}
	require.Equal(t, len(b), detected)
}

var update = flag.Bool("update", false, "rewrite the golden files")

const golden = "testdata/visits.savepoint"

// Goal: savepoints of this version, with state of all kinds, are read for ever.
func TestGolden(t *testing.T) {
	if *update {
		require.NoError(t, os.RemoveAll(golden))
		require.NoError(t, middle(t).Edit().Save(golden))
	}
	s, err := savepoint.Open(golden)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Check())
	seen := all[string, int64](t, s, "users", "seen")
	require.Len(t, seen, 4)
	n := int(seen["user1"])
	require.Equal(t, profile{strings.Repeat("x", n), (n-1)*4 + 1}, all[string, profile](t, s, "users", "who")["user1"])
	require.Len(t, all[string, []int](t, s, "users", "bag")["user1"], n)
	require.NotEmpty(t, all[string, []int](t, s, "users", "set")["user1"])
	require.Equal(t, 9, all[string, map[string]int](t, s, "users", "tens")["user1"]["0"])
	require.Equal(t, coder.KV[int64, string]{Key: 1000, Value: "1"}, all[string, []coder.KV[int64, string]](t, s, "users", "list")["user1"][0])
	require.NotEmpty(t, all[string, int64](t, s, "Count/perMinute", "accumulator"))
}

// Goal: state in windows is edited window by window.
func TestEdit_windows(t *testing.T) {
	s := middle(t)
	first, second := window.Interval{Start: 0, End: 60_000}, window.Interval{Start: 60_000, End: 120_000}
	e := s.Edit()
	require.NoError(t, savepoint.SetIn(e, "Count/perMinute", "accumulator", first, "user0", int64(70)))
	require.NoError(t, savepoint.SetIn(e, "Count/perMinute", "accumulator", second, "user0", int64(80)))
	require.NoError(t, savepoint.SetIn(e, "Count/perMinute", "accumulator", second, "user1", int64(90)))
	require.NoError(t, savepoint.ClearIn[string, int64](e, "Count/perMinute", "accumulator", second, "user1"))
	require.NoError(t, savepoint.Delete(e, "Count/perMinute", "user2"))
	path := filepath.Join(t.TempDir(), "x.savepoint")
	require.NoError(t, e.Save(path))
	edited, err := savepoint.Open(path)
	require.NoError(t, err)
	defer edited.Close()
	var got []string
	entries, failed := savepoint.Entries[string, int64](edited, "Count/perMinute", "accumulator")
	for e := range entries {
		if e.Key != "user3" {
			got = append(got, fmt.Sprintf("%s %d: %d", e.Key, e.Window.Start, e.Value))
		}
	}
	require.NoError(t, failed())
	slices.Sort(got)
	require.Subset(t, got, []string{"user0 0: 70", "user0 60000: 80", "user1 60000: 0"}, "the row of a combine stays, with nothing counted")
	for _, line := range got {
		require.NotContains(t, line, "user2")
	}
}

// Goal: a transform of a kind that only a later version knows is no reason not to read the others.
func TestOpen_unknownParts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.savepoint")
	rec := &commit.Record{Lanes: 1, Manifest: commit.Manifest{Nodes: []commit.Node{
		{Name: "later", Kind: "Stateful", Key: "beam:coder:varint:v1", State: []string{"hologram x beam:coder:varint:v1"}, Stateful: true},
		{Name: "sum", Kind: "Stateful", Key: "beam:coder:varint:v1", State: []string{"value n beam:coder:varint:v1"}, Stateful: true},
	}}}
	require.NoError(t, savefile.Create(path, savefile.Facts{}, rec, func(func(commit.Row) error) error { return nil }))
	s, err := savepoint.Open(path)
	require.NoError(t, err)
	defer s.Close()
	require.Len(t, s.Transforms(), 2)
	require.Empty(t, all[int, int](t, s, "sum", "n"))
	_, _, err = savepoint.Get[int, int](s, "later", "x", 1)
	require.ErrorContains(t, err, `the kind of hologram "x" is unknown: it was declared by a later version`)
}

// Goal: integer keys are found by their groups, of which the Go type decides.
func TestEdit_integerKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.savepoint")
	rec := &commit.Record{Lanes: 1, Manifest: commit.Manifest{Nodes: []commit.Node{
		{Name: "sum", Kind: "Stateful", Key: "beam:coder:varint:v1", State: []string{"value n beam:coder:varint:v1", "bag seen beam:coder:string_utf8:v1 ttl", "value last beam:coder:varint:v1 ttl"}, Stateful: true},
	}}}
	require.NoError(t, savefile.Create(path, savefile.Facts{}, rec, func(func(commit.Row) error) error { return nil }))
	s, err := savepoint.Open(path)
	require.NoError(t, err)
	defer s.Close()
	e := s.Edit()
	for i := -50; i < 50; i++ {
		require.NoError(t, savepoint.Set(e, "sum", "n", i, i*i))
		require.NoError(t, savepoint.Set(e, "sum", "seen", i, []string{"a", fmt.Sprint(i)}))
		require.NoError(t, savepoint.Set(e, "sum", "last", int32(i), i), "an int32 has the same bytes and group")
	}
	require.NoError(t, savepoint.Clear[int, int](e, "sum", "n", 7))
	require.NoError(t, savepoint.Clear[int, []string](e, "sum", "seen", 7))
	require.NoError(t, savepoint.Clear[int, int](e, "sum", "n", 8))
	require.NoError(t, savepoint.Clear[int, []string](e, "sum", "seen", 8))
	require.NoError(t, savepoint.Clear[int, int](e, "sum", "last", 8))
	next := filepath.Join(filepath.Dir(path), "y.savepoint")
	require.NoError(t, e.Save(next))
	edited, err := savepoint.Open(next)
	require.NoError(t, err)
	defer edited.Close()
	n := all[int, int](t, edited, "sum", "n")
	require.Len(t, n, 98)
	require.Equal(t, 49*49, n[-49])
	require.Equal(t, []string{"a", "-3"}, all[int, []string](t, edited, "sum", "seen")[-3])
	last := all[int, int](t, edited, "sum", "last")
	require.Len(t, last, 99)
	require.Equal(t, 7, last[7])
	require.EqualValues(t, 99, edited.Transforms()[0].Rows, "nothing is left of key 8")
	v, ok, err := savepoint.Get[int, int](edited, "sum", "n", -50)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, 2500, v)
}
