package text

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// rolledLane is a lane of a sink that writes to a new folder.
type rolledLane struct {
	t    *testing.T
	dir  string
	sink *typedSink[string]
	w    pipeline.Writer[string]
}

func rolls(t *testing.T, name string, opts ...WriteOption) *rolledLane {
	r := &rolledLane{t: t, dir: t.TempDir()}
	s := &sink{path: filepath.Join(r.dir, name), single: true}
	for _, o := range opts {
		o(s)
	}
	r.sink = &typedSink[string]{s, func() Formatter[string] {
		return func(b []byte, v string) ([]byte, error) { return append(b, v...), nil }
	}}
	r.open(nil)
	return r
}

func (r *rolledLane) open(state []byte) {
	w, err := r.sink.Open(r.t.Context(), 0, 1, state)
	require.NoError(r.t, err)
	r.w = w
}

func (r *rolledLane) write(lines ...string) {
	for _, l := range lines {
		require.NoError(r.t, r.w.Write(l))
	}
}

func (r *rolledLane) prepare() []byte {
	state, err := r.w.Prepare()
	require.NoError(r.t, err)
	return state
}

// epoch writes lines and commits them.
func (r *rolledLane) epoch(lines ...string) []byte {
	r.write(lines...)
	state := r.prepare()
	require.NoError(r.t, r.w.Commit())
	return state
}

// shown is what lies there under its name: "000001: a b".
func (r *rolledLane) shown() (out []string) {
	files, err := filepath.Glob(r.dir + "/[^.]*")
	require.NoError(r.t, err)
	for _, f := range files {
		n := strings.TrimPrefix(filepath.Base(f), "out-")
		n, _, _ = strings.Cut(n, ".")
		out = append(out, n+": "+strings.Join(strings.Fields(content(r.t, f)), " "))
	}
	return out
}

func TestRoll_bySize(t *testing.T) {
	for _, name := range []string{"out.txt", "out.txt.gz", "out.zst"} {
		r := rolls(t, name, RollBytes(6), Header("h"))
		r.epoch("a")
		require.Empty(t, r.shown(), "the file is not full: it goes on")
		r.write("b", "c", "d", "e")
		require.Empty(t, r.shown())
		state := r.prepare()
		require.Empty(t, r.shown(), "full, but not committed")
		r.write("f", "g", "h")
		require.NoError(t, r.w.Commit())
		require.Equal(t, []string{"000000: h a b", "000001: h c d"}, r.shown(), name)
		require.Len(t, hidden(t, r.dir), 2, "the file at hand, and one that was full since")

		r.open(state) // the process has died
		require.Len(t, hidden(t, r.dir), 1, "what was begun since is gone")
		r.epoch("i", "j")
		require.Equal(t, []string{"000000: h a b", "000001: h c d", "000002: h e i"}, r.shown())
		require.NoError(t, r.w.Finish())
		require.Equal(t, []string{"000000: h a b", "000001: h c d", "000002: h e i", "000003: h j"}, r.shown())
		require.Empty(t, hidden(t, r.dir))
	}
}

func TestRoll_eachCheckpoint(t *testing.T) {
	r := rolls(t, "out.txt", RollEach())
	r.epoch("a", "b")
	r.epoch()
	r.epoch()
	r.write("c")
	r.prepare()
	r.write("d")
	require.NoError(t, r.w.Commit())
	require.Equal(t, []string{"000000: a b", "000001: c"}, r.shown())
	r.epoch()
	require.NoError(t, r.w.Finish())
	require.Equal(t, []string{"000000: a b", "000001: c", "000002: d"}, r.shown())
}

// A file's age counts from its first line, also over restarts.
func TestRoll_byAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rolls(t, "out.txt", RollAfter(time.Minute))
		time.Sleep(time.Hour) // by the clock of the test
		r.epoch("a")
		time.Sleep(40 * time.Second)
		state := r.epoch("b")
		require.Empty(t, r.shown())
		r.w.Abort(false)
		time.Sleep(20 * time.Second)
		r.open(state)
		r.epoch() // nothing is written to it any more
		require.Equal(t, []string{"000000: a b"}, r.shown())
		require.NoError(t, r.w.Finish())
		require.Empty(t, hidden(t, r.dir))
	})
}

// Goal: files that were shown are not touched again, so that a reader may follow
// them or take them away, also where a crash came in between.
func TestRoll_shownFilesAreTheirReaders(t *testing.T) {
	r := rolls(t, "out.txt", RollEach())
	state := r.epoch("a")
	first := filepath.Join(r.dir, "out-000000.txt")
	before, err := os.Stat(first)
	require.NoError(t, err)
	r.open(state) // the crash came behind Commit
	after, err := os.Stat(first)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
	require.Equal(t, before.ModTime(), after.ModTime())

	require.NoError(t, os.Remove(first))
	r.open(state)
	state = r.epoch("b")
	require.Equal(t, []string{"000001: b"}, r.shown())
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "out-000001.txt"), []byte("another"), 0o666))
	_, err = r.sink.Open(t.Context(), 0, 1, state)
	require.ErrorContains(t, err, "out-000001.txt")
	require.ErrorContains(t, err, "the file there did not come of it")
}

// Goal: a crash behind Finish, or between its steps, changes nothing.
func TestRoll_finishAgain(t *testing.T) {
	r := rolls(t, "out.txt", RollBytes(1000))
	state := r.epoch("a")
	for range 3 {
		require.NoError(t, r.w.Finish())
		require.Equal(t, []string{"000000: a"}, r.shown())
		require.Empty(t, hidden(t, r.dir))
		r.open(state)
	}
}

func TestRoll_abort(t *testing.T) {
	for _, final := range []bool{false, true} {
		r := rolls(t, "out.txt", RollBytes(4))
		state := r.epoch("a", "b", "c") // one shown, c goes on
		r.write("d", "e", "f", "g")     // c d is full, e f is new and full, g is new
		r.w.Abort(final)
		require.Equal(t, []string{"000000: a b"}, r.shown())
		if final {
			require.Empty(t, hidden(t, r.dir))
			continue
		}
		require.Len(t, hidden(t, r.dir), 1)
		r.open(state)
		r.write("x")
		r.prepare()
		r.w.Abort(true)
		require.Equal(t, []string{"000000: a b"}, r.shown())
		require.Empty(t, hidden(t, r.dir))
	}
}

// Goal: no name is given twice, whatever the numbers of lanes were.
func TestRoll_otherLanes(t *testing.T) {
	r := rolls(t, "out.txt", RollEach())
	var states [][]byte
	for _, b := range []string{`{"Next":3}`, `{"Next":17,"Closed":[]}`, `{"Next":0}`} {
		states = append(states, []byte(b))
	}
	state, err := r.sink.Succeed(states)
	require.NoError(t, err)
	r.open(state)
	r.epoch("a")
	require.Equal(t, []string{"000017: a"}, r.shown())
	_, err = r.sink.Succeed([][]byte{[]byte("{")})
	require.ErrorContains(t, err, "the state is damaged")
	for _, bad := range []string{`{"Next":-1}`, `{"Closed":[{"Temp":"x"}]}`, `{"Open":{"Temp":"/etc/passwd#3-00000000"}}`} {
		_, err = r.sink.Open(t.Context(), 0, 1, []byte(bad))
		require.Error(t, err, bad)
	}
}

func TestRoll_names(t *testing.T) {
	require.Equal(t, "d.x/out-00000-of-00002-000017.tar.gz", part("d.x/out-00000-of-00002.tar.gz", 17))
	mine := isPart("s3://b/d/out-00000-of-00002.txt")
	for name, want := range map[string]bool{
		"out-00000-of-00002.txt":          true,
		"out-00000-of-00002-000000.txt":   true,
		"out-00000-of-00002-12345678.txt": true,
		"out-00000-of-00002-00000.txt":    false,
		"out-00000-of-00002-00000x.txt":   false,
		"out-00000-of-00002-000000.csv":   false,
		"out-00001-of-00002-000000.txt":   false,
		"out.txt":                         false,
	} {
		require.Equal(t, want, mine(name), name)
	}
}

// Goal: with restarts after every bundle all is there, each line once, in files that
// are not larger than they should be.
func TestRoll_pipeline(t *testing.T) {
	dir := t.TempDir()
	p := pipeline.New()
	lines := pipeline.Map(pipeline.Generate(p, 3000, func(i uint64, e *uint64) { *e = i }), func(i uint64) string { return fmt.Sprint("line ", i) })
	Write(lines, filepath.Join(dir, "out.txt"), RollBytes(500))
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: 2, BundleEpochs: 1, RestartEvery: 1})
	require.NoError(t, err)
	files, err := filepath.Glob(dir + "/out-*-of-00002-*.txt")
	require.NoError(t, err)
	require.Greater(t, len(files), 50)
	var all []string
	for _, f := range files {
		info, err := os.Stat(f)
		require.NoError(t, err)
		require.Less(t, info.Size(), int64(510))
		all = append(all, strings.Fields(content(t, f))...)
	}
	require.Len(t, all, 6000)
	require.Empty(t, hidden(t, dir))
}

func TestRoll_sentences(t *testing.T) {
	for want, o := range map[string]WriteOption{
		"text.Write: RollBytes(0): want 1 or more":    RollBytes(0),
		"text.Write: RollAfter(0s): want more than 0": RollAfter(0),
	} {
		p := pipeline.New()
		Write(pipeline.Create(p, "x"), "out.txt", o)
		require.ErrorContains(t, p.Err(), want)
		require.ErrorContains(t, p.Err(), "text/roll_test.go:")
	}
}

// Goal: a run of another number of lanes that died before its first snapshot leaves
// nothing behind, and what the lanes of the snapshot have begun stays.
func TestRoll_otherLanesThatDied(t *testing.T) {
	dir := t.TempDir()
	s := &typedSink[string]{&sink{path: filepath.Join(dir, "out.txt")}, func() Formatter[string] {
		return func(b []byte, v string) ([]byte, error) { return append(b, v...), nil }
	}}
	RollEach()(s.sink)
	begin := func(lane, lanes int, state []byte) pipeline.Writer[string] {
		w, err := s.Open(t.Context(), lane, lanes, state)
		require.NoError(t, err)
		require.NoError(t, w.Write("x"))
		return w
	}
	var states [][]byte
	for lane := range 2 {
		state, err := begin(lane, 2, nil).Prepare()
		require.NoError(t, err)
		states = append(states, state)
	}
	behind, err := s.Succeed(states)
	require.NoError(t, err)
	begin(0, 4, behind)
	begin(3, 4, behind)
	require.Len(t, hidden(t, dir), 4)
	begin(0, 3, behind)
	require.Len(t, hidden(t, dir), 3, "those of 4 lanes are gone")
	begin(0, 2, states[0])
	left := hidden(t, dir)
	require.Len(t, left, 2)
	for _, name := range left {
		require.Contains(t, name, "-of-00002-")
	}
}
