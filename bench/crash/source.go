package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/millrace/millrace/bench/nexmark/gen"
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

func (events) Bounded() bool { return false }

func (e *events) Splits(context.Context, int) (out []pipeline.Split[event], _ error) {
	for s := range uint64(splits) {
		out = append(out, &eventSplit{e, s})
	}
	return out, nil
}

// eventSplit is the numbers that are s modulo splits.
type eventSplit struct {
	*events
	s uint64
}

func (s *eventSplit) ID() string  { return fmt.Sprint("events-", s.s) }
func (s *eventSplit) Size() int64 { return 0 }

func (s *eventSplit) Open(_ context.Context, position []byte) (pipeline.Reader[event], error) {
	next := s.s
	if position != nil {
		if len(position) != 8 {
			return nil, fmt.Errorf("a position of %d bytes", len(position))
		}
		if next = binary.BigEndian.Uint64(position); next%splits != s.s {
			return nil, fmt.Errorf("position %d in split %d", next, s.s)
		}
	}
	return &eventReader{eventSplit: s, from: next, next: next, start: time.Now()}, nil
}

type eventReader struct {
	*eventSplit
	from, next uint64
	start      time.Time
}

func (r *eventReader) Read(max int, out *pipeline.Output[event]) (pipeline.ReadState, error) {
	due := r.limit
	if r.rate > 0 {
		due = min(due, r.from+uint64(time.Since(r.start).Seconds()*r.rate))
	}
	read := false
	for ; max > 0 && r.next < due; max-- {
		n := r.next
		r.next += splits
		read = true
		out.Emit(eventOf(n, r.users))
	}
	switch {
	case r.ends && r.next >= r.limit:
		return pipeline.Done, nil
	case !read:
		return pipeline.Idle, nil
	}
	return pipeline.More, nil
}

func (r *eventReader) Position(b []byte) []byte { return binary.BigEndian.AppendUint64(b, r.next) }
func (r *eventReader) Where() string            { return fmt.Sprint("event ", r.next-splits) }
func (r *eventReader) Progress() int64          { return int64(r.next / splits) }
func (r *eventReader) Close() error             { return nil }
