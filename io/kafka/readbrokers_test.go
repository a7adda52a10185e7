package kafka

import (
	"context"
	"fmt"
	"iter"
	"strings"
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
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/window"
)

// onBrokers runs a test on brokers of each kind, with a topic that is not made yet.
// Single real brokers are shared.
func onBrokers(t *testing.T, nodes int, test func(t *testing.T, b kafkatest.Brokers, topic string)) {
	t.Run("fake", func(t *testing.T) { test(t, kafkatest.Fake(t, kfake.NumBrokers(nodes)), "t") })
	t.Run("real", func(t *testing.T) {
		if nodes == 1 {
			test(t, kafkatest.Shared(t), "read-"+strings.ReplaceAll(t.Name(), "/", "-"))
		} else {
			test(t, kafkatest.Real(t, nodes), "t")
		}
	})
}

func brokersURL(b kafkatest.Brokers, rest string) string {
	return "kafka://" + strings.Join(b.Addrs(), ",") + "/" + rest
}

// numbered is n lines of a kind.
func numbered(kind string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(kind, i))
	}
	return out
}

func produce(t *testing.T, b kafkatest.Brokers, topic string, partition int32, values []string, opts ...kafkatest.ProduceOption) {
	t.Helper()
	kafkatest.Produce(t, b.Addrs(), topic, kafkatest.Strings(partition, values...), opts...)
}

// sameAs checks that a bounded read of a topic is what another client reads of it.
func sameAs(t *testing.T, want []kafkatest.Record, url string, opts ...ReadOption) {
	t.Helper()
	p := pipeline.New()
	got := pipeline.Collect(Read(p, url, Records(), append(opts, Stop(Latest()))...))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := local.Run(ctx, p, local.Config{Parallelism: 1})
	require.NoError(t, err)
	var records []kafkatest.Record
	for _, r := range got.Values() {
		var headers []kafkatest.Header
		for _, h := range r.Headers {
			headers = append(headers, kafkatest.Header(h))
		}
		records = append(records, kafkatest.Record{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Headers: headers, Timestamp: r.Time.UTC()})
	}
	require.Equal(t, want, records)
}

func TestRead_compacted(t *testing.T) {
	k := kafkatest.Fake(t)
	k.CreateTopic("t", 1, 1, map[string]string{"cleanup.policy": "compact"})
	rounds := 40
	for n := range rounds {
		var records []kafkatest.Record
		for i := range 30 {
			key := fmt.Sprint("key", i*(n+1)%17)
			records = append(records, kafkatest.Record{Key: []byte(key), Value: fmt.Append(nil, n, ".", i), Headers: []kafkatest.Header{{Key: "a", Value: []byte("b")}, {Key: "a"}}})
		}
		kafkatest.Produce(t, k.Addrs(), "t", records)
	}
	k.Kfake.Compact()
	want := kafkatest.ReadAll(t, k.Addrs(), "t")
	require.Less(t, len(want), rounds*30)
	sameAs(t, want, brokersURL(k, "t"))
}

// Goal: transactions that were committed, aborted or are still open, alone and mixed,
// with their markers at the end.
func TestRead_transactions(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 3, 1, nil)
		produce(t, b, topic, 0, numbered("plain", 5))
		produce(t, b, topic, 0, numbered("committed", 5), kafkatest.Committed("a"))
		produce(t, b, topic, 0, numbered("aborted", 5), kafkatest.Aborted("b"))
		produce(t, b, topic, 1, numbered("aborted", 5), kafkatest.Aborted("b"))
		produce(t, b, topic, 2, numbered("first", 5))
		produce(t, b, topic, 2, numbered("open", 5), kafkatest.LeftOpen("c", time.Minute))
		produce(t, b, topic, 2, numbered("behind", 5), kafkatest.Aborted("b"))
		produce(t, b, topic, 2, numbered("behind", 5))
		sameAs(t, kafkatest.ReadAll(t, b.Addrs(), topic), brokersURL(b, topic))
		sameAs(t, kafkatest.ReadUncommitted(t, b.Addrs(), topic), brokersURL(b, topic), Uncommitted())
	})
}

// Goal: all compressions, and records that are larger than a fetch.
func TestRead_codecsAndSizes(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 5, 1, map[string]string{"max.message.bytes": "10000000"})
		for i, codec := range kafkatest.Codecs {
			for n := range 20 {
				produce(t, b, topic, int32(i), numbered(fmt.Sprint(codec, n, "."), 10), kafkatest.Compressed(codec))
			}
		}
		for i := range 5 {
			produce(t, b, topic, int32(i), []string{strings.Repeat("0123456789", 80_000+10*i)})
			produce(t, b, topic, int32(i), []string{"last"})
		}
		want := kafkatest.ReadAll(t, b.Addrs(), topic)
		for _, budget := range []int{budgetLeast, 64 << 20} {
			sameAs(t, want, brokersURL(b, topic), FetchBudget(budget))
		}
	})
}

// A pen writes by our own client, which does not wait long for brokers that are
// gone.
type pen struct {
	t *testing.T
	c *client.Client
}

func newPen(t *testing.T, b kafkatest.Brokers) pen {
	c, err := client.New(client.Config{Brokers: b.Addrs(), RequestTimeout: 20 * time.Second})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return pen{t, c}
}

// send writes n values to partitions in turn.
func (w pen) send(topic string, partitions, n int) []string {
	w.t.Helper()
	values := numbered("v", n)
	for i, v := range values {
		w.sendTo(topic, i%partitions, v)
	}
	return values
}

// sendTo writes a value, again until it is written.
func (w pen) sendTo(topic string, partition int, value string) {
	w.t.Helper()
	part := client.ProducePart{Topic: topic, Partition: int32(partition), Batch: packed(batch.None, 1000, value)}
	for until := time.Now().Add(20 * time.Second); ; {
		out, err := w.c.Produce(w.t.Context(), "", -1, []client.ProducePart{part})
		if err == nil && out[0].Err == nil {
			return
		}
		require.True(w.t, time.Now().Before(until), "%v, %v", err, out)
		require.NoError(w.t, w.c.Refresh(w.t.Context()))
	}
}

// Goal: leaders move while it is read, again and again, of all partitions.
func TestRead_leadersMove(t *testing.T) {
	t.Parallel() // it waits for brokers most of the time
	onBrokers(t, 3, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 3, 3, nil)
		w := newPen(t, b)
		r := start(t, local.Config{Parallelism: 2}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return Read(p, brokersURL(b, topic), lines)
		})
		var want []string
		for round := range 2 {
			want = append(want, w.send(topic, 3, 30)...)
			for i := range int32(3) {
				b.MoveLeader(topic, i, (b.Leader(topic, i)+1+int32(round%2))%3)
			}
			r.await(want...)
		}
		r.end()
	})
}

// Goal: a broker goes away and comes back; with it, all of them.
func TestRead_brokersRestart(t *testing.T) {
	t.Parallel() // it waits for brokers most of the time
	onBrokers(t, 3, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 6, 3, nil)
		w := newPen(t, b)
		r := start(t, local.Config{Parallelism: 2}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return Read(p, brokersURL(b, topic), lines)
		})
		want := w.send(topic, 6, 30)
		r.await(want...)
		for node := range int32(2) {
			b.Kill(node)
			want = append(want, w.send(topic, 6, 30)...)
			r.await(want...)
			b.Start(node)
			want = append(want, w.send(topic, 6, 30)...)
			r.await(want...)
		}
		r.end()
	})
	t.Run("the only one", func(t *testing.T) {
		b := kafkatest.Fake(t)
		b.CreateTopic("t", 2, 1, nil)
		w := newPen(t, b)
		r := start(t, local.Config{Parallelism: 2}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return Read(p, brokersURL(b, "t"), lines)
		})
		want := w.send("t", 2, 10)
		r.await(want...)
		b.Stop(0)
		b.Start(0)
		want = append(want, w.send("t", 2, 10)...)
		r.await(want...)
		b.Pause(0)
		b.Resume(0)
		want = append(want, w.send("t", 2, 10)...)
		r.await(want...)
		r.end()
	})
}

// Goal: partitions that are added, and topics of a pattern, are read from their
// beginning, although the start is the end of what was there.
func TestRead_grows(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic+"-a", 1, 1, nil)
		b.CreateTopic("others-"+topic, 1, 1, nil)
		produce(t, b, topic+"-a", 0, numbered("old", 10))
		produce(t, b, "others-"+topic, 0, numbered("other", 10))
		r := start(t, local.Config{Parallelism: 3}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return Read(p, brokersURL(b, ""), lines, Pattern(topic+"-.*"), Start(Latest()), Discover(20*time.Millisecond))
		})
		want := awaitsBegin(t, r, b, topic+"-a")
		b.AddPartitions(topic+"-a", 3)
		for i := range int32(3) {
			produce(t, b, topic+"-a", i, numbered(fmt.Sprint("grown", i, "."), 5))
			want = append(want, numbered(fmt.Sprint("grown", i, "."), 5)...)
		}
		b.CreateTopic(topic+"-b", 2, 1, nil)
		produce(t, b, topic+"-b", 1, numbered("made", 5))
		want = append(want, numbered("made", 5)...)
		r.await(want...)
		r.end()
	})
}

// awaitsBegin writes to partition 0 until the reader, which begins at the end, has seen
// some of it, and returns what it has to see from then on.
func awaitsBegin(t *testing.T, r *run, b kafkatest.Brokers, topic string) []string {
	t.Helper()
	var last string
	for n := 0; len(r.values()) == 0; n++ {
		require.Less(t, n, 10_000)
		last = fmt.Sprint("begin", n)
		produce(t, b, topic, 0, []string{last})
		<-time.After(time.Millisecond)
	}
	for got := r.values(); got[len(got)-1] != last; got = r.values() {
		<-time.After(time.Millisecond)
	}
	return r.values()
}

// Goal: a job goes on exactly where its snapshot was, also if partitions were added
// meanwhile.
func TestRead_goesOn(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 3, 1, nil)
		cfg := local.Config{Parallelism: 2, StateDir: t.TempDir(), Checkpoint: 5 * time.Millisecond}
		var want []string
		sum := &kept{}
		for round := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			p := pipeline.New()
			pipeline.Write(Read(p, brokersURL(b, topic+"?group=g"), String(), Start(Latest())), "test.Kept", sum)
			ended := make(chan error, 1)
			go func() {
				_, err := local.Run(ctx, p, cfg)
				ended <- err
			}()
			if round == 0 { // until it has begun, nobody knows where
				for n := 0; len(sum.committed()) == 0; n++ {
					produce(t, b, topic, 0, []string{fmt.Sprint("begin", n)})
					<-time.After(10 * time.Millisecond)
				}
				want = append(want, sum.committed()[0])
				var first int
				_, err := fmt.Sscanf(want[0], "begin%d", &first)
				require.NoError(t, err)
				for _, r := range kafkatest.ReadAll(t, b.Addrs(), topic) {
					var n int
					if _, err := fmt.Sscanf(string(r.Value), "begin%d", &n); err == nil && n > first {
						want = append(want, string(r.Value))
					}
				}
			}
			for i := range int32(3) {
				values := numbered(fmt.Sprint("round", round, ".", i, "."), 10)
				produce(t, b, topic, i, values)
				want = append(want, values...)
			}
			awaitLen(t, func() int { return len(sum.committed()) }, len(want))
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
			for i := range int32(3) { // while nothing runs
				values := numbered(fmt.Sprint("between", round, ".", i, "."), 10)
				produce(t, b, topic, i, values)
				if round < 2 {
					want = append(want, values...)
				}
			}
		}
		assert.ElementsMatch(t, want, sum.committed())
	})
}

func awaitLen(t *testing.T, n func() int, want int) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); n() < want; {
		require.True(t, time.Now().Before(until), "%d of %d came", n(), want)
		<-time.After(time.Millisecond)
	}
}

// kept is a sink that outlives runs.
type kept struct {
	mu   sync.Mutex // guards vals
	vals []string
}

func (k *kept) committed() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.vals...)
}

func (k *kept) Open(context.Context, int, int, []byte) (pipeline.Writer[string], error) {
	return &keptWriter{in: k}, nil
}

type keptWriter struct {
	in             *kept
	open, prepared []string
}

func (w *keptWriter) Write(v string) error { w.open = append(w.open, v); return nil }

func (w *keptWriter) Prepare() ([]byte, error) {
	w.prepared, w.open = append(w.prepared, w.open...), nil
	return nil, nil
}

func (w *keptWriter) Commit() error {
	w.in.mu.Lock()
	defer w.in.mu.Unlock()
	w.in.vals = append(w.in.vals, w.prepared...)
	w.prepared = nil
	return nil
}

func (w *keptWriter) Finish() error { return nil }
func (w *keptWriter) Abort(bool)    { w.open, w.prepared = nil, nil }

// Goal: offsets of snapshots are in the group, where another job can begin.
func TestRead_group(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 2, 1, nil)
		produce(t, b, topic, 0, numbered("a", 10))
		produce(t, b, topic, 1, numbered("b", 10))
		read := func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return Read(p, brokersURL(b, topic+"?group=g"), lines)
		}
		r := start(t, local.Config{Parallelism: 2, Checkpoint: time.Millisecond}, read)
		r.await(append(numbered("a", 10), numbered("b", 10)...)...)
		c, err := client.New(client.Config{Brokers: b.Addrs()})
		require.NoError(t, err)
		defer c.Close()
		parts := []client.TopicPartition{{Topic: topic, Partition: 0}, {Topic: topic, Partition: 1}}
		lag := func() (n int64) {
			offsets, err := c.GroupOffsets(t.Context(), "g", parts)
			require.NoError(t, err)
			return 20 - offsets[parts[0]].Offset - offsets[parts[1]].Offset
		}
		for until := time.Now().Add(20 * time.Second); lag() > 0; {
			require.True(t, time.Now().Before(until), "the lag is still %d", lag())
			<-time.After(time.Millisecond)
		}
		r.end()
		produce(t, b, topic, 1, numbered("c", 10))
		again := start(t, local.Config{Parallelism: 2}, read)
		again.await(numbered("c", 10)...)
		again.end()
	})
}

// Goal: where reading begins and ends, by time and by offsets.
func TestRead_places(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 2, 1, nil)
		var records []kafkatest.Record
		for i := range 20 {
			records = append(records, kafkatest.Record{Partition: int32(i % 2), Value: fmt.Append(nil, i), Timestamp: time.UnixMilli(int64(1_700_000_000_000 + 1000*i))})
		}
		kafkatest.Produce(t, b.Addrs(), topic, records)
		at := func(second int) time.Time { return time.UnixMilli(int64(1_700_000_000_000 + 1000*second)) }
		for _, tc := range []struct {
			story       string
			start, stop Place
			from, to    int // of the values
		}{
			{"all", Earliest(), Latest(), 0, 20},
			{"by time", AtTime(at(4)), AtTime(at(10)), 4, 10},
			{"behind all times", AtTime(at(40)), Latest(), 0, 0},
			{"to a time that has not come", Earliest(), AtTime(at(40)), 0, 20},
			{"by offsets", AtOffsets(map[TopicPartition]int64{{topic, 0}: 3, {topic, 1}: 3}, Earliest()), AtOffsets(map[TopicPartition]int64{{topic, 0}: 5}, AtTime(at(10))), 6, 10},
			{"the end is before the start", Latest(), AtTime(at(1)), 0, 0},
		} {
			t.Run(tc.story, func(t *testing.T) {
				var want []string
				for i := tc.from; i < tc.to; i++ {
					want = append(want, fmt.Sprint(i))
				}
				assert.ElementsMatch(t, want, all(t, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
					return Read(p, brokersURL(b, topic), lines, Start(tc.start), Stop(tc.stop))
				}))
			})
		}
	})
}

// Goal: partitions that are empty do not hold windows up.
func TestRead_idlePartitions(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 4, 1, nil)
		write := func(second int) {
			kafkatest.Produce(t, b.Addrs(), topic, []kafkatest.Record{{Value: []byte("x"), Timestamp: time.UnixMilli(int64(1_700_000_000_000 + 1000*second))}})
		}
		write(0)
		write(1)
		r := start(t, local.Config{Parallelism: 2}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			keyed := pipeline.KeyBy(Read(p, brokersURL(b, topic), lines, IdleAfter(20*time.Millisecond)), func(string) string { return "all" })
			lists := pipeline.GroupByKey(keyed.Windowed(window.Fixed(2 * time.Second)))
			return pipeline.MapKV(lists, func(_ string, vs iter.Seq[string]) string {
				n := 0
				for range vs {
					n++
				}
				return fmt.Sprint(n)
			})
		})
		for n := 0; len(r.values()) == 0; n++ {
			require.Less(t, n, 2000)
			write(3) // the second window stays open
			<-time.After(time.Millisecond)
		}
		r.await("2")
		r.end()
	})
}
