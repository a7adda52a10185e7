package client

import (
	"context"
	"sync"
)

// A ProducePart is one batch for a partition.
type ProducePart struct {
	Topic     string
	Partition int32
	Batch     []byte // whole and stamped; it is only read, and is the caller's again when Produce returns
}

// Produced is what became of a batch. An Err is an *Error or ErrClosed: NotLeader
// and its like can be sent again at once, for the new leader is looked up by the
// next Produce; Unknown must be sent again with the same sequence number.
type Produced struct {
	Offset int64 // of the first record; -1 if the broker doesn't say: acks 0, or a batch that it had long before
	Err    error
}

// Produce sends each batch to its partition's leader, once, to all leaders at the
// same time, and returns what became of them in the order of parts. txnID is empty
// outside of transactions. acks is -1 (all replicas in sync), 1 or 0. A partition
// may be in parts once only.
//
// Calls at the same time overtake each other: the batches of one producer for one
// partition must go in calls that do not overlap.
//
// An error is that of all parts: leaders could not be looked up, nothing was sent.
func (c *Client) Produce(ctx context.Context, txnID string, acks int16, parts []ProducePart) ([]Produced, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	tps := make([]TopicPartition, len(parts))
	for i := range parts {
		tps[i] = TopicPartition{parts[i].Topic, parts[i].Partition}
	}
	if err := c.freshen(ctx, tps); err != nil {
		return nil, err
	}
	out := make([]Produced, len(parts))
	groups := map[int32][]int{}
	for i, tp := range tps {
		p, err := c.leader(tp)
		if err != nil {
			out[i] = Produced{-1, err}
			continue
		}
		groups[p.Leader] = append(groups[p.Leader], i)
	}
	if len(groups) == 1 {
		for leader, at := range groups {
			c.produceAt(ctx, leader, txnID, acks, parts, at, out)
		}
		return out, nil
	}
	var wg sync.WaitGroup
	for leader, at := range groups {
		wg.Go(func() { c.produceAt(ctx, leader, txnID, acks, parts, at, out) })
	}
	wg.Wait()
	return out, nil
}

// produceAt sends parts[at] to leader and fills out[at].
func (c *Client) produceAt(ctx context.Context, leader int32, txnID string, acks int16, parts []ProducePart, at []int, out []Produced) {
	b, err := c.broker(ctx, apiProduce, leader)
	if err == nil {
		err = c.produce(ctx, b, txnID, acks, parts, at, out)
	}
	for _, i := range at {
		if err != nil {
			out[i] = Produced{-1, err}
		}
		e, ok := out[i].Err.(*Error)
		if !ok {
			continue
		}
		if e.Code == 46 { // it was written before: that is all that was wanted
			out[i] = Produced{-1, nil}
			continue
		}
		if e.NotLeader() || e.UnknownTopic() || e.Code == CodeNetwork {
			c.contradict(parts[i].Topic)
		}
	}
}

func (c *Client) produce(ctx context.Context, b *broker, txnID string, acks int16, parts []ProducePart, at []int, out []Produced) error {
	v, err := b.version(ctx, apiProduce)
	if err != nil {
		return err
	}
	timeout := int32((c.cfg.RequestTimeout * 3 / 4).Milliseconds()) // so that its answer comes before we go
	x := request{api: apiProduce, version: v, silent: acks == 0}
	x.body, x.tail = writeProduce(v, txnID, acks, timeout, parts, at)
	answer, err := b.exchange(ctx, x)
	if err != nil {
		return err
	}
	for _, i := range at {
		out[i] = Produced{Offset: -1}
		if !x.silent {
			out[i].Err = &Error{Code: CodeNetwork, Op: apiProduce.name, Topic: parts[i].Topic, Partition: parts[i].Partition,
				Broker: b.addr, Err: errMissing, unknown: true}
		}
	}
	if x.silent {
		return nil
	}
	index := make(map[TopicPartition]int, len(at))
	for _, i := range at {
		index[TopicPartition{parts[i].Topic, parts[i].Partition}] = i
	}
	r := reader{b: answer, flex: v >= apiProduce.flex}
	ms := parseProduce(&r, v, c.lead, func(tp TopicPartition, p Produced) {
		if i, ok := index[tp]; ok {
			if e, ok := p.Err.(*Error); ok {
				e.Broker = b.addr
			}
			out[i] = p
		}
	})
	if r.err != nil {
		return b.lost(apiProduce, r.err, true)
	}
	b.throttle(apiProduce, ms)
	return nil
}

// writeProduce writes a request whose batches stay where they are.
func writeProduce(v int16, txnID string, acks int16, timeoutMs int32, parts []ProducePart, at []int) (*writer, [][]byte) {
	body := &writer{flex: v >= apiProduce.flex}
	body.nullable(txnID)
	body.int16(acks)
	body.int32(timeoutMs)
	var topics [][]int
	index := map[string]int{}
	for _, i := range at {
		n, ok := index[parts[i].Topic]
		if !ok {
			n = len(topics)
			index[parts[i].Topic] = n
			topics = append(topics, nil)
		}
		topics[n] = append(topics[n], i)
	}
	body.array(len(topics))
	tail := make([][]byte, 0, 2*len(at)+1)
	w := &writer{flex: body.flex}
	for _, is := range topics {
		w.string(parts[is[0]].Topic)
		w.array(len(is))
		for _, i := range is {
			w.int32(parts[i].Partition)
			w.bytesLen(len(parts[i].Batch))
			tail = append(tail, w.b, parts[i].Batch)
			w = &writer{flex: body.flex}
			w.tags()
		}
		w.tags()
	}
	w.tags()
	return body, append(tail, w.b)
}

func parseProduce(r *reader, v int16, lead func(topic string, partition, leader, epoch int32) bool, each func(TopicPartition, Produced)) (throttleMs int32) {
	for n := r.array(6); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.array(30); n > 0 && r.err == nil; n-- {
			tp := TopicPartition{topic, r.int32()}
			p := parseProduced(r, v, tp, lead)
			if r.err == nil {
				each(tp, p)
			}
		}
		r.tags()
	}
	throttleMs = r.int32()
	r.tags()
	return throttleMs
}

func parseProduced(r *reader, v int16, tp TopicPartition, lead func(string, int32, int32, int32) bool) Produced {
	code := r.int16()
	p := Produced{Offset: r.int64()}
	r.int64() // log-append time
	r.int64() // log start
	var detail string
	if v >= 8 {
		for n := r.array(5); n > 0 && r.err == nil; n-- {
			r.int32()
			if why := r.string(); detail == "" {
				detail = why
			}
			r.tags()
		}
		if why := r.string(); why != "" {
			detail = why
		}
	}
	leader, epoch := int32(-1), int32(-1)
	r.tagged(func(tag uint64, f *reader) {
		if tag == 0 {
			leader, epoch = f.int32(), f.int32()
		}
	})
	if code != 0 {
		p = Produced{-1, &Error{Code: code, Op: apiProduce.name, Topic: tp.Topic, Partition: tp.Partition, Detail: detail}}
		if r.err == nil && leader >= 0 {
			lead(tp.Topic, tp.Partition, leader, epoch)
		}
	}
	return p
}
