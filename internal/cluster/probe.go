package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// probe asks workers again and again whether they are there, until ctx ends: who died is
// missed as soon as the transport says that nobody serves what the worker did.
func (l *Leader) probe(ctx context.Context) {
	again := time.NewTicker(l.cfg.Probe)
	defer again.Stop()
	s := search{grace: 5 * l.cfg.Probe}
	var gone outage
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
		before, up := l.wire.Line()
		if text := gone.tell(up, time.Now()); text != "" {
			l.cfg.Note(text)
		}
		answers := make(map[string]error, len(r.Workers))
		if up {
			answers = l.seekAll(ctx, r.Workers)
		}
		if after, still := l.wire.Line(); !up || !still || after != before {
			s.lost()
			continue
		}
		for _, worker := range s.missing(answers, l.cfg.Nobody, time.Now()) {
			l.do(func(c *Crew) { c.Missing(worker) })
		}
	}
}

// seekAll seeks all workers at once.
func (l *Leader) seekAll(ctx context.Context, workers []Member) map[string]error {
	answers := make([]error, len(workers))
	var asks sync.WaitGroup
	for i, m := range workers {
		asks.Go(func() { answers[i] = l.seek(ctx, m.Worker) })
	}
	asks.Wait()
	by := make(map[string]error, len(workers))
	for i, m := range workers {
		by[m.Worker] = answers[i]
	}
	return by
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

// search decides which workers are missing, by what the transport says round by round.
//
// Who has answered and is not there any more has died, if it is the only one. Several that
// have gone together had most likely the same server, and are back in a moment by another
// one: those are waited for. Nothing is known of anybody behind a loss of the leader's own
// connection, until they answer on the next one.
type search struct {
	grace time.Duration        // that several may be away
	met   map[string]bool      // have answered on this connection
	away  map[string]time.Time // since when those are who have gone together
}

// lost tells that the connection was.
func (s *search) lost() { s.met, s.away = nil, nil }

// missing are the workers that have to be given up, each told once, by the answers of a round
// and the error of those that are not there.
func (s *search) missing(answers map[string]error, nobody error, now time.Time) (list []string) {
	if s.met == nil {
		s.met, s.away = map[string]bool{}, map[string]time.Time{}
	}
	var gone []string
	for worker, err := range answers {
		switch {
		case err == nil:
			s.met[worker] = true
			delete(s.away, worker)
		case errors.Is(err, nobody) && s.met[worker]:
			gone = append(gone, worker)
		}
	}
	slices.Sort(gone)
	for _, worker := range gone {
		since, known := s.away[worker]
		switch {
		case !known && len(gone) > 1:
			s.away[worker] = now
			continue
		case known && now.Sub(since) < s.grace:
			continue
		}
		delete(s.met, worker)
		delete(s.away, worker)
		list = append(list, worker)
	}
	return list
}

// outage knows since when a leader's connection is gone.
type outage struct{ since time.Time }

// tell is what people are to know at a look at the connection; "": nothing new.
func (o *outage) tell(up bool, now time.Time) string {
	switch since := o.since; {
	case !up && since.IsZero():
		o.since = now
		return "the leader has no connection to NATS: the job waits for it"
	case up && !since.IsZero():
		o.since = time.Time{}
		return fmt.Sprintf("the leader is connected to NATS again, after %v", max(now.Sub(since).Round(100*time.Millisecond), 100*time.Millisecond))
	}
	return ""
}

// ear knows whether a leader could hear workers all the time: not while its connection was
// gone, nor while its process stood still.
type ear struct {
	most time.Duration // that may lie between looks
	line uint64
	at   time.Time // of the last look
}

// deaf reports that the leader could not hear since the last look.
func (e *ear) deaf(t Transport, now time.Time) bool {
	line, up := t.Line()
	was := *e
	e.line, e.at = line, now
	return !up || line != was.line || !was.at.IsZero() && now.Sub(was.at) > e.most
}
