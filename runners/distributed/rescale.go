package distributed

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/terminal"
)

// rescaled is what has become of a rescale.
type rescaled struct {
	Job     string  `json:"job"`
	Workers int     `json:"workers"` // that are to have slots
	Missing int     `json:"missing"` // of those
	Moved   int     `json:"moved"`   // slots, so far
	Seconds float64 `json:"seconds"` // so far
	Settled bool    `json:"settled"` // it is over

	spares []string // who has joined by itself, and may be ended
}

// rescale is the command. With wait it returns when all slots are where they are to be.
func (p *process) rescale(ctx context.Context, args []string, out, errs io.Writer) error {
	r, err := p.find()
	if err != nil {
		return err
	}
	defer r.bus.Close()
	began := time.Now()
	var first cluster.Status
	if err := r.ask(ctx, &first, "status"); err != nil {
		return err
	}
	var s cluster.Status
	if err := r.ask(ctx, &s, "rescale", args...); err != nil {
		return err
	}
	if nobodyComes(&s) {
		fmt.Fprintln(errs, r.toFill(&s, errs))
	}
	if p.asked.wait {
		if err := r.untilSettled(ctx, &s, errs); err != nil {
			return err
		}
	}
	res := outcome(&first, &s)
	res.Seconds = time.Since(began).Seconds()
	if p.asked.json {
		return printJSON(out, res)
	}
	_, err = fmt.Fprintln(out, res)
	return err
}

// untilSettled asks for the status, into s, until the rescale that s shows is over.
func (r *remote) untilSettled(ctx context.Context, s *cluster.Status, errs io.Writer) error {
	wish, told := s.Wish, nobodyComes(s)
	for !settled(s) {
		if !sleep(ctx, askEvery/5) {
			return fmt.Errorf("the rescale to %s goes on: %w", many(wish, "worker"), context.Cause(ctx))
		}
		var next cluster.Status
		if err := r.ask(ctx, &next, "status"); err != nil {
			return err
		}
		switch *s = next; {
		case s.Phase != cluster.Running:
			return fmt.Errorf("the job is %v: it has no use for %s", s.Phase, many(wish, "worker"))
		case s.Wish != wish:
			return fmt.Errorf("somebody else has asked for %s meanwhile", many(s.Wish, "worker"))
		case !told && nobodyComes(s):
			told = true
			fmt.Fprintln(errs, r.toFill(s, errs))
		}
	}
	return nil
}

// settled reports that all workers have their slots, and those that are to end have done so.
func settled(s *cluster.Status) bool {
	return s.Settled && !slices.ContainsFunc(s.Workers, func(w cluster.WorkerStatus) bool { return w.Spare && w.Parent != "" })
}

// nobodyComes reports that workers are missing which no process of the job starts.
func nobodyComes(s *cluster.Status) bool {
	return s.Missing > 0 && !slices.ContainsFunc(s.Workers, func(w cluster.WorkerStatus) bool { return w.Parent != "" })
}

// toFill says how missing workers come; with the token only to people.
func (r *remote) toFill(s *cluster.Status, to io.Writer) string {
	token := "TOKEN"
	if terminal.Is(to) {
		token = r.cfg.token
	}
	are := "are"
	if s.Missing == 1 {
		are = "is"
	}
	return fmt.Sprintf("%d of %s %s missing, and no process of the job starts them; a worker joins by\n  %s", s.Missing, many(s.Wish, "worker"), are, r.cfg.toJoin(token))
}

// outcome is what has become of a job since first.
func outcome(first, s *cluster.Status) *rescaled {
	res := &rescaled{Job: s.Job, Workers: s.Wish, Missing: s.Missing, Settled: settled(s)}
	for i := range min(len(first.Slots), len(s.Slots)) {
		if first.Slots[i].Worker != s.Slots[i].Worker {
			res.Moved++
		}
	}
	for _, w := range s.Workers {
		if w.Spare && w.Parent == "" {
			res.spares = append(res.spares, fmt.Sprintf("worker %d on %s", w.Number, w.Host))
		}
	}
	return res
}

func (r *rescaled) String() string {
	text := fmt.Sprintf("the job %s is to have %s: its slots are on their way", r.Job, many(r.Workers, "worker"))
	switch {
	case r.Settled:
		text = fmt.Sprintf("the job %s has %s: %s moved in %.1f s", r.Job, many(r.Workers, "worker"), many(r.Moved, "slot"), r.Seconds)
	case r.Missing > 0:
		text = fmt.Sprintf("the job %s is to have %s, of which %d did not come yet", r.Job, many(r.Workers, "worker"), r.Missing)
	}
	for _, w := range r.spares {
		text += fmt.Sprintf("\n%s stays as a spare, without slots", w)
	}
	return text
}
