package client

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Topic is what the cluster says of one.
type Topic struct {
	Name       string
	ID         [16]byte // zero from brokers before Kafka 2.8; another one if the topic was deleted and made again
	Internal   bool     // the broker's own, such as __consumer_offsets
	Partitions []Partition
}

// A Partition's Leader is the id of the broker to fetch from and produce to, -1 if
// there is none at the moment; Err is then what the cluster says of it.
type Partition struct {
	ID, Leader, Epoch int32
	Err               error
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (a TopicPartition) compare(b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// known is a topic as it was last heard of.
type known struct {
	Topic
	at    time.Time
	stale bool // an answer contradicted it
}

// metadata is a parsed answer.
type metadata struct {
	throttle   int32
	brokers    map[int32]string
	cluster    string
	controller int32
	topics     []topicAnswer
}

type topicAnswer struct {
	Topic
	code int16
}

// A refresh is a request for metadata that several callers wait for.
type refresh struct {
	done chan struct{}
	err  error
}

// ClusterID returns the id that the cluster gave itself; it may be empty with
// brokers that are not Apache Kafka.
func (c *Client) ClusterID(ctx context.Context) (string, error) {
	m, err := c.ask(ctx, []string{})
	if err != nil {
		return "", err
	}
	return m.cluster, nil
}

// Topics asks for all topics and returns those whose names want accepts, by name.
// Topics that this user may not see are not there.
func (c *Client) Topics(ctx context.Context, want func(name string) bool) ([]Topic, error) {
	m, err := c.ask(ctx, nil)
	if err != nil {
		return nil, err
	}
	var topics []Topic
	for _, t := range m.topics {
		if t.code == 0 && want(t.Name) {
			topics = append(topics, c.learn(t.Topic))
		}
	}
	slices.SortFunc(topics, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return topics, nil
}

// Topic asks for one topic. One that does not exist is an *Error with
// UnknownTopic; it is never created by asking.
func (c *Client) Topic(ctx context.Context, name string) (Topic, error) {
	var topic Topic
	err := c.retry(ctx, func(ctx context.Context) error {
		m, err := c.askOnce(ctx, []string{name})
		if err != nil {
			return err
		}
		for _, t := range m.topics {
			if t.Name != name {
				continue
			}
			if err := refused(apiMetadata, t.code, name, -1); err != nil {
				return err
			}
			topic = c.learn(t.Topic)
			return nil
		}
		return refused(apiMetadata, 3, name, -1)
	})
	return topic, err
}

// Refresh asks for the brokers, and for the leaders of all topics that were asked
// about before. Calls at the same time share one request.
func (c *Client) Refresh(ctx context.Context) error {
	c.mu.Lock()
	if r := c.refresh; r != nil {
		c.mu.Unlock()
		select {
		case <-r.done:
			switch {
			case r.err == nil:
				return nil
			case ctx.Err() != nil:
				return &Error{Code: CodeNetwork, Op: apiMetadata.name, Partition: -1, Err: ctx.Err()}
			}
			return c.Refresh(ctx) // it may have been the other one's ctx that ended
		case <-ctx.Done():
			return &Error{Code: CodeNetwork, Op: apiMetadata.name, Partition: -1, Err: ctx.Err()}
		case <-c.done:
			return ErrClosed
		}
	}
	r := &refresh{done: make(chan struct{})}
	c.refresh = r
	names := make([]string, 0, len(c.topics))
	for name := range c.topics {
		names = append(names, name)
	}
	c.mu.Unlock()
	r.err = c.renew(ctx, names)
	c.mu.Lock()
	c.refresh = nil
	c.mu.Unlock()
	close(r.done)
	return r.err
}

// renew asks for topics and keeps what comes; those that are gone are forgotten.
func (c *Client) renew(ctx context.Context, names []string) error {
	m, err := c.ask(ctx, names)
	if err != nil {
		return err
	}
	for _, t := range m.topics {
		switch t.code {
		case 0:
			c.learn(t.Topic)
		case 3:
			c.unlearn(t.Name)
		}
	}
	return nil
}

// ask asks for metadata until some broker answers; nil names are all topics.
func (c *Client) ask(ctx context.Context, names []string) (metadata, error) {
	var m metadata
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		m, err = c.askOnce(ctx, names)
		return err
	})
	return m, err
}

func (c *Client) askOnce(ctx context.Context, names []string) (metadata, error) {
	var m metadata
	err := c.anywhere(ctx, apiMetadata, func(ctx context.Context, b *broker) error {
		r, v, err := b.call(ctx, apiMetadata, func(w *writer, v int16) { writeMetadata(w, v, names) })
		if err != nil {
			return err
		}
		if m = parseMetadata(&r, v); r.err != nil {
			return b.lost(apiMetadata, r.err, false)
		}
		b.throttle(apiMetadata, m.throttle)
		return nil
	})
	if err == nil {
		c.meet(&m)
	}
	return m, err
}

func writeMetadata(w *writer, v int16, names []string) {
	if names == nil {
		w.array(-1)
	} else {
		w.array(len(names))
	}
	for _, n := range names {
		if v >= 10 {
			w.int64(0)
			w.int64(0)
		}
		w.string(n)
		w.tags()
	}
	w.bool(false) // create them
	if v >= 8 {
		if v <= 10 {
			w.bool(false)
		}
		w.bool(false) // what may be done with them
	}
	w.tags()
}

func parseMetadata(r *reader, v int16) metadata {
	m := metadata{throttle: r.int32(), brokers: map[int32]string{}}
	for n := r.array(9); n > 0; n-- {
		id, host, port := r.int32(), r.string(), r.int32()
		r.raw() // rack
		r.tags()
		m.brokers[id] = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	m.cluster = r.string()
	m.controller = r.int32()
	for n := r.array(5); n > 0 && r.err == nil; n-- {
		m.topics = append(m.topics, parseTopic(r, v))
	}
	if v >= 8 && v <= 10 {
		r.int32()
	}
	r.tags()
	return m
}

func parseTopic(r *reader, v int16) topicAnswer {
	t := topicAnswer{code: r.int16()}
	t.Name = r.string()
	if v >= 10 {
		copy(t.ID[:], r.take(16))
	}
	t.Internal = r.bool()
	n := r.array(15)
	t.Partitions = make([]Partition, 0, n)
	for ; n > 0; n-- {
		code := r.int16()
		p := Partition{ID: r.int32(), Leader: r.int32(), Epoch: r.int32()}
		r.skip32() // replicas
		r.skip32() // in sync
		r.skip32() // offline
		r.tags()
		if code == 9 { // some replica is away: that is no matter for those who ask the leader
			code = 0
		}
		if p.Err = refused(apiMetadata, code, t.Name, p.ID); p.Err == nil && p.Leader < 0 {
			p.Err = refused(apiMetadata, 5, t.Name, p.ID)
		}
		t.Partitions = append(t.Partitions, p)
	}
	slices.SortFunc(t.Partitions, func(a, b Partition) int { return int(a.ID) - int(b.ID) })
	if v >= 8 {
		r.int32()
	}
	r.tags()
	return t
}

// meet takes over the brokers of an answer. One that has gone, or has another
// address now, keeps the connections that are in use until they end.
func (c *Client) meet(m *metadata) {
	if len(m.brokers) == 0 {
		return // a broker that just starts knows of none
	}
	c.mu.Lock()
	here := map[string]bool{}
	for _, a := range c.cfg.Brokers {
		here[a] = true
	}
	for _, a := range m.brokers {
		here[a] = true
	}
	var gone []*broker
	for a, b := range c.brokers {
		if !here[a] {
			gone = append(gone, b)
			delete(c.brokers, a)
		}
	}
	c.addrs, c.controller = m.brokers, m.controller
	if m.cluster != "" {
		c.cluster = m.cluster
	}
	c.mu.Unlock()
	for _, b := range gone {
		b.retire()
	}
}

// learn keeps what was said of a topic, and returns it. A broker may be behind the
// others: a leader of an older epoch than the known one is not believed.
func (c *Client) learn(t Topic) Topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.topics[t.Name]; old != nil && t.ID != [16]byte{} && old.ID == t.ID {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if o := find(old.Partitions, p.ID); o != nil && o.Epoch > p.Epoch {
				*p = *o
			}
		}
	}
	c.topics[t.Name] = &known{Topic: t, at: time.Now()}
	t.Partitions = slices.Clone(t.Partitions)
	return t
}

func (c *Client) unlearn(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.topics, name)
}

// contradict is told that what is known of a topic's leaders is wrong.
func (c *Client) contradict(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.topics[topic]; k != nil {
		k.stale = true
	}
}

// lead is told who leads a partition by an answer that refused a request for it
// (KIP-951). It says whether that was news.
func (c *Client) lead(topic string, partition, leader, epoch int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.topics[topic]
	if k == nil || leader < 0 {
		return false
	}
	if _, ok := c.addrs[leader]; !ok {
		return false
	}
	p := find(k.Partitions, partition)
	if p == nil || epoch <= p.Epoch {
		return false
	}
	// Others hold slices of the old one.
	k.Partitions = slices.Clone(k.Partitions)
	p = find(k.Partitions, partition)
	p.Leader, p.Epoch, p.Err = leader, epoch, nil
	return true
}

func find(ps []Partition, id int32) *Partition {
	i, ok := slices.BinarySearchFunc(ps, id, func(p Partition, id int32) int { return int(p.ID) - int(id) })
	if !ok {
		return nil
	}
	return &ps[i]
}
