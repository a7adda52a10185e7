package generate

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/millrace/millrace/pipeline"
)

type source[T any] struct {
	config
	make func(n uint64) T
}

func (s *source[T]) Bounded() bool { return s.bounded }

// unboundedSplits is the number of pieces where the input never ends: the same for
// any number of lanes.
const unboundedSplits = 16

func (s *source[T]) Splits(_ context.Context, lanes int) (out []pipeline.Split[T], _ error) {
	n := s.splits
	switch {
	case n > 0:
	case s.bounded:
		n = lanes
	default:
		n = unboundedSplits
	}
	n = int(min(uint64(n), s.count))
	for i := range n {
		out = append(out, &split[T]{s, uint64(i), uint64(n)})
	}
	return out, nil
}

// most is more elements than can be made in a century.
const most = 1 << 62

// split is the numbers from first on, by step.
type split[T any] struct {
	*source[T]
	first, step uint64
}

func (s *split[T]) ID() string { return fmt.Sprintf("%d/%d", s.first, s.step) }

func (s *split[T]) Size() int64 {
	if !s.bounded {
		return 0
	}
	return int64((s.count - s.first + s.step - 1) / s.step)
}

// Open goes on at the number of a position, on the schedule that began when the
// position says. A position before the first Read knows no beginning.
func (s *split[T]) Open(_ context.Context, position []byte) (pipeline.Reader[T], error) {
	r := &reader[T]{split: s, next: s.first}
	if s.start != nil {
		r.start, r.started = *s.start, true
	}
	if position == nil {
		return r, nil
	}
	next, k := binary.Uvarint(position)
	if k <= 0 || next < s.first || next > most || (next-s.first)%s.step != 0 || next >= s.count && next-s.count >= s.step {
		return nil, fmt.Errorf("%s: damaged position", s.ID())
	}
	r.next = next
	if !s.hasStart() {
		if len(position) != k {
			return nil, fmt.Errorf("%s: damaged position", s.ID())
		}
		return r, nil
	}
	if len(position) == k && next == s.first {
		return r, nil
	}
	start, l := binary.Varint(position[k:])
	if l <= 0 || k+l != len(position) {
		return nil, fmt.Errorf("%s: damaged position", s.ID())
	}
	r.start, r.started = start, true
	return r, nil
}

// hasStart reports that positions say when the schedule began.
func (s *config) hasStart() bool { return s.rate > 0 && s.start == nil }

type reader[T any] struct {
	*split[T]
	next    uint64
	start   int64 // when element 0 is due, Unix ms
	started bool  // start is known
	last    int64 // the newest time that the clock gave
}

func (r *reader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	now := out.Now()
	if r.clock != nil {
		now = r.clock().UnixMilli()
	}
	if !r.started {
		r.start, r.started = now, true
	}
	if now > r.last { // the clock may be set back
		r.last = now
	}
	state := pipeline.Idle
	for ; max > 0; max-- {
		if r.next >= r.count {
			return pipeline.Done, nil
		}
		if r.rate > 0 && r.due(r.next) > now {
			break
		}
		n := r.next
		r.next += r.step
		state = pipeline.More
		out.EmitAt(r.time(n)-r.moved(n), r.make(n))
		if out.Stopped() {
			break
		}
	}
	if r.next < r.count {
		out.Watermark(r.time(r.next) - r.disorder)
	}
	return state, nil
}

// due is when element n is to be made, in Unix ms.
func (r *reader[T]) due(n uint64) int64 { return r.start + int64(float64(n)/r.rate*1000) }

// time is the event time of element n before it is moved.
func (r *reader[T]) time(n uint64) int64 {
	switch {
	case r.timed:
		hi, lo := bits.Mul64(n, uint64(r.every))
		ms, _ := bits.Div64(hi%1e6, lo, 1e6)
		return r.from + int64(ms)
	case r.rate > 0:
		return r.due(n)
	}
	return r.last
}

// moved is by how much the time of element n is moved back.
func (r *reader[T]) moved(n uint64) int64 {
	if r.disorder == 0 {
		return 0
	}
	x := n + r.seed*0x9e3779b97f4a7c15 // splitmix64: Steele et al., OOPSLA 2014
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	hi, _ := bits.Mul64(x, uint64(r.disorder)+1)
	return int64(hi)
}

func (r *reader[T]) Position(b []byte) []byte {
	b = binary.AppendUvarint(b, r.next)
	if !r.started || !r.hasStart() {
		return b
	}
	return binary.AppendVarint(b, r.start)
}

func (r *reader[T]) Where() string {
	if r.next == r.first {
		return "before element " + fmt.Sprint(r.first)
	}
	return fmt.Sprint("element ", r.next-r.step)
}

// Progress is in elements.
func (r *reader[T]) Progress() int64 { return int64((r.next - r.first) / r.step) }

func (r *reader[T]) Close() error { return nil }
