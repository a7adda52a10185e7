package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
)

// summary is what is printed: the most frequent words and the totals.
type summary struct {
	top   *pipeline.Collected[[]pipeline.KV[string, int64]]
	total *pipeline.Collected[int64]
	words *pipeline.Collected[int64]
}

// summarise finds the n most frequent words.
func summarise(counts pipeline.Keyed[string, int64], n int) *summary {
	less := func(a, b pipeline.KV[string, int64]) bool {
		return cmp.Or(cmp.Compare(a.Value, b.Value), -strings.Compare(a.Key, b.Key)) < 0
	}
	pairs := pipeline.Pairs(counts)
	return &summary{
		top:   pipeline.Collect(transforms.TopGlobally(pairs, n, less)),
		total: pipeline.Collect(transforms.SumGlobally(pipeline.MapKV(counts, func(_ string, n int64) int64 { return n }))),
		words: pipeline.Collect(transforms.CountGlobally(pairs)),
	}
}

func (s *summary) print(w io.Writer, in string, took time.Duration) {
	for _, top := range s.top.Values() {
		width := 0
		for _, kv := range top {
			width = max(width, len(kv.Key))
		}
		most := int64(1)
		if len(top) > 0 {
			most = slices.MaxFunc(top, func(a, b pipeline.KV[string, int64]) int { return cmp.Compare(a.Value, b.Value) }).Value
		}
		for _, kv := range top {
			fmt.Fprintf(w, "%-*s %8d %s\n", width, kv.Key, kv.Value, strings.Repeat("█", int(30*kv.Value/most)))
		}
	}
	fmt.Fprintf(w, "\n%d words, %d different, in %s; %v\n", first(s.total), first(s.words), in, took.Round(time.Millisecond))
}

func first(c *pipeline.Collected[int64]) int64 {
	for _, v := range c.Values() {
		return v
	}
	return 0
}
