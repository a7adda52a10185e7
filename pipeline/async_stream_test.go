package pipeline_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// script is an unbounded source of one piece: its numbers, each with itself as its
// event time and the watermark, and then silence.
type script []int

func (s script) Bounded() bool { return false }
func (s script) Splits(context.Context, int) ([]pipeline.Split[int], error) {
	return []pipeline.Split[int]{s}, nil
}
func (s script) ID() string  { return "script" }
func (s script) Size() int64 { return 0 }
func (s script) Open(context.Context, []byte) (pipeline.Reader[int], error) {
	return &scriptReader{left: s}, nil
}

type scriptReader struct{ left []int }

func (r *scriptReader) Read(most int, out *pipeline.Output[int]) (pipeline.ReadState, error) {
	if len(r.left) == 0 {
		return pipeline.Idle, nil
	}
	for range min(most, len(r.left)) {
		v := r.left[0]
		r.left = r.left[1:]
		out.EmitAt(int64(v), v)
		out.Watermark(int64(v))
	}
	return pipeline.More, nil
}
func (r *scriptReader) Position(b []byte) []byte { return b }
func (r *scriptReader) Where() string            { return "" }
func (r *scriptReader) Progress() int64          { return 0 }
func (r *scriptReader) Close() error             { return nil }

// afterSeconds answers n after n seconds.
func afterSeconds(ctx context.Context, n int) (int, error) {
	select {
	case <-time.After(time.Duration(n) * time.Second):
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// heard is something that came out, after so many whole seconds.
type heard struct {
	after int
	what  string
}

// listen runs p in virtual time until want things came out of c, cancels it, and
// returns them; it must then end at once, and leave no goroutine.
func listen(t *testing.T, want int, lanes int, build func(p *pipeline.Pipeline) pipeline.PCollection[string]) (out []heard) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, began := pipeline.New(), time.Now()
	got := make(chan heard, want+1)
	pipeline.ForEach(build(p), func(_ context.Context, s string) error {
		got <- heard{int(time.Since(began) / time.Second), s}
		return nil
	})
	ended := make(chan error, 1)
	go func() {
		_, err := local.Run(ctx, p, local.Config{Parallelism: lanes})
		ended <- err
	}()
	for len(out) < want {
		select {
		case h := <-got:
			out = append(out, h)
		case err := <-ended:
			t.Fatal("the run has ended: ", err)
		case <-time.After(time.Hour):
			t.Fatal("nothing more came out but ", out)
		}
	}
	cancelled := time.Now()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Zero(t, time.Since(cancelled))
	return out
}

// Goal: results come out when they are there, though nothing more comes in, and a
// window waits for its last result, not for the source. Method: a source that falls
// silent, calls that take seconds of virtual time.
func TestAsync_behindASilentSource(t *testing.T) {
	text := func(c pipeline.PCollection[int]) pipeline.PCollection[string] {
		return pipeline.Map(c, func(n int) string { return fmt.Sprint(n) })
	}
	for name, tc := range map[string]struct {
		source script
		build  func(c pipeline.PCollection[int]) pipeline.PCollection[string]
		want   []heard
	}{
		"as they come back": {script{3, 1, 2}, func(c pipeline.PCollection[int]) pipeline.PCollection[string] {
			return text(pipeline.AsyncMap(c, afterSeconds))
		}, []heard{{1, "1"}, {2, "2"}, {3, "3"}}},
		"in order": {script{3, 1, 2, 5}, func(c pipeline.PCollection[int]) pipeline.PCollection[string] {
			return text(pipeline.AsyncMap(c, afterSeconds, pipeline.Ordered()))
		}, []heard{{3, "3"}, {3, "1"}, {3, "2"}, {5, "5"}}},
		"one at a time": {script{3, 1, 2}, func(c pipeline.PCollection[int]) pipeline.PCollection[string] {
			return text(pipeline.AsyncMap(c, afterSeconds, pipeline.Concurrency(1)))
		}, []heard{{3, "3"}, {4, "1"}, {6, "2"}}},
		"a batch that lingers": {script{3, 1, 2}, func(c pipeline.PCollection[int]) pipeline.PCollection[string] {
			return text(pipeline.AsyncBatch(c, func(_ context.Context, vs []int) ([]int, error) { return vs, nil }, 2, 4*time.Second))
		}, []heard{{0, "3"}, {0, "1"}, {4, "2"}}},
		"a window waits for its last result": {script{1, 5, 12, 25}, func(c pipeline.PCollection[int]) pipeline.PCollection[string] {
			asked := pipeline.KeyBy(pipeline.AsyncMap(c, afterSeconds), func(int) string { return "all" })
			counts := transforms.Count(asked.Windowed(window.Fixed(10 * time.Millisecond)))
			return pipeline.MapKV(counts, func(_ string, n int64) string { return fmt.Sprint(n) })
		}, []heard{{5, "2"}, {12, "1"}}},
	} {
		for _, lanes := range []int{1, 2} {
			t.Run(fmt.Sprint(name, ", lanes ", lanes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					got := listen(t, len(tc.want), lanes, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
						return tc.build(pipeline.Read[int](p, "test.Script", tc.source))
					})
					require.Equal(t, tc.want, got)
				})
			})
		}
	}
}

// A lane that waits for room goes when the run is cancelled.
func TestAsync_cancelledWhileALaneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listen(t, 1, 2, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			c := pipeline.AsyncMap(pipeline.Read[int](p, "test.Script", script{1, 1000, 1000, 1000, 1000}), afterSeconds,
				pipeline.Concurrency(2), pipeline.CallTimeout(time.Hour))
			return pipeline.Map(c, func(n int) string { return fmt.Sprint(n) })
		})
	})
}

// Goal: a lane that waits for slow calls all the time sends on what has come back,
// rather than when a batch or a long read is full. Method: more elements than are
// read at once, one call at a time of a second each, and another lane behind them.
func TestAsync_resultsAreNotHeldBackByASlowService(t *testing.T) {
	source := script(repeat(1, 3000))
	synctest.Test(t, func(t *testing.T) {
		got := listen(t, 100, 2, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			c := pipeline.AsyncMap(pipeline.Read[int](p, "test.Script", source), afterSeconds, pipeline.Concurrency(1))
			return pipeline.Reshuffle(pipeline.Map(c, func(n int) string { return fmt.Sprint(n) }))
		})
		for i, h := range got {
			require.InDelta(t, i+1, h.after, 16, "result %d", i)
		}
	})
}
