package pipelinetest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/window"
)

// Outside of [pipelinetest.Run] a script wants a timeline, whose clock the run
// goes by, and a snapshot after each bundle.
func ExampleNewScript() {
	p, tl := pipeline.New(), pipelinetest.NewTimeline()
	s := pipelinetest.NewScript[int64](tl)
	s.AddMs(1, 3)
	s.AddMs(2, 4)
	s.AdvanceWatermarkMs(10)
	s.AddMs(3, 100)

	n := pipeline.KeyBy(pipelinetest.Stream(p, s), func(int64) string { return "sum" })
	early := n.Windowed(window.Fixed(10*time.Millisecond),
		window.Triggering(window.AfterWatermark().Early(window.AfterCount(1))), window.Accumulating())
	out := pipeline.Collect(pipelinetest.Observe(pipeline.Pairs(pipeline.CombinePerKey(early, sum)), tl))
	if _, err := local.Run(context.Background(), p, local.Config{BundleEpochs: 1, Now: tl.Now}); err != nil {
		fmt.Println(err)
	}
	var lines []string
	for _, o := range out.Values() {
		lines = append(lines, fmt.Sprintf("step %d: %d %s", o.Step, o.Value.Value, o.Pane.Timing))
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
	// Output:
	// step 0: 3 early
	// step 1: 7 early
}
