package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long an operation may take before the test fails, pause how long it
// waits before it is tried again.
const (
	patience = 30 * time.Second
	pause    = 20 * time.Millisecond
)

// Brokers is what a test can do with brokers of every kind.
type Brokers interface {
	Addrs() []string // of all nodes, also of those that are stopped
	CreateTopic(name string, partitions, replicas int, config map[string]string)
	DeleteTopic(name string)
	AddPartitions(topic string, total int)
	DeleteRecords(topic string, partition int32, before int64)
	Leader(topic string, partition int32) int32
	MoveLeader(topic string, partition, node int32)
	Stop(node int32)
	Kill(node int32)
	Start(node int32)
	Pause(node int32)
	Resume(node int32)
}

// admin does what is done by requests, the same with all kinds of brokers.
type admin struct {
	t     testing.TB
	addrs []string
	kc    *kgo.Client
}

func newAdmin(t testing.TB, addrs []string) *admin {
	t.Helper()
	return &admin{t, addrs, connect(t, addrs)}
}

// connect makes a client of franz-go, which lives as long as the test.
func connect(t testing.TB, addrs []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	kc, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addrs...),
		kgo.RequestTimeoutOverhead(5 * time.Second),
		kgo.MetadataMinAge(pause),
		kgo.RetryBackoffFn(func(int) time.Duration { return pause }),
	}, opts...)...)
	if err != nil {
		t.Fatalf("a client for %v: %v", addrs, err)
	}
	t.Cleanup(kc.Close)
	return kc
}

// Addrs are the addresses of all nodes, host:port, by number.
func (a *admin) Addrs() []string { return a.addrs }

// CreateTopic makes a topic and waits until all nodes know of it. replicas of -1 are as
// many as there are nodes.
func (a *admin) CreateTopic(name string, partitions, replicas int, config map[string]string) {
	a.t.Helper()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(partitions), int16(replicas)
	for k, v := range config {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, &v
		topic.Configs = append(topic.Configs, c)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(patience.Milliseconds())
	req.Topics = append(req.Topics, topic)
	attempt(a.t, "create topic "+name, func(ctx context.Context) error {
		resp, err := req.RequestWith(ctx, a.kc)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	})
	a.awaitPartitions(name, partitions)
}

// DeleteTopic deletes a topic and waits until no node knows of it.
func (a *admin) DeleteTopic(name string) {
	a.t.Helper()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = int32(patience.Milliseconds())
	req.Topics, req.TopicNames = append(req.Topics, topic), []string{name}
	attempt(a.t, "delete topic "+name, func(ctx context.Context) error {
		resp, err := req.RequestWith(ctx, a.kc)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	})
	a.everywhere("topic "+name+" to be gone", name, func(t *kmsg.MetadataResponseTopic) bool {
		return t.ErrorCode == kerr.UnknownTopicOrPartition.Code
	})
}

// AddPartitions grows a topic to total partitions and waits until all nodes know of them.
func (a *admin) AddPartitions(topic string, total int) {
	a.t.Helper()
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = topic, int32(total)
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = int32(patience.Milliseconds())
	req.Topics = append(req.Topics, t)
	attempt(a.t, fmt.Sprintf("grow topic %s to %d partitions", topic, total), func(ctx context.Context) error {
		resp, err := req.RequestWith(ctx, a.kc)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	})
	a.awaitPartitions(topic, total)
}

// DeleteRecords deletes the records of a partition whose offsets are below before.
func (a *admin) DeleteRecords(topic string, partition int32, before int64) {
	a.t.Helper()
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, before
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = int32(patience.Milliseconds())
	req.Topics = append(req.Topics, t)
	attempt(a.t, fmt.Sprintf("delete records of %s/%d before %d", topic, partition, before), func(ctx context.Context) error {
		resp, err := req.RequestWith(ctx, a.kc)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	})
}

// Leader is the node that leads a partition, by what one that is up says; -1 if none does.
func (a *admin) Leader(topic string, partition int32) int32 {
	a.t.Helper()
	leader := int32(-1)
	attempt(a.t, fmt.Sprintf("leader of %s/%d", topic, partition), func(ctx context.Context) error {
		m, err := metadata(ctx, a.kc.Request, topic)
		if err != nil {
			return err
		}
		for _, p := range m.Topics[0].Partitions {
			if p.Partition == partition {
				leader = p.Leader
				return nil
			}
		}
		return kerr.UnknownTopicOrPartition
	})
	return leader
}

// awaitPartitions waits until all nodes know of n partitions, and their leaders that they
// are leaders, which they notice a little later.
func (a *admin) awaitPartitions(topic string, n int) {
	a.t.Helper()
	what := fmt.Sprintf("topic %s to have %d partitions with leaders", topic, n)
	a.everywhere(what, topic, func(t *kmsg.MetadataResponseTopic) bool {
		led := 0
		for _, p := range t.Partitions {
			if p.Leader >= 0 {
				led++
			}
		}
		return led == n
	})
	attempt(a.t, "wait for "+what, func(ctx context.Context) error { return a.askLeaders(ctx, topic) })
}

// askLeaders asks all leaders of topic that there are for an offset.
func (a *admin) askLeaders(ctx context.Context, topic string) error {
	m, err := metadata(ctx, a.kc.Request, topic)
	if err != nil {
		return err
	}
	asked := map[int32]*kmsg.ListOffsetsRequest{}
	for _, p := range m.Topics[0].Partitions {
		req := asked[p.Leader]
		switch {
		case p.Leader < 0:
			continue
		case req == nil:
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = topic
			req = kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID, req.Topics = -1, append(req.Topics, t)
			asked[p.Leader] = req
		}
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p.Partition, -1
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, part)
	}
	for leader, req := range asked {
		resp, err := a.kc.Broker(int(leader)).Request(ctx, req)
		if err != nil {
			return err
		}
		for _, p := range resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// everywhere waits until all nodes that are up say of topic what want accepts.
func (a *admin) everywhere(what, topic string, want func(*kmsg.MetadataResponseTopic) bool) {
	a.t.Helper()
	attempt(a.t, "wait for "+what, func(ctx context.Context) error {
		m, err := metadata(ctx, a.kc.Request, topic)
		if err != nil {
			return err
		}
		for _, b := range m.Brokers {
			m, err := metadata(ctx, a.kc.Broker(int(b.NodeID)).Request, topic)
			if err != nil {
				return err
			}
			if !want(&m.Topics[0]) {
				return notYet{b.NodeID}
			}
		}
		return nil
	})
}

type notYet struct{ node int32 }

func (e notYet) Error() string { return fmt.Sprintf("node %d does not say so", e.node) }

// metadata asks for one topic, by way of request.
func metadata(ctx context.Context, request func(context.Context, kmsg.Request) (kmsg.Response, error), topic string) (*kmsg.MetadataResponse, error) {
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, t)
	resp, err := request(ctx, req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// attempt runs f until it succeeds, for as long as patience lasts.
func attempt(t testing.TB, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := again(ctx, func() error { return f(ctx) }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// again runs f until it succeeds, ctx ends, or the error is one that stays.
func again(ctx context.Context, f func() error) error {
	for {
		err := f()
		if e := (*kerr.Error)(nil); err == nil || errors.As(err, &e) && !e.Retriable {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
