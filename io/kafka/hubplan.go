package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
)

// plan decides what is to be asked of which broker, and what an answer changes. It is
// the pure part of a hub: it starts nothing, waits for nothing, and reads no clock.
//
// Memory: used is what lies in memory of what brokers sent, and what the fetches that
// are under way may bring. A fetch is planned if there is room for it. Where readers
// hold all of the budget and none of them gives anything back (they may have to wait
// for others that have nothing), one fetch is planned each stall nevertheless.
type plan struct {
	budget, room int
	wait         time.Duration
	patience     time.Duration
	reset        placeKind // nowhere: none
	committed    bool
	keeps        bool // memory is not used again
	rack         string

	feeds    []*feed
	fetching map[int32]int // how many fetches are under way, by broker
	leaders  int           // how many brokers are asked
	used     int
	given    time.Time // when memory was given back, or a fetch planned for which there was no room
	turn     uint64
	free     [][]byte // buffers of fetches
	busy     [bounds + 1]bool
}

const (
	// fetches is how many may be under way to one broker: one may wait for partitions
	// that have nothing new while others bring something.
	fetches    = 3
	fetchMost  = 8 << 20 // bytes
	fetchLeast = 16 << 10
	partMost   = 2 << 20  // bytes that are asked for of a partition
	partLeast  = 64 << 10 // less would be a request for each batch
	batchMost  = 1 << 29  // bytes; larger ones are not believed
	stall      = 100 * time.Millisecond
	quick      = 10 * time.Millisecond // how long the last fetch that may be under way waits
)

func newPlan(r *reading, keeps bool) *plan {
	return &plan{
		budget: r.budget, room: r.budget / 4 * 3, wait: r.wait, patience: r.patience, reset: r.reset.kind,
		committed: !r.uncommitted, keeps: keeps, rack: r.rack, fetching: map[int32]int{},
	}
}

// A job is what a hub has to do.
type job struct {
	kind    jobKind
	feeds   []*feed
	broker  int32
	request *client.FetchRequest
	buf     []byte
	room    int  // bytes set aside
	refresh bool // ask for the leaders anew
}

type jobKind uint8

const (
	fetch  jobKind = iota // send the request
	locate                // look up the leaders
	bounds                // ask where the partitions begin and end
)

func (p *plan) add(f *feed) {
	for _, o := range p.feeds {
		if o.tp == f.tp {
			o.twin, f.twin = true, true
		}
	}
	p.feeds = append(p.feeds, f)
}

func (p *plan) remove(f *feed, now time.Time) {
	p.feeds = slices.DeleteFunc(p.feeds, func(o *feed) bool { return o == f })
	if f.queue != nil {
		p.release(f.queue, now)
	}
	f.queue, f.asked = nil, nil
}

// pause has a feed fetched no more until it begins anew. What waits is dropped, and not
// read: a reader that does not know yet still learns from the feed where it is.
func (p *plan) pause(f *feed, now time.Time) {
	if f.queue != nil {
		f.next = f.queue.from
		p.release(f.queue, now)
	}
	f.queue, f.asked, f.paused = nil, nil, true
	f.err, f.since, f.after, f.lost, f.high = nil, time.Time{}, time.Time{}, false, -1
}

// release gives back the memory of a chunk.
func (p *plan) release(c *chunk, now time.Time) {
	if c.mem.refs--; c.mem.refs > 0 {
		return
	}
	p.used -= c.mem.size
	p.given = now
	p.recycle(c.mem.buf)
}

// recycle keeps the buffer of a fetch for the next one.
func (p *plan) recycle(buf []byte) {
	if cap(buf) > 0 && cap(buf) <= 2*p.most() && len(p.free) < fetches*max(1, p.leaders) {
		p.free = append(p.free, buf[:0])
	}
}

// most is how many bytes a fetch may bring: that all which may be under way take a
// quarter of the budget.
func (p *plan) most() int {
	return max(fetchLeast, min(fetchMost, p.budget/4/fetches/max(1, p.leaders)))
}

// share is how many bytes a partition may bring. Two chunks of each, one that is being
// read and one that waits, take half of the budget, unless there are very many.
func (p *plan) share() int {
	return min(p.most(), max(partLeast, min(partMost, p.budget/4/max(1, len(p.feeds)))))
}

// next is what to do at now, and when to ask again at the latest; zero: when something
// has changed.
func (p *plan) next(now time.Time) (jobs []*job, again time.Time) {
	later := func(t time.Time) {
		if again.IsZero() || t.Before(again) {
			again = t
		}
	}
	var lost, unled []*feed
	ready := map[int32][]*feed{}
	leaders := map[int32]bool{}
	for _, f := range p.feeds {
		if f.leader >= 0 {
			leaders[f.broker()] = true
		}
		switch {
		case f.idle(now):
			if f.err == nil && now.Before(f.after) {
				later(f.after)
			}
		case f.lost:
			lost = append(lost, f)
		case f.leader < 0:
			unled = append(unled, f)
		default:
			ready[f.broker()] = append(ready[f.broker()], f)
		}
	}
	p.leaders = len(leaders)
	jobs = append(p.ask(locate, unled), p.ask(bounds, lost)...)
	brokers := make([]int32, 0, len(ready))
	for b := range ready {
		brokers = append(brokers, b)
	}
	slices.Sort(brokers)
	for _, b := range brokers {
		if p.fetching[b] == fetches {
			continue
		}
		j := p.fetch(b, ready[b], now)
		if j == nil {
			later(p.given.Add(stall))
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, again
}

// ask makes a job of a kind of which there is one at a time.
func (p *plan) ask(kind jobKind, feeds []*feed) []*job {
	if len(feeds) == 0 || p.busy[kind] {
		return nil
	}
	p.busy[kind] = true
	j := &job{kind: kind, feeds: feeds}
	for _, f := range feeds {
		f.asked = j
		j.refresh = j.refresh || f.stale
	}
	return []*job{j}
}

// fetch plans a fetch for what is ready, those first that have waited longest: a
// broker sends at least one batch of the first partition that has any, however large.
// It is nil if there is no room.
func (p *plan) fetch(broker int32, ready []*feed, now time.Time) *job {
	slices.SortStableFunc(ready, func(a, b *feed) int { return cmp.Compare(a.served, b.served) })
	share, size := p.share(), 0
	j := &job{kind: fetch, broker: broker}
	for _, f := range ready {
		if f.twin && slices.ContainsFunc(j.feeds, func(o *feed) bool { return o.tp == f.tp }) {
			continue
		}
		j.feeds = append(j.feeds, f)
		size += max(share, f.need)
	}
	size = max(min(size, p.most()), j.feeds[0].need)
	if left := p.room - p.used; size > left {
		least := max(min(share, size), j.feeds[0].need)
		if left < least && now.Sub(p.given) < stall {
			return nil
		}
		if left < least {
			p.given = now
		}
		size = max(least, left)
	}
	sortByTopic(j.feeds)
	j.request = &client.FetchRequest{MaxWait: p.wait, MinBytes: 1, MaxBytes: size, Committed: p.committed, Rack: p.rack}
	if p.fetching[broker] == fetches-1 {
		j.request.MaxWait = min(p.wait, quick)
	}
	for _, f := range j.feeds {
		f.asked = j
		j.request.Parts = append(j.request.Parts, client.FetchPart{
			Topic: f.tp.Topic, Partition: f.tp.Partition, Offset: f.next, LeaderEpoch: f.epoch, MaxBytes: min(size, max(share, f.need)),
		})
	}
	j.room = size
	p.used += size
	p.fetching[broker]++
	if n := len(p.free); n > 0 && !p.keeps {
		j.buf, p.free = p.free[n-1], p.free[:n-1]
	}
	return j
}

// sortByTopic brings those of one topic together, and leaves the first one first.
func sortByTopic(feeds []*feed) {
	rank := map[string]int{}
	for _, f := range feeds {
		if _, ok := rank[f.tp.Topic]; !ok {
			rank[f.tp.Topic] = len(rank)
		}
	}
	slices.SortStableFunc(feeds, func(a, b *feed) int { return cmp.Compare(rank[a.tp.Topic], rank[b.tp.Topic]) })
}

// fetched takes in what a fetch brought, or its failure, and returns the feeds whose
// readers have something to do.
func (p *plan) fetched(j *job, got *client.FetchResponse, err error, now time.Time) []*feed {
	p.fetching[j.broker]--
	p.used -= j.room
	if err != nil {
		p.recycle(j.buf)
		for _, f := range j.feeds {
			if f.asked == j {
				f.asked = nil
				f.failed(err, now, p.patience)
			}
		}
		return withNews(j.feeds)
	}
	mem := &memory{size: cap(got.Buf)}
	if !p.keeps {
		mem.buf = got.Buf
	}
	p.turn++
	at := 0
	for i := range got.Parts {
		part := &got.Parts[i]
		f := j.feedOf(part, &at)
		if f == nil || f.asked != j {
			continue // nobody wants it any more
		}
		f.asked = nil
		p.take(f, part, mem, now)
	}
	for _, f := range j.feeds {
		if f.asked == j {
			f.asked = nil // the broker has left it out
		}
	}
	if mem.refs == 0 {
		p.recycle(mem.buf)
	} else {
		p.used += mem.size
	}
	return withNews(j.feeds)
}

// withNews is those feeds whose readers have something to do.
func withNews(feeds []*feed) (woken []*feed) {
	for _, f := range feeds {
		if f.queue != nil || f.err != nil {
			woken = append(woken, f)
		}
	}
	return woken
}

// feedOf finds the feed of a part, beginning behind the one before.
func (j *job) feedOf(part *client.FetchedPart, at *int) *feed {
	for i := range j.feeds {
		k := (*at + i) % len(j.feeds)
		if f := j.feeds[k]; f.tp.Partition == part.Partition && f.tp.Topic == part.Topic {
			*at = k + 1
			return f
		}
	}
	return nil
}

// take takes in what came for a feed.
func (p *plan) take(f *feed, part *client.FetchedPart, mem *memory, now time.Time) {
	if part.Err != nil {
		e, ok := errors.AsType[*client.Error](part.Err)
		switch {
		case f.spare >= 0 && ok:
			f.spare = -1 // ask the leader
		case ok && e.OutOfRange():
			f.lost = true
		default:
			f.failed(part.Err, now, p.patience)
		}
		return
	}
	if part.Diverging != nil {
		p.cut(f, *part.Diverging)
		return
	}
	f.since, f.fails = time.Time{}, 0
	f.spare, f.high, f.open = part.Preferred, part.HighWatermark, false
	if p.committed && part.LastStable >= 0 {
		f.high, f.open = part.LastStable, part.LastStable < part.HighWatermark
	}
	if len(part.Raw) == 0 {
		return
	}
	f.served = p.turn
	e := batch.ExtentOf(part.Raw)
	switch {
	case e.Next < 0 && e.Need > batchMost:
		f.err = fmt.Errorf("read %s: the batch at offset %d says that it has %d bytes", f, f.next, e.Need)
	case e.Next < 0:
		f.need = max(f.need, e.Need)
	case e.Next <= f.next:
		f.failed(&client.Error{Code: 2, Op: "fetch", Topic: f.tp.Topic, Partition: f.tp.Partition, Detail: fmt.Sprintf("for offset %d came batches that end before it", f.next)}, now, p.patience)
	default:
		f.queue = p.chunk(part, f.next, mem)
		f.next, f.epoch, f.need = e.Next, e.Epoch, 0
	}
}

// chunk keeps what came: where it is, if it is a good part of the buffer, or else in
// memory of its own, so that it does not hold the whole buffer up.
func (p *plan) chunk(part *client.FetchedPart, from int64, mem *memory) *chunk {
	c := &chunk{raw: part.Raw, from: from, aborted: part.Aborted, mem: mem}
	if len(part.Raw) < mem.size/8 {
		c.raw = slices.Clone(part.Raw)
		c.mem = &memory{size: len(c.raw)}
		p.used += len(c.raw)
	}
	c.mem.refs++
	return c
}

// cut is told that the log was cut behind what was read.
func (p *plan) cut(f *feed, d client.EpochEnd) {
	if p.reset == nowhere {
		f.err = f.diverged(d)
		return
	}
	slog.Warn("records that were read are gone: reading goes on elsewhere", "partition", f.String(), "offset", f.next, "ends", d.Offset)
	f.lost = true
}

// located takes in who leads the feeds of a job.
func (p *plan) located(j *job, leader func(*feed) (int32, error), now time.Time) []*feed {
	p.busy[j.kind] = false
	for _, f := range j.feeds {
		if f.asked != j {
			continue
		}
		f.asked = nil
		id, err := leader(f)
		if err != nil {
			f.failed(err, now, p.patience)
			continue
		}
		f.leader, f.stale = id, false
	}
	return withNews(j.feeds)
}

// bounded takes in where the partitions of a job begin and end.
func (p *plan) bounded(j *job, first, last map[client.TopicPartition]client.OffsetEpoch, err error, now time.Time) []*feed {
	p.busy[j.kind] = false
	for _, f := range j.feeds {
		if f.asked != j {
			continue
		}
		f.asked = nil
		a, b := first[f.tp].Offset, last[f.tp].Offset
		switch {
		case err != nil:
			f.failed(err, now, p.patience)
		case p.reset == earliest:
			p.jump(f, a)
		case p.reset == latest:
			p.jump(f, b)
		case f.next >= a && f.next <= b:
			f.lost = false // another broker knew less
			f.failed(&client.Error{Code: 78, Op: "fetch", Topic: f.tp.Topic, Partition: f.tp.Partition}, now, p.patience)
		default:
			f.err = f.outOfRange(a, b)
		}
	}
	return withNews(j.feeds)
}

func (p *plan) jump(f *feed, to int64) {
	slog.Warn("a partition does not have the offset to be read next: reading goes on elsewhere (kafka.Reset)", "partition", f.String(), "offset", f.next, "goes on at", to)
	f.seek(to)
}
