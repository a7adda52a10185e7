package kafkatest

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

func TestFake(t *testing.T) {
	one, three := Fake(t), Fake(t, kfake.NumBrokers(3))
	t.Run("records", func(t *testing.T) { records(t, one) })
	t.Run("transactions", func(t *testing.T) { transactions(t, one) })
	t.Run("topics", func(t *testing.T) { topics(t, one) })
	t.Run("one node goes and comes back", func(t *testing.T) { restart(t, one, one.Stop, one.Kill) })
	t.Run("leaders move", func(t *testing.T) { leaders(t, three) })
	t.Run("one of three nodes goes and comes back", func(t *testing.T) { failover(t, three, three.Stop) })
}

// records: what one call writes, another reads, whatever it is and however compressed.
func records(t *testing.T, b Brokers) {
	b.CreateTopic("records", 3, -1, nil)
	now := time.UnixMilli(1700000000123).UTC()
	var want []Record
	for i, codec := range Codecs {
		in := []Record{
			{Partition: 2, Key: []byte("k"), Value: []byte(codec), Timestamp: now, Headers: []Header{{"a", []byte("1")}, {"null", nil}, {"a", []byte{}}}},
			{Partition: 2, Key: nil, Value: []byte{}, Timestamp: now.Add(time.Second)},
			{Partition: 2, Key: []byte{}, Value: nil, Timestamp: now},
		}
		out := Produce(t, b.Addrs(), "records", in, Compressed(codec))
		for j := range in {
			in[j].Offset = int64(3*i + j)
		}
		assert.Equal(t, in, out)
		want = append(want, in...)
	}
	first := Produce(t, b.Addrs(), "records", Strings(0, "first"))
	assert.WithinDuration(t, time.Now(), first[0].Timestamp, time.Minute)
	assert.Equal(t, append(first, want...), ReadAll(t, b.Addrs(), "records"))
}

func transactions(t *testing.T, b Brokers) {
	b.CreateTopic("transactions", 2, -1, nil)
	write := func(value string, opts ...ProduceOption) {
		Produce(t, b.Addrs(), "transactions", append(Strings(0, value), Strings(1, value)...), opts...)
	}
	all := func() []string { return Values(ReadAll(t, b.Addrs(), "transactions")) }
	write("plain")
	write("committed", Committed("a"))
	write("aborted", Aborted("b"))
	assert.Equal(t, []string{"plain", "committed", "plain", "committed"}, all(), "the aborted records are the last")
	write("open", LeftOpen("c", time.Second))
	write("behind it")
	assert.Equal(t, []string{"plain", "committed", "plain", "committed"}, all())
	assert.Equal(t, []string{"plain", "committed", "aborted", "open", "behind it"}, Values(ReadUncommitted(t, b.Addrs(), "transactions"))[:5])
	require.Eventually(t, func() bool { return len(all()) == 6 }, 20*time.Second, 50*time.Millisecond, "the broker ends it")
	assert.Equal(t, []string{"plain", "committed", "behind it", "plain", "committed", "behind it"}, all())
}

func topics(t *testing.T, b Brokers) {
	addrs := b.Addrs()
	b.CreateTopic("topics", 1, 1, map[string]string{"cleanup.policy": "compact"})
	Produce(t, addrs, "topics", []Record{{Key: []byte("k"), Value: []byte("a")}, {Key: []byte("k"), Value: []byte("b")}, {Key: []byte("k"), Value: []byte("c")}})
	b.AddPartitions("topics", 4)
	Produce(t, addrs, "topics", []Record{{Partition: 3, Key: []byte("k"), Value: []byte("d")}})
	assert.Equal(t, []string{"a", "b", "c", "d"}, Values(ReadAll(t, addrs, "topics")))
	b.DeleteTopic("topics")
	b.CreateTopic("topics", 1, 1, nil)
	assert.Empty(t, ReadAll(t, addrs, "topics"))
	Produce(t, addrs, "topics", Strings(0, "a", "b", "c"))
	b.DeleteRecords("topics", 0, 2)
	got := ReadAll(t, addrs, "topics")
	require.Equal(t, []string{"c"}, Values(got))
	assert.EqualValues(t, 2, got[0].Offset)
}

// restart: what was acknowledged or committed is there after the only node went, in each
// of these ways.
func restart(t *testing.T, b Brokers, stops ...func(node int32)) {
	b.CreateTopic("restart", 1, 1, nil)
	var want []string
	for i, stop := range stops {
		v := strconv.Itoa(i)
		Produce(t, b.Addrs(), "restart", Strings(0, v))
		Produce(t, b.Addrs(), "restart", Strings(0, v), Committed("id"))
		Produce(t, b.Addrs(), "restart", Strings(0, "aborted"), Aborted("id"))
		want = append(want, v, v)
		stop(0)
		refused(t, b.Addrs()[0])
		b.Start(0)
		assert.Equal(t, want, Values(ReadAll(t, b.Addrs(), "restart")))
	}
}

func leaders(t *testing.T, b Brokers) {
	b.CreateTopic("leaders", 1, -1, nil)
	for i := range int32(4) {
		node := (b.Leader("leaders", 0) + 1) % 3
		b.MoveLeader("leaders", 0, node)
		assert.Equal(t, node, b.Leader("leaders", 0))
		Produce(t, b.Addrs(), "leaders", Strings(0, strconv.Itoa(int(i))))
	}
	assert.Equal(t, []string{"0", "1", "2", "3"}, Values(ReadAll(t, b.Addrs(), "leaders")))
}

// failover: the leader goes, another one has all that was acknowledged and takes more.
func failover(t *testing.T, b Brokers, stop func(node int32)) {
	b.CreateTopic("failover", 1, -1, nil)
	Produce(t, b.Addrs(), "failover", Strings(0, "before"))
	old := b.Leader("failover", 0)
	stop(old)
	refused(t, b.Addrs()[old])
	Produce(t, b.Addrs(), "failover", Strings(0, "while it is away"), Committed("id"))
	assert.NotEqual(t, old, b.Leader("failover", 0))
	b.Start(old)
	b.MoveLeader("failover", 0, old)
	Produce(t, b.Addrs(), "failover", Strings(0, "after"))
	assert.Equal(t, old, b.Leader("failover", 0))
	assert.Equal(t, []string{"before", "while it is away", "after"}, Values(ReadAll(t, b.Addrs(), "failover")))
}
