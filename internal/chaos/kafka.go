package chaos

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const partitions = 3

// Brokers are brokers of Kafka in this process, which nobody kills. Another client than
// ours looks at what jobs write.
type Brokers struct {
	cluster *kfake.Cluster
	client  *kgo.Client
}

// StartBrokers starts them at an address of this host; the caller has to Close them.
func StartBrokers(host string) (*Brokers, error) {
	listen := func(network, at string) (net.Listener, error) {
		_, port, err := net.SplitHostPort(at)
		if err != nil {
			return nil, err
		}
		return net.Listen(network, net.JoinHostPort(host, port))
	}
	k, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SleepOutOfOrder(), kfake.ListenFn(listen))
	if err != nil {
		return nil, err
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...))
	if err != nil {
		k.Close()
		return nil, err
	}
	return &Brokers{k, c}, nil
}

// Close ends them.
func (b *Brokers) Close() {
	b.client.Close()
	b.cluster.Close()
}

func (b *Brokers) createTopic(ctx context.Context, name string) error {
	q := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, -1
	q.Topics = append(q.Topics, topic)
	r, err := q.RequestWith(ctx, b.client)
	if err == nil {
		err = kerr.ErrorForCode(r.Topics[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	return nil
}

// committed calls f with the committed records of a topic, in the order of each partition.
func (b *Brokers) committed(ctx context.Context, topic string, f func(value string)) error {
	ends := map[int32]int64{}
	for _, p := range b.cluster.PartitionInfos(topic) {
		if p.LastStableOffset < p.HighWatermark {
			return fmt.Errorf("topic %s: a transaction was left open in partition %d, at %d of %d", topic, p.Partition, p.LastStableOffset, p.HighWatermark)
		}
		if p.HighWatermark > 0 {
			ends[p.Partition] = p.HighWatermark
		}
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for len(ends) > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read topic %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				f(string(r.Value))
			}
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
	}
	return nil
}
