package connector

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// Sink is a sink to be tested.
type Sink[T any] struct {
	// New makes a place to write to in which nothing is yet; one for each check.
	New func(t testing.TB) Target[T]
	// Input is what is written: at least six elements, which differ.
	Input []T
	// Durable says that the sink wants runs whose snapshots outlive the process, so that
	// it is given no others.
	Durable bool
	// Memory says that what the sink writes lives in this process only, so that it
	// owes nothing to one that takes over after a crash.
	Memory bool
}

// Target is one place to write to.
type Target[T any] struct {
	// Write adds the sink to a pipeline as a program would, and nothing else.
	Write func(c pipeline.PCollection[T])
	// Shown is what others see there at present, in any order. An error fails the check.
	Shown func(ctx context.Context) ([]T, error)
	// Unfinished, if not nil, names what lies there that nobody is to see, and that a
	// run which is over must not leave.
	Unfinished func(ctx context.Context) ([]string, error)
}

// TestSink checks that the sink keeps the contract of pipeline.Sink, each promise
// as a subtest, and then runs it in whole pipelines, failing ones as well.
func TestSink[T any](t *testing.T, s Sink[T]) {
	t.Helper()
	for _, c := range s.checks() {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			if s.Durable {
				ctx = graph.Durable(ctx)
			}
			if err := c.run(ctx, s.New(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, w := range ways {
		t.Run("pipeline: "+w.name, func(t *testing.T) {
			if err := twice(func() error { return s.runPipeline(t.Context(), s.New(t), s.inFolder(t, w)) }); err != nil {
				t.Fatal(err)
			}
		})
		t.Run("pipeline that fails: "+w.name, func(t *testing.T) {
			if err := twice(func() error { return s.runFailing(t.Context(), s.New(t), s.inFolder(t, w)) }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// inFolder gives a run a folder, if the sink wants one.
func (s Sink[T]) inFolder(t *testing.T, w way) way {
	if s.Durable {
		w.cfg.StateDir = t.TempDir()
	}
	return w
}

// sinkCheck is one promise of the contract.
type sinkCheck[T any] struct {
	name string
	run  func(context.Context, Target[T]) error
}

func (s Sink[T]) checks() []sinkCheck[T] {
	all := []sinkCheck[T]{
		{"nothing is shown before it is committed, all when it has ended", s.checkHidden},
		{"what is written between Prepare and Commit waits for the next", s.checkAhead},
		{"committed twice is shown once", s.checkTwice},
		{"nothing to write is nothing shown", s.checkEmpty},
		{"abort leaves nothing", s.checkAbort},
		{"lanes write side by side", s.checkLanes},
	}
	if !s.Memory {
		all = append(all,
			sinkCheck[T]{"goes back to the last snapshot", s.checkGoesBack},
			sinkCheck[T]{"goes on after a crash", s.checkCrash},
			sinkCheck[T]{"drops what was written between Prepare and a crash", s.checkCrashAhead},
			sinkCheck[T]{"a run that stops between Prepare and Commit goes on from either", s.checkStopsAhead},
			sinkCheck[T]{"another number of lanes goes on", s.checkRescale},
			sinkCheck[T]{"a damaged state is an error", s.checkDamaged},
		)
	}
	return all
}

// thirds is the input in three parts.
func (s Sink[T]) thirds() (a, b, c []T) {
	n := len(s.Input) / 3
	return s.Input[:n], s.Input[n : 2*n], s.Input[2*n:]
}

// checkHidden: what is written is hidden until Commit, and what is shown by then is
// what was committed or a part of it; behind Finish it is all.
func (s Sink[T]) checkHidden(ctx context.Context, at Target[T]) error {
	w, err := open(ctx, at, 0, 1, nil)
	if err != nil {
		return err
	}
	a, b, c := s.thirds()
	var before []string // shown
	var done []T        // committed
	for _, part := range [][]T{a, nil, b, c} {
		if err := w.write(part); err != nil {
			return err
		}
		if err := at.shows(ctx, "behind Write", before, before); err != nil {
			return err
		}
		if err := w.Prepare(w.c); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
		if err := at.shows(ctx, "behind Prepare", before, before); err != nil {
			return err
		}
		if err := w.Commit(w.c); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		done = append(done, part...)
		if err := at.shows(ctx, "behind Commit", before, texts(done)); err != nil {
			return err
		}
		vals, err := at.Shown(ctx)
		if err != nil {
			return err
		}
		before = texts(vals)
	}
	if err := w.finish(); err != nil {
		return err
	}
	if err := at.shows(ctx, "behind Finish", texts(s.Input), texts(s.Input)); err != nil {
		return err
	}
	return at.clean(ctx, "behind Finish")
}

// checkAhead: a run goes on while its snapshot is taken, so that Commit comes when
// the next epoch has begun.
func (s Sink[T]) checkAhead(ctx context.Context, at Target[T]) error {
	w, err := open(ctx, at, 0, 1, nil)
	if err != nil {
		return err
	}
	a, b, c := s.thirds()
	var done, before []string // committed; shown
	for _, part := range [][]T{a, b, c} {
		if err := w.write(part[:1]); err != nil {
			return err
		}
		if err := w.Prepare(w.c); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
		if err := w.write(part[1:]); err != nil {
			return fmt.Errorf("between Prepare and Commit: %w", err)
		}
		if err := at.shows(ctx, "behind Prepare and Write", before, done); err != nil {
			return err
		}
		if err := w.Commit(w.c); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		done = append(done, texts(part[:1])...)
		if err := at.shows(ctx, "behind Prepare, Write and Commit", before, done); err != nil {
			return err
		}
		vals, err := at.Shown(ctx)
		if err != nil {
			return err
		}
		before = texts(vals)
		done = append(done, texts(part[1:])...)
	}
	if err := w.epoch(nil); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	if err := at.shows(ctx, "behind Finish", texts(s.Input), texts(s.Input)); err != nil {
		return err
	}
	return at.clean(ctx, "behind Finish")
}

// checkTwice: Commit and Finish may be called again.
func (s Sink[T]) checkTwice(ctx context.Context, at Target[T]) error {
	w, err := open(ctx, at, 0, 1, nil)
	if err != nil {
		return err
	}
	a, b, c := s.thirds()
	for _, part := range [][]T{a, b, c} {
		if err := w.epoch(part); err != nil {
			return err
		}
		if err := w.Commit(w.c); err != nil {
			return fmt.Errorf("commit again: %w", err)
		}
	}
	if err := w.finish(); err != nil {
		return err
	}
	return at.shows(ctx, "behind Finish", texts(s.Input), texts(s.Input))
}

func (s Sink[T]) checkEmpty(ctx context.Context, at Target[T]) error {
	w, err := open(ctx, at, 0, 1, nil)
	if err != nil {
		return err
	}
	if err := w.epoch(nil); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	if err := at.shows(ctx, "behind Finish", nil, nil); err != nil {
		return err
	}
	return at.clean(ctx, "behind Finish")
}

// checkAbort: an Abort that is final leaves what was shown by a Commit, and nothing
// else, whatever came before it.
func (s Sink[T]) checkAbort(ctx context.Context, at Target[T]) error {
	a, b, _ := s.thirds()
	kept, may := []string(nil), []string(nil) // shown for good by the rounds so far
	for _, tc := range []struct {
		story string
		do    func(w *writer[T]) error
		may   []T
	}{
		{"Open", func(*writer[T]) error { return nil }, nil},
		{"Write", func(w *writer[T]) error { return w.write(a) }, nil},
		{"Prepare", func(w *writer[T]) error { return errors.Join(w.write(a), w.Prepare(w.c)) }, nil},
		{"Write behind Prepare and Commit of nothing", func(w *writer[T]) error { return errors.Join(w.epoch(nil), w.write(a)) }, nil},
		{"Commit", func(w *writer[T]) error { return w.epoch(a) }, a},
		{"Prepare behind Commit", func(w *writer[T]) error { return errors.Join(w.epoch(a), w.write(b), w.Prepare(w.c)) }, a},
	} {
		w, err := open(ctx, at, 0, 1, nil)
		if err != nil {
			return fmt.Errorf("the run before was aborted behind %s: %w", tc.story, err)
		}
		if err := tc.do(w); err != nil {
			return err
		}
		w.Abort(true)
		if err := w.close(); err != nil {
			return err
		}
		may = append(may, texts(tc.may)...)
		where := "behind " + tc.story + " and Abort"
		if err := at.shows(ctx, where, kept, may); err != nil {
			return err
		}
		if err := at.clean(ctx, where); err != nil {
			return err
		}
		vals, err := at.Shown(ctx)
		if err != nil {
			return err
		}
		kept = texts(vals)
	}
	return nil
}

// checkLanes: each lane has its part, and none is in another's way.
func (s Sink[T]) checkLanes(ctx context.Context, at Target[T]) error {
	a, b, c := s.thirds()
	var ws []*writer[T]
	for lane, part := range [][]T{a, b, c} {
		w, err := open(ctx, at, lane, 3, nil)
		if err != nil {
			return err
		}
		if w.single && lane > 0 { // a sink of one lane gets all on it
			w = ws[0]
		}
		ws = append(ws, w)
		if err := w.write(part); err != nil {
			return err
		}
	}
	seen := map[*writer[T]]bool{}
	for _, w := range ws {
		if seen[w] {
			continue
		}
		seen[w] = true
		if err := w.epoch(nil); err != nil {
			return err
		}
		if err := w.finish(); err != nil {
			return err
		}
	}
	return at.shows(ctx, "behind Finish", texts(s.Input), texts(s.Input))
}

// runPipeline: what is shown is the input, however it was run.
func (s Sink[T]) runPipeline(ctx context.Context, at Target[T], w way) error {
	before := resources()
	p := pipeline.New()
	at.Write(pipeline.TryMap(pipeline.Create(p, s.Input...), failures[T](len(s.Input), w.fails)))
	if _, err := local.Run(ctx, p, w.cfg); err != nil {
		return err
	}
	if err := at.shows(ctx, "behind the run", texts(s.Input), texts(s.Input)); err != nil {
		return err
	}
	if err := at.clean(ctx, "behind the run"); err != nil {
		return err
	}
	return before.await(5e9)
}

// runFailing: a run that fails leaves nothing unfinished, and shows nothing but what
// was committed, each element once at most.
func (s Sink[T]) runFailing(ctx context.Context, at Target[T], w way) error {
	before := resources()
	var n atomic.Int64
	p := pipeline.New()
	at.Write(pipeline.TryMap(pipeline.Create(p, s.Input...), func(_ context.Context, v T) (T, error) {
		if n.Add(1) >= int64(len(s.Input)) {
			return v, errors.New("a failure for good")
		}
		return v, nil
	}))
	cfg := w.cfg
	cfg.Retries = 0
	if _, err := local.Run(ctx, p, cfg); err == nil {
		return errors.New("the run has not failed")
	}
	most := texts(s.Input)
	if cfg.Checkpoint == 0 && cfg.BundleEpochs == 0 {
		most = nil // nothing was ever committed
	}
	if err := at.shows(ctx, "behind the run that failed", nil, most); err != nil {
		return err
	}
	if err := at.clean(ctx, "behind the run that failed"); err != nil {
		return err
	}
	return before.await(5e9)
}

// failures passes elements on, and fails so many times among n of them.
func failures[T any](n, fails int) func(context.Context, T) (T, error) {
	every := int64(n/(fails+1)) + 1
	var calls, failed atomic.Int64
	return func(_ context.Context, v T) (T, error) {
		if at := calls.Add(1); fails > 0 && at%every == every-1 && failed.Add(1) <= int64(fails) {
			return v, errors.New("a failure in the midst")
		}
		return v, nil
	}
}

// shows checks that all of least are shown, and nothing but most.
func (at Target[T]) shows(ctx context.Context, where string, least, most []string) error {
	vals, err := at.Shown(ctx)
	if err != nil {
		return fmt.Errorf("%s: look at what is shown: %w", where, err)
	}
	got := texts(vals)
	if _, extra := difference(most, got); len(extra) > 0 {
		return fmt.Errorf("%s %d elements are shown that should not be: %s", where, len(extra), some(extra))
	}
	if missing, _ := difference(least, got); len(missing) > 0 {
		return fmt.Errorf("%s %d elements are not shown: %s", where, len(missing), some(missing))
	}
	return nil
}

// clean checks that nothing unfinished is left.
func (at Target[T]) clean(ctx context.Context, where string) error {
	if at.Unfinished == nil {
		return nil
	}
	left, err := at.Unfinished(ctx)
	if err != nil {
		return fmt.Errorf("%s: look for what is unfinished: %w", where, err)
	}
	if len(left) > 0 {
		return fmt.Errorf("%s there is something unfinished left: %s", where, some(left))
	}
	return nil
}
