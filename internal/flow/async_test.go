package flow

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// service answers n after n ms of the bubble's time, with its square.
type service struct{ calls, now, most atomic.Int64 }

func (s *service) square(ctx context.Context, n int) (int, error) {
	s.calls.Add(1)
	most := s.now.Add(1)
	defer s.now.Add(-1)
	for old := s.most.Load(); most > old && !s.most.CompareAndSwap(old, most); old = s.most.Load() {
	}
	if !sleep(ctx, time.Duration(n)*time.Millisecond) {
		return 0, ctx.Err()
	}
	return n * n, nil
}

// asyncConfig has room for calls, and no retries.
func asyncConfig(calls int) AsyncConfig {
	return AsyncConfig{Calls: calls, Batch: 1, CallPolicy: CallPolicy{Timeout: time.Second, First: 10 * time.Millisecond, Most: time.Second}}
}

func ordered(cfg AsyncConfig) AsyncConfig {
	cfg.Ordered = true
	return cfg
}

// asyncLane is an operator on a lane whose wake-ups are counted by a channel, and
// whose clock is the bubble's.
type asyncLane[A, B any] struct {
	*opened[A, B]
	woken  chan struct{}
	cancel context.CancelFunc
}

func openAsync[A, B any](t *testing.T, o graph.Op, change ...func(*graph.Run)) *asyncLane[A, B] {
	l := &asyncLane[A, B]{woken: make(chan struct{}, 1)}
	c := testLane(t, change...)
	c.Run.Context, l.cancel = context.WithCancel(context.Background())
	c.Run.Clock = func() int64 { return time.Now().UnixMilli() }
	c.Now = c.Run.Clock()
	c.Wake = func() {
		select {
		case l.woken <- struct{}{}:
		default:
		}
	}
	l.opened = open[A, B](c, o)
	return l
}

// round is what an engine does when it is woken.
func (l *asyncLane[A, B]) round() int64 {
	l.c.Now = l.c.Run.Clock()
	if a := l.live.(graph.Alarmer); l.c.Now > a.Alarm() {
		a.Ring(l.c)
	}
	l.live.(graph.Bundler).FinishBundle(l.c)
	return l.live.(graph.Holder).Output()
}

func (l *asyncLane[A, B]) close(t *testing.T) {
	require.NoError(t, l.live.(graph.Closer).Close(l.c))
	l.cancel()
}

// Goal: results leave as they come back, or in the order of the elements, each
// with its own time, window and pane, and not before the lane is woken.
// Method: elements whose calls take as many ms as their value.
func TestAsync_order(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  AsyncConfig
		want [][]got[int] // what has left after each wake-up
	}{
		"unordered": {asyncConfig(10), [][]got[int]{{{102, 1}}, {{102, 1}, {101, 4}}, {{102, 1}, {101, 4}, {100, 9}}}},
		"ordered":   {ordered(asyncConfig(10)), [][]got[int]{nil, nil, {{100, 9}, {101, 4}, {102, 1}}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := openAsync[int, int](t, Async(new(service).square, tc.cfg, cod[int](t)))
				for i, n := range []int{3, 2, 1} {
					l.push(100+int64(i), n)
				}
				l.round()
				require.Empty(t, l.out)
				for _, want := range tc.want {
					<-l.woken
					l.round()
					require.Equal(t, want, l.out)
				}
				l.close(t)
			})
		})
	}
}

func TestAsync_keepsWindowPaneAndSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type seen struct {
			win   window.Interval
			pane  window.Pane
			split int
		}
		var out []seen
		l := openAsync[int, int](t, Async(new(service).square, asyncConfig(10), cod[int](t)))
		in, live := Async(new(service).square, asyncConfig(10), cod[int](t)).Open(l.c, []any{Recv[int](func(c *graph.Ctx, v int) {
			out = append(out, seen{c.Win, c.Pane, c.Split})
		})})
		for i := range 2 {
			l.c.Win, l.c.Pane, l.c.Split = window.Interval{Start: int64(i), End: 10}, window.Pane{Index: int64(i)}, i
			recvOf[int](in[0])(l.c, 2-i)
		}
		before := *l.c
		live.(graph.Flusher).Flush(l.c)
		assert.Equal(t, []seen{{window.Interval{Start: 1, End: 10}, window.Pane{Index: 1}, 1}, {window.Interval{Start: 0, End: 10}, window.Pane{}, 0}}, out)
		assert.Equal(t, before.Win, l.c.Win, "the element at hand is the lane's again")
		assert.Equal(t, before.Pane, l.c.Pane)
		assert.Equal(t, before.Split, l.c.Split)
		require.NoError(t, live.(graph.Closer).Close(l.c))
		l.close(t)
	})
}

// Goal: never more than Calls in flight, and everything comes out. Method: many
// elements through few calls; recv waits for room.
func TestAsync_backpressure(t *testing.T) {
	for name, cfg := range map[string]AsyncConfig{"unordered": asyncConfig(3), "ordered": ordered(asyncConfig(3))} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s service
				l := openAsync[int, int](t, Async(s.square, cfg, cod[int](t)))
				var want []int
				for i := range 100 {
					n := i%7 + 1
					want = append(want, n*n)
					l.push(int64(i), n)
					require.LessOrEqual(t, s.now.Load(), int64(3))
				}
				l.live.(graph.Flusher).Flush(l.c)
				require.EqualValues(t, 3, s.most.Load())
				if !cfg.Ordered {
					slices.Sort(want)
					slices.SortFunc(l.out, func(a, b got[int]) int { return a.v - b.v })
				}
				require.Equal(t, want, l.values())
				l.close(t)
			})
		})
	}
}

// Goal: an ordered lane whose first call is slow does not gather results without
// end. Method: a slow first element, quick ones behind it; count what waits.
func TestAsync_orderedBoundsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s service
		cfg := ordered(asyncConfig(2))
		l := openAsync[int, int](t, Async(s.square, cfg, cod[int](t)))
		l.push(0, 900)
		for range 20 {
			l.push(0, 1)
			waiting := s.calls.Load() - int64(len(l.out))
			require.LessOrEqual(t, waiting, int64(waitingPerCall*2))
		}
		l.live.(graph.Flusher).Flush(l.c)
		require.Len(t, l.out, 21)
		l.close(t)
	})
}

// Goal: the output's watermark is never beyond an element that waits, never falls,
// and in the end is the input's (M13, M17).
func TestAsync_holdsTheWatermark(t *testing.T) {
	for name, cfg := range map[string]AsyncConfig{"unordered": asyncConfig(10), "ordered": ordered(asyncConfig(10))} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := openAsync[int, int](t, Async(new(service).square, cfg, cod[int](t)))
				l.advance(50)
				require.EqualValues(t, 50, l.round())
				l.push(60, 2)
				l.push(70, 1)
				l.advance(80)
				require.EqualValues(t, 60, l.round())
				<-l.woken // the one at 70
				require.EqualValues(t, 60, l.round())
				<-l.woken
				require.EqualValues(t, 80, l.round())
				l.push(30, 1) // late
				require.EqualValues(t, 80, l.round())
				l.advance(90)
				require.EqualValues(t, 80, l.round(), "a late element holds, too: it is not to become later")
				l.advance(window.MaxTime)
				require.EqualValues(t, 80, l.round())
				<-l.woken
				require.EqualValues(t, window.MaxTime, l.round())
				l.close(t)
			})
		})
	}
}

// What a call may come to, and how often it is made.
func TestAsync_failures(t *testing.T) {
	sick := errors.New("sick")
	wellAt := func(try int64) func(*service) func(context.Context, int) (int, error) {
		return func(s *service) func(context.Context, int) (int, error) {
			return func(context.Context, int) (int, error) {
				if s.calls.Add(1) < try {
					return 0, sick
				}
				return 7, nil
			}
		}
	}
	for name, tc := range map[string]struct {
		change func(*AsyncConfig)
		f      func(*service) func(context.Context, int) (int, error)
		calls  int64
		took   [2]time.Duration // at least, at most
		err    string           // "": it goes well
	}{
		"an error":                  {nil, wellAt(2), 1, [2]time.Duration{}, `element 5: sick`},
		"well at the third try":     {func(c *AsyncConfig) { c.Retries = 2 }, wellAt(3), 3, [2]time.Duration{15 * time.Millisecond, 30 * time.Millisecond}, ""},
		"sick for good":             {func(c *AsyncConfig) { c.Retries = 2 }, wellAt(9), 3, [2]time.Duration{15 * time.Millisecond, 30 * time.Millisecond}, `element 5: sick`},
		"pauses that stop growing":  {func(c *AsyncConfig) { c.Retries, c.Most = 4, 20*time.Millisecond }, wellAt(9), 5, [2]time.Duration{35 * time.Millisecond, 70 * time.Millisecond}, `element 5: sick`},
		"not worth another try":     {func(c *AsyncConfig) { c.Retries, c.RetryIf = 2, func(err error) bool { return err != sick } }, wellAt(2), 1, [2]time.Duration{}, `element 5: sick`},
		"a panic asking whether to": {func(c *AsyncConfig) { c.Retries, c.RetryIf = 2, func(error) bool { panic("oh") } }, wellAt(2), 1, [2]time.Duration{}, `element 5: panic: oh`},
		"too slow": {func(c *AsyncConfig) { c.Timeout = 20 * time.Millisecond }, func(s *service) func(context.Context, int) (int, error) {
			return func(ctx context.Context, _ int) (int, error) { return s.square(ctx, 1000) }
		}, 1, [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond}, "element 5: no answer within 20ms: context deadline exceeded"},
		"a panic, which is final": {func(c *AsyncConfig) { c.Retries = 2 }, func(s *service) func(context.Context, int) (int, error) {
			return func(context.Context, int) (int, error) { s.calls.Add(1); panic("no hope") }
		}, 1, [2]time.Duration{}, "element 5: panic: no hope"},
		"its goroutine ended": {nil, func(s *service) func(context.Context, int) (int, error) {
			return func(context.Context, int) (int, error) { s.calls.Add(1); runtime.Goexit(); return 0, nil }
		}, 1, [2]time.Duration{}, "element 5: the function ended its goroutine instead of returning"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s service
				cfg := asyncConfig(2)
				if tc.change != nil {
					tc.change(&cfg)
				}
				l := openAsync[int, int](t, Async(tc.f(&s), cfg, cod[int](t)))
				began := time.Now()
				l.push(0, 5)
				<-l.woken
				l.round()
				took := time.Since(began)
				assert.Equal(t, tc.calls, s.calls.Load())
				assert.GreaterOrEqual(t, took, tc.took[0])
				assert.LessOrEqual(t, took, tc.took[1])
				if tc.err == "" {
					require.NoError(t, l.c.Err())
					require.Equal(t, []int{7}, l.values())
				} else {
					require.ErrorContains(t, l.c.Err(), "op (x_test.go:1): "+tc.err)
					require.Empty(t, l.out)
					l.push(1, 6)
					require.Equal(t, tc.calls, s.calls.Load(), "behind a failure nothing is called")
				}
				l.close(t)
			})
		})
	}
}

// Goal: a lane that waits, for room or in Flush, unwinds when the run ends, and no
// goroutine is left. Method: calls that wait for their context; synctest fails on
// goroutines that are left.
func TestAsync_cancelled(t *testing.T) {
	for name, wait := range map[string]func(l *asyncLane[int, int]){
		"waiting for room": func(l *asyncLane[int, int]) { l.push(0, 1e6) },
		"in a flush":       func(l *asyncLane[int, int]) { l.live.(graph.Flusher).Flush(l.c) },
		"taking back what the end of the run has made fail": func(l *asyncLane[int, int]) {
			<-l.woken
			l.round()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := asyncConfig(1)
				cfg.Timeout, cfg.Retries = time.Hour, 3
				l := openAsync[int, int](t, Async(new(service).square, cfg, cod[int](t)))
				l.push(0, 1e6)
				time.AfterFunc(time.Second, l.cancel)
				require.PanicsWithError(t, graph.ErrStopped.Error(), func() { wait(l) })
				require.NoError(t, l.c.Err(), "the end of the run is no failure of an element")
				l.close(t)
			})
		})
	}
}

func TestAsync_closedWithCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openAsync[int, int](t, Async(new(service).square, asyncConfig(5), cod[int](t)))
		for range 5 {
			l.push(0, 500)
		}
		began := time.Now()
		l.close(t)
		require.Zero(t, time.Since(began))
		require.Empty(t, l.out)
	})
}

func TestAsync_carefully(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s service
		l := openAsync[int, int](t, Async(func(ctx context.Context, n int) (int, error) {
			if n == 2 {
				return 0, errors.New("odd, for an even number")
			}
			if n == 4 {
				panic("four")
			}
			return s.square(ctx, n)
		}, asyncConfig(5), cod[int](t)), careful)
		for n := range 6 {
			l.push(int64(n), n)
		}
		require.Equal(t, []got[int]{{0, 0}, {1, 1}, {3, 9}, {5, 25}}, l.out)
		letters := l.c.Run.Letters.Take()
		require.Len(t, letters, 2)
		assert.EqualError(t, letters[0].Err, "odd, for an even number")
		assert.Equal(t, "2", letters[0].Text)
		assert.Contains(t, letters[1].Stack, "async_test.go")
		assert.EqualValues(t, 1, s.most.Load())
		l.close(t)
	})
}

func TestAsyncCatch(t *testing.T) {
	for name, change := range map[string][]func(*graph.Run){"fast": nil, "careful": {careful}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := AsyncCatch(func(ctx context.Context, n int) (int, error) {
					if n%2 == 0 {
						return 0, fmt.Errorf("%d is even", n)
					}
					return new(service).square(ctx, n)
				}, func(n int, err error) string { return err.Error() }, asyncConfig(3), cod[int](t))
				l := openAsync[int, int](t, Async(new(service).square, asyncConfig(1), cod[int](t)), change...)
				var good, bad []string
				in, live := o.Open(l.c, []any{
					Recv[int](func(c *graph.Ctx, v int) { good = append(good, fmt.Sprint(c.TS, " ", v)) }),
					Recv[string](func(c *graph.Ctx, v string) { bad = append(bad, fmt.Sprint(c.TS, " ", v)) }),
				})
				for n := range 5 {
					l.c.TS = int64(10 * n)
					recvOf[int](in[0])(l.c, n)
				}
				live.(graph.Flusher).Flush(l.c)
				slices.Sort(bad)
				assert.Equal(t, []string{"10 1", "30 9"}, good)
				assert.Equal(t, []string{"0 0 is even", "20 2 is even", "40 4 is even"}, bad)
				require.NoError(t, l.c.Err())
				require.NoError(t, live.(graph.Closer).Close(l.c))
				l.close(t)
			})
		})
	}
}

// batches answers each element with the size of its batch.
func batches(_ context.Context, vs []int) ([]int, error) {
	out := make([]int, len(vs))
	for i := range out {
		out[i] = len(vs)
	}
	return out, nil
}

// When a batch is sent: when it is full, when it has waited for linger, at the end
// of a bundle without one, before a snapshot, and at the end of the input.
func TestAsyncBatch_isSent(t *testing.T) {
	for name, tc := range map[string]struct {
		linger time.Duration
		act    func(l *asyncLane[int, int])
		want   []int
	}{
		"full ones at once, the rest not yet": {time.Second, func(l *asyncLane[int, int]) { synctest.Wait(); l.round() }, []int{3, 3}},
		"the rest after linger": {time.Second, func(l *asyncLane[int, int]) {
			for l.round(); len(l.out) < 8; l.round() {
				a := l.live.(graph.Alarmer).Alarm()
				<-time.After(time.Duration(max(a+1-l.c.Now, 0)) * time.Millisecond)
				l.round()
				synctest.Wait()
			}
		}, []int{3, 3, 2}},
		"without linger at the end of the bundle": {0, func(l *asyncLane[int, int]) { l.round(); synctest.Wait(); l.round() }, []int{3, 3, 2}},
		"before a snapshot":                       {time.Second, func(l *asyncLane[int, int]) { l.live.(graph.Flusher).Flush(l.c) }, []int{3, 3, 2}},
		"at the end of the input":                 {time.Second, func(l *asyncLane[int, int]) { l.advance(window.MaxTime); synctest.Wait(); l.round() }, []int{3, 3, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := ordered(asyncConfig(4))
				cfg.Batch, cfg.Linger = 3, tc.linger
				l := openAsync[int, int](t, AsyncBatch(batches, cfg, cod[int](t)))
				for n := range 8 {
					l.push(0, n)
				}
				tc.act(l)
				var want []int
				for _, n := range tc.want {
					want = append(want, slices.Repeat([]int{n}, n)...)
				}
				require.Equal(t, want, l.values())
				l.close(t)
			})
		})
	}
}

func TestAsyncBatch_wrongNumberOfResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := asyncConfig(1)
		cfg.Batch, cfg.Retries = 2, 3
		l := openAsync[int, int](t, AsyncBatch(func(context.Context, []int) ([]int, error) { return []int{1}, nil }, cfg, cod[int](t)))
		l.push(0, 1)
		l.push(0, 2)
		l.live.(graph.Flusher).Flush(l.c)
		require.ErrorContains(t, l.c.Err(), "the function gave 1 results for 2 elements: it must give one for each, in their order")
		l.close(t)
	})
}

// mapCache remembers for ever.
type mapCache map[string]int

func (m mapCache) Get(k string, _ int64) (int, bool) { v, ok := m[k]; return v, ok }
func (m mapCache) Put(k string, v int, _ int64)      { m[k] = v }

// lengths answers each key with its length, after so many ms, and notes the calls.
type lengths struct {
	service
	mu    sync.Mutex
	asked [][]string
}

func (s *lengths) get(ctx context.Context, keys []string) ([]int, error) {
	s.mu.Lock()
	s.asked = append(s.asked, slices.Clone(keys))
	s.mu.Unlock()
	var out []int
	longest := 0
	for _, k := range keys {
		out, longest = append(out, len(k)), max(longest, len(k))
	}
	_, err := s.square(ctx, longest)
	return out, err
}

// Goal: what is known is not asked for, and what is being asked for is not asked
// for again, in any order and in batches. Method: keys whose answer takes as many
// ms as they are long; what has been asked, what came out, and what was counted.
func TestAsyncLookup(t *testing.T) {
	type in = coder.KV[string, int]
	type out = coder.KV[string, string]
	for name, tc := range map[string]struct {
		cfg    AsyncConfig
		cached bool
		push   []string // "" waits until all calls are back
		asked  [][]string
		want   []string
		counts map[string]int64
	}{
		"one key at a time is asked for once": {
			asyncConfig(5), false, []string{"aaa", "b", "aaa", "b", "", "b"},
			[][]string{{"aaa"}, {"b"}, {"b"}}, []string{"b 1=1", "b 3=1", "aaa 0=3", "aaa 2=3", "b 5=1"},
			map[string]int64{"cacheHits": 0, "sharedCalls": 2, "cacheMisses": 3},
		},
		"in order": {
			ordered(asyncConfig(5)), false, []string{"aaa", "b", "aaa", "b"},
			[][]string{{"aaa"}, {"b"}}, []string{"aaa 0=3", "b 1=1", "aaa 2=3", "b 3=1"},
			map[string]int64{"cacheHits": 0, "sharedCalls": 2, "cacheMisses": 2},
		},
		"with a cache": {
			asyncConfig(5), true, []string{"aaa", "b", "", "aaa", "b", "cc"},
			[][]string{{"aaa"}, {"b"}, {"cc"}}, []string{"b 1=1", "aaa 0=3", "aaa 3=3", "b 4=1", "cc 5=2"},
			map[string]int64{"cacheHits": 2, "sharedCalls": 0, "cacheMisses": 3},
		},
		"with a cache, in order: what is known waits for what is not": {
			ordered(asyncConfig(5)), true, []string{"b", "", "aaa", "b", "b"},
			[][]string{{"b"}, {"aaa"}}, []string{"b 0=1", "aaa 2=3", "b 3=1", "b 4=1"},
			map[string]int64{"cacheHits": 2, "sharedCalls": 0, "cacheMisses": 2},
		},
		"in batches": {
			func() AsyncConfig { c := asyncConfig(5); c.Batch, c.Linger = 2, time.Minute; return c }(), true,
			[]string{"a", "a", "a", "bb", "bb", "ccc", "bb", "", "ccc"},
			[][]string{{"a", "bb"}, {"ccc"}}, []string{"a 0=1", "a 1=1", "a 2=1", "bb 3=2", "bb 4=2", "bb 6=2", "ccc 5=3", "ccc 8=3"},
			map[string]int64{"cacheHits": 1, "sharedCalls": 4, "cacheMisses": 3},
		},
		"one call at a time, and the keys take turns: nothing to share": {
			asyncConfig(1), false, slices.Repeat([]string{"aa", "b"}, 10),
			[][]string{{"aa"}, {"b"}, {"aa"}, {"b"}, {"aa"}, {"b"}, {"aa"}, {"b"}, {"aa"}, {"b"}, {"aa"}, {"b"}, {"aa"}, {"b"}, {"aa"}, {"b"}, {"aa"}, {"b"}, {"aa"}, {"b"}}, nil,
			map[string]int64{"cacheHits": 0, "sharedCalls": 0, "cacheMisses": 20},
		},
		"what was asked for while an element waited for room": {
			asyncConfig(1), true, []string{"aa", "b", "aa", "b"},
			[][]string{{"aa"}, {"b"}}, []string{"aa 0=2", "aa 2=2", "b 1=1", "b 3=1"},
			map[string]int64{"cacheHits": 1, "sharedCalls": 1, "cacheMisses": 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s lengths
				look := Lookup[string, int, int, string]{Get: s.get, Join: func(k string, i, n int) (string, bool) { return fmt.Sprintf("%s %d=%d", k, i, n), true }}
				if tc.cached {
					look.NewCache = func() Cache[string, int] { return mapCache{} }
				}
				l := openAsync[in, out](t, AsyncLookup(look, tc.cfg, cod[in](t)))
				for i, k := range tc.push {
					if k == "" {
						l.live.(graph.Flusher).Flush(l.c)
						continue
					}
					l.push(int64(i), in{Key: k, Value: i})
					synctest.Wait() // the calls begin in the order of the elements
				}
				l.live.(graph.Flusher).Flush(l.c)
				assert.Equal(t, tc.asked, s.asked)
				if tc.want != nil {
					var got []string
					for _, o := range l.out {
						got = append(got, o.v.Value)
					}
					assert.Equal(t, tc.want, got)
				}
				counts := map[string]int64{}
				for _, m := range l.c.Run.Metrics.Snapshot() {
					if _, ok := tc.counts[m.Name]; ok {
						counts[m.Name] = m.Sum
					}
				}
				assert.Equal(t, tc.counts, counts)
				l.close(t)
			})
		})
	}
}

// Goal: an ordered lane full of what waits for a begun batch sends the batch,
// rather than to wait for company for ever. Method: one key many times over.
func TestAsyncLookup_fullOfOneKey(t *testing.T) {
	type in = coder.KV[string, int]
	synctest.Test(t, func(t *testing.T) {
		var s lengths
		cfg := asyncConfig(1)
		cfg.Batch, cfg.Linger = 2, time.Hour
		l := openAsync[in, coder.KV[string, int]](t, AsyncLookup(Lookup[string, int, int, int]{Get: s.get, Join: func(_ string, i, _ int) (int, bool) { return i, true }}, cfg, cod[in](t)))
		for i := range 20 {
			l.push(0, in{Key: "a", Value: i})
		}
		l.live.(graph.Flusher).Flush(l.c)
		require.Len(t, l.out, 20)
		require.Less(t, len(s.asked), 5)
		l.close(t)
	})
}

func TestAsyncLookup_hitsAllocateNothing(t *testing.T) {
	type in = coder.KV[string, int]
	c := testLane(t)
	look := Lookup[string, int, int, int]{Join: func(_ string, i, n int) (int, bool) { return i + n, true }, NewCache: func() Cache[string, int] { return mapCache{"a": 1} }}
	ins, live := AsyncLookup(look, asyncConfig(5), cod[in](t)).Open(c, []any{Recv[coder.KV[string, int]](func(*graph.Ctx, coder.KV[string, int]) {})})
	recv, v := recvOf[in](ins[0]), in{Key: "a", Value: 1}
	assert.Zero(t, testing.AllocsPerRun(1000, func() { recv(c, v) }))
	require.NoError(t, live.(graph.Closer).Close(c))
}

// What is counted of calls that don't go well at once.
func TestAsync_metrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := asyncConfig(4)
		cfg.Retries, cfg.Timeout = 1, 10*time.Millisecond
		var tries atomic.Int64
		l := openAsync[int, int](t, Async(func(ctx context.Context, n int) (int, error) {
			if tries.Add(1) == 1 {
				return new(service).square(ctx, 1000)
			}
			return n, nil
		}, cfg, cod[int](t)))
		l.push(0, 1)
		l.live.(graph.Flusher).Flush(l.c)
		got := map[string]int64{}
		for _, m := range l.c.Run.Metrics.Snapshot() {
			got[m.Name] = m.Sum
		}
		assert.Equal(t, map[string]int64{"retries": 1, "timeouts": 1, "failedCalls": 0, "inFlight": 1, "callMs": 0}, got)
		l.close(t)
	})
}
