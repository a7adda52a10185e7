package generate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/pipelinetest/connector"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

var t0 = time.UnixMilli(1_000_000)

// at is a clock that stands.
func at(d time.Duration) generate.Option {
	return generate.Clock(func() time.Time { return t0.Add(d) })
}

func TestElements_conformance(t *testing.T) {
	for _, tc := range []struct {
		story string
		n     int
		every int64 // ms between the times; 0: not known
		opts  []generate.Option
	}{
		{"bounded, as fast as can be", 41, 0, []generate.Option{generate.Count(41)}},
		{"none", 0, 0, []generate.Option{generate.Count(0)}},
		{"fewer than pieces", 2, 10, []generate.Option{generate.Count(2), generate.Splits(5), generate.Times(t0, 10*time.Millisecond)}},
		{"bounded, times by number", 30, 500, []generate.Option{generate.Count(30), generate.Times(t0, 500*time.Millisecond)}},
		{"bounded, all due", 30, 100, []generate.Option{generate.Count(30), generate.Rate(10), generate.Start(t0), at(time.Hour)}},
		{"unbounded, as many as are due", 31, 100, []generate.Option{generate.Rate(10), generate.Start(t0), at(3 * time.Second)}},
		{"unbounded, times by number", 31, 7, []generate.Option{generate.Rate(10), generate.Start(t0), at(3 * time.Second), generate.Times(t0, 7*time.Millisecond), generate.Splits(3)}},
		{"unbounded, nothing due", 0, 0, []generate.Option{generate.Rate(10), generate.Start(t0), at(-1)}},
	} {
		t.Run(tc.story, func(t *testing.T) {
			s := connector.Source[string]{
				Read: func(p *pipeline.Pipeline) pipeline.PCollection[string] {
					return generate.Elements(p, func(n uint64) string { return fmt.Sprint("element ", n) }, tc.opts...)
				},
				Anywhere: true,
			}
			for i := range tc.n {
				s.Want = append(s.Want, fmt.Sprint("element ", i))
				if tc.every > 0 {
					s.Times = append(s.Times, t0.UnixMilli()+int64(i)*tc.every)
				}
			}
			connector.TestSource(t, s)
		})
	}
	t.Run("by the clock, from whenever it begins", func(t *testing.T) {
		connector.TestSource(t, connector.Source[uint64]{
			Read: func(p *pipeline.Pipeline) pipeline.PCollection[uint64] {
				return generate.Numbers(p, generate.Rate(1e-6), at(0))
			},
			Want: numbers(1), // the clock stands
		})
	})
	t.Run("out of order", func(t *testing.T) { // the suite holds the watermark against the times
		connector.TestSource(t, connector.Source[uint64]{
			Read: func(p *pipeline.Pipeline) pipeline.PCollection[uint64] {
				return generate.Numbers(p, generate.Count(50), generate.Times(t0, time.Millisecond), generate.OutOfOrder(20*time.Millisecond, 7))
			},
			Want: numbers(50),
		})
	})
}

func numbers(n uint64) (out []uint64) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// timed is elements with their times, as "3@40".
func timed(c pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	return pipeline.ParDo(c, func(_ *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, uint64) error {
		return func(e pipeline.Elem, n uint64) error {
			emit(fmt.Sprint(n, "@", e.TimestampMs()-t0.UnixMilli()))
			return nil
		}
	})
}

// Goal: disorder is within its bound, comes of the seed alone, and loses nothing.
func TestOutOfOrder(t *testing.T) {
	moved := map[uint64][]string{}
	for _, seed := range []uint64{1, 2} {
		pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
			n := generate.Numbers(p, generate.Count(200), generate.Times(t0, 10*time.Millisecond), generate.OutOfOrder(30*time.Millisecond, seed))
			pipelinetest.Satisfies(t, timed(n), func(t *pipelinetest.T, got []string) {
				slices.Sort(got)
				if moved[seed] == nil {
					moved[seed] = got
				}
				require.Equal(t, moved[seed], got)
				exact := 0
				for _, s := range got {
					var n, ms int64
					_, err := fmt.Sscanf(s, "%d@%d", &n, &ms)
					require.NoError(t, err)
					require.LessOrEqual(t, ms, 10*n)
					require.GreaterOrEqual(t, ms, 10*n-30)
					if ms == 10*n {
						exact++
					}
				}
				require.Less(t, exact, 40)
			})
			w := pipeline.KeyBy(n, func(uint64) string { return "all" }).Windowed(window.Fixed(100 * time.Millisecond))
			sums := transforms.Count(w)
			pipelinetest.Satisfies(t, pipeline.Pairs(sums), func(t *pipelinetest.T, got []pipeline.KV[string, int64]) {
				total := int64(0)
				for _, kv := range got {
					total += kv.Value
				}
				require.Equal(t, int64(200), total, "none is late")
			})
		})
	}
	require.NotEqual(t, moved[1], moved[2])
}

var errEnough = errors.New("enough")

// Goal: as many elements as the clock says, and windows that close as it goes on.
// Method: a clock that the test moves, and a run that never ends.
func TestRate_followsTheClock(t *testing.T) {
	var now atomic.Int64
	clock := generate.Clock(func() time.Time { return time.UnixMilli(now.Load()) })
	now.Store(t0.UnixMilli())
	ctx, cancel := context.WithCancelCause(t.Context())
	p := pipeline.New()
	n := generate.Numbers(p, generate.Rate(100), generate.Splits(3), generate.Start(t0), clock)
	seen, windows := make(chan uint64, 1000), make(chan int64, 100)
	pipeline.ForEach(n, func(_ context.Context, n uint64) error { seen <- n; return nil })
	w := pipeline.KeyBy(n, func(uint64) string { return "all" }).Windowed(window.Fixed(time.Second))
	pipeline.ForEach(pipeline.Pairs(transforms.Count(w)), func(_ context.Context, kv pipeline.KV[string, int64]) error {
		windows <- kv.Value
		return nil
	})
	ended := make(chan error, 1)
	go func() {
		_, err := local.Run(ctx, p, local.Config{Parallelism: 2})
		ended <- err
	}()
	await := func(k int) {
		t.Helper()
		for range k {
			select {
			case <-seen:
			case <-time.After(20 * time.Second):
				t.Fatal("an element is missing")
			}
		}
	}
	await(1) // number 0 is due at once
	now.Add(500)
	await(50)
	require.Empty(t, windows)
	now.Add(530)
	await(53)
	select {
	case k := <-windows:
		require.Equal(t, int64(100), k)
	case <-time.After(20 * time.Second):
		t.Fatal("the window of the first second has not fired")
	}
	cancel(errEnough)
	require.Equal(t, errEnough, <-ended)
	require.Empty(t, seen, "none too many")
}

func TestElements_sentences(t *testing.T) {
	one := func(uint64) int { return 1 }
	for _, tc := range []struct {
		f    func(uint64) int
		opt  generate.Option
		want string
	}{
		{nil, generate.Rate(1), "the function is nil"},
		{one, generate.Rate(-1), "Rate(-1): want 0 (no limit) or more"},
		{one, generate.Splits(-1), "Splits(-1): want 1 or more"},
		{one, generate.Times(t0, -1), "Times every -1ns: want 0 or more"},
		{one, generate.OutOfOrder(-time.Second, 1), "OutOfOrder(-1s): want 0 or more"},
	} {
		p := pipeline.New()
		generate.Elements(p, tc.f, tc.opt)
		require.ErrorContains(t, p.Err(), "generate.Elements: "+tc.want)
		require.ErrorContains(t, p.Err(), "generate_test.go:")
	}
}
