package distributed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/internal/spawn"
	"github.com/millrace/millrace/internal/terminal"
	"github.com/millrace/millrace/pipeline"
)

// submission is a job, in the process that submits it.
type submission struct {
	cfg    *config
	hello  cluster.Hello // of this process
	bus    *natsbus.Bus
	leads  *candidate
	client *cluster.Client
	screen *terminal.Line
	monkey *monkey // nil without -chaos
}

// submit leads a job until it is over, with workers that it starts and others that join.
// What people are to know goes to out, what workers write to their standard output to
// stdout. When ctx ends the job is drained, or cancelled if nothing would be left of it. A job
// of that name that runs already, by the same token, is not begun anew: this process and its
// workers work for it.
func submit(ctx context.Context, c *config, d driver, p *pipeline.Pipeline, own *runner.Own, out, stdout io.Writer) error {
	hello, err := self()
	if err != nil {
		return err
	}
	hello.Worker = cluster.NewID()
	c.built = p.Graph()
	c.graph = cluster.GraphOf(c.built)
	drawn := c.token == ""
	if drawn {
		c.token = drawToken()
	}
	t := ticket{Parent: hello.Worker}
	if len(c.servers) == 0 {
		server, stop, err := c.startServer(ctx)
		if err != nil {
			return err
		}
		defer stop()
		t.Server = server.URL()
		c.servers, c.nats = []string{t.Server}, natsConfig{}
	}
	t.Token = c.token
	bus, err := c.connect()
	if err != nil {
		return err
	}
	defer bus.Close()
	s := &submission{cfg: c, hello: hello, bus: bus}
	s.client = &cluster.Client{Transport: bus.Control(), Sealer: cluster.Sealer{Job: c.job, Token: c.token}}
	c.encrypted = bus.Encrypted()
	of := termsOf(c, &hello)
	runs, err := s.runs(ctx)
	if err == nil && runs {
		of, err = s.agree(ctx)
	}
	if err != nil {
		return err
	}
	var flags []cluster.Flag
	for _, f := range own.Given() {
		flags = append(flags, cluster.Flag(f))
	}
	s.leads = &candidate{
		cfg: c, driver: d, bus: bus, host: hello.Host, crew: of.crew(flags, c.graph), first: true,
		show: func(text string) { fmt.Fprintln(s.screen, text) },
		heard: func(l cluster.Log) {
			if l.Number == 0 { // what workers say that this process has started it shows itself
				fmt.Fprintln(s.screen, l.Line)
			}
		},
	}
	quiet, err := c.serveMetrics(0, s.leads.count)
	if err != nil {
		return err
	}
	defer quiet()
	hide, err := (&card{Job: c.job, Servers: c.servers, Token: c.token, Pid: hello.Pid, Started: time.Now()}).show()
	if err != nil {
		return err
	}
	defer hide()
	s.screen = terminal.Start(out, c.every(out), s.line)
	defer s.screen.Stop()
	if drawn && terminal.Is(out) { // else it would be kept where others read it
		fmt.Fprintln(s.screen, "to add a worker:", c.toJoin(c.token))
	}
	if c.workers == 0 && !runs {
		fmt.Fprintf(s.screen, "waiting for workers: they join by -join=%s\n", strings.Join(c.servers, ","))
	}
	if runs {
		fmt.Fprintf(s.screen, "the job %s runs already: this process works for it\n", c.job)
	}
	last, err := s.run(ctx, t, !runs, stdout)
	if err != nil {
		return err
	}
	return s.result(ctx, last)
}

// toJoin is the command line with which a worker joins the job.
func (c *config) toJoin(token string) string {
	return fmt.Sprintf("%s=%s PROGRAM -runner=distributed -job=%s -join=%s", joinToken, token, c.job, strings.Join(c.servers, ","))
}

// runs reports that there is such a job, which others lead. One that is just over is waited
// for.
func (s *submission) runs(ctx context.Context) (bool, error) {
	for {
		var status cluster.Status
		asking, cancel := context.WithTimeout(ctx, time.Second)
		err := s.client.Do(asking, &status, "status")
		cancel()
		switch {
		case errors.Is(err, cluster.ErrStranger):
			return false, fmt.Errorf("a job %q runs at %s already, with another token: set %s to its token to work for it, or choose another name by -job", s.cfg.job, strings.Join(s.cfg.servers, ","), joinToken)
		case err != nil || !status.Phase.Over():
			return err == nil, ctx.Err()
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// agree takes the terms of the job that runs, so that nothing changes should this process lead.
func (s *submission) agree(ctx context.Context) (*terms, error) {
	t := &terms{}
	if err := (&remote{s.client, s.bus, s.cfg}).ask(ctx, t, "terms"); err != nil {
		return nil, err
	}
	t.take(s.cfg)
	return t, nil
}

// line is the progress line.
func (s *submission) line(elapsed time.Duration) string {
	if l := s.leads.leader.Load(); l != nil {
		return l.Status().Line(elapsed)
	}
	if r := s.leads.roster.Load(); r != nil {
		return fmt.Sprintf("%s, %d workers; another process leads the job", r.Phase, len(r.Workers))
	}
	return "waiting for the job's leader"
}

// startServer starts NATS in this process, for it and its workers. Without a state folder
// what is kept goes with it.
func (c *config) startServer(ctx context.Context) (_ *natsbus.Server, stop func(), err error) {
	dir, remove := filepath.Join(c.stateDir, "nats"), func() {}
	if c.stateDir == "" {
		if dir, err = os.MkdirTemp(c.tempDir, "millrace-nats-"); err != nil {
			return nil, nil, fmt.Errorf("a folder for NATS: %w", err)
		}
		remove = func() { _ = os.RemoveAll(dir) }
	}
	cfg := natsbus.ServerConfig{Dir: dir, Guard: c.stateDir != "", Token: natsSecret(c.token), SyncAlways: c.syncAlways}
	if c.listen != "" {
		host, port, _ := net.SplitHostPort(c.listen) // it was looked at
		cfg.Host = host
		cfg.Port, _ = strconv.Atoi(port)
		if cfg.TLS, err = natsbus.ServerByToken(c.token); err != nil {
			remove()
			return nil, nil, err
		}
	}
	s, err := natsbus.StartServer(ctx, cfg)
	if err != nil {
		remove()
		return nil, nil, err
	}
	return s, func() { s.Close(); remove() }, nil
}

// farewell is how long workers get to end by themselves when a job is over.
const farewell = 5 * time.Second

// run keeps workers running, leads the job when lead says so or nobody else does, and returns
// the last roster.
func (s *submission) run(ctx context.Context, t ticket, lead bool, stdout io.Writer) (*cluster.Roster, error) {
	lasting, give := context.WithCancelCause(context.WithoutCancel(ctx))
	defer give(nil)
	workers, endWorkers := context.WithCancel(lasting)
	defer endWorkers()
	late := time.AfterFunc(time.Hour, func() {
		s.leader(func(l *cluster.Leader) {
			l.Fail(fmt.Sprintf("it did not stop in %v; what it keeps is that of its last commits", farewell))
		})
	})
	late.Stop()
	defer late.Stop()
	defer context.AfterFunc(ctx, func() {
		l := s.leads.leader.Load()
		switch {
		case l == nil: // the job is others'
			give(context.Cause(ctx))
		case s.cfg.lasts():
			l.Drain()
			late.Reset(s.cfg.drainTimeout + farewell)
		default:
			l.Cancel()
		}
	})()

	group := spawn.New(spawn.Config{
		N: s.cfg.workers, Args: os.Args[1:], Ticket: func(int) (any, error) { return t, nil }, Ended: s.ended(),
		Stdout: stdout, Stderr: s.screen, Logs: s.cfg.logs, Grace: farewell,
		Heard: func(n int, line string) { _ = s.client.Log(n, line) },
	})
	endChaos, err := s.unleash(workers, group)
	if err != nil {
		return nil, err
	}
	defer endChaos()
	endStaff, err := s.client.Watch(func(*cluster.Log) {}, func(r *cluster.Roster) {
		for range s.missing(r, len(group.Kept())) {
			group.Start()
		}
	})
	if err != nil {
		return nil, err
	}
	defer endStaff()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := group.Run(workers)
		l := s.leads.leader.Load()
		switch {
		case workers.Err() != nil:
		case err != nil && l == nil:
			give(err)
		case err != nil:
			l.Fail(err.Error())
		case l != nil && s.cfg.workers > 0 && l.Roster().Phase == cluster.Gathering:
			l.Fail("the workers of this machine ended before the job had begun")
		}
	}()
	last, err := s.leads.run(lasting, lead)
	endChaos()
	if err == nil {
		select {
		case <-ended:
		case <-time.After(farewell):
		}
	}
	endWorkers()
	<-ended
	return last, err
}

// leader does something with the leader, if it is here.
func (s *submission) leader(do func(*cluster.Leader)) {
	if l := s.leads.leader.Load(); l != nil {
		do(l)
	}
}

// running reports that the job has begun, and is not over.
func (s *submission) running() bool {
	r := s.leads.roster.Load()
	if l := s.leads.leader.Load(); l != nil {
		r = l.Roster()
	}
	return r != nil && r.Phase == cluster.Running
}

// missing is how many workers this process is to start beside those that it keeps running:
// what the job wants, without those of others.
func (s *submission) missing(r *cluster.Roster, kept int) int {
	if r.Phase != cluster.Running || r.Wish == 0 {
		return 0
	}
	n := r.Wish - kept
	for _, m := range r.Workers {
		if !m.Spare && m.Parent != s.hello.Worker {
			n--
		}
	}
	return max(0, n)
}

// unleash lets chaos begin, if it is asked for. By end it is over, and says what was
// survived.
func (s *submission) unleash(ctx context.Context, group *spawn.Group) (end func(), err error) {
	if s.cfg.chaos == (chaos{}) {
		return func() {}, nil
	}
	s.monkey = newMonkey(s.cfg.chaos, group.Kept, group.Signal, s.running)
	stop, err := s.bus.Control().ListenAll(s.monkey.hear)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { s.monkey.run(ctx) })
	return sync.OnceFunc(func() {
		cancel()
		work.Wait()
		stop()
		fmt.Fprintln(s.screen, s.monkey)
	}), nil
}

// workedWell is for how long a worker has to run for its end to be no failure in a row: it
// came to work, and what ended it is not its start. A slot that fails whenever it is begun
// fails the job by itself.
const workedWell = 3 * time.Second

// ended is what is done about workers of this machine that end before their time.
func (s *submission) ended() func(spawn.Exit) spawn.Decision {
	var mu sync.Mutex // guards policies
	policies := map[int]*spawn.Policy{}
	return func(e spawn.Exit) spawn.Decision {
		over := false
		s.leader(func(l *cluster.Leader) {
			l.Died(s.hello.Host, e.Pid, e.Status)
			over = l.Roster().Phase >= cluster.Stopping
		})
		if r := s.leads.roster.Load(); over || r != nil && r.Phase >= cluster.Stopping {
			return spawn.Decision{}
		}
		if e.Code == runner.StatusRefused {
			return spawn.Decision{Err: fmt.Errorf("worker %d was refused: what it said stands above", e.Number)}
		}
		if s.monkey != nil && s.monkey.mine(e.Number) {
			return spawn.Decision{Again: true, After: 100 * time.Millisecond}
		}
		mu.Lock()
		if policies[e.Number] == nil {
			policies[e.Number] = &spawn.Policy{Calm: workedWell}
		}
		d := policies[e.Number].Next(e)
		mu.Unlock()
		if d.Again {
			s.leads.note(fmt.Sprintf("%s; it is started again in %v", e.String(), d.After))
		}
		return d
	}
}

// result is how the job has ended.
func (s *submission) result(ctx context.Context, last *cluster.Roster) error {
	switch last.Phase {
	case cluster.Done:
		return nil
	case cluster.Failed:
		return errors.New(last.Why)
	case cluster.Drained:
		note := "drained"
		switch {
		case s.cfg.stateDir != "":
			note += "; the next run with -state-dir=" + s.cfg.stateDir + " goes on from there"
		case s.cfg.nats.outside:
			note += "; the next run with -job=" + s.cfg.job + " at these servers goes on from there"
		}
		return &runner.StoppedError{Note: note, Err: context.Canceled}
	}
	if ctx.Err() == nil {
		return errors.New("the job was cancelled")
	}
	return context.Canceled
}
