package kafka

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// Goal: reading allocates nothing for a record but what the format does. Method: whole
// runs, with the brokers in the same process; what they allocate for a fetch is shared
// by its records.
func TestRead_allocates(t *testing.T) {
	const batches, each = 20, 20_000
	w := newTown(t, 1)
	w.topic("t", 2)
	for i := range batches {
		var b batch.Builder
		b.Reset(nil)
		for k := range each {
			b.Add(int64(1000+k), []byte("key"), []byte("value"), []batch.Header{{Key: "trace", Value: []byte("1")}, {Key: "span"}})
		}
		w.write("t", i%2, b.Finish([]batch.Codec{batch.None, batch.Zstd}[i%4/2]))
	}
	sizes := Format[int]{Name: "size", Decode: func(r *Record) (int, error) { return len(r.Value) + len(r.Headers), nil }}
	for _, keeps := range []bool{false, true} {
		t.Run(fmt.Sprint("keeps ", keeps), func(t *testing.T) {
			f := sizes
			f.Keeps = keeps
			sum := 0
			p := pipeline.New()
			pipeline.ForEach(Read(p, w.url("t?stop=latest"), f), func(_ context.Context, n int) error { sum += n; return nil })
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Equal(t, batches*each*7, sum)
			budget := 0.02
			if keeps {
				budget++ // its headers
			}
			assert.Less(t, float64(after.Mallocs-before.Mallocs)/(batches*each), budget)
		})
	}
}
