package connector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/graph"
)

// point is a place in a piece: how many elements are before it, and its position.
type point struct {
	n   int
	pos []byte
}

// points reads a piece to its end, total elements of it, and is the positions
// behind every quantum.
func (in *input[T]) points(sp graph.Split, total, quantum int) (out []point, all *reading[T], err error) {
	r, err := in.begin(sp, nil)
	if err != nil {
		return nil, nil, err
	}
	defer r.r.Close()
	note := func() error {
		pos, err := r.position()
		if err == nil && (len(out) == 0 || out[len(out)-1].n < len(r.got)) {
			out = append(out, point{len(r.got), pos})
		}
		return err
	}
	if err := note(); err != nil {
		return nil, nil, err
	}
	until := time.Now().Add(in.of.Wait)
	for r.state != graph.Done && (in.bounded || len(r.got) < total) {
		before := len(r.got)
		if _, err := r.poll(quantum); err != nil {
			return nil, nil, err
		}
		if err := note(); err != nil {
			return nil, nil, err
		}
		if len(r.got) == before && r.state == graph.Idle { // it takes its time
			if time.Now().After(until) {
				return nil, nil, fmt.Errorf("it has nothing more after %d of %d elements", len(r.got), total)
			}
			<-time.After(time.Millisecond) // as an engine does it
		}
	}
	return out, r, nil
}

// counts is how many elements each piece has.
func (s Source[T]) counts(ctx context.Context, lanes int) (*input[T], []int, error) {
	in, err := s.open(ctx, lanes)
	if err != nil {
		return nil, nil, err
	}
	rs, err := in.readAll(1000)
	if err != nil {
		return nil, nil, err
	}
	if err := s.compare(rs...); err != nil {
		return nil, nil, err
	}
	var ns []int
	for _, r := range rs {
		ns = append(ns, len(r.got))
	}
	return in, ns, nil
}

// checkResume: a reader that is opened behind a position emits what the first one
// emitted behind it; so does one that is opened behind the position which the
// second one had before its first read.
func (s Source[T]) checkResume(ctx context.Context) error {
	for _, n := range []int{1, 3} {
		in, counts, err := s.counts(ctx, n)
		if err != nil {
			return err
		}
		for i, sp := range in.splits {
			for _, quantum := range quanta {
				points, all, err := in.points(sp, counts[i], quantum)
				if err != nil {
					return err
				}
				for _, pt := range sample(points) {
					if err := in.checkRest(sp, pt, all, counts[i]-pt.n, quantum); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func (in *input[T]) checkRest(sp graph.Split, pt point, all *reading[T], rest, quantum int) error {
	pos := pt.pos
	for _, story := range []string{"", ", and again before the first read"} {
		r, err := in.begin(sp, pos)
		if err != nil {
			return fmt.Errorf("behind element %d (position % x%s): %w", pt.n, pt.pos, story, err)
		}
		if pos, err = r.position(); err == nil {
			err = r.toEnd(rest, 4-min(quantum, 3))
		}
		if e := r.close(); err == nil {
			err = e
		}
		if err == nil {
			err = same(all.text[pt.n:], r.text)
		}
		if err == nil && in.of.Times != nil && same(texts(all.times[pt.n:]), texts(r.times)) != nil {
			err = fmt.Errorf("event times are %v, first they were %v", r.times, all.times[pt.n:])
		}
		if err != nil {
			return fmt.Errorf("%s behind element %d (position % x%s): %w", sp.ID(), pt.n, pt.pos, story, err)
		}
	}
	return nil
}

// sample is all points where there are few, or else the first, the last and some.
func sample(points []point) []point {
	const few = 70
	if len(points) <= few {
		return points
	}
	out := append([]point{}, points[:3]...)
	rnd := rand.New(rand.NewPCG(1, uint64(len(points))))
	for range few / 2 {
		out = append(out, points[3+rnd.IntN(len(points)-6)])
	}
	return append(out, points[len(points)-3:]...)
}

// checkChain: a new reader for every read, each behind the one before.
func (s Source[T]) checkChain(ctx context.Context) error {
	in, counts, err := s.counts(ctx, 2)
	if err != nil {
		return err
	}
	for _, quantum := range []int{1, 3} {
		var all []*reading[T]
		for i, sp := range in.splits {
			var pos []byte
			for n := 0; ; {
				r, err := in.begin(sp, pos)
				if err != nil {
					return err
				}
				all = append(all, r)
				if in.bounded || n < counts[i] {
					err = r.look(quantum)
				} else {
					_, err = r.poll(quantum)
				}
				if err == nil {
					pos, err = r.position()
				}
				if e := r.close(); err == nil {
					err = e
				}
				if err != nil {
					return err
				}
				if n += len(r.got); r.state == graph.Done || !in.bounded && len(r.got) == 0 {
					break
				}
				if n > counts[i] {
					return fmt.Errorf("%s: a reader for each read gave %d elements where there are %d", sp.ID(), n, counts[i])
				}
			}
		}
		if err := s.compare(all...); err != nil {
			return fmt.Errorf("a reader for each read of %d: %w", quantum, err)
		}
	}
	return nil
}

// look polls until it is over or something was read: a reader that has just been opened may
// have nothing yet.
func (r *reading[T]) look(quantum int) error {
	until := time.Now().Add(r.in.of.Wait)
	for len(r.got) == 0 && r.state != graph.Done {
		state, err := r.poll(quantum)
		switch {
		case err != nil:
			return err
		case r.in.run.Context.Err() != nil:
			return r.in.run.Context.Err()
		case len(r.got) == 0 && time.Now().After(until):
			return fmt.Errorf("%s: a reader that was opened behind a position reads nothing for %v", r.split.ID(), r.in.of.Wait)
		case state == graph.Idle:
			<-time.After(time.Millisecond) // as an engine does it
		}
	}
	return nil
}

// checkDeterministic: two readings have the same elements and positions.
func (s Source[T]) checkDeterministic(ctx context.Context) error {
	in, counts, err := s.counts(ctx, 2)
	if err != nil {
		return err
	}
	for i, sp := range in.splits {
		a, ra, err := in.points(sp, counts[i], 1)
		if err != nil {
			return err
		}
		b, rb, err := in.points(sp, counts[i], 1)
		if err != nil {
			return err
		}
		if fmt.Sprint(ra.text) != fmt.Sprint(rb.text) {
			return fmt.Errorf("%s: two readers differ in order: %s and %s", sp.ID(), some(ra.text), some(rb.text))
		}
		if fmt.Sprint(a) != fmt.Sprint(b) {
			return fmt.Errorf("%s: two readers differ in their positions", sp.ID())
		}
	}
	return nil
}

// checkConcurrent: every piece is read on a goroutine of its own, twice at once,
// as two runs do it. The race detector sees what they share.
func (s Source[T]) checkConcurrent(ctx context.Context) error {
	_, counts, err := s.counts(ctx, 5)
	if err != nil {
		return err
	}
	in, err := s.open(ctx, 5)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, 2*len(in.splits))
	rs := make([]*reading[T], 2*len(in.splits))
	for i := range errs {
		wg.Go(func() {
			sp := in.splits[i/2]
			r, err := in.begin(sp, nil)
			if err == nil {
				rs[i] = r
				if err = r.toEnd(counts[i/2], 2); err != nil {
					r.r.Close()
				} else {
					err = r.close()
				}
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for run := range 2 {
		var mine []*reading[T]
		for i := run; i < len(rs); i += 2 {
			if errs[i] != nil {
				return errs[i]
			}
			mine = append(mine, rs[i])
		}
		if err := s.compare(mine...); err != nil {
			return err
		}
	}
	return nil
}
