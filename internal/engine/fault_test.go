package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/require"
)

func numbers(p *pipeline.Pipeline, n uint64) pipeline.PCollection[uint64] {
	return pipeline.Generate(p, n, func(i uint64, e *uint64) { *e = i })
}

// awaitGoroutines waits until there are no more than n.
func awaitGoroutines(t *testing.T, n int) {
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > n; runtime.Gosched() {
		require.False(t, time.Now().After(end), "%d goroutines are left, %d were there before", runtime.NumGoroutine(), n)
	}
}

// Goal: a cancelled run ends, whatever its lanes wait for, and leaves no goroutine.
// Method: a sink that blocks until the cancel, behind full queues of one element.
func TestRun_cancelledWhileBlocked(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, lanes := range []int{1, 2, 3} {
		ctx, cancel := context.WithCancel(t.Context())
		p := pipeline.New()
		slow := pipeline.Reshuffle(pipeline.Reshuffle(numbers(p, 1<<40)))
		var seen atomic.Int64
		pipeline.ForEach(slow, func(ctx context.Context, _ uint64) error {
			if seen.Add(1) == 100 {
				cancel()
			}
			if seen.Load() >= 100 {
				<-ctx.Done()
			}
			return nil
		})
		_, err := engine.Run(ctx, p.Graph(), engine.Config{Lanes: lanes, Batch: 1, Queue: 1})
		require.ErrorIs(t, err, context.Canceled)
		awaitGoroutines(t, before)
	}
}

// A cancel that meets a lane waiting for room inside FinishBundle is a cancel,
// not a failure of the user's.
func TestRun_cancelledInFinishBundle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := pipeline.New()
	many := pipeline.ParDo(numbers(p, 1<<40), func(d *pipeline.DoFn, emit pipeline.Emit[uint64]) func(pipeline.Elem, uint64) error {
		d.OnFinishBundle(func() error {
			for i := range uint64(10_000) {
				emit(i)
			}
			return nil
		})
		return func(pipeline.Elem, uint64) error { return nil }
	})
	pipeline.ForEach(pipeline.Reshuffle(many), func(ctx context.Context, i uint64) error {
		if i == 500 {
			cancel()
			<-ctx.Done()
		}
		return nil
	})
	_, err := engine.Run(ctx, p.Graph(), engine.Config{Lanes: 3, Batch: 1, Queue: 1})
	require.Equal(t, context.Canceled, err)
}

// faulty is a sink that fails where it is told to, and notes what it was asked.
type faulty struct {
	at    string
	mu    sync.Mutex // guards calls
	calls []string
}

func (f *faulty) call(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what)
	if f.at == what {
		return errors.New(what + " failed")
	}
	return nil
}

func (f *faulty) Open(context.Context, int, int, []byte) (pipeline.Writer[uint64], error) {
	return f, f.call("open")
}
func (f *faulty) Write(uint64) error       { return f.call("write") }
func (f *faulty) Prepare() ([]byte, error) { return nil, f.call("prepare") }
func (f *faulty) Commit() error            { return f.call("commit") }
func (f *faulty) Finish() error            { return f.call("finish") }
func (f *faulty) Abort(final bool)         { f.call(fmt.Sprint("abort final=", final)) }

func TestRun_failingSinkIsAbortedAndNamed(t *testing.T) {
	for at, want := range map[string]string{
		"":        "open write prepare commit finish",
		"open":    "open",
		"write":   "open write abort final=true",
		"prepare": "open write prepare abort final=true",
		"commit":  "open write prepare commit abort final=true",
		"finish":  "open write prepare commit finish abort final=true",
	} {
		f := &faulty{at: at}
		p := pipeline.New()
		pipeline.Write(numbers(p, 1), "test.Write", f)
		_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 1})
		require.Equal(t, want, strings.Join(f.calls, " "), at)
		if at == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "test.Write (engine/fault_test.go:")
		require.ErrorContains(t, err, at+" failed")
	}
}

// A sink that can't commit ends the run under any policy: its neighbours have
// shown what belongs to the snapshot. One that can't prepare is tried again.
func TestRun_failingCommitEndsTheRun(t *testing.T) {
	for at, final := range map[string]bool{"commit": true, "finish": true} {
		f := &faulty{at: at}
		p := pipeline.New()
		in := numbers(p, 100)
		pipeline.Write(in, "test.Write", f)
		_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 1, OnError: engine.Careful, EpochBundles: 5})
		require.ErrorContains(t, err, at+" failed")
		require.Equal(t, fmt.Sprint("abort final=", final), f.calls[len(f.calls)-1])
		require.Equal(t, 1, strings.Count(strings.Join(f.calls, " "), "open"))
	}
}

// Goal: a failure that goes away by itself costs a replay and nothing else, for
// any lanes. Method: a function that fails once in the middle, with and without retries.
func TestRun_transientFailureIsReplayed(t *testing.T) {
	for _, lanes := range []int{1, 2, 3} {
		for _, retries := range []int{0, 2} {
			var failed atomic.Bool
			p := pipeline.New()
			out := pipeline.Collect(pipeline.TryMap(numbers(p, 3000), func(_ context.Context, i uint64) (uint64, error) {
				if i == 1500 && failed.CompareAndSwap(false, true) {
					return 0, errors.New("for a moment")
				}
				return i, nil
			}))
			res, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: lanes, OnError: engine.Careful, Retries: retries, EpochBundles: 10})
			require.NoError(t, err)
			require.Positive(t, res.Restarts)
			sum := uint64(0)
			for _, v := range out.Values() {
				sum += v
			}
			require.Len(t, out.Values(), 3000)
			require.Equal(t, uint64(3000*2999/2), sum)
		}
	}
}

// A failure that stays is found exactly, and ends the run where the policy is to retry.
func TestRun_lastingFailureEndsTheRun(t *testing.T) {
	p := pipeline.New()
	pipeline.Collect(pipeline.Map(pipeline.Reshuffle(numbers(p, 3000)), func(i uint64) uint64 {
		if i == 1500 {
			panic("always")
		}
		return i
	}, pipeline.Named("bad")))
	_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 2, OnError: engine.Careful, Retries: 1, EpochBundles: 10})
	require.ErrorContains(t, err, "bad (engine/fault_test.go:")
	require.ErrorContains(t, err, "panic: always")
	var user *graph.UserError
	require.ErrorAs(t, err, &user)
}

// Many poison elements, in every configuration: each is a dead letter once, all
// others are processed once.
func TestRun_deadLettersExactly(t *testing.T) {
	const n, every = 5000, 97
	for _, cfg := range []engine.Config{
		{Lanes: 1, EpochBundles: 20}, {Lanes: 3, EpochBundles: 7}, {Lanes: 2, NoFusion: true, Batch: 3, Queue: 1, EpochBundles: 50}, {Lanes: 2, Epoch: time.Millisecond},
	} {
		cfg.OnError = engine.DeadLetter
		p := pipeline.New()
		shuffled := pipeline.Reshuffle(numbers(p, n))
		good := pipeline.Collect(pipeline.FlatMapEmit(shuffled, func(i uint64, emit pipeline.Emit[uint64]) {
			emit(i)
			if i%every == 0 {
				panic("poison")
			}
		}))
		dead := pipeline.Collect(pipeline.DeadLetters(p))
		_, err := engine.Run(t.Context(), p.Graph(), cfg)
		require.NoError(t, err)
		seen := map[uint64]int{}
		for _, v := range good.Values() {
			seen[v]++
			require.NotZero(t, v%every, "half an element stayed behind")
		}
		letters := map[string]int{}
		for _, d := range dead.Values() {
			letters[d.Text]++
		}
		require.Len(t, letters, (n+every-1)/every, "%+v", cfg)
		require.Len(t, dead.Values(), len(letters))
		require.Len(t, seen, n-len(letters))
		require.Len(t, good.Values(), len(seen))
	}
}

// broken is a source that fails where it is told to.
type broken struct{ at string }

func (b broken) Bounded() bool { return true }
func (b broken) Splits(context.Context, int) ([]pipeline.Split[int], error) {
	if b.at == "splits" {
		return nil, errors.New("splits failed")
	}
	return []pipeline.Split[int]{b}, nil
}
func (b broken) ID() string  { return "it" }
func (b broken) Size() int64 { return 0 }
func (b broken) Open(context.Context, []byte) (pipeline.Reader[int], error) {
	if b.at == "open" {
		return nil, errors.New("open failed")
	}
	return b, nil
}
func (b broken) Read(int, *pipeline.Output[int]) (pipeline.ReadState, error) {
	if b.at == "read" {
		return pipeline.Done, errors.New("read failed")
	}
	return pipeline.Idle, nil
}
func (b broken) Position(x []byte) []byte { return x }
func (b broken) Where() string            { return "it:7" }
func (b broken) Progress() int64          { return 0 }
func (b broken) Close() error             { return nil }

func TestRun_failingSourceIsNamed(t *testing.T) {
	for _, at := range []string{"splits", "open", "read"} {
		p := pipeline.New()
		pipeline.Collect(pipeline.Read[int](p, "test.Read", broken{at}))
		_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 2})
		require.ErrorContains(t, err, "test.Read (engine/fault_test.go:")
		require.ErrorContains(t, err, at+" failed")
	}
}

// A source that has nothing at present does not keep the run from ending on cancel.
func TestRun_idleSourceIsCancelled(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	p := pipeline.New()
	pipeline.Collect(pipeline.Read[int](p, "test.Read", broken{"never"}))
	_, err := engine.Run(ctx, p.Graph(), engine.Config{Lanes: 2})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	cancel()
	awaitGoroutines(t, before)
}

// Goal: nothing is allocated for an element. Method: allocations of whole runs, per element.
func TestRun_allocatesNothingPerElement(t *testing.T) {
	const n = 1_000_000
	for name, build := range map[string]func(p *pipeline.Pipeline){
		"four maps": func(p *pipeline.Pipeline) {
			c := numbers(p, n)
			for range 4 {
				c = pipeline.Map(c, func(v uint64) uint64 { return v + 1 })
			}
			pipeline.ForEachLane(c, func(int) func(uint64) { return func(uint64) {} })
		},
		"a shuffle": func(p *pipeline.Pipeline) {
			k := pipeline.KeyBy(numbers(p, n), func(v uint64) uint64 { return v })
			c := pipeline.CombinePerKey(pipeline.FromPairs(pipeline.Reshuffle(pipeline.Pairs(k))), pipeline.Combiner[uint64, uint64, uint64]{
				Add: func(a *uint64, v uint64) { *a += v }, Extract: func(a uint64) uint64 { return a }})
			pipeline.ForEachLane(pipeline.Pairs(c), func(int) func(pipeline.KV[uint64, uint64]) { return func(pipeline.KV[uint64, uint64]) {} })
		},
		"a shuffle and state": func(p *pipeline.Pipeline) {
			k := pipeline.KeyBy(numbers(p, n), func(v uint64) uint64 { return v % 1000 })
			c := pipeline.Stateful(k, "count", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, uint64, uint64] {
				count := pipeline.ValueState[uint64](s, "count")
				return func(c *pipeline.Ctx[uint64], _ uint64, emit pipeline.Emit[uint64]) error {
					count.Set(c, count.Get(c)+1)
					emit(count.Get(c))
					return nil
				}
			})
			pipeline.ForEachLane(c, func(int) func(uint64) { return func(uint64) {} })
		},
	} {
		p := pipeline.New()
		build(p)
		allocs := testing.AllocsPerRun(1, func() {
			_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 2})
			require.NoError(t, err)
		})
		t.Logf("%s: %.6f for each element", name, allocs/n)
		require.Less(t, allocs/n, 0.001, name)
	}
}

// The observer ends where the run has ended.
func TestObserver(t *testing.T) {
	p := pipeline.New()
	pipeline.Collect(pipeline.Reshuffle(numbers(p, 1000)))
	o := &engine.Observer{}
	require.Zero(t, o.Progress())
	res, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 3, Observe: o})
	require.NoError(t, err)
	require.Equal(t, engine.Progress{Elements: 1000, Read: 1000, Total: 1000, Stages: 2, StagesDone: 2}, o.Progress())
	require.Equal(t, int64(1000), res.Stages[1].Elements)
}
