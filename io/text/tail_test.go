package text_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

func TestTail_conformance(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i, content := range []string{"one\ntwo\r\n\nfour\nnot yet whole", "", "a\nb\n", strings.Repeat("x\n", 12)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.log", i)), []byte(content), 0o600))
		for l := range strings.Lines(content) {
			if w, whole := strings.CutSuffix(l, "\n"); whole {
				want = append(want, strings.TrimSuffix(w, "\r"))
			}
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "0.log.gz"), []byte("not for us"), 0o600))
	require.NoError(t, os.Link(filepath.Join(dir, "2.log"), filepath.Join(dir, "twice.log")))
	connector.TestSource(t, connector.Source[string]{
		Read: func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return text.Tail(p, dir+"/*.log*", text.PollInterval(time.Millisecond))
		},
		Want: want,
	})
}

// errSeen ends a run that has shown what was to be seen.
var errSeen = errors.New("seen")

// following is a run that follows files.
type following struct {
	t     *testing.T
	got   chan text.SourceLine
	ended chan error
	stop  context.CancelCauseFunc
}

func follow(t *testing.T, cfg local.Config, pattern string, opts ...text.ReadOption) *following {
	ctx, cancel := context.WithCancelCause(t.Context())
	f := &following{t, make(chan text.SourceLine, 1000), make(chan error, 1), cancel}
	p := pipeline.New()
	lines := text.TailWithSource(p, pattern, append(opts, text.PollInterval(time.Millisecond))...)
	pipeline.Write(lines, "test.Show", &show{f.got})
	go func() {
		_, err := local.Run(ctx, p, cfg)
		f.ended <- err
	}()
	t.Cleanup(func() { cancel(errSeen); <-f.ended })
	return f
}

// await is the next lines, in order of their text.
func (f *following) await(want ...string) {
	f.t.Helper()
	slices.Sort(want)
	var got []string
	for len(got) < len(want) {
		select {
		case l := <-f.got:
			if l.Line == probe {
				continue
			}
			name := strings.TrimSuffix(filepath.Base(l.File), ".1") // a restarted run knows the new name
			got = append(got, fmt.Sprintf("%s:%d %s", name, l.Offset, l.Line))
		case err := <-f.ended:
			f.ended <- err
			f.t.Fatalf("the run has ended: %v; seen are %q of %q", err, got, want)
		case <-time.After(20 * time.Second):
			f.t.Fatalf("seen are %q of %q", got, want)
		}
	}
	slices.Sort(got)
	require.Equal(f.t, want, got)
}

// awaitBegin makes files until one is read from its beginning, which proves that the
// run knows what was there when it began.
func (f *following) awaitBegin(dir string) {
	f.t.Helper()
	for i := 0; ; i++ {
		appendTo(f.t, filepath.Join(dir, fmt.Sprintf("probe%d.log", i)), probe+"\n")
		select {
		case l := <-f.got:
			require.Equal(f.t, probe, l.Line)
			return
		case <-time.After(10 * time.Millisecond):
			require.Less(f.t, i, 2000, "nothing is seen")
		}
	}
}

// probe is a line that may come at any time.
const probe = "a probe"

// end stops the run, and checks that nothing more was seen.
func (f *following) end() {
	f.t.Helper()
	f.stop(errSeen)
	err := <-f.ended
	f.ended <- err
	require.Equal(f.t, errSeen, err)
	for len(f.got) > 0 {
		require.Equal(f.t, probe, (<-f.got).Line)
	}
}

// show is a sink that sends what is committed.
type show struct{ to chan text.SourceLine }

func (s *show) Open(context.Context, int, int, []byte) (pipeline.Writer[text.SourceLine], error) {
	return &shower{s: s}, nil
}

type shower struct {
	s              *show
	open, prepared []text.SourceLine
}

func (w *shower) Write(l text.SourceLine) error { w.open = append(w.open, l); return nil }
func (w *shower) Prepare() ([]byte, error) {
	w.prepared, w.open = append(w.prepared, w.open...), nil
	return nil, nil
}
func (w *shower) Commit() error {
	for _, l := range w.prepared {
		w.s.to <- l
	}
	w.prepared = nil
	return nil
}
func (w *shower) Finish() error { return nil }
func (w *shower) Abort(bool)    {}

var ways = map[string]local.Config{
	"snapshots by time": {Parallelism: 2, Checkpoint: time.Millisecond},
	"always restarted":  {Parallelism: 3, BundleEpochs: 1, RestartEvery: 1},
}

func appendTo(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(content)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// Goal: lines are seen once as they come, whatever is done to the files. Method: a
// run, and a test that does something, and waits for what has to come of it.
func TestTail_follows(t *testing.T) {
	for name, cfg := range ways {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, b := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")
			appendTo(t, a, "one\ntw")
			f := follow(t, cfg, dir+"/*.log")
			f.await("a.log:0 one")
			appendTo(t, a, "o\nthree\n")
			f.await("a.log:4 two", "a.log:8 three")

			appendTo(t, b, "new\n") // a file that was not there
			f.await("b.log:0 new")

			require.NoError(t, os.Rename(a, a+".1")) // a rotation, out of the pattern
			appendTo(t, a+".1", "four\n")            // the writer has not noticed yet
			f.await("a.log:14 four")
			appendTo(t, a, "again\n")
			f.await("a.log:0 again")

			require.NoError(t, os.Rename(b, filepath.Join(dir, "c.log"))) // within it
			// Who has it open knows its old name until it looks.
			f.awaitBegin(dir)
			appendTo(t, filepath.Join(dir, "c.log"), "still b\n")
			appendTo(t, b, "another b\n")
			f.await("c.log:4 still b", "b.log:0 another b")
			f.end()
		})
	}
}

func TestTail_truncated(t *testing.T) {
	for name, cfg := range ways {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.log")
			appendTo(t, path, "one\ntwo\n")
			f := follow(t, cfg, path)
			f.await("a.log:0 one", "a.log:4 two")
			require.NoError(t, os.WriteFile(path, []byte("x\n"), 0o600))
			f.await("a.log:0 x")
			require.NoError(t, os.WriteFile(path, []byte("longer than before\n"), 0o600)) // seen by its content
			f.await("a.log:0 longer than before")
			f.end()
		})
	}
}

// Goal: a deleted file's last line needs no end. Method: it is held open by a
// writer, which no restart can find again.
func TestTail_deleted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	appendTo(t, path, "one\nrest")
	f := follow(t, ways["snapshots by time"], path)
	f.await("a.log:0 one")
	require.NoError(t, os.Remove(path))
	f.await("a.log:4 rest")
	appendTo(t, path, "a new file\n")
	f.await("a.log:0 a new file")
	f.end()
}

func TestTail_folderComesLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	f := follow(t, ways["snapshots by time"], dir+"/**/*.log")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "deep"), 0o700))
	appendTo(t, filepath.Join(dir, "deep", "a.log"), "one\n")
	f.await("a.log:0 one")
	f.end()
}

func TestTail_fromEnd(t *testing.T) {
	for name, cfg := range ways {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.log")
			appendTo(t, path, strings.Repeat("old\n", 3000)+"half a l")
			appendTo(t, filepath.Join(dir, "whole.log"), "old\n")
			appendTo(t, filepath.Join(dir, "short.log"), "old")
			f := follow(t, cfg, dir+"/*.log", text.FromEnd())
			f.awaitBegin(dir)
			appendTo(t, path, "ine\n")
			appendTo(t, filepath.Join(dir, "whole.log"), "two\n")
			appendTo(t, filepath.Join(dir, "short.log"), "er\n")
			f.await("a.log:12000 half a line", "whole.log:4 two", "short.log:0 older")
			f.end()
		})
	}
}

func TestTail_lineTooLong(t *testing.T) {
	for _, content := range []string{"fine\n" + strings.Repeat("x", 20), "fine\n" + strings.Repeat("x", 20) + "\nfine\n"} {
		path := filepath.Join(t.TempDir(), "a.log")
		appendTo(t, path, content)
		p := pipeline.New()
		pipeline.Collect(text.Tail(p, path, text.MaxLine(10), text.PollInterval(time.Millisecond)))
		_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
		require.ErrorContains(t, err, "a.log:5: the line is longer than 10 bytes (text.MaxLine)")
	}
}

func TestTail_sentences(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		opt     text.ReadOption
		want    string
	}{
		{"", text.FromEnd(), "text.Tail: the path is empty"},
		{"[", text.FromEnd(), "text.Tail: [: not a pattern"},
		{"s3://b/*", text.FromEnd(), "text.Tail: s3://b/*: only local files can be followed"},
		{"x", text.PollInterval(0), "text.Tail: MaxLine and PollInterval want positive values"},
		{"x", text.SkipLines(1), "text.Tail: PieceSize, SkipLines and Compression are for files that end"},
	} {
		p := pipeline.New()
		text.Tail(p, tc.pattern, tc.opt)
		require.ErrorContains(t, p.Err(), tc.want)
		require.ErrorContains(t, p.Err(), "tail_test.go:")
	}
	p := pipeline.New()
	text.Read(p, "x", text.FromEnd())
	require.ErrorContains(t, p.Err(), "text.Read: PollInterval and FromEnd are for text.Tail")
}

// Goal: windows over a followed file fire, though most shares have no file.
func TestTail_eventTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := pipeline.New()
	lines := pipeline.EventTimeMs(text.Tail(p, path, text.PollInterval(time.Millisecond)), func(l string) int64 { return int64(len(l)) })
	k := pipeline.KeyBy(lines, func(string) string { return "all" }).Windowed(window.Fixed(10 * time.Millisecond))
	got := make(chan string, 10)
	pipeline.ForEach(pipeline.Pairs(transforms.Count(k)), func(_ context.Context, kv pipeline.KV[string, int64]) error {
		got <- fmt.Sprint(kv)
		return nil
	})
	ended := make(chan error, 1)
	go func() {
		_, err := local.Run(ctx, p, local.Config{Parallelism: 2})
		ended <- err
	}()
	appendTo(t, path, "a\nbb\nccc\n"+strings.Repeat("d", 50)+"\n")
	select {
	case s := <-got:
		require.Equal(t, "{all 3}", s)
	case err := <-ended:
		t.Fatal("the run has ended: ", err)
	case <-time.After(20 * time.Second):
		t.Fatal("no window has fired")
	}
	cancel(errSeen)
	require.Equal(t, errSeen, <-ended)
}
