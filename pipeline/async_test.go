package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// numbers is 0 to n-1.
func numbers(p *pipeline.Pipeline, n int) pipeline.PCollection[int] {
	return pipeline.Map(pipeline.GenerateSequence(p, uint64(n)), func(i uint64) int { return int(i) })
}

// jitter answers after a while that differs from element to element.
func jitter(ctx context.Context, n int) (int, error) {
	select {
	case <-time.After(time.Duration(n*7919%13) * 100 * time.Microsecond):
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Goal: every element comes out once, whatever the mode, the lanes and the
// restarts, and the watermark behind it is right. Method: windows in event time
// behind calls that overtake each other: one late element would change a count.
func TestAsyncMap_windowedCounts(t *testing.T) {
	const n = 300
	for name, opts := range map[string][]pipeline.AsyncOption{
		"unordered": {pipeline.Concurrency(20)},
		"ordered":   {pipeline.Concurrency(20), pipeline.Ordered(), pipeline.Named("ask")},
		"one":       {pipeline.Concurrency(1)},
	} {
		t.Run(name, func(t *testing.T) {
			pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
				timed := pipeline.EventTimeMs(numbers(p, n), func(i int) int64 { return int64(i) })
				asked := pipeline.AsyncMap(timed, jitter, opts...)
				byParity := pipeline.KeyBy(asked, func(i int) int { return i % 2 }).Windowed(window.Fixed(10 * time.Millisecond))
				pipelinetest.Equal(t, pipeline.Map(pipeline.Pairs(transforms.Count(byParity)), func(c pipeline.KV[int, int64]) int64 { return c.Value }),
					repeat(int64(5), 2*n/10)...)
			})
		})
	}
}

func repeat[T any](v T, n int) (out []T) {
	for range n {
		out = append(out, v)
	}
	return out
}

func TestAsyncBatch_everyElementOnce(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		doubled := pipeline.AsyncBatch(numbers(p, 100), func(_ context.Context, vs []int) ([]int, error) {
			out := make([]int, len(vs))
			for i, v := range vs {
				out[i] = 2 * v
			}
			return out, nil
		}, 7, time.Millisecond, pipeline.Concurrency(3))
		var want []int
		for i := range 100 {
			want = append(want, 2*i)
		}
		pipelinetest.Equal(t, doubled, want...)
	})
}

func TestAsyncCatchMap(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		good, bad := pipeline.AsyncCatchMap(numbers(p, 6), func(_ context.Context, n int) (int, error) {
			switch n {
			case 2:
				return 0, errors.New("two")
			case 4:
				panic("four")
			}
			return n, nil
		})
		pipelinetest.Equal(t, good, 0, 1, 3, 5)
		pipelinetest.Equal(t, pipeline.Map(bad, func(f pipeline.Failed[int]) string {
			return fmt.Sprint(f.Input, " ", strings.SplitN(f.Error, "\n", 2)[0])
		}), "2 two", "4 panic: four")
	})
}

// Under the policy dead-letter exactly the failing elements are set aside, those
// of batches too, and nothing is lost or twice.
func TestAsync_deadLetters(t *testing.T) {
	odd := func(n int) error {
		if n%10 == 7 {
			return errors.New("seven")
		}
		return nil
	}
	for name, enrich := range map[string]func(pipeline.PCollection[int]) pipeline.PCollection[int]{
		"AsyncMap": func(c pipeline.PCollection[int]) pipeline.PCollection[int] {
			return pipeline.AsyncMap(c, func(_ context.Context, n int) (int, error) { return n, odd(n) })
		},
		"AsyncBatch": func(c pipeline.PCollection[int]) pipeline.PCollection[int] {
			return pipeline.AsyncBatch(c, func(_ context.Context, vs []int) ([]int, error) {
				for _, v := range vs {
					if err := odd(v); err != nil {
						return nil, err
					}
				}
				return vs, nil
			}, 4, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
				var want []int
				for n := range 40 {
					if n%10 != 7 {
						want = append(want, n)
					}
				}
				pipelinetest.Equal(t, enrich(numbers(p, 40)), want...)
				pipelinetest.Equal(t, pipeline.Map(pipeline.DeadLetters(p), func(l pipeline.DeadLetter) string { return l.Text }), "7", "17", "27", "37")
			}, pipelinetest.OnError(local.DeadLetter))
		})
	}
}

func TestAsyncMap_failsTheRun(t *testing.T) {
	err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) {
		pipeline.AsyncMap(numbers(p, 50), func(_ context.Context, n int) (int, error) {
			if n == 33 {
				panic("thirty-three")
			}
			return n, nil
		}, pipeline.Named("ask"))
	})
	assert.ErrorContains(t, err, "ask (pipeline/async_test.go:")
	assert.ErrorContains(t, err, "element 33: panic: thirty-three")
}

// A failure behind it is of the transform that failed, not of the calls.
func TestAsyncMap_blamesWhatIsBehind(t *testing.T) {
	err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) {
		c := pipeline.AsyncMap(numbers(p, 5), jitter, pipeline.Named("ask"))
		pipeline.Map(c, func(n int) int { return 1 / (n - 3) }, pipeline.Named("divide"))
	})
	assert.ErrorContains(t, err, "divide (pipeline/async_test.go:")
}

func TestAsync_mistakes(t *testing.T) {
	ask := func(_ context.Context, n int) (int, error) { return n, nil }
	for want, build := range map[string]func(c pipeline.PCollection[int]){
		"AsyncMap: Concurrency is 0, want 1 to 100000": func(c pipeline.PCollection[int]) { pipeline.AsyncMap(c, ask, pipeline.Concurrency(0)) },
		"AsyncMap: CallTimeout is 0s, want more than 0: a call that may take for ever would keep a snapshot waiting for ever": func(c pipeline.PCollection[int]) {
			pipeline.AsyncMap(c, ask, pipeline.CallTimeout(0))
		},
		"AsyncCatchMap: CallRetries is -1, want 0 or more": func(c pipeline.PCollection[int]) { pipeline.AsyncCatchMap(c, ask, pipeline.CallRetries(-1)) },
		"AsyncMap: CallBackoff is from 2s to 1s, want more than 0, and the first pause not above the longest": func(c pipeline.PCollection[int]) {
			pipeline.AsyncMap(c, ask, pipeline.CallBackoff(2*time.Second, time.Second))
		},
		"AsyncBatch: the size of a batch is 0, want 1 to 1000000": func(c pipeline.PCollection[int]) {
			pipeline.AsyncBatch(c, func(_ context.Context, vs []int) ([]int, error) { return vs, nil }, 0, 0)
		},
		"AsyncMap: the function is nil":      func(c pipeline.PCollection[int]) { pipeline.AsyncMap[int, int](c, nil) },
		"AsyncCatchMap: the function is nil": func(c pipeline.PCollection[int]) { pipeline.AsyncCatchMap[int, int](c, nil) },
		"AsyncBatch: the function is nil":    func(c pipeline.PCollection[int]) { pipeline.AsyncBatch[int, int](c, nil, 1, 0) },
	} {
		p := pipeline.New()
		build(pipeline.Create(p, 1))
		require.ErrorContains(t, p.Err(), want)
	}
}
