package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/require"
)

// once fails the nth time that it is asked, and never again.
type once struct {
	nth int64
	n   atomic.Int64
}

func (o *once) fail() error {
	if o.n.Add(1) == o.nth {
		return fmt.Errorf("asked for the time number %d", o.nth)
	}
	return nil
}

// flaky is a source of ints in pieces, and failing once where it is told to.
type flaky struct {
	pieces, each int
	open, read   *once
}

func (f *flaky) Bounded() bool { return true }
func (f *flaky) Splits(context.Context, int) (out []pipeline.Split[int], _ error) {
	for i := range f.pieces {
		out = append(out, &flakyPiece{f, i})
	}
	return out, nil
}

type flakyPiece struct {
	*flaky
	i int
}

func (p *flakyPiece) ID() string  { return strconv.Itoa(p.i) }
func (p *flakyPiece) Size() int64 { return int64(p.each) }
func (p *flakyPiece) Open(_ context.Context, pos []byte) (pipeline.Reader[int], error) {
	r := &flakyReader{flakyPiece: p}
	if pos != nil {
		r.next, _ = strconv.Atoi(string(pos))
	}
	return r, p.open.fail()
}

type flakyReader struct {
	*flakyPiece
	next int
}

func (r *flakyReader) Read(most int, out *pipeline.Output[int]) (pipeline.ReadState, error) {
	for range min(most, 5) {
		if r.next == r.each {
			return pipeline.Done, nil
		}
		if err := r.read.fail(); err != nil {
			return pipeline.Done, err
		}
		r.next++
		out.Emit(r.i*r.each + r.next - 1)
	}
	return pipeline.More, nil
}
func (r *flakyReader) Position(b []byte) []byte { return strconv.AppendInt(b, int64(r.next), 10) }
func (r *flakyReader) Where() string            { return fmt.Sprintf("piece %d:%d", r.i, r.next-1) }
func (r *flakyReader) Progress() int64          { return int64(r.next) }
func (r *flakyReader) Close() error             { return nil }

// ledger is a sink that shows what is committed, once, and fails once where it is
// told to. Its state is how many elements the lane has committed.
type ledger struct {
	write, prepare *once

	mu    sync.Mutex // guards shown
	shown []int
}

func (s *ledger) Open(context.Context, int, int, []byte) (pipeline.Writer[int], error) {
	return &ledgerWriter{ledger: s}, nil
}

type ledgerWriter struct {
	*ledger
	begun, ready []int
}

func (w *ledgerWriter) Write(v int) error {
	if err := w.write.fail(); err != nil {
		return err
	}
	w.begun = append(w.begun, v)
	return nil
}
func (w *ledgerWriter) Prepare() ([]byte, error) {
	w.ready, w.begun = w.begun, nil
	return []byte{}, w.prepare.fail()
}
func (w *ledgerWriter) Commit() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = append(w.shown, w.ready...)
	w.ready = nil
	return nil
}
func (w *ledgerWriter) Finish() error { return nil }
func (w *ledgerWriter) Abort(bool)    {}

// slow is a store that takes its time, so that lanes get ahead of it.
type slow struct{ *commit.Memory }

func (s *slow) Begin(lanes int) commit.Epoch { return slowEpoch{s.Memory.Begin(lanes)} }

type slowEpoch struct{ commit.Epoch }

func (e slowEpoch) Commit(r *commit.Record) error {
	for range 2000 {
		runtime.Gosched()
	}
	return e.Epoch.Commit(r)
}

// Goal: whatever fails once, anywhere, the results are exact: nothing is lost and
// nothing shown twice, state included. Method: a source, a shuffle, state, hooks and
// a sink, each failing once, early and late, in several configurations.
func TestRun_oneFailureAnywhereLeavesExactResults(t *testing.T) {
	const pieces, each = 5, 40
	before := runtime.NumGoroutine()
	places := []string{"open", "read", "start", "map", "bundle", "state", "write", "prepare"}
	for _, place := range places {
		for _, nth := range []int64{1, 3, 50} {
			for _, cfg := range []engine.Config{
				{Lanes: 1, EpochBundles: 3},
				{Lanes: 2, EpochBundles: 1},
				{Lanes: 3, EpochBundles: 5, Batch: 1, Queue: 1, NoFusion: true},
				{Lanes: 2, EpochBundles: 4, RestartEvery: 2},
				{Lanes: 1, EpochBundles: 1, Ahead: true},
				{Lanes: 2, EpochBundles: 2, Ahead: true},
				{Lanes: 3, EpochBundles: 1, Ahead: true, NoFusion: true},
			} {
				if cfg.Ahead {
					cfg.Store = &slow{commit.NewMemory()}
				}
				t.Run(fmt.Sprint(place, " ", nth, " lanes ", cfg.Lanes, cfg.Ahead), func(t *testing.T) {
					at := map[string]*once{}
					for _, p := range places {
						at[p] = &once{}
					}
					at[place].nth = nth
					cfg.OnError, cfg.Retries = engine.Careful, 1
					p := pipeline.New()
					c := pipeline.Read[int](p, "test.Read", &flaky{pieces, each, at["open"], at["read"]})
					c = pipeline.ParDo(c, func(d *pipeline.DoFn, emit pipeline.Emit[int]) func(pipeline.Elem, int) error {
						d.OnStart(func(context.Context) error { return at["start"].fail() })
						var held []int
						d.OnFinishBundle(func() error {
							for _, v := range held {
								emit(v)
							}
							held = held[:0]
							return at["bundle"].fail()
						})
						return func(_ pipeline.Elem, v int) error {
							if err := at["map"].fail(); err != nil {
								return err
							}
							held = append(held, v)
							return nil
						}
					})
					numbered := pipeline.Stateful(pipeline.KeyBy(c, func(v int) int { return v % 7 }), "number", func(s *pipeline.Setup[int, int]) pipeline.Process[int, int, int] {
						n := pipeline.ValueState[int](s, "n")
						return func(c *pipeline.Ctx[int], _ int, emit pipeline.Emit[int]) error {
							n.Set(c, n.Get(c)+1)
							emit(c.Key()*1000 + n.Get(c))
							return at["state"].fail()
						}
					})
					sink := &ledger{write: at["write"], prepare: at["prepare"]}
					pipeline.Write(numbered, "test.Write", sink)
					_, err := engine.Run(t.Context(), p.Graph(), cfg)
					require.NoError(t, err)
					var want []int
					for key := range 7 {
						for n := range pieces * each / 7 {
							want = append(want, key*1000+n+1)
						}
						if key < pieces*each%7 {
							want = append(want, key*1000+pieces*each/7+1)
						}
					}
					slices.Sort(sink.shown)
					require.Equal(t, want, sink.shown)
					awaitGoroutines(t, before+2) // the subtest's own
				})
			}
		}
	}
}

// A cancel ends a replay, too: also in the pause between two tries.
func TestRun_cancelledBetweenTries(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	p := pipeline.New()
	var tries atomic.Int64
	pipeline.ForEach(numbers(p, 1), func(context.Context, uint64) error {
		if tries.Add(1) == 3 { // the first was in fast mode
			cancel(why)
		}
		return errBad
	})
	_, err := engine.Run(ctx, p.Graph(), engine.Config{Lanes: 1, OnError: engine.Careful, Retries: 1 << 20, EpochBundles: 1})
	require.Equal(t, why, err)
	require.Equal(t, int64(3), tries.Load())
	awaitGoroutines(t, before)
}

// Goal: an element that fails because the run is cancelled is no dead letter.
// Method: a function that waits for the cancel, under the dead-letter policy.
func TestRun_cancelMakesNoDeadLetter(t *testing.T) {
	for _, lanes := range []int{1, 2, 3} {
		ctx, cancel := context.WithCancel(t.Context())
		p := pipeline.New()
		var calls atomic.Int64
		pipeline.ForEach(numbers(p, 1), func(ctx context.Context, v uint64) error {
			if calls.Add(1) == 1 {
				return errBad // to get into the careful replay
			}
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		dead := pipeline.Collect(pipeline.DeadLetters(p))
		res, err := engine.Run(ctx, p.Graph(), engine.Config{Lanes: lanes, OnError: engine.DeadLetter, EpochBundles: 1})
		require.Equal(t, context.Canceled, err)
		require.Empty(t, dead.Values())
		for _, m := range res.Metrics {
			require.Zero(t, m.Sum, m.Name)
		}
	}
}

// The observer never goes back within an incarnation, and reaches the total.
func TestObserver_whileRunning(t *testing.T) {
	o := &engine.Observer{}
	p := pipeline.New()
	var last engine.Progress
	c := pipeline.Map(numbers(p, 10_000), func(v uint64) uint64 {
		now := o.Progress()
		if now.Read < last.Read || now.Elements < last.Elements || now.Total != 10_000 || now.StagesDone > 0 {
			panic(fmt.Sprintf("%+v behind %+v", now, last))
		}
		last = now
		return v
	})
	pipeline.Collect(c)
	_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 1, Observe: o})
	require.NoError(t, err)
	require.Greater(t, last.Read, int64(5000), "it is told between quanta")
	require.Equal(t, engine.Progress{Elements: 10_000, Read: 10_000, Total: 10_000, Stages: 1, StagesDone: 1}, o.Progress())
}
