package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// network is a bridge with hosts at it that are network namespaces of this one. Its name
// and its addresses are by the process, so that two can be tried at once.
type network struct {
	name  string
	net   string // the first three bytes of addresses
	hosts []Host
}

// here is the address of this host.
func (w *network) here() string { return w.net + ".1" }

// sweep removes networks of processes that were killed.
func sweep() {
	out, _ := ip("-o", "link", "show", "type", "bridge")
	for _, line := range strings.Split(out, "\n") {
		var pid int
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		name := strings.TrimSuffix(fields[1], ":")
		if _, err := fmt.Sscanf(name, "mr%d", &pid); err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		_, _ = ip("link", "del", name)
		for i := range hostsMost {
			_, _ = ip("netns", "del", fmt.Sprintf("%s-%d", name, i))
		}
	}
}

const hostsMost = 8

// newNetwork makes n hosts. The test is skipped where that is not allowed.
func newNetwork(t *testing.T, n int) *network {
	sweep()
	pid := os.Getpid()
	w := &network{name: fmt.Sprintf("mr%d", pid), net: fmt.Sprintf("10.%d.%d", 64+pid>>8%128, pid%256)}
	if out, err := ip("link", "add", w.name, "type", "bridge"); err != nil {
		t.Skipf("hosts can't be tried here: that wants ip, and root to make network namespaces: %v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = ip("link", "del", w.name) })
	must := func(args ...string) {
		t.Helper()
		out, err := ip(args...)
		require.NoError(t, err, "ip %v: %s", args, out)
	}
	must("addr", "add", w.here()+"/24", "dev", w.name)
	must("link", "set", w.name, "up")
	for i := range n {
		host, here := fmt.Sprintf("%s-%d", w.name, i), w.port(i)
		must("netns", "add", host)
		t.Cleanup(func() { _, _ = ip("netns", "del", host) })
		must("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", host)
		t.Cleanup(func() { _, _ = ip("link", "del", here) }) // a network namespace goes later than it is deleted
		must("link", "set", here, "master", w.name, "up")
		must("-n", host, "addr", "add", fmt.Sprintf("%s.%d/24", w.net, i+2), "dev", "eth0")
		must("-n", host, "link", "set", "eth0", "up")
		must("-n", host, "link", "set", "lo", "up")
		w.hosts = append(w.hosts, Host{Run: []string{"ip", "netns", "exec", host}, Listen: w.here()})
	}
	return w
}

// port is the end at the bridge of a host's cable.
func (w *network) port(host int) string { return fmt.Sprintf("%sv%d", w.name, host) }

// plug pulls a host's cable, or plugs it in.
func (w *network) plug(host int, state string) error {
	if out, err := ip("link", "set", w.port(host), state); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func ip(args ...string) (string, error) {
	out, err := exec.Command("ip", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// partition pulls a host's cable for a while.
func (w *network) partition(c *Cluster, host int, d time.Duration) error {
	if err := w.plug(host, "down"); err != nil {
		return err
	}
	c.Pause(c.ctx, d)
	return w.plug(host, "up")
}

// Goal: workers on three hosts join a job, 3 become 5, and those 2, while each host in turn is
// cut off and comes back, one of them after longer than the job waits for it; and nothing is
// lost, doubled or out of order. Method: the seed chooses what data goes over.
func TestHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	w := newNetwork(t, 3)
	program, err := os.Executable()
	require.NoError(t, err)
	brokers, err := StartBrokers(w.here())
	require.NoError(t, err)
	defer brokers.Close()
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // where commands look for the job
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cfg := Config{Program: program, Brokers: brokers, Dir: t.TempDir(), Workers: 3, Plane: planes[*seed%uint64(len(planes))], Slots: 6, Joined: true, Hosts: w.hosts, Events: 6000, Rate: 300, endless: true}
	res, err := cfg.run(ctx, 0, func(ctx context.Context, c *Cluster) (n int, err error) {
		if _, _, err := c.Await(ctx, 0, works); err != nil {
			return 0, err
		}
		cut := func(host int, d time.Duration) error { n++; return w.partition(c, host, d) }
		settle := func(workers int) error {
			says, err := cfg.rescale(ctx, workers)
			t.Log(says)
			return err
		}
		// cutting lets workers have the slots, and cuts a host off when the first of them moves.
		cutting := func(host, workers int) error {
			from, cutOff := len(c.Says()), make(chan error, 1)
			go func() {
				_, _, err := c.Await(ctx, from, moves)
				cutOff <- errors.Join(err, cut(host, time.Second))
			}()
			return errors.Join(settle(workers), <-cutOff)
		}
		for _, step := range []func() error{
			func() error { return settle(3) },
			func() error { return cut(0, 400*time.Millisecond) },
			c.Join, c.Join,
			func() error { return cutting(1, 5) },
			func() error { return cut(0, 3500*time.Millisecond) }, // for longer than the job waits for its workers
			func() error { return settle(5) },
			func() error { return cutting(2, 2) },
		} {
			if err := step(); err != nil {
				return n, err
			}
		}
		return n, nil
	})
	require.NoError(t, err)
	require.Equal(t, 4, res.Faults)
	t.Logf("%d lines, %.1f s", res.Lines, res.Seconds)
}

// Goal: a job in which data goes from worker to worker writes what it has to, though two of its
// hosts never reach each other: what is between them goes over NATS.
func TestHosts_apart(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	w := newNetwork(t, 3)
	out, err := ip("-n", w.name+"-0", "route", "add", "unreachable", w.net+".3")
	require.NoError(t, err, out)
	program, err := os.Executable()
	require.NoError(t, err)
	brokers, err := StartBrokers(w.here())
	require.NoError(t, err)
	defer brokers.Close()
	for _, plane := range []string{"direct", "mesh"} {
		t.Run(plane, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cfg := Config{Program: program, Brokers: brokers, Dir: t.TempDir(), Workers: 3, Plane: plane, Joined: true, Hosts: w.hosts, Events: 6000, Rate: 600}
			var says string
			res, err := cfg.run(ctx, 0, func(ctx context.Context, c *Cluster) (int, error) {
				err := c.Wait(ctx)
				says = c.Text()
				return 0, err
			})
			require.NoError(t, err)
			require.Regexp(t, w.net+`\.[23]:\d+ is not reached, and what it is to get goes over the job's NATS until it is: `, says)
			t.Logf("%d lines, %.1f s", res.Lines, res.Seconds)
		})
	}
}

// moves says that a slot goes to another worker.
var moves = regexp.MustCompile(`^slot \d+ moves to worker \d+`)
