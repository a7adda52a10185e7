package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/paced"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

// movable is a pipeline over the numbers below n, which come as far as due says, and the
// lines that it has to write.
type movable struct {
	name   string
	n      int
	splits int
	build  func(p *pipeline.Pipeline, numbers pipeline.PCollection[uint64]) pipeline.PCollection[string]
	want   func(n int) []string
	fused  bool // sinks are on the lanes of keys
}

const movedSplits = 6

// movables are what is kept by key, of every kind.
var movables = []movable{
	{"state and order over two shuffles", 18_000, movedSplits, inOrder, inOrderLines, false},
	{"order up to a sink", 18_000, movedSplits, inOrder, inOrderLines, true},
	{"windows and sums of them", 18_000, movedSplits, inWindows, inWindowsLines, false},
	{"sliding windows", 18_000, movedSplits, sliding, slidingLines, false},
	{"sessions", 18_000, movedSplits, sessions, sessionsLines, false},
	{"event timers", 18_000, movedSplits, eventTimers, eventTimersLines, false},
	{"timers by the clock", 12_000, movedSplits, clockTimers, func(n int) (want []string) {
		for v := range n {
			want = append(want, fmt.Sprintf("%06d", v))
		}
		return want
	}, false},
	{"side inputs", 18_000, 1, sideInputs, func(n int) []string {
		_, want := sided(nil, n, nil)
		return want
	}, false},
}

// inOrder numbers the elements of each key, and those of each group of keys by key; what comes
// in another order than it was sent is said.
func inOrder(_ *pipeline.Pipeline, numbers pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	byKey := pipeline.Stateful(pipeline.KeyBy(numbers, func(v uint64) uint64 { return v % 48 }), "of key", func(s *pipeline.Setup[uint64, pipeline.KV[uint64, int]]) pipeline.Process[uint64, uint64, pipeline.KV[uint64, int]] {
		n, last := pipeline.ValueState[int](s, "n"), pipeline.MapState[uint64, uint64](s, "last")
		return func(c *pipeline.Ctx[uint64], v uint64, emit pipeline.Emit[pipeline.KV[uint64, int]]) error {
			if was, ok := last.Get(c, v%movedSplits); ok && was >= v {
				return fmt.Errorf("number %d of key %d comes behind %d", v, c.Key(), was)
			}
			last.Put(c, v%movedSplits, v)
			n.Set(c, n.Get(c)+1)
			emit(pipeline.KV[uint64, int]{Key: c.Key(), Value: n.Get(c)})
			return nil
		}
	})
	byGroup := pipeline.KeyBy(byKey, func(kv pipeline.KV[uint64, int]) uint64 { return kv.Key % 7 })
	return pipeline.Stateful(byGroup, "of group", func(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, pipeline.KV[uint64, int], string] {
		last := pipeline.MapState[uint64, int](s, "last")
		return func(c *pipeline.Ctx[uint64], kv pipeline.KV[uint64, int], emit pipeline.Emit[string]) error {
			was, _ := last.Get(c, kv.Key)
			if kv.Value != was+1 {
				return fmt.Errorf("number %d of key %d comes behind %d", kv.Value, kv.Key, was)
			}
			last.Put(c, kv.Key, kv.Value)
			emit(line(int(kv.Key), kv.Value))
			return nil
		}
	})
}

func inOrderLines(n int) (want []string) {
	for v := range n {
		want = append(want, line(v%48, v/48+1))
	}
	return want
}

// timed gives each number its own time, in ms.
func timed(numbers pipeline.PCollection[uint64], at func(v uint64) int64) pipeline.PCollection[uint64] {
	return pipeline.EventTimeMs(numbers, at)
}

func itself(v uint64) int64 { return int64(v) }

const windowMs = 250

// inWindows sums each key's numbers in windows, lists them, and sums the sums of all.
func inWindows(_ *pipeline.Pipeline, numbers pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	windows := window.Fixed(windowMs * time.Millisecond)
	byKey := pipeline.KeyBy(timed(numbers, itself), func(v uint64) uint64 { return v % 48 }).Windowed(windows)
	sums := transforms.Sum(byKey)
	all := pipeline.KeyBy(pipeline.Pairs(sums), func(kv pipeline.KV[uint64, uint64]) uint64 { return kv.Key % 5 })
	total := transforms.Sum(pipeline.MapValues(all, func(kv pipeline.KV[uint64, uint64]) uint64 { return kv.Value }))
	lists := pipeline.MapKV(pipeline.GroupByKey(byKey), func(k uint64, vs iter.Seq[uint64]) string {
		list := slices.Sorted(vs)
		return fmt.Sprintf("list %d: %v", k, list)
	})
	return pipeline.Flatten(lists, pipeline.MapKV(total, func(k, sum uint64) string { return fmt.Sprintf("sum %d: %d", k, sum) }))
}

func inWindowsLines(n int) (want []string) {
	for first := 0; first < n; first += windowMs {
		lists, sums := map[int][]int{}, map[int]int{}
		for v := first; v < min(first+windowMs, n); v++ {
			lists[v%48] = append(lists[v%48], v)
			sums[v%48%5] += v
		}
		for k, list := range lists {
			want = append(want, fmt.Sprintf("list %d: %v", k, list))
		}
		for k, sum := range sums {
			want = append(want, fmt.Sprintf("sum %d: %d", k, sum))
		}
	}
	return want
}

// sliding sums each key's numbers in windows of two periods.
func sliding(_ *pipeline.Pipeline, numbers pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	windows := window.Sliding(2*windowMs*time.Millisecond, windowMs*time.Millisecond)
	sums := transforms.Sum(pipeline.KeyBy(timed(numbers, itself), func(v uint64) uint64 { return v % 48 }).Windowed(windows))
	return pipeline.MapKV(sums, func(k, sum uint64) string { return fmt.Sprintf("%d: %d", k, sum) })
}

func slidingLines(n int) (want []string) {
	for first := -windowMs; first < n; first += windowMs {
		sums := map[int]int{}
		for v := max(first, 0); v < min(first+2*windowMs, n); v++ {
			sums[v%48] += v
		}
		for k, sum := range sums {
			want = append(want, fmt.Sprintf("%d: %d", k, sum))
		}
	}
	return want
}

const sessionOf = 480 // numbers in a session, of all keys

// sessions counts and sums each key's numbers between pauses.
func sessions(_ *pipeline.Pipeline, numbers pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	paused := timed(numbers, func(v uint64) int64 { return int64(v + v/sessionOf*1000) })
	byKey := pipeline.KeyBy(paused, func(v uint64) uint64 { return v % 48 }).Windowed(window.Sessions(300 * time.Millisecond))
	return pipeline.MapKV(transforms.Sum(byKey), func(k, sum uint64) string { return fmt.Sprintf("%d: %d", k, sum) })
}

func sessionsLines(n int) (want []string) {
	for first := 0; first < n; first += sessionOf {
		sums := map[int]int{}
		for v := first; v < min(first+sessionOf, n); v++ {
			sums[v%48] += v
		}
		for k, sum := range sums {
			want = append(want, fmt.Sprintf("%d: %d", k, sum))
		}
	}
	return want
}

// eventTimers counts each key's numbers between two times of timers.
func eventTimers(_ *pipeline.Pipeline, numbers pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	byKey := pipeline.KeyBy(timed(numbers, itself), func(v uint64) uint64 { return v % 48 })
	return pipeline.Stateful(byKey, "count", func(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, uint64, string] {
		count := pipeline.MapState[string, int](s, "count")
		due := pipeline.EventTimerFamily(s, "due", func(c *pipeline.Ctx[uint64], tag string, emit pipeline.Emit[string]) error {
			n, _ := count.Get(c, tag)
			count.Remove(c, tag)
			emit(fmt.Sprintf("%d until %s: %d", c.Key(), tag, n))
			return nil
		})
		return func(c *pipeline.Ctx[uint64], v uint64, _ pipeline.Emit[string]) error {
			until := v/windowMs*windowMs + windowMs
			tag := fmt.Sprint(until)
			n, _ := count.Get(c, tag)
			count.Put(c, tag, n+1)
			due.SetMs(c, tag, int64(until))
			return nil
		}
	})
}

func eventTimersLines(n int) (want []string) {
	for first := 0; first < n; first += windowMs {
		counts := map[int]int{}
		for v := first; v < min(first+windowMs, n); v++ {
			counts[v%48]++
		}
		for k, n := range counts {
			want = append(want, fmt.Sprintf("%d until %d: %d", k, first+windowMs, n))
		}
	}
	return want
}

// clockTimers keeps each key's numbers until a timer by the clock lets go of them.
func clockTimers(_ *pipeline.Pipeline, numbers pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	byKey := pipeline.KeyBy(timed(numbers, itself), func(v uint64) uint64 { return v % 48 })
	return pipeline.Stateful(byKey, "keep", func(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, uint64, string] {
		kept := pipeline.BagState[uint64](s, "kept")
		due := pipeline.ProcessingTimer(s, "due", func(c *pipeline.Ctx[uint64], emit pipeline.Emit[string]) error {
			for _, v := range kept.Get(c) {
				emit(fmt.Sprintf("%06d", v))
			}
			kept.Clear(c)
			return nil
		})
		return func(c *pipeline.Ctx[uint64], v uint64, _ pipeline.Emit[string]) error {
			if kept.Add(c, v); v%5 == 0 {
				due.SetAfter(c, 30*time.Millisecond)
			} else if _, set := due.Get(c); !set {
				due.SetAfter(c, 30*time.Millisecond)
			}
			return nil
		}
	})
}

// sideInputs has each number ask for the sum of its window and for another one.
func sideInputs(p *pipeline.Pipeline, numbers pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	return sidedOf(p, numbers)
}

// move moves key groups as often as times says, while the numbers come that are left for each
// time. kill, if it is not nil, kills somebody: as they begin to move, when input waits for them
// in the record of a slot, or when they have moved. Then slot is that one, and else any. It gives
// how often groups have moved.
func (m *movable) move(j *job, times int, r *rand.Rand, kill func(slot int)) (out *ledger, moved int) {
	out = &ledger{shown: map[uint64][]string{}}
	due := &atomic.Int64{}
	j.build = func() *pipeline.Pipeline {
		p := pipeline.New()
		numbers := pipeline.Read(p, "numbers", paced.Numbers{Parts: uint64(m.splits), Due: func(uint64, time.Duration) (uint64, bool) {
			n := due.Load()
			return uint64(n), n == int64(m.n)
		}})
		lines := m.build(p, numbers)
		if !m.fused {
			lines = pipeline.Reshuffle(lines)
		}
		pipeline.Write(lines, "test.Write", out)
		return p
	}
	j.chaos = func(ctx context.Context) {
		defer due.Store(int64(m.n))
		after := held.Cut(0)
		for i := range times {
			if !j.until(ctx, func() (yes bool) { after, yes, _ = j.settledAt(after); return yes }) {
				return
			}
			due.Store(int64(m.n * (i + 1) / (times + 1)))
			was := j.record(ctx).Groups
			shares := make([]int, j.slots)
			for s := range shares {
				shares[s] = r.IntN(4)
			}
			shares[r.IntN(j.slots)]++
			want := held.Spread(was.Owner, shares)
			if j.shares.Store(&shares); !slices.Equal(want, was.Owner) {
				moved++
			}
			there := func() bool {
				job := j.record(ctx)
				return job.Settled && slices.Equal(job.Groups.Owner, want)
			}
			if kill != nil {
				slot, due := r.IntN(j.slots), there
				switch r.IntN(3) {
				case 0:
					due = func() bool { return j.record(ctx).Groups.Version > was.Version || there() }
				case 1:
					due = func() bool {
						parks := j.parks()
						if parks >= 0 {
							slot = parks
						}
						return parks >= 0 || there()
					}
				}
				if !j.until(ctx, due) {
					return
				}
				kill(slot)
				j.kills++
			}
			if !j.until(ctx, there) {
				return
			}
		}
	}
	j.run()
	return out, moved
}

// parks is a slot in whose record input waits for a key group; -1: there is none.
func (j *job) parks() int {
	for i := range j.hosts {
		h := j.hosts[i].Load()
		h.mu.Lock()
		parks := slices.ContainsFunc(h.core.Record().Groups.Await, func(a held.Await) bool { return slices.Max(append(a.Parked, 0)) > 0 })
		h.mu.Unlock()
		if parks && h.ctx.Err() == nil {
			return i
		}
	}
	return -1
}

// settledAt is settled, and gives after where it is not so.
func (j *job) settledAt(after held.Cut) (cut held.Cut, yes, over bool) {
	cut, yes, over = j.settled(after)
	if !yes {
		cut = after
	}
	return cut, yes, over
}

// Goal: key groups move between slots again and again, while elements flow, and what comes out
// is exact: state, timers, windows, side inputs, and the order within each key.
func TestRun_groupsMove(t *testing.T) {
	if testing.Short() {
		t.Skip("TestRun_groupsMoveKilled moves all of them, too")
	}
	for _, m := range movables {
		t.Run(m.name, func(t *testing.T) {
			require.NoError(t, engine.Movable(graphOf(&m)))
			j := newJob(t, 3, 2, nil).small()
			out, moved := m.move(j, 6, rand.New(rand.NewPCG(1, 11)), nil)
			checkMoved(t, &m, j, out, moved)
		})
	}
}

// Goal: groups stay where a transform may hold the watermark back for a key, and another one
// goes by that; it is said which.
func TestMovable_not(t *testing.T) {
	p := pipeline.New()
	numbers := pipeline.GenerateSequence(p, 10)
	lines := pipeline.KeyBy(clockTimers(p, numbers), func(s string) string { return s[:1] })
	require.NoError(t, engine.Movable(p.Graph()))
	pipeline.GroupByKey(lines, pipeline.Named("group"))
	require.NoError(t, engine.Movable(p.Graph()), "it fires at the end only")
	pipeline.GroupByKey(lines.Windowed(window.Fixed(time.Second)), pipeline.Named("group windows"))
	require.EqualError(t, engine.Movable(p.Graph()), "keep may hold the watermark back for a key, and group windows goes by it")
}

func graphOf(m *movable) *graph.Graph {
	p := pipeline.New()
	numbers := pipeline.Read(p, "numbers", paced.Numbers{Parts: uint64(m.splits)})
	pipeline.Write(m.build(p, numbers), "test.Write", &ledger{})
	return p.Graph()
}

func checkMoved(t *testing.T, m *movable, j *job, out *ledger, moved int) {
	t.Helper()
	want := m.want(m.n)
	slices.Sort(want)
	got := out.lines()
	require.True(t, slices.Equal(want, got), "%d lines, want %d: %v", len(got), len(want), firstDifference(want, got))
	if m.fused {
		next := map[string]int{}
		for _, l := range out.inOrder() {
			key, nth, _ := strings.Cut(l, " ")
			n, err := strconv.Atoi(nth)
			require.NoError(t, err)
			next[key]++
			require.Equal(t, next[key], n, "of key %s", key)
		}
	}
	version := held.Version(0)
	for i := range j.hosts {
		version = max(version, j.hosts[i].Load().core.Groups().Version)
	}
	require.GreaterOrEqual(t, int(version), moved)
	require.Positive(t, moved)
}

// firstDifference is where two lists differ first.
func firstDifference(want, got []string) string {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return fmt.Sprintf("line %d is %q, want %q", i, got[i], want[i])
		}
	}
	return "one has more"
}

// Goal: the same, while slots are killed, one at a time, and the leader, as groups are on their
// way; with standbys and without.
func TestRun_groupsMoveKilled(t *testing.T) {
	for seed := range uint64(max(*seeds, len(movables))) {
		m := movables[int(seed)%len(movables)]
		t.Run(fmt.Sprintf("seed %d %s", seed, m.name), func(t *testing.T) {
			j := newJob(t, 3, 2, nil).small()
			r := rand.New(rand.NewPCG(seed, 11))
			if j.warm = r.IntN(2) == 0; r.IntN(2) == 0 {
				j.chunks = 0
			}
			out, moved := m.move(j, 6, r, func(slot int) {
				if r.IntN(6) == 0 {
					slot = j.slots // the leader
				}
				j.killOne(slot)
			})
			checkMoved(t, &m, j, out, moved)
			require.Zero(t, j.meter.Rollbacks.Load(), "single failures send nobody back")
		})
	}
}

// Goal: the same, while two slots die at once, so that all go back to the last cut, where groups
// may be on their way.
func TestRun_groupsMoveBack(t *testing.T) {
	for seed := range uint64(fewer(*seeds)) {
		m := movables[int(seed)%len(movables)]
		t.Run(fmt.Sprintf("seed %d %s", seed, m.name), func(t *testing.T) {
			j := newJob(t, 3, 2, nil).small()
			r := rand.New(rand.NewPCG(seed, 12))
			out, moved := m.move(j, 6, r, func(slot int) {
				j.killOne(slot)
				j.killOne((slot + 1 + r.IntN(2)) % 3)
			})
			checkMoved(t, &m, j, out, moved)
			t.Logf("%d times all went back", j.meter.Rollbacks.Load())
		})
	}
}

// Goal: the same where copies of everything are made, and all die at once; nobody goes back.
func TestRun_groupsMoveLogged(t *testing.T) {
	for seed := range uint64(fewer(*seeds)) {
		m := movables[int(seed)%len(movables)]
		t.Run(fmt.Sprintf("seed %d %s", seed, m.name), func(t *testing.T) {
			j := newJob(t, 3, 2, nil).small()
			j.logged, j.epochSinks, j.copiesMost = true, seed%2 == 0, 4<<10
			out, moved := m.move(j, 6, rand.New(rand.NewPCG(seed, 13)), func(int) {
				for who := range j.kill {
					j.killOne(who)
				}
			})
			checkMoved(t, &m, j, out, moved)
			require.Zero(t, j.meter.Rollbacks.Load())
		})
	}
}

// Goal: the same while user code fails, and what fails is found by taking over slots and
// replaying.
func TestRun_groupsMoveReplayed(t *testing.T) {
	m := movable{"poisoned", 6_000, movedSplits, poisoned, nil, false}
	m.want = func(n int) (want []string) {
		for v := range n {
			if v%701 != 5 {
				want = append(want, fmt.Sprint("good ", v))
			} else {
				want = append(want, "bad")
			}
		}
		return want
	}
	j := newJob(t, 3, 2, nil).small()
	j.onError = engine.DeadLetter
	out, moved := m.move(j, 4, rand.New(rand.NewPCG(3, 14)), nil)
	checkMoved(t, &m, j, out, moved)
}

// poisoned passes on what is not poison, behind a state.
func poisoned(p *pipeline.Pipeline, numbers pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	byKey := pipeline.KeyBy(numbers, func(v uint64) uint64 { return v % 48 })
	good := pipeline.Stateful(byKey, "check", func(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, uint64, string] {
		n := pipeline.ValueState[int](s, "n")
		return func(c *pipeline.Ctx[uint64], v uint64, emit pipeline.Emit[string]) error {
			n.Set(c, n.Get(c)+1)
			if v%701 == 5 {
				return errors.New("poison")
			}
			emit(fmt.Sprint("good ", v))
			return nil
		}
	})
	return pipeline.Flatten(good, pipeline.Map(pipeline.DeadLetters(p), func(pipeline.DeadLetter) string { return "bad" }))
}
