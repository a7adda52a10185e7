package local_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// partitions is an unbounded source of three partitions. Each brings its times and
// is silent from then on, or repeats the last one if onAndOn follows.
type partitions [3][]int64

const onAndOn = -1

func (partitions) Bounded() bool { return false }

func (p partitions) Splits(context.Context, int) (out []pipeline.Split[int64], _ error) {
	for i := range p {
		out = append(out, partition{i, p[i]})
	}
	return out, nil
}

type partition struct {
	n     int
	times []int64
}

func (p partition) ID() string  { return fmt.Sprintf("clicks-%d", p.n) }
func (p partition) Size() int64 { return 0 }
func (p partition) Open(context.Context, []byte) (pipeline.Reader[int64], error) {
	return &partitionReader{p, 0}, nil
}

type partitionReader struct {
	partition
	i int
}

func (r *partitionReader) Read(max int, out *pipeline.Output[int64]) (pipeline.ReadState, error) {
	for ; max > 0 && r.i < len(r.times); max-- {
		if r.times[r.i] == onAndOn {
			out.Emit(r.times[r.i-1])
			break
		}
		r.i++
		out.Emit(r.times[r.i-1])
	}
	return pipeline.Idle, nil
}
func (r *partitionReader) Position(b []byte) []byte { return append(b, byte(r.i)) }
func (r *partitionReader) Where() string            { return fmt.Sprintf("clicks-%d@%d", r.n, r.i) }
func (r *partitionReader) Progress() int64          { return int64(r.i) }
func (r *partitionReader) Close() error             { return nil }

// clicksPerMinute counts the times of src in windows of a minute.
func clicksPerMinute(p *pipeline.Pipeline, src partitions, opts ...pipeline.EventTimeOption) *pipeline.Collected[int64] {
	clicks := pipeline.EventTimeMs(pipeline.Read[int64](p, "clicks.Read", src), func(ts int64) int64 { return ts }, opts...)
	perKey := pipeline.KeyBy(clicks, func(int64) string { return "all" })
	counts := transforms.Count(perKey.Windowed(window.Fixed(time.Minute)))
	return pipeline.Collect(pipeline.MapKV(counts, func(_ string, n int64) int64 { return n }))
}

// explainUntil runs p until its explanation contains all of want.
func explainUntil(t *testing.T, p *pipeline.Pipeline, cfg local.Config, want ...string) local.Explanation {
	t.Helper()
	return explainWhen(t, p, cfg, func(local.Explanation) bool { return true }, want...)
}

// explainWhen runs p until its explanation contains all of want, and it is time.
func explainWhen(t *testing.T, p *pipeline.Pipeline, cfg local.Config, now func(local.Explanation) bool, want ...string) local.Explanation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	observers := make(chan *local.Observer, 1)
	cfg.Progress = func(o *local.Observer) { observers <- o }
	var wg sync.WaitGroup
	wg.Go(func() { local.Run(ctx, p, cfg) })
	defer wg.Wait()
	defer cancel()
	o := <-observers
	for {
		e := o.Explain()
		missing := ""
		for _, w := range want {
			if !strings.Contains(e.String(), w) {
				missing = w
			}
		}
		if missing == "" && now(e) {
			return e
		}
		if ctx.Err() != nil {
			t.Fatalf("the explanation is without %q:\n%s", missing, e)
		}
	}
}

// Goal: explain names the partition that is silent, since when, and what to set,
// for any number of lanes and without fusion.
func TestExplain_namesTheIdlePartition(t *testing.T) {
	const minute = 60_000
	src := partitions{{1000, 2000, 3 * minute}, {1500, 4 * minute}, {500, 700}}
	for _, cfg := range []local.Config{{Parallelism: 1}, {Parallelism: 2}, {Parallelism: 3}, {Parallelism: 7, NoFusion: true}} {
		t.Run(fmt.Sprintf("%d lanes", cfg.Parallelism), func(t *testing.T) {
			p := pipeline.New()
			clicksPerMinute(p, src)
			overdue := func(e local.Explanation) bool { // later times have been seen, by other lanes
				return len(e.Stages) == 1 && e.Stages[0].Overdue
			}
			e := explainWhen(t, p, cfg, overdue,
				"the oldest [1970-01-01T00:00:00.000Z, 1970-01-01T00:01:00.000Z)",
				"It fires when the watermark has passed 1970-01-01T00:00:59.999Z; the watermark is 1970-01-01T00:00:00.699Z.",
				`follows split "clicks-2" of clicks.Read (local/explain_test.go:`,
				"which has been silent for ",
				"its newest time is 1970-01-01T00:00:00.700Z",
				"set pipeline.IdleAfter on the EventTime at local/explain_test.go:")
			require.Contains(t, e.Stages[0].Position, "local/explain_test.go:")
			require.NotContains(t, e.String(), "clicks-0")
			require.NotContains(t, e.String(), "clicks-1")
		})
	}
}

func TestExplain_aPartitionThatNeverSaidAnything(t *testing.T) {
	p := pipeline.New()
	clicksPerMinute(p, partitions{{1000}, {120_000}, nil})
	explainUntil(t, p, local.Config{Parallelism: 2}, `follows split "clicks-2"`, "nothing has come from it yet", "the watermark is the beginning of time")
}

// With what explain says to set, the window fires.
func TestExplain_whatItSaysHelps(t *testing.T) {
	var now atomic.Int64
	p := pipeline.New()
	ctx, cancel := context.WithCancel(t.Context())
	clicks := pipeline.EventTimeMs(pipeline.Read[int64](p, "clicks.Read", partitions{{1000, 120_000, onAndOn}, {1500, 120_000, onAndOn}, {500}}), func(ts int64) int64 { return ts }, pipeline.IdleAfter(time.Second))
	counts := transforms.Count(pipeline.KeyBy(clicks, func(int64) string { return "all" }).Windowed(window.Fixed(time.Minute)))
	pipeline.ForEach(pipeline.Pairs(counts), func(_ context.Context, kv pipeline.KV[string, int64]) error {
		if kv.Value == 3 {
			cancel()
		}
		return nil
	})
	_, err := local.Run(ctx, p, local.Config{Parallelism: 2, Now: func() time.Time { return time.UnixMilli(now.Add(20)) }})
	require.ErrorIs(t, err, context.Canceled, "the first window has fired")
}

func TestExplain_aTimerHoldsTheWatermark(t *testing.T) {
	p := pipeline.New()
	clicks := pipeline.EventTimeMs(pipeline.Read[int64](p, "clicks.Read", partitions{{1000, 200_000}, {200_000}, {200_000}}), func(ts int64) int64 { return ts })
	held := pipeline.Stateful(pipeline.KeyBy(clicks, func(int64) string { return "k" }), "remind", func(s *pipeline.Setup[string, int64]) pipeline.Process[string, int64, int64] {
		later := pipeline.ProcessingTimer(s, "later", func(*pipeline.Ctx[string], pipeline.Emit[int64]) error { return nil })
		return func(c *pipeline.Ctx[string], ts int64, emit pipeline.Emit[int64]) error {
			if ts == 1000 {
				later.SetAfter(c, time.Hour)
			}
			emit(ts)
			return nil
		}
	})
	pipeline.Collect(pipeline.Pairs(transforms.Count(pipeline.KeyBy(held, func(int64) string { return "all" }).Windowed(window.Fixed(time.Minute)))))
	explainUntil(t, p, local.Config{Parallelism: 2}, `holds it at 1970-01-01T00:00:01.000Z: a processing-time timer "later" of key k, set to `)
}

// lockedBuffer is written by the log and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A window that is overdue is logged without being asked.
func TestExplain_overdueWindowsAreLogged(t *testing.T) {
	p := pipeline.New()
	clicksPerMinute(p, partitions{{1000, 200_000}, {200_000}, {500}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var log lockedBuffer
	done := make(chan error, 1)
	go func() {
		_, err := local.Run(ctx, p, local.Config{Parallelism: 2, ExplainAfter: 5 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
		done <- err
	}()
	require.Eventually(t, func() bool {
		return strings.Contains(log.String(), `msg="a window is overdue"`) && strings.Contains(log.String(), "clicks-2")
	}, 30*time.Second, time.Millisecond)
	cancel()
	require.Error(t, <-done)
}
