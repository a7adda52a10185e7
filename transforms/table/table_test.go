package table_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/transforms/table"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// timed runs a pipeline on one lane, so that each watermark of a script is where it
// stands there, in all the ways that are left; it asserts the changes of a table of
// strings with their times, in the order of each key.
func timed(t *testing.T, build func(p *pipeline.Pipeline) table.Table[string, string], want ...string) {
	for name, cfg := range map[string]local.Config{
		"fused":     {Parallelism: 1},
		"no fusion": {Parallelism: 1, NoFusion: true, Batch: 1, Queue: 1},
		"restarts":  {Parallelism: 1, BundleEpochs: 1, RestartEvery: 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := pipeline.New()
			lines := pipeline.Collect(pipeline.ParDo(pipeline.Pairs(table.ToChanges(build(p))), func(_ *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, pipeline.KV[string, table.Change[string]]) error {
				return func(e pipeline.Elem, c pipeline.KV[string, table.Change[string]]) error {
					emit(fmt.Sprintf("%s@%d %v", c.Key, e.TimestampMs(), c.Value))
					return nil
				}
			}))
			_, err := local.Run(t.Context(), p, cfg)
			require.NoError(t, err)
			require.Equal(t, perKey(want), perKey(lines.Values()))
		})
	}
}

// perKey is lines by their first letter.
func perKey(lines []string) map[string][]string {
	out := map[string][]string{}
	for _, l := range lines {
		out[l[:1]] = append(out[l[:1]], l)
	}
	return out
}

// Goal: what the options of From say of order, equality, tombstones and expiry.
// Method: elements and watermarks by script.
func TestFrom_options(t *testing.T) {
	seq := table.Version(func(s step) int64 { return s.At })
	for _, tc := range []struct {
		name   string
		script script
		opts   []table.Option
		want   []string
	}{
		{
			"without an order the newest to come counts, and equal values are no change",
			script{put(5, "a", "x"), put(3, "a", "y"), put(4, "a", "y"), gone(2, "a"), gone(6, "a"), put(1, "a", "z")},
			nil,
			[]string{"a@5 +I x", "a@3 U x -> y", "a@2 -D y", "a@1 +I z"},
		},
		{
			"equal values, if asked for",
			script{put(1, "a", "x"), put(2, "a", "x")},
			[]table.Option{table.KeepEqual()},
			[]string{"a@1 +I x", "a@2 U x -> x"},
		},
		{
			"an older record than the row's is dropped, also behind an equal value; of equal age the later counts",
			script{put(5, "a", "x"), put(3, "a", "y"), put(9, "a", "x"), put(7, "a", "z"), put(9, "a", "w")},
			[]table.Option{seq},
			[]string{"a@5 +I x", "a@9 U x -> w"},
		},
		{
			"a deleted row is not brought back by an older record",
			script{put(1, "a", "x"), gone(5, "a"), watermark(1000), put(3, "a", "y"), gone(4, "b"), put(2, "b", "z"), put(6, "a", "w")},
			[]table.Option{table.ByEventTime()},
			[]string{"a@1 +I x", "a@5 -D x", "a@6 +I w"},
		},
		{
			"unless it has been forgotten",
			script{put(1, "a", "x"), gone(5, "a"), put(4, "a", "y"), watermark(15), put(3, "a", "y"), watermark(16), put(2, "a", "z"), watermark(1000)},
			[]table.Option{seq, table.Tombstones(10 * time.Millisecond)},
			[]string{"a@1 +I x", "a@5 -D x", "a@2 +I z"},
		},
		{
			"a row expires a while after its newest record",
			script{put(0, "a", "x"), put(0, "b", "x"), put(7, "a", "x"), put(3, "a", "y"), watermark(10), watermark(11), put(12, "b", "z"), watermark(18), gone(20, "b")},
			[]table.Option{table.ExpireAfter(10 * time.Millisecond)},
			[]string{"a@0 +I x", "a@3 U x -> y", "a@17 -D y", "b@0 +I x", "b@10 -D x", "b@12 +I z", "b@20 -D z"},
		},
		{
			"at the end of the input all time has passed",
			script{put(0, "a", "x")},
			[]table.Option{table.ExpireAfter(10 * time.Hour)},
			[]string{"a@0 +I x", "a@36000000 -D x"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			timed(t, func(p *pipeline.Pipeline) table.Table[string, string] {
				return table.From(tc.script.steps(p), "rows", step.row, tc.opts...)
			}, tc.want...)
		})
	}
}

// Goal: at most one change of a row in an interval, from what was passed on last.
func TestConsolidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		script script
		want   []string
	}{
		{
			"changes of an interval are one, at its end",
			script{put(1, "a", "x"), put(2, "a", "y"), put(3, "b", "z"), put(9, "a", "z"), watermark(10), put(12, "a", "w"), gone(13, "b"), watermark(20)},
			[]string{"a@9 +I z", "b@9 +I z", "a@19 U z -> w", "b@19 -D z"},
		},
		{
			"what comes and goes leaves nothing",
			script{put(1, "a", "x"), gone(2, "a"), put(3, "b", "x"), watermark(10), put(11, "b", "y"), put(12, "b", "x"), watermark(20), gone(21, "b"), put(22, "b", "x"), watermark(30), gone(31, "b")},
			[]string{"b@9 +I x", "b@39 -D x"},
		},
		{
			"what is late for an interval that had its change comes with the next",
			script{put(1, "a", "x"), watermark(10), put(2, "a", "y"), put(3, "a", "z"), watermark(15), put(14, "a", "w"), watermark(20)},
			[]string{"a@9 +I x", "a@19 U x -> w"},
		},
		{
			"each interval has its own change, however far behind the watermark is",
			script{put(1, "a", "x"), put(25, "a", "y"), put(26, "a", "z"), put(3, "a", "w"), gone(31, "a"), put(45, "a", "x"), watermark(100)},
			[]string{"a@9 +I x", "a@29 U x -> w", "a@39 -D w", "a@49 +I x"},
		},
		{
			"before 1970",
			script{put(-1, "a", "x"), put(0, "b", "y"), watermark(100)},
			[]string{"a@-1 +I x", "b@9 +I y"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			timed(t, func(p *pipeline.Pipeline) table.Table[string, string] {
				return table.Consolidate(table.From(tc.script.steps(p), "rows", step.row), "quiet", 10*time.Millisecond)
			}, tc.want...)
		})
	}
}

// Goal: entries are the two halves of each change, the old before the new.
func TestToEntries(t *testing.T) {
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		tab := table.From(script{put(1, "a", "x"), put(2, "a", "y"), gone(3, "a")}.steps(p), "rows", step.row)
		lines := pipeline.MapKV(table.ToEntries(tab), func(k string, e table.Entry[string]) string { return k + " " + e.String() })
		pipelinetest.Satisfies(t, lines, func(t *T, got []string) {
			require.Equal(t, []string{"a +I x", "a -U x", "a +U y", "a -D y"}, got)
		})
	})
}

// Goal: stale records are counted.
func TestFrom_countsStaleRecords(t *testing.T) {
	p := pipeline.New()
	pipeline.Collect(pipeline.Pairs(table.ToChanges(table.From(script{put(2, "a", "x"), put(1, "a", "y"), put(0, "a", "z")}.steps(p), "rows", step.row, table.ByEventTime()))))
	res, err := local.Run(context.Background(), p, local.Config{})
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(res.Metrics), "stale")
}

// Goal: rows may hold what compares in no way or not with itself.
func TestFrom_anyValue(t *testing.T) {
	type row struct {
		Tags map[string]float64
		At   *time.Time
	}
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		v := row{Tags: map[string]float64{"x": math.NaN()}}
		rows := pipeline.KeyBy(pipeline.Create(p, v, v, v), func(row) int { return 1 })
		pipelinetest.Satisfies(t, pipeline.Pairs(table.ToChanges(table.FromUpserts(rows, "rows"))), func(t *T, got []pipeline.KV[int, table.Change[row]]) {
			require.Len(t, got, 1, "equal to itself")
		})
	})
}

// Goal: mistakes are sentences with the place they were made at.
func TestMistakes(t *testing.T) {
	type tab = table.Table[string, string]
	rows := func(p *pipeline.Pipeline) tab { return table.From(script{}.steps(p), "rows", step.row) }
	for _, tc := range []struct {
		says  string
		build func(p *pipeline.Pipeline)
	}{
		{`table "rows": its input has windows (fixed(1m0s)), but a row has no end, so tables live in the global window`, func(p *pipeline.Pipeline) {
			table.From(script{}.steps(p).Windowed(window.Fixed(time.Minute)), "rows", step.row)
		}},
		{"its input has windows (sessions", func(p *pipeline.Pipeline) {
			table.From(script{}.steps(p).Windowed(window.Sessions(time.Minute)), "rows", step.row)
		}},
		{"Stateful: it needs a name", func(p *pipeline.Pipeline) { table.From(script{}.steps(p), "", step.row) }},
		{`table "rows": Version is given a func(string) int64, but the collection holds table_test.step: want a func(table_test.step) int64`, func(p *pipeline.Pipeline) {
			table.From(script{}.steps(p), "rows", step.row, table.Version(func(string) int64 { return 0 }))
		}},
		{"the function of Version is nil", func(p *pipeline.Pipeline) {
			table.From(script{}.steps(p), "rows", step.row, table.Version[step](nil))
		}},
		{"Version and ByEventTime are two orders of the same records", func(p *pipeline.Pipeline) {
			table.From(script{}.steps(p), "rows", step.row, table.Version(func(s step) int64 { return s.At }), table.ByEventTime())
		}},
		{"Tombstones(-1s), ExpireAfter(0s): want more than 0", func(p *pipeline.Pipeline) {
			table.From(script{}.steps(p), "rows", step.row, table.Tombstones(-time.Second))
		}},
		{`table "rows": the function that reads a record is nil`, func(p *pipeline.Pipeline) {
			table.From[string, step, string](script{}.steps(p), "rows", nil)
		}},
		{"table.MapValues: the function is nil", func(p *pipeline.Pipeline) { table.MapValues[string, string, int](rows(p), nil) }},
		{"table.Filter: the function is nil", func(p *pipeline.Pipeline) { table.Filter(rows(p), nil) }},
		{"table.GroupBy: the function is nil", func(p *pipeline.Pipeline) { table.GroupBy[string, string, int](rows(p), nil) }},
		{`table "sum": the aggregator lacks Add, Sub or Extract`, func(p *pipeline.Pipeline) {
			one := func(string, string) int { return 1 }
			table.Aggregate(table.GroupBy(rows(p), one), "sum", table.Both(table.Count[string](), table.Sum[string, int](nil)))
		}},
		{"table.Join: it needs a name", func(p *pipeline.Pipeline) { t := rows(p); table.Join(t, t, "") }},
		{`table "orders": the function of the foreign key is nil`, func(p *pipeline.Pipeline) {
			t := rows(p)
			table.JoinOn[string, string, string, string](t, t, nil, "orders")
		}},
		{`table "quiet": Consolidate every 1.5ms: want whole milliseconds, 1 or more`, func(p *pipeline.Pipeline) {
			table.Consolidate(rows(p), "quiet", 1500*time.Microsecond)
		}},
		{"its input is an empty collection, used before it was made", func(p *pipeline.Pipeline) { table.ToUpserts(tab{}) }},
		{"its input is an empty collection, used before it was made", func(p *pipeline.Pipeline) {
			table.Join(tab{}, tab{}, "nothing")
		}},
		{"no coder", func(p *pipeline.Pipeline) {
			table.FromUpserts(pipeline.KeyBy(pipeline.Create(p, "x"), func(s string) string { return s }), "rows")
			table.From(script{}.steps(p), "errors", func(s step) (error, bool) { return nil, true })
		}},
		{"type float64 cannot be a key", func(p *pipeline.Pipeline) {
			table.GroupBy(rows(p), func(string, string) float64 { return 1 })
		}},
	} {
		t.Run(tc.says, func(t *testing.T) {
			p := pipeline.New()
			tc.build(p)
			err := p.Err()
			require.Error(t, err)
			assert.Contains(t, err.Error(), tc.says)
			assert.Contains(t, err.Error(), "table/table_test.go:", "the place")
		})
	}
}

// Goal: a table of nothing is a table.
func TestEmptyTables(t *testing.T) {
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		none := table.From(script{}.steps(p), "rows", step.row)
		joined := table.JoinOn(none, none, func(s string) string { return s }, "joined")
		pipelinetest.Empty(t, pipeline.Pairs(table.Latest(joined, "latest")))
		all := table.GroupBy(none, func(string, string) bool { return true })
		pipelinetest.Empty(t, pipeline.Pairs(table.ToUpserts(table.Aggregate(all, "count", table.Count[string]()))))
	})
}

// Goal: what is said of a change is what was meant.
func TestChange_strings(t *testing.T) {
	assert.Equal(t, "+I 1", table.Change[int]{Kind: table.Insert, New: 1}.String())
	assert.Equal(t, "U 1 -> 2", table.Change[int]{Kind: table.Update, Old: 1, New: 2}.String())
	assert.Equal(t, "-D 2", table.Change[int]{Kind: table.Delete, Old: 2}.String())
	assert.Equal(t, "kind 9", table.Kind(9).String())
	assert.Equal(t, transforms.Optional[int]{}, table.Change[int]{Kind: table.Insert, New: 1}.Before())
}

// Goal: what windows give is a table, by window and key.
func TestFrom_windows(t *testing.T) {
	type key struct {
		From int64
		Name string
	}
	type sum = pipeline.KV[string, int64]
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		visits := pipeline.CreateTimestamped(p, pipeline.Timestamped[string]{Time: time.UnixMilli(1), Value: "a"},
			pipeline.Timestamped[string]{Time: time.UnixMilli(2), Value: "a"}, pipeline.Timestamped[string]{Time: time.UnixMilli(12), Value: "a"})
		counts := transforms.CountPerElement(visits.Windowed(window.Fixed(10 * time.Millisecond)))
		placed := pipeline.ParDo(pipeline.Pairs(counts), func(_ *pipeline.DoFn, emit pipeline.Emit[pipeline.KV[key, int64]]) func(pipeline.Elem, sum) error {
			return func(e pipeline.Elem, c sum) error {
				emit(pipeline.NewKV(key{e.Window().Start, c.Key}, c.Value))
				return nil
			}
		})
		tab := table.FromUpserts(pipeline.FromPairs(placed.Windowed(window.GlobalWindows())), "counts")
		folds(t, tab, map[key]int64{{0, "a"}: 2, {10, "a"}: 1})
	})
}

// Goal: sums of all kinds of numbers have coders.
func TestSum_numbers(t *testing.T) {
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		all := table.GroupBy(table.FromUpserts(pipeline.KeyBy(pipeline.Create(p, 1, 2), func(n int) int { return n }), "numbers"), func(int, int) string { return "all" })
		folds(t, table.Aggregate(all, "uint64", table.Sum(func(n int) uint64 { return uint64(n) })), map[string]uint64{"all": 3})
		folds(t, table.Aggregate(all, "int8", table.Sum(func(n int) int8 { return int8(n) })), map[string]int8{"all": 3})
		folds(t, table.Aggregate(all, "float32", table.Sum(func(n int) float32 { return float32(n) / 2 })), map[string]float32{"all": 1.5})
		folds(t, table.Aggregate(all, "max uint", table.Max(func(n int) uint { return uint(n) })), map[string]uint{"all": 2})
		folds(t, table.Aggregate(all, "max string", table.Max(strconv.Itoa)), map[string]string{"all": "2"})
	})
}
