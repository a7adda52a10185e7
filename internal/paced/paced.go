// Package paced is an input for jobs that are tried while they run: numbers, of which their
// program says at any time how many are due.
package paced

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// Numbers are 0, 1, 2 and so on, by split: split s has those that are s modulo Parts, in
// order. What is behind a shuffle in the order of numbers of a split was not mixed up.
type Numbers struct {
	Parts uint64 // how many splits

	// Due says which number is the first that is not due yet, and whether there will be no
	// more. from is where the reader began, which is at a number of its own, and since for how
	// long it has been reading: a slot that was taken over goes on at its rate, and does not
	// make up for what it has missed. It is called for each read, by many readers at once.
	Due func(from uint64, since time.Duration) (due uint64, last bool)
}

var _ pipeline.Source[uint64] = Numbers{}

// At is Due at a rate, in numbers a second of each split.
func (n Numbers) At(rate float64, from uint64, since time.Duration) uint64 {
	return from + n.Parts*uint64(since.Seconds()*rate)
}

// Bounded implements pipeline.Source: how many there will be is not known before.
func (Numbers) Bounded() bool { return false }

// Splits implements pipeline.Source.
func (n Numbers) Splits(context.Context, int) (out []pipeline.Split[uint64], _ error) {
	for first := range n.Parts {
		out = append(out, &split{n, first})
	}
	return out, nil
}

type split struct {
	numbers Numbers
	first   uint64
}

func (s *split) ID() string  { return fmt.Sprint("numbers-", s.first) }
func (s *split) Size() int64 { return 0 }

func (s *split) Open(_ context.Context, position []byte) (pipeline.Reader[uint64], error) {
	next := s.first
	if position != nil {
		if len(position) != 8 {
			return nil, fmt.Errorf("a position of %d bytes", len(position))
		}
		if next = binary.BigEndian.Uint64(position); next%s.numbers.Parts != s.first {
			return nil, fmt.Errorf("position %d in split %d", next, s.first)
		}
	}
	return &reader{split: s, from: next, next: next, began: time.Now()}, nil
}

type reader struct {
	*split
	from, next uint64
	began      time.Time
}

func (r *reader) Read(max int, out *pipeline.Output[uint64]) (pipeline.ReadState, error) {
	due, last := r.numbers.Due(r.from, time.Since(r.began))
	state := pipeline.Idle
	for ; max > 0 && r.next < due; max-- {
		n := r.next
		r.next += r.numbers.Parts
		out.Emit(n)
		state = pipeline.More
	}
	if last && r.next >= due {
		return pipeline.Done, nil
	}
	return state, nil
}

func (r *reader) Position(b []byte) []byte { return binary.BigEndian.AppendUint64(b, r.next) }
func (r *reader) Progress() int64          { return int64(r.next / r.numbers.Parts) }
func (r *reader) Close() error             { return nil }

func (r *reader) Where() string {
	if r.next == r.first {
		return "before the first number"
	}
	return fmt.Sprint("number ", r.next-r.numbers.Parts)
}
