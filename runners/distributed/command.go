package distributed

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/runner"
)

// asked are the flags of a command.
type asked struct {
	json    bool
	wait    bool
	lines   int
	timeout time.Duration
	stop    bool
	served  served
}

func (p *process) commands() []runner.Command {
	asJSON := func(fs *flag.FlagSet) { fs.BoolVar(&p.asked.json, "json", false, "as JSON, for programs") }
	waits := func(fs *flag.FlagSet) {
		asJSON(fs)
		fs.BoolVar(&p.asked.wait, "wait", false, "return when the job is over")
	}
	return []runner.Command{
		{Words: "list", Args: "[-json]", Doc: "the jobs that run: those of this machine, or of the servers that -nats names", Flags: asJSON, Run: p.list},
		{Words: "status", Args: "[-json]", Doc: "how the job is, its workers and its slots", Flags: asJSON, Run: p.status},
		{Words: "explain", Args: "[-json]", Doc: "what each slot waits for: which windows are open, and what holds their watermark", Flags: asJSON, Run: p.explain},
		{Words: "logs", Args: "[-lines N] [-json]", Doc: "what workers have said last", Flags: func(fs *flag.FlagSet) {
			asJSON(fs)
			fs.IntVar(&p.asked.lines, "lines", 100, "how many lines, at most 1000")
		}, Run: p.logs},
		{Words: "attach", Doc: "show the job's progress and what its workers say, until it is over; Ctrl-C ends that, and not the job", Run: p.attach},
		{Words: "rescale", Args: "N [-wait] [-json]", Doc: "let N workers have the slots of the job, each as many as another or one more, while it runs", Least: 1, Most: 1, Flags: func(fs *flag.FlagSet) {
			asJSON(fs)
			fs.BoolVar(&p.asked.wait, "wait", false, "return when they have them")
		}, Run: p.rescale},
		{Words: "savepoint create", Args: "FILE [-stop] [-timeout 1m] [-json]", Doc: "write what the job is into a file, with which a job of any number of slots and lanes can begin, on any runner; without -stop the job goes on", Least: 1, Most: 1, Flags: func(fs *flag.FlagSet) {
			asJSON(fs)
			fs.DurationVar(&p.asked.timeout, "timeout", time.Minute, "most that it may take")
			fs.BoolVar(&p.asked.stop, "stop", false, "then cancel the job: its sinks show nothing that is not in the savepoint, unless it has -sink-commit=epoch")
		}, Run: p.savepoint},
		{Words: "drain", Args: "[-wait] [-json]", Doc: "let sources rest, show all that they have given, and stop; a later run goes on from there, if the job keeps its state", Flags: waits, Run: p.ends("drain")},
		{Words: "cancel", Args: "[-wait] [-json]", Doc: "end the job at once, and delete what it keeps: its next run begins anew", Flags: waits, Run: p.ends("cancel")},
		{Words: "serve", Args: "-listen=HOST:PORT -dir=FOLDER [-cluster=HOST:PORT,…] [-durable=power]", Doc: "run a NATS server for jobs, alone or as one of a cluster, until it is ended; jobs with its token name it by -nats", Flags: p.asked.served.register, Run: p.serve},
	}
}

// answerMost is how long the answer to a command is waited for: the leader may have died, and
// another one begin.
const answerMost = 10 * time.Second

// remote is a job, as commands see it.
type remote struct {
	*cluster.Client
	bus *natsbus.Bus
	cfg *config
}

// find connects to the job that flags name.
func (p *process) find() (*remote, error) {
	c, err := p.flags.parseCommand(p.fs, os.Getenv, p.fs.Name())
	if err != nil {
		return nil, err
	}
	bus, err := c.findServer()
	if err != nil {
		return nil, err
	}
	return &remote{&cluster.Client{Transport: bus.Control(), Sealer: cluster.Sealer{Job: c.job, Token: c.token}}, bus, c}, nil
}

// findServer connects to the servers that flags name, or else to those of the job of that name
// that was submitted here.
func (c *config) findServer() (*natsbus.Bus, error) {
	here, err := cards(c.job)
	if err != nil {
		return nil, err
	}
	if len(c.servers) > 0 {
		for _, card := range here {
			if c.token == "" && slices.Equal(card.Servers, c.servers) {
				c.token = card.Token
			}
		}
		if c.token == "" {
			return nil, &runner.UsageError{Flag: "job", Problem: fmt.Sprintf("set %s to the token of the job %q, which it has shown, or was started with", joinToken, c.job)}
		}
		return c.connect()
	}
	var found []*natsbus.Bus
	var at []string
	for _, card := range here {
		one := *c
		one.servers, one.token = card.Servers, card.Token
		if bus, err := one.connect(); err == nil {
			defer func() {
				if len(found) > 1 {
					bus.Close()
				}
			}()
			found, at = append(found, bus), append(at, strings.Join(card.Servers, ","))
			c.servers, c.token = card.Servers, card.Token
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("no job %q was submitted on this machine by this user, or it is over; %s", c.job, thereIs(jobsHere()))
	}
	return nil, fmt.Errorf("%d jobs %q run on this machine: say which by -nats: %s", len(found), c.job, strings.Join(at, " or -nats="))
}

// ask asks the job for a command, again for a while if nobody answers.
func (r *remote) ask(ctx context.Context, result any, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, answerMost)
	defer cancel()
	for {
		err := r.once(ctx, result, name, args...)
		var answered *cluster.AnswerError
		var refused *cluster.Refused
		switch {
		case err == nil, errors.As(err, &answered), errors.As(err, &refused):
			return err
		case errors.Is(err, cluster.ErrStranger):
			return fmt.Errorf("the job %q at %s: %w: set %s to its own", r.cfg.job, r.at(), err, joinToken)
		case errors.Is(err, natsbus.ErrNobody):
			if text, unknown := r.cfg.missing(ctx, r.bus, err); unknown {
				return errors.New(text)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the job %q at %s does not answer: %w", r.cfg.job, r.at(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (r *remote) once(ctx context.Context, result any, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	return r.Do(ctx, result, name, args...)
}

func (r *remote) at() string { return strings.Join(r.cfg.servers, ",") }

// called is what a job says of itself to whoever asks.
type called struct {
	Job     string        `json:"job"`
	Phase   cluster.Phase `json:"phase"`
	Workers int           `json:"workers"`
	Slots   int           `json:"slots"`
	Host    string        `json:"host,omitempty"` // of its leader; "": one has to be found
	Started time.Time     `json:"started,omitzero"`
	Servers []string      `json:"servers,omitempty"`
}

// present answers those who ask which jobs there are.
func present(bus *natsbus.Bus, what func() called) (stop func(), err error) {
	return bus.Control().Present(func() []byte {
		b, err := json.Marshal(what())
		if err != nil {
			panic(fmt.Sprintf("BUG: distributed: %v", err))
		}
		return b
	})
}

// jobsAt are the jobs that can be reached over bus, each once: as its leader sees it, or where
// that is missed, one of its other processes.
func jobsAt(ctx context.Context, bus *natsbus.Bus) ([]called, error) {
	answers, err := bus.Control().Roll(ctx)
	if err != nil {
		return nil, err
	}
	list := []called{}
	for _, b := range answers {
		var c called
		if json.Unmarshal(b, &c) == nil && jobName.MatchString(c.Job) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b called) int {
		return cmp.Or(strings.Compare(a.Job, b.Job), -strings.Compare(a.Host, b.Host))
	})
	return slices.CompactFunc(list, func(a, b called) bool { return a.Job == b.Job }), nil
}

// jobsHere are the jobs that were submitted on this machine, and run.
func jobsHere() []called {
	here, _ := cards("") // no folder, no jobs
	list := []called{}
	for _, card := range here {
		c := &config{job: card.Job, servers: card.Servers, token: card.Token}
		bus, err := c.connect()
		if err != nil {
			continue // its process was killed
		}
		found, _ := jobsAt(context.Background(), bus)
		bus.Close()
		for _, f := range found {
			if f.Job == card.Job {
				f.Servers = card.Servers
				list = append(list, f)
			}
		}
	}
	return list
}

func thereIs(list []called) string {
	var names []string
	for _, c := range list {
		names = append(names, c.Job)
	}
	if names == nil {
		return "there is none"
	}
	return "there is: " + strings.Join(slices.Compact(names), ", ")
}

func (p *process) list(ctx context.Context, _ []string, out, errs io.Writer) error {
	c, err := p.flags.parseCommand(p.fs, os.Getenv, p.fs.Name())
	if err != nil {
		return err
	}
	list := jobsHere()
	if len(c.servers) > 0 {
		bus, err := c.connect()
		if err != nil {
			return err
		}
		defer bus.Close()
		if list, err = jobsAt(ctx, bus); err != nil {
			return err
		}
	}
	if p.asked.json {
		return printJSON(out, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(errs, "no job runs; those at servers of others are listed with -nats=nats://host:4222")
	}
	for _, j := range list {
		at := ""
		if j.Servers != nil {
			at = " at " + strings.Join(j.Servers, ",")
		}
		led := "its leader is missed, and another one about to begin"
		if j.Host != "" {
			led = fmt.Sprintf("led on %s for %v", j.Host, time.Since(j.Started).Round(time.Second))
		}
		fmt.Fprintf(out, "%s: %s, %d slots on %d workers, %s%s\n", j.Job, j.Phase, j.Slots, j.Workers, led, at)
	}
	return nil
}

func (p *process) status(ctx context.Context, _ []string, out, _ io.Writer) error {
	r, err := p.find()
	if err != nil {
		return err
	}
	defer r.bus.Close()
	var s cluster.Status
	if err := r.ask(ctx, &s, "status"); err != nil {
		return err
	}
	s.Kept = r.kept(ctx)
	if p.asked.json {
		return printJSON(out, &s)
	}
	_, err = fmt.Fprint(out, s.String())
	return err
}

// keptMost is how long the servers may take to say what they keep.
const keptMost = 5 * time.Second

// kept is how what the job keeps is; nil if that is on one server, or nothing is.
func (r *remote) kept(ctx context.Context) *cluster.Kept {
	ctx, cancel := context.WithTimeout(ctx, keptMost)
	defer cancel()
	store, err := natsbus.OpenStore(r.cfg.bus())
	if err != nil {
		return &cluster.Kept{Why: err.Error()}
	}
	defer store.Close()
	switch servers, whole, err := store.Whole(ctx); {
	case errors.Is(err, natsbus.ErrNoStore):
		return nil
	case err != nil:
		return &cluster.Kept{Why: err.Error()}
	case servers > 1:
		return &cluster.Kept{Servers: servers, Whole: whole}
	}
	return nil
}

func (p *process) explain(ctx context.Context, _ []string, out, _ io.Writer) error {
	var list []cluster.Explanation
	if err := p.do(ctx, &list, "explain"); err != nil {
		return err
	}
	if p.asked.json {
		return printJSON(out, list)
	}
	for _, e := range list {
		on := ""
		if e.Worker > 0 {
			on = fmt.Sprintf(" on worker %d", e.Worker)
		}
		fmt.Fprintf(out, "slot %d%s:\n  %s\n", e.Slot, on, strings.ReplaceAll(e.Text, "\n", "\n  "))
	}
	return nil
}

func (p *process) logs(ctx context.Context, _ []string, out, _ io.Writer) error {
	var list []cluster.Log
	if err := p.do(ctx, &list, "logs", fmt.Sprint(p.asked.lines)); err != nil {
		return err
	}
	for _, l := range list {
		if p.asked.json {
			if err := printJSON(out, l); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(out, l.String())
	}
	return nil
}

// do finds the job, and asks it for a command.
func (p *process) do(ctx context.Context, result any, name string, args ...string) error {
	r, err := p.find()
	if err != nil {
		return err
	}
	defer r.bus.Close()
	return r.ask(ctx, result, name, args...)
}

// ends is a command that lets the job end.
func (p *process) ends(name string) func(ctx context.Context, _ []string, out, errs io.Writer) error {
	return func(ctx context.Context, _ []string, out, errs io.Writer) error {
		r, err := p.find()
		if err != nil {
			return err
		}
		defer r.bus.Close()
		w, err := r.watch()
		if err != nil {
			return err
		}
		defer w.stop()
		w.seen = func(s *cluster.Status) {
			if s.Phase <= cluster.Running { // another process leads since, and has not heard of it
				_ = r.once(ctx, nil, name) // else it is asked for again
			}
		}
		var phase cluster.Phase
		if err := r.ask(ctx, &phase, name); err != nil {
			return err
		}
		if p.asked.wait {
			last, err := w.until(ctx, nil)
			if err != nil {
				return err
			}
			phase = last.Phase
		}
		if p.asked.json {
			return printJSON(out, map[string]any{"job": r.cfg.job, "phase": phase})
		}
		_, err = fmt.Fprintf(out, "the job %s is %s\n", r.cfg.job, phase)
		return err
	}
}

// printJSON prints v as one line of JSON.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
