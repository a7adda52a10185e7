package runners

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/draw"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden pictures")

// shop has an edge of each sort: forward, by key, gathered, and a side input; a
// composite, a name of the user's, and types that need quoting.
func shop(p *pipeline.Pipeline) {
	orders := pipeline.Generate(p, 10, func(i uint64, o *order) { *o = order{i, int64(i)} }, pipeline.Named("orders"))
	rate := pipeline.AsSingleton(pipeline.Create(p, 1.5), pipeline.Named("rate"))
	timed := pipeline.EventTimeMs(orders, func(o order) int64 { return o.At }).Windowed(window.Fixed(time.Minute))
	priced := pipeline.ParDo(timed, func(d *pipeline.DoFn, emit pipeline.Emit[order]) func(pipeline.Elem, order) error {
		pipeline.UseView(d, rate)
		return func(_ pipeline.Elem, o order) error { emit(o); return nil }
	}, pipeline.Named(`price "all" & sundry`))
	sums := pipeline.CombinePerKey(pipeline.KeyBy(priced, func(o order) uint64 { return o.ID % 3 }), pipeline.Combiner[order, int64, int64]{
		Add: func(a *int64, o order) { *a += o.At }, Merge: func(a *int64, b int64) { *a += b }, Extract: func(a int64) int64 { return a }})
	pipeline.Collect(pipeline.Flatten(pipeline.Pairs(sums), pipeline.Reshuffle(pipeline.Pairs(sums))))
}

type order struct {
	ID uint64
	At int64
}

// The pictures are read as code: look at testdata/shop.svg after -update.
func TestRun_pictures(t *testing.T) {
	line := regexp.MustCompile(`graph_test\.go:\d+`) // moves with this file
	for _, format := range draw.Formats {
		code, got, stderr := command(t.Context(), shop, "-graph="+format)
		require.Zero(t, code)
		require.Empty(t, stderr)
		got = line.ReplaceAllString(got, "graph_test.go:N")
		path := filepath.Join("testdata", "shop."+format)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), got, "%s (-update rewrites it)", path)
	}
}

// A picture needs no run, so it comes of what cannot be run yet, but not of mistakes.
func TestRun_picturesComeBeforeTheRun(t *testing.T) {
	code, stdout, _ := command(t.Context(), func(p *pipeline.Pipeline) {
		k := pipeline.KeyBy(pipeline.Create(p, 1), func(int) string { return "k" })
		pipeline.GroupByKey(k.Windowed(window.Sessions(time.Minute)))
	}, "-graph=mermaid")
	require.Zero(t, code)
	require.Contains(t, stdout, "GroupByKey")

	code, stdout, stderr := command(t.Context(), func(p *pipeline.Pipeline) { pipeline.Filter(pipeline.Create(p, 1), nil) }, "-graph=dot")
	require.Equal(t, ExitFailed, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "Filter: the function is nil")
}

func TestRun_help(t *testing.T) {
	code, stdout, stderr := command(t.Context(), small, "-help")
	require.Zero(t, code)
	require.Empty(t, stdout)
	for _, name := range []string{"-runner", "-graph", "-parallelism", "-memory", "-temp-dir", "-on-error", "-retries", "-progress", "-source", "-sink"} {
		require.Contains(t, stderr, "  "+name+" ")
	}
	require.Contains(t, stderr, "dot, mermaid, svg")
}
