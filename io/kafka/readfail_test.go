package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// failure runs what fails, and returns the error.
func failure(t *testing.T, url string, opts ...ReadOption) error {
	t.Helper()
	return start(t, local.Config{Parallelism: 1}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		return Read(p, url, lines, opts...)
	}).fails()
}

// Goal: what is wrong is said while the pipeline is built, with the user's own line.
func TestRead_sentences(t *testing.T) {
	for _, tc := range []struct {
		url  string
		f    Format[string]
		want string
	}{
		{"kafka://a/x?acks=all", lines, `kafka.Read: the URL has the parameter "acks"`},
		{"kafka://a/x", Format[string]{Name: "none"}, `kafka.Read: the format "none" can't be read: it has no Decode`},
		{"kafka://a/x", Format[string]{Name: "none", Err: errors.New("no schema")}, "kafka.Read: no schema"},
		{"kafka://a/x?start=group", lines, "kafka.Read: Start is what a group has committed"},
	} {
		p := pipeline.New()
		Read(p, tc.url, tc.f)
		require.ErrorContains(t, p.Err(), tc.want)
		require.ErrorContains(t, p.Err(), "readfail_test.go:")
	}
	p := pipeline.New()
	ReadWithBad(p, "kafka://a", lines)
	require.ErrorContains(t, p.Err(), "kafka.ReadWithBad: no topic is named")
	require.ErrorContains(t, p.Err(), "readfail_test.go:")
}

func TestRead_unreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	err = failure(t, "kafka://u:secret@"+address+"/t?timeout=300ms")
	require.ErrorContains(t, err, address)
	require.ErrorContains(t, err, "connection refused")
	assert.NotContains(t, err.Error(), "secret")

	k := kafkatest.Fake(t)
	k.CreateTopic("t", 2, 1, nil)
	produce(t, k, "t", 0, []string{"a"})
	r := start(t, local.Config{Parallelism: 1}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		return Read(p, brokersURL(k, "t?timeout=200ms"), lines, Patience(300*time.Millisecond))
	})
	r.await("a")
	k.Stop(0)
	err = r.fails()
	require.ErrorContains(t, err, "it can't be reached, for")
	require.ErrorContains(t, err, k.Addrs()[0])
}

func TestRead_credentials(t *testing.T) {
	k := kafkatest.Fake(t, kfake.EnableSASL(), kfake.SeedTopics(1, "t"), kfake.User("PLAIN", "ann", "right"))
	got := all(t, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		return Read(p, "kafka://ann:right@"+k.Addrs()[0]+"/t?stop=latest", lines)
	})
	assert.Empty(t, got)
	err := failure(t, "kafka://ann:wrong@"+k.Addrs()[0]+"/t?timeout=500ms")
	require.ErrorContains(t, err, k.Addrs()[0])
	assert.NotContains(t, err.Error(), "wrong@")
}

func TestRead_topicIsNotThere(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		require.ErrorContains(t, failure(t, brokersURL(b, "nowhere")), "topic nowhere: there is no such topic")
		assert.Empty(t, all(t, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return Read(p, brokersURL(b, "?pattern=no.*&stop=latest"), lines)
		}), "a pattern may match nothing")

		b.CreateTopic(topic, 2, 1, nil)
		produce(t, b, topic, 0, []string{"a"})
		r := start(t, local.Config{Parallelism: 1}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return Read(p, brokersURL(b, topic), lines, Patience(300*time.Millisecond))
		})
		r.await("a")
		b.DeleteTopic(topic)
		require.ErrorContains(t, r.fails(), "the topic was deleted, or this user may not see it any more")
	})
}

// Goal: a position that retention has overtaken.
func TestRead_retention(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 1, 1, nil)
		produce(t, b, topic, 0, numbered("v", 10))
		b.DeleteRecords(topic, 0, 6)
		place := Start(AtOffsets(map[TopicPartition]int64{{topic, 0}: 3}, Earliest()))
		err := failure(t, brokersURL(b, topic), place)
		require.ErrorContains(t, err, "read "+topic+"/0: offset 3 is to be read next, and the partition has offsets from 6 to 10: the records were deleted")
		require.ErrorContains(t, err, "kafka.Reset")
		for reset, want := range map[string][]string{"earliest": {"v6", "v7", "v8", "v9"}, "latest": nil} {
			assert.Equal(t, want, all(t, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
				return Read(p, brokersURL(b, topic+"?stop=latest&reset="+reset), lines, place)
			}), reset)
		}
	})
}

// Goal: bytes that were damaged on their way are fetched again; those that stay damaged
// are an error.
func TestRead_damaged(t *testing.T) {
	w := newTown(t, 1)
	w.topic("t", 1)
	good := packed(batch.None, 1000, "a", "b")
	w.write("t", 0, good)
	bad := bytes.Clone(good)
	bad[len(bad)-3] ^= 1
	var damage atomic.Int64
	w.KeepControl()
	w.ControlKey(1, func(q kmsg.Request) (kmsg.Response, error, bool) {
		w.KeepControl()
		if damage.Add(-1) < 0 {
			return nil, nil, false
		}
		f := q.(*kmsg.FetchRequest)
		r := f.ResponseKind().(*kmsg.FetchResponse)
		part := kmsg.NewFetchResponseTopicPartition()
		part.HighWatermark, part.LastStableOffset, part.RecordBatches = 2, 2, bad
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, part)
		r.Topics = append(r.Topics, topic)
		return r, nil, true
	})
	damage.Store(damagedTries - 1)
	assert.Equal(t, []string{"a", "b"}, all(t, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		return Read(p, w.url("t?stop=latest"), lines)
	}))
	damage.Store(1000)
	err := failure(t, w.url("t"))
	require.ErrorContains(t, err, "corrupt batch at offset 0")
	require.ErrorContains(t, err, "t/0:0")
}

// Goal: many partitions, and readers that are slow, stay within the budget.
func TestRead_budget(t *testing.T) {
	const partitions, each = 1000, 6
	w := newTown(t, 2)
	w.topic("t", partitions)
	raw := make([][]byte, each)
	for i := range raw {
		values := numbered(fmt.Sprint(i, "."), 10)
		for k := range values {
			values[k] += string(make([]byte, 1500))
		}
		raw[i] = packed(batch.None, 1000, values...)
	}
	for i := range partitions {
		for _, b := range raw {
			w.write("t", i, b)
		}
	}
	for _, tc := range []struct {
		budget int
		stop   []ReadOption
	}{{4 << 20, nil}, {64 << 20, nil}, {4 << 20, []ReadOption{Stop(Latest())}}} {
		r, err := newReading(w.url("t"), append(tc.stop, FetchBudget(tc.budget)))
		require.NoError(t, err)
		src := &source[string]{reading: r, format: lines}
		ctx, cancel := context.WithCancelCause(t.Context())
		p := pipeline.New()
		var n, most atomic.Int64
		pipeline.ForEach(pipeline.Read(p, "kafka.Read", src), func(context.Context, string) error {
			if k := n.Add(1); k%100 == 0 {
				h := src.hubs.cur
				h.mu.Lock()
				most.Store(max(most.Load(), int64(h.plan.used)))
				h.mu.Unlock()
				if k == partitions*each*10 {
					cancel(errEnough)
				}
			}
			return nil
		})
		_, err = local.Run(ctx, p, local.Config{Parallelism: 2})
		if err != nil {
			require.ErrorIs(t, err, errEnough)
		}
		assert.EqualValues(t, partitions*each*10, n.Load())
		assert.LessOrEqual(t, most.Load(), int64(tc.budget))
		assert.Positive(t, most.Load())
	}
}

// Goal: a topic that was deleted and made anew while the job stood still, and has as
// many records as before, is not taken for the old one.
func TestRead_topicMadeAnew(t *testing.T) {
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		b.CreateTopic(topic, 1, 1, nil)
		produce(t, b, topic, 0, numbered("old", 5))
		cfg := local.Config{Parallelism: 1, StateDir: t.TempDir(), Checkpoint: time.Millisecond}
		sum := &kept{}
		read := func(reset string, until int) error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := pipeline.New()
			pipeline.Write(Read(p, brokersURL(b, topic+reset), String()), "test.Kept", sum)
			ended := make(chan error, 1)
			go func() {
				_, err := local.Run(ctx, p, cfg)
				ended <- err
			}()
			if until > 0 {
				awaitLen(t, func() int { return len(sum.committed()) }, until)
				cancel()
			}
			select {
			case err := <-ended:
				return err
			case <-time.After(30 * time.Second):
				return errors.New("it goes on")
			}
		}
		require.ErrorIs(t, read("", 5), context.Canceled)
		b.DeleteTopic(topic)
		b.CreateTopic(topic, 1, 1, nil)
		produce(t, b, topic, 0, numbered("new", 10))
		require.ErrorContains(t, read("", 0), "the topic was deleted and made anew since the snapshot was taken: offset 5,")
		require.ErrorIs(t, read("?reset=earliest", 15), context.Canceled)
		produce(t, b, topic, 0, []string{"newest"})
		require.ErrorIs(t, read("", 16), context.Canceled, "the new topic is the job's now")
		assert.Equal(t, append(append(numbered("old", 5), numbered("new", 10)...), "newest"), sum.committed())
	})
}

// Goal: the place of a topic that is gone stays that, in snapshots, until it is known
// where to go on.
func TestSplit_madeAnew(t *testing.T) {
	w := newTown(t, 1)
	w.topic("t", 1)
	w.write("t", 0, packed(batch.None, 1000, "a"))
	r, err := newReading(w.url("t?reset=earliest"), nil)
	require.NoError(t, err)
	src := &source[string]{reading: r, format: lines}
	splits, err := src.Splits(t.Context(), 1)
	require.NoError(t, err)
	old := topicID{1}
	rd, err := splits[0].Open(t.Context(), spot{7, -1, -1}.append(nil, old))
	require.NoError(t, err)
	defer rd.Close()
	got, id, err := readPosition(rd.Position(nil))
	require.NoError(t, err)
	assert.Equal(t, spot{7, -1, -1}, got)
	assert.Equal(t, old, id)
}

// Goal: brokers say that the log was cut behind what was read.
func TestRead_cut(t *testing.T) {
	w := newTown(t, 1)
	w.topic("t", 1)
	w.write("t", 0, packed(batch.None, 1000, "a", "b"))
	w.KeepControl()
	w.ControlKey(1, func(q kmsg.Request) (kmsg.Response, error, bool) {
		w.KeepControl()
		f := q.(*kmsg.FetchRequest)
		asked := f.Topics[0].Partitions[0]
		if asked.LastFetchedEpoch < 0 {
			return nil, nil, false
		}
		r := f.ResponseKind().(*kmsg.FetchResponse)
		part := kmsg.NewFetchResponseTopicPartition()
		part.DivergingEpoch.Epoch, part.DivergingEpoch.EndOffset = asked.LastFetchedEpoch, 1
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, part)
		r.Topics = append(r.Topics, topic)
		return r, nil, true
	})
	require.ErrorContains(t, failure(t, w.url("t")), "read t/0: records that were read are gone: it was read up to offset 2, of leader epoch 0, but what the brokers have of epoch 0 ends at offset 1")
}
