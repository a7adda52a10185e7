package avro_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/avro"
	"github.com/millrace/millrace/io/kafka/registry/registrytest"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// Goal: what one job writes, with keys, another one reads by a newer schema. A registry
// that is down stops it; records are bad for other reasons only.
func TestFormat_inPipelines(t *testing.T) {
	reg := registrytest.NewWithLogin(t, "user", "p@ss/word")
	c := kafkatest.Fake(t)
	c.CreateTopic("orders", 2, 1, nil)
	url := "kafka://" + c.Addrs()[0] + "/orders"
	run := func(build func(*pipeline.Pipeline)) error {
		p := pipeline.New()
		build(p)
		_, err := local.Run(t.Context(), p, local.Config{Parallelism: 2})
		return err
	}
	key := func(opts ...registry.Option) kafka.Format[string] {
		return avro.Format[string](reg.URL(), append(opts, registry.Schema(`"string"`), registry.ForKey(), registry.Timeout(100*time.Millisecond))...)
	}
	type written = pipeline.KV[string, orderV1]
	type read = pipeline.KV[string, orderV2]
	var in []written
	var want []read
	for i := range 200 {
		k := fmt.Sprint("key ", i)
		in = append(in, written{Key: k, Value: orderV1{k, int32(i), 0.5}})
		want = append(want, read{Key: k, Value: orderV2{k, int64(i), "EUR"}})
	}
	require.NoError(t, run(func(p *pipeline.Pipeline) {
		kafka.Write(pipeline.Create(p, in...), url, kafka.KeyValue(key(registry.Register()), avro.Format[orderV1](reg.URL(), registry.Schema(schemaV1), registry.Register())))
	}))
	assert.Equal(t, 1, reg.Schemas("orders-key"))
	assert.Equal(t, 1, reg.Schemas("orders-value"))
	kafkatest.Produce(t, c.Addrs(), "orders", []kafkatest.Record{{Key: []byte("k"), Value: []byte("v")}})

	readAll := func(p *pipeline.Pipeline) (*pipeline.Collected[read], *pipeline.Collected[kafka.BadRecord]) {
		good, bad := kafka.ReadWithBad(p, url+"?stop=latest", kafka.KeyValue(key(), avro.Format[orderV2](reg.URL(), registry.Schema(schemaV2))))
		return pipeline.Collect(good), pipeline.Collect(bad)
	}
	var good *pipeline.Collected[read]
	var bad *pipeline.Collected[kafka.BadRecord]
	require.NoError(t, run(func(p *pipeline.Pipeline) { good, bad = readAll(p) }))
	assert.ElementsMatch(t, want, good.Values())
	require.Len(t, bad.Values(), 1)
	assert.Equal(t, "key: the value was not written with a schema registry: it begins with 0x6b, not with 0", bad.Values()[0].Error)

	reg.Down(true)
	err := run(func(p *pipeline.Pipeline) { readAll(p) })
	require.ErrorContains(t, err, "fails: service unavailable: the registry is down")
	assert.NotContains(t, err.Error(), "word")
}
