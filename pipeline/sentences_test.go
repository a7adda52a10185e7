package pipeline_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// Wrong programs get sentences that say what is wrong, where, and what to do.
func TestWrongPrograms_getSentences(t *testing.T) {
	type stateless = pipeline.Setup[string, int]
	ints := func(p *pipeline.Pipeline) pipeline.PCollection[int] { return pipeline.Create(p, 1, 2) }
	byName := func(p *pipeline.Pipeline) pipeline.Keyed[string, int] {
		return pipeline.KeyBy(ints(p), func(int) string { return "k" })
	}
	keep := func(s *stateless) pipeline.Process[string, int, int] {
		return func(*pipeline.Ctx[string], int, pipeline.Emit[int]) error { return nil }
	}
	for _, tc := range []struct {
		name  string
		build func(p *pipeline.Pipeline)
		want  []string
	}{
		{"output type without a coder", func(p *pipeline.Pipeline) {
			pipeline.Map(ints(p), func(int) chan int { return nil })
		}, []string{"Map: its output of type chan int can't leave this process: "}},
		{"output struct with a function inside", func(p *pipeline.Pipeline) {
			pipeline.Map(ints(p), func(int) struct{ F func() } { return struct{ F func() }{} })
		}, []string{"Map: its output of type struct { F func() } can't leave this process: ", "F"}},
		{"key of pointer type", func(p *pipeline.Pipeline) {
			byPointer := pipeline.KeyBy(ints(p), func(i int) *int { return &i })
			pipeline.CombinePerKey(byPointer, pipeline.Combiner[int, int, int]{Add: func(*int, int) {}, Extract: func(a int) int { return a }})
			pipeline.GroupByKey(byPointer)
		}, []string{"KeyBy: ", "*int"}},
		{"key of float type", func(p *pipeline.Pipeline) {
			pipeline.KeyBy(ints(p), func(int) float64 { return 0 })
		}, []string{"KeyBy: ", "float64", "NaN"}},
		{"nil functions", func(p *pipeline.Pipeline) {
			pipeline.Map[int, int](ints(p), nil)
			pipeline.Filter(ints(p), nil)
			pipeline.FlatMapEmit[int, int](ints(p), nil)
			pipeline.KeyBy[string](ints(p), nil)
		}, []string{"Map: the function is nil", "Filter: the function is nil", "FlatMapEmit: the function is nil", "KeyBy: the function is nil"}},
		{"two transforms of one name", func(p *pipeline.Pipeline) {
			pipeline.Stateful(byName(p), "count", keep)
			pipeline.Stateful(byName(p), "count", keep)
		}, []string{`two transforms are named "count", the other at pipeline/sentences_test.go:`, "give each its own"}},
		{"a collection used before it was made", func(p *pipeline.Pipeline) {
			var later pipeline.PCollection[int]
			later = pipeline.Map(pipeline.Flatten(ints(p), later), func(i int) int { return i })
			pipeline.Collect(later)
		}, []string{"Flatten: input 2: its input is an empty collection, used before it was made: a pipeline can't feed itself"}},
		{"collections of two pipelines", func(p *pipeline.Pipeline) {
			pipeline.Flatten(ints(p), ints(pipeline.New()))
		}, []string{"Flatten: its inputs belong to different pipelines"}},
		{"windows that differ", func(p *pipeline.Pipeline) {
			pipeline.Flatten(ints(p), ints(p).Windowed(window.Fixed(time.Second)))
		}, []string{"Flatten: input 1 has windows ", "give all the same with Windowed"}},
		{"a combiner with nothing in it", func(p *pipeline.Pipeline) {
			pipeline.CombinePerKey(byName(p), pipeline.Combiner[int, int, int]{})
		}, []string{"CombinePerKey: the combiner has no Add"}},
		{"a combiner without Merge where merging is needed", func(p *pipeline.Pipeline) {
			cb := pipeline.Combiner[int, int, int]{Add: func(*int, int) {}, Extract: func(a int) int { return a }}
			pipeline.CombineGlobally(ints(p), cb)
			pipeline.CombinePerKey(byName(p).Windowed(window.Sessions(time.Second)), cb)
		}, []string{"CombineGlobally: the combiner has no Merge, which combining over all lanes needs", "CombinePerKey: the combiner has no Merge, which windows that merge"}},
		{"an accumulator without a coder", func(p *pipeline.Pipeline) {
			pipeline.CombinePerKey(byName(p), pipeline.Combiner[int, struct{ hidden int }, int]{
				Add: func(a *struct{ hidden int }, v int) { a.hidden += v }, Extract: func(a struct{ hidden int }) int { return a.hidden }})
		}, []string{"the accumulator of type struct { hidden int } has no coder, which state and the shuffle need: ", "or set Combiner.Coder"}},
		{"state used in setup", func(p *pipeline.Pipeline) {
			pipeline.Stateful(byName(p), "early", func(s *stateless) pipeline.Process[string, int, int] {
				pipeline.ValueState[int](s, "n").Get(nil)
				return keep(s)
			})
		}, []string{`Stateful "early": its setup function may only declare state and timers, not use them`}},
		{"state without a name, and one name twice", func(p *pipeline.Pipeline) {
			pipeline.Stateful(byName(p), "", keep)
			pipeline.Stateful(byName(p), "names", func(s *stateless) pipeline.Process[string, int, int] {
				pipeline.ValueState[int](s, "")
				pipeline.BagState[int](s, "n")
				pipeline.ValueState[int](s, "n")
				return keep(s)
			})
		}, []string{"Stateful: it needs a name, which ties its state to the code across versions", "value state has no name", `two states or timers are named "n"`}},
		{"state in windows that merge", func(p *pipeline.Pipeline) {
			pipeline.Stateful(byName(p).Windowed(window.Sessions(time.Second)), "merging", keep)
		}, []string{`Stateful "merging": its windows`, "state of merging windows is undefined"}},
		{"sliding windows with gaps", func(p *pipeline.Pipeline) {
			ints(p).Windowed(window.Sliding(time.Second, time.Minute))
		}, []string{"Windowed: ", "period"}},
		{"partition into nothing", func(p *pipeline.Pipeline) {
			pipeline.Partition(ints(p), 0, func(int) int { return 0 })
		}, []string{"Partition: into 0 collections: want at least 1"}},
		{"negative disorder", func(p *pipeline.Pipeline) {
			pipeline.EventTimeMs(ints(p), func(int) int64 { return 0 }, pipeline.OutOfOrder(-time.Second))
		}, []string{"EventTime: OutOfOrder(-1s): want 0 or more"}},
		{"a side input in windows that merge", func(p *pipeline.Pipeline) {
			pipeline.AsIterable(ints(p).Windowed(window.Sessions(time.Second)))
		}, []string{"AsIterable: its collection has windows sessions(1s), and windows that merge can't be mapped"}},
		{"a side input in windows for a main input without", func(p *pipeline.Pipeline) {
			v := pipeline.AsIterable(ints(p).Windowed(window.Fixed(time.Second)))
			pipeline.ParDo(ints(p), func(d *pipeline.DoFn, _ pipeline.Emit[int]) func(pipeline.Elem, int) error {
				pipeline.UseView(d, v)
				return func(pipeline.Elem, int) error { return nil }
			})
		}, []string{"ParDo: side input in fixed(1s): the main input is in the global window", "give the main input windows"}},
		{"late elements of another type", func(p *pipeline.Pipeline) {
			var late pipeline.Keyed[string, pipeline.Late[string]]
			pipeline.GroupByKey(pipeline.KeyBy(ints(p), func(int) string { return "k" }), pipeline.LateTo(&late))
		}, []string{"LateTo: the late elements of this GroupByKey are of coder.KV[string,int], and the variable given takes those of coder.KV[string,string]"}},
		{"a setup that does too much", func(p *pipeline.Pipeline) {
			pipeline.ParDo(ints(p), func(*pipeline.DoFn, pipeline.Emit[int]) func(pipeline.Elem, int) error { panic("no server") })
		}, []string{"ParDo: its setup function panicked while the pipeline was built; what touches the world belongs into OnStart: no server"}},
		{"a setup that returns nothing", func(p *pipeline.Pipeline) {
			pipeline.ParDo(ints(p), func(*pipeline.DoFn, pipeline.Emit[int]) func(pipeline.Elem, int) error { return nil })
		}, []string{"ParDo: setup returned no function"}},
		{"no pipeline", func(*pipeline.Pipeline) {
			pipeline.Create(nil, 1)
		}, []string{"Create: the pipeline is nil: use pipeline.New or the one that runners.Main gives"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := pipeline.New()
			tc.build(p)
			err := p.Err()
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			require.ErrorContains(t, err, "pipeline/sentences_test.go:", "the user's place")
		})
	}
}

// All mistakes are reported together.
func TestErr_reportsAllMistakes(t *testing.T) {
	p := pipeline.New()
	c := pipeline.Create(p, 1)
	pipeline.Map[int, int](c, nil)
	pipeline.Filter(c, nil)
	err := p.Err()
	require.ErrorContains(t, err, "Map: the function is nil")
	require.ErrorContains(t, err, "Filter: the function is nil")
}
