package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A RealCluster is Apache Kafka with one node or three, which are brokers and
// controllers. Topics have as many replicas as there are nodes, unless told otherwise,
// and with three nodes two must be in sync. With three nodes, one can be away; then the
// others need 2 s to notice that it was killed or paused.
type RealCluster struct {
	*admin
	fleet  *fleet
	shared bool
}

var _ Brokers = (*RealCluster)(nil)

// Real starts a cluster of the test's own, with one node or three. It ends with the test.
func Real(t testing.TB, nodes int) *RealCluster {
	t.Helper()
	if nodes != 1 && nodes != 3 {
		t.Fatalf("a cluster of %d nodes: have one or three", nodes)
	}
	c := realCluster(t, func() (*fleet, error) { return launchInstalled(nodes) })
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range c.fleet.nodes {
				log, _ := os.ReadFile(n.logPath())
				t.Logf("log of node %d:\n%s", n.id, tail(log, 20))
			}
		}
		c.fleet.close()
	})
	return c
}

// Shared is a broker that all tests of this process have together: take topics, groups
// and transactional ids that no other test has (Name). It can't be stopped. It starts with
// the first call and ends with the process.
func Shared(t testing.TB) *RealCluster {
	t.Helper()
	c := realCluster(t, shared)
	c.shared = true
	return c
}

var shared = sync.OnceValues(func() (*fleet, error) { return launchInstalled(1) })

// Name is a name for a topic, a group or a transactional id that no other test of this
// process has, nor another run of this one.
func Name(t testing.TB) string {
	return fmt.Sprintf("%s.%d", strings.NewReplacer("/", ".", " ", "_", ",", "").Replace(t.Name()), names.Add(1))
}

var names atomic.Int64

// Need skips a test that needs a real broker where none can be had: see the package.
func Need(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("a real broker is not for -short")
	}
	_, err := install()
	switch {
	case err == nil:
	case errors.Is(err, errUnavailable) && os.Getenv("CI") != "true":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

func launchInstalled(nodes int) (*fleet, error) {
	lib, err := install()
	if err != nil {
		return nil, err
	}
	return launch(lib, nodes)
}

func realCluster(t testing.TB, start func() (*fleet, error)) *RealCluster {
	t.Helper()
	Need(t)
	f, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return &RealCluster{admin: newAdmin(t, f.addrs()), fleet: f}
}

// Kill ends a node as kill -9 does. Nothing that was acknowledged is lost, since the
// machine goes on.
func (c *RealCluster) Kill(node int32) {
	c.t.Helper()
	c.own(node).kill()
}

// Stop ends a node in good order: others take over what it leads before it goes.
func (c *RealCluster) Stop(node int32) {
	c.t.Helper()
	c.must(c.own(node).stop())
}

// Start starts a node that was stopped or killed again, at its address and with its data,
// and returns when it serves clients.
func (c *RealCluster) Start(node int32) {
	c.t.Helper()
	c.own(node)
	c.must(c.fleet.restart(node))
}

// Pause stops a node where it is (SIGSTOP): its connections stay and new ones are taken,
// but nothing is answered.
func (c *RealCluster) Pause(node int32) {
	c.t.Helper()
	c.must(c.own(node).pause())
}

// Resume lets a paused node go on.
func (c *RealCluster) Resume(node int32) {
	c.t.Helper()
	c.must(c.own(node).resume())
}

func (c *RealCluster) own(node int32) *node {
	c.t.Helper()
	if c.shared {
		c.t.Fatal("the shared broker is of all tests: have one of your own by Real")
	}
	return c.fleet.nodes[node]
}

func (c *RealCluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// MoveLeader makes node the leader of a partition, and a replica if it is none, and waits
// until all nodes know.
func (c *RealCluster) MoveLeader(topic string, partition, node int32) {
	c.t.Helper()
	what := fmt.Sprintf("move %s/%d to node %d", topic, partition, node)
	attempt(c.t, what, func(ctx context.Context) error { return c.prefer(ctx, topic, partition, node) })
	attempt(c.t, what, func(ctx context.Context) error { return c.elect(ctx, topic, partition) })
	c.everywhere(what, topic, func(t *kmsg.MetadataResponseTopic) bool {
		return slices.ContainsFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool {
			return p.Partition == partition && p.Leader == node
		})
	})
	attempt(c.t, what, func(ctx context.Context) error { return c.askLeaders(ctx, topic) })
}

// prefer puts node first among the replicas of a partition.
func (c *RealCluster) prefer(ctx context.Context, topic string, partition, node int32) error {
	m, err := metadata(ctx, c.kc.Request, topic)
	if err != nil {
		return err
	}
	replicas := []int32{node}
	for _, p := range m.Topics[0].Partitions {
		if p.Partition != partition {
			continue
		}
		for _, r := range p.Replicas {
			if r != node && len(replicas) < len(p.Replicas) {
				replicas = append(replicas, r)
			}
		}
	}
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition, p.Replicas = partition, replicas
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c.kc)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// elect makes the first replica the leader, once it is in sync.
func (c *RealCluster) elect(ctx context.Context, topic string, partition int32) error {
	t := kmsg.NewElectLeadersRequestTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = 1000
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c.kc)
	if err != nil {
		return err
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	if err == nil && len(resp.Topics) > 0 {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if errors.Is(err, kerr.ElectionNotNeeded) {
		return nil
	}
	return err
}
