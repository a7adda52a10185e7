package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/stretchr/testify/require"
)

// job is a Job that writes empty savepoints.
type job struct {
	dir   string
	store commit.Store
	block chan struct{} // not nil: a savepoint waits for it, or for its context
	begun chan struct{}
}

func newJob(t *testing.T) *job {
	s := commit.NewMemory()
	require.NoError(t, s.Begin(1).Commit(&commit.Record{Lanes: 1}))
	return &job{dir: filepath.Join(t.TempDir(), "savepoints"), store: s}
}

func (j *job) Status() any { return map[string]int{"epoch": 5} }

func (j *job) Savepoint(ctx context.Context, name string) (string, error) {
	if j.block != nil {
		close(j.begun)
		select {
		case <-j.block:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	path := filepath.Join(j.dir, name+savefile.Suffix)
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return "", err
	}
	return path, savefile.Write(path, j.store, savefile.Facts{Name: name, Created: time.Unix(100, 0)})
}

// start runs a server until the test ends or stop is called.
func start(t *testing.T, cfg Config, j Job) (s *Server, stop func()) {
	cfg.Now = func() time.Time { return time.Unix(1000, 0).UTC() }
	s, err := Listen(cfg, j)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func TestSocket(t *testing.T) {
	dir, j := t.TempDir(), newJob(t)
	c := In(dir)
	_, err := c.Status(t.Context())
	require.ErrorIs(t, err, ErrNotRunning)

	_, stop := start(t, Config{Dir: dir, Savepoints: j.dir}, j)
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), status.Pid)
	require.Equal(t, time.Unix(1000, 0).UTC(), status.Started)
	require.JSONEq(t, `{"epoch":5}`, string(status.Job))

	list, err := c.Savepoints(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	path, err := c.Savepoint(t.Context(), "first")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(j.dir, "first.savepoint"), path)
	path, err = c.Savepoint(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(j.dir, "19700101-001640.savepoint"), path)
	_, err = c.Savepoint(t.Context(), "first")
	require.EqualError(t, err, `there is a savepoint "first" already`)
	_, err = c.Savepoint(t.Context(), "../first")
	require.ErrorContains(t, err, `savepoint name "../first": want at most`)
	list, err = c.Savepoints(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "first", list[1].Name)

	info, err := os.Lstat(filepath.Join(dir, socketName))
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o600, info.Mode())
	_, err = Listen(Config{Dir: dir}, j)
	require.ErrorContains(t, err, "another process answers on it")

	stop()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = c.Status(t.Context())
	require.ErrorIs(t, err, ErrNotRunning)
}

func TestSocket_leftover(t *testing.T) {
	dir, j := t.TempDir(), newJob(t)
	l, err := net.Listen("unix", filepath.Join(dir, socketName))
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, filepath.Join(dir, socketName))

	start(t, Config{Dir: dir}, j)
	_, err = In(dir).Status(t.Context())
	require.NoError(t, err)
}

// Goal: a state folder far down works, and what a dead process left elsewhere is removed.
func TestSocket_longPath(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	dir, j := filepath.Join(t.TempDir(), strings.Repeat("long/", 40)), newJob(t)
	require.NoError(t, os.MkdirAll(dir, 0o700))

	died, err := Listen(Config{Dir: dir}, j)
	require.NoError(t, err)
	died.socket.Close()
	died.socket = nil
	require.FileExists(t, filepath.Join(dir, pointerName))

	_, stop := start(t, Config{Dir: dir}, j)
	_, err = In(dir).Status(t.Context())
	require.NoError(t, err)
	elsewhere, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Len(t, elsewhere, 1)
	stop()
	for _, d := range []string{dir, temp} {
		left, err := os.ReadDir(d)
		require.NoError(t, err)
		require.Empty(t, left)
	}

	// A pointer that something else wrote is not followed, and nothing it names is removed.
	precious := filepath.Join(temp, "precious")
	require.NoError(t, os.MkdirAll(precious, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, pointerName), []byte(filepath.Join(precious, socketName)), 0o600))
	_, err = In(dir).Status(t.Context())
	require.ErrorContains(t, err, "names no control socket")
	start(t, Config{Dir: dir}, j)
	require.DirExists(t, precious)

	t.Setenv("TMPDIR", dir)
	other := filepath.Join(dir, "other")
	require.NoError(t, os.MkdirAll(other, 0o700))
	_, err = Listen(Config{Dir: other}, j)
	require.ErrorContains(t, err, "set TMPDIR to a shorter one")
}

func TestTCP(t *testing.T) {
	j := newJob(t)
	_, err := Listen(Config{Address: "0.0.0.0:0"}, j)
	require.ErrorContains(t, err, "others than this machine can reach it; give a token")

	open, _ := start(t, Config{Address: "127.0.0.1:0", Savepoints: j.dir}, j)
	locked, _ := start(t, Config{Address: "0.0.0.0:0", Token: "secret", Savepoints: j.dir}, j)
	_, port, _ := net.SplitHostPort(locked.Addr())

	_, err = At(open.Addr(), "").Savepoint(t.Context(), "a")
	require.NoError(t, err)
	_, err = At("127.0.0.1:"+port, "secret").Savepoint(t.Context(), "b")
	require.NoError(t, err)
	for _, token := range []string{"", "Secret", "secrets"} {
		_, err = At("127.0.0.1:"+port, token).Status(t.Context())
		require.EqualError(t, err, "the token is missing or wrong", "%q", token)
	}
}

func TestTCP_refusals(t *testing.T) {
	j := newJob(t)
	s, _ := start(t, Config{Address: "127.0.0.1:0", Savepoints: j.dir}, j)
	for _, tc := range []struct {
		name, method, path, host string
		header                   map[string]string
		want                     int
	}{
		{"as it should be", "GET", "/status", "", nil, 200},
		{"a savepoint by GET", "GET", "/savepoint?name=x", "", nil, 405},
		{"a page of a stranger", "POST", "/savepoint?name=x", "", map[string]string{"Origin": "http://evil.example"}, 403},
		{"a page of a stranger, newer browser", "POST", "/savepoint?name=x", "", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a stranger's name for this machine", "GET", "/status", "evil.example", nil, 403},
		{"no name at all", "GET", "/status", "", map[string]string{"Host": "x"}, 200},
		{"a bad name", "POST", "/savepoint?name=..%2f..%2fx", "", nil, 400},
		{"a name with a zero", "POST", "/savepoint?name=x%00", "", nil, 400},
		{"a folder", "GET", "/savepoints/", "", nil, 404},
		{"a file", "GET", "/savepoints/x.savepoint", "", nil, 404},
		{"up and away", "GET", "/%2e%2e/%2e%2e/etc/passwd", "", nil, 404},
		{"up and away, otherwise", "GET", "/..%5c..%5cetc%5cpasswd", "", nil, 404},
		{"the root", "GET", "/", "", nil, 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://"+s.Addr()+tc.path, nil)
		require.NoError(t, err)
		req.Host = tc.host
		for k, v := range tc.header {
			req.Header.Set(k, v)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		res.Body.Close()
		if res.StatusCode >= 300 && res.StatusCode < 400 { // to the same path, cleaned
			require.NotContains(t, res.Header.Get("Location"), "..", tc.name)
			res.StatusCode = 404
		}
		require.Equal(t, tc.want, res.StatusCode, tc.name)
	}
	list, err := savefile.List(j.dir)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestRun_endsWhileASavepointIsMade(t *testing.T) {
	dir, j := t.TempDir(), newJob(t)
	j.block, j.begun = make(chan struct{}), make(chan struct{})
	_, stop := start(t, Config{Dir: dir}, j)
	failed := make(chan error, 1)
	go func() {
		_, err := In(dir).Savepoint(context.Background(), "x")
		failed <- err
	}()
	<-j.begun
	stop()
	require.EqualError(t, <-failed, "context canceled")
}

func TestSavepoint_clientGoesAway(t *testing.T) {
	dir, j := t.TempDir(), newJob(t)
	j.block, j.begun = make(chan struct{}), make(chan struct{})
	start(t, Config{Dir: dir}, j)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-j.begun; cancel() }()
	_, err := In(dir).Savepoint(ctx, "x")
	require.ErrorIs(t, err, context.Canceled)
}

// bad is a Job whose status can't be written.
type bad struct{ Job }

func (bad) Status() any { return func() {} }
func (bad) Savepoint(context.Context, string) (string, error) {
	return "", fmt.Errorf("write: %w", errors.New("no room"))
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	start(t, Config{Dir: dir}, bad{})
	_, err := In(dir).Status(t.Context())
	require.ErrorContains(t, err, "unsupported type")
	_, err = In(dir).Savepoint(t.Context(), "x")
	require.EqualError(t, err, "write: no room")
	list, err := In(dir).Savepoints(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}
