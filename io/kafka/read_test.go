package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
	"github.com/millrace/millrace/runners/local"
)

// A town is brokers in this process, and a client to write by.
type town struct {
	*kfake.Cluster
	t *testing.T
	c *client.Client
}

func newTown(t *testing.T, brokers int, opts ...kfake.Opt) *town {
	t.Helper()
	k, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(brokers), kfake.SleepOutOfOrder()}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	c, err := client.New(client.Config{Brokers: k.ListenAddrs(), RequestTimeout: 10 * time.Second})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return &town{k, t, c}
}

// url is a URL of a topic.
func (w *town) url(rest string) string { return "kafka://" + w.ListenAddrs()[0] + "/" + rest }

func (w *town) topic(name string, partitions int) {
	w.t.Helper()
	require.NoError(w.t, w.CreateTopic(name, int32(partitions), nil))
}

// packed makes a batch of values, which have times from ms on, one a millisecond.
func packed(codec batch.Codec, ms int64, values ...string) []byte {
	var b batch.Builder
	b.Reset(nil)
	for i, v := range values {
		b.Add(ms+int64(i), []byte("k"), []byte(v), nil)
	}
	return b.Finish(codec)
}

// write writes one batch.
func (w *town) write(topic string, partition int, raw []byte) int64 {
	w.t.Helper()
	out, err := w.c.Produce(w.t.Context(), "", -1, []client.ProducePart{{Topic: topic, Partition: int32(partition), Batch: raw}})
	require.NoError(w.t, err)
	require.NoError(w.t, out[0].Err)
	return out[0].Offset
}

// lines is a format of values that have to say they are good.
var lines = Format[string]{Name: "text", Decode: func(r *Record) (string, error) {
	if string(r.Value) == "bad" {
		return "", errors.New("it is bad")
	}
	return string(r.Value), nil
}}

func TestRead_conformance(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 3, 1, map[string]string{"retention.ms": "-1"}) // the records are old
		c, err := client.New(client.Config{Brokers: b.Addrs()})
		require.NoError(t, err)
		defer c.Close()
		var want []string
		var times []int64
		for i := range 24 {
			var values []string
			for k := range 1 + i%3 {
				values = append(values, fmt.Sprint(i, ".", k))
				times = append(times, int64(1000+10*i+k))
			}
			want = append(want, values...)
			part := client.ProducePart{Topic: topic, Partition: int32(i % 3), Batch: packed(batch.Codec(i%5), int64(1000+10*i), values...)}
			out, err := c.Produce(t.Context(), "", -1, []client.ProducePart{part})
			require.NoError(t, err)
			require.NoError(t, out[0].Err)
		}
		for _, opts := range [][]ReadOption{nil, {Stop(Latest())}} {
			t.Run(fmt.Sprint(len(opts), " options"), func(t *testing.T) {
				connector.TestSource(t, connector.Source[string]{
					Read: func(p *pipeline.Pipeline) pipeline.PCollection[string] {
						return Read(p, brokersURL(b, topic), lines, append(opts, IdleAfter(time.Millisecond))...)
					},
					Want: want, Times: times,
				})
			})
		}
	})
}

var errEnough = errors.New("enough")

// A run is a pipeline that reads, and what came of it.
type run struct {
	t      *testing.T
	cancel context.CancelCauseFunc
	ended  chan error

	mu  sync.Mutex // guards got
	got []string
}

func start(t *testing.T, cfg local.Config, read func(p *pipeline.Pipeline) pipeline.PCollection[string]) *run {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	r := &run{t: t, cancel: cancel, ended: make(chan error, 1)}
	p := pipeline.New()
	pipeline.ForEach(read(p), func(_ context.Context, s string) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, s)
		return nil
	})
	require.NoError(t, p.Err())
	go func() {
		_, err := local.Run(ctx, p, cfg)
		r.ended <- err
	}()
	t.Cleanup(func() { cancel(errEnough) })
	return r
}

func (r *run) values() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// await waits until all of want came, in any order.
func (r *run) await(want ...string) {
	r.t.Helper()
	for until := time.Now().Add(30 * time.Second); len(r.values()) < len(want); {
		select {
		case err := <-r.ended:
			require.NoError(r.t, err)
			require.FailNow(r.t, "it has ended")
		case <-time.After(time.Millisecond):
		}
		require.True(r.t, time.Now().Before(until), "%d of %d came", len(r.values()), len(want))
	}
	assert.ElementsMatch(r.t, want, r.values())
}

// end ends the run.
func (r *run) end() {
	r.t.Helper()
	r.cancel(errEnough)
	require.ErrorIs(r.t, <-r.ended, errEnough)
}

// fails waits for the run's error.
func (r *run) fails() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		require.Error(r.t, err)
		return err
	case <-time.After(30 * time.Second):
		require.FailNow(r.t, "it goes on")
		return nil
	}
}

// all reads what is bounded.
func all(t *testing.T, read func(p *pipeline.Pipeline) pipeline.PCollection[string]) []string {
	t.Helper()
	p := pipeline.New()
	got := pipeline.Collect(read(p))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := local.Run(ctx, p, local.Config{Parallelism: 2})
	require.NoError(t, err)
	return got.Values()
}
