package runners

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// visits is a savepoint with state of many kinds; package savepoint tests what is in it.
const visits = "../savepoint/testdata/visits.savepoint"

// visitsJob is a folder with a stopped job in the state of visits, and visits as a
// savepoint of its own.
func visitsJob(t *testing.T) (dir string) {
	dir = stoppedJob(t, nil)
	f, err := savefile.Open(visits)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, savefile.Import(theFake.jobs[dir], f))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "savepoints"), 0o700))
	b, err := os.ReadFile(visits)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "savepoints", "v.savepoint"), b, 0o600))
	return dir
}

// lines are the lines of a program's output, sorted.
func lines(out string) []string {
	list := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	slices.Sort(list)
	return list
}

// Goal: a command says the same of a savepoint, however it is named, and of the state that it was made of.
func TestState_ofAnything(t *testing.T) {
	dir := visitsJob(t)
	for _, cmd := range []string{"ls", "dump", "dump users", "dump users -cell seen", "get users user1", `get users seen "user1"`} {
		words := strings.Fields(cmd)
		code, want, stderr := on(t, dir, append([]string{"state"}, words...)...)
		require.Zero(t, code, stderr)
		require.NotEmpty(t, want)
		for _, line := range lines(want) {
			require.True(t, json.Valid([]byte(line)), line)
		}
		for name, args := range map[string][]string{
			"a flag behind":      append(append([]string{"state"}, words...), "-savepoint", visits),
			"a flag before":      append([]string{"state", words[0], "-savepoint=" + visits}, words[1:]...),
			"a file":             append([]string{"state", words[0], visits}, words[1:]...),
			"a name in the job":  append([]string{"state", words[0], "-savepoint", "v"}, words[1:]...),
			"a file of that job": append([]string{"state", words[0], filepath.Join(dir, "savepoints", "v.savepoint")}, words[1:]...),
		} {
			code, got, stderr := on(t, dir, args...)
			require.Zero(t, code, stderr)
			require.Equal(t, lines(want), lines(got), "%s, by %s", cmd, name)
		}
		code, got, _ := command(t.Context(), small, append([]string{"-runner=fake", "-fake-dir=", "state", words[0], visits}, words[1:]...)...)
		require.Zero(t, code, "a file needs no job")
		require.Equal(t, lines(want), lines(got))
	}
}

func TestState_lines(t *testing.T) {
	code, out, _ := on(t, "", "state", "ls", visits)
	require.Zero(t, code)
	require.Regexp(t, `\{"transform":"users","kind":"Stateful","position":"savepoint/savepoint_test.go:\d+","key":"string","state":\["value seen int64","value who struct\{Name string; Score int64\}","bag bag \[\]int64",.*\],"rows":5,"bytes":\d+\}\n`, out)

	code, out, _ = on(t, "", "state", "get", visits, "users", "seen", "user3")
	require.Zero(t, code)
	require.Equal(t, `{"transform":"users","key":"user3","state":{"seen":6}}`+"\n", out)

	code, out, _ = on(t, "", "state", "get", visits, "Count/perMinute", "user3")
	require.Zero(t, code)
	require.Equal(t, `{"transform":"Count/perMinute","key":"user3","window":{"start":0,"end":60000},"state":{"accumulator":6}}`+"\n", out)

	code, out, _ = on(t, "", "state", "dump", visits, "-cell=seen")
	require.Zero(t, code)
	require.Len(t, lines(out), 4)

	code, out, _ = on(t, "", "state", "splits", visits)
	require.Zero(t, code)
	require.Regexp(t, `^\{"transform":"visits","split":"[^"]+","done":false,"lane":0,"position":"[^"]+"\}\n$`, out)

	code, out, _ = on(t, "", "state", "dump", visits, "EventTime")
	require.Zero(t, code)
	require.Regexp(t, `^\{"transform":"EventTime","lane":0,"row":"clock","state":\{"bytes":".*"\}\}\n$`, out)
}

func TestState_mistakes(t *testing.T) {
	dir := visitsJob(t)
	empty := stoppedJob(t, nil)
	torn := filepath.Join(t.TempDir(), "torn.savepoint")
	b, err := os.ReadFile(visits)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(torn, b, 0o600))
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"state", ExitUsage, `unexpected argument "state": there is`},
		{"state show", ExitUsage, "  state ls [FILE.savepoint]: the transforms that keep state"},
		{"state ls more", ExitUsage, `state ls: "more" is one argument too many`},
		{"state ls -cell=x", ExitUsage, "state ls: flag provided but not defined: -cell"},
		{"state dump -cell", ExitUsage, "state dump: flag needs an argument: -cell"},
		{"state dump user", ExitFailed, `there is no transform "user" in ` + dir + `; state is kept by "EventTime", "users", "Count/perMinute"`},
		{"state dump users -cell=sen", ExitFailed, `"users" has no "sen"; it has "seen", "who", "bag", "set", "tens", "list", "wake"`},
		{"state dump EventTime -cell=sen", ExitFailed, `"EventTime" keeps no state by key, so no "sen"`},
		{"state get users", ExitUsage, "state get: an argument is missing\nusage: state get [FILE.savepoint] TRANSFORM [CELL] KEY"},
		{"state get users seen -5", ExitFailed, "state get: nothing is kept for that key"},
		{"state get users nobody", ExitFailed, "state get: nothing is kept for that key"},
		{"state get EventTime clock", ExitFailed, `"EventTime" keeps no state by key: state dump shows what it has`},
		{"state ls -savepoint none", ExitFailed, "no such file or directory"},
		{"state ls -savepoint a..b", ExitUsage, `savepoint name "a..b"`},
		{"state ls savefile.go", ExitUsage, "one argument too many"},
		{"state dump " + torn, ExitFailed, "the savepoint is damaged"},
	} {
		code, _, stderr := on(t, dir, strings.Fields(tc.args)...)
		require.Equal(t, tc.code, code, "%s: %s", tc.args, stderr)
		require.Contains(t, stderr, tc.want, tc.args)
	}
	code, _, stderr := on(t, empty, "state", "ls")
	require.Equal(t, ExitFailed, code)
	require.Equal(t, "state ls: "+empty+": no state is kept there yet\n", stderr)
	code, _, stderr = on(t, "", "state", "ls")
	require.Equal(t, ExitUsage, code)
	require.Contains(t, stderr, "state ls: of what? give a savepoint (-savepoint FILE), or the folder of a stopped job by -state-dir, before the command")
	code, _, stderr = on(t, "", "state", "ls", "-savepoint=v")
	require.Equal(t, ExitUsage, code)
	require.Contains(t, stderr, `savepoint "v": give the path of its file, or the job's folder by -state-dir`)
}

func TestState_ofARunningJob(t *testing.T) {
	dir := visitsJob(t)
	runningJob(t, dir, jobIn{dir, theFake.jobs[dir]})
	for _, args := range []string{"state ls", "state dump", "state get users user1", "plan"} {
		code, _, stderr := on(t, dir, strings.Fields(args)...)
		require.Equal(t, ExitFailed, code)
		require.Contains(t, stderr, fmt.Sprintf("the job in %s is running (pid %d): make a savepoint of it (savepoint create NAME), and look at that (-savepoint NAME)", dir, os.Getpid()))
	}
	code, out, stderr := on(t, dir, "state", "get", "users", "seen", "user1", "-savepoint", "v")
	require.Zero(t, code, stderr)
	require.Contains(t, out, `"seen":7`)
}

// Goal: integers that look like flags, and strings with and without quotes.
func TestState_keys(t *testing.T) {
	dir := t.TempDir()
	m := commit.NewMemory()
	require.NoError(t, m.Begin(1).Commit(&commit.Record{Lanes: 1, Manifest: commit.Manifest{Nodes: []commit.Node{
		{Name: "sum", Kind: "Stateful", Key: "beam:coder:varint:v1", State: []string{"value n beam:coder:varint:v1"}, Stateful: true},
	}}}))
	theFake.jobs[dir] = m
	code, _, stderr := on(t, dir, "state", "get", "sum", "-5")
	require.Equal(t, ExitFailed, code)
	require.Equal(t, "state get: nothing is kept for that key\n", stderr)
	code, _, stderr = on(t, dir, "state", "get", "sum", "five")
	require.Equal(t, ExitUsage, code)
	require.Contains(t, stderr, `five is no key of "sum": these are int64, written as JSON (`)
	code, _, stderr = on(t, dir, "state", "get", "sum", "--", "-x")
	require.Equal(t, ExitUsage, code)
	require.Contains(t, stderr, `-x is no key of "sum"`)
}

// Goal: a state that lies apart of the others of its key is a line of its own.
func TestState_ofWhatLiesApart(t *testing.T) {
	node := commit.Node{Name: "albums", Kind: "Stateful", Stateful: true, Key: "beam:coder:string_utf8:v1",
		State: []string{"value text beam:coder:string_utf8:v1", "value seen beam:coder:varint:v1"}}
	l, err := upgrade.LayoutOf(node)
	require.NoError(t, err)
	store := commit.NewMemory()
	ep := store.Begin(1)
	w := ep.Lane(0)
	w.Node(node.Name)
	w.Put(5, l.RowKey(window.Global, []byte("\x01k")), []byte("\x80\x00\x01\x00\x01\x07"))
	w.Put(5, l.PartKey("text", window.Global, []byte("\x01k")), []byte("\x01\x03abc"))
	require.NoError(t, ep.Commit(&commit.Record{Lanes: 1, Manifest: commit.Manifest{Nodes: []commit.Node{node}}}))
	path := filepath.Join(t.TempDir(), "albums.savepoint")
	require.NoError(t, savefile.Write(path, store, savefile.Facts{Name: "albums", Program: "albums"}))
	const head, part = `{"transform":"albums","key":"k","state":{"seen":7}}`, `{"transform":"albums","key":"k","state":{"text":"abc"}}`
	for cmd, want := range map[string][]string{
		"dump " + path: {head, part}, "dump " + path + " albums -cell seen": {head}, "dump " + path + " albums -cell text": {part},
		"get " + path + " albums k": {head, part}, "get " + path + " albums text k": {part},
	} {
		code, out, stderr := command(t.Context(), small, append([]string{"-runner=fake", "-fake-dir=", "state"}, strings.Fields(cmd)...)...)
		require.Zero(t, code, stderr)
		require.Equal(t, want, lines(out), cmd)
	}
}

// Goal: a dump ends when it is interrupted.
func TestState_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, stderr := command(ctx, small, "-runner=fake", "-fake-dir=", "state", "dump", visits)
	require.Equal(t, ExitInterrupted, code)
	require.Equal(t, "cancelled\n", stderr)
}

// Goal: a reader that goes away, as head does, is a failure and no panic.
func TestState_outputFails(t *testing.T) {
	var stderr bytes.Buffer
	args := []string{"-runner=fake", "-fake-dir=", "state", "dump", visits}
	code := run(t.Context(), flag.NewFlagSet("prog", flag.ContinueOnError), args, small, closed{}, &stderr)
	require.Equal(t, ExitFailed, code)
	require.Equal(t, "state dump: file already closed\n", stderr.String())
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestPlan(t *testing.T) {
	dir := visitsJob(t)
	users := func(p *pipeline.Pipeline) {
		visits := pipeline.Generate(p, 100, func(i uint64, e *int) { *e = int(i) }, pipeline.Named("visits"))
		byUser := pipeline.KeyBy(visits, func(i int) string { return fmt.Sprint("user", i%4) })
		pipeline.ForEach(pipeline.Stateful(byUser, "users", func(s *pipeline.Setup[string, int]) pipeline.Process[string, int, int] {
			pipeline.ValueState[int64](s, "seen")
			return func(*pipeline.Ctx[string], int, pipeline.Emit[int]) error { return nil }
		}), func(context.Context, int) error { return nil })
	}
	for _, args := range [][]string{{"plan"}, {"plan", visits}, {"plan", "-savepoint", "v"}} {
		code, out, stderr := command(t.Context(), users, append([]string{"-runner=fake", "-fake-dir=" + dir}, args...)...)
		require.Equal(t, ExitFailed, code)
		require.Regexp(t, `(?m)^kept +visits `, out)
		require.Regexp(t, `(?m)^refused +Count/perMinute `, out)
		require.Contains(t, stderr, "plan: the program would not start with the state in ")
		require.Contains(t, stderr, "(-allow-dropped Count/perMinute)")
	}
	code, out, stderr := command(t.Context(), users, "-runner=fake", "-fake-dir="+dir, "-fake-dropped=*", "plan")
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?m)^dropped +Count/perMinute `, out)

	empty := stoppedJob(t, nil)
	code, _, stderr = command(t.Context(), users, "-runner=fake", "-fake-dir="+empty, "plan")
	require.Equal(t, ExitFailed, code)
	require.Contains(t, stderr, "no state is kept there yet")
	code, _, stderr = command(t.Context(), users, "-runner=fake", "-fake-dir="+empty, "-fake-from="+visits, "-fake-dropped=*", "plan")
	require.Zero(t, code, stderr)
	code, _, stderr = command(t.Context(), func(p *pipeline.Pipeline) { pipeline.Map[int, int](pipeline.Create(p, 1), nil) }, "-runner=fake", "-fake-dir="+dir, "plan")
	require.Equal(t, ExitFailed, code)
	require.Contains(t, stderr, "plan: the pipeline can't be run:\n  runners/state_test.go:")
}
