package transforms_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
)

// printAll runs p and prints c's elements, sorted.
func printAll[E any](p *pipeline.Pipeline, c pipeline.PCollection[E]) {
	out := pipeline.Collect(c)
	if _, err := local.Run(context.Background(), p, local.Config{}); err != nil {
		fmt.Println(err)
		return
	}
	var lines []string
	for _, v := range out.Values() {
		lines = append(lines, fmt.Sprint(v))
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
}

func ExampleCount() {
	p := pipeline.New()
	words := pipeline.FlatMap(pipeline.Create(p, "to be or not", "to be"), strings.FieldsSeq)
	counts := transforms.Count(pipeline.KeyBy(words, strings.ToUpper))
	printAll(p, pipeline.Pairs(counts))
	// Output:
	// {BE 2}
	// {NOT 1}
	// {OR 1}
	// {TO 2}
}

func ExampleSum() {
	p := pipeline.New()
	sales := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("north", 3), pipeline.NewKV("south", 4), pipeline.NewKV("north", 5)))
	printAll(p, pipeline.Pairs(transforms.Sum(sales)))
	// Output:
	// {north 8}
	// {south 4}
}

func ExampleMean() {
	p := pipeline.New()
	ms := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("/", 10), pipeline.NewKV("/", 20)))
	printAll(p, pipeline.Pairs(transforms.Mean(ms)))
	// Output: {/ 15}
}

func ExampleMinGlobally() {
	p := pipeline.New()
	printAll(p, transforms.MinGlobally(pipeline.Create(p, 3, 1, 2)))
	// Output: {true 1}
}

func ExampleTopGlobally() {
	p := pipeline.New()
	longest := transforms.TopGlobally(pipeline.Create(p, "pear", "fig", "banana"), 2, func(a, b string) bool { return len(a) < len(b) })
	printAll(p, longest)
	// Output: [banana pear]
}

func ExampleQuantilesGlobally() {
	p := pipeline.New()
	printAll(p, transforms.QuantilesGlobally(pipeline.Create(p, 1, 2, 3, 4, 5), []float64{0, 0.5, 1}))
	// Output: [1 3 5]
}

func ExampleApproxDistinctGlobally() {
	p := pipeline.New()
	printAll(p, transforms.ApproxDistinctGlobally(pipeline.Create(p, "a", "b", "a")))
	// Output: 2
}

func ExampleDistinct() {
	p := pipeline.New()
	printAll(p, transforms.Distinct(pipeline.Create(p, "a", "b", "a")))
	// Output:
	// a
	// b
}

func ExampleInnerJoin() {
	p := pipeline.New()
	names := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "Ann"), pipeline.NewKV(2, "Bo")))
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea"), pipeline.NewKV(1, "milk")))
	printAll(p, pipeline.Pairs(transforms.InnerJoin(names, orders)))
	// Output:
	// {1 {Ann milk}}
	// {1 {Ann tea}}
}

func ExampleLeftJoin() {
	p := pipeline.New()
	names := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "Ann"), pipeline.NewKV(2, "Bo")))
	orders := pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV(1, "tea")))
	printAll(p, pipeline.Pairs(transforms.LeftJoin(names, orders)))
	// Output:
	// {1 {Ann {true tea}}}
	// {2 {Bo {false }}}
}

func ExampleToMap() {
	p := pipeline.New()
	printAll(p, transforms.ToMap(pipeline.FromPairs(pipeline.Create(p, pipeline.NewKV("a", 1), pipeline.NewKV("b", 2)))))
	// Output: map[a:1 b:2]
}

func ExampleSampleGlobally() {
	p := pipeline.New()
	sample := transforms.SampleGlobally(pipeline.Create(p, "a", "b", "c", "d"), 2, 42)
	printAll(p, pipeline.Map(sample, func(vs []string) int { return len(vs) }))
	// Output: 2
}

func ExampleBatchPerKey() {
	p := pipeline.New()
	words := pipeline.KeyBy(pipeline.Create(p, "a", "a", "a"), func(s string) string { return s })
	printAll(p, pipeline.Pairs(transforms.BatchPerKey(words, "pairs", 2)))
	// Output:
	// {a [a a]}
	// {a [a]}
}

func ExampleExtract() {
	p := pipeline.New()
	printAll(p, transforms.Extract(pipeline.Create(p, "user=ann", "nobody"), `user=(\w+)`))
	// Output: [user=ann ann]
}
