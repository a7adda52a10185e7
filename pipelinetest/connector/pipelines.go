package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// errEnough ends the run of a source that does not end by itself.
var errEnough = errors.New("all is there")

// way is one way to run a pipeline.
type way struct {
	name  string
	cfg   local.Config
	fails int // so many failures in the midst, each made good from a snapshot
}

// ways are how sources and sinks are run. They are those of pipelinetest, and
// with a failure in the midst.
var ways = []way{
	{"one lane", local.Config{Parallelism: 1, Checkpoint: 2 * time.Millisecond}, 0},
	{"no snapshots", local.Config{Parallelism: 3}, 0},
	{"no fusion", local.Config{Parallelism: 2, NoFusion: true, Batch: 1, Queue: 1, Checkpoint: 2 * time.Millisecond}, 0},
	{"restart after every bundle", local.Config{Parallelism: 2, BundleEpochs: 1, RestartEvery: 1}, 0},
	{"one lane, restart after every second bundle", local.Config{Parallelism: 1, BundleEpochs: 2, RestartEvery: 1}, 0},
	{"failures in the midst", local.Config{Parallelism: 3, BundleEpochs: 1, Retries: 5}, 3},
}

// testPipelines runs the source to its end, or until all is there, in every way.
func (s Source[T]) testPipelines(t *testing.T) {
	for _, w := range ways {
		if s.Feed != nil && (w.fails > 0 || w.cfg.RestartEvery > 0) {
			continue // a restart loses what such a source had
		}
		t.Run(w.name, func(t *testing.T) {
			if err := twice(func() error { return s.runOne(t.Context(), w) }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (s Source[T]) runOne(parent context.Context, w way) error {
	before := resources()
	in, err := s.open(parent, 1)
	if err != nil {
		return err
	}
	if !in.bounded && w.cfg.Checkpoint == 0 && w.cfg.BundleEpochs == 0 {
		w.cfg.Checkpoint = 5 * time.Millisecond // without one nothing would ever be shown
	}
	if !in.bounded {
		w.cfg.BundleEpochs = min(w.cfg.BundleEpochs, 1) // the last bundle may be the only one
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	tooLong := time.AfterFunc(s.Wait, func() { cancel(errors.New("it takes too long")) })
	defer tooLong.Stop()
	out := &shown[T]{}
	if !in.bounded {
		out.enough = func() { cancel(errEnough) }
		out.most = len(s.Want)
		if out.most == 0 {
			cancel(errEnough)
		}
	}
	p := pipeline.New()
	seen := pipeline.TryMap(s.Read(p), failures[T](len(s.Want), w.fails))
	pipeline.Write(seen, "test.Shown", out)
	fed := make(chan error, 1)
	if s.Feed != nil {
		go func() { fed <- s.Feed(ctx) }()
	} else {
		fed <- nil
	}
	_, err = local.Run(ctx, p, w.cfg)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%w; %d of %d elements were shown", err, len(out.values()), len(s.Want))
	}
	if err := <-fed; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errEnough) {
		return fmt.Errorf("feed the source: %w", err)
	}
	if err := same(texts(s.Want), texts(out.values())); err != nil {
		return err
	}
	tooLong.Stop()
	cancel(nil)
	return before.await(s.Wait)
}

// shown is a sink that keeps what is committed, and says when it is enough.
type shown[T any] struct {
	most   int
	enough func()
	mu     sync.Mutex // guards vals
	vals   []T
}

func (s *shown[T]) values() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]T(nil), s.vals...)
}

func (s *shown[T]) Open(context.Context, int, int, []byte) (pipeline.Writer[T], error) {
	return &shownWriter[T]{to: s}, nil
}

type shownWriter[T any] struct {
	to             *shown[T]
	open, prepared []T
}

func (w *shownWriter[T]) Write(v T) error { w.open = append(w.open, v); return nil }

func (w *shownWriter[T]) Prepare() ([]byte, error) {
	w.prepared, w.open = append(w.prepared, w.open...), nil
	return nil, nil
}

func (w *shownWriter[T]) Commit() error {
	w.to.mu.Lock()
	w.to.vals = append(w.to.vals, w.prepared...)
	n := len(w.to.vals)
	w.to.mu.Unlock()
	w.prepared = nil
	if w.to.enough != nil && n >= w.to.most {
		w.to.enough()
	}
	return nil
}

func (w *shownWriter[T]) Finish() error { return nil }
func (w *shownWriter[T]) Abort(bool)    { w.open, w.prepared = nil, nil }
