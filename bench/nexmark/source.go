package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/bench/nexmark/gen"
	"github.com/millrace/millrace/pipeline"
)

// bids is the bids among the first n events.
func (w workload) bids(p *pipeline.Pipeline) pipeline.PCollection[gen.Bid] {
	return read(p, "nexmark.Bids", w, gen.FillBid)
}

// persons is the persons among the first n events.
func (w workload) persons(p *pipeline.Pipeline) pipeline.PCollection[gen.Person] {
	return read(p, "nexmark.Persons", w, gen.FillPerson)
}

// auctions is the auctions among the first n events.
func (w workload) auctions(p *pipeline.Pipeline) pipeline.PCollection[gen.Auction] {
	return read(p, "nexmark.Auctions", w, gen.FillAuction)
}

// keys is the uniform keys of all n events.
func (w workload) keys(p *pipeline.Pipeline) pipeline.PCollection[uint64] {
	return read(p, "nexmark.Keys", w, func(k *uint64, n uint64) bool { *k = gen.Key(n); return true })
}

// read is the events that fill makes; the others are not built, as in the loops
// of bench/peers. It is a source as a connector has one: lane l of P reads the
// events whose number is l modulo P.
func read[T any](p *pipeline.Pipeline, kind string, w workload, fill func(*T, uint64) bool) pipeline.PCollection[T] {
	return pipeline.Read[T](p, kind, source[T]{w, fill})
}

type source[T any] struct {
	workload
	fill func(*T, uint64) bool // makes the event of that number, if it is a T
}

func (s source[T]) Bounded() bool { return true }

func (s source[T]) Splits(_ context.Context, lanes int) (out []pipeline.Split[T], _ error) {
	for i := range lanes {
		out = append(out, &split[T]{s, uint64(i), uint64(lanes)})
	}
	return out, nil
}

type split[T any] struct {
	source[T]
	first, step uint64
}

func (s *split[T]) ID() string  { return fmt.Sprintf("%d/%d", s.first, s.step) }
func (s *split[T]) Size() int64 { return int64(s.events/s.step) + 1 }

func (s *split[T]) Open(_ context.Context, position []byte) (pipeline.Reader[T], error) {
	r := &reader[T]{split: s, i: s.first, began: time.Now()}
	if position != nil {
		i, n := binary.Uvarint(position)
		if n <= 0 {
			return nil, errors.New("damaged position")
		}
		r.i = i
	}
	r.from = r.i
	if s.pace != nil {
		s.pace.begin()
		return &pacedReader[T]{reader: r}, nil
	}
	return r, nil
}

type reader[T any] struct {
	*split[T]
	i     uint64 // the next event
	e     T
	from  uint64 // where it was opened
	began time.Time
	_     [128]byte // what changes with each event shares no cache line with another lane's
}

// Read makes max events and emits those that are wanted.
func (r *reader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	if r.kill.holds(r.i, r.events) {
		return pipeline.Idle, nil
	}
	due := r.events
	if r.throttle > 0 {
		due = min(due, r.from+uint64(time.Since(r.began).Seconds()*r.throttle)*r.step)
	}
	for ; max > 0 && r.i < due; max-- {
		i := r.i
		r.i += r.step
		if r.fill(&r.e, i) {
			out.Emit(r.e)
		}
	}
	switch {
	case r.i >= r.events:
		return pipeline.Done, nil
	case r.i >= due:
		return pipeline.Idle, nil
	}
	return pipeline.More, nil
}

func (r *reader[T]) Position(b []byte) []byte { return binary.AppendUvarint(b, r.i) }
func (r *reader[T]) Where() string            { return fmt.Sprintf("event %d", r.i-r.step) }
func (r *reader[T]) Progress() int64          { return int64(r.i / r.step) }
func (r *reader[T]) Close() error             { return nil }

// pacedReader makes events when they are due. An event's time is its number, so
// that the end of the query can tell how late it is.
type pacedReader[T any] struct {
	*reader[T]
	quit, gone chan struct{} // of the goroutine that wakes the lane; nil before it starts
}

// packet is how often something comes, as over a network: not each event by itself.
const packet = 50 * time.Microsecond

func (r *pacedReader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	if r.quit == nil {
		r.quit, r.gone = make(chan struct{}), make(chan struct{})
		go r.wake(out.Waker())
	}
	due := min(r.pace.due(), r.events)
	for ; max > 0 && r.i < due; max-- {
		i := r.i
		r.i += r.step
		if r.fill(&r.e, i) {
			out.EmitAt(int64(i), r.e)
		}
	}
	switch {
	case r.i >= r.events:
		return pipeline.Done, nil
	case r.i < due:
		return pipeline.More, nil
	}
	return pipeline.Idle, nil
}

// wake stands for the network.
func (r *pacedReader[T]) wake(lane func()) {
	defer close(r.gone)
	for {
		select {
		case <-r.quit:
			return
		default:
			nap(packet)
			lane()
		}
	}
}

func (r *pacedReader[T]) Close() error {
	if r.quit != nil {
		close(r.quit)
		<-r.gone
	}
	return nil
}
