package distributed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/terminal"
)

// watch is what is heard of a job.
type watch struct {
	job   *remote
	lines chan string
	over  chan *cluster.Roster // the last one
	stop  func()
	seen  func(*cluster.Status) // called with each status; may be nil

	status atomic.Pointer[cluster.Status]
}

// silentMost is how long a job may be silent before it is given up: longer than another leader
// takes to begin.
const silentMost = 30 * time.Second

// askEvery is how often a job is asked for its status.
const askEvery = 500 * time.Millisecond

// watch begins to listen to the job.
func (r *remote) watch() (*watch, error) {
	w := &watch{job: r, lines: make(chan string, 1000), over: make(chan *cluster.Roster, 1)}
	var err error
	w.stop, err = r.Watch(func(l *cluster.Log) {
		select {
		case w.lines <- l.String():
		default: // nobody reads so fast; the command logs has it
		}
	}, func(last *cluster.Roster) {
		if last.Phase.Over() {
			select {
			case w.over <- last:
			default:
			}
		}
	})
	return w, err
}

// until shows lines until the job is over, and returns its last roster; nil when ctx ends.
func (w *watch) until(ctx context.Context, show func(line string)) (*cluster.Roster, error) {
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for heard := time.Now(); ; {
		select {
		case line := <-w.lines:
			if show != nil {
				show(line)
			}
		case last := <-w.over:
			return last, nil
		case <-ask.C:
			var s cluster.Status
			err := w.job.once(ctx, &s, "status")
			switch {
			case err == nil && s.Phase.Over():
				return &cluster.Roster{Phase: s.Phase, Why: s.Why}, nil
			case err == nil:
				heard = time.Now()
				w.status.Store(&s)
				if w.seen != nil {
					w.seen(&s)
				}
			case time.Since(heard) > silentMost && ctx.Err() == nil:
				return nil, fmt.Errorf("nothing was heard of the job %q for %v: it is over, or can't be reached: %w", w.job.cfg.job, silentMost, err)
			}
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// line is the progress line.
func (w *watch) line(time.Duration) string {
	s := w.status.Load()
	if s == nil {
		return "waiting for an answer"
	}
	return s.Line(time.Since(s.Started))
}

// attach shows a job to people until it is over or ctx ends.
func (p *process) attach(ctx context.Context, _ []string, out, _ io.Writer) error {
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
	var s cluster.Status
	if err := r.ask(ctx, &s, "status"); err != nil {
		return err
	}
	w.status.Store(&s)
	fmt.Fprintf(out, "attached to the job %s: Ctrl-C detaches, and the job goes on\n", r.cfg.job)
	screen := terminal.Start(out, r.cfg.every(out), w.line)
	last, err := w.until(ctx, func(line string) { fmt.Fprintln(screen, line) })
	screen.Stop()
	switch {
	case err != nil:
		return err
	case last == nil:
		fmt.Fprintf(out, "detached: the job %s goes on; the command attach shows it again, and cancel ends it\n", r.cfg.job)
		return nil
	case last.Phase == cluster.Failed:
		return errors.New("the job has failed: " + last.Why)
	}
	fmt.Fprintf(out, "the job %s is %s\n", r.cfg.job, last.Phase)
	return nil
}

// every is how often progress is shown on out; 0: never.
func (c *config) every(out io.Writer) time.Duration {
	if c.progress == "off" || c.progress == "auto" && !terminal.Is(out) {
		return 0
	}
	return 200 * time.Millisecond
}
