package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// letterTo is a dead letter of a topic of orders, as it lies in the topic of letters.
func letterTo(t *testing.T, l BadRecord, partition int32) kafkatest.Record {
	var r Record
	require.NoError(t, deadLetters().Encode(l, &r))
	out := kafkatest.Record{Partition: partition, Key: r.Key, Value: r.Value, Timestamp: r.Time}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kafkatest.Header(h))
	}
	return out
}

// letter is one with a value.
func letter(topic string, partition int32, value, why string) BadRecord {
	l := sampleLetter()
	l.Topic, l.Partition, l.Value, l.Error = topic, partition, []byte(value), why
	return l
}

// letterbox is brokers with a topic of dead letters, and one of orders.
func letterbox(t *testing.T, letters ...BadRecord) (*kafkatest.FakeCluster, string) {
	c := kafkatest.Fake(t)
	c.CreateTopic("letters", 2, 1, nil)
	c.CreateTopic("orders", 3, 1, nil)
	var records []kafkatest.Record
	for i, l := range letters {
		records = append(records, letterTo(t, l, int32(i%2)))
	}
	if records != nil {
		kafkatest.Produce(t, c.Addrs(), "letters", records)
	}
	return c, "kafka://" + c.Addrs()[0] + "/letters"
}

// Goal: a record is as it was, in the partition that it was in, once.
func TestRedrive_writesBack(t *testing.T) {
	want := sampleLetter()
	want.Partition = 1
	c, url := letterbox(t, want, letter("orders", 2, "b", "x"), letter("orders", 2, "c", "x"))
	kafkatest.Produce(t, c.Addrs(), "letters", kafkatest.Strings(0, "not a letter"))
	done, err := Redrive(t.Context(), url, RedriveConfig{})
	require.NoError(t, err)
	assert.Equal(t, Redriven{Sent: 3, Foreign: 1}, done)
	got := kafkatest.ReadAll(t, c.Addrs(), "orders")
	require.Len(t, got, 3)
	assert.Equal(t, kafkatest.Record{
		Partition: 1, Offset: got[0].Offset, Timestamp: want.Time, Key: want.Key, Value: want.Value,
		Headers: []kafkatest.Header{{Key: "trace", Value: []byte("x")}, {Key: "trace"}},
	}, got[0])
	assert.ElementsMatch(t, []string{"b", "c"}, kafkatest.Values(got[1:]))
	assert.EqualValues(t, 2, got[1].Partition)

	again, err := Redrive(t.Context(), url, RedriveConfig{})
	require.NoError(t, err)
	assert.Zero(t, again)
	kafkatest.Produce(t, c.Addrs(), "letters", []kafkatest.Record{letterTo(t, letter("orders", 0, "d", "x"), 1)})
	again, err = Redrive(t.Context(), url, RedriveConfig{})
	require.NoError(t, err)
	assert.Equal(t, Redriven{Sent: 1}, again)
	assert.Len(t, kafkatest.ReadAll(t, c.Addrs(), "orders"), 4)
}

// Goal: in transactions there is one letter for each bad record, though the run goes back
// to its checkpoints again and again.
func TestWriteBad_exactlyOnce(t *testing.T) {
	c, letters := letterbox(t)
	var records []kafkatest.Record
	var want []string
	for i := range 300 {
		value := fmt.Sprint(i)
		if i%2 == 0 {
			value = "bad " + value
			want = append(want, value)
		}
		records = append(records, kafkatest.Record{Partition: int32(i % 3), Value: []byte(value)})
	}
	kafkatest.Produce(t, c.Addrs(), "orders", records)
	p := pipeline.New()
	good, bad := ReadWithBad(p, "kafka://"+c.Addrs()[0]+"/orders?stop=latest", JSON[int]())
	WriteBad(bad, letters, ExactlyOnce("letters-of-orders"))
	numbers := pipeline.Collect(good)
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: 2, StateDir: t.TempDir(), BundleEpochs: 1, RestartEvery: 1})
	require.NoError(t, err)
	assert.Len(t, numbers.Values(), 150)
	assert.ElementsMatch(t, want, kafkatest.Values(kafkatest.ReadAll(t, c.Addrs(), "letters")))
}

// Goal: the same with Apache Kafka.
func TestRedrive_real(t *testing.T) {
	c := kafkatest.Shared(t)
	c.CreateTopic("redrive-letters", 2, 1, nil)
	c.CreateTopic("redrive-orders", 3, 1, nil)
	url := "kafka://" + c.Addrs()[0] + "/redrive-letters"
	for round := range 3 { // the next one fences the one before
		var letters []kafkatest.Record
		for i := range 5 {
			letters = append(letters, letterTo(t, letter("redrive-orders", int32(i%3), fmt.Sprint(round, i), "x"), int32(i%2)))
		}
		kafkatest.Produce(t, c.Addrs(), "redrive-letters", letters)
		done, err := Redrive(t.Context(), url, RedriveConfig{})
		require.NoError(t, err)
		assert.Equal(t, Redriven{Sent: 5}, done)
	}
	values := kafkatest.Values(kafkatest.ReadAll(t, c.Addrs(), "redrive-orders"))
	slices.Sort(values)
	assert.Equal(t, []string{"0 0", "0 1", "0 2", "0 3", "0 4", "1 0", "1 1", "1 2", "1 3", "1 4", "2 0", "2 1", "2 2", "2 3", "2 4"}, values)
}

// Goal: what does not match can be had again; a dry run changes nothing.
func TestRedrive_choice(t *testing.T) {
	c, url := letterbox(t, letter("orders", 0, "a", "no JSON"), letter("orders", 0, "b", "no number"), letter("gone", 7, "c", "no JSON"))
	c.CreateTopic("other", 1, 1, nil)
	var told []string
	cfg := RedriveConfig{Match: "no JSON", To: "other", DryRun: true, Each: func(r Record, why, topic string, partition int32) {
		told = append(told, fmt.Sprintf("%s/%d:%d %s %s -> %s/%d", r.Topic, r.Partition, r.Offset, r.Value, why, topic, partition))
	}}
	for range 2 {
		told = nil
		done, err := Redrive(t.Context(), url, cfg)
		require.NoError(t, err)
		assert.Equal(t, Redriven{Sent: 2, Passed: 1}, done)
		assert.ElementsMatch(t, []string{"orders/0:42 a no JSON -> other/0", "gone/7:42 c no JSON -> other/0"}, told)
		assert.Empty(t, kafkatest.ReadUncommitted(t, c.Addrs(), "other"))
	}
	cfg.DryRun = false
	done, err := Redrive(t.Context(), url, cfg)
	require.NoError(t, err)
	assert.Equal(t, Redriven{Sent: 2, Passed: 1}, done)
	assert.ElementsMatch(t, []string{"a", "c"}, kafkatest.Values(kafkatest.ReadAll(t, c.Addrs(), "other")))

	done, err = Redrive(t.Context(), url, RedriveConfig{Match: "number", Group: "another"})
	require.NoError(t, err)
	assert.Equal(t, Redriven{Sent: 1, Passed: 2}, done)
	assert.Equal(t, []string{"b"}, kafkatest.Values(kafkatest.ReadAll(t, c.Addrs(), "orders")))
}

// Goal: of two at once, the one that began first writes nothing more.
func TestRedrive_twoAtOnce(t *testing.T) {
	c, url := letterbox(t, letter("orders", 0, "a", "x"), letter("orders", 1, "b", "x"))
	var second Redriven
	var secondErr error
	var once sync.Once
	first, err := Redrive(t.Context(), url, RedriveConfig{Each: func(Record, string, string, int32) {
		once.Do(func() { second, secondErr = Redrive(t.Context(), url, RedriveConfig{}) })
	}})
	require.ErrorContains(t, err, "kafka.Redrive: ")
	assert.Zero(t, first)
	require.NoError(t, secondErr)
	assert.Equal(t, Redriven{Sent: 2}, second)
	assert.ElementsMatch(t, []string{"a", "b"}, kafkatest.Values(kafkatest.ReadAll(t, c.Addrs(), "orders")))
}

// Goal: many letters go in many transactions.
func TestRedrive_many(t *testing.T) {
	var letters []BadRecord
	var want []string
	for i := range 60 {
		value := fmt.Sprintf("%d %s", i, strings.Repeat("x", 20_000))
		letters, want = append(letters, letter("orders", int32(i%3), value, "x")), append(want, value)
	}
	c, url := letterbox(t, letters...)
	done, err := Redrive(t.Context(), url, RedriveConfig{})
	require.NoError(t, err)
	assert.Equal(t, Redriven{Sent: 60}, done)
	assert.ElementsMatch(t, want, kafkatest.Values(kafkatest.ReadAll(t, c.Addrs(), "orders")))
}

// Goal: a Redrive that fails, wherever, is gone on with, and each letter goes back once.
func TestRedrive_failsAndGoesOn(t *testing.T) {
	type step struct {
		name string
		key  kmsg.Key
		does bool // the broker does what it is asked, and nobody learns of it
	}
	for _, tc := range []step{
		{"the records are not written", kmsg.Produce, false},
		{"nobody knows whether the records are written", kmsg.Produce, true},
		{"the group's offset is not written", kmsg.TxnOffsetCommit, false},
		{"the transaction is not ended", kmsg.EndTxn, false},
		{"nobody knows whether the transaction is ended", kmsg.EndTxn, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, url := letterbox(t, letter("orders", 0, "a", "x"), letter("orders", 1, "b", "x"), letter("orders", 2, "c", "x"))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c.Kfake.ControlKey(tc.key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				cancel()
				return nil, errors.New("the connection is lost"), !tc.does
			})
			_, err := Redrive(ctx, url, RedriveConfig{})
			require.ErrorIs(t, err, context.Canceled)
			_, err = Redrive(t.Context(), url, RedriveConfig{})
			require.NoError(t, err)
			assert.ElementsMatch(t, []string{"a", "b", "c"}, kafkatest.Values(kafkatest.ReadAll(t, c.Addrs(), "orders")))
		})
	}
}

// Goal: a record that can't be read goes through the topic of letters and comes back as
// it was, whatever lies between.
func TestWriteBad_andBack(t *testing.T) {
	type order struct{ ID string }
	c, letters := letterbox(t)
	bad := kafkatest.Record{Partition: 2, Key: []byte("k"), Value: []byte(`{"ID": 1}`), Timestamp: time.UnixMilli(1_700_000_000_000).UTC(), Headers: []kafkatest.Header{{Key: "h", Value: []byte("v")}}}
	bad = kafkatest.Produce(t, c.Addrs(), "orders", []kafkatest.Record{{Partition: 2, Value: []byte(`{"ID": "a"}`)}, bad})[1]
	p := pipeline.New()
	good, set := ReadWithBad(p, "kafka://"+c.Addrs()[0]+"/orders?stop=latest", JSON[order]())
	WriteBad(set, letters)
	orders := pipeline.Collect(good)
	_, err := local.Run(t.Context(), p, local.Config{NoFusion: true})
	require.NoError(t, err)
	assert.Equal(t, []order{{"a"}}, orders.Values())

	got := kafkatest.ReadAll(t, c.Addrs(), "letters")
	require.Len(t, got, 1)
	assert.Equal(t, [2]string{"k", `{"ID": 1}`}, [2]string{string(got[0].Key), string(got[0].Value)})
	said := map[string]string{}
	for _, h := range got[0].Headers {
		said[h.Key] = string(h.Value)
	}
	at, err := time.Parse(time.RFC3339Nano, said["millrace.at"])
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), at, time.Minute)
	assert.Equal(t, at, got[0].Timestamp)
	delete(said, "millrace.at")
	assert.Equal(t, map[string]string{
		"h": "v", "millrace.error": "json: cannot unmarshal number into Go struct field order.ID of type string", "millrace.cluster": c.Addrs()[0],
		"millrace.topic": "orders", "millrace.partition": "2", "millrace.offset": "1", "millrace.timestamp": "2023-11-14T22:13:20Z",
	}, said)

	done, err := Redrive(t.Context(), letters, RedriveConfig{})
	require.NoError(t, err)
	assert.Equal(t, Redriven{Sent: 1}, done)
	back := kafkatest.ReadAll(t, c.Addrs(), "orders")
	require.Len(t, back, 3)
	bad.Offset = 2
	assert.Equal(t, bad, back[2])
}

func TestRedrive_sentences(t *testing.T) {
	c, url := letterbox(t, letter("gone", 0, "a", "x"))
	for want, try := range map[string]func() error{
		"kafka.Redrive: letters/0:0: there is no topic gone to write to: To names another one": func() error {
			_, err := Redrive(t.Context(), url, RedriveConfig{})
			return err
		},
		"kafka.Redrive: letters can't be written to their own topic": func() error {
			_, err := Redrive(t.Context(), url, RedriveConfig{To: "letters"})
			return err
		},
		"kafka.Redrive: no topic is named: want kafka://host:9092/topic": func() error {
			_, err := Redrive(t.Context(), "kafka://"+c.Addrs()[0], RedriveConfig{})
			return err
		},
		`kafka.Redrive: topic "a b": names have letters`: func() error {
			_, err := Redrive(t.Context(), url, RedriveConfig{To: "a b"})
			return err
		},
	} {
		require.ErrorContains(t, try(), want)
	}
	c.CreateTopic("gone", 1, 1, nil)
	done, err := Redrive(t.Context(), url, RedriveConfig{})
	require.NoError(t, err)
	assert.Equal(t, Redriven{Sent: 1}, done)
	assert.Equal(t, []string{"a"}, kafkatest.Values(kafkatest.ReadAll(t, c.Addrs(), "gone")))
}
