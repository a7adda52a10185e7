package kafkatest

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ReadAll reads what is committed in topic, from the first offset of each partition to
// the oldest transaction that is open, or the end. The records come by partition, and
// by offset in it.
func ReadAll(t testing.TB, addrs []string, topic string) []Record {
	t.Helper()
	return readAll(t, addrs, topic, kgo.ReadCommitted(), 1)
}

// ReadUncommitted reads what is in topic, whatever became of it: aborted records, and
// those of open transactions, too. See ReadAll.
func ReadUncommitted(t testing.TB, addrs []string, topic string) []Record {
	t.Helper()
	return readAll(t, addrs, topic, kgo.ReadUncommitted(), 0)
}

func readAll(t testing.TB, addrs []string, topic string, level kgo.IsolationLevel, isolation int8) (records []Record) {
	t.Helper()
	l := look{t: t, kc: connect(t, addrs), topic: topic, level: level, isolation: isolation}
	attempt(t, "partitions of "+topic, func(ctx context.Context) error {
		m, err := metadata(ctx, l.kc.Request, topic)
		if err == nil {
			err = kerr.ErrorForCode(m.Topics[0].ErrorCode)
		}
		if err == nil {
			l.id, l.partitions = m.Topics[0].TopicID, len(m.Topics[0].Partitions)
		}
		return err
	})
	for p := range int32(l.partitions) {
		records = append(records, l.partition(p)...)
	}
	return records
}

// A look is one reading of a topic. It fetches by itself, with franz-go's connections
// and decoder: a consumer of franz-go's does not tell how far it is where a partition
// ends in a batch that compaction left empty.
type look struct {
	t          testing.TB
	kc         *kgo.Client
	topic      string
	id         [16]byte
	partitions int
	level      kgo.IsolationLevel
	isolation  int8
}

func (l *look) partition(p int32) (records []Record) {
	l.t.Helper()
	at, end := l.offset(p, -2), l.offset(p, -1)
	for at < end {
		attempt(l.t, fmt.Sprintf("read %s/%d at offset %d", l.topic, p, at), func(ctx context.Context) error {
			got, err := l.fetch(ctx, p, at)
			if err != nil {
				return err
			}
			fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: at, IsolationLevel: l.level, Topic: l.topic, Partition: p},
				got, kgo.DefaultDecompressor(), nil)
			for _, r := range fetched.Records {
				if r.Offset < end {
					records = append(records, fromKgo(r))
				}
			}
			at = next
			return fetched.Err
		})
	}
	return records
}

// offset asks for the first offset (at is -2) or the end (-1).
func (l *look) offset(p int32, at int64) (offset int64) {
	l.t.Helper()
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Partition, part.Timestamp = p, at
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic, topic.Partitions = l.topic, append(topic.Partitions, part)
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel, req.Topics = -1, l.isolation, append(req.Topics, topic)
	attempt(l.t, fmt.Sprintf("offsets of %s/%d", l.topic, p), func(ctx context.Context) error {
		resp, err := l.ask(ctx, p, req)
		if err != nil {
			return err
		}
		got := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		offset = got.Offset
		return kerr.ErrorForCode(got.ErrorCode)
	})
	return offset
}

func (l *look) fetch(ctx context.Context, p int32, at int64) (*kmsg.FetchResponseTopicPartition, error) {
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = p, at, 8<<20
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = l.topic, l.id, append(topic.Partitions, part)
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel = 1000, 1, 8<<20, l.isolation
	req.SessionEpoch = -1
	req.Topics = append(req.Topics, topic)
	resp, err := l.ask(ctx, p, req)
	if err != nil {
		return nil, err
	}
	r := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return nil, err
	}
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("fetch of one partition was answered with %d topics", len(r.Topics))
	}
	return &r.Topics[0].Partitions[0], nil
}

// ask sends a request to the leader of a partition.
func (l *look) ask(ctx context.Context, p int32, req kmsg.Request) (kmsg.Response, error) {
	m, err := metadata(ctx, l.kc.Request, l.topic)
	if err != nil {
		return nil, err
	}
	for _, part := range m.Topics[0].Partitions {
		if part.Partition == p && part.Leader >= 0 {
			return l.kc.Broker(int(part.Leader)).Request(ctx, req)
		}
	}
	return nil, kerr.LeaderNotAvailable
}
