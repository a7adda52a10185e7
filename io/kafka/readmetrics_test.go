package kafka

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// Goal: how far behind the ends of the partitions readers are, in all and by partition.
func TestRead_metrics(t *testing.T) {
	k := kafkatest.Fake(t)
	k.CreateTopic("t", 3, 1, nil)
	for i := range int32(3) {
		produce(t, k, "t", i, numbered("a", 10))
	}
	p := pipeline.New()
	stop := Stop(AtOffsets(map[TopicPartition]int64{{"t", 0}: 4, {"t", 1}: 7}, Latest()))
	pipeline.ForEach(Read(p, brokersURL(k, "t"), lines, stop), func(context.Context, string) error { return nil })
	res, err := local.Run(t.Context(), p, local.Config{Parallelism: 3})
	require.NoError(t, err)
	got := map[string]int64{}
	for _, m := range res.Metrics {
		got[m.Name] = m.Sum
	}
	assert.Positive(t, got["bytes"])
	assert.Contains(t, got, "throttledMs")
	assert.Contains(t, got, "lag")
	for name, want := range map[string]int64{"lag t/0": 6, "lag t/1": 3, "lag t/2": 0} {
		lag, ok := got[name]
		assert.True(t, ok, name)
		assert.Equal(t, want, lag, name)
	}
}
