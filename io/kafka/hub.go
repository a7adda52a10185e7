package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// A hub fetches for all readers of a source in this process: few requests, each for
// many partitions, within one budget. Readers take what came from their feeds.
//
// Its goroutines are one that plans (run), one for each job of the plan while it is
// done, and one that commits offsets to the group.
type hub struct {
	client *client.Client
	commit *committer
	poke   chan struct{} // cap 1: there may be something to plan
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex // guards plan and its feeds; never held over I/O or calls to readers
	plan *plan

	member  *membership // guarded by mu, too; nil: the job assigns by itself
	reading *reading
	unknown chan struct{} // cap 1: partitions are assigned for which there is no reader
	looked  time.Time     // when that was said last
	broken  atomic.Pointer[error]
	settled atomic.Bool  // the group has said what is whose, once
	granted atomic.Int64 // partitions of which the readers may read

	throttledMs atomic.Int64 // since it began
	lag         atomic.Int64 // of all readers, in records
}

// startHub makes a hub that works until it is closed.
func startHub(r *reading, keeps bool) (*hub, error) {
	c, err := client.New(r.client)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	h := &hub{client: c, reading: r, poke: make(chan struct{}, 1), unknown: make(chan struct{}, 1), stop: stop, plan: newPlan(r, keeps)}
	if r.assigned {
		h.member = newMembership(r)
	} else if r.group != "" {
		h.commit = newCommitter(c, r.group)
		h.wg.Go(h.commit.run)
	}
	h.wg.Go(func() { h.run(ctx) })
	return h, nil
}

// close ends all that the hub does; no feed may be in use any more.
func (h *hub) close() {
	h.stop()
	if h.commit != nil {
		h.commit.end()
	}
	h.wg.Wait()
	if h.member != nil {
		h.goodbye()
	}
	h.client.Close()
}

func (h *hub) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		h.mu.Lock()
		errands, soon, woken := h.errands(time.Now())
		jobs, again := h.plan.next(time.Now())
		h.mu.Unlock()
		for _, wake := range woken {
			wake()
		}
		for _, e := range errands {
			h.wg.Go(func() { h.send(ctx, e) })
		}
		for _, j := range jobs {
			h.wg.Go(func() { h.do(ctx, j) })
		}
		if again.IsZero() || !soon.IsZero() && soon.Before(again) {
			again = soon
		}
		wait := time.Hour
		if !again.IsZero() {
			wait = max(time.Until(again), time.Millisecond)
		}
		timer.Reset(wait)
		select {
		case <-h.poke:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

func (h *hub) again() {
	select {
	case h.poke <- struct{}{}:
	default:
	}
}

// do does one job.
func (h *hub) do(ctx context.Context, j *job) {
	switch j.kind {
	case fetch:
		got, err := h.client.Fetch(ctx, j.broker, j.request, j.buf)
		if err == nil {
			h.throttledMs.Add(got.Throttle.Milliseconds())
		}
		h.tell(ctx, func(now time.Time) []*feed { return h.plan.fetched(j, got, err, now) })
	case locate:
		leaders := h.locate(ctx, j)
		h.tell(ctx, func(now time.Time) []*feed {
			return h.plan.located(j, func(f *feed) (int32, error) { return leaders[f].id, leaders[f].err }, now)
		})
	case bounds:
		first, last, err := h.bounds(ctx, j.feeds)
		h.tell(ctx, func(now time.Time) []*feed { return h.plan.bounded(j, first, last, err, now) })
	}
}

// locate looks up who leads the partitions of a job.
func (h *hub) locate(ctx context.Context, j *job) map[*feed]leader {
	leaders := make(map[*feed]leader, len(j.feeds))
	var err error
	if j.refresh {
		err = h.client.Refresh(ctx)
	}
	for _, f := range j.feeds {
		l := leader{-1, err}
		if err == nil {
			l.id, _, l.err = h.client.Leader(ctx, f.tp.Topic, f.tp.Partition)
		}
		leaders[f] = l
	}
	return leaders
}

type leader struct {
	id  int32
	err error
}

// bounds asks where the partitions begin and end.
func (h *hub) bounds(ctx context.Context, feeds []*feed) (first, last map[client.TopicPartition]client.OffsetEpoch, err error) {
	var parts []client.TopicPartition
	for _, f := range feeds {
		parts = append(parts, f.tp)
	}
	if first, err = h.client.Offsets(ctx, parts, client.Earliest()); err == nil {
		last, err = h.client.Offsets(ctx, parts, client.Latest())
	}
	return first, last, err
}

// tell has the plan take something in, wakes readers, and plans again. When the hub
// is closed nothing matters any more.
func (h *hub) tell(ctx context.Context, news func(now time.Time) []*feed) {
	if ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	wakes := wakesOf(news(time.Now()))
	h.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
	h.again()
}

// wakesOf is how to wake the readers of feeds.
func wakesOf(feeds []*feed) (wakes []func()) {
	for _, f := range feeds {
		if f.wake != nil {
			wakes = append(wakes, f.wake)
		}
	}
	return wakes
}

// add begins to fetch for a feed, or to wait until the group assigns its partition.
func (h *hub) add(f *feed) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.member != nil {
		if _, open := h.member.opened[f.tp]; open {
			return fmt.Errorf("read %s: two runs of one process can't share the topic by one source: want a source for each", f)
		}
		f.paused = true
		h.member.open(f.tp, f.fresh, time.Now())
	}
	h.plan.add(f)
	h.again()
	return nil
}

// remove ends that. done is a chunk that was taken and not given back; nil: none.
func (h *hub) remove(f *feed, done *chunk) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if done != nil {
		h.plan.release(done, time.Now())
	}
	h.plan.remove(f, time.Now())
	if h.member != nil {
		h.member.close(f.tp, time.Now())
		h.again()
	}
}

// taken is what a reader gets of its feed.
type taken struct {
	*chunk
	next     int64 // where the chunk begins, or what comes next will
	high     int64 // where the partition ends; -1 if it is not known
	caughtUp bool  // there is nothing more at the moment
}

// take gives done back, and takes what waits. wake is called when there is more.
func (h *hub) take(f *feed, done *chunk, wake func()) (taken, error) {
	h.mu.Lock()
	if done != nil {
		h.plan.release(done, time.Now())
	}
	f.wake = wake
	t := taken{f.queue, f.next, f.high, f.caughtUp()}
	if t.chunk != nil {
		t.next = t.from
	}
	f.queue = nil
	err := f.err
	h.mu.Unlock()
	if t.chunk != nil || done != nil {
		h.again()
	}
	if t.chunk != nil {
		return t, nil // what came before the error
	}
	return t, err
}

// seek has the feed fetched from another place, again.
func (h *hub) seek(f *feed, next int64) {
	h.mu.Lock()
	if f.queue != nil {
		h.plan.release(f.queue, time.Now())
	}
	f.seek(next)
	h.mu.Unlock()
	h.again()
}

// hubs holds the hub of a source while somebody uses it.
type hubs struct {
	mu    sync.Mutex // guards what follows
	cur   *hub
	users int
	close *time.Timer // of a hub that waits for its next user; nil: none does
}

// linger is how long a hub waits for its next user, if one is likely to come.
const linger = 100 * time.Millisecond

// use returns the hub, which is started for the first user.
func (u *hubs) use(r *reading, keeps bool) (h *hub, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cur == nil {
		if u.cur, err = startHub(r, keeps); err != nil {
			return nil, fmt.Errorf("%s: %w", r.address, err)
		}
	}
	if u.close != nil {
		u.close.Stop()
		u.close = nil
	}
	u.users++
	return u.cur, nil
}

// leave lets go of the hub. The last user closes it, and waits for that, unless more
// are to come soon: then it is kept for a moment, so that nothing has to be connected
// anew.
func (u *hubs) leave(more bool) {
	u.mu.Lock()
	u.users--
	h, last := u.cur, u.users == 0 && !more
	switch {
	case last:
		u.cur = nil
	case u.users == 0:
		u.close = time.AfterFunc(linger, func() { u.unused(h) })
	}
	u.mu.Unlock()
	if last {
		h.close()
	}
}

// unused closes a hub for which nobody came.
func (u *hubs) unused(h *hub) {
	u.mu.Lock()
	mine := u.cur == h && u.users == 0
	if mine {
		u.cur, u.close = nil, nil
	}
	u.mu.Unlock()
	if mine {
		h.close()
	}
}
