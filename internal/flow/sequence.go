package flow

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Sequence is a bounded source of the numbers 0 to n-1. Split s of P makes those
// that are s modulo P. It is Generate without a call for each element.
func Sequence(n uint64) graph.Source { return sequence{n} }

type sequence struct{ n uint64 }

func (s sequence) Bounded() bool { return true }

func (s sequence) Splits(_ *graph.Run, n int) (out []graph.Split, _ error) {
	n = int(min(uint64(n), s.n))
	for i := range n {
		out = append(out, &sequenceSplit{s.n, uint64(i), uint64(n)})
	}
	return out, nil
}

type sequenceSplit struct{ n, first, step uint64 }

func (s *sequenceSplit) ID() string  { return fmt.Sprintf("%d/%d", s.first, s.step) }
func (s *sequenceSplit) Size() int64 { return int64((s.n - s.first + s.step - 1) / s.step) }

func (s *sequenceSplit) Open(_ *graph.Ctx, out any, pos []byte) (graph.Reader, error) {
	r := &sequenceReader{sequenceSplit: s, next: recvOf[uint64](out), i: s.first}
	if err := numberAt(&r.i, pos, s.first, s.step, s.n); err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID(), err)
	}
	return r, nil
}

type sequenceReader struct {
	*sequenceSplit
	next Recv[uint64]
	i    uint64
}

func (r *sequenceReader) Poll(c *graph.Ctx, max int) (graph.ReadState, error) {
	step, next, n := r.step, r.next, r.n
	for i := r.i; max > 0 && i < n; max-- {
		r.i = i + step
		next(c, i)
		i += step
	}
	if r.i >= n {
		return graph.Done, nil
	}
	return graph.More, nil
}

func (r *sequenceReader) Watermark() int64         { return window.MinTime }
func (r *sequenceReader) Position(b []byte) []byte { return binary.AppendUvarint(b, r.i) }
func (r *sequenceReader) Where() string            { return fmt.Sprintf("element %d", r.i-r.step) }
func (r *sequenceReader) Count() int64             { return int64(r.i / r.step) }
func (r *sequenceReader) Progress() int64          { return r.Count() }
func (r *sequenceReader) Close() error             { return nil }
