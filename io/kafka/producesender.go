package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
)

// requestBytes is the most that one request brings, beyond its first batch.
const requestBytes = 8 << 20

// sender brings the batches of one lane to the brokers: it has one request on its way
// to each, with the batches of many partitions, and fills the next ones meanwhile.
//
// Everything that asks brokers is done by run, or by send, which run starts.
type sender struct {
	sink   *writeSink
	cfg    *writeConfig
	budget int // bytes that may wait, before the lane does

	ctx    context.Context // of all requests
	client *client.Client
	end    func() // of all requests; it waits for those on their way

	lanes *laneCounts // of lane 0, if it writes in transactions; used by the lane alone

	mu       sync.Mutex // guards what follows, and the streams
	streams  []*stream
	byPart   map[client.TopicPartition]*stream
	txn      *laneTxn       // nil: at least once
	buffered int            // bytes of records that are not acknowledged
	flushing bool           // batches go before they are full
	asking   map[int32]bool // brokers to which a request is on its way
	flying   int            // requests
	spare    []*batch.Builder
	fills    bool           // batches get full: memory for all of one is made at once
	memory   recycled       // of batches that were acknowledged, and committed
	producer batch.Producer // the newest, which new streams get
	err      error          // the first that ends all
	changed  *sync.Cond

	wake  chan struct{} // holds one
	ended sync.WaitGroup
}

func newSender(sink *writeSink, lanes int) *sender {
	budget := max(sink.cfg.buffer/lanes, 2*sink.cfg.batchBytes)
	s := &sender{
		sink: sink, cfg: sink.cfg, budget: budget, memory: recycled{most: budget},
		byPart: map[client.TopicPartition]*stream{}, asking: map[int32]bool{}, producer: noProducer, wake: make(chan struct{}, 1),
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// connect lets the sender ask brokers until ctx ends, or end is called. Then it lets go
// of the client by itself, as perhaps nobody calls close.
func (s *sender) connect(ctx context.Context) (err error) {
	if s.client, err = s.sink.share(); err != nil {
		return err
	}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(ctx)
	end := sync.OnceFunc(func() {
		cancel()
		s.fail(context.Cause(s.ctx))
		s.ended.Wait()
		s.sink.release()
	})
	unhook := context.AfterFunc(ctx, end)
	s.end = func() { unhook(); end() }
	return nil
}

func (s *sender) start() { s.ended.Go(s.run) }

// close ends the sender; what was not acknowledged, or not committed, is lost.
func (s *sender) close() {
	if s.txn == nil {
		s.end()
		return
	}
	c, err := s.sink.share() // that its connections stay until the end
	s.end()
	if err == nil {
		s.abort(c)
		s.sink.release()
	}
}

// stream is the stream of a partition.
func (s *sender) stream(topic string, partition int32) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	tp := client.TopicPartition{Topic: topic, Partition: partition}
	st := s.byPart[tp]
	if st == nil {
		st = &stream{topic: topic, partition: partition, producer: s.producer}
		st.wants = s.cfg.acks == acksAll && st.producer == noProducer && s.txn == nil
		s.byPart[tp] = st
		s.streams = append(s.streams, st)
	}
	return st
}

// add puts a record into st's batch. It waits while too much is on its way. full says
// that the batch before is complete.
func (s *sender) add(st *stream, ts int64, key, value []byte, headers []batch.Header) (full bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.buffered > s.budget && s.err == nil && !s.txn.holds() {
		s.flushing = true
		s.rouse()
		s.changed.Wait()
		s.flushing = false
	}
	if s.err != nil {
		return false, s.err
	}
	if st.open != nil && st.open.SizeWith(ts, key, value, headers) > s.cfg.batchBytes {
		s.seal(st)
		s.rouse()
		full, s.fills = true, true
	}
	if st.open == nil {
		st.open = s.builder()
		st.since = time.Now()
		s.rouse()
	}
	was := st.open.Size()
	st.open.Add(ts, key, value, headers)
	if s.txn != nil {
		s.txn.fresh += st.open.Size() - was
	}
	s.count(st.open.Size() - was)
	return full, s.err
}

// count adds to the bytes that wait. mu is held.
func (s *sender) count(n int) {
	s.buffered += n
	if s.txn != nil {
		if err := s.txn.keeps(n); err != nil && s.err == nil {
			s.err = err
		}
	}
}

// flush waits until everything is acknowledged.
func (s *sender) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && !s.isEmpty() {
		s.flushing = true
		s.rouse()
		s.changed.Wait()
	}
	s.flushing = false
	return s.err
}

func (s *sender) isEmpty() bool {
	for _, st := range s.streams {
		if st.open != nil || len(st.queue) > 0 {
			return false
		}
	}
	return true
}

// builder returns one that is empty. mu is held.
func (s *sender) builder() *batch.Builder {
	b := &batch.Builder{}
	if n := len(s.spare); n > 0 {
		b, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	memory := s.memory.get()
	if memory == nil && s.fills {
		memory = make([]byte, 0, s.cfg.batchBytes)
	}
	b.Reset(memory)
	return b
}

// seal queues the batch that st fills. mu is held.
func (s *sender) seal(st *stream) {
	p := &parcel{builder: st.open, records: st.open.Len(), bytes: st.open.Size() - batch.HeaderSize}
	if t := s.txn; t != nil {
		p.txn = t.filling
		if !t.holds() {
			t.core.wrote()
		}
	}
	st.queue = append(st.queue, p)
	st.open = nil
}

// rouse lets run look what there is to do.
func (s *sender) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sender) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.changed.Broadcast()
	s.rouse()
}

// run does what is to be done until the sender is closed or has failed.
func (s *sender) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if s.txn != nil && s.advance() {
			continue
		}
		due, wait, err := s.due(time.Now())
		if err != nil {
			return
		}
		s.dispatch(due)
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// due returns the streams whose next batch may go now, and after what time to look
// again if nothing else happens.
func (s *sender) due(now time.Time) (due []*stream, wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = time.Minute
	if s.txn.pauses(now, &wait) {
		return nil, wait, s.err
	}
	for _, st := range s.streams {
		if st.sent || st.open == nil && len(st.queue) == 0 || s.txn.holdsBack(st) {
			continue
		}
		at := st.retryAt
		if len(st.queue) == 0 && !s.flushing {
			at = later(at, st.since.Add(s.cfg.linger))
		}
		if now.Before(at) {
			wait = min(wait, at.Sub(now))
			continue
		}
		due = append(due, st)
	}
	return due, wait, s.err
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// dispatch starts a request to each broker that leads some of due and has none on its
// way.
func (s *sender) dispatch(due []*stream) {
	groups := map[int32][]*stream{}
	for _, st := range due {
		leader, _, err := s.client.Leader(s.ctx, st.topic, st.partition)
		if err == nil && st.wants {
			err = s.renew(st)
		}
		if err != nil {
			s.mu.Lock()
			if len(st.queue) == 0 {
				s.seal(st)
			}
			s.answered(st, err)
			s.mu.Unlock()
			continue
		}
		groups[leader] = append(groups[leader], st)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for leader, group := range groups {
		if s.asking[leader] || s.err != nil {
			continue
		}
		var heads []sending
		size := 0
		for _, st := range group {
			if len(st.queue) == 0 {
				s.seal(st)
			}
			if size += st.queue[0].bytes; size > requestBytes && len(heads) > 0 {
				break
			}
			st.sent = true
			heads = append(heads, sending{st, st.queue[0]})
		}
		s.asking[leader] = true
		s.flying++
		s.ended.Go(func() { s.send(leader, heads) })
	}
}

// renew gives a stream a producer whose numbers begin at 0, and that to all streams
// which have none yet.
func (s *sender) renew(st *stream) error {
	p, err := s.client.InitProducer(s.ctx, "", 0)
	if err != nil {
		return fmt.Errorf("get an id for the producer: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.producer = p
	st.renew(p)
	for _, o := range s.streams {
		if o.wants && o.producer == noProducer {
			o.renew(p)
		}
	}
	return nil
}

// sending is the head of a stream's queue, which nobody else touches while it is sent.
type sending struct {
	*stream
	parcel *parcel
}

// send sends heads of queues to the broker that leads their partitions.
func (s *sender) send(leader int32, heads []sending) {
	parts := make([]client.ProducePart, len(heads))
	for i, h := range heads {
		s.finish(h.parcel)
		h.stamp(h.parcel, s.txn != nil)
		parts[i] = client.ProducePart{Topic: h.topic, Partition: h.partition, Batch: h.parcel.batch}
	}
	var out []client.Produced
	err := s.join(heads)
	if err == nil {
		out, err = s.client.Produce(s.ctx, s.txn.name(), s.cfg.acks, parts)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asking, leader)
	if s.txn != nil && s.ctx.Err() != nil {
		s.txn.adrift = true
	}
	s.flying--
	for i, h := range heads {
		if err == nil {
			s.answered(h.stream, out[i].Err)
		} else {
			s.answered(h.stream, err)
		}
	}
	s.changed.Broadcast()
	s.rouse()
}

// finish makes a batch of what was gathered, which is to be stamped.
func (s *sender) finish(p *parcel) {
	if p.builder == nil {
		return
	}
	p.batch, p.own = p.builder.Build(s.cfg.codec), true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = append(s.spare, p.builder)
	p.builder = nil
	s.count(len(p.batch) - p.bytes)
	p.bytes = len(p.batch)
}

// answered takes in what became of a stream's head. mu is held.
func (s *sender) answered(st *stream, err error) {
	p := st.queue[0]
	p.own = p.own && err == nil // a request that got no answer may still be reading it
	switch st.answer(err) {
	case acked:
		s.buffered -= p.bytes
		if s.txn != nil {
			st.kept = append(st.kept, p)
		} else {
			s.recycle(p)
		}
	case refused:
		s.give(st, p, err)
	case renewed:
		if s.txn != nil {
			st.wants = false
			s.txn.note(err)
			break
		}
		fallthrough
	default:
		now := time.Now()
		if st.tries == 1 {
			st.first = now
		}
		st.retryAt = now.Add(backoff(st.tries))
		if now.Sub(st.first) >= patience(s.cfg.delivery, err) {
			s.give(st, p, fmt.Errorf("tried %d times in %v: %w", st.tries, now.Sub(st.first).Round(time.Second), err))
		}
	}
}

// recycle takes the memory of a batch that nobody needs any more. mu is held.
func (s *sender) recycle(p *parcel) {
	if p.own {
		s.memory.put(p.batch)
	}
}

// topicPatience is how long a topic may be unknown: as long as it takes until all
// brokers have heard of a new one.
const topicPatience = 10 * time.Second

func patience(delivery time.Duration, err error) time.Duration {
	if e, ok := errors.AsType[*client.Error](err); ok && e.UnknownTopic() {
		return min(delivery, topicPatience)
	}
	return delivery
}

// give gives up. mu is held.
func (s *sender) give(st *stream, p *parcel, err error) {
	if s.err == nil {
		s.err = &writeError{st.topic, st.partition, p.records, err, s.advice(err)}
	}
	s.changed.Broadcast()
	s.rouse()
}
