package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// Goal: the formats in a sink, which gives them memory to use, and in a source, which
// uses its memory again.
func TestFormats_inPipelines(t *testing.T) {
	type order struct {
		ID    string
		Cents int
	}
	type keyed = pipeline.KV[string, order]
	c := kafkatest.Fake(t)
	run := func(build func(*pipeline.Pipeline)) {
		t.Helper()
		p := pipeline.New()
		build(p)
		_, err := local.Run(t.Context(), p, local.Config{Parallelism: 2})
		require.NoError(t, err)
	}
	var orders []keyed
	var texts []string
	var records []Record
	for i := range 500 {
		id := strings.Repeat(fmt.Sprint(i, " "), 1+i%50)
		orders = append(orders, keyed{Key: id, Value: order{id, i}})
		texts = append(texts, id)
		records = append(records, Record{Key: []byte(id), Value: []byte("x" + id), Headers: []Header{{"h", []byte(id)}}})
	}
	url := func(topic string) string {
		c.CreateTopic(topic, 3, 1, nil)
		return "kafka://" + c.Addrs()[0] + "/" + topic
	}
	for name, f := range map[string]Format[keyed]{
		"json": KeyValue(String(), JSON[order]()),
		"csv":  KeyValue(JSON[string](), CSV[order]()),
	} {
		to := url(name)
		run(func(p *pipeline.Pipeline) { Write(pipeline.Create(p, orders...), to, f) })
		run(func(p *pipeline.Pipeline) {
			got := pipeline.Collect(Read(p, to+"?stop=latest", f))
			t.Cleanup(func() { assert.ElementsMatch(t, orders, got.Values(), name) })
		})
	}
	to := url("text")
	run(func(p *pipeline.Pipeline) {
		Write(pipeline.Create(p, texts...), to, WithKey(String(), strings.TrimSpace))
	})
	for _, r := range kafkatest.ReadAll(t, c.Addrs(), "text") {
		require.Equal(t, strings.TrimSpace(string(r.Value)), string(r.Key))
	}
	run(func(p *pipeline.Pipeline) {
		got := pipeline.Collect(pipeline.Map(Read(p, to+"?stop=latest", Bytes()), func(b []byte) string { return string(b) }))
		t.Cleanup(func() { assert.ElementsMatch(t, texts, got.Values()) })
	})

	// Records of which some have no key, or no value: memory that is used again is neither.
	sparse := Format[string]{Name: "sparse", Encode: func(s string, r *Record) error {
		if strings.Contains(s, "key") {
			r.Key = append(r.Key, s...)
		}
		if strings.Contains(s, "value") {
			r.Value = append(r.Value, s...)
		}
		return nil
	}}
	to = url("sparse")
	want := []string{"key value", "key", "value", "neither", "a longer key and value", "neither", "key"}
	run(func(p *pipeline.Pipeline) { Write(pipeline.Create(p, want...), to, sparse) })
	var keys, values int
	for _, r := range kafkatest.ReadAll(t, c.Addrs(), "sparse") {
		if r.Key != nil {
			keys++
		}
		if r.Value != nil {
			values++
		}
	}
	assert.Equal(t, [2]int{4, 3}, [2]int{keys, values})

	to = url("records")
	registerRecords()
	run(func(p *pipeline.Pipeline) { Write(pipeline.Create(p, records...), to, Records()) })
	run(func(p *pipeline.Pipeline) {
		got := pipeline.Collect(Read(p, to+"?stop=latest", Records()))
		t.Cleanup(func() {
			var back []Record
			for _, r := range got.Values() {
				assert.Equal(t, "records", r.Topic)
				r.Topic, r.Partition, r.Offset, r.Time = "", 0, 0, time.Time{}
				back = append(back, r)
			}
			assert.ElementsMatch(t, records, back)
		})
	})
}
