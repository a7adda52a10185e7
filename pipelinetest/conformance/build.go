package conformance

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
)

// kv is what all stages take and give.
type kv = pipeline.KV[string, string]

// builder makes one scenario's pipeline for one way to run it.
type builder struct {
	scenario
	way    Way
	p      *pipeline.Pipeline
	tl     *pipelinetest.Timeline
	unsafe bool // permit triggers that may finish
}

// build adds the scenario to the pipeline and returns where its outputs go.
func (b *builder) build() *pipeline.Collected[pipelinetest.Output[kv]] {
	cs := b.streams()
	stages := b.Stages
	if stages[0].kind == "flatten" {
		cs = []pipeline.PCollection[kv]{pipeline.Flatten(cs[0], cs[1:]...)}
		stages = stages[1:]
	}
	c := pipeline.FromPairs(cs[0])
	for i, st := range stages {
		c = b.stage(c, st, i)
	}
	return pipeline.Collect(pipelinetest.Observe(pipeline.Pairs(c), b.tl))
}

// streams are the scenario's sources, one if it names none.
func (b *builder) streams() (cs []pipeline.PCollection[kv]) {
	names := b.Sources
	if names == nil {
		names = []string{""}
	}
	scripts := map[string]*pipelinetest.Script[kv]{}
	for _, n := range names {
		scripts[n] = pipelinetest.NewScript[kv](b.tl)
	}
	if b.way.Each {
		b.tl.EachAlone()
	}
	for _, st := range b.Script {
		s := scripts[st.Source]
		switch {
		case st.Add != nil:
			var es []pipeline.Timestamped[kv]
			for _, e := range st.Add {
				for i := range b.copies() {
					es = append(es, pipelinetest.AtMs(e.ts, pipeline.NewKV(keyOf(e.key, i), e.value)))
				}
			}
			s.Add(es...)
		case st.Watermark != nil:
			s.AdvanceWatermarkMs(*st.Watermark)
		case st.Clock > 0:
			s.AdvanceClock(ms(st.Clock))
		case st.Idle:
			s.Idle()
		case st.End && st.Source != "":
			s.End()
		}
	}
	for _, n := range names {
		c := pipelinetest.Stream(b.p, scripts[n])
		if b.way.Spread {
			c = pipeline.Reshuffle(c)
		}
		cs = append(cs, c)
	}
	return cs
}

// copies is for how many keys each element is repeated, so that all lanes have
// something to do. Where keys come together again there is one.
func (b *builder) copies() int {
	apart := !slices.ContainsFunc(b.Stages, func(s stage) bool { return s.kind == "rekey" || s.kind == "side" })
	if b.way.Copies > 1 && apart {
		return b.way.Copies
	}
	return 1
}

// keyOf is copy i of a key.
func keyOf(key string, i int) string {
	if i == 0 {
		return key
	}
	return fmt.Sprint(key, "~", i)
}

var sum = pipeline.Combiner[int64, int64, int64]{
	Add:     func(a *int64, v int64) { *a += v },
	Merge:   func(a *int64, b int64) { *a += b },
	Extract: func(a int64) int64 { return a },
}

// stage adds the i-th stage.
func (b *builder) stage(c pipeline.Keyed[string, string], st stage, i int) pipeline.Keyed[string, string] {
	switch st.kind {
	case "window":
		fn, opts := st.window.strategy(b.unsafe)
		return c.Windowed(fn, opts...)
	case "group":
		return pipeline.MapValues(pipeline.GroupByKey(c), list)
	case "sum":
		numbers := pipeline.MapValues(c, func(v string) int64 {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				panic(err)
			}
			return n
		})
		return pipeline.MapValues(pipeline.CombinePerKey(numbers, sum), func(n int64) string { return strconv.FormatInt(n, 10) })
	case "rekey":
		return pipeline.FromPairs(pipeline.MapKV(c, func(k, v string) kv { return pipeline.NewKV("all", k+v) }))
	case "reshuffle":
		return pipeline.FromPairs(pipeline.Reshuffle(pipeline.Pairs(c)))
	case "shift":
		return pipeline.FromPairs(pipeline.WithTimestampsMs(pipeline.Pairs(c),
			func(e pipeline.Elem, _ kv) int64 { return e.TimestampMs() + st.shift }, pipeline.AllowedSkew(ms(max(-st.shift, 0)))))
	case "program":
		return b.program(c, st.program, fmt.Sprint("program-", i))
	case "side":
		return b.side(c, st.side)
	}
	panic("conformance: no such stage: " + st.kind)
}

// list is "[a,b]" of values in any order.
func list(vs iter.Seq[string]) string { return "[" + strings.Join(slices.Sorted(vs), ",") + "]" }

// side adds a transform with a side input.
func (b *builder) side(c pipeline.Keyed[string, string], st side) pipeline.Keyed[string, string] {
	fn, opts := st.MainWindow.strategy(b.unsafe)
	main := c.Filter(func(k, _ string) bool { return k != "side" }).Windowed(fn, opts...)
	fn, opts = st.Window.strategy(b.unsafe)
	other := c.Filter(func(k, _ string) bool { return k == "side" }).Windowed(fn, opts...)
	if st.PerPane {
		other = pipeline.MapValues(pipeline.GroupByKey(other), list)
	}
	values := pipeline.MapKV(other, func(_, v string) string { return v })
	if st.As == "singleton" {
		one := pipeline.AsSingleton(values)
		if st.Default != nil {
			one = pipeline.AsSingletonOr(values, *st.Default)
		}
		return with(main, one, func(v string) string { return v })
	}
	return with(main, pipeline.AsIterable(values), func(vs []string) string { return list(slices.Values(vs)) })
}

// with appends what text makes of a side input to each value.
func with[T any](c pipeline.Keyed[string, string], view pipeline.View[T], text func(T) string) pipeline.Keyed[string, string] {
	return pipeline.FromPairs(pipeline.ParDo(pipeline.Pairs(c), func(d *pipeline.DoFn, emit pipeline.Emit[kv]) func(pipeline.Elem, kv) error {
		view := pipeline.UseView(d, view)
		return func(_ pipeline.Elem, e kv) error {
			emit(pipeline.NewKV(e.Key, e.Value+"|"+text(view.Get())))
			return nil
		}
	}))
}
