package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/require"
)

// Goal: whoever asks for something to be done with the store is answered, whatever
// becomes of the run. Method: one after the other asks as often as it is answered,
// while the run restarts from each epoch, or fails and recovers; the last one is told
// that the run has ended.
func TestRun_answersWhoAsks(t *testing.T) {
	for _, cfg := range []engine.Config{
		{Lanes: 2, EpochBundles: 1},
		{Lanes: 2, EpochBundles: 1, Ahead: true},
		{Lanes: 2, EpochBundles: 1, RestartEvery: 1},
		{Lanes: 2, EpochBundles: 3, OnError: engine.Careful, Retries: 1},
	} {
		asks, ctx := make(chan engine.Ask), t.Context()
		ctx, cancel := context.WithCancel(ctx)
		cfg.Store, cfg.Asks = commit.NewMemory(), asks
		var served atomic.Int64
		answered := make(chan error)
		go func() {
			defer close(answered)
			for {
				done := make(chan error, 1)
				select {
				case asks <- engine.Ask{Do: func(s commit.Store) error { served.Add(1); return nil }, Done: func(err error) { done <- err }}:
				case <-ctx.Done():
					return
				}
				if err := <-done; err != nil {
					answered <- err
					return
				}
			}
		}()
		p := pipeline.New()
		var n atomic.Int64
		failing := pipeline.TryMap(numbers(p, 20_000), func(_ context.Context, v uint64) (uint64, error) {
			if cfg.OnError == engine.Careful && n.Add(1)%5_000 == 0 {
				return 0, errors.New("for once")
			}
			return v, nil
		})
		pipeline.Collect(failing)
		_, err := engine.Run(ctx, p.Graph(), cfg)
		require.NoError(t, err)
		cancel()
		if err, open := <-answered; open {
			require.EqualError(t, err, "the run has ended")
		}
		require.Positive(t, served.Load())
	}
}
