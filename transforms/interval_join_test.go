package transforms_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// event is a value of one of the two inputs of a join.
type event struct {
	Key   string
	TS    int64
	Right bool
	ID    int64
}

// disorder is how much out of order events come, in ms.
const disorder = 20

// events are n values of a few keys over span ms, none out of order by more than disorder.
func events(seed uint64, n int, span int64) []event {
	rnd := rand.New(rand.NewPCG(seed, 1))
	es := make([]event, n)
	for i := range es {
		es[i] = event{Key: string(rune('a' + rnd.IntN(5))), TS: rnd.Int64N(span), Right: rnd.IntN(2) == 0, ID: int64(i)}
	}
	slices.SortFunc(es, func(a, b event) int { return int(a.TS - b.TS) })
	came := map[int64]int64{}
	for _, e := range es {
		came[e.ID] = e.TS + rnd.Int64N(disorder+1)
	}
	slices.SortStableFunc(es, func(a, b event) int { return int(came[a.ID] - came[b.ID]) })
	return es
}

func at(e event) int64 { return e.TS }

// inputs are the left and the right values among es: of one source, or of two whose
// watermarks have nothing to do with each other.
func inputs(p *pipeline.Pipeline, es []event, sources int) (left, right pipeline.Keyed[string, event]) {
	source := func(name string, es []event) pipeline.PCollection[event] {
		return pipeline.EventTimeMs(pipeline.Create(p, es...), at, pipeline.OutOfOrder(disorder*ms))
	}
	key := func(e event) string { return e.Key }
	isRight := func(e event) bool { return e.Right }
	isLeft := func(e event) bool { return !e.Right }
	if sources == 1 {
		all := source("all", es)
		return pipeline.KeyBy(all.Filter(isLeft), key), pipeline.KeyBy(all.Filter(isRight), key)
	}
	var l, r []event
	for _, e := range es {
		if e.Right {
			r = append(r, e)
		} else {
			l = append(l, e)
		}
	}
	return pipeline.KeyBy(source("left", l), key), pipeline.KeyBy(source("right", r), key)
}

// row is a result of a join: identifiers, -1 for nothing, and its event time.
type row struct {
	Key         string
	Left, Right int64
	TS          int64
}

type found = transforms.Optional[event]

func some(e event) found { return found{OK: true, Value: e} }

func id(o found) int64 {
	if !o.OK {
		return -1
	}
	return o.Value.ID
}

// rowsOf makes rows of the results of a join of whatever kind.
func rowsOf[P any](c pipeline.Keyed[string, P], ids func(P) (left, right found)) pipeline.PCollection[row] {
	return pipeline.ParDo(pipeline.Pairs(c), func(_ *pipeline.DoFn, emit pipeline.Emit[row]) func(pipeline.Elem, pipeline.KV[string, P]) error {
		return func(e pipeline.Elem, kv pipeline.KV[string, P]) error {
			l, r := ids(kv.Value)
			emit(row{kv.Key, id(l), id(r), e.TimestampMs()})
			return nil
		}
	})
}

// The four kinds of joins, as rows.
func innerRows(c pipeline.Keyed[string, transforms.Pair[event, event]]) pipeline.PCollection[row] {
	return rowsOf(c, func(p transforms.Pair[event, event]) (found, found) { return some(p.Left), some(p.Right) })
}
func leftRows(c pipeline.Keyed[string, transforms.Pair[event, found]]) pipeline.PCollection[row] {
	return rowsOf(c, func(p transforms.Pair[event, found]) (found, found) { return some(p.Left), p.Right })
}
func rightRows(c pipeline.Keyed[string, transforms.Pair[found, event]]) pipeline.PCollection[row] {
	return rowsOf(c, func(p transforms.Pair[found, event]) (found, found) { return p.Left, some(p.Right) })
}
func fullRows(c pipeline.Keyed[string, transforms.Pair[found, found]]) pipeline.PCollection[row] {
	return rowsOf(c, func(p transforms.Pair[found, found]) (found, found) { return p.Left, p.Right })
}

// nearby is what an interval join of es must give, by trying all pairs.
func nearby(es []event, lower, upper int64, left, right bool) (want []row) {
	met := map[int64]bool{}
	for _, l := range es {
		for _, r := range es {
			if !l.Right && r.Right && l.Key == r.Key && l.TS+lower <= r.TS && r.TS <= l.TS+upper {
				want = append(want, row{l.Key, l.ID, r.ID, max(l.TS, r.TS)})
				met[l.ID], met[r.ID] = true, true
			}
		}
	}
	for _, e := range es {
		switch {
		case met[e.ID]:
		case !e.Right && left:
			want = append(want, row{e.Key, e.ID, -1, max(e.TS, e.TS+upper)})
		case e.Right && right:
			want = append(want, row{e.Key, -1, e.ID, max(e.TS, e.TS-lower)})
		}
	}
	return want
}

// Goal: every pair within the interval and no other, unmatched values when their
// time is over, whatever the order of arrival. Method: a brute-force join of seeded
// random inputs.
func TestIntervalJoin_isThePairsWithinTheInterval(t *testing.T) {
	for i, tc := range []struct {
		name         string
		lower, upper int64
		sources      int
	}{
		{"around the left value", -15, 15, 1},
		{"after the left value", 0, 40, 1},
		{"two sources that know nothing of each other", 0, 40, 2},
		{"before it, with a gap", -30, -10, 2},
		{"after it, with a gap", 10, 30, 1},
		{"at the same time", 0, 0, 2},
		{"shorter than the disorder", -3, 2, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			es := events(uint64(i), 250, 1500)
			lower, upper := time.Duration(tc.lower)*ms, time.Duration(tc.upper)*ms
			pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
				l, r := inputs(p, es, tc.sources)
				pipelinetest.Equal(t, innerRows(transforms.IntervalJoin(l, r, lower, upper)), nearby(es, tc.lower, tc.upper, false, false)...)
				pipelinetest.Equal(t, leftRows(transforms.IntervalLeftJoin(l, r, lower, upper)), nearby(es, tc.lower, tc.upper, true, false)...)
				pipelinetest.Equal(t, rightRows(transforms.IntervalRightJoin(l, r, lower, upper)), nearby(es, tc.lower, tc.upper, false, true)...)
				pipelinetest.Equal(t, fullRows(transforms.IntervalFullJoin(l, r, lower, upper)), nearby(es, tc.lower, tc.upper, true, true)...)
			})
		})
	}
}

// Goal: results are on time for windows behind the join, unmatched ones too.
// Method: nothing is dropped as late.
func TestIntervalJoin_resultsAreNotLate(t *testing.T) {
	es := events(42, 400, 3000)
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		l, r := inputs(p, es, 1)
		rows := fullRows(transforms.IntervalFullJoin(l, r, -10*ms, 5*ms))
		counts := transforms.Count(pipeline.KeyBy(rows.Windowed(window.Fixed(50*ms)), func(r row) bool { return r.Left < 0 || r.Right < 0 }))
		total := transforms.Sum(pipeline.KeyBy(pipeline.Map(pipeline.Pairs(counts), func(kv pipeline.KV[bool, int64]) int64 { return kv.Value }).Windowed(window.GlobalWindows()), func(int64) bool { return true }))
		pipelinetest.EqualKeyed(t, total, map[bool]int64{true: int64(len(nearby(es, -10, 5, true, true)))})
	})
}

// runOn runs what build makes on one lane and returns its metrics by name.
func runOn(t *testing.T, lanes int, build func(p *pipeline.Pipeline)) map[string]int64 {
	t.Helper()
	p := pipeline.New()
	build(p)
	res, err := local.Run(context.Background(), p, local.Config{Parallelism: lanes})
	require.NoError(t, err)
	sums := map[string]int64{}
	for _, m := range res.Metrics {
		sums[m.Name] += m.Sum
	}
	return sums
}

// Goal: timers remove everything. Method: what went into state came out.
func TestIntervalJoin_leavesNothingBehind(t *testing.T) {
	es := events(7, 500, 2000)
	for _, lanes := range []int{1, 3} {
		got := runOn(t, lanes, func(p *pipeline.Pipeline) {
			l, r := inputs(p, es, 1)
			pipeline.Collect(innerRows(transforms.IntervalJoin(l, r, -100*ms, 50*ms)))
			pipeline.Collect(fullRows(transforms.IntervalFullJoin(l, r, -100*ms, 50*ms)))
		})
		require.Equal(t, int64(2*len(es)), got["kept"])
		require.Equal(t, got["kept"], got["removed"])
	}
}

// Late values join with what is still there, and don't stay.
func TestIntervalJoin_lateValues(t *testing.T) {
	es := []event{
		{"a", 1000, false, 1},
		{"a", 5000, true, 2}, // the watermark is here now
		{"a", 1001, true, 3}, // late: 1 is gone, or not yet
		{"a", 4990, false, 4},
		{"a", 9000, true, 5},
		{"a", 10, false, 6}, // late
	}
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		all := pipeline.EventTimeMs(pipeline.Create(p, es...), at)
		l := pipeline.KeyBy(all.Filter(func(e event) bool { return !e.Right }), func(e event) string { return e.Key })
		r := pipeline.KeyBy(all.Filter(func(e event) bool { return e.Right }), func(e event) string { return e.Key })
		rows := fullRows(transforms.IntervalFullJoin(l, r, 0, 20*ms))
		pipelinetest.Satisfies(t, rows, func(t *T, got []row) {
			times := map[int64]int{}
			for _, r := range got {
				times[r.Left]++
				times[r.Right]++
			}
			for _, e := range es { // nothing is lost, nothing comes twice
				require.Equal(t, 1, times[e.ID], fmt.Sprint(got))
			}
		})
	})
}

// Goal: results keep their times when an element elsewhere fails and the lanes go on
// in careful mode, where outputs are held. Method: a failing element in the middle.
func TestIntervalJoin_timesInCarefulMode(t *testing.T) {
	es := events(8, 200, 1000)
	bad := es[100]
	good := slices.DeleteFunc(slices.Clone(es), func(e event) bool { return e.ID == bad.ID })
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		fail := func(_ context.Context, e event) (event, error) {
			if e.ID == bad.ID {
				return e, errors.New("bad")
			}
			return e, nil
		}
		l, r := inputs(p, es, 1)
		l, r = pipeline.TryMapValues(l, fail), pipeline.TryMapValues(r, fail)
		pipelinetest.Equal(t, fullRows(transforms.IntervalFullJoin(l, r, -20*ms, 20*ms)), nearby(good, -20, 20, true, true)...)
	}, pipelinetest.OnError(local.DeadLetter))
}

func TestIntervalJoin_wrongUse(t *testing.T) {
	for _, tc := range []struct {
		name  string
		build func(l, r pipeline.Keyed[string, event])
		want  string
	}{
		{"bounds the wrong way round", func(l, r pipeline.Keyed[string, event]) { transforms.IntervalJoin(l, r, 5*ms, -5*ms) },
			"IntervalJoin: lower is 5ms, above upper, which is -5ms"},
		{"finer than event time", func(l, r pipeline.Keyed[string, event]) {
			transforms.IntervalFullJoin(l, r, 0, 1500*time.Microsecond)
		}, "IntervalFullJoin: upper is 1.5ms, want whole milliseconds"},
		{"windows on both sides", func(l, r pipeline.Keyed[string, event]) {
			w := window.Fixed(time.Second)
			transforms.IntervalLeftJoin(l.Windowed(w), r.Windowed(w), 0, ms)
		}, "IntervalLeftJoin: its left input has windows fixed(1s), but it keeps its state by event time, not by window"},
		{"windows on one side", func(l, r pipeline.Keyed[string, event]) {
			transforms.IntervalRightJoin(l, r.Windowed(window.Fixed(time.Second)), 0, ms)
		}, "IntervalRightJoin: its right input has windows fixed(1s)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := pipeline.New()
			l, r := inputs(p, nil, 1)
			tc.build(l, r)
			require.ErrorContains(t, p.Err(), tc.want)
			require.ErrorContains(t, p.Err(), "interval_join_test.go:")
		})
	}
}
