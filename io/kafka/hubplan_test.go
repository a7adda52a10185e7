package kafka

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
)

// A fetchSim is brokers, readers and a clock that all obey one random source.
type fetchSim struct {
	t    *testing.T
	rnd  *rand.Rand
	now  time.Time
	plan *plan
	logs []*fetchLog
	down map[int32]bool
	due  []fetchJob
	seed uint64
}

// fetchLog is a partition.
type fetchLog struct {
	tp     client.TopicPartition
	leader int32
	raw    [][]byte // batches
	ends   []int64  // behind each
	end    int64

	f    *feed
	held *chunk // the reader's
	read int64  // up to where the reader has read
}

type fetchJob struct {
	*job
	at time.Time
}

func (s *fetchSim) append(l *fetchLog) {
	var b batch.Builder
	b.Reset(nil)
	for range 1 + s.rnd.IntN(3) {
		size := s.rnd.IntN(2000)
		if s.rnd.IntN(50) == 0 {
			size = 50_000
		}
		b.Add(1, nil, make([]byte, size), nil)
	}
	raw := b.Finish(batch.None)
	at := l.end + s.rnd.Int64N(2) // a gap
	for i := range 8 {
		raw[i] = byte(at >> (56 - 8*i))
	}
	l.end = at + int64(batch.Count(raw))
	l.raw, l.ends = append(l.raw, raw), append(l.ends, l.end)
}

// answer is a broker's to a fetch, with its rules: never more than was asked for, but
// at least the first batch.
func (s *fetchSim) answer(j *job) (*client.FetchResponse, error) {
	if s.down[j.broker] {
		return nil, &client.Error{Code: client.CodeNetwork, Op: "fetch", Partition: -1, Broker: fmt.Sprint("broker", j.broker), Err: errors.New("refused")}
	}
	got := &client.FetchResponse{}
	left, first := j.request.MaxBytes, true
	for _, q := range j.request.Parts {
		l := s.log(q.Topic, q.Partition)
		part := client.FetchedPart{Topic: q.Topic, Partition: q.Partition, Preferred: -1, HighWatermark: l.end, LastStable: l.end}
		if l.leader != j.broker {
			part.Err = &client.Error{Code: 6, Op: "fetch", Topic: q.Topic, Partition: q.Partition}
			got.Parts = append(got.Parts, part)
			continue
		}
		from := len(got.Buf)
		room := min(left, q.MaxBytes)
		for i, raw := range l.raw {
			if l.ends[i] <= q.Offset {
				continue
			}
			if len(raw) <= room || first {
				got.Buf = append(got.Buf, raw...)
				room -= len(raw)
				left -= len(raw)
				first = false
				continue
			}
			if len(got.Buf) > from && room > 0 { // a piece of one
				got.Buf = append(got.Buf, raw[:room]...)
				left -= room
			}
			break
		}
		part.Raw = got.Buf[from:len(got.Buf):len(got.Buf)]
		got.Parts = append(got.Parts, part)
	}
	return got, nil
}

func (s *fetchSim) log(topic string, partition int32) *fetchLog {
	for _, l := range s.logs {
		if l.tp.Topic == topic && l.tp.Partition == partition {
			return l
		}
	}
	s.t.Fatalf("seed %d: nobody has %s/%d", s.seed, topic, partition)
	return nil
}

// step lets one thing happen.
func (s *fetchSim) step(calm bool) {
	jobs, again := s.plan.next(s.now)
	for _, j := range jobs {
		wait := time.Duration(s.rnd.IntN(30)) * time.Millisecond
		if j.kind == fetch && !s.hasNews(j) {
			wait += j.request.MaxWait
		}
		s.due = append(s.due, fetchJob{j, s.now.Add(wait)})
	}
	s.check()
	switch k := s.rnd.IntN(10); {
	case calm && k < 4 || k < 1:
		s.pass(again)
	case k < 4:
		if len(s.due) > 0 {
			i := s.rnd.IntN(len(s.due))
			j := s.due[i]
			s.due = slices.Delete(s.due, i, i+1)
			s.now = maxTime(s.now, j.at)
			s.finish(j.job)
		}
	case k < 8:
		s.readSome(s.logs[s.rnd.IntN(len(s.logs))])
	case calm:
	case k == 8:
		l := s.logs[s.rnd.IntN(len(s.logs))]
		if s.rnd.IntN(20) == 0 {
			l.leader = s.rnd.Int32N(3)
		} else if s.rnd.IntN(40) == 0 {
			s.down[s.rnd.Int32N(3)] = true
		}
	default:
		s.append(s.logs[s.rnd.IntN(len(s.logs))])
		if s.rnd.IntN(10) == 0 {
			clear(s.down)
		}
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pass lets time pass until something is due.
func (s *fetchSim) pass(again time.Time) {
	next := again
	for _, j := range s.due {
		if next.IsZero() || j.at.Before(next) {
			next = j.at
		}
	}
	s.now = maxTime(s.now, next)
	for i := 0; i < len(s.due); {
		if j := s.due[i]; !j.at.After(s.now) {
			s.due = slices.Delete(s.due, i, i+1)
			s.finish(j.job)
			continue
		}
		i++
	}
}

func (s *fetchSim) hasNews(j *job) bool {
	for _, q := range j.request.Parts {
		if l := s.log(q.Topic, q.Partition); l.end > q.Offset || l.leader != j.broker {
			return true
		}
	}
	return s.down[j.broker]
}

func (s *fetchSim) finish(j *job) {
	switch j.kind {
	case fetch:
		got, err := s.answer(j)
		s.plan.fetched(j, got, err, s.now)
	case locate:
		s.plan.located(j, func(f *feed) (int32, error) {
			if s.rnd.IntN(10) == 0 {
				return -1, &client.Error{Code: 5, Op: "ask for metadata", Topic: f.tp.Topic, Partition: f.tp.Partition}
			}
			return s.log(f.tp.Topic, f.tp.Partition).leader, nil
		}, s.now)
	default:
		s.t.Fatalf("seed %d: offsets are out of range", s.seed)
	}
}

// readSome is a reader that takes a chunk, or gives it back, having read it.
func (s *fetchSim) readSome(l *fetchLog) {
	require.NoError(s.t, l.f.err, "seed %d", s.seed)
	if l.held != nil {
		s.plan.release(l.held, s.now)
		l.held = nil
		return
	}
	if l.held = l.f.queue; l.held == nil {
		return
	}
	l.f.queue = nil
	require.Equal(s.t, l.read, l.held.from, "seed %d: %s", s.seed, l.f)
	var r batch.Reader
	r.Reset(l.held.raw, l.held.from, batch.Options{})
	var rec batch.Record
	for r.Next(&rec) {
	}
	require.NoError(s.t, r.Err(), "seed %d", s.seed)
	require.Greater(s.t, r.NextOffset(), l.read, "seed %d", s.seed)
	l.read = r.NextOffset()
}

// check compares what the plan believes with what is.
func (s *fetchSim) check() {
	used, under := 0, map[int32]int{}
	mems := map[*memory]int{}
	for _, j := range s.due {
		used += j.room
		if j.kind == fetch {
			under[j.broker]++
		}
	}
	for _, l := range s.logs {
		for _, c := range []*chunk{l.held, l.f.queue} {
			if c != nil {
				mems[c.mem]++
			}
		}
		if l.f.queue != nil && l.f.asked != nil {
			s.t.Fatalf("seed %d: %s is asked for while a chunk waits", s.seed, l.f)
		}
	}
	for m, n := range mems {
		used += m.size
		if n != m.refs {
			s.t.Fatalf("seed %d: memory of %d chunks has %d", s.seed, n, m.refs)
		}
	}
	if used != s.plan.used {
		s.t.Fatalf("seed %d: %d bytes are used, and the plan has %d", s.seed, used, s.plan.used)
	}
	for b, n := range under {
		if n > fetches || n != s.plan.fetching[b] {
			s.t.Fatalf("seed %d: %d fetches are under way to broker %d", s.seed, n, b)
		}
	}
}

// Goal: whatever brokers, readers and the network do, each partition's batches come
// whole, in order, once, and the plan's books are right. Method: all of it simulated.
func TestPlan_simulated(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := &fetchSim{t: t, rnd: rnd, now: time.Unix(1000, 0), down: map[int32]bool{}, seed: seed}
		r := &reading{budget: 100_000 << rnd.IntN(8), wait: 500 * time.Millisecond, patience: 24 * time.Hour}
		s.plan = newPlan(r, rnd.IntN(2) == 0)
		for i := range 1 + rnd.IntN(12) {
			l := &fetchLog{tp: client.TopicPartition{Topic: fmt.Sprint("t", rnd.IntN(3)), Partition: int32(i)}, leader: rnd.Int32N(3)}
			l.f = newFeed(l.tp, spot{0, -1, -1})
			s.logs = append(s.logs, l)
			s.plan.add(l.f)
		}
		for range 2000 {
			s.step(false)
		}
		clear(s.down)
		lags := func() bool { return slices.ContainsFunc(s.logs, func(l *fetchLog) bool { return l.read < l.end }) }
		for n := 0; lags(); n++ {
			if n > 100_000 {
				t.Fatalf("seed %d: it does not get to the end", seed)
			}
			s.step(true)
		}
	}
}

// Goal: memory stays within the budget whatever readers hold; if they hold all of it,
// those that have nothing get something nevertheless, but slowly.
func TestPlan_budget(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	s := &fetchSim{t: t, rnd: rnd, now: time.Unix(1000, 0), down: map[int32]bool{}}
	s.plan = newPlan(&reading{budget: 1 << 20, wait: 500 * time.Millisecond, patience: time.Hour}, false)
	for i := range 100 {
		l := &fetchLog{tp: client.TopicPartition{Topic: "t", Partition: int32(i)}, leader: int32(i % 3)}
		for range 3 {
			var b batch.Builder
			b.Reset(nil)
			b.Add(1, nil, make([]byte, 50_000), nil)
			raw := b.Finish(batch.None)
			raw[7] = byte(l.end)
			l.end++
			l.raw, l.ends = append(l.raw, raw), append(l.ends, l.end)
		}
		l.f = newFeed(l.tp, spot{0, -1, -1})
		s.logs = append(s.logs, l)
		s.plan.add(l.f)
	}
	began, holders := s.now, 0
	for range 20_000 {
		jobs, again := s.plan.next(s.now)
		for _, j := range jobs {
			s.due = append(s.due, fetchJob{j, s.now.Add(time.Millisecond)})
		}
		s.pass(again)
		s.check()
		holders = 0
		for _, l := range s.logs { // each takes one, and gives nothing back
			if l.held == nil {
				s.readSome(l)
			}
			if l.held != nil {
				holders++
			}
		}
		if holders == 100 {
			break
		}
		allowed := s.plan.room + 60_000*(int(s.now.Sub(began)/stall)+fetches*3)
		require.LessOrEqual(t, s.plan.used, allowed)
	}
	assert.Equal(t, 100, holders)
	assert.Greater(t, s.now.Sub(began), 40*stall, "batches for which there was no room came one at a time")
}

func fetchPlan(t *testing.T, reset placeKind) (*plan, *feed, *job, time.Time) {
	t.Helper()
	now := time.Unix(1000, 0)
	p := newPlan(&reading{budget: 64 << 20, wait: time.Second, patience: time.Minute, reset: Place{kind: reset}}, false)
	f := newFeed(client.TopicPartition{Topic: "orders", Partition: 3}, spot{42, 5, -1})
	p.add(f)
	jobs, _ := p.next(now)
	require.Len(t, jobs, 1)
	require.Equal(t, locate, jobs[0].kind)
	p.located(jobs[0], func(*feed) (int32, error) { return 1, nil }, now)
	jobs, _ = p.next(now)
	require.Len(t, jobs, 1)
	require.EqualValues(t, 5, jobs[0].request.Parts[0].LeaderEpoch)
	return p, f, jobs[0], now
}

func answerOf(part client.FetchedPart) *client.FetchResponse {
	part.Topic, part.Partition, part.Preferred = "orders", 3, -1
	return &client.FetchResponse{Parts: []client.FetchedPart{part}}
}

// Goal: what is told of a partition that is not as it was.
func TestPlan_outOfRange(t *testing.T) {
	for _, tc := range []struct {
		story       string
		first, last int64
		reset       placeKind
		want        string
		next        int64
	}{
		{"deleted by retention", 100, 200, nowhere, "read orders/3: offset 42 is to be read next, and the partition has offsets from 100 to 200: the records were deleted, by retention", 42},
		{"its end is lost", 0, 7, nowhere, "offsets from 0 to 7: the topic was made anew, or brokers lost its end", 42},
		{"goes on at the first", 100, 200, earliest, "", 100},
		{"goes on at the end", 100, 200, latest, "", 200},
		{"the broker was behind", 0, 200, nowhere, "", 42},
	} {
		t.Run(tc.story, func(t *testing.T) {
			p, f, j, now := fetchPlan(t, tc.reset)
			p.fetched(j, answerOf(client.FetchedPart{Err: &client.Error{Code: 1, Op: "fetch"}}), nil, now)
			jobs, _ := p.next(now)
			require.Len(t, jobs, 1)
			require.Equal(t, bounds, jobs[0].kind)
			at := func(o int64) map[client.TopicPartition]client.OffsetEpoch {
				return map[client.TopicPartition]client.OffsetEpoch{f.tp: {Offset: o}}
			}
			p.bounded(jobs[0], at(tc.first), at(tc.last), nil, now)
			if tc.want != "" {
				require.ErrorContains(t, f.err, tc.want)
				return
			}
			require.NoError(t, f.err)
			assert.Equal(t, tc.next, f.next)
			jobs, again := p.next(now)
			for len(jobs) == 0 {
				jobs, again = p.next(again)
			}
		})
	}
}

func TestPlan_diverged(t *testing.T) {
	p, f, j, now := fetchPlan(t, nowhere)
	p.fetched(j, answerOf(client.FetchedPart{Diverging: &client.EpochEnd{Epoch: 5, Offset: 30}}), nil, now)
	require.ErrorContains(t, f.err, "read orders/3: records that were read are gone: it was read up to offset 42, of leader epoch 5, but what the brokers have of epoch 5 ends at offset 30")
	jobs, again := p.next(now)
	assert.Empty(t, jobs, "it has failed")
	assert.Zero(t, again)

	p, f, j, now = fetchPlan(t, earliest)
	p.fetched(j, answerOf(client.FetchedPart{Diverging: &client.EpochEnd{Epoch: 5, Offset: 30}}), nil, now)
	jobs, _ = p.next(now)
	require.Equal(t, bounds, jobs[0].kind)
	p.bounded(jobs[0], map[client.TopicPartition]client.OffsetEpoch{f.tp: {Offset: 3}}, nil, nil, now)
	assert.EqualValues(t, 3, f.next)
}

// Goal: how long failures are borne, and what is said then.
func TestPlan_patience(t *testing.T) {
	for _, tc := range []struct {
		story  string
		err    *client.Error
		within time.Duration
		want   string
	}{
		{"unreachable", &client.Error{Code: client.CodeNetwork, Op: "fetch", Partition: -1, Broker: "10.0.0.7:9092", Err: errors.New("refused")}, time.Minute, "read orders/3: it can't be reached, for 1m"},
		{"deleted", &client.Error{Code: 3, Op: "fetch", Topic: "orders", Partition: 3}, unknownMost, "read orders/3: the topic was deleted, or"},
		{"forbidden", &client.Error{Code: 29, Op: "fetch", Topic: "orders", Partition: 3}, 0, "no right to the topic"},
	} {
		t.Run(tc.story, func(t *testing.T) {
			p, f, j, now := fetchPlan(t, nowhere)
			began := now
			for n := 0; f.err == nil; n++ {
				require.Less(t, n, 1000)
				switch j.kind {
				case fetch:
					p.fetched(j, answerOf(client.FetchedPart{Err: tc.err}), nil, now)
				case locate:
					p.located(j, func(*feed) (int32, error) { return 1, nil }, now)
				}
				jobs, again := p.next(now)
				for len(jobs) == 0 && f.err == nil {
					now = again
					jobs, again = p.next(now)
				}
				if f.err == nil {
					j = jobs[0]
				}
			}
			assert.InDelta(t, tc.within, now.Sub(began), float64(2*backoffMost))
			require.ErrorContains(t, f.err, tc.want)
			assert.True(t, tc.err.Broker == "" || strings.Contains(f.err.Error(), tc.err.Broker))
		})
	}
}

// Goal: a failure that ends is forgotten, and a leader that moves is asked at once.
func TestPlan_recovers(t *testing.T) {
	p, f, j, now := fetchPlan(t, nowhere)
	for range 100 {
		p.fetched(j, answerOf(client.FetchedPart{Err: &client.Error{Code: 6, Op: "fetch"}}), nil, now)
		jobs, again := p.next(now)
		require.Len(t, jobs, 1, "at once, but at %v", again)
		p.located(jobs[0], func(*feed) (int32, error) { return 2, nil }, now)
		jobs, _ = p.next(now)
		require.EqualValues(t, 2, jobs[0].broker)
		p.fetched(jobs[0], answerOf(client.FetchedPart{HighWatermark: 42, LastStable: 42}), nil, now)
		now = now.Add(time.Minute)
		jobs, _ = p.next(now)
		j = jobs[0]
	}
	require.NoError(t, f.err)
	assert.True(t, f.caughtUp())
	p.fetched(j, answerOf(client.FetchedPart{HighWatermark: 50, LastStable: 42}), nil, now)
	assert.False(t, f.caughtUp(), "a transaction is open")
}

// Goal: after a lost connection leaders are asked for anew: the client believes in the
// old ones.
func TestPlan_refreshes(t *testing.T) {
	p, f, j, now := fetchPlan(t, nowhere)
	p.fetched(j, nil, &client.Error{Code: client.CodeNetwork, Op: "fetch", Partition: -1, Err: errors.New("EOF")}, now)
	jobs, again := p.next(now)
	require.Empty(t, jobs)
	jobs, _ = p.next(again)
	require.Len(t, jobs, 1)
	assert.True(t, jobs[0].refresh)
	p.located(jobs[0], func(*feed) (int32, error) { return 2, nil }, again)
	assert.False(t, f.stale)
	assert.False(t, f.since.IsZero(), "it has not been reached yet")
}

// Goal: a broker that only sends what was asked for, even if it is a piece of a batch,
// is asked for more; one that says too much is not believed.
func TestPlan_largeBatch(t *testing.T) {
	p, f, j, now := fetchPlan(t, nowhere)
	var b batch.Builder
	b.Reset(nil)
	b.Add(1, nil, make([]byte, 20<<20), nil)
	raw := b.Finish(batch.None)
	raw[7] = 42
	for n := 0; f.queue == nil; n++ {
		require.Less(t, n, 3)
		piece := raw[:min(len(raw), j.request.MaxBytes, j.request.Parts[0].MaxBytes)]
		p.fetched(j, answerOf(client.FetchedPart{HighWatermark: 43, Raw: piece}), nil, now)
		if jobs, _ := p.next(now); len(jobs) > 0 {
			j = jobs[0]
		}
	}
	assert.EqualValues(t, 43, f.next)

	p, f, j, now = fetchPlan(t, nowhere)
	raw[8] = 0x7f
	p.fetched(j, answerOf(client.FetchedPart{HighWatermark: 43, Raw: raw[:1000]}), nil, now)
	require.ErrorContains(t, f.err, "the batch at offset 42 says that it has 21")
}

// Goal: partitions of two readers are not in one request, and the waiting fetch does
// not keep others from being sent.
func TestPlan_twins(t *testing.T) {
	p, f, j, now := fetchPlan(t, nowhere)
	twin := newFeed(f.tp, spot{7, -1, -1})
	p.add(twin)
	jobs, _ := p.next(now)
	p.located(jobs[0], func(*feed) (int32, error) { return 1, nil }, now)
	jobs, _ = p.next(now)
	require.Len(t, jobs, 1)
	assert.EqualValues(t, 7, jobs[0].request.Parts[0].Offset)
	third := newFeed(f.tp, spot{8, -1, -1})
	p.add(third)
	fourth := newFeed(f.tp, spot{9, -1, -1})
	p.add(fourth)
	located, _ := p.next(now)
	p.located(located[0], func(*feed) (int32, error) { return 1, nil }, now)
	last, _ := p.next(now)
	require.Len(t, last, 1)
	require.Len(t, last[0].request.Parts, 1)
	assert.Equal(t, quick, last[0].request.MaxWait, "others want to be sent")
	assert.Equal(t, time.Second, j.request.MaxWait)
	none, _ := p.next(now)
	assert.Empty(t, none)
}

// Goal: partitions whose batches are all larger than a fetch get their turns.
func TestPlan_fair(t *testing.T) {
	s := &fetchSim{t: t, rnd: rand.New(rand.NewPCG(1, 1)), now: time.Unix(1000, 0), down: map[int32]bool{}}
	s.plan = newPlan(&reading{budget: 1 << 20, wait: time.Second, patience: time.Hour}, false)
	for i := range 5 {
		l := &fetchLog{tp: client.TopicPartition{Topic: fmt.Sprint("t", i%2), Partition: int32(i)}, leader: 1}
		for n := range int64(100) {
			var b batch.Builder
			b.Reset(nil)
			b.Add(1, nil, make([]byte, 100_000), nil)
			raw := b.Finish(batch.None)
			raw[7] = byte(n)
			l.raw, l.ends, l.end = append(l.raw, raw), append(l.ends, n+1), n+1
		}
		l.f = newFeed(l.tp, spot{0, -1, -1})
		s.logs = append(s.logs, l)
		s.plan.add(l.f)
	}
	for range 50 {
		jobs, _ := s.plan.next(s.now)
		for _, j := range jobs {
			s.finish(j)
		}
		for _, l := range s.logs {
			s.readSome(l)
			if l.held != nil {
				s.readSome(l)
			}
		}
	}
	least, most := int64(1000), int64(0)
	for _, l := range s.logs {
		least, most = min(least, l.read), max(most, l.read)
	}
	assert.Greater(t, most, int64(3))
	assert.LessOrEqual(t, most-least, int64(1), "from %d to %d batches", least, most)
}

// Goal: a partition that brings little does not hold the buffer of one that brings much.
func TestPlan_memory(t *testing.T) {
	p := newPlan(&reading{budget: 64 << 20, wait: time.Second, patience: time.Minute}, false)
	now := time.Unix(1000, 0)
	small := newFeed(client.TopicPartition{Topic: "t", Partition: 0}, spot{0, -1, -1})
	large := newFeed(client.TopicPartition{Topic: "t", Partition: 1}, spot{0, -1, -1})
	p.add(small)
	p.add(large)
	jobs, _ := p.next(now)
	p.located(jobs[0], func(*feed) (int32, error) { return 1, nil }, now)
	jobs, _ = p.next(now)
	a, b := packed(batch.None, 1, "x"), packed(batch.None, 1, strings.Repeat("x", 1<<20))
	buf := slices.Concat(a, b)
	p.fetched(jobs[0], &client.FetchResponse{Buf: buf, Parts: []client.FetchedPart{
		{Topic: "t", Partition: 0, Raw: buf[:len(a)]}, {Topic: "t", Partition: 1, Raw: buf[len(a):]},
	}}, nil, now)
	assert.Equal(t, cap(buf)+len(a), p.used)
	p.release(large.queue, now)
	assert.Equal(t, len(a), p.used)
	require.Len(t, p.free, 1)
	clear(p.free[0][:cap(buf)]) // the next fetch writes there
	assert.Equal(t, a, small.queue.raw)
}
