package engine_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// feed is an unbounded source: what is sent into its channels, a split each, with
// event times that are the values. It never ends.
type feed struct {
	c      []chan int
	closed atomic.Int64
}

func newFeed(splits int) *feed {
	f := &feed{}
	for range splits {
		f.c = append(f.c, make(chan int, 100))
	}
	return f
}

func (f *feed) Bounded() bool { return false }
func (f *feed) Splits(context.Context, int) (out []pipeline.Split[int], _ error) {
	for i := range f.c {
		out = append(out, &feedSplit{f, i})
	}
	return out, nil
}

type feedSplit struct {
	*feed
	i int
}

func (s *feedSplit) ID() string  { return string(rune('a' + s.i)) }
func (s *feedSplit) Size() int64 { return 0 }
func (s *feedSplit) Open(context.Context, []byte) (pipeline.Reader[int], error) {
	return s, nil
}
func (s *feedSplit) Read(most int, out *pipeline.Output[int]) (pipeline.ReadState, error) {
	for range most {
		select {
		case v := <-s.c[s.i]:
			out.Watermark(int64(v))
			out.EmitAt(int64(v), v)
		default:
			return pipeline.Idle, nil
		}
	}
	return pipeline.More, nil
}
func (s *feedSplit) Position(b []byte) []byte { return append(b, 0) }
func (s *feedSplit) Where() string            { return s.ID() }
func (s *feedSplit) Progress() int64          { return 0 }
func (s *feedSplit) Close() error             { s.closed.Add(1); return nil }

// Goal: an unbounded source is read by all lanes at once, a window fires as soon as
// every split has passed its end and not before, and a cancel ends a run that has
// nothing to do. Method: splits fed by the test, which waits for each window.
func TestRun_unboundedSource(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, lanes := range []int{1, 2, 3, 5} {
		ctx, cancel := context.WithCancelCause(t.Context())
		f := newFeed(3)
		p := pipeline.New()
		k := pipeline.KeyBy(pipeline.Read[int](p, "test.Feed", f), func(int) string { return "all" }).Windowed(window.Fixed(10 * time.Millisecond))
		sums := pipeline.CombinePerKey(k, pipeline.Combiner[int, int, int]{
			Add: func(a *int, v int) { *a += v }, Merge: func(a *int, b int) { *a += b }, Extract: func(a int) int { return a }})
		got := make(chan int, 10)
		pipeline.ForEach(pipeline.Pairs(sums), func(_ context.Context, s pipeline.KV[string, int]) error {
			got <- s.Value
			return nil
		})
		ended := make(chan error, 1)
		go func() {
			_, err := engine.Run(ctx, p.Graph(), engine.Config{Lanes: lanes, EpochBundles: 2})
			ended <- err
		}()
		await := func() int {
			select {
			case s := <-got:
				return s
			case err := <-ended:
				t.Fatal("the run has ended: ", err)
			case <-time.After(20 * time.Second):
				t.Fatal("no window has fired")
			}
			return 0
		}
		for _, c := range f.c {
			c <- 1
			c <- 2
		}
		f.c[0] <- 12
		f.c[1] <- 13
		require.Empty(t, got, "the third split may still have older ones")
		f.c[2] <- 14
		require.Equal(t, 9, await())
		for _, c := range f.c {
			c <- 30
		}
		require.Equal(t, 12+13+14, await(), "and no window twice")
		cancel(errBad)
		require.Equal(t, errBad, <-ended, "the cause of the cancel")
		require.Equal(t, int64(3), f.closed.Load())
		require.Empty(t, got, "a cancel fires nothing")
		awaitGoroutines(t, before)
	}
}

// A run whose context has ended before does not begin to work.
func TestRun_cancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, lanes := range []int{1, 3} {
		p := pipeline.New()
		out := pipeline.Collect(pipeline.Reshuffle(numbers(p, 1<<40)))
		_, err := engine.Run(ctx, p.Graph(), engine.Config{Lanes: lanes})
		require.Equal(t, context.Canceled, err)
		require.Empty(t, out.Values())
	}
}

// A graph of nothing, and sources of nothing, end well.
func TestRun_nothingToDo(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		for _, cfg := range []engine.Config{{Lanes: lanes}, {Lanes: lanes, EpochBundles: 1}, {Lanes: lanes, OnError: engine.DeadLetter, EpochBundles: 1}} {
			_, err := engine.Run(t.Context(), pipeline.New().Graph(), cfg)
			require.NoError(t, err, "no transforms")
			p := pipeline.New()
			none := pipeline.Collect(pipeline.Flatten(pipeline.Create[int](p), pipeline.Reshuffle(pipeline.Create[int](p))))
			dead := pipeline.Collect(pipeline.DeadLetters(p))
			_, err = engine.Run(t.Context(), p.Graph(), cfg)
			require.NoError(t, err)
			require.Empty(t, none.Values())
			require.Empty(t, dead.Values())
		}
	}
}

// Goal: a split that may not be read is not idle for that: no window ends without it. Method:
// the clock goes on by an hour while sources stand still, and lanes look around.
func TestRun_stoppedIsNotIdle(t *testing.T) {
	f := newFeed(2)
	p := pipeline.New()
	n := pipeline.EventTime(pipeline.Read[int](p, "test.Feed", f), func(v int) time.Time { return time.UnixMilli(int64(v)) }, pipeline.IdleAfter(time.Second))
	k := pipeline.KeyBy(n, func(int) string { return "all" }).Windowed(window.Fixed(10 * time.Millisecond))
	sums := pipeline.CombinePerKey(k, pipeline.Combiner[int, int, int]{
		Add: func(a *int, v int) { *a += v }, Merge: func(a *int, b int) { *a += b }, Extract: func(a int) int { return a }})
	got := make(chan int, 10)
	pipeline.ForEach(pipeline.Pairs(sums), func(_ context.Context, s pipeline.KV[string, int]) error {
		got <- s.Value
		return nil
	})
	var stopped atomic.Bool
	var now atomic.Int64
	seen := &engine.Observer{}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := engine.Run(ctx, p.Graph(), engine.Config{
			Lanes: 2, Epoch: time.Millisecond, Store: commit.NewMemory(), Observe: seen, Stopped: &stopped,
			Now: func() time.Time { return time.UnixMilli(1000 + now.Load()) },
		})
		ended <- err
	}()
	epochs := func(more uint64) {
		t.Helper()
		from := seen.Epoch().N
		require.Eventually(t, func() bool { return seen.Epoch().N >= from+more }, 20*time.Second, time.Millisecond)
	}
	f.c[0] <- 1
	f.c[0] <- 35
	f.c[1] <- 2
	require.Eventually(t, func() bool { return len(f.c[0])+len(f.c[1]) == 0 }, 20*time.Second, time.Millisecond)
	stopped.Store(true)
	epochs(3)
	now.Add(time.Hour.Milliseconds())
	epochs(10)
	require.Empty(t, got, "the second split may still have older ones")
	stopped.Store(false)
	f.c[1] <- 3
	f.c[1] <- 36
	select {
	case sum := <-got:
		require.Equal(t, 1+2+3, sum)
	case <-time.After(20 * time.Second):
		t.Fatal("no window has fired")
	}
	cancel(errBad)
	require.Equal(t, errBad, <-ended)
}

// Goal: what has failed is in the next cut, also where the dead letters may not be read before
// it. Method: sources stop as the element fails in a careful replay, and the run begins anew
// from each cut.
func TestRun_stoppedKeepsLetters(t *testing.T) {
	var stopped atomic.Bool
	var calls atomic.Int64
	p := pipeline.New()
	n := pipeline.TryMap(pipeline.GenerateSequence(p, 10), func(_ context.Context, v uint64) (uint64, error) {
		if v != 3 {
			return v, nil
		}
		if calls.Add(1) == 2 { // the first failed the epoch
			stopped.Store(true)
		}
		return 0, errBad
	})
	out := pipeline.Collect(n)
	dead := pipeline.Collect(pipeline.DeadLetters(p))
	seen := &engine.Observer{}
	ended := make(chan error, 1)
	go func() {
		_, err := engine.Run(t.Context(), p.Graph(), engine.Config{
			Lanes: 1, Epoch: time.Millisecond, Store: commit.NewMemory(), Observe: seen, Stopped: &stopped,
			OnError: engine.DeadLetter, RestartEvery: 1,
		})
		ended <- err
	}()
	require.Eventually(t, stopped.Load, 20*time.Second, time.Millisecond)
	from := seen.Epoch().N
	require.Eventually(t, func() bool { return seen.Epoch().N >= from+2 }, 20*time.Second, time.Millisecond)
	stopped.Store(false)
	require.NoError(t, <-ended)
	require.EqualValues(t, 2, calls.Load())
	require.Equal(t, []uint64{0, 1, 2, 4, 5, 6, 7, 8, 9}, out.Values())
	require.Len(t, dead.Values(), 1)
}
