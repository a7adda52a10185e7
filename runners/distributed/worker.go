package distributed

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/internal/spawn"
	"github.com/millrace/millrace/pipeline"
)

// ticket is what the process that submits a job tells those that it starts.
type ticket struct {
	Server string `json:"server,omitempty"` // NATS in that process; "": as flags say
	Token  string `json:"token"`            // to join with
	Parent string `json:"parent"`           // that process
}

// host runs the slots of a worker.
type host interface {
	cluster.Host
	count(p *metrics.Page)
	// Close stops all slots, and returns when nothing of them runs any more.
	Close() error
}

// setting is what a host has to do with.
type setting struct {
	worker *cluster.Worker
	bus    *natsbus.Bus
	plane  *plane
	p      *pipeline.Pipeline
	out    io.Writer // for people
	cfg    *config
}

// worker is a process that works for a job.
type worker struct {
	cfg   *config
	bus   *natsbus.Bus
	plane *plane
	hello cluster.Hello
	terms terms
	flags []cluster.Flag // of the job
	*cluster.Worker
}

// workerMode returns the worker that this process is to be, joined to its job; nil if it
// submits one.
func workerMode(ctx context.Context, c *config, own *runner.Own) (*worker, error) {
	var t ticket
	number, err := spawn.Inherited(&t)
	if err != nil {
		return nil, err
	}
	if number == 0 && c.role != joins {
		return nil, nil
	}
	if number > 0 {
		spawn.EndWithParent()
		c.token = t.Token
		if t.Server != "" {
			c.servers, c.nats = []string{t.Server}, natsConfig{}
		}
	}
	return joinJob(ctx, c, own, number, t.Parent)
}

// joinJob joins the job that c names. A process that is started by another one has a
// number that it would like, and a parent.
func joinJob(ctx context.Context, c *config, own *runner.Own, wish int, parent string) (_ *worker, err error) {
	hello, err := self()
	if err != nil {
		return nil, err
	}
	hello.Wish, hello.Parent = wish, parent
	bus, err := c.connect()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			bus.Close()
		}
	}()
	w, welcome, err := cluster.Join(ctx, cluster.WorkerConfig{Transport: bus.Control(), Sealer: cluster.Sealer{Job: c.job, Token: c.token}, Hello: hello, Missed: func(err error) {
		if hello.Wish == 0 { // nobody has started this process
			text, _ := c.missing(ctx, bus, err)
			fmt.Fprintln(os.Stderr, text+"; waiting for it")
		}
	}})
	if err != nil {
		return nil, refused(fmt.Errorf("join the job %q: %w", c.job, err))
	}
	var given []runner.Setting
	for _, fl := range welcome.Flags {
		given = append(given, runner.Setting(fl))
	}
	if err := own.Take(given); err != nil {
		_ = w.Exit(ctx, err.Error()) // the job does without
		return nil, err
	}
	joined := &worker{cfg: c, bus: bus, hello: hello, flags: welcome.Flags, Worker: w}
	if err := json.Unmarshal(welcome.Job, &joined.terms); err != nil {
		return nil, fmt.Errorf("what the job %q says of itself: %w", c.job, err)
	}
	joined.terms.take(c)
	if joined.plane, err = c.openPlane(ctx, bus, w.ID(), wish); err != nil {
		_ = w.Exit(ctx, err.Error())
		return nil, err
	}
	if at := joined.plane.address(); at != "" {
		if err = w.Reach(ctx, at); err != nil {
			joined.plane.close()
			return nil, refused(fmt.Errorf("join the job %q: %w", c.job, err))
		}
	}
	return joined, nil
}

// missing says what there is where no leader of the job answers; unknown is that no process of
// it does.
func (c *config) missing(ctx context.Context, bus *natsbus.Bus, err error) (text string, unknown bool) {
	at := strings.Join(c.servers, ",")
	list, e := jobsAt(ctx, bus)
	if e != nil || slices.ContainsFunc(list, func(j called) bool { return j.Job == c.job }) {
		return fmt.Sprintf("the leader of the job %q at %s does not answer: %v", c.job, at, err), false
	}
	return fmt.Sprintf("no job %q runs at %s; %s", c.job, at, thereIs(list)), true
}

// refused makes an error final that does not go away by trying again.
func refused(err error) error {
	var r *cluster.Refused
	if errors.As(err, &r) || errors.Is(err, cluster.ErrStranger) || errors.Is(err, cluster.ErrNewer) {
		return &runner.RefusedError{Err: err}
	}
	return err
}

// work works for the job until it is over, and leads it when nobody else does. When ctx ends
// the worker hands on what it has, and goes.
func (w *worker) work(ctx context.Context, p *pipeline.Pipeline, out io.Writer, d driver) (err error) {
	defer w.bus.Close()
	defer w.plane.close()
	growLarge(w.cfg.workers)
	collectLess(os.Getenv, w.cfg.workers)
	h, err := d.host(setting{w.Worker, w.bus, w.plane, p, out, w.cfg})
	if err != nil {
		return err
	}
	w.cfg.built = p.Graph()
	w.cfg.graph = cluster.GraphOf(w.cfg.built)
	leads, leave := w.stand(out, d)
	defer func() { leave(err == nil) }()
	quiet, err := w.cfg.serveMetrics(w.hello.Wish, func(p *metrics.Page) { leads.count(p); h.count(p) })
	if err != nil {
		return errors.Join(err, h.Close())
	}
	defer quiet()
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	late := time.AfterFunc(math.MaxInt64, func() {
		stop(fmt.Errorf("nobody has taken over what this worker has for %v", w.cfg.drainTimeout))
	})
	defer late.Stop()
	defer context.AfterFunc(ctx, func() {
		w.Leave()
		late.Reset(w.cfg.drainTimeout)
	})()
	last, err := w.Run(running, w.cfg.graph, h)
	if e := h.Close(); err == nil {
		err = e
	}
	reason := "the job is over"
	switch {
	case err != nil:
		reason = err.Error()
	case !last.Phase.Over() && ctx.Err() == nil:
		reason = "it is not needed any more"
	case !last.Phase.Over():
		reason = "it was told to leave"
	}
	bye, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = w.Exit(bye, reason) // if that is lost, its silence will tell
	return refused(err)
}

// stand makes the worker a candidate for leading the job. leave ends that; if the worker leads
// and the job is over, others are waited for until they have left.
func (w *worker) stand(out io.Writer, d driver) (leads *candidate, leave func(well bool)) {
	ctx, stop := context.WithCancel(context.Background())
	c := &candidate{
		cfg: w.cfg, driver: d, bus: w.bus, host: w.hello.Host, crew: w.terms.crew(w.flags, w.cfg.graph), rank: w.Number(),
		show: func(text string) { fmt.Fprintln(out, text) },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := c.run(ctx, false)
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(out, "this worker can't lead the job any more: %v\n", err)
		}
	}()
	return c, func(well bool) {
		if l := c.leader.Load(); well && l != nil && l.Roster().Phase.Over() {
			<-done
		}
		stop()
		<-done
	}
}

// connect connects to NATS as flags say.
func (c *config) connect() (*natsbus.Bus, error) {
	b, err := natsbus.Connect(c.bus())
	n := &c.nats
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad && n.tls == nil {
		return nil, fmt.Errorf("%w: if the job runs servers of its own, set %s to its token; if they are others', -nats-ca names who signs their certificates", err, joinToken)
	}
	if errors.Is(err, natsbus.ErrDenied) && n.user == "" && n.token == "" && n.creds == "" && n.nkey == "" {
		return nil, fmt.Errorf("%w: if the job runs servers of its own, set %s to its token; if they are others', say who you are by -nats-user, -nats-creds, -nats-nkey or %s", err, joinToken, natsToken)
	}
	return b, err
}

// bus is how servers are connected to. Who gives no credentials shows what is made of the
// join token: that is what servers of jobs want, and others do not look at it. So it is with
// certificates that are made of the token.
func (c *config) bus() natsbus.Config {
	n := &c.nats
	token := n.token
	if c.token != "" && n.user == "" && token == "" && n.creds == "" && n.nkey == "" {
		token = natsSecret(c.token)
	}
	cfg := natsbus.Config{
		Job: c.job, URLs: c.servers, Replicas: c.replicas, TLS: n.tls, CredsFile: n.creds, NKeyFile: n.nkey,
		User: n.user, Password: n.password, Token: token,
	}
	switch {
	case c.token == "":
	case n.tls != nil:
		cfg.TLS = natsbus.ClientByToken(c.token, n.tls)
	default:
		cfg.TLSIfAsked = natsbus.ClientByToken(c.token, nil)
	}
	return cfg
}
