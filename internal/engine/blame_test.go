package engine_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/require"
)

var errBad = errors.New("a bad one")

// Goal: whatever fails, and however, the error names its transform, its place in
// the program and the input at hand; not a transform before or behind it.
// Method: each operation fails on element 700 of 1000, with operations around it.
func TestRun_failureNamesItsTransformAndInput(t *testing.T) {
	const bad = 700
	type u = uint64
	fail := func(v u) {
		if v == bad {
			panic("a bad one")
		}
	}
	try := func(v u) error {
		if v == bad {
			return errBad
		}
		return nil
	}
	named := pipeline.Named("culprit")
	for name, build := range map[string]func(c pipeline.PCollection[u]) pipeline.PCollection[u]{
		"Map": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.Map(c, func(v u) u { fail(v); return v }, named)
		},
		"TryMap": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.TryMap(c, func(_ context.Context, v u) (u, error) { return v, try(v) }, named)
		},
		"Filter": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.Filter(c, func(v u) bool { fail(v); return true }, named)
		},
		"TryFilter": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.TryFilter(c, func(_ context.Context, v u) (bool, error) { return true, try(v) }, named)
		},
		"FlatMap, between two outputs": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.FlatMap(c, func(v u) iter.Seq[u] {
				return func(yield func(u) bool) {
					if yield(v) {
						fail(v)
						yield(v)
					}
				}
			}, named)
		},
		"FlatMapEmit, behind an output": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.FlatMapEmit(c, func(v u, emit pipeline.Emit[u]) { emit(v); fail(v) }, named)
		},
		"TryFlatMap": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.TryFlatMap(c, func(_ context.Context, v u, emit pipeline.Emit[u]) error { emit(v); return try(v) }, named)
		},
		"ParDo, behind an output": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.ParDo(c, func(_ *pipeline.DoFn, emit pipeline.Emit[u]) func(pipeline.Elem, u) error {
				return func(_ pipeline.Elem, v u) error { emit(v); fail(v); return nil }
			}, named)
		},
		"ParDo with an error": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.ParDo(c, func(_ *pipeline.DoFn, emit pipeline.Emit[u]) func(pipeline.Elem, u) error {
				return func(_ pipeline.Elem, v u) error { emit(v); return try(v) }
			}, named)
		},
		"Partition": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.Partition(c, 1, func(v u) int { fail(v); return 0 }, named)[0]
		},
		"Partition out of range": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.Partition(c, 1, func(v u) int { return int(v / bad) }, named)[0]
		},
		"KeyBy": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			return pipeline.MapKV(pipeline.KeyBy(c, func(v u) u { fail(v); return v }, named), func(_, v u) u { return v })
		},
		"MapValues": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			k := pipeline.KeyBy(c, func(v u) u { return v })
			return pipeline.MapKV(pipeline.MapValues(k, func(v u) u { fail(v); return v }, named), func(_, v u) u { return v })
		},
		"ForEach": func(c pipeline.PCollection[u]) pipeline.PCollection[u] {
			pipeline.ForEach(c, func(_ context.Context, v u) error { return try(v) }, named)
			return c
		},
	} {
		for _, behind := range []string{"a source", "a shuffle"} {
			for _, lanes := range []int{1, 3} {
				t.Run(name+" behind "+behind, func(t *testing.T) {
					before := runtime.NumGoroutine()
					p := pipeline.New()
					c := pipeline.Map(numbers(p, 1000), func(v u) u { return v }, pipeline.Named("before"))
					if behind == "a shuffle" {
						c = pipeline.Reshuffle(c)
					}
					pipeline.Collect(pipeline.Map(build(c), func(v u) u { return v }, pipeline.Named("behind")))
					require.NoError(t, p.Err())
					res, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: lanes})
					var user *graph.UserError
					require.ErrorAs(t, err, &user)
					require.Equal(t, "culprit", user.Node.Name, err)
					require.Regexp(t, `^culprit \(engine/blame_test\.go:\d+\)`, err)
					if behind == "a source" {
						require.Contains(t, user.Where, "element ")
					}
					if lanes == 1 && behind == "a source" {
						require.Equal(t, "element 700", user.Where)
					}
					require.NotNil(t, res, "it had begun")
					awaitGoroutines(t, before)
				})
			}
		}
	}
}

// Setup, teardown, bundles, timers and combiners fail as transforms, too.
func TestRun_failureBesideElementsIsNamed(t *testing.T) {
	keyed := func(p *pipeline.Pipeline) pipeline.Keyed[uint64, uint64] {
		return pipeline.KeyBy(numbers(p, 100), func(v uint64) uint64 { return v % 7 })
	}
	do := func(set func(d *pipeline.DoFn, emit pipeline.Emit[uint64])) func(*pipeline.Pipeline) {
		return func(p *pipeline.Pipeline) {
			pipeline.ParDo(numbers(p, 100), func(d *pipeline.DoFn, emit pipeline.Emit[uint64]) func(pipeline.Elem, uint64) error {
				set(d, emit)
				return func(pipeline.Elem, uint64) error { return nil }
			}, pipeline.Named("culprit"))
		}
	}
	for name, tc := range map[string]struct {
		build func(*pipeline.Pipeline)
		want  string
	}{
		"OnStart": {do(func(d *pipeline.DoFn, _ pipeline.Emit[uint64]) {
			d.OnStart(func(context.Context) error { return errBad })
		}), `: start: a bad one$`},
		"OnStart panics": {do(func(d *pipeline.DoFn, _ pipeline.Emit[uint64]) {
			d.OnStart(func(context.Context) error { panic(errBad) })
		}), `: start: panic: a bad one`},
		"OnFinishBundle": {do(func(d *pipeline.DoFn, _ pipeline.Emit[uint64]) {
			d.OnFinishBundle(func() error { return errBad })
		}), `: a bad one$`},
		"OnStop": {do(func(d *pipeline.DoFn, _ pipeline.Emit[uint64]) {
			d.OnStop(func() error { return errBad })
		}), `: stop: a bad one$`},
		"setup on a lane": {do(func() func(d *pipeline.DoFn, _ pipeline.Emit[uint64]) {
			built := false
			return func(*pipeline.DoFn, pipeline.Emit[uint64]) {
				if built {
					panic(errBad)
				}
				built = true
			}
		}()), `: panic: a bad one`},
		"a combiner's Add": {func(p *pipeline.Pipeline) {
			pipeline.CombinePerKey(keyed(p), pipeline.Combiner[uint64, uint64, uint64]{
				Add: func(_ *uint64, v uint64) { panic(errBad) }, Extract: func(a uint64) uint64 { return a }}, pipeline.Named("culprit"))
		}, `: panic: a bad one`},
		"a combiner's Extract": {func(p *pipeline.Pipeline) {
			pipeline.Collect(pipeline.Pairs(pipeline.CombinePerKey(keyed(p), pipeline.Combiner[uint64, uint64, uint64]{
				Add: func(*uint64, uint64) {}, Extract: func(uint64) uint64 { panic(errBad) }}, pipeline.Named("culprit"))))
		}, `: panic: a bad one`},
		"a timer": {func(p *pipeline.Pipeline) {
			pipeline.Stateful(keyed(p), "culprit", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, uint64, uint64] {
				late := pipeline.EventTimer(s, "late", func(*pipeline.Ctx[uint64], pipeline.Emit[uint64]) error { return errBad })
				return func(c *pipeline.Ctx[uint64], _ uint64, _ pipeline.Emit[uint64]) error {
					late.SetMs(c, 5)
					return nil
				}
			})
		}, `: a bad one$`},
		"state": {func(p *pipeline.Pipeline) {
			pipeline.Stateful(keyed(p), "culprit", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, uint64, uint64] {
				return func(*pipeline.Ctx[uint64], uint64, pipeline.Emit[uint64]) error { return errBad }
			})
		}, `: a bad one$`},
		"a side input's reader": {func(p *pipeline.Pipeline) {
			none := pipeline.AsSingleton(pipeline.Create[int](p))
			pipeline.ParDo(numbers(p, 100), func(d *pipeline.DoFn, emit pipeline.Emit[uint64]) func(pipeline.Elem, uint64) error {
				v := pipeline.UseView(d, none)
				return func(pipeline.Elem, uint64) error { v.Get(); return nil }
			}, pipeline.Named("culprit"))
		}, `: panic: a singleton side input is empty: AsSingletonOr gives it a default`},
		"a side input that is too much": {func(p *pipeline.Pipeline) {
			pipeline.AsSingleton(pipeline.Create(p, 1, 2), pipeline.Named("culprit"))
		}, `: a singleton side input has 2 elements, want 1: combine them first, or use AsIterable$`},
	} {
		t.Run(name, func(t *testing.T) {
			p := pipeline.New()
			tc.build(p)
			require.NoError(t, p.Err())
			_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 1})
			require.Error(t, err)
			require.Regexp(t, `^culprit \(engine/blame_test\.go:\d+\)`, err)
			require.Regexp(t, tc.want, err.Error())
		})
	}
}

// The stack of a panic is the user's own frames, innermost first.
func TestRun_panicShowsTheUsersFrames(t *testing.T) {
	p := pipeline.New()
	pipeline.Map(numbers(p, 10), parse)
	_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: 1})
	var panicked *graph.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Regexp(t, `^\t\S+engine_test\.inner\n\t\t\S+blame_test.go:\d+\n\t\S+engine_test\.parse\n`, panicked.Stack)
	require.NotContains(t, panicked.Stack, "internal/flow")
	require.ErrorIs(t, err, errBad, "the value of the panic, if it is an error")
}

func parse(v uint64) uint64 { return inner(v) }

//go:noinline
func inner(v uint64) uint64 {
	if v == 3 {
		panic(errBad)
	}
	return v
}

// One lane's failure ends the others, whatever they wait for, and is the one reported.
func TestRun_failureWakesLanesThatAreBlocked(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, lanes := range []int{2, 3} {
		p := pipeline.New()
		var seen atomic.Int64
		var failed atomic.Bool
		pipeline.ForEach(pipeline.Reshuffle(pipeline.Reshuffle(numbers(p, 1<<40))), func(ctx context.Context, v uint64) error {
			if seen.Add(1) == 5000 {
				failed.Store(true)
				return errBad
			}
			if failed.Load() {
				<-ctx.Done() // a lane that is in user code when another one fails
				return ctx.Err()
			}
			return nil
		})
		_, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: lanes, Batch: 1, Queue: 1})
		require.ErrorIs(t, err, errBad)
		awaitGoroutines(t, before)
	}
}

// Metrics are one for each transform and name, put together over the lanes.
func TestRun_metrics(t *testing.T) {
	p := pipeline.New()
	pipeline.ParDo(pipeline.Reshuffle(numbers(p, 1000)), func(d *pipeline.DoFn, emit pipeline.Emit[uint64]) func(pipeline.Elem, uint64) error {
		odd, size, last := d.Counter("odd"), d.Distribution("size"), d.Gauge("last")
		return func(_ pipeline.Elem, v uint64) error {
			odd.Inc(int64(v % 2))
			size.Observe(int64(v))
			last.Set(42)
			return nil
		}
	}, pipeline.Named("measured"))
	for _, lanes := range []int{1, 2, 3} {
		res, err := engine.Run(t.Context(), p.Graph(), engine.Config{Lanes: lanes})
		require.NoError(t, err)
		by := map[string]graph.Metric{}
		for _, m := range res.Metrics {
			require.Equal(t, "measured", m.Node)
			by[m.Name] = m
		}
		require.Len(t, res.Metrics, 3)
		require.Equal(t, int64(500), by["odd"].Sum)
		require.Equal(t, int64(42), by["last"].Sum)
		size := by["size"]
		require.Equal(t, []int64{1000, 999 * 500, 0, 999}, []int64{size.Count, size.Sum, size.Min, size.Max})
		require.True(t, slices.IsSortedFunc(res.Metrics, func(a, b graph.Metric) int { return int(a.Name[0]) - int(b.Name[0]) }))
	}
}
