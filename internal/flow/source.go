package flow

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Generate is a bounded source of n elements, element i made by fill in place.
// Split s of P makes the numbers that are s modulo P.
func Generate[T any](n uint64, fill func(uint64, *T)) graph.Source { return &generate[T]{n, fill} }

type generate[T any] struct {
	n    uint64
	fill func(uint64, *T)
}

func (g *generate[T]) Bounded() bool { return true }

func (g *generate[T]) Splits(_ *graph.Run, n int) (s []graph.Split, _ error) {
	n = int(min(uint64(n), g.n))
	for i := range n {
		s = append(s, &generateSplit[T]{g, uint64(i), uint64(n)})
	}
	return s, nil
}

type generateSplit[T any] struct {
	*generate[T]
	first, step uint64
}

func (s *generateSplit[T]) ID() string { return fmt.Sprintf("%d/%d", s.first, s.step) }

func (s *generateSplit[T]) Size() int64 {
	return int64((s.n - min(s.first, s.n) + s.step - 1) / s.step)
}

func (s *generateSplit[T]) Open(c *graph.Ctx, out any, pos []byte) (graph.Reader, error) {
	r := &generateReader[T]{generateSplit: s, next: recvOf[T](out), i: s.first, node: c.Node()}
	if err := numberAt(&r.i, pos, s.first, s.step, s.n); err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID(), err)
	}
	return r, nil
}

// numberAt sets i to where a position goes on among the numbers from first to n, by
// step; nil leaves it.
func numberAt(i *uint64, pos []byte, first, step, n uint64) error {
	if pos == nil {
		return nil
	}
	at, k := binary.Uvarint(pos)
	if k <= 0 || k != len(pos) || at < first || (at-first)%step != 0 || at >= n && at-n >= step {
		return errPosition
	}
	*i = at
	return nil
}

type generateReader[T any] struct {
	*generateSplit[T]
	next Recv[T]
	node *graph.Node
	i    uint64
	e    T
}

func (r *generateReader[T]) Poll(c *graph.Ctx, max int) (graph.ReadState, error) {
	step, fill, next, id, e := r.step, r.fill, r.next, r.node.ID, &r.e
	for i := r.i; max > 0 && i < r.n; max-- {
		r.i = i + step
		c.Op = id
		fill(i, e)
		next(c, *e)
		i += step
	}
	if r.i >= r.n {
		return graph.Done, nil
	}
	return graph.More, nil
}

func (r *generateReader[T]) Watermark() int64         { return window.MinTime }
func (r *generateReader[T]) Position(b []byte) []byte { return binary.AppendUvarint(b, r.i) }
func (r *generateReader[T]) Where() string            { return fmt.Sprintf("element %d", r.i-r.step) }
func (r *generateReader[T]) Close() error             { return nil }

// Count is how many elements this reader has made.
func (r *generateReader[T]) Count() int64 { return int64(r.i / r.step) }

func (r *generateReader[T]) Progress() int64 { return r.Count() }

// Create is a bounded source of given values. Each has its time from ts, or MIN
// for nil. It is cut into at most n runs of neighbours.
func Create[T any](vals []T, ts []int64) graph.Source { return &create[T]{vals, ts} }

type create[T any] struct {
	vals []T
	ts   []int64
}

func (s *create[T]) Bounded() bool { return true }

func (s *create[T]) Splits(_ *graph.Run, n int) (out []graph.Split, _ error) {
	n = min(n, len(s.vals))
	for i := range n {
		out = append(out, &createSplit[T]{s, i * len(s.vals) / n, (i + 1) * len(s.vals) / n})
	}
	return out, nil
}

type createSplit[T any] struct {
	*create[T]
	from, to int
}

func (s *createSplit[T]) ID() string { return fmt.Sprintf("%d-%d", s.from, s.to) }

func (s *createSplit[T]) Size() int64 { return int64(s.to - s.from) }

func (s *createSplit[T]) Open(_ *graph.Ctx, out any, pos []byte) (graph.Reader, error) {
	r := &createReader[T]{createSplit: s, next: recvOf[T](out), i: s.from}
	if pos != nil {
		i, n := binary.Uvarint(pos)
		if n <= 0 || n != len(pos) || i < uint64(s.from) || i > uint64(s.to) {
			return nil, fmt.Errorf("%s: %w", s.ID(), errPosition)
		}
		r.i = int(i)
	}
	return r, nil
}

type createReader[T any] struct {
	*createSplit[T]
	next Recv[T]
	i    int
}

func (r *createReader[T]) Poll(c *graph.Ctx, max int) (graph.ReadState, error) {
	old := c.TS
	for c.TS = window.MinTime; max > 0 && r.i < r.to && c.Err() == nil; max-- {
		r.i++
		if r.ts != nil {
			c.TS = r.ts[r.i-1]
		}
		r.next(c, r.vals[r.i-1])
	}
	c.TS = old
	if r.i >= r.to {
		return graph.Done, nil
	}
	return graph.More, nil
}

func (r *createReader[T]) Watermark() int64         { return window.MinTime }
func (r *createReader[T]) Position(b []byte) []byte { return binary.AppendUvarint(b, uint64(r.i)) }
func (r *createReader[T]) Where() string            { return fmt.Sprintf("value %d", r.i-1) }
func (r *createReader[T]) Close() error             { return nil }

// Count is how many elements this reader has made.
func (r *createReader[T]) Count() int64 { return int64(r.i - r.from) }

func (r *createReader[T]) Progress() int64 { return r.Count() }
