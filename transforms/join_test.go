package transforms_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/stretchr/testify/require"
)

// Goal: joins read their groups from disk as from memory. Method: 6 MB of values,
// and 3 MiB for them, which three lanes divide.
func TestJoin_spills(t *testing.T) {
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		wide := pipeline.Map(pipeline.Create(p, numbers(6000)...), func(i int64) string { return fmt.Sprintf("%01000d", i) })
		left := pipeline.KeyBy(wide, func(s string) string { return s[998:] })
		right := pipeline.KeyBy(pipeline.Create(p, numbers(240)...), func(i int64) string { return fmt.Sprintf("%02d", i%120) })
		joined := pipeline.MapKV(transforms.FullJoin(left, right), func(k string, m transforms.Pair[transforms.Optional[string], transforms.Optional[int64]]) string {
			return fmt.Sprint(k, " ", m.Left.OK, m.Right.OK, len(m.Left.Value))
		})
		pipelinetest.Equal(t, transforms.CountGlobally(joined), 2*6000+2*20)
		pipelinetest.Equal(t, transforms.CountGlobally(transforms.Distinct(joined)), 120)
	}, pipelinetest.MemoryBudget(3<<20))
}

// BenchmarkJoin joins 100,000 left values with a few right ones for each key: with
// few keys the groups are large, which must not show.
func BenchmarkJoin(b *testing.B) {
	const n = 100_000
	for _, keys := range []int64{1, 100, 10_000} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := pipeline.New()
				fill := func(i uint64, e *int64) { *e = int64(i) }
				key := func(v int64) int64 { return v % keys }
				joined := transforms.InnerJoin(
					pipeline.KeyBy(pipeline.Generate(p, n, fill), key),
					pipeline.KeyBy(pipeline.Generate(p, uint64(2*keys), fill), key))
				count := pipeline.Collect(transforms.CountGlobally(pipeline.Pairs(joined)))
				_, err := local.Run(context.Background(), p, local.Config{Parallelism: 2})
				require.NoError(b, err)
				require.Equal(b, []int64{2 * n}, count.Values())
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "left/s")
		})
	}
}
