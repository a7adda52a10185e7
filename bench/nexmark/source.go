package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/bench/nexmark/gen"
	"github.com/millrace/millrace/pipeline"
)

// bids is the bids among the first n events; the other events are not built, as
// in the loops of bench/peers. It is a source as a connector has one: lane l of P
// reads the events whose number is l modulo P.
func bids(p *pipeline.Pipeline, n uint64) pipeline.PCollection[gen.Bid] {
	return pipeline.Read[gen.Bid](p, "nexmark.Bids", bidSource{n})
}

type bidSource struct{ events uint64 }

func (s bidSource) Bounded() bool { return true }

func (s bidSource) Splits(_ context.Context, lanes int) (out []pipeline.Split[gen.Bid], _ error) {
	for i := range lanes {
		out = append(out, &bidSplit{s.events, uint64(i), uint64(lanes)})
	}
	return out, nil
}

type bidSplit struct{ events, first, step uint64 }

func (s *bidSplit) ID() string  { return fmt.Sprintf("%d/%d", s.first, s.step) }
func (s *bidSplit) Size() int64 { return int64(s.events/s.step) + 1 }

func (s *bidSplit) Open(_ context.Context, position []byte) (pipeline.Reader[gen.Bid], error) {
	r := &bidReader{bidSplit: s, i: s.first}
	if position != nil {
		i, n := binary.Uvarint(position)
		if n <= 0 {
			return nil, errors.New("damaged position")
		}
		r.i = i
	}
	return r, nil
}

type bidReader struct {
	*bidSplit
	i   uint64 // the next event
	bid gen.Bid
}

// Read makes max events; those that are bids are emitted.
func (r *bidReader) Read(max int, out *pipeline.Output[gen.Bid]) (pipeline.ReadState, error) {
	for ; max > 0 && r.i < r.events; max-- {
		i := r.i
		r.i += r.step
		if gen.FillBid(&r.bid, i) {
			out.Emit(r.bid)
		}
	}
	if r.i >= r.events {
		return pipeline.Done, nil
	}
	return pipeline.More, nil
}

func (r *bidReader) Position(b []byte) []byte { return binary.AppendUvarint(b, r.i) }
func (r *bidReader) Where() string            { return fmt.Sprintf("event %d", r.i-r.step) }
func (r *bidReader) Progress() int64          { return int64(r.i / r.step) }
func (r *bidReader) Close() error             { return nil }
