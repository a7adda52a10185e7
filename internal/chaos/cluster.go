package chaos

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millrace/millrace/internal/natsbus/natstest"
)

// Launch is how a [Cluster] is started.
type Launch struct {
	Program string
	Args    []string // behind -runner=distributed, and what this package sets itself
	Env     []string // for all its processes
	Workers int

	// Joined: NATS is a process of its own, and workers join from outside, each by a proxy,
	// as on hosts of their own. Otherwise NATS is in the process that submits the job,
	// which starts the workers, too.
	Joined  bool
	Dir     string // for NATS, where it is a process of its own
	Servers int    // of NATS then, of which all keep what the job keeps: 1 (the default), 3 or 5

	// Hosts are where workers that join run, in turn; default this one.
	Hosts []Host
}

// Host is where a worker runs.
type Host struct {
	Run    []string // what the worker's command line stands behind, as ip netns exec NAME
	Listen string   // where it reaches NATS, by a proxy here: an address of this host
}

// BeServer runs the NATS server that this process was started for, if it was, and does
// not return. Programs that start a [Cluster] that is Joined call it first.
func BeServer() { natstest.BeServer() }

// Cluster is a job with all of its processes.
type Cluster struct {
	*Job
	launch Launch
	env    []string
	nats   []*natstest.Process // none if it is in the process that submits

	ctx  context.Context // of hosts
	stop context.CancelFunc
	work sync.WaitGroup

	mu     sync.Mutex // guards what follows
	hosts  []*host    // of workers that join
	served time.Time  // when NATS was started last; zero while one of its servers is not there
	hit    int        // which of them was killed last
}

// host keeps one worker running that joins, as a supervisor does.
type host struct {
	proxies []*natstest.Proxy // to each NATS server
	heard   func(line string)

	mu    sync.Mutex // guards what follows
	pid   int
	ended bool         // the worker has ended well: the job is over
	out   bytes.Buffer // what the worker has said
	lines int          // bytes of it that heard was told
}

// jobName is that of all jobs, and joinVar how workers know the token.
const (
	jobName = "chaos"
	joinVar = "MILLRACE_JOIN_TOKEN"
)

// Start starts a job. The caller has to End it.
func (l Launch) Start() (c *Cluster, err error) {
	if len(l.Hosts) == 0 {
		l.Hosts = []Host{{Listen: "127.0.0.1"}}
	}
	c = &Cluster{launch: l, env: append(os.Environ(), l.Env...)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			c.End()
		}
	}()
	args := []string{fmt.Sprint("-workers=", l.Workers)}
	if l.Joined {
		c.env = append(c.env, joinVar+"=sesame")
		if err := c.serve(); err != nil {
			return c, err
		}
		args = []string{"-workers=0", fmt.Sprint("-slots=", l.Workers), fmt.Sprint("-replicas=", len(c.nats)), "-nats=" + c.urls()}
	}
	cmd := exec.Command(l.Program, slices.Concat([]string{"-runner=distributed", "-job=" + jobName, "-progress=off"}, args, l.Args)...)
	cmd.Env = c.env
	if c.Job, err = Start(cmd); err != nil || !l.Joined {
		return c, err
	}
	c.served = time.Now()
	c.excuses(c.wasAway)
	for range l.Workers {
		if err := c.Join(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// serve starts NATS.
func (c *Cluster) serve() (err error) {
	dir := filepath.Join(c.launch.Dir, "nats")
	if c.launch.Servers > 1 {
		c.nats, err = natstest.LaunchCluster(c.launch.Servers, dir)
		return err
	}
	one, err := natstest.Launch(natstest.Options{Dir: dir})
	c.nats = []*natstest.Process{one}
	return err
}

// urls are those of all NATS servers.
func (c *Cluster) urls() string {
	var list []string
	for _, s := range c.nats {
		list = append(list, s.URL)
	}
	return strings.Join(list, ",")
}

// Join lets one more worker join, on the next host. The cluster has to be one that is Joined.
func (c *Cluster) Join() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	on := c.launch.Hosts[len(c.hosts)%len(c.launch.Hosts)]
	number := len(c.hosts) + 1
	h := &host{heard: func(line string) { c.note(number, line) }}
	c.hosts = append(c.hosts, h)
	var join []string
	for _, server := range c.nats {
		at, err := url.Parse(server.URL)
		if err != nil {
			return err
		}
		proxy, err := natstest.OpenProxy(net.JoinHostPort(on.Listen, "0"), at.Host)
		if err != nil {
			return err
		}
		h.proxies = append(h.proxies, proxy)
		join = append(join, "nats://"+proxy.Addr())
	}
	c.work.Go(func() {
		h.keep(c.ctx, c.env, slices.Concat(on.Run, []string{c.launch.Program, "-runner=distributed", "-job=" + jobName, "-join=" + strings.Join(join, ",")}))
	})
	return nil
}

// joined are the hosts of workers that have joined, in order.
func (c *Cluster) joined() []*host {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.hosts)
}

// keep keeps a worker running until it ends well, or ctx ends.
func (h *host) keep(ctx context.Context, env, args []string) {
	for ctx.Err() == nil {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = env
		cmd.Stderr, cmd.Stdout = h, h
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(h, err)
			return
		}
		h.mu.Lock()
		h.pid = cmd.Process.Pid
		h.mu.Unlock()
		if cmd.Wait() == nil {
			h.mu.Lock()
			h.ended = true
			h.mu.Unlock()
			return
		}
		fmt.Fprintf(h, "process %d has ended: %v\n", cmd.Process.Pid, cmd.ProcessState)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// Write notes what the worker says.
func (h *host) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.out.Write(b)
	for {
		line, _, whole := bytes.Cut(h.out.Bytes()[h.lines:], []byte("\n"))
		if !whole {
			return len(b), nil
		}
		h.lines += len(line) + 1
		h.heard(string(line))
	}
}

// End kills what is left of the job, and returns when it is gone.
func (c *Cluster) End() {
	if c.Job != nil {
		c.Job.End()
	}
	c.stop()
	c.work.Wait()
	for _, h := range c.joined() {
		h.each((*natstest.Proxy).Close)
	}
	for _, s := range c.nats {
		s.Kill()
	}
}

// Wait is that of the job; where it does not end, its processes say first where their goroutines
// are, which [Cluster.Text] has.
func (c *Cluster) Wait(ctx context.Context) error {
	select {
	case <-c.Ended():
	case <-ctx.Done():
		c.explain()
		c.quit()
	}
	return c.Job.Wait(ctx)
}

// explain asks the job what it waits for.
func (c *Cluster) explain() {
	if !c.launch.Joined {
		return // only its own user's processes find it
	}
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.launch.Program, "-runner=distributed", "-job="+jobName, "-nats="+c.urls(), "explain", "-json")
	cmd.Env = c.env
	said, err := cmd.CombinedOutput()
	c.note(0, fmt.Sprintf("it waits for (%v):\n%s", err, said))
}

// quit ends all processes of the job by the signal for which Go shows stacks.
func (c *Cluster) quit() {
	pids := []int{c.cmd.Process.Pid}
	for _, h := range c.joined() {
		h.mu.Lock()
		pids = append(pids, h.pid)
		h.mu.Unlock()
	}
	if !c.launch.Joined {
		for _, worker := range c.Workers() {
			pids = append(pids, c.Pid(worker))
		}
	}
	for _, pid := range slices.Backward(pids) { // the one that the others end with comes last
		_, _ = signal(pid, syscall.SIGCONT) // it may be paused
		_, _ = signal(pid, syscall.SIGQUIT)
		for begun := time.Now(); time.Since(begun) < 5*time.Second && syscall.Kill(pid, 0) == nil; {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// Text is what all processes have said.
func (c *Cluster) Text() string {
	var b strings.Builder
	b.WriteString(c.Job.Text())
	for i, h := range c.joined() {
		h.mu.Lock()
		fmt.Fprintf(&b, "host %d:\n%s", i+1, h.out.String())
		h.mu.Unlock()
	}
	return b.String()
}

// Cut cuts a worker off from NATS, until heal is called: with hold nothing passes any
// more, as where a cable is pulled; else connections end, and new ones are refused. done
// is false if the worker is not at work.
func (c *Cluster) Cut(worker int, hold bool) (heal func(), done bool) {
	h := c.hostOf(worker)
	if h == nil {
		return nil, false
	}
	set := func(on bool) {
		h.each(func(p *natstest.Proxy) {
			if hold {
				p.Hold(on, on)
			} else {
				p.Refuse(on)
			}
		})
	}
	set(true)
	return func() { set(false) }, true
}

// each does f to all of the host's proxies.
func (h *host) each(f func(*natstest.Proxy)) {
	for _, p := range h.proxies {
		f(p)
	}
}

// hostOf is the host on which a worker runs, nil if it runs on none.
func (c *Cluster) hostOf(worker int) *host {
	pid := c.Pid(worker)
	for _, h := range c.joined() {
		h.mu.Lock()
		same := h.pid == pid
		h.mu.Unlock()
		if same {
			return h
		}
	}
	return nil
}

// KillNATS ends the NATS server at once (kill -9), or of several the next one. ReviveNATS
// starts it again; done is false if one is not there.
func (c *Cluster) KillNATS() (done bool) {
	c.mu.Lock()
	done = !c.served.IsZero()
	c.served = time.Time{}
	if done {
		c.hit = (c.hit + 1) % len(c.nats)
	}
	c.mu.Unlock()
	if done {
		c.nats[c.hit].Kill()
	}
	return done
}

// ReviveNATS starts the NATS server again, at its address and with its folder.
func (c *Cluster) ReviveNATS() error {
	err := c.nats[c.hit].Relaunch()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served = time.Now()
	return err
}

// wasAway reports that NATS was not there at some time since then.
func (c *Cluster) wasAway(since time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served.IsZero() || c.served.After(since)
}

// Resubmit starts the program again by the same command, after KillSubmitter, and returns
// when it belongs to its job, or has ended. A job that is over meanwhile is not begun anew.
func (c *Cluster) Resubmit(ctx context.Context) {
	for _, h := range c.joined() {
		h.mu.Lock()
		ended := h.ended
		h.mu.Unlock()
		if ended {
			c.conclude()
			return
		}
	}
	c.Job.Resubmit(ctx)
}
