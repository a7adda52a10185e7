package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// reader decodes what the hub fetches of a partition.
type reader[T any] struct {
	*split[T]
	hub  *hub
	feed *feed
	id   topicID // to which at belongs

	at      spot  // behind what was emitted
	asked   spot  // at, when it was asked for last
	last    int64 // offset of what was emitted last, for people
	emitted int64
	left    bool // a chunk is being read
	got     taken
	batches batch.Reader
	rec     batch.Record
	record  Record
	names   map[string]string // keys of headers
	newest  int64             // time of a record, Unix ms; 0 before the first
	quiet   int64             // since when there is nothing more, by the run's clock; 0: there is
	again   int               // how often a chunk that is damaged was fetched anew
	grant   *grant            // by which it reads, where the group assigns; nil: it may not
	held    *grant            // the last one that there was
	acked   spot              // what the newest snapshot has

	metrics *metrics
}

// metrics is a reader's.
type metrics struct {
	bytes                 pipeline.Counter
	lag, total, throttled pipeline.Gauge
	assigned              pipeline.Gauge
	lagged                int64 // what of the hub's lag is this reader's
}

// damagedTries is how often a damaged chunk is fetched.
const damagedTries = 3

func (r *reader[T]) Read(most int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	if r.metrics == nil {
		r.metrics = &metrics{bytes: out.Counter("bytes"), lag: out.Gauge("lag " + r.ID()), total: out.Gauge("lag"), throttled: out.Gauge("throttledMs")}
		if r.hub.member != nil {
			r.metrics.assigned = out.Gauge("assigned")
		}
	}
	if r.hub.member != nil {
		if may, err := r.follow(out); !may {
			return pipeline.Idle, err
		}
	}
	n, err := r.some(most, out)
	switch {
	case err != nil:
		return pipeline.Done, err
	case n > 0:
		r.quiet = 0
		if r.newest > 0 {
			out.Watermark(r.newest - r.disorder.Milliseconds())
		}
	}
	switch {
	case r.ended():
		r.measure()
		return pipeline.Done, nil
	case n > 0 || r.left:
		return pipeline.More, nil
	}
	r.rest(out)
	return pipeline.Idle, nil
}

// ended reports that all that was asked for was read.
func (r *reader[T]) ended() bool { return r.at.end >= 0 && r.at.next >= r.at.end }

// some emits at most so many records, from one chunk.
func (r *reader[T]) some(most int, out *pipeline.Output[T]) (n int, err error) {
	if r.ended() {
		return 0, nil
	}
	if !r.left {
		if err := r.take(out); err != nil || !r.left {
			return 0, err
		}
	}
	for ; n < most; n++ {
		if !r.batches.Next(&r.rec) {
			return n, r.finish()
		}
		if r.at.end >= 0 && r.rec.Offset >= r.at.end {
			r.at.next = r.at.end
			return n, nil
		}
		r.last = r.rec.Offset
		r.fill()
		v, err := r.format.Decode(&r.record)
		if err != nil {
			return n, fmt.Errorf("decode %s: %w", r.format.Name, err)
		}
		r.at.next = r.rec.Offset + 1
		if r.rec.Timestamp < 0 {
			out.Emit(v)
			continue
		}
		r.newest = max(r.newest, r.rec.Timestamp)
		out.EmitAt(r.rec.Timestamp, v)
	}
	return n, nil
}

// fill makes the record that formats see.
func (r *reader[T]) fill() {
	r.emitted++
	r.record.Offset, r.record.Key, r.record.Value = r.rec.Offset, r.rec.Key, r.rec.Value
	r.record.Time = time.Time{}
	if r.rec.Timestamp >= 0 {
		r.record.Time = time.UnixMilli(r.rec.Timestamp)
	}
	r.record.Headers = r.record.Headers[:0]
	if r.format.Keeps {
		r.record.Headers = nil
		if n := r.rec.HeaderCount(); n > 0 {
			r.record.Headers = make([]Header, 0, n)
		}
	}
	for h := r.rec.RawHeaders(); len(h) > 0; {
		var key, value []byte
		key, value, h = batch.CutHeader(h)
		r.record.Headers = append(r.record.Headers, Header{r.name(key), value})
	}
}

// namesMost is how many keys of headers a reader remembers.
const namesMost = 100

// name is the key of a header, which is likely one that came before.
func (r *reader[T]) name(key []byte) string {
	if s, ok := r.names[string(key)]; ok {
		return s
	}
	s := string(key)
	if r.names == nil {
		r.names = map[string]string{}
	}
	if len(r.names) < namesMost {
		r.names[s] = s
	}
	return s
}

// take goes on to what the hub has fetched, if there is anything.
func (r *reader[T]) take(out *pipeline.Output[T]) (err error) {
	done := r.got.chunk
	r.got.chunk = nil
	if r.got, err = r.hub.take(r.feed, done, out.Waker()); err != nil {
		return err
	}
	r.at.next = r.got.next
	if r.got.chunk != nil || r.got.high >= 0 {
		r.id = r.topic // if it was another one, the hub has gone on elsewhere
	}
	if r.got.chunk != nil {
		r.left = true
		r.batches.Reset(r.got.raw, r.got.from, batch.Options{Committed: !r.uncommitted, Aborted: r.got.aborted, Keep: r.format.Keeps})
		r.metrics.bytes.Inc(int64(len(r.got.raw)))
	}
	r.measure()
	return nil
}

// finish goes behind a chunk: over gaps and what is not for readers, too.
func (r *reader[T]) finish() error {
	r.left = false
	r.at.next = max(r.at.next, r.batches.NextOffset())
	if r.at.end >= 0 {
		r.at.next = min(r.at.next, r.at.end)
	}
	if e := r.batches.LeaderEpoch(); e >= 0 {
		r.at.epoch = e
	}
	err := r.batches.Err()
	if _, damaged := errors.AsType[*batch.CorruptError](err); damaged && r.again+1 < damagedTries {
		r.again++
		r.hub.seek(r.feed, r.at.next)
		return nil
	}
	if err == nil {
		r.again = 0
	}
	return err
}

// measure says how far behind the reader is.
func (r *reader[T]) measure() {
	if r.got.high < 0 {
		return
	}
	lag := max(0, r.got.high-r.at.next)
	r.metrics.lag.Set(lag)
	r.metrics.total.Set(r.hub.lag.Add(lag - r.metrics.lagged))
	r.metrics.lagged = lag
	r.metrics.throttled.Set(r.hub.throttledMs.Load())
}

// rest is told that there is nothing at the moment.
func (r *reader[T]) rest(out *pipeline.Output[T]) {
	switch {
	case !r.got.caughtUp || r.idle == 0:
		r.quiet = 0
	case r.quiet == 0:
		r.quiet = out.Now()
	case out.Now()-r.quiet >= r.idle.Milliseconds():
		out.Idle()
	}
}

// Position is the next offset, with the leader epoch of the batch before, and the end.
func (r *reader[T]) Position(b []byte) []byte {
	r.settle()
	r.asked = r.at
	return r.at.append(b, r.id)
}

// settle notes the leader epoch of a batch that is not read to its end.
func (r *reader[T]) settle() {
	if e := r.batches.LeaderEpoch(); r.left && e >= 0 {
		r.at.epoch = e
	}
}

// Acknowledge has the offset committed that is in the snapshot.
func (r *reader[T]) Acknowledge() {
	r.acked = r.asked
	switch {
	case r.hub.member != nil && r.held != nil:
		r.hub.acknowledge(r.tp, r.held, r.acked)
	case r.hub.commit != nil:
		r.hub.commit.add(r.tp, r.asked)
	}
}

// follow follows the group: it reports whether the partition may be read, and when that
// has changed stops, or goes on from where the group is, unless this job is further.
func (r *reader[T]) follow(out *pipeline.Output[T]) (bool, error) {
	if err := r.hub.broken.Load(); err != nil {
		return false, *err
	}
	g := r.feed.grant.Load()
	switch {
	case g == r.grant && g == nil && r.hub.settled.Load():
		out.Idle() // others may read it
		return false, nil
	case g == r.grant:
		return g != nil, nil
	case g == nil || r.grant != nil:
		r.stopReading()
		return false, nil
	}
	if g.from.next > r.at.next {
		r.at = spot{g.from.next, g.from.epoch, r.at.end}
	}
	r.grant, r.held, r.quiet = g, g, 0
	r.metrics.assigned.Set(r.hub.granted.Load())
	out.Watermark(window.MinTime) // it is not idle
	r.hub.begin(r.feed, g, r.at, r.acked)
	return true, nil
}

// stopReading ends what the last grant allowed.
func (r *reader[T]) stopReading() {
	r.settle()
	r.grant, r.left = nil, false
	r.metrics.lag.Set(0)
	r.metrics.total.Set(r.hub.lag.Add(-r.metrics.lagged))
	r.metrics.lagged = 0
	r.metrics.assigned.Set(r.hub.granted.Load())
	r.hub.stopped(r.feed, r.got.chunk, r.at, time.Now())
	r.got = taken{high: -1}
}

// Where is topic/partition:offset.
func (r *reader[T]) Where() string { return fmt.Sprintf("%s:%d", r.ID(), r.last) }

// Progress is in offsets where the end is known, else in records.
func (r *reader[T]) Progress() int64 {
	if r.Bounded() {
		return max(0, r.Size()-(r.at.end-r.at.next))
	}
	return r.emitted
}

// Close lets go of the hub: others are likely to need it if the run goes on.
func (r *reader[T]) Close() error {
	if r.metrics != nil {
		r.hub.lag.Add(-r.metrics.lagged)
	}
	r.hub.remove(r.feed, r.got.chunk)
	r.hubs.leave(r.ended() && r.unopened != nil && r.unopened.Load() > 0)
	return nil
}
