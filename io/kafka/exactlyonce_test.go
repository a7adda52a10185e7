package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
)

// shownIn is what another client reads in a topic at present, as read_committed.
func shownIn(ctx context.Context, addrs []string, topic string) ([]string, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ends, err := stableEnds(ctx, c, topic)
	if err != nil {
		return nil, err
	}
	var all []*kgo.Record
	for len(ends) > 0 {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			return nil, err
		}
		f.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
	}
	return keyedTexts(all), nil
}

// stableEnds is the end of what is committed in each partition that is not empty.
func stableEnds(ctx context.Context, c *kgo.Client, topic string) (map[int32]int64, error) {
	q := kmsg.NewPtrListOffsetsRequest()
	q.IsolationLevel = 1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for p := range int32(4) {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p, -1
		t.Partitions = append(t.Partitions, part)
	}
	q.Topics = append(q.Topics, t)
	ends := map[int32]int64{}
	for _, shard := range c.RequestSharded(ctx, q) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, p := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			if p.Offset > 0 {
				ends[p.Partition] = p.Offset
			}
		}
	}
	return ends, nil
}

// openTxns names the transactions that are open at the brokers.
func openTxns(ctx context.Context, addrs []string) ([]string, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	q := kmsg.NewPtrListTransactionsRequest()
	q.StateFilters = []string{"Ongoing"}
	var all []string
	for _, shard := range c.RequestSharded(ctx, q) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, txn := range shard.Resp.(*kmsg.ListTransactionsResponse).TransactionStates {
			all = append(all, txn.TransactionalID)
		}
	}
	return all, nil
}

func exactlyOnce(b kafkatest.Brokers, topic string) connector.Target[string] {
	return connector.Target[string]{
		Write: func(c pipeline.PCollection[string]) {
			Write(c, urlTo(b, topic+"?linger=1ms&timeout=20s"), words, ExactlyOnce("sink-"+topic))
		},
		Shown: func(ctx context.Context) ([]string, error) { return shownIn(ctx, b.Addrs(), topic) },
		Unfinished: func(ctx context.Context) ([]string, error) {
			open, err := openTxns(ctx, b.Addrs()) // also those of other tests
			return slices.DeleteFunc(open, func(id string) bool { return !strings.HasPrefix(id, "sink-"+topic+"-") }), err
		},
	}
}

func urlTo(b kafkatest.Brokers, rest string) string {
	return "kafka://" + strings.Join(b.Addrs(), ",") + "/" + rest
}

func TestExactlyOnce_conformance(t *testing.T) {
	b := kafkatest.Fake(t, kfake.NumBrokers(3))
	conform(t, b)
}

// conform tests the sink with brokers of some kind.
func conform(t *testing.T, b kafkatest.Brokers) {
	var n atomic.Int64
	connector.TestSink(t, connector.Sink[string]{
		New: func(t testing.TB) connector.Target[string] {
			topic := fmt.Sprint("t", n.Add(1))
			b.CreateTopic(topic, 4, 1, nil)
			return exactlyOnce(b, topic)
		},
		Input:   keyed(30, 30),
		Durable: true,
	})
}
