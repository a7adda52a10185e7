package client

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/io/kafka/internal/batch"
)

func realClient(t *testing.T, b kafkatest.Brokers) *Client {
	t.Helper()
	c, err := New(Config{Brokers: b.Addrs(), RequestTimeout: 20 * time.Second})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// topic makes a topic of this test.
func topic(t *testing.T, b kafkatest.Brokers, partitions int, config map[string]string) string {
	t.Helper()
	name := kafkatest.Name(t)
	b.CreateTopic(name, partitions, -1, config)
	return name
}

// records reads the records of a partition as the other client shows them.
func records(t *testing.T, c *Client, topic string, partition int32, n int) (out []kafkatest.Record) {
	t.Helper()
	ctx := within(t)
	for from := int64(0); len(out) < n; {
		leader, _, err := c.Leader(ctx, topic, partition)
		require.NoError(t, err)
		f, err := c.Fetch(ctx, leader, &FetchRequest{MaxWait: time.Second, MinBytes: 1, MaxBytes: 100, Committed: true, // a batch or two at once
			Parts: []FetchPart{{topic, partition, from, -1, 100}}}, nil)
		require.NoError(t, err)
		require.NoError(t, f.Parts[0].Err)
		var r batch.Reader
		r.Reset(f.Parts[0].Raw, from, batch.Options{Committed: true, Aborted: f.Parts[0].Aborted, Keep: true})
		for rec := new(batch.Record); r.Next(rec); {
			o := kafkatest.Record{Partition: partition, Offset: rec.Offset, Key: rec.Key, Value: rec.Value, Timestamp: time.UnixMilli(rec.Timestamp).UTC()}
			for k, v := range rec.Headers() {
				o.Headers = append(o.Headers, kafkatest.Header{Key: string(k), Value: v})
			}
			out = append(out, o)
		}
		require.NoError(t, r.Err())
		from = r.NextOffset()
	}
	return out
}

// sample is records of all shapes, and enough of them that a codec has something to do.
func sample(partition int32) (out []kafkatest.Record) {
	at := time.UnixMilli(1700000000123).UTC()
	out = append(out,
		kafkatest.Record{Key: []byte("k"), Value: []byte("v"), Headers: []kafkatest.Header{{Key: "a", Value: []byte("1")}, {Key: "null"}, {Key: "", Value: []byte{}}}},
		kafkatest.Record{Key: nil, Value: []byte{}},
		kafkatest.Record{Key: []byte{}, Value: nil})
	for i := range 500 {
		out = append(out, kafkatest.Record{Key: []byte{byte(i)}, Value: fmt.Appendf(nil, "a value that is much like the one before: %d", i)})
	}
	for i := range out {
		out[i].Partition, out[i].Timestamp = partition, at.Add(time.Duration(i%7-3)*time.Second)
	}
	return out
}

func TestReal_codecs(t *testing.T) {
	k := kafkatest.Shared(t)
	c := realClient(t, k)
	name := topic(t, k, 2, nil)
	var theirs, ours []kafkatest.Record
	for i, codec := range kafkatest.Codecs {
		theirs = append(theirs, kafkatest.Produce(t, k.Addrs(), name, sample(0), kafkatest.Compressed(codec))...)

		var b batch.Builder
		b.Reset(nil)
		for j, r := range sample(1) {
			var headers []batch.Header
			for _, h := range r.Headers {
				headers = append(headers, batch.Header(h))
			}
			b.Add(r.Timestamp.UnixMilli(), r.Key, r.Value, headers)
			r.Offset = int64(i*b.Len() + j)
			ours = append(ours, r)
		}
		id, ok := batch.ParseCodec(codec)
		require.True(t, ok)
		plain := b.Size()
		raw := b.Finish(id)
		assert.Equal(t, id == batch.None, len(raw) == plain, "%s: %d of %d bytes", codec, len(raw), plain)
		out, err := c.Produce(within(t), "", -1, []ProducePart{{name, 1, raw}})
		require.NoError(t, err)
		require.NoError(t, out[0].Err, codec)
		assert.EqualValues(t, i*len(sample(1)), out[0].Offset)
	}
	for i := range ours {
		ours[i].Offset = int64(i)
	}
	assert.Equal(t, theirs, records(t, c, name, 0, len(theirs)), "what the other client wrote")
	assert.Equal(t, ours, slices.DeleteFunc(kafkatest.ReadAll(t, k.Addrs(), name), func(r kafkatest.Record) bool { return r.Partition == 0 }), "what we wrote")
}

func TestReal_idempotent(t *testing.T) {
	k := kafkatest.Shared(t)
	c := realClient(t, k)
	name := topic(t, k, 1, nil)
	p, err := c.InitProducer(within(t), "", 0)
	require.NoError(t, err)
	put := func(sequence int32, values ...string) Produced {
		out, err := c.Produce(within(t), "", -1, []ProducePart{{name, 0, batchOf(&p, sequence, false, values...)}})
		require.NoError(t, err)
		return out[0]
	}
	assert.Equal(t, Produced{0, nil}, put(0, "a", "b"))
	assert.Equal(t, Produced{2, nil}, put(2, "c"))
	assert.Equal(t, Produced{0, nil}, put(0, "a", "b"), "it is known, and where it is")
	for s := range int32(6) {
		require.NoError(t, put(3+s, fmt.Sprint(s)).Err)
	}
	for sequence, why := range map[int32]string{0: "behind the five batches that are known", 99: "one is missing before it"} {
		var e *Error
		require.ErrorAs(t, put(sequence, "a", "b").Err, &e, why)
		assert.True(t, e.OutOfSequence(), why)
		assert.False(t, e.Unknown(), why)
	}
	assert.Equal(t, []string{"a", "b", "c", "0", "1", "2", "3", "4", "5"}, kafkatest.Values(kafkatest.ReadAll(t, k.Addrs(), name)))
}

func TestReal_transactions(t *testing.T) {
	k := kafkatest.Shared(t)
	c := realClient(t, k)
	name := topic(t, k, 2, nil)
	ctx := within(t)
	id, group := name, name
	begin := func(timeout time.Duration) batch.Producer {
		p, err := c.InitProducer(ctx, id, timeout)
		require.NoError(t, err)
		return p
	}
	// put writes value to both partitions, and n as the group's offset.
	put := func(p batch.Producer, sequence int32, value string, n int64) {
		require.NoError(t, c.AddPartitions(ctx, id, p, []TopicPartition{{name, 0}, {name, 1}}))
		out, err := c.Produce(ctx, id, -1, []ProducePart{{name, 0, batchOf(&p, sequence, true, value)}, {name, 1, batchOf(&p, sequence, true, value)}})
		require.NoError(t, err)
		require.NoError(t, out[0].Err)
		require.NoError(t, out[1].Err)
		require.NoError(t, c.CommitInTxn(ctx, id, p, group, map[TopicPartition]GroupOffset{{name, 0}: {Offset: n, Epoch: -1, Metadata: value}}))
	}
	position := func() GroupOffset {
		got, err := c.GroupOffsets(ctx, group, []TopicPartition{{name, 0}})
		require.NoError(t, err)
		return got[TopicPartition{name, 0}]
	}
	fenced := func(err error) {
		t.Helper()
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.True(t, e.Fenced(), e)
	}
	want := func(values ...string) {
		t.Helper()
		assert.Equal(t, values, read(t, c, name, 0, true, len(values)))
		assert.Equal(t, append(values, values...), kafkatest.Values(kafkatest.ReadAll(t, k.Addrs(), name)))
	}

	p := begin(time.Minute)
	put(p, 0, "a", 1)
	require.NoError(t, c.EndTxn(ctx, id, p, true))
	require.NoError(t, c.EndTxn(ctx, id, p, true), "again is the same")
	assert.Equal(t, GroupOffset{1, -1, "a"}, position())
	put(p, 1, "b", 2)
	require.NoError(t, c.EndTxn(ctx, id, p, false))
	assert.Equal(t, GroupOffset{1, -1, "a"}, position())
	put(p, 2, "c", 3)
	require.NoError(t, c.EndTxn(ctx, id, p, true))
	want("a", "c")

	put(p, 3, "left open", 4)
	q := begin(time.Minute)
	assert.Equal(t, GroupOffset{3, -1, "c"}, position())
	fenced(c.EndTxn(ctx, id, p, true))
	out, err := c.Produce(ctx, id, -1, []ProducePart{{name, 0, batchOf(&p, 4, true, "of a zombie")}})
	require.NoError(t, err)
	fenced(out[0].Err)
	put(q, 0, "d", 5)
	require.NoError(t, c.EndTxn(ctx, id, q, true))
	want("a", "c", "d")

	p = begin(500 * time.Millisecond)
	put(p, 0, "too slow", 6)
	require.Eventually(t, func() bool {
		tp, committed := TopicPartition{name, 1}, Latest()
		committed.Committed = true
		stable, err := c.Offsets(ctx, []TopicPartition{tp}, committed)
		require.NoError(t, err)
		all, err := c.Offsets(ctx, []TopicPartition{tp}, Latest())
		require.NoError(t, err)
		return stable[tp].Offset == all[tp].Offset
	}, 15*time.Second, 50*time.Millisecond, "the broker aborts it when its time is over")
	fenced(c.EndTxn(ctx, id, p, true))
	q = begin(time.Minute)
	put(q, 0, "e", 7)
	require.NoError(t, c.EndTxn(ctx, id, q, true))
	assert.Equal(t, GroupOffset{7, -1, "e"}, position())
	want("a", "c", "d", "e")
}

func TestReal_offsets(t *testing.T) {
	k := kafkatest.Shared(t)
	c := realClient(t, k)
	name := topic(t, k, 2, nil)
	kafkatest.Produce(t, k.Addrs(), name, []kafkatest.Record{
		{Value: []byte("a"), Timestamp: time.UnixMilli(1000)}, {Value: []byte("b"), Timestamp: time.UnixMilli(3000)},
		{Value: []byte("c"), Timestamp: time.UnixMilli(2000)}, {Value: []byte("d"), Timestamp: time.UnixMilli(4000)}})
	k.DeleteRecords(name, 0, 1)
	open := kafkatest.Produce(t, k.Addrs(), name, kafkatest.Strings(0, "open"), kafkatest.LeftOpen(name, time.Minute))
	parts := []TopicPartition{{name, 0}, {name, 1}}
	committed := Latest()
	committed.Committed = true
	for _, tt := range []struct {
		name  string
		at    OffsetAt
		want  int64
		empty int64
	}{
		{"earliest", Earliest(), 1, 0},
		{"latest", Latest(), open[0].Offset + 1, 0},
		{"the end of what is committed", committed, open[0].Offset, 0},
		{"a time before what is left", AtTime(500), 1, -1},
		{"a time between", AtTime(3500), 3, -1},
		{"a time behind", AtTime(time.Now().Add(time.Hour).UnixMilli()), -1, -1},
	} {
		got, err := c.Offsets(within(t), parts, tt.at)
		require.NoError(t, err, tt.name)
		assert.Equal(t, tt.want, got[parts[0]].Offset, tt.name)
		assert.Equal(t, tt.empty, got[parts[1]].Offset, tt.name)
	}
	f, err := fetchOnce(t, c, 0, FetchPart{Topic: name, LeaderEpoch: -1})
	require.NoError(t, err)
	var e *Error
	require.ErrorAs(t, f.Parts[0].Err, &e)
	assert.True(t, e.OutOfRange(), "what was deleted")

	require.NoError(t, c.CommitGroup(within(t), name, map[TopicPartition]GroupOffset{parts[0]: {2, 0, "note"}, parts[1]: {0, -1, ""}}))
	got, err := c.GroupOffsets(within(t), name, append(parts, TopicPartition{name, 7}))
	require.NoError(t, err)
	assert.Equal(t, map[TopicPartition]GroupOffset{parts[0]: {2, 0, "note"}, parts[1]: {0, -1, ""}}, got)
	require.NoError(t, c.CreatePartitions(within(t), name, 3))
	assert.EqualValues(t, 0, write(t, c, name, 2, "in a new partition"))
}

// Goal: what compaction leaves is read, and all of it: batches with gaps, batches of which
// nothing but the header is left, and transactions whose markers are gone.
func TestReal_compacted(t *testing.T) {
	k := kafkatest.Shared(t)
	c := realClient(t, k)
	name := topic(t, k, 1, map[string]string{"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "1"})
	put := func(value, keys string, opts ...kafkatest.ProduceOption) {
		var in []kafkatest.Record
		for _, key := range []byte(keys) {
			in = append(in, kafkatest.Record{Key: []byte{key}, Value: []byte(value)})
		}
		kafkatest.Produce(t, k.Addrs(), name, in, opts...)
	}
	put("1", "abcd")
	put("2", "bc")
	put("aborted", "abe", kafkatest.Aborted(name))
	put("3", "bef", kafkatest.Committed(name))
	put("4", "f")
	want := []string{"1", "1", "2", "3", "3", "4"} // a, d, c, b, e, f
	slices.Sort(want)
	var left []string
	end := 'A'
	require.Eventually(t, func() bool {
		put("end", string(end)) // the newest segment is not compacted
		end++
		left = slices.DeleteFunc(kafkatest.Values(kafkatest.ReadAll(t, k.Addrs(), name)), func(v string) bool { return v == "end" })
		slices.Sort(left)
		return slices.Equal(want, left)
	}, 20*time.Second, 100*time.Millisecond, "left: %v", &left)
	all := kafkatest.ReadAll(t, k.Addrs(), name)
	assert.Equal(t, all, records(t, c, name, 0, len(all)))
}

// Goal: what is acknowledged by all outlives a leader, and who read what was cut off is told.
func TestReal_leaders(t *testing.T) {
	k := kafkatest.Real(t, 3)
	c := realClient(t, k)
	name := topic(t, k, 1, map[string]string{"min.insync.replicas": "1"})
	tp := TopicPartition{name, 0}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// insist writes a value, as one that knows its sequence does: until it is there.
	p, err := c.InitProducer(ctx, "", 0)
	require.NoError(t, err)
	next := int32(0)
	insist := func(value string) {
		t.Helper()
		require.Eventually(t, func() bool {
			out, err := c.Produce(ctx, "", -1, []ProducePart{{name, 0, batchOf(&p, next, false, value)}})
			return err == nil && out[0].Err == nil
		}, 30*time.Second, 20*time.Millisecond, value)
		next++
	}
	insist("a")
	insist("b")
	old, epoch, err := c.Leader(ctx, name, 0)
	require.NoError(t, err)

	k.MoveLeader(name, 0, (old+1)%3)
	insist("c")
	leader, newer, err := c.Leader(ctx, name, 0)
	require.NoError(t, err)
	assert.Equal(t, (old+1)%3, leader)
	assert.Greater(t, newer, epoch)
	ends, err := c.EpochEnds(ctx, map[TopicPartition]int32{tp: epoch})
	require.NoError(t, err)
	assert.Equal(t, EpochEnd{epoch, 2}, ends[tp])

	// In the middle of a transaction, its coordinator goes, and with it the leader.
	q, err := c.InitProducer(ctx, name, time.Minute)
	require.NoError(t, err)
	leader, err = c.findCoordinator(ctx, ofTxn(name))
	require.NoError(t, err)
	k.MoveLeader(name, 0, leader)
	require.NoError(t, c.AddPartitions(ctx, name, q, []TopicPartition{tp}))
	require.Eventually(t, func() bool {
		out, err := c.Produce(ctx, name, -1, []ProducePart{{name, 0, batchOf(&q, 0, true, "d")}})
		return err == nil && out[0].Err == nil
	}, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, c.CommitInTxn(ctx, name, q, name, map[TopicPartition]GroupOffset{tp: {Offset: 4, Epoch: -1}}))
	k.Kill(leader)
	require.NoError(t, c.EndTxn(ctx, name, q, true))
	position, err := c.GroupOffsets(ctx, name, []TopicPartition{tp})
	require.NoError(t, err)
	assert.EqualValues(t, 4, position[tp].Offset)
	insist("e")
	k.Start(leader)
	k.MoveLeader(name, 0, leader)
	insist("f")
	assert.Equal(t, []string{"a", "b", "c", "d", "e", "f"}, read(t, c, name, 0, true, 6))

	// Only the leader gets what comes now, and takes it with it.
	_, epoch, err = c.Leader(ctx, name, 0)
	require.NoError(t, err)
	k.Pause((leader + 1) % 3)
	k.Pause((leader + 2) % 3)
	out, err := c.Produce(ctx, "", 1, []ProducePart{{name, 0, batchOf(nil, 0, false, "lost", "lost", "lost")}})
	require.NoError(t, err)
	require.NoError(t, out[0].Err)
	end := out[0].Offset
	k.Kill(leader)
	k.Resume((leader + 1) % 3)
	k.Resume((leader + 2) % 3)
	insist("g")
	ends, err = c.EpochEnds(ctx, map[TopicPartition]int32{tp: epoch})
	require.NoError(t, err)
	assert.Equal(t, EpochEnd{epoch, end}, ends[tp])
	now, _, err := c.Leader(ctx, name, 0)
	require.NoError(t, err)
	f, err := fetchOnce(t, c, now, FetchPart{Topic: name, Offset: end + 1, LeaderEpoch: epoch})
	require.NoError(t, err)
	require.NoError(t, f.Parts[0].Err)
	assert.Equal(t, &EpochEnd{epoch, end}, f.Parts[0].Diverging)
	assert.Equal(t, []string{"a", "b", "c", "d", "e", "f", "g"}, kafkatest.Values(kafkatest.ReadAll(t, k.Addrs(), name)))
}
