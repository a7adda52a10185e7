package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/client"
	"github.com/millrace/millrace/pipeline"
)

// Read is the records of topics, as values of the format, with the records' own times.
// It goes on for ever, unless there is a [Stop]. For several clusters flatten several
// Reads.
//
// Each partition is read in order, by one lane. A record that the format can't decode
// fails the run, which says where it is; see [ReadWithBad]. Offsets are part of the
// job's snapshots, from which it goes on: each record counts once.
//
// Metrics: the gauges lag, in records, of all partitions that this process reads, and
// "lag topic/partition" of each; the gauge throttledMs, how long brokers have held this
// process back; the counter bytes, as they came from brokers. With [AssignedByGroup] the
// gauge assigned, how many partitions this process has.
func Read[T any](p *pipeline.Pipeline, url string, f Format[T], opts ...ReadOption) pipeline.PCollection[T] {
	registerRecords()
	return read(p, "kafka.Read", url, f, opts)
}

func read[T any](p *pipeline.Pipeline, kind, url string, f Format[T], opts []ReadOption) pipeline.PCollection[T] {
	r, err := newReading(url, opts)
	if err == nil {
		err = f.Err
	}
	if err == nil && f.Decode == nil {
		err = fmt.Errorf("the format %q can't be read: it has no Decode", f.Name)
	}
	if err != nil {
		pipeline.Fail(p, "%s: %w", kind, err)
	}
	return pipeline.Read[T](p, kind, &source[T]{reading: r, format: f}, pipeline.Named(r.name))
}

// source is the topics as one Read sees them.
type source[T any] struct {
	*reading
	format Format[T]
	hubs   hubs
}

func (s *source[T]) Bounded() bool { return s.stop.kind != nowhere }

// Splits is the partitions, and where each of them begins and ends.
func (s *source[T]) Splits(ctx context.Context, _ int) (out []pipeline.Split[T], err error) {
	if s.assigned && !pipeline.Snapshots(ctx) {
		return nil, fmt.Errorf("%s: AssignedByGroup commits to the group what the job's checkpoints hold, and this run takes none: want -state-dir, or -checkpoint-interval", s.address)
	}
	h, err := s.hubs.use(s.reading, s.format.Keeps)
	if err != nil {
		return nil, err
	}
	defer func() { s.hubs.leave(err == nil && len(out) > 0) }()
	parts, topics, err := s.partitions(ctx, h.client)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.address, err)
	}
	splits, err := s.place(ctx, h.client, parts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.address, err)
	}
	unopened := &atomic.Int64{}
	unopened.Store(int64(len(splits)))
	for _, sp := range splits {
		sp.unopened, sp.topic = unopened, topics[sp.tp.Topic]
		out = append(out, sp)
	}
	return out, nil
}

// partitions looks up what there is, by topic and number, and the ids of topics.
func (s *source[T]) partitions(ctx context.Context, c *client.Client) (parts []client.TopicPartition, ids map[string]topicID, err error) {
	var topics []client.Topic
	if s.matches != nil {
		topics, err = c.Topics(ctx, s.matches.MatchString)
	}
	for _, name := range s.topics {
		t, e := c.Topic(ctx, name)
		if e != nil {
			return nil, nil, e
		}
		topics = append(topics, t)
	}
	ids = map[string]topicID{}
	for _, t := range topics {
		if t.Internal && s.matches != nil {
			continue
		}
		ids[t.Name] = t.ID
		for _, p := range t.Partitions {
			parts = append(parts, client.TopicPartition{Topic: t.Name, Partition: p.ID})
		}
	}
	return parts, ids, err
}

// place looks up where parts begin and end.
func (s *source[T]) place(ctx context.Context, c *client.Client, parts []client.TopicPartition) ([]*split[T], error) {
	if len(parts) == 0 {
		return nil, nil
	}
	begin, err := s.start.find(ctx, c, s.group, s.uncommitted, parts)
	if err != nil {
		return nil, err
	}
	first, end := begin, map[client.TopicPartition]spot{}
	if s.Bounded() {
		end, err = s.stop.find(ctx, c, s.group, s.uncommitted, parts)
	} else if s.start.kind != earliest {
		first, err = Earliest().find(ctx, c, s.group, s.uncommitted, parts)
	}
	if err != nil {
		return nil, err
	}
	var out []*split[T]
	for _, tp := range parts {
		sp := &split[T]{source: s, tp: tp, start: begin[tp], first: first[tp]}
		if s.Bounded() {
			sp.start.end = max(end[tp].next, sp.start.next)
		}
		out = append(out, sp)
	}
	return out, nil
}

// Grow looks for new partitions, and topics of the pattern, from time to time.
func (s *source[T]) Grow(ctx context.Context, _ int, found func([]pipeline.Split[T])) error {
	if s.discover == 0 {
		return nil
	}
	h, err := s.hubs.use(s.reading, s.format.Keeps)
	if err != nil {
		return err
	}
	defer s.hubs.leave(false)
	known := map[client.TopicPartition]bool{}
	tick := time.NewTicker(s.discover)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-h.unknown:
		case <-ctx.Done():
			return nil
		}
		splits, err := s.grown(ctx, h.client, known)
		if err != nil && ctx.Err() == nil {
			slog.Warn("new partitions can't be looked for: trying again", "kafka", s.address.String(), "in", s.discover, "why", err)
		}
		if len(splits) > 0 {
			found(splits)
		}
	}
}

// grown is the partitions that are not known, which they are from then on.
func (s *source[T]) grown(ctx context.Context, c *client.Client, known map[client.TopicPartition]bool) (out []pipeline.Split[T], err error) {
	parts, topics, err := s.partitions(ctx, c)
	if err != nil {
		return nil, err
	}
	var fresh []client.TopicPartition
	for _, tp := range parts {
		if !known[tp] {
			fresh = append(fresh, tp)
		}
	}
	if len(fresh) == 0 {
		return nil, nil
	}
	first, err := Earliest().find(ctx, c, "", s.uncommitted, fresh)
	if err != nil {
		return nil, err
	}
	for _, tp := range fresh {
		known[tp] = true
		out = append(out, &split[T]{source: s, tp: tp, topic: topics[tp.Topic], start: first[tp], first: first[tp]})
	}
	return out, nil
}

// split is a partition.
type split[T any] struct {
	*source[T]
	tp    client.TopicPartition
	topic topicID
	start spot // where the user wants it to be begun
	first spot // where it begins

	opened   atomic.Bool
	unopened *atomic.Int64 // of those that were found together with it; nil: alone
}

func (s *split[T]) ID() string { return partitionName(s.tp) }

// Size is in offsets.
func (s *split[T]) Size() int64 {
	if s.Bounded() {
		return s.start.end - s.start.next
	}
	return 0
}

// Open begins at position, or where the user wants it. The end of a bounded read is
// that of the position, which was looked up when the job began.
func (s *split[T]) Open(_ context.Context, pos []byte) (pipeline.Reader[T], error) {
	switch {
	case pos == nil && s.assigned:
		return s.open(unread, s.topic, false)
	case pos == nil:
		return s.open(s.start, s.topic, false)
	}
	at, topic, err := readPosition(pos)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID(), err)
	}
	switch {
	case !s.Bounded():
		at.end = -1
	case at.end < 0:
		at.end = max(at.next, s.start.end)
	}
	anew := topic != s.topic && topic != topicID{} && s.topic != topicID{}
	if anew && s.assigned { // the group knows where to begin in the new one
		return s.open(unread, s.topic, false)
	}
	if anew && s.reset.kind == nowhere {
		return nil, fmt.Errorf("read %s: the topic was deleted and made anew since the snapshot was taken: offset %d, which is to be read next, is another record's. %s", s.ID(), at.next, resetHint)
	}
	if !anew {
		topic = s.topic
	}
	return s.open(at, topic, false)
}

// OpenNew begins where the partition begins.
func (s *split[T]) OpenNew(context.Context) (pipeline.Reader[T], error) {
	if s.assigned {
		return s.open(unread, s.topic, true)
	}
	return s.open(s.first, s.topic, true)
}

// unread is where the reader of a partition is that was never this process's.
var unread = spot{0, -1, -1}

// open opens the partition at a place in a topic, which is void if that one is gone.
func (s *split[T]) open(at spot, topic topicID, fresh bool) (pipeline.Reader[T], error) {
	h, err := s.hubs.use(s.reading, s.format.Keeps)
	if err != nil {
		return nil, err
	}
	if !s.opened.Swap(true) && s.unopened != nil {
		s.unopened.Add(-1)
	}
	r := &reader[T]{split: s, hub: h, id: topic, at: at, acked: at, feed: newFeed(s.tp, at), last: at.next}
	r.record.Topic, r.record.Partition = s.tp.Topic, s.tp.Partition
	r.feed.lost, r.feed.fresh = topic != s.topic, fresh
	if err := h.add(r.feed); err != nil {
		s.hubs.leave(false)
		return nil, err
	}
	return r, nil
}
