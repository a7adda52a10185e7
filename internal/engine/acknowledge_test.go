package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
)

// ackFeed is a feed of one split that tells when it is acknowledged, and what it had
// emitted when it last said where it is.
type ackFeed struct {
	*feed
	acked chan int
}

func (f ackFeed) Splits(context.Context, int) ([]pipeline.Split[int], error) {
	return []pipeline.Split[int]{ackSplit{&feedSplit{f.feed, 0}, f.acked}}, nil
}

type ackSplit struct {
	*feedSplit
	acked chan int
}

func (s ackSplit) Open(context.Context, []byte) (pipeline.Reader[int], error) {
	return &ackReader{feedSplit: s.feedSplit, acked: s.acked}, nil
}

type ackReader struct {
	*feedSplit
	acked       chan int
	read, asked int
}

func (r *ackReader) Read(_ int, out *pipeline.Output[int]) (pipeline.ReadState, error) {
	select {
	case v := <-r.c[0]:
		r.read++
		out.EmitAt(int64(v), v)
		return pipeline.More, nil
	default:
		return pipeline.Idle, nil
	}
}

func (r *ackReader) Position(b []byte) []byte {
	r.asked = r.read
	return append(b, byte(r.read))
}

func (r *ackReader) Acknowledge() { r.acked <- r.asked }

// Goal: a reader hears of each snapshot, behind the sinks' commits. Method: cuts
// behind each element; what the sink shows has to be there when the reader hears of it.
func TestRun_acknowledges(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	f := ackFeed{newFeed(1), make(chan int, 100)}
	p := pipeline.New()
	out := pipeline.Collect(pipeline.Read[int](p, "test.Feed", f))
	ended := make(chan error, 1)
	go func() {
		_, err := engine.Run(ctx, p.Graph(), engine.Config{Lanes: 1, EpochBundles: 1})
		ended <- err
	}()
	for i := 1; i <= 3; i++ {
		f.c[0] <- i
		for n := 0; n < i; {
			select {
			case n = <-f.acked:
				require.Len(t, out.Values(), n, fmt.Sprint("when ", n, " were acknowledged"))
			case <-time.After(20 * time.Second):
				t.Fatal("no snapshot was heard of")
			}
		}
	}
	cancel(errBad)
	require.Equal(t, errBad, <-ended)
}
