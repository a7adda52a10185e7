package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/io/kafka/internal/client"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// A sink that has much in memory has a checkpoint taken before its time.
func TestExactlyOnce_crowded(t *testing.T) {
	b := kafkatest.Fake(t)
	b.CreateTopic("t", 4, 1, nil)
	all := keyed(20_000, 100)
	p := pipeline.New()
	Write(pipeline.Create(p, all...), urlTo(b, "t?exactly-once=crowded&batch=10000&buffer=40000&compression=none"), words)
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1, StateDir: t.TempDir(), Checkpoint: time.Hour})
	require.NoError(t, err)
	c, err := client.New(client.Config{Brokers: b.Addrs()})
	require.NoError(t, err)
	defer c.Close()
	at := client.TopicPartition{Topic: "t"}
	offsets, err := c.GroupOffsets(t.Context(), "crowded-1-0", []client.TopicPartition{at})
	require.NoError(t, err)
	require.Greater(t, offsets[at].Offset, int64(5), "the number of transactions")
	requireShown(t, b, "t", all...)
}
