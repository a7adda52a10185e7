package distributed

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
)

// keeping is a NATS server of others that keeps things.
func keeping(t *testing.T) string {
	s, err := natsbus.StartServer(t.Context(), natsbus.ServerConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s.URL()
}

// gate is where programs wait in the middle of their input until it is opened.
type gate struct {
	net.Listener
	came chan net.Conn
}

func newGate(t *testing.T) *gate {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &gate{l, make(chan net.Conn, 100)}
	go func() {
		defer close(g.came)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.came <- c
		}
	}()
	t.Cleanup(g.open)
	return g
}

// open lets all go, those too that come later.
func (g *gate) open() {
	g.Close()
	for c := range g.came {
		c.Close()
	}
}

// Goal: kill -9 of the process that leads, twice: of the one that submitted the job, and of a
// worker that leads after it. Another worker leads on, one that submits the job again works for
// it, and the results are those of a job without failures.
func TestLead_killed(t *testing.T) {
	url, g, dir := keeping(t), newGate(t), t.TempDir()
	env := []string{countVar + "=yes", joinToken + "=sesame", aliveVar + "=" + g.Addr().String()}
	a := start(t, dir, env, "-nats="+url, "-workers=0", "-slots=2", "-parallelism=1", "-cut=100ms")
	b := start(t, dir, env, "-join="+url)
	a.await(`^worker 1 \(.*\) is here$`)
	c := start(t, dir, env, "-join="+url)
	a.await(`^slot \d moves to worker 2, which has fewer$`)
	held := <-g.came
	defer held.Close()
	require.NoError(t, a.cmd.Process.Kill())
	const leads = `^nothing is heard of the job's leader: this process leads it now$`
	b.await(leads)
	require.NoError(t, b.cmd.Process.Kill())
	c.await(leads)
	c.await(`^slot \d goes to worker 2$`)
	d := start(t, dir, env, "-nats="+url, "-workers=1", "-slots=2", "-parallelism=1")
	d.await(`^the job shop runs already: this process works for it$`)
	d.await(`^slot \d moves to worker \d, which has fewer$`)
	require.Eventually(t, func() bool { return status(t, dir, env, "-nats="+url).Settled }, time.Minute, 50*time.Millisecond,
		"what is printed before a slot moves would be printed again")
	held.Close()
	g.open()
	require.NoError(t, c.wait())
	require.NoError(t, d.wait(), "it said:\n%s", strings.Join(d.seen, "\n"))
	printed := ""
	for _, p := range []*app{a, b, c, d} {
		printed += p.stdout.String()
	}
	require.Equal(t, countedLines(), slices.Sorted(strings.SplitSeq(strings.TrimSpace(printed), "\n")))
}

// Goal: a NATS server that is away for longer than a worker may be silent holds the job up, and
// does it no harm.
func TestLead_serverRestarts(t *testing.T) {
	cfg := natsbus.ServerConfig{Dir: t.TempDir()}
	s, err := natsbus.StartServer(t.Context(), cfg)
	require.NoError(t, err)
	u, err := url.Parse(s.URL())
	require.NoError(t, err)
	cfg.Port, err = strconv.Atoi(u.Port())
	require.NoError(t, err)
	g := newGate(t)
	a := start(t, t.TempDir(), []string{countVar + "=yes", aliveVar + "=" + g.Addr().String()}, "-nats="+s.URL(), "-workers=2", "-parallelism=1", "-cut=50ms")
	held := <-g.came
	defer held.Close()
	s.Close()
	held.Close()
	g.open()
	a.await(`^the leader has no connection to NATS: the job waits for it$`)
	<-time.After(3500 * time.Millisecond) // of the fault: a silence of 3 s is a worker's loss
	s, err = natsbus.StartServer(t.Context(), cfg)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
	require.NotRegexp(t, `is lost|goes to`, strings.Join(a.seen, "\n"), "nobody died")
	a.countedAgain()
}

// Goal: a job of others with the same name is left alone.
func TestLead_nameTaken(t *testing.T) {
	url := outside(t)
	a := start(t, t.TempDir(), nil, "-nats="+url, "-workers=1")
	a.slots(1)
	b := start(t, t.TempDir(), nil, "-nats="+url, "-workers=1")
	require.EqualError(t, b.wait(), "exit status 1")
	require.Equal(t, []string{`the run failed: a job "shop" runs at ` + url + ` already, with another token: set MILLRACE_JOIN_TOKEN to its token to work for it, or choose another name by -job`}, b.seen)
	a.finish()
	require.NoError(t, a.wait())
}

// Goal: a worker that has joined outlives kill -9 of the process that submitted the job, with
// its server, and goes on when that is back at the same address with the same folder.
func TestLead_submitterComesBack(t *testing.T) {
	g, dir, address := newGate(t), t.TempDir(), freeAddress(t)
	env := []string{countVar + "=yes", joinToken + "=sesame", aliveVar + "=" + g.Addr().String()}
	args := []string{"-workers=0", "-slots=1", "-parallelism=1", "-cut=50ms", "-listen=" + address, "-state-dir=" + t.TempDir()}
	a := start(t, dir, env, args...)
	a.await(`^waiting for workers: they join by -join=tls://` + address + `$`)
	b := start(t, dir, env, "-join=tls://"+address)
	held := <-g.came
	defer held.Close()
	require.NoError(t, a.cmd.Process.Kill())
	require.EqualError(t, a.wait(), "signal: killed")
	c := start(t, dir, env, args...)
	c.await(`^the job goes on with what it has kept$`)
	c.await(`^worker 1 \(.*\) is here$`)
	held.Close()
	g.open()
	require.NoError(t, c.wait(), "it said:\n%s", strings.Join(c.seen, "\n"))
	require.NoError(t, b.wait(), "it said:\n%s", strings.Join(b.seen, "\n"))
	b.stdout.WriteString(c.stdout.String())
	b.countedAgain()
}
