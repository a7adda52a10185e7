package pipelinetest_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// The rules of docs/semantics.md that the scenarios of package conformance can't
// say, by number.

const ms = time.Millisecond

func all(int64) string { return "all" }

// list is the values of a group, sorted.
func list[K comparable](k K, vs iter.Seq[int64]) string { return fmt.Sprint(k, slices.Sorted(vs)) }

// The example of the package comment.
func TestScript_exampleInThePackageComment(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[string](t)
		s.AddMs(1_000, "a", "b", "a")
		closed := s.AdvanceWatermarkMs(60_000)
		s.AddMs(2_000, "too late")

		words := pipelinetest.Stream(p, s).Windowed(window.Fixed(time.Minute))
		counts := pipeline.Pairs(transforms.Count(pipeline.KeyBy(words, strings.ToLower)))
		pipelinetest.EmptyBefore(t, counts, closed)
		pipelinetest.EqualAt(t, counts, closed, pipeline.NewKV("a", int64(2)), pipeline.NewKV("b", int64(1)))
	})
}

// M28: exactly the (element, window) pairs that were dropped, with the watermark
// and the reason, once, at the element's own time. M24, M53: they are counted.
func TestLate_isAnOutputAndCounted(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(7, 1)
		s.AdvanceWatermarkMs(11)
		late := s.AddMs(7, 2) // late for [0,10), in time for [5,15)
		both := s.AddMs(3, 3) // late for [-5,5) and [0,10)
		fired := s.AdvanceWatermarkMs(15)

		var dropped pipeline.Keyed[string, pipeline.Late[int64]]
		n := pipeline.KeyBy(pipelinetest.Stream(p, s).Windowed(window.Sliding(10*ms, 5*ms)), all)
		groups := pipeline.MapKV(pipeline.GroupByKey(n, pipeline.LateTo(&dropped)), list[string])
		pipelinetest.EqualAt(t, groups, fired, "all[1 2]")
		first, second := window.Interval{Start: -5, End: 5}, window.Interval{Start: 0, End: 10}
		out := func(v, ts int64, w window.Interval, step pipelinetest.Step) pipelinetest.Output[pipeline.Late[int64]] {
			return pipelinetest.Output[pipeline.Late[int64]]{Value: pipeline.Late[int64]{Value: v, Window: w, Watermark: 11}, Window: window.Global, TimestampMs: ts, Step: step}
		}
		values := pipeline.MapKV(dropped, func(_ string, l pipeline.Late[int64]) pipeline.Late[int64] { return l })
		pipelinetest.EqualOutputs(t, values, out(2, 7, second, late), out(3, 3, first, both), out(3, 3, second, both))
		pipelinetest.EqualCounter(t, "droppedDueToLateness", 3)
		pipelinetest.EqualCounter(t, "droppedDueToClosedWindow", 0)
	})
}

func TestLate_closedWindow(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(1, 1)
		s.AddMs(2, 2)
		s.AddMs(3, 3)
		s.AdvanceWatermarkMs(12)
		s.AddMs(4, 4)

		var dropped pipeline.Keyed[string, pipeline.Late[int64]]
		n := pipeline.KeyBy(pipelinetest.Stream(p, s), all).Windowed(window.Fixed(10*ms), window.Triggering(window.AfterCount(2)), window.AllowUnsafeTrigger())
		pipelinetest.EqualKeyed(t, pipeline.CombinePerKey(n, sum, pipeline.LateTo(&dropped)), map[string]int64{"all": 3})
		w := window.Interval{Start: 0, End: 10}
		pipelinetest.Equal(t, pipeline.Pairs(dropped),
			pipeline.NewKV("all", pipeline.Late[int64]{Value: 3, Window: w, Watermark: window.MinTime, Closed: true}),
			pipeline.NewKV("all", pipeline.Late[int64]{Value: 4, Window: w, Watermark: 12}))
		pipelinetest.EqualCounter(t, "droppedDueToClosedWindow", 1)
		pipelinetest.EqualCounter(t, "droppedDueToLateness", 1)
	})
}

// A window function of the user's own, whose windows merge: from the first element
// of a hundred to the hundred's end. M9, M10.
func TestCustomMergingWindows(t *testing.T) {
	assign := func(ts int64, dst []window.Interval) []window.Interval {
		return append(dst, window.Interval{Start: ts, End: ts - ts%100 + 100})
	}
	merge := func(ws []window.Interval, merge func(window.Interval, ...window.Interval)) {
		by := map[int64][]window.Interval{}
		for _, w := range ws {
			by[w.End] = append(by[w.End], w)
		}
		for _, same := range by {
			if len(same) > 1 {
				merge(window.Interval{Start: same[0].Start, End: same[0].End}, same...)
			}
		}
	}
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(50, 1)
		early := s.AddMs(10, 2)
		s.AddMs(120, 3)
		s.AdvanceWatermarkMs(100) // brings no pane: nothing is new since the early one
		end := s.EndStep()

		n := pipeline.KeyBy(pipelinetest.Stream(p, s), all).Windowed(window.CustomMerging("hundreds", assign, merge),
			window.Triggering(window.AfterWatermark().Early(window.AfterCount(2))), window.Accumulating())
		groups := pipeline.MapKV(pipeline.GroupByKey(n), list[string])
		out := func(v string, w window.Interval, pane window.Pane, step pipelinetest.Step) pipelinetest.Output[string] {
			return pipelinetest.Output[string]{Value: v, Window: w, TimestampMs: w.Last(), Pane: pane, Step: step}
		}
		pipelinetest.EqualOutputs(t, groups,
			out("all[1 2]", window.Interval{Start: 10, End: 100}, window.Pane{Timing: window.PaneEarly, First: true, NonSpeculativeIndex: -1}, early),
			out("all[3]", window.Interval{Start: 120, End: 200}, onTime, end))
	})
}

// M19: a silent partition holds the watermark back until it has been idle for the
// time given; what it brings later may be late. (Not in all ways to run: a restored
// reader is given the whole time again, and behind a queue partitions are not told
// apart.)
func TestIdleAfter_silentPartition(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		p, tl := pipeline.New(), pipelinetest.NewTimeline()
		a, b, clock := pipelinetest.NewScript[int64](tl), pipelinetest.NewScript[int64](tl), pipelinetest.NewScript[int64](tl)
		b.AddMs(0, 2)
		a.AddMs(0, 1)
		a.AddMs(0, 20)
		clock.AdvanceClock(9 * ms)
		a.AddMs(0, 21)
		idle := clock.AdvanceClock(2 * ms)
		a.AddMs(0, 22)
		b.AddMs(0, 3)
		b.AddMs(0, 23)
		end := a.EndStep()

		pipeline.Collect(pipelinetest.Stream(p, clock))
		n := pipeline.EventTimeMs(pipeline.Flatten(pipelinetest.Stream(p, a), pipelinetest.Stream(p, b)), func(v int64) int64 { return v },
			pipeline.OutOfOrder(5*ms), pipeline.IdleAfter(10*ms))
		groups := pipeline.MapKV(pipeline.GroupByKey(pipeline.KeyBy(n, all).Windowed(window.Fixed(10*ms))), list[string])
		out := pipeline.Collect(pipelinetest.Observe(groups, tl))
		res, err := local.Run(t.Context(), p, local.Config{Parallelism: lanes, BundleEpochs: 1, Now: tl.Now})
		require.NoError(t, err)
		require.ElementsMatch(t, []pipelinetest.Output[string]{
			{Value: "all[1 2]", Window: window.Interval{Start: 0, End: 10}, TimestampMs: 9, Pane: onTime, Step: idle},
			{Value: "all[20 21 22 23]", Window: window.Interval{Start: 20, End: 30}, TimestampMs: 29, Pane: onTime, Step: end},
		}, out.Values(), "%d lanes", lanes)
		require.Equal(t, int64(1), res.Counter("droppedDueToLateness"))
	}
}

// ahead is a source of two splits, of numbers in order; it notes how far the first
// was ever ahead of the second.
type ahead struct {
	at   [2]atomic.Int64
	most atomic.Int64
}

func (s *ahead) Bounded() bool { return false }

func (s *ahead) Splits(context.Context, int) ([]pipeline.Split[int64], error) {
	return []pipeline.Split[int64]{aheadSplit{s, 0}, aheadSplit{s, 1}}, nil
}

type aheadSplit struct {
	s *ahead
	i int
}

func (x aheadSplit) ID() string  { return fmt.Sprint(x.i) }
func (x aheadSplit) Size() int64 { return 0 }
func (x aheadSplit) Open(context.Context, []byte) (pipeline.Reader[int64], error) {
	return &aheadReader{aheadSplit: x}, nil
}

type aheadReader struct {
	aheadSplit
	n int64
}

// Read brings ten numbers of the first split for each of the second.
func (r *aheadReader) Read(_ int, out *pipeline.Output[int64]) (pipeline.ReadState, error) {
	for range []int{10, 1}[r.i] {
		if r.n == 300 {
			return pipeline.Done, nil
		}
		r.n++
		r.s.at[r.i].Store(r.n)
		out.Emit(r.n)
	}
	if r.i == 0 {
		d := r.n - r.s.at[1].Load()
		for was := r.s.most.Load(); d > was && !r.s.most.CompareAndSwap(was, d); was = r.s.most.Load() {
		}
	}
	return pipeline.More, nil
}
func (r *aheadReader) Position(b []byte) []byte { return append(b, byte(r.n)) }
func (r *aheadReader) Where() string            { return r.ID() }
func (r *aheadReader) Progress() int64          { return r.n }
func (r *aheadReader) Close() error             { return nil }

// M20: a split that is too far ahead waits for the others, and nothing is lost.
func TestAlignedWithin_theFasterSplitWaits(t *testing.T) {
	for _, lanes := range []int{1, 2} {
		p, src := pipeline.New(), &ahead{}
		n := pipeline.EventTimeMs(pipeline.Read[int64](p, "test.Ahead", src), func(v int64) int64 { return v }, pipeline.AlignedWithin("both", 20*ms))
		sums := pipeline.Collect(pipeline.Pairs(pipeline.CombinePerKey(pipeline.KeyBy(n, all), sum)))
		_, err := local.Run(t.Context(), p, local.Config{Parallelism: lanes})
		require.NoError(t, err)
		require.Equal(t, []KV{kv("all", 300*301)}, sums.Values())
		if lanes == 1 {
			require.LessOrEqual(t, src.most.Load(), int64(20+10), "it is seen after each read")
		} else { // on two lanes a read may be under way when the other falls behind
			require.Less(t, src.most.Load(), int64(300))
		}
	}
}

// Ordered-list state: ranges and clears by event time, in restarts too.
func TestOrderedList_rangesAndClears(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(30, 30)
		s.AddMs(10, 10)
		s.AddMs(20, 20, 21)
		all4 := s.AddMs(0, -1)
		rest := s.AddMs(25, -2) // clears what is before 25

		out := pipeline.Stateful(pipeline.KeyBy(pipelinetest.Stream(p, s), all), "list", func(s *pipeline.Setup[string, string]) pipeline.Process[string, int64, string] {
			list := pipeline.OrderedListState[int64](s, "list")
			return func(c *pipeline.Ctx[string], v int64, emit pipeline.Emit[string]) error {
				switch v {
				case -1:
					var in []int64
					for _, x := range list.Range(c, time.UnixMilli(10), time.UnixMilli(30)) {
						in = append(in, x)
					}
					emit(fmt.Sprint(in, list.Len(c)))
				case -2:
					list.ClearRange(c, time.UnixMilli(0), c.Timestamp())
					for at, x := range list.All(c) {
						emit(fmt.Sprint(at.UnixMilli(), x))
					}
				default:
					list.Add(c, c.Timestamp(), v)
				}
				return nil
			}
		})
		pipelinetest.EqualAt(t, out, all4, "[10 20 21] 4")
		pipelinetest.EqualAt(t, out, rest, "30 30")
	})
}

// remember keeps the last value and says what it finds first.
func remember(opt pipeline.StateOption) func(s *pipeline.Setup[string, string]) pipeline.Process[string, int64, string] {
	return func(s *pipeline.Setup[string, string]) pipeline.Process[string, int64, string] {
		last := pipeline.ValueState[int64](s, "last", opt)
		return func(c *pipeline.Ctx[string], v int64, emit pipeline.Emit[string]) error {
			was, ok := last.Lookup(c)
			emit(fmt.Sprint(v, " after ", was, " ", ok))
			if v%2 == 1 { // odd ones are kept
				last.Set(c, v)
			}
			return nil
		}
	}
}

// M82: a state lives for its time after the last write, by the clock; reading does
// not prolong it; windows and the watermark have nothing to do with it.
func TestTTL_byTheClock(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(1, 1)
		s.AdvanceClock(9 * ms)
		s.AdvanceWatermarkMs(1000)
		there := s.AddMs(1, 2)
		s.AdvanceClock(1 * ms)
		gone := s.AddMs(1, 3)
		s.AdvanceClock(5 * ms)
		s.AddMs(1, 5)
		s.AdvanceClock(9 * ms)
		prolonged := s.AddMs(1, 6)

		out := pipeline.Stateful(pipeline.KeyBy(pipelinetest.Stream(p, s), all), "remember", remember(pipeline.TTL(10*ms)))
		pipelinetest.EqualAt(t, out, there, "2 after 1 true")
		pipelinetest.EqualAt(t, out, gone, "3 after 0 false")
		pipelinetest.EqualAt(t, out, prolonged, "6 after 5 true")
	})
}

func TestTTL_inEventTime(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(5, 1)
		s.AdvanceClock(time.Hour)
		s.AdvanceWatermarkMs(14)
		there := s.AddMs(20, 2)
		s.AdvanceWatermarkMs(15)
		gone := s.AddMs(20, 3)

		out := pipeline.Stateful(pipeline.KeyBy(pipelinetest.Stream(p, s), all), "remember", remember(pipeline.EventTimeTTL(10*ms)))
		pipelinetest.EqualAt(t, out, there, "2 after 1 true")
		pipelinetest.EqualAt(t, out, gone, "3 after 0 false")
	})
}

// M82: a timer sees the state that lived at its time, however large the step in
// which the watermark passes both.
func TestStateful_stateLivesUntilTheTimer(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(0, 1)
		s.AddMs(3, 2)
		fired := s.AdvanceWatermarkMs(1000)
		out := pipeline.Stateful(pipeline.KeyBy(pipelinetest.Stream(p, s), all), "remember", func(s *pipeline.Setup[string, string]) pipeline.Process[string, int64, string] {
			sum := pipeline.ValueState[int64](s, "sum", pipeline.EventTimeTTL(10*ms))
			timer := pipeline.EventTimerFamily(s, "look", func(c *pipeline.Ctx[string], tag string, emit pipeline.Emit[string]) error {
				emit(fmt.Sprint(tag, " ", sum.Get(c)))
				return nil
			})
			return func(c *pipeline.Ctx[string], v int64, _ pipeline.Emit[string]) error {
				sum.Set(c, sum.Get(c)+v)
				timer.SetMs(c, "in time", 12)
				timer.SetMs(c, "too late", 13)
				return nil
			}
		})
		pipelinetest.EqualAt(t, out, fired, "in time 3", "too late 0")
	})
}

// M81: at the end of the input what waits for the clock fires once; what it sets
// again is dropped and counted.
func TestProcessingTimer_atTheEndOfInput(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		s := pipelinetest.NewScript[int64](t)
		s.AddMs(3, 1, 2)
		end := s.EndStep()

		out := pipeline.Stateful(pipeline.KeyBy(pipelinetest.Stream(p, s), parity), "flush", func(s *pipeline.Setup[string, string]) pipeline.Process[string, int64, string] {
			bag := pipeline.BagState[int64](s, "bag")
			var flush pipeline.Timer[string]
			flush = pipeline.ProcessingTimer(s, "flush", func(c *pipeline.Ctx[string], emit pipeline.Emit[string]) error {
				emit(fmt.Sprint(c.Key(), bag.Get(c)))
				bag.Clear(c)
				flush.SetAfter(c, time.Minute)
				return nil
			})
			return func(c *pipeline.Ctx[string], v int64, _ pipeline.Emit[string]) error {
				bag.Add(c, v)
				flush.SetAfter(c, time.Minute)
				return nil
			}
		})
		pipelinetest.EqualOutputs(t, out,
			pipelinetest.Output[string]{Value: "even[2]", Window: window.Global, TimestampMs: 3, Step: end},
			pipelinetest.Output[string]{Value: "odd[1]", Window: window.Global, TimestampMs: 3, Step: end})
		pipelinetest.EqualCounter(t, "droppedTimersAtEnd", 2)
	})
}

// M95: a side input that changes: a later pane takes the place of an earlier one.
func TestSideInput_thatChanges(t *testing.T) {
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		rates, orders := pipelinetest.NewScript[int64](t), pipelinetest.NewScript[int64](t)
		waits := orders.AddMs(1, 10)
		first := rates.AddMs(0, 2)
		orders.AddMs(2, 20)
		rates.AddMs(0, 3)
		rates.AddMs(0, 4)
		last := orders.AddMs(3, 30)

		each := window.Triggering(window.Repeat(window.AfterCount(1)))
		highest := pipeline.CombineGlobally(pipelinetest.Stream(p, rates).Windowed(window.GlobalWindows(), each, window.Accumulating()), pipeline.Combiner[int64, int64, int64]{
			Add: func(a *int64, v int64) { *a = max(*a, v) }, Merge: func(a *int64, b int64) { *a = max(*a, b) }, Extract: func(a int64) int64 { return a }})
		rate := pipeline.AsSingleton(highest)
		out := pipeline.ParDo(pipelinetest.Stream(p, orders), func(d *pipeline.DoFn, emit pipeline.Emit[int64]) func(pipeline.Elem, int64) error {
			rate := pipeline.UseView(d, rate)
			return func(_ pipeline.Elem, v int64) error { emit(v * rate.Get()); return nil }
		})
		pipelinetest.EmptyBefore(t, out, waits+1)
		pipelinetest.EqualAt(t, out, first, 20)
		pipelinetest.EqualAt(t, out, last, 120)
	})
}
