package client

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/io/kafka/internal/batch"
)

// cluster starts brokers in this process, with a topic "t" of four partitions.
func cluster(t *testing.T, brokers int, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	return kafkatest.Fake(t, append([]kfake.Opt{kfake.NumBrokers(brokers), kfake.SeedTopics(4, "t")}, opts...)...).Kfake
}

// client makes a client of k, with times that suit tests.
func client(t *testing.T, k *kfake.Cluster, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{Brokers: k.ListenAddrs(), RequestTimeout: 10 * time.Second}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// batchOf makes a batch of values.
func batchOf(p *batch.Producer, sequence int32, txn bool, values ...string) []byte {
	var b batch.Builder
	b.Reset(nil)
	for _, v := range values {
		b.Add(1000, []byte("k"), []byte(v), nil)
	}
	raw := b.Finish(batch.None)
	if p != nil {
		batch.Stamp(raw, *p, sequence, txn)
	}
	return raw
}

// write produces values to a partition.
func write(t *testing.T, c *Client, topic string, partition int32, values ...string) int64 {
	t.Helper()
	out, err := c.Produce(within(t), "", -1, []ProducePart{{topic, partition, batchOf(nil, 0, false, values...)}})
	require.NoError(t, err)
	require.NoError(t, out[0].Err)
	return out[0].Offset
}

// read fetches a partition from its leader until n values came.
func read(t *testing.T, c *Client, topic string, partition int32, committed bool, n int) []string {
	t.Helper()
	ctx := within(t)
	var values []string
	from := int64(0)
	var buf []byte
	for len(values) < n {
		leader, _, err := c.Leader(ctx, topic, partition)
		require.NoError(t, err)
		f, err := c.Fetch(ctx, leader, &FetchRequest{MaxWait: 100 * time.Millisecond, MinBytes: 1, MaxBytes: 1 << 20, Committed: committed,
			Parts: []FetchPart{{topic, partition, from, -1, 1 << 20}}}, buf)
		require.NoError(t, err)
		require.Len(t, f.Parts, 1)
		require.NoError(t, f.Parts[0].Err)
		var r batch.Reader
		r.Reset(f.Parts[0].Raw, from, batch.Options{Committed: committed, Aborted: f.Parts[0].Aborted})
		var rec batch.Record
		for r.Next(&rec) {
			values = append(values, string(rec.Value))
		}
		require.NoError(t, r.Err())
		from = r.NextOffset()
		buf = f.Buf
	}
	return values
}

func TestMetadata(t *testing.T) {
	c := client(t, cluster(t, 3))
	ctx := within(t)
	id, err := c.ClusterID(ctx)
	require.NoError(t, err)
	assert.NotEmpty(t, id)
	topic, err := c.Topic(ctx, "t")
	require.NoError(t, err)
	assert.Len(t, topic.Partitions, 4)
	for i, p := range topic.Partitions {
		assert.EqualValues(t, i, p.ID)
		assert.NoError(t, p.Err)
	}
	_, err = c.Topic(ctx, "nowhere")
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.True(t, e.UnknownTopic())
	assert.ErrorContains(t, err, "topic nowhere: there is no such topic")

	require.NoError(t, c.CreateTopic(ctx, "u", 2, 1, map[string]string{"cleanup.policy": "compact"}))
	err = c.CreateTopic(ctx, "u", 2, 1, nil)
	require.ErrorAs(t, err, &e)
	assert.True(t, e.Exists())
	require.NoError(t, c.CreatePartitions(ctx, "u", 5))
	topics, err := c.Topics(ctx, func(string) bool { return true })
	require.NoError(t, err)
	require.Len(t, topics, 2)
	assert.Len(t, topics[1].Partitions, 5)
}

func TestProduceAndFetch(t *testing.T) {
	c := client(t, cluster(t, 3))
	for p := range int32(4) {
		assert.EqualValues(t, 0, write(t, c, "t", p, "a", "b"))
		assert.EqualValues(t, 2, write(t, c, "t", p, "c"))
		assert.Equal(t, []string{"a", "b", "c"}, read(t, c, "t", p, false, 3))
	}
}

func TestOffsets(t *testing.T) {
	c := client(t, cluster(t, 3))
	ctx := within(t)
	write(t, c, "t", 1, "a", "b")
	parts := []TopicPartition{{"t", 0}, {"t", 1}, {"t", 2}, {"t", 1}}
	for _, at := range []struct {
		name string
		at   OffsetAt
		want []int64
	}{
		{"earliest", Earliest(), []int64{0, 0, 0}},
		{"latest", Latest(), []int64{0, 2, 0}},
		{"a time before", AtTime(10), []int64{-1, 0, -1}},
		{"a time behind", AtTime(2000), []int64{-1, -1, -1}},
	} {
		got, err := c.Offsets(ctx, parts, at.at)
		require.NoError(t, err, at.name)
		require.Len(t, got, 3)
		for i, want := range at.want {
			assert.Equal(t, want, got[TopicPartition{"t", int32(i)}].Offset, "%s of partition %d", at.name, i)
		}
	}
	ends, err := c.EpochEnds(ctx, map[TopicPartition]int32{{"t", 1}: 0})
	require.NoError(t, err)
	assert.EqualValues(t, 2, ends[TopicPartition{"t", 1}].Offset)
	_, err = c.Offsets(ctx, []TopicPartition{{"t", 9}}, Latest())
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.True(t, e.UnknownTopic(), err)
}

func TestGroup(t *testing.T) {
	c := client(t, cluster(t, 3))
	ctx := within(t)
	parts := []TopicPartition{{"t", 1}, {"t", 0}}
	got, err := c.GroupOffsets(ctx, "g", parts)
	require.NoError(t, err)
	assert.Empty(t, got)
	require.NoError(t, c.CommitGroup(ctx, "g", map[TopicPartition]GroupOffset{{"t", 1}: {Offset: 7, Epoch: 3, Metadata: "note"}}))
	got, err = c.GroupOffsets(ctx, "g", parts)
	require.NoError(t, err)
	assert.Equal(t, map[TopicPartition]GroupOffset{{"t", 1}: {Offset: 7, Epoch: 3, Metadata: "note"}}, got)
}

func TestTransactions(t *testing.T) {
	c := client(t, cluster(t, 3))
	ctx := within(t)
	begin := func() batch.Producer {
		p, err := c.InitProducer(ctx, "id", time.Minute)
		require.NoError(t, err)
		return p
	}
	put := func(p batch.Producer, seq int32, value string) error {
		require.NoError(t, c.AddPartitions(ctx, "id", p, []TopicPartition{{"t", 0}}))
		out, err := c.Produce(ctx, "id", -1, []ProducePart{{"t", 0, batchOf(&p, seq, true, value)}})
		require.NoError(t, err)
		return out[0].Err
	}
	commitOffset := func(p batch.Producer, n int64) {
		require.NoError(t, c.CommitInTxn(ctx, "id", p, "g", map[TopicPartition]GroupOffset{{"t", 0}: {Offset: n, Epoch: -1}}))
	}
	position := func() int64 {
		got, err := c.GroupOffsets(ctx, "g", []TopicPartition{{"t", 0}})
		require.NoError(t, err)
		return got[TopicPartition{"t", 0}].Offset
	}
	old := begin()
	require.NoError(t, put(old, 0, "committed"))
	commitOffset(old, 1)
	require.NoError(t, c.EndTxn(ctx, "id", old, true))
	require.NoError(t, c.EndTxn(ctx, "id", old, true), "again is the same")
	require.NoError(t, put(old, 1, "aborted"))
	commitOffset(old, 2)
	now := begin() // fences old, and aborts what it left
	assert.EqualValues(t, 1, position())
	require.NoError(t, put(now, 0, "and on"))
	commitOffset(now, 3)
	require.NoError(t, c.EndTxn(ctx, "id", now, true))
	assert.EqualValues(t, 3, position())
	var e *Error
	require.ErrorAs(t, c.EndTxn(ctx, "id", old, true), &e)
	assert.True(t, e.Fenced(), e)
	assert.Equal(t, []string{"committed", "and on"}, read(t, c, "t", 0, true, 2))
	assert.Equal(t, []string{"committed", "aborted", "and on"}, read(t, c, "t", 0, false, 3))
}
