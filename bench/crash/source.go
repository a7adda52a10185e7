package main

import (
	"time"

	"github.com/millrace/millrace/bench/nexmark/gen"
	"github.com/millrace/millrace/internal/paced"
	"github.com/millrace/millrace/pipeline"
)

// event is element N of the input: all else follows from it.
type event struct {
	N    uint64
	At   int64 // event time, Unix ms
	User uint64
	Cost int64
}

const (
	splits   = 4
	disorder = 40 // ms at most that an event is behind its number
)

func eventOf(n, users uint64) event {
	r := gen.Mix64(n)
	return event{n, int64(n) - int64(r>>32%disorder), r % users, int64(r >> 40 % 1000)}
}

// events is an endless input, of which limit elements are there at present. It goes
// on from where a reader was, and has an end if ends says so.
type events struct {
	limit uint64
	ends  bool
	rate  float64 // elements a second; 0: as fast as it goes
	users uint64
}

func (e *events) read(p *pipeline.Pipeline) pipeline.PCollection[event] {
	n := paced.Numbers{Parts: splits, Due: func(from uint64, since time.Duration) (uint64, bool) {
		due := e.limit
		if e.rate > 0 {
			due = min(due, from+uint64(since.Seconds()*e.rate))
		}
		return due, e.ends && due == e.limit
	}}
	return pipeline.Map(pipeline.Read[uint64](p, "crash.Events", n), func(n uint64) event { return eventOf(n, e.users) })
}
