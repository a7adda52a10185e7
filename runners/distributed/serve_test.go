package distributed

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
	"github.com/millrace/millrace/internal/runner"
)

func TestServe_refuses(t *testing.T) {
	ok := served{listen: "10.0.0.5:4222", dir: "d", durable: "crash"}
	for _, tc := range []struct {
		token, want string
		change      func(*served)
	}{
		{"", "-listen: set MILLRACE_JOIN_TOKEN to the token of the jobs that this server is for", func(*served) {}},
		{"x", `-listen: "4222": want a host and a port, as 10.0.0.5:4222`, func(s *served) { s.listen = "4222" }},
		{"x", "-dir: give a folder for what jobs keep", func(s *served) { s.dir = "" }},
		{"x", `-durable: "very": want crash or power`, func(s *served) { s.durable = "very" }},
		{"x", `-cluster: "n1": want a host and a port, as n1:6222, several of them between commas`, func(s *served) { s.cluster = "n1" }},
		{"x", "-cluster: n1:1,n2:1: want each server once, and of them one whose host is that of -listen, 10.0.0.5, or this machine's name, here", func(s *served) { s.cluster = "n1:1,n2:1" }},
		{"x", "-cluster: here:1,10.0.0.5:1: want each server once, and of them one whose host is that of -listen, 10.0.0.5, or this machine's name, here", func(s *served) { s.cluster = "here:1,10.0.0.5:1" }},
		{"x", "-cluster: here:1,n2:1,n2:1: want each server once, and of them one whose host is that of -listen, 10.0.0.5, or this machine's name, here", func(s *served) { s.cluster = "here:1,n2:1,n2:1" }},
	} {
		s := ok
		tc.change(&s)
		_, err := s.config(tc.token, "here")
		var usage *runner.UsageError
		require.ErrorAs(t, err, &usage)
		require.EqualError(t, err, tc.want)
	}
	s := ok
	s.cluster, s.durable = "here.nats.svc:6222,there.nats.svc:6222", "power"
	cfg, err := s.config("x", "here")
	require.NoError(t, err)
	require.Equal(t, "here.nats.svc:6222", cfg.Cluster.Addr)
	require.True(t, cfg.SyncAlways)
}

// trio is three processes of the program that serve as one cluster.
type trio struct {
	t    *testing.T
	dir  string
	env  []string
	args [3][]string
	apps [3]*app
	urls string
}

func newTrio(t *testing.T, env ...string) *trio {
	c := &trio{t: t, dir: t.TempDir(), env: env}
	var urls, routes []string
	var listens [3]string
	for i := range c.apps {
		route := natstest.FreeAddr(t)
		host, port, err := net.SplitHostPort(route)
		require.NoError(t, err)
		n, err := strconv.Atoi(port)
		require.NoError(t, err)
		listens[i] = net.JoinHostPort(host, strconv.Itoa(n%60_000+1_025)) // of its own address nobody else has any
		routes, urls = append(routes, route), append(urls, "tls://"+listens[i])
	}
	for i := range c.apps {
		c.args[i] = []string{"serve", "-listen=" + listens[i], "-dir=" + c.folder(i), "-cluster=" + strings.Join(routes, ",")}
		c.start(i)
	}
	c.urls = strings.Join(urls, ",")
	return c
}

func (c *trio) folder(i int) string { return filepath.Join(c.dir, strconv.Itoa(i)) }

func (c *trio) start(i int) {
	c.apps[i] = startAs(c.t, c.dir, true, c.env, c.args[i]...)
	c.apps[i].await(`^serving jobs at tls://`)
}

// lose kills a server, and its folder is gone.
func (c *trio) lose(i int) {
	require.NoError(c.t, c.apps[i].cmd.Process.Kill())
	require.EqualError(c.t, c.apps[i].wait(), "signal: killed")
	require.NoError(c.t, os.RemoveAll(c.folder(i)))
}

// current waits until all servers have all that the job keeps.
func (c *trio) current(token string) {
	cfg := config{job: "shop", servers: strings.Split(c.urls, ","), token: token}
	require.Eventually(c.t, func() bool {
		s, err := natsbus.OpenStore(cfg.bus())
		if err != nil {
			return false
		}
		defer s.Close()
		_, whole, err := s.Whole(c.t.Context())
		return err == nil && whole
	}, time.Minute, 50*time.Millisecond, "replicas of what the job keeps")
}

// Goal: a job whose NATS is three processes of its own program outlives each of them, one
// after the other, and their disks: what it writes is there once.
func TestServe(t *testing.T) {
	t.Parallel()
	const token = "sesame"
	c := newTrio(t, joinToken+"="+token)
	g := newGate(t)
	dir := t.TempDir()
	env := []string{countVar + "=yes", joinToken + "=" + token, aliveVar + "=" + g.Addr().String()}
	a := start(t, dir, env, "-nats="+c.urls, "-replicas=3", "-workers=2", "-parallelism=1", "-cut=100ms")
	a.await(`^all are here: 2 slots on 2 workers$`)
	held := <-g.came
	defer held.Close()
	require.Eventually(t, func() bool {
		k := status(t, dir, env, "-nats="+c.urls).Kept
		return k != nil && *k == (cluster.Kept{Servers: 3, Whole: true})
	}, time.Minute, 50*time.Millisecond, "what status says of the servers")
	for i := range 2 {
		c.current(token)
		c.lose(i)
		c.start(i)
	}
	c.current(token)
	c.lose(2)
	held.Close()
	g.open()
	require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
	a.countedAgain()
}
