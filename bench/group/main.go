// Command group groups more data by key than fits into its memory budget, checks
// the result, and prints how much memory the process has used at most.
//
//	go run ./bench/group -mb 1024 -budget 256
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/millrace/millrace/bench/internal/meter"
	"github.com/millrace/millrace/bench/nexmark/gen"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// result is the line that is printed.
type result struct {
	DataMB    int     `json:"data_mb"`
	BudgetMB  int     `json:"budget_mb"`
	SpilledMB int64   `json:"spilled_mb"`
	Groups    int64   `json:"groups"`
	Values    int64   `json:"values"`
	Seconds   float64 `json:"seconds"`
	PeakRSSMB int     `json:"peak_rss_mb"`
}

// valueSize is how large a value is.
const valueSize = 200

func main() {
	mb := flag.Int("mb", 1024, "size of the data in MiB")
	budget := flag.Int("budget", 256, "memory budget in MiB")
	par := flag.Int("parallelism", 0, "lanes; 0: one for each core")
	flag.Parse()
	r, err := run(*mb, *budget, *par)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "group:", err)
		os.Exit(1)
	}
}

// size is what a group comes to.
type size struct{ Groups, Values, Sum int64 }

func run(mb, budget, par int) (r result, err error) {
	n := uint64(mb) << 20 / valueSize
	keys := max(n/50, 1)
	p := pipeline.New()
	values := pipeline.Generate(p, n, func(i uint64, v *string) {
		*v = fmt.Sprintf("%020d", i) + padding
	})
	byKey := pipeline.KeyBy(values, func(v string) uint64 {
		var i uint64
		for _, c := range v[:20] {
			i = 10*i + uint64(c-'0')
		}
		return gen.Mix64(i) % keys
	})
	sizes := pipeline.MapKV(pipeline.GroupByKey(byKey), func(_ uint64, vs iter.Seq[string]) size {
		s := size{Groups: 1}
		for v := range vs {
			s.Values++
			s.Sum += int64(len(v))
		}
		return s
	})
	total := pipeline.Collect(pipeline.CombineGlobally(sizes, pipeline.Combiner[size, size, size]{
		Add:     func(a *size, b size) { a.Groups += b.Groups; a.Values += b.Values; a.Sum += b.Sum },
		Merge:   func(a *size, b size) { a.Groups += b.Groups; a.Values += b.Values; a.Sum += b.Sum },
		Extract: func(a size) size { return a },
	}))
	debug.SetMemoryLimit(int64(budget) << 20) // the collector is to keep the rest small as well
	start := time.Now()
	res, err := local.Run(context.Background(), p, local.Config{Parallelism: par, MemoryBudget: int64(budget) << 20 / 2})
	if err != nil {
		return r, err
	}
	for _, s := range total.Values() {
		if s.Values != int64(n) || s.Sum != int64(n)*valueSize {
			return r, fmt.Errorf("%d values of %d bytes went in, %d of %d came out", n, n*valueSize, s.Values, s.Sum)
		}
		r.Groups, r.Values = s.Groups, s.Values
	}
	r.DataMB, r.BudgetMB, r.Seconds = mb, budget, time.Since(start).Seconds()
	r.SpilledMB, r.PeakRSSMB = res.Counter("spilledBytes")>>20, meter.PeakRSS()
	return r, nil
}

var padding = strings.Repeat("x", valueSize-20)
