package cluster

import (
	"context"
	"errors"
	"sync"
	"time"
)

// probe asks workers whether they are there, until ctx ends. Of a process that is dead, or
// cut off, the transport knows that nobody listens: its silence need not be waited for.
func (l *Leader) probe(ctx context.Context) {
	again := time.NewTicker(l.cfg.Probe)
	defer again.Stop()
	met := map[string]bool{} // workers that have answered: of others the transport may not know yet
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		r := l.Roster()
		if r.Phase.Over() {
			return
		}
		answers := make([]error, len(r.Workers))
		var asks sync.WaitGroup
		for i, m := range r.Workers {
			asks.Go(func() { answers[i] = l.seek(ctx, m.Worker) })
		}
		asks.Wait()
		for i, m := range r.Workers {
			switch err := answers[i]; {
			case err == nil:
				met[m.Worker] = true
			case errors.Is(err, l.cfg.Nobody) && met[m.Worker]:
				delete(met, m.Worker)
				l.do(func(c *Crew) { c.Missing(m.Worker) })
			}
		}
	}
}

// seek asks a worker whether it is there, and again if nobody is: its connection may just
// be another one.
func (l *Leader) seek(ctx context.Context, worker string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*l.cfg.Probe)
	defer cancel()
	_, err := l.wire.askAt(ctx, serviceOf(worker), &Fine{})
	if !errors.Is(err, l.cfg.Nobody) {
		return err
	}
	select {
	case <-time.After(l.cfg.Probe / 4):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	_, err = l.wire.askAt(ctx, serviceOf(worker), &Fine{})
	return err
}
