package kafkatest

import (
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// A FakeCluster is brokers in this process. They live as long as the test.
//
// What kfake is not: it has one log for each partition, whoever leads it, so nothing
// can be lost or cut off when a leader goes; replicas and acks change nothing. A node
// that is stopped leaves the cluster at once, and all leaders are drawn anew; with one
// node there is nobody to see it. Its clock for transactions is the machine's. Records
// are compacted, and deleted by age, when Kfake is told to only.
type FakeCluster struct {
	*admin
	Kfake *kfake.Cluster // for faults to order (Fault, ControlKey), coordinators that move (RehashCoordinators) and so on

	mu    sync.Mutex
	gates map[string]*gate // by address; guarded by mu
}

var _ Brokers = (*FakeCluster)(nil)

// Fake starts brokers: one, if opts have no kfake.NumBrokers. With a kfake.ListenFn, nodes
// can't be stopped or paused; with kfake.EnableSASL or kfake.TLS, topics come from
// kfake.SeedTopics, because the cluster's own methods know no user.
func Fake(t testing.TB, opts ...kfake.Opt) *FakeCluster {
	t.Helper()
	c := &FakeCluster{gates: map[string]*gate{}}
	k, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SleepOutOfOrder(), kfake.ListenFn(c.listen)}, opts...)...)
	if err != nil {
		t.Fatalf("start fake brokers: %v", err)
	}
	t.Cleanup(func() {
		for _, g := range c.gates {
			g.Close()
		}
		k.Close()
	})
	c.Kfake, c.admin = k, newAdmin(t, k.ListenAddrs())
	return c
}

// MoveLeader makes node the leader of a partition.
func (c *FakeCluster) MoveLeader(topic string, partition, node int32) {
	c.t.Helper()
	if err := c.Kfake.MoveTopicPartition(topic, partition, node); err != nil {
		c.t.Fatalf("move %s/%d to node %d: %v", topic, partition, node, err)
	}
}

// Stop ends a node's connections and refuses new ones. Other nodes, if there are some,
// lead its partitions and groups from now on.
func (c *FakeCluster) Stop(node int32) {
	c.t.Helper()
	c.gate(node).stop()
	if len(c.addrs) == 1 {
		return
	}
	if err := c.Kfake.RemoveNode(node); err != nil {
		c.t.Fatalf("stop node %d: %v", node, err)
	}
}

// Kill is Stop: kfake has nothing that could be lost.
func (c *FakeCluster) Kill(node int32) {
	c.t.Helper()
	c.Stop(node)
}

// Start brings a stopped node back, at its address.
func (c *FakeCluster) Start(node int32) {
	c.t.Helper()
	if slices.Contains(c.Kfake.ListenAddrs(), c.addrs[node]) {
		if err := c.gate(node).start(); err != nil {
			c.t.Fatalf("start node %d: %v", node, err)
		}
		return
	}
	_, port, _ := net.SplitHostPort(c.addrs[node])
	n, _ := strconv.Atoi(port)
	if _, _, err := c.Kfake.AddNode(node, n); err != nil {
		c.t.Fatalf("start node %d: %v", node, err)
	}
}

// Pause makes a node fall silent: connections stay and new ones are taken, but nothing
// is answered. The other nodes don't notice.
func (c *FakeCluster) Pause(node int32) {
	c.t.Helper()
	c.gate(node).pause(true)
}

// Resume lets a paused node go on, with what was asked meanwhile.
func (c *FakeCluster) Resume(node int32) {
	c.t.Helper()
	c.gate(node).pause(false)
}

func (c *FakeCluster) gate(node int32) *gate {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.gates[c.addrs[node]]
	if g == nil {
		c.t.Fatal("with a kfake.ListenFn, nodes can't be stopped or paused")
	}
	return g
}

func (c *FakeCluster) listen(_, address string) (net.Listener, error) {
	g := &gate{conns: map[*gatedConn]bool{}}
	g.changed.L = &g.mu
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	g.under, g.addr = l, l.Addr()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gates[g.addr.String()] = g
	return g, nil
}
