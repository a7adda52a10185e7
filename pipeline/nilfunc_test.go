package pipeline_test

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// Goal: no operation takes a nil function for one that does nothing, or panics on
// it. Method: each operation in turn, told by name in the mistake.
func TestNilFunctions_getSentences(t *testing.T) {
	type (
		P     = *pipeline.Pipeline
		ints  = pipeline.PCollection[int]
		keyed = pipeline.Keyed[string, int]
	)
	for name, build := range map[string]func(p P, c ints, k keyed){
		"Map":          func(_ P, c ints, _ keyed) { pipeline.Map[int, int](c, nil) },
		"TryMap":       func(_ P, c ints, _ keyed) { pipeline.TryMap[int, int](c, nil) },
		"CatchMap":     func(_ P, c ints, _ keyed) { pipeline.CatchMap[int, int](c, nil) },
		"Filter":       func(_ P, c ints, _ keyed) { c.Filter(nil) },
		"TryFilter":    func(_ P, c ints, _ keyed) { pipeline.TryFilter(c, nil) },
		"FlatMap":      func(_ P, c ints, _ keyed) { pipeline.FlatMap[int, int](c, nil) },
		"FlatMapEmit":  func(_ P, c ints, _ keyed) { pipeline.FlatMapEmit[int, int](c, nil) },
		"TryFlatMap":   func(_ P, c ints, _ keyed) { pipeline.TryFlatMap[int, int](c, nil) },
		"KeyBy":        func(_ P, c ints, _ keyed) { pipeline.KeyBy[string](c, nil) },
		"TryKeyBy":     func(_ P, c ints, _ keyed) { pipeline.TryKeyBy[string](c, nil) },
		"MapValues":    func(_ P, _ ints, k keyed) { pipeline.MapValues[string, int, int](k, nil) },
		"TryMapValues": func(_ P, _ ints, k keyed) { pipeline.TryMapValues[string, int, int](k, nil) },
		"MapKV":        func(_ P, _ ints, k keyed) { pipeline.MapKV[string, int, int](k, nil) },
		"TryMapKV":     func(_ P, _ ints, k keyed) { pipeline.TryMapKV[string, int, int](k, nil) },
		"FlatMapKV":    func(_ P, _ ints, k keyed) { pipeline.FlatMapKV[string, int, int](k, nil) },
		"Partition":    func(_ P, c ints, _ keyed) { pipeline.Partition(c, 2, nil) },
		"EventTime":    func(_ P, c ints, _ keyed) { pipeline.EventTime(c, nil) },
		"EventTimeMs":  func(_ P, c ints, _ keyed) { pipeline.EventTimeMs(c, nil) },
		"ForEach":      func(_ P, c ints, _ keyed) { pipeline.ForEach(c, nil) },
		"ForEachLane":  func(_ P, c ints, _ keyed) { pipeline.ForEachLane(c, nil) },
		"Generate":     func(p P, _ ints, _ keyed) { pipeline.Generate[int](p, 1, nil) },
		"ParDo":        func(_ P, c ints, _ keyed) { pipeline.ParDo[int, int](c, nil) },
		"ParDo2":       func(_ P, c ints, _ keyed) { pipeline.ParDo2[int, int, int](c, nil) },
		"ParDo3":       func(_ P, c ints, _ keyed) { pipeline.ParDo3[int, int, int, int](c, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			p := pipeline.New()
			c := pipeline.Create(p, 1)
			build(p, c, pipeline.KeyBy(c, func(int) string { return "k" }))
			require.Regexp(t, `^pipeline/nilfunc_test\.go:\d+: `+name+`: the function is nil$`, p.Err())
		})
	}
}

// What else may be nil and must not be.
func TestNilParts_getSentences(t *testing.T) {
	type setup = pipeline.Setup[string, int]
	for want, build := range map[string]func(p *pipeline.Pipeline, k pipeline.Keyed[string, int]){
		`Stateful "s": the setup function is nil`: func(_ *pipeline.Pipeline, k pipeline.Keyed[string, int]) {
			pipeline.Stateful[string, int, int](k, "s", nil)
		},
		`Stateful "s": setup returned no function`: func(_ *pipeline.Pipeline, k pipeline.Keyed[string, int]) {
			pipeline.Stateful(k, "s", func(*setup) pipeline.Process[string, int, int] { return nil })
		},
		`Stateful: the function of timer "late" is nil`: func(_ *pipeline.Pipeline, k pipeline.Keyed[string, int]) {
			pipeline.Stateful(k, "s", func(s *setup) pipeline.Process[string, int, int] {
				pipeline.EventTimer(s, "late", nil)
				return func(*pipeline.Ctx[string], int, pipeline.Emit[int]) error { return nil }
			})
		},
		"test.Read: the source is nil": func(p *pipeline.Pipeline, _ pipeline.Keyed[string, int]) {
			pipeline.Read[int](p, "test.Read", nil)
		},
		"test.Write: the sink is nil": func(_ *pipeline.Pipeline, k pipeline.Keyed[string, int]) {
			pipeline.Write(pipeline.Pairs(k), "test.Write", nil)
		},
		"CombinePerKey: the combiner has no Extract": func(_ *pipeline.Pipeline, k pipeline.Keyed[string, int]) {
			pipeline.CombinePerKey(k, pipeline.Combiner[int, int, int]{Add: func(*int, int) {}})
		},
		"CombiningState: the combiner has no Add": func(_ *pipeline.Pipeline, k pipeline.Keyed[string, int]) {
			pipeline.Stateful(k, "s", func(s *setup) pipeline.Process[string, int, int] {
				pipeline.CombiningState(s, "sum", pipeline.Combiner[int, int, int]{Extract: func(a int) int { return a }})
				return func(*pipeline.Ctx[string], int, pipeline.Emit[int]) error { return nil }
			})
		},
		"WaitOn: no signals to wait for": func(_ *pipeline.Pipeline, k pipeline.Keyed[string, int]) {
			pipeline.WaitOn(pipeline.Pairs(k))
		},
	} {
		t.Run(want, func(t *testing.T) {
			p := pipeline.New()
			build(p, pipeline.KeyBy(pipeline.Create(p, 1), func(int) string { return "k" }))
			require.Regexp(t, `^pipeline/nilfunc_test\.go:\d+: `, p.Err())
			require.ErrorContains(t, p.Err(), want)
		})
	}
}

// Types that can't leave the process are refused where they come out.
func TestTypesWithoutCoder_getSentences(t *testing.T) {
	outputs := []struct {
		typ   reflect.Type
		build func(c pipeline.PCollection[int])
	}{
		{reflect.TypeFor[chan int](), func(c pipeline.PCollection[int]) { pipeline.Map(c, func(int) chan int { return nil }) }},
		{reflect.TypeFor[func()](), func(c pipeline.PCollection[int]) { pipeline.Map(c, func(int) func() { return nil }) }},
		{reflect.TypeFor[any](), func(c pipeline.PCollection[int]) { pipeline.Map(c, func(int) any { return nil }) }},
		{reflect.TypeFor[error](), func(c pipeline.PCollection[int]) { pipeline.Map(c, func(int) error { return nil }) }},
		{reflect.TypeFor[fmt.Stringer](), func(c pipeline.PCollection[int]) { pipeline.Map(c, func(int) fmt.Stringer { return nil }) }},
		{reflect.TypeFor[[]chan int](), func(c pipeline.PCollection[int]) { pipeline.Map(c, func(int) []chan int { return nil }) }},
		{reflect.TypeFor[map[string]func()](), func(c pipeline.PCollection[int]) {
			pipeline.Map(c, func(int) map[string]func() { return nil })
		}},
		{reflect.TypeFor[iter.Seq[int]](), func(c pipeline.PCollection[int]) { pipeline.Map(c, func(int) iter.Seq[int] { return nil }) }},
	}
	for _, o := range outputs {
		p := pipeline.New()
		o.build(pipeline.Create(p, 1))
		require.Regexp(t, `^pipeline/nilfunc_test\.go:\d+: Map: its output of type `, p.Err(), o.typ)
		require.ErrorContains(t, p.Err(), fmt.Sprintf("of type %v can't leave this process: ", o.typ))
	}
	p := pipeline.New()
	pipeline.Stateful(pipeline.KeyBy(pipeline.Create(p, 1), func(int) string { return "k" }), "s", func(s *pipeline.Setup[string, int]) pipeline.Process[string, int, int] {
		pipeline.ValueState[chan int](s, "pipe")
		return func(*pipeline.Ctx[string], int, pipeline.Emit[int]) error { return nil }
	})
	require.ErrorContains(t, p.Err(), `Stateful: state "pipe" of type chan int has no coder: `)
}

// Goal: one mistake is one sentence: nothing built on it complains again, or panics.
// Method: every operation behind a collection that was never made.
func TestMistakes_dontRepeatThemselves(t *testing.T) {
	p := pipeline.New()
	var none pipeline.PCollection[int]
	c := pipeline.Map(none, func(i int) int { return i })
	c, _ = pipeline.CatchMap(pipeline.Filter(c, func(int) bool { return true }), func(_ context.Context, i int) (int, error) { return i, nil })
	c = pipeline.FlatMapEmit(pipeline.FlatMap(c, func(int) iter.Seq[int] { return nil }), func(i int, emit pipeline.Emit[int]) {})
	c = pipeline.EventTimeMs(pipeline.Reshuffle(c), func(int) int64 { return 0 }).Windowed(window.Fixed(time.Second))
	c = pipeline.Partition(pipeline.Flatten(c, pipeline.Create(p, 1)), 2, func(int) int { return 0 })[1]
	c = pipeline.ParDo(c, func(*pipeline.DoFn, pipeline.Emit[int]) func(pipeline.Elem, int) error { return nil })
	k := pipeline.KeyBy(c, func(i int) int { return i }).Windowed(window.Fixed(time.Second)).Filter(func(int, int) bool { return true })
	k = pipeline.MapValues(k, func(i int) int { return i })
	pipeline.CoGroup(k, k)
	pipeline.GroupByKey(k)
	sums := pipeline.CombinePerKey(pipeline.FromPairs(pipeline.Pairs(k)), pipeline.Combiner[int, int, int]{})
	pipeline.CombineGlobally(c, pipeline.Combiner[int, int, int]{})
	pipeline.AsMap(sums)
	pipeline.AsSingleton(c)
	pipeline.WaitOn(c, pipeline.Pairs(sums))
	pipeline.Stateful(k, "s", func(*pipeline.Setup[int, int]) pipeline.Process[int, int, int] { return nil })
	pipeline.ForEach(c, func(context.Context, int) error { return nil })
	pipeline.Collect(pipeline.MapKV(k, func(int, int) int { return 0 }))
	pipeline.Composite(c, "inner", func() int { return 1 })
	require.Regexp(t, `^pipeline/nilfunc_test\.go:\d+: Map: its input is an empty collection, used before it was made: [^\n]*$`, p.Err())
}

// The other position of a name that is taken, and of several, is told.
func TestNames_bothPositions(t *testing.T) {
	p := pipeline.New()
	c := pipeline.Create(p, 1)
	for range 3 {
		c = pipeline.Filter(c, func(int) bool { return true }, pipeline.Named("pick"))
	}
	require.Regexp(t, `^(pipeline/nilfunc_test\.go:(\d+): two transforms are named "pick", the other at pipeline/nilfunc_test\.go:\d+: [^\n]*\n?){2}$`, p.Err())
	p = pipeline.New()
	for range 2 { // a composite gives its parts names of their own
		c := pipeline.Create(p, 1)
		pipeline.Composite(c, "twice", func() int {
			pipeline.Filter(c, func(int) bool { return true }, pipeline.Named("pick"))
			return 0
		})
	}
	require.NoError(t, p.Err())
}
