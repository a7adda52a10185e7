package client

import (
	"context"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
)

// A FetchRequest asks one broker for partitions that it leads.
type FetchRequest struct {
	MaxWait            time.Duration // longest that the broker waits for MinBytes; rounded to milliseconds
	MinBytes, MaxBytes int           // of all partitions. A first batch that is larger than MaxBytes comes whole
	Committed          bool          // stop at the oldest open transaction, and say which batches were aborted
	Rack               string        // the broker may name a replica in this rack to be asked instead
	Parts              []FetchPart   // those of one topic together, for a shorter request
}

// A FetchPart says where to go on in a partition.
type FetchPart struct {
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32 // of the last batch that was read before Offset, so that the broker can tell if the log was cut since; -1 if not known
	MaxBytes    int   // of this partition
}

// A FetchResponse has a part for each that was asked for, in the order of the
// broker. Raw lies in Buf.
type FetchResponse struct {
	Buf      []byte        // hand it to the next Fetch when the batches are done with
	Throttle time.Duration // the next request of this kind will be held back so long
	Parts    []FetchedPart
}

// A FetchedPart is what came for a partition. With an Err there are no batches.
type FetchedPart struct {
	Topic                               string
	Partition                           int32
	Err                                 error // *Error: NotLeader, OutOfRange, UnknownTopic, ...
	HighWatermark, LastStable, LogStart int64 // -1 if the broker does not say
	Preferred                           int32 // the replica to fetch from instead; -1 is none
	Aborted                             []batch.Aborted
	Raw                                 []byte    // batches, the last one perhaps in part
	Diverging                           *EpochEnd // the log was cut: what was read behind this end is gone. Then there are no batches
}

// Fetch asks one broker, once. buf, if it is large enough, is where the answer
// lies; until Fetch returns it is not the caller's. Leaders that an answer tells
// of are kept (see Leader). Errors of the whole request are *Error or ErrClosed;
// ctx is what limits it beyond MaxWait.
func (c *Client) Fetch(ctx context.Context, broker int32, q *FetchRequest, buf []byte) (*FetchResponse, error) {
	b, err := c.broker(ctx, apiFetch, broker)
	if err != nil {
		return nil, err
	}
	limit := q.MaxWait + c.cfg.RequestTimeout
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := b.version(ctx, apiFetch)
	if err != nil {
		return nil, err
	}
	w := writer{flex: v >= apiFetch.flex, b: make([]byte, 0, 64+64*len(q.Parts))}
	c.writeFetch(&w, v, q)
	x := request{api: apiFetch, version: v, body: &w, buf: &buf, expect: q.MaxBytes + 64*len(q.Parts) + 4096}
	answer, err := b.exchange(ctx, x)
	if err != nil {
		return nil, err
	}
	r := reader{b: answer, flex: w.flex}
	f, code := parseFetch(&r, q.Parts, c.lead)
	if r.err != nil {
		return nil, b.lost(apiFetch, r.err, false)
	}
	b.throttle(apiFetch, int32(f.Throttle.Milliseconds()))
	if code != 0 {
		return nil, &Error{Code: code, Op: apiFetch.name, Partition: -1, Broker: b.addr}
	}
	f.Buf = buf
	for i := range f.Parts {
		if e, ok := f.Parts[i].Err.(*Error); ok {
			e.Broker = b.addr
			if e.NotLeader() {
				c.contradict(e.Topic)
			}
		}
	}
	return f, nil
}

func (c *Client) writeFetch(w *writer, v int16, q *FetchRequest) {
	w.int32(-1) // a consumer
	w.int32(int32(q.MaxWait.Milliseconds()))
	w.int32(int32(q.MinBytes))
	w.int32(int32(q.MaxBytes))
	w.bool(q.Committed)
	w.int32(0)  // no session
	w.int32(-1) // nor one to be made
	topics := 0
	for i := range q.Parts {
		if i == 0 || q.Parts[i].Topic != q.Parts[i-1].Topic {
			topics++
		}
	}
	w.array(topics)
	for i := 0; i < len(q.Parts); {
		n := i
		for n < len(q.Parts) && q.Parts[n].Topic == q.Parts[i].Topic {
			n++
		}
		w.string(q.Parts[i].Topic)
		w.array(n - i)
		for ; i < n; i++ {
			p := &q.Parts[i]
			w.int32(p.Partition)
			w.int32(c.epoch(TopicPartition{p.Topic, p.Partition}))
			w.int64(p.Offset)
			if v >= 12 {
				w.int32(p.LeaderEpoch)
			}
			w.int64(-1) // of followers only
			w.int32(int32(p.MaxBytes))
			w.tags()
		}
		w.tags()
	}
	w.array(0) // nothing is forgotten
	w.string(q.Rack)
	w.tags()
}

// parseFetch parses an answer; lead is told of leaders that it names.
func parseFetch(r *reader, asked []FetchPart, lead func(topic string, partition, leader, epoch int32) bool) (*FetchResponse, int16) {
	f := &FetchResponse{Throttle: time.Duration(r.int32()) * time.Millisecond}
	code := r.int16()
	r.int32() // session
	f.Parts = make([]FetchedPart, 0, min(len(asked), len(r.b)/40+1))
	near := 0
	for n := r.array(6); n > 0 && r.err == nil; n-- {
		topic := nameOf(asked, &near, r.raw())
		for n := r.array(35); n > 0 && r.err == nil; n-- {
			f.Parts = append(f.Parts, parseFetched(r, topic, lead))
		}
		r.tags()
	}
	r.tags()
	return f, code
}

func parseFetched(r *reader, topic string, lead func(string, int32, int32, int32) bool) FetchedPart {
	p := FetchedPart{Topic: topic, Partition: r.int32()}
	code := r.int16()
	p.HighWatermark, p.LastStable, p.LogStart = r.int64(), r.int64(), r.int64()
	if n := r.array(16); n > 0 {
		p.Aborted = make([]batch.Aborted, 0, n)
		for ; n > 0; n-- {
			p.Aborted = append(p.Aborted, batch.Aborted{ProducerID: r.int64(), FirstOffset: r.int64()})
			r.tags()
		}
	}
	p.Preferred = r.int32()
	p.Raw = r.bytes()
	leader, epoch := int32(-1), int32(-1)
	r.tagged(func(tag uint64, f *reader) {
		switch tag {
		case 0:
			if d := (EpochEnd{Epoch: f.int32(), Offset: f.int64()}); d.Epoch >= 0 || d.Offset >= 0 {
				p.Diverging = &d
			}
		case 1:
			leader, epoch = f.int32(), f.int32()
		}
	})
	if p.Err = refused(apiFetch, code, topic, p.Partition); p.Err != nil {
		p.Raw = nil
		if r.err == nil && leader >= 0 {
			lead(topic, p.Partition, leader, epoch)
		}
	}
	return p
}

// nameOf finds the string of a topic among those that were asked for, beginning
// where the last one was.
func nameOf(asked []FetchPart, near *int, name []byte) string {
	for i := range asked {
		j := (*near + i) % len(asked)
		if asked[j].Topic == string(name) {
			*near = j
			return asked[j].Topic
		}
	}
	return string(name)
}
