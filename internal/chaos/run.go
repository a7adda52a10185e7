package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// Config of a [Run].
type Config struct {
	Program string // whose main calls [BeJob]
	Brokers *Brokers
	Dir     string // an empty folder
	Workers int
	Plane   string  // as -plane has it; default: that of the schedule
	Slots   int     // default: those of the schedule
	Joined  bool    // workers and NATS are processes of their own; see [Launch]
	Servers int     // of NATS then; see [Launch]
	Hosts   []Host  // of workers that are
	Events  uint64  // at least
	Rate    float64 // events a second of each of four splits

	standbys int    // of each slot
	large    string // as -epoch-size has it
	kept     bool   // what the job keeps outlives the process that has submitted it, with NATS in it
	endless  bool   // until it was broken there is input, as much as that takes
}

// Report is how a job has lived under a schedule.
type Report struct {
	Verdict
	Seed      uint64
	Faults    int // that have met something
	Rollbacks int // times that the job has gone back to a cut, as far as the submitter has heard
	Seconds   float64
}

// beyond is for how long the input of a job lasts beyond its schedule where it is submitted
// again: one that is over meanwhile would begin anew.
const beyond = 3 * time.Second

// most is how long a job may take beyond the time that its input and its faults take.
const most = 40 * time.Second

// agreeMost is how long servers of a cluster may take to agree upon who leads, once behind the
// beginning of a job and once behind each of their deaths.
const agreeMost = 15 * time.Second

func (cfg Config) longest(s Schedule) time.Duration {
	if cfg.Servers <= 1 {
		return most
	}
	d := most + agreeMost
	for _, f := range s.Faults {
		if f.Kind == NATS {
			d += agreeMost
		}
	}
	return d
}

// Run lets a job run under a schedule, and looks whether what it has written is what its
// input makes of it. It fails if the job does, or does not come to its end.
func Run(ctx context.Context, cfg Config, s Schedule) (*Report, error) {
	cfg.Plane = cmp.Or(cfg.Plane, s.Plane)
	cfg.Slots = cmp.Or(cfg.Slots, s.Slots*cfg.Workers)
	cfg.standbys, cfg.large = s.Standbys, s.Large
	if s.submitsAgain() {
		cfg.kept = !cfg.Joined
		cfg.Events = max(cfg.Events, uint64(cfg.Rate*splits*(s.Lasts()+beyond).Seconds()))
	}
	input := time.Duration(float64(cfg.Events) / splits / cfg.Rate * float64(time.Second))
	ctx, cancel := context.WithTimeout(ctx, cfg.longest(s)+input+s.Lasts())
	defer cancel()
	res, err := cfg.run(ctx, s.Seed, s.inflict)
	if res != nil {
		res.Seed = s.Seed
	}
	return res, err
}

// run lets a job run, breaks it, which gives how many faults have met something, and looks
// at what it has written.
func (cfg Config) run(ctx context.Context, seed uint64, breakIt func(context.Context, *Cluster) (int, error)) (*Report, error) {
	began := time.Now()
	t := task{Events: cfg.Events, Rate: cfg.Rate, Out: filepath.Join(cfg.Dir, "out"), Brokers: cfg.Brokers.cluster.ListenAddrs(), Topic: fmt.Sprintf("chaos-%d-%d", seed, began.UnixNano())}
	if err := errors.Join(os.Mkdir(t.Out, 0o777), cfg.Brokers.createTopic(ctx, t.Topic)); err != nil {
		return nil, err
	}
	if cfg.endless {
		t.End = filepath.Join(cfg.Dir, "end")
	}
	c, err := cfg.start(t)
	if err != nil {
		return nil, err
	}
	defer c.End()
	res := &Report{}
	res.Faults, err = breakIt(ctx, c)
	if err == nil && cfg.endless {
		err = t.end(began)
	}
	if err == nil {
		err = c.Wait(ctx)
	}
	res.Rollbacks = c.goneBack()
	if err == nil {
		res.Seconds = time.Since(began).Seconds()
		err = res.look(ctx, cfg, t)
	}
	if err != nil {
		return res, fmt.Errorf("%w\nwhat the job has said:\n%s", err, c.Text())
	}
	return res, nil
}

func (cfg Config) start(t task) (*Cluster, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	args := []string{"-parallelism=1", "-epoch=30ms", "-cut=300ms", "-temp-dir=" + cfg.Dir, "-plane=" + cfg.Plane, "-on-error=dead-letter"}
	if cfg.Slots > 0 {
		args = append(args, fmt.Sprint("-slots=", cfg.Slots))
	}
	if cfg.standbys > 0 {
		args = append(args, fmt.Sprint("-standby=", cfg.standbys))
	}
	if cfg.large != "" {
		args = append(args, "-epoch-size="+cfg.large)
	}
	if cfg.kept {
		args = append(args, "-state-dir="+filepath.Join(cfg.Dir, "state"))
	}
	return Launch{
		Program: cfg.Program, Env: []string{taskVar + "=" + string(text)}, Workers: cfg.Workers, Joined: cfg.Joined, Servers: cfg.Servers, Dir: cfg.Dir, Hosts: cfg.Hosts,
		Args: args,
	}.Start()
}

// look compares what is written with what has to be.
func (r *Report) look(ctx context.Context, cfg Config, t task) error {
	s := &shown{lines: map[string]int{}, files: map[string][]string{}}
	if err := s.readFiles(t.Out); err != nil {
		return err
	}
	last := map[string]int64{}
	if err := cfg.Brokers.committed(ctx, t.Topic, func(line string) { s.add("totals", "Kafka", line, last) }); err != nil {
		return err
	}
	r.Verdict = s.compare(expect(t.Events))
	return r.Err()
}

// What the job says when its slots run, and when it goes back to a cut.
var (
	works    = regexp.MustCompile(`^all are here: `)
	goesBack = regexp.MustCompile(`^the job goes back to cut \d+`)
)

// goneBack is how often the job has gone back to a cut, as far as the program has heard.
func (j *Job) goneBack() (n int) {
	for _, l := range j.Says() {
		if l.Host == 0 && goesBack.MatchString(l.Text) {
			n++
		}
	}
	return n
}

// inflict does what the schedule says, and returns how many faults have met something.
// The rest comes too late: the job has ended.
func (s Schedule) inflict(ctx context.Context, c *Cluster) (met int, err error) {
	if _, _, err := c.Await(ctx, 0, works); err != nil {
		return 0, err
	}
	healed := make([]error, len(s.Faults))
	var healing sync.WaitGroup
	defer func() {
		healing.Wait()
		err = errors.Join(append(healed, err)...)
	}()
	for i, f := range s.Faults {
		if !f.Over {
			healing.Wait()
		}
		if !c.Pause(ctx, f.After) {
			return met, context.Cause(ctx)
		}
		heal, done, err := c.begin(f)
		if err != nil {
			return met, fmt.Errorf("%v: %w", f, err)
		}
		if !done {
			continue
		}
		met++
		healing.Go(func() {
			if err := heal(ctx); err != nil {
				healed[i] = fmt.Errorf("%v: %w", f, err)
			}
		})
	}
	return met, nil
}

// Pause waits; false if the job or ctx has ended meanwhile.
func (j *Job) Pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-j.ended:
	case <-ctx.Done():
	}
	return false
}

// Inflict does one thing, and returns when it is healed; After is not waited for. done is
// false if there was nobody to do it to, as the job comes to its end.
func (c *Cluster) Inflict(ctx context.Context, f Fault) (done bool, err error) {
	heal, done, err := c.begin(f)
	if done {
		err = heal(ctx)
	}
	return done, err
}

// begin does one thing. By heal it is healed when that is due.
func (c *Cluster) begin(f Fault) (heal func(context.Context) error, done bool, err error) {
	// then heals by doing so after a while.
	then := func(do func() error) func(context.Context) error {
		return func(ctx context.Context) error {
			c.Pause(ctx, f.For)
			return do()
		}
	}
	switch f.Kind {
	case NATS:
		return then(c.ReviveNATS), c.KillNATS(), nil
	case Lead:
		return func(ctx context.Context) error {
			c.Pause(ctx, f.For)
			c.Resubmit(ctx)
			return nil
		}, c.KillSubmitter(), nil
	}
	workers := c.Workers()
	if len(workers) == 0 {
		return nil, false, nil
	}
	worker := workers[(f.Worker-1)%len(workers)]
	switch f.Kind {
	case Kill:
		return c.kill(worker)
	case Stop:
		resume, done, err := c.Stop(worker)
		return then(resume), done, err
	case Cut, Hold:
		heal, done := c.Cut(worker, f.Kind == Hold)
		return then(func() error { heal(); return nil }), done, nil
	}
	return nil, false, fmt.Errorf("nobody knows how to %s", f.Kind)
}

// kill kills a worker. By heal one has come in its place, or the job has come to its end
// without.
func (c *Cluster) kill(worker int) (heal func(context.Context) error, done bool, err error) {
	from := len(c.Says())
	done, err = c.Kill(worker)
	return func(ctx context.Context) error {
		_, _, err := c.Await(ctx, from, back)
		if isClosed(c.ended) { // it may have said so before: Wait tells how
			return nil
		}
		return err
	}, done, err
}

// killAndAwait kills a worker and waits until one comes in its place.
func (c *Cluster) killAndAwait(ctx context.Context, worker int) (done bool, err error) {
	heal, done, err := c.kill(worker)
	if done {
		err = heal(ctx)
	}
	return done, err
}

var back = regexp.MustCompile(`^worker \d+ \(.*\) is here$|^the job is `)
