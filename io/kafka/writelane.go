package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// lineWriter is a lane's part of a sink: it makes records of elements.
type lineWriter[T any] struct {
	laneWriter
	format Format[T]
	record Record
	room   Record // memory that formats may use
}

// Write implements [pipeline.Writer], for elements without a time.
func (w *lineWriter[T]) Write(v T) error { return w.WriteAt(v, window.MinTime) }

// WriteAt implements [pipeline.TimedWriter].
func (w *lineWriter[T]) WriteAt(v T, ts int64) error {
	r := &w.record
	*r = Record{Topic: w.sink.cfg.to.Topic, Partition: -1, Key: w.room.Key, Value: w.room.Value, Headers: w.room.Headers}
	if err := w.format.Encode(v, r); err != nil {
		return fmt.Errorf("make a record of format %s: %w", w.format.Name, err)
	}
	r.Key, r.Value = setOrNil(r.Key, w.room.Key), setOrNil(r.Value, w.room.Value)
	w.room.Key, w.room.Value, w.room.Headers = roomFor(w.room.Key, r.Key), roomFor(w.room.Value, r.Value), roomFor(w.room.Headers, r.Headers)
	return w.write(r, ts)
}

// setOrNil is nil where a format has put nothing into the room: it is as if there had
// been none.
func setOrNil(b, room []byte) []byte {
	if len(b) == 0 && cap(b) > 0 && cap(room) > 0 && &b[:1][0] == &room[:1][0] {
		return nil
	}
	return b
}

// roomMax is the most that is kept for formats to use: what is larger costs more than
// its memory.
const roomMax = 64 << 10

// roomFor is empty memory for as much as was used. It is never what a format has set,
// which may be the element's.
func roomFor[E any](room, used []E) []E {
	if n := len(used); n > cap(room) && n <= roomMax {
		return make([]E, 0, min(2*n, roomMax))
	}
	return room[:0]
}

// laneWriter is what a lane's part is, whatever it is made of.
type laneWriter struct {
	sink    *writeSink
	sender  *sender
	topics  map[string]*topicWriter
	topic   *topicWriter // that was written to last
	looked  time.Time    // when topics were asked for their partitions
	headers []batch.Header
	close   func()
	now     int64 // Unix ms, of this round; 0: not looked at
}

func (w *laneWriter) open(ctx context.Context, s *writeSink, lane, lanes int, state []byte) (err error) {
	if s.cfg.prefix != "" && !pipeline.Durable(ctx) {
		return errors.New("kafka.ExactlyOnce wants a run that keeps its checkpoints: give it a folder (-state-dir), or write at least once")
	}
	w.sink, w.topics, w.sender, w.looked = s, map[string]*topicWriter{}, newSender(s, lanes), time.Now()
	if err := w.sender.connect(ctx); err != nil {
		return err
	}
	w.close = sync.OnceFunc(w.sender.close)
	if err := w.begin(lane, lanes, state); err != nil {
		w.close()
		return err
	}
	return nil
}

// begin looks for the topic, so that a mistake is found here rather than with the first
// record, and goes on from state.
func (w *laneWriter) begin(lane, lanes int, state []byte) (err error) {
	if name := w.sink.cfg.to.Topic; name != "" {
		if w.topic, err = w.topicOf(name); err != nil {
			return err
		}
	}
	if !w.exactly() {
		w.sender.start()
		return nil
	}
	if lane == 0 {
		if err := w.sender.noteLanes(lanes); err != nil {
			return w.sender.explain(err)
		}
	}
	if err := w.sender.openTxn(lane, lanes, state); err != nil {
		return err
	}
	w.sender.start()
	return w.sender.opened()
}

func (w *laneWriter) exactly() bool { return w.sink.cfg.prefix != "" }

// write adds a record to the batch of its partition. ts is the element's event time.
func (w *laneWriter) write(r *Record, ts int64) error {
	t := w.topic
	name := r.Topic
	if name == "" {
		name = w.sink.cfg.to.Topic
	}
	if t == nil || t.name != name {
		var err error
		if t, err = w.topicOf(name); err != nil {
			return err
		}
		w.topic = t
	}
	st, err := w.streamOf(t, r)
	if err != nil {
		return err
	}
	w.headers = w.headers[:0]
	for _, h := range r.Headers {
		w.headers = append(w.headers, batch.Header(h))
	}
	full, err := w.sender.add(st, w.timeOf(r, ts), r.Key, r.Value, w.headers)
	if full {
		t.next()
		w.grow()
	}
	return err
}

// growEvery is how often new partitions are looked for.
const growEvery = 5 * time.Minute

// grow looks whether topics have got more partitions, if it has not done so for a while.
func (w *laneWriter) grow() {
	if time.Since(w.looked) < growEvery {
		return
	}
	w.looked = time.Now()
	for _, t := range w.topics {
		info, err := w.sender.client.Topic(w.sender.ctx, t.name)
		if err != nil {
			continue // whoever writes to it will be told, or it comes back
		}
		for len(t.streams) < len(info.Partitions) {
			t.streams = append(t.streams, nil)
		}
	}
}

// timeOf is a record's time: the format's, the element's, or now where that has none.
func (w *laneWriter) timeOf(r *Record, ts int64) int64 {
	switch {
	case !r.Time.IsZero():
		return r.Time.UnixMilli()
	case w.sink.cfg.processingTime || ts < 0 || ts >= window.GlobalEnd:
		if w.now == 0 {
			w.now = time.Now().UnixMilli()
		}
		return w.now
	}
	return ts
}

// streamOf is the stream of the record's partition.
func (w *laneWriter) streamOf(t *topicWriter, r *Record) (*stream, error) {
	n := len(t.streams)
	var at int
	switch p := w.sink.cfg.partitioner; {
	case p != nil:
		id := p(r, n)
		if id < 0 || int(id) >= n {
			return nil, fmt.Errorf("a record is to go to partition %d of topic %s, which has %d", id, t.name, n)
		}
		at = int(id)
	case r.Key != nil:
		at = batch.Partition(r.Key, n)
	default:
		at = t.sticky
	}
	st := t.streams[at]
	if st == nil {
		st = w.sender.stream(t.name, int32(at))
		t.streams[at] = st
	}
	return st, nil
}

// topicWriter is a topic's partitions.
type topicWriter struct {
	name    string
	streams []*stream // by partition; nil where nothing was written
	sticky  int       // the partition of records without a key
}

// next turns to another partition for records without a key.
func (t *topicWriter) next() { t.sticky = (t.sticky + 1) % len(t.streams) }

// topicOf is the topic of that name, looked up, and made, if need be.
func (w *laneWriter) topicOf(name string) (*topicWriter, error) {
	if t := w.topics[name]; t != nil {
		return t, nil
	}
	if name == "" {
		return nil, errors.New("the URL names no topic, and the format gives a record none")
	}
	if err := checkTopic(name); err != nil {
		return nil, err
	}
	info, err := w.lookUp(name)
	if err != nil {
		return nil, w.sender.explain(err)
	}
	t := &topicWriter{name: name, streams: make([]*stream, len(info.Partitions))}
	t.sticky = int(time.Now().UnixNano()>>10) % len(t.streams)
	w.topics[name] = t
	return t, nil
}

func (w *laneWriter) lookUp(name string) (client.Topic, error) {
	ctx, c := w.sender.ctx, w.sender.client
	info, err := c.Topic(ctx, name)
	e, ok := errors.AsType[*client.Error](err)
	if create := w.sink.cfg.create; ok && e.UnknownTopic() && create != nil {
		err := c.CreateTopic(ctx, name, create.partitions, create.replicas, create.config)
		if e, ok := errors.AsType[*client.Error](err); err != nil && (!ok || !e.Exists()) { // another lane was faster
			return info, err
		}
		return c.Topic(ctx, name)
	}
	return info, err
}

// Prepare waits until everything is acknowledged.
func (w *laneWriter) Prepare() ([]byte, error) {
	defer w.grow()
	if w.exactly() {
		return w.sender.prepare()
	}
	return nil, w.sender.flush()
}

// Crowded implements [pipeline.CrowdedWriter]: what waits for a commit is in memory. It
// is asked once in each of the lane's rounds.
func (w *laneWriter) Crowded() bool {
	w.now = 0
	return w.exactly() && w.sender.crowded()
}

// Commit commits the transaction, if there is one.
func (w *laneWriter) Commit() error {
	if w.exactly() {
		return w.sender.commit()
	}
	return nil
}

// Finish ends the lane's part.
func (w *laneWriter) Finish() error {
	w.close()
	return nil
}

// Abort ends the lane's part; what was not acknowledged, or not committed, is lost.
func (w *laneWriter) Abort(bool) { w.close() }
