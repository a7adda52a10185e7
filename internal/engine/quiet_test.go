package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// quietFeed is a feed some of whose splits have nothing to read and say so.
type quietFeed struct{ *feed }

func (f quietFeed) Splits(ctx context.Context, lanes int) ([]pipeline.Split[int], error) {
	out, err := f.feed.Splits(ctx, lanes)
	for i := range 5 {
		out = append(out, quietSplit{&feedSplit{f.feed, 10 + i}})
	}
	return out, err
}

type quietSplit struct{ *feedSplit }

func (s quietSplit) Open(context.Context, []byte) (pipeline.Reader[int], error) { return s, nil }

func (s quietSplit) Read(_ int, out *pipeline.Output[int]) (pipeline.ReadState, error) {
	out.Idle()
	return pipeline.Idle, nil
}

// Goal: an EventTime does not wait for splits that say that they have nothing, and
// elements of several open splits of a lane are counted together. Method: a window
// that only fires if the quiet splits are left out.
func TestRun_splitsThatSayTheyAreIdle(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		ctx, cancel := context.WithCancelCause(t.Context())
		f := newFeed(3)
		p := pipeline.New()
		in := pipeline.EventTimeMs(pipeline.Read[int](p, "test.Feed", quietFeed{f}), func(i int) int64 { return int64(i) })
		k := pipeline.KeyBy(in, func(int) string { return "all" }).Windowed(window.Fixed(10 * time.Millisecond))
		sums := pipeline.CombinePerKey(k, pipeline.Combiner[int, int, int]{
			Add: func(a *int, v int) { *a += v }, Merge: func(a *int, b int) { *a += b }, Extract: func(a int) int { return a }})
		got := make(chan int, 10)
		pipeline.ForEach(pipeline.Pairs(sums), func(_ context.Context, s pipeline.KV[string, int]) error {
			got <- s.Value
			return nil
		})
		for i, c := range f.c {
			c <- i
			c <- 20
		}
		ended := make(chan error, 1)
		var result *engine.Result
		go func() {
			res, err := engine.Run(ctx, p.Graph(), engine.Config{Lanes: lanes})
			result = res
			ended <- err
		}()
		select {
		case s := <-got:
			require.Equal(t, 0+1+2, s)
		case <-time.After(20 * time.Second):
			t.Fatal("the window has not fired")
		}
		cancel(errBad)
		require.Equal(t, errBad, <-ended)
		require.Equal(t, int64(6), result.Stages[0].Elements)
	}
}
