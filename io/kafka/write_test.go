package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/window"
)

// words is a format of "key=value" and "value".
var words = Format[string]{
	Name: "words",
	Encode: func(v string, r *Record) error {
		if v == "bad" {
			return fmt.Errorf("%q is no word", v)
		}
		key, value, ok := strings.Cut(v, "=")
		if !ok {
			key, value = "", v
		} else {
			r.Key = []byte(key)
		}
		r.Value = []byte(value)
		return nil
	},
}

// brokers starts brokers in this process with a topic "t" of four partitions.
func brokers(t *testing.T, n int, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	k, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(n), kfake.SeedTopics(4, "t"), kfake.SleepOutOfOrder()}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return k
}

func urlOf(k *kfake.Cluster, rest string) string {
	return "kafka://" + strings.Join(k.ListenAddrs(), ",") + "/" + rest
}

// readTopic reads a topic with another client, as read_committed, until want records
// are there.
func readTopic(ctx context.Context, addrs []string, topic string, want int) ([]*kgo.Record, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var all []*kgo.Record
	for len(all) < want {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			return all, err
		}
		all = append(all, f.Records()...)
	}
	return all, nil
}

func recordsOf(t *testing.T, k *kfake.Cluster, topic string, want int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	all, err := readTopic(ctx, k.ListenAddrs(), topic, want)
	require.NoError(t, err, "%d of %d records are there", len(all), want)
	return all
}

func keyedTexts(records []*kgo.Record) []string {
	var all []string
	for _, r := range records {
		text := string(r.Value)
		if r.Key != nil {
			text = string(r.Key) + "=" + text
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// keyed makes n values of so many keys.
func keyed(n, keys int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("k%02d=%05d", i%keys, i))
	}
	slices.Sort(all)
	return all
}

func runToEnd(t *testing.T, p *pipeline.Pipeline, cfg local.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	_, err := local.Run(ctx, p, cfg)
	return err
}

func TestWrite(t *testing.T) {
	k := brokers(t, 3)
	for i, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		lanes := 1 + i%2
		p := pipeline.New()
		all := keyed(5000, 37)
		Write(pipeline.Create(p, all...), urlOf(k, "made-"+codec+"?batch=2000&linger=1ms&compression="+codec), words,
			CreateTopic(6, 1, map[string]string{"cleanup.policy": "compact"}))
		require.NoError(t, runToEnd(t, p, local.Config{Parallelism: lanes}))
		records := recordsOf(t, k, "made-"+codec, len(all))
		require.Equal(t, all, keyedTexts(records))
		order := map[string]string{}
		for _, r := range records {
			assert.GreaterOrEqual(t, r.ProducerID, int64(0), "idempotent")
			key := string(r.Key)
			if lanes == 1 {
				assert.Less(t, order[key], string(r.Value), "the order of %s", key)
			}
			order[key] = string(r.Value)
			assert.Equal(t, kgo.StickyKeyPartitioner(nil).ForTopic("x").Partition(&kgo.Record{Key: r.Key}, 6), int(r.Partition), "as others send it")
		}
	}
}

func TestWrite_withoutKeys(t *testing.T) {
	k := brokers(t, 1)
	p := pipeline.New()
	var all []string
	for i := range 4000 {
		all = append(all, fmt.Sprintf("%05d", i))
	}
	Write(pipeline.Create(p, all...), urlOf(k, "t"), words, BatchBytes(1000), Linger(time.Millisecond))
	require.NoError(t, runToEnd(t, p, local.Config{Parallelism: 1}))
	records := recordsOf(t, k, "t", len(all))
	require.Equal(t, all, keyedTexts(records))
	n := map[int32]int{}
	for _, r := range records {
		n[r.Partition]++
	}
	require.Len(t, n, 4, "all partitions get some")
}

// full writes all that a record may have.
var full = Format[int]{Name: "full", Encode: func(i int, r *Record) error {
	if i == 0 {
		r.Topic = "other"
	}
	r.Partition = int32(i % 4)
	r.Key = []byte(fmt.Sprint(i))
	r.Headers = append(r.Headers, Header{"a", []byte("x")}, Header{"a", nil})
	if i == 1 {
		r.Time = time.UnixMilli(77)
	}
	return nil
}}

func TestWrite_allOfARecord(t *testing.T) {
	k := brokers(t, 1, kfake.SeedTopics(4, "other"))
	p := pipeline.New()
	var in []pipeline.Timestamped[int]
	for i := range 4 {
		in = append(in, pipeline.Timestamped[int]{Value: i, Time: time.UnixMilli(int64(1000 + i))})
	}
	in = append(in, pipeline.Timestamped[int]{Value: 4, Time: time.UnixMilli(window.MinTime)})
	Write(pipeline.CreateTimestamped(p, in...), urlOf(k, "t"), full, ByPartition())
	began := time.Now()
	require.NoError(t, runToEnd(t, p, local.Config{Parallelism: 1}))
	others := recordsOf(t, k, "other", 1)
	assert.Equal(t, "0", string(others[0].Key))
	for _, r := range append(others, recordsOf(t, k, "t", 4)...) {
		var i int
		_, err := fmt.Sscan(string(r.Key), &i)
		require.NoError(t, err)
		assert.EqualValues(t, i%4, r.Partition)
		assert.Nil(t, r.Value)
		assert.Equal(t, []kgo.RecordHeader{{Key: "a", Value: []byte("x")}, {Key: "a"}}, r.Headers)
		switch i {
		case 1:
			assert.EqualValues(t, 77, r.Timestamp.UnixMilli(), "the format's time")
		case 4:
			assert.WithinRange(t, r.Timestamp, began.Add(-time.Second), time.Now().Add(time.Second))
		default:
			assert.EqualValues(t, 1000+i, r.Timestamp.UnixMilli(), "the event time")
		}
	}
}

func TestWrite_mistakes(t *testing.T) {
	for _, tt := range []struct {
		story, url string
		format     Format[string]
		opts       []WriteOption
		want       string
	}{
		{"no URL", "", words, nil, "want a URL as kafka://"},
		{"no such codec", "kafka://a/t?compression=rar", words, nil, "compression=rar: there are none, gzip"},
		{"the option counts", "kafka://a/t?compression=zstd", words, []WriteOption{Compression("rar")}, "compression=rar"},
		{"a parameter of reading", "kafka://a/t?start=earliest", words, nil, `the parameter "start": there are acks, batch`},
		{"no such acks", "kafka://a/t?acks=2", words, nil, "acks=2: there are all, 1 and 0"},
		{"a batch of nothing", "kafka://a/t", words, []WriteOption{BatchBytes(0)}, "batch=0: want a number of bytes"},
		{"a linger that is none", "kafka://a/t?linger=5", words, nil, "linger=5: want a time as 5ms"},
		{"two topics", "kafka://a/t,u", words, nil, "topic \"t,u\""},
		{"a partitioner that is nil", "kafka://a/t", words, []WriteOption{PartitionBy(nil)}, "the partitioner is nil"},
		{"a format that only reads", "kafka://a/t", Format[string]{Name: "x"}, nil, `the format "x" can't write`},
		{"a topic of no partitions", "kafka://a/t", words, []WriteOption{CreateTopic(0, 1, nil)}, "CreateTopic with 0 partitions"},
		{"an option that is nil", "kafka://a/t", words, []WriteOption{nil}, "an option is nil"},
		{"no time at all", "kafka://a/t", words, []WriteOption{DeliveryTimeout(0)}, "delivery=0s: want a time"},
	} {
		t.Run(tt.story, func(t *testing.T) {
			p := pipeline.New()
			Write(pipeline.Create(p, "x"), tt.url, tt.format, tt.opts...)
			require.ErrorContains(t, p.Err(), tt.want)
			require.ErrorContains(t, p.Err(), "kafka/write_test.go:")
		})
	}
}

func TestWrite_saysWhatIsWrong(t *testing.T) {
	k := brokers(t, 1)
	require.NoError(t, k.CreateTopic("small", 1, map[string]string{"max.message.bytes": "100"}))
	for _, tt := range []struct {
		story, rest string
		values      []string
		opts        []WriteOption
		want        []string
	}{
		{"no such topic", "none", []string{"x"}, nil, []string{"topic none: there is no such topic", "kafka.CreateTopic"}},
		{"no topic at all", "", []string{"x"}, nil, []string{"the URL names no topic, and the format gives a record none"}},
		{"too large", "small?compression=none", []string{strings.Repeat("x", 500)}, nil,
			[]string{"write 1 records to topic small, partition 0", "max.message.bytes"}},
		{"a bad element", "t", []string{"bad"}, nil, []string{`make a record of format words: "bad" is no word`}},
		{"a partition that is not there", "t", []string{"x"}, []WriteOption{PartitionBy(func(*Record, int) int32 { return 9 })},
			[]string{"partition 9 of topic t, which has 4"}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			p := pipeline.New()
			Write(pipeline.Create(p, tt.values...), urlOf(k, tt.rest), words, tt.opts...)
			err := runToEnd(t, p, local.Config{Parallelism: 1})
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}
