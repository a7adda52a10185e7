package connector

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// Source is a source to be tested, and what is known of its input.
type Source[T any] struct {
	// Read adds the source to p as a program would, and nothing else. It is called
	// many times, also from several goroutines, and means the same input each time.
	Read func(p *pipeline.Pipeline) pipeline.PCollection[T]
	// Want is all elements of the input, in any order. Few of them (up to a hundred
	// or so) are best: a reader is reopened behind each.
	Want []T
	// Times, if not nil, is the event time of each of Want, in Unix milliseconds.
	Times []int64
	// Late is by how much an element may be behind the watermark; default 0.
	Late time.Duration
	// Anywhere says that the input is the same in every process and folder (numbers,
	// a file in testdata): then the names of its pieces are compared with those of
	// another process. In a test that calls TestSource more than once, it is for the
	// first call that has it.
	Anywhere bool
	// Feed, if not nil, sends the input to a source that hears of it only while it
	// is read, once all pieces are open. What such a source has emitted is gone: it
	// is not asked to go on from a position. A failure of Feed fails the check.
	Feed func(ctx context.Context) error
	// Wait is the most that an unbounded source may take to give what is there;
	// default 20 s.
	Wait time.Duration
}

// lanes are the numbers of lanes that sources are asked to split for.
var lanes = []int{1, 2, 7}

// quanta are how many elements are asked for at a time.
var quanta = []int{1, 2, 3, 1000}

// check is one promise of the contract.
type check struct {
	name string
	run  func(context.Context) error
}

// TestSource checks that the source keeps the contract of pipeline.Source, each
// promise as a subtest, and then runs it in whole pipelines.
func TestSource[T any](t *testing.T, s Source[T]) {
	t.Helper()
	if s.Wait == 0 {
		s.Wait = 20 * time.Second
	}
	if told, err := s.tellParent(t); told {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, c := range s.checks() {
		t.Run(c.name, func(t *testing.T) {
			if err := c.run(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	if s.Anywhere {
		t.Run("another process has the same pieces", s.testOtherProcess)
	}
	t.Run("pipelines", s.testPipelines)
}

func (s Source[T]) checks() []check {
	all := []check{
		{"pieces are named once, and equally each time", s.checkSplits},
		{"all pieces together are the input", s.checkWhole},
		{"an ended context ends it", s.checkCancelled},
		{"a reader is closed in any state and leaves nothing", s.checkClose},
		{"a damaged position is an error", s.checkDamaged},
	}
	if s.Feed == nil {
		all = append(all,
			check{"behind any position is exactly the rest", s.checkResume},
			check{"restarted after every read", s.checkChain},
			check{"positions are the same each time", s.checkDeterministic},
			check{"pieces are read at once", s.checkConcurrent},
			check{"the run is over", s.checkStopped},
		)
	}
	return all
}

// checkSplits: IDs are unique, not empty, and the same each time the source is asked.
func (s Source[T]) checkSplits(ctx context.Context) error {
	for _, n := range lanes {
		first, err := s.describe(ctx, n)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, d := range first {
			switch {
			case d.ID == "":
				return fmt.Errorf("for %d lanes a piece has no ID", n)
			case seen[d.ID]:
				return fmt.Errorf("for %d lanes two pieces have the ID %q", n, d.ID)
			case d.Size < 0:
				return fmt.Errorf("piece %q has size %d", d.ID, d.Size)
			}
			seen[d.ID] = true
		}
		for range 3 { // as often as an order of a map's may happen to be the same
			again, err := s.describe(ctx, n)
			if err != nil {
				return err
			}
			if fmt.Sprint(first) != fmt.Sprint(again) {
				return fmt.Errorf("for %d lanes the pieces are not the same each time:\n%v\n%v", n, first, again)
			}
		}
	}
	return nil
}

// piece is what a split says of itself.
type piece struct {
	ID   string
	Size int64
}

func (s Source[T]) describe(ctx context.Context, lanes int) (out []piece, err error) {
	in, err := s.open(ctx, lanes)
	if err != nil {
		return nil, err
	}
	for _, sp := range in.splits {
		out = append(out, piece{sp.ID(), sp.Size()})
	}
	return out, nil
}

// checkWhole: no element is lost or read twice, however many are asked for at a
// time and however many lanes there are.
func (s Source[T]) checkWhole(ctx context.Context) error {
	for _, n := range lanes {
		for _, quantum := range quanta {
			in, err := s.open(ctx, n)
			if err != nil {
				return err
			}
			rs, err := in.readAll(quantum)
			if err != nil {
				return fmt.Errorf("%d lanes, %d elements at a time: %w", n, quantum, err)
			}
			if err := s.compare(rs...); err != nil {
				return fmt.Errorf("%d lanes, %d elements at a time: %w", n, quantum, err)
			}
		}
	}
	return nil
}

// checkCancelled: Splits, Open and Read return soon when the context has ended;
// an error of theirs is the context's.
func (s Source[T]) checkCancelled(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	cancel()
	if err := s.within("Splits with a context that has ended", func() error {
		_, err := s.open(ctx, 2)
		return notCancelled(err)
	}); err != nil {
		return err
	}
	ctx, cancel = context.WithCancel(parent)
	defer cancel()
	in, err := s.open(ctx, 2)
	if err != nil {
		return err
	}
	var open []*reading[T]
	defer func() {
		for _, r := range open {
			r.r.Close()
		}
	}()
	if len(in.splits) == 0 {
		return nil
	}
	r, err := in.begin(in.splits[0], nil)
	if err != nil {
		return err
	}
	open = append(open, r)
	cancel()
	return s.within("Open and Read with a context that has ended", func() error {
		if _, err := r.poll(1); err != nil {
			return notCancelled(err)
		}
		for _, sp := range in.splits[1:] {
			r, err := in.begin(sp, nil)
			if err != nil {
				return notCancelled(err)
			}
			open = append(open, r)
		}
		return nil
	})
}

// notCancelled is err, unless it says that the context has ended.
func notCancelled(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("the error is not that of the context: %w", err)
}

// within is f's error, or that it takes too long.
func (s Source[T]) within(what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-time.After(s.Wait):
		return fmt.Errorf("%s: it does not return", what)
	}
}

// checkClose: whatever was read, Close leaves no goroutine and no open file.
func (s Source[T]) checkClose(ctx context.Context) error {
	return twice(func() error { return s.closeAll(ctx) })
}

// closeAll closes readers that have read nothing, something and all.
func (s Source[T]) closeAll(ctx context.Context) error {
	before := resources()
	for _, reads := range []int{0, 1, 2} {
		in, err := s.open(ctx, 3)
		if err != nil {
			return err
		}
		var open []*reading[T]
		for _, sp := range in.splits {
			r, err := in.begin(sp, nil)
			if err != nil {
				return err
			}
			open = append(open, r)
			for range reads {
				if state, err := r.poll(1); err != nil {
					return err
				} else if state != pipeline.More {
					break
				}
			}
		}
		for _, r := range open {
			if err := r.close(); err != nil {
				return fmt.Errorf("after %d reads: %w", reads, err)
			}
		}
		if len(in.splits) == 0 {
			break
		}
		if !in.bounded {
			continue
		}
		r, err := in.begin(in.splits[0], nil)
		if err != nil {
			return err
		}
		if err := r.toEnd(len(s.Want), 1000); err != nil {
			return err
		}
		if err := r.close(); err != nil {
			return fmt.Errorf("at the end: %w", err)
		}
	}
	return before.await(s.Wait)
}

// checkStopped: a Read in the midst of which the run fails returns, with no
// complaint of its own.
func (s Source[T]) checkStopped(ctx context.Context) error {
	in, err := s.open(ctx, 1)
	if err != nil {
		return err
	}
	for _, sp := range in.splits {
		r, err := in.begin(sp, nil)
		if err != nil {
			return err
		}
		defer r.r.Close()
		r.onEmit = func() { r.c.Fail(errors.New("the run has failed")) }
		if err := s.within("Read while the run fails", func() error { _, err := r.poll(1000); return err }); err != nil {
			return err
		}
	}
	return nil
}
