package kafka

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// everywhere runs a test with brokers in this process, and with one real broker.
func everywhere(t *testing.T, test func(t *testing.T, b kafkatest.Brokers, topic string)) {
	for _, kind := range []struct {
		name  string
		start func(t *testing.T) kafkatest.Brokers
	}{
		{"fake", func(t *testing.T) kafkatest.Brokers { return kafkatest.Fake(t, kfake.NumBrokers(3)) }},
		{"real", func(t *testing.T) kafkatest.Brokers { return kafkatest.Shared(t) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.start(t)
			topic := strings.ReplaceAll(t.Name(), "/", ".")
			b.CreateTopic(topic, 4, -1, nil)
			test(t, b, topic)
		})
	}
}

func requireShown(t *testing.T, b kafkatest.Brokers, topic string, want ...string) {
	t.Helper()
	got, err := shownIn(t.Context(), b.Addrs(), topic)
	require.NoError(t, err)
	require.Equal(t, slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got)))
}

// Goal: a process that was thought dead commits nothing any more, whatever it was about
// to do, and says why; the one behind it goes on.
func TestExactlyOnce_zombie(t *testing.T) {
	everywhere(t, func(t *testing.T, b kafkatest.Brokers, topic string) {
		url := urlTo(b, topic+"?exactly-once="+topic)
		open := func(state []byte) *lineWriter[string] { return laneOf(t, url, true, 0, 1, state) }
		prepare := func(w *lineWriter[string]) []byte {
			state, err := w.Prepare()
			require.NoError(t, err)
			return state
		}
		w := open(nil)
		writeAll(t, w, "a=1", "b=1")
		state := prepare(w)

		next := open(state) // the snapshot was taken: this one commits it
		requireShown(t, b, topic, "a=1", "b=1")
		require.ErrorIs(t, w.Commit(), ErrFenced)
		writeAll(t, next, "a=2")
		state = prepare(next)
		require.NoError(t, next.Commit())
		w.Abort(false)

		writeAll(t, next, "lost=1")
		last := open(state)
		writeAll(t, next, "lost=2")
		_, err := next.Prepare()
		require.ErrorIs(t, err, ErrFenced)
		require.ErrorContains(t, err, topic+"-1-0")
		writeAll(t, last, "a=3")
		next.Abort(true)
		prepare(last)
		require.NoError(t, last.Commit())
		require.NoError(t, last.Commit(), "again")
		require.NoError(t, last.Finish())
		requireShown(t, b, topic, "a=1", "b=1", "a=2", "a=3")
	})
}

// Goal: a transaction that the brokers abort, because it takes too long, is written
// again: before Prepare, and between Prepare and Commit.
func TestExactlyOnce_transactionTakesTooLong(t *testing.T) {
	everywhere(t, func(t *testing.T, b kafkatest.Brokers, topic string) {
		if strings.HasSuffix(t.Name(), "real") && testing.Short() {
			t.Skip("a real broker looks for such transactions every ten seconds only")
		}
		w := laneOf(t, urlTo(b, topic+"?linger=0s&exactly-once="+topic+"&transaction-timeout=1s"), true, 0, 1, nil)
		aborted := func() {
			t.Helper()
			require.Eventually(t, func() bool {
				open, err := openTxns(t.Context(), b.Addrs())
				require.NoError(t, err)
				return !slices.Contains(open, w.sender.txn.id)
			}, 40*time.Second, 20*time.Millisecond)
		}
		begun := func() {
			t.Helper()
			require.Eventually(t, func() bool {
				open, err := openTxns(t.Context(), b.Addrs())
				require.NoError(t, err)
				return slices.Contains(open, w.sender.txn.id)
			}, 10*time.Second, time.Millisecond)
		}
		writeAll(t, w, "a=1", "b=1")
		begun()
		aborted()
		writeAll(t, w, "a=2")
		_, err := w.Prepare()
		require.NoError(t, err)
		writeAll(t, w, "ahead=1")
		aborted()
		requireShown(t, b, topic)
		require.NoError(t, w.Commit())
		requireShown(t, b, topic, "a=1", "a=2", "b=1")
		_, err = w.Prepare()
		require.NoError(t, err)
		require.NoError(t, w.Commit())
		require.NoError(t, w.Finish())
		requireShown(t, b, topic, "a=1", "a=2", "b=1", "ahead=1")
	})
}

// Goal: a sink whose position nobody knows any more says what to do, and does it.
func TestExactlyOnce_forgotten(t *testing.T) {
	for _, written := range []bool{true, false} {
		b := kafkatest.Fake(t)
		b.CreateTopic("t", 4, 1, nil)
		url := urlTo(b, "t?exactly-once=p")
		w := laneOf(t, url, true, 0, 1, nil)
		writeAll(t, w, "a=1")
		state, err := w.Prepare()
		require.NoError(t, err)
		require.NoError(t, w.Commit())
		require.NoError(t, w.Finish())

		other := kafkatest.Fake(t) // where there is nothing yet
		other.CreateTopic("t", 4, 1, nil)
		url = urlTo(other, "t?exactly-once=p")
		_, err = tryLane(t, url, true, 0, 1, state)
		require.ErrorIs(t, err, errForgotten)
		require.ErrorContains(t, err, "group p-1-0 has no offset of topic t any more")
		require.ErrorContains(t, err, "kafka.AssumeWritten")
		w = laneOf(t, url, true, 0, 1, state, AssumeWritten(written))
		if written {
			requireShown(t, other, "t")
		} else {
			requireShown(t, other, "t", "a=1")
		}
		writeAll(t, w, "a=2")
		_, err = w.Prepare()
		require.NoError(t, err)
		require.NoError(t, w.Commit())
		require.NoError(t, w.Finish())
	}
}

func TestExactlyOnce_mistakes(t *testing.T) {
	b := kafkatest.Fake(t)
	b.CreateTopic("t", 4, 1, nil)
	p := pipeline.New()
	Write(pipeline.Create(p, "a=1"), urlTo(b, "t"), words, ExactlyOnce("p"))
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
	require.ErrorContains(t, err, "kafka.ExactlyOnce wants a run that keeps its checkpoints: give it a folder (-state-dir)")

	for url, want := range map[string]string{
		"kafka://a/t?exactly-once=":                       "the prefix of ExactlyOnce is empty",
		"kafka://a/t?exactly-once=p&acks=1":               "ExactlyOnce wants acks=all",
		"kafka://a?exactly-once=p":                        "ExactlyOnce wants a topic in the URL",
		"kafka://a/t?exactly-once=p&transaction-timeout=": "transaction-timeout=: want a time as 15m",
	} {
		_, err := newWriteConfig(url, nil)
		assert.ErrorContains(t, err, want, url)
	}

	w := laneOf(t, urlTo(b, "t?exactly-once=one"), true, 0, 1, nil)
	state, err := w.Prepare()
	require.NoError(t, err)
	require.NoError(t, w.Finish())
	_, err = tryLane(t, urlTo(b, "t?exactly-once=two"), true, 0, 1, state)
	require.ErrorContains(t, err, `that of a sink with ExactlyOnce("one"), and this one has "two": keep the prefix`)

	w = laneOf(t, urlTo(b, "t?exactly-once=q&transaction-bytes=2000&compression=none"), true, 0, 1, nil)
	for range 100 {
		if err = w.Write(strings.Repeat("x", 100)); err != nil {
			break
		}
	}
	require.ErrorContains(t, err, "take checkpoints more often, or raise kafka.TransactionBytes")
	w.Abort(true)

	s := &sender{txn: &laneTxn{id: "q-1-0"}}
	require.ErrorContains(t, s.lookError(errForeign), "give each job a prefix of its own")
}

// Goal: a job that crashes and goes on from its folder, with other lanes, too, has
// written each record once. Method: runs that fail at some element, in a new pipeline
// each time.
func TestExactlyOnce_runsThatCrash(t *testing.T) {
	everywhere(t, func(t *testing.T, b kafkatest.Brokers, topic string) {
		dir := filepath.Join(t.TempDir(), "state")
		require.NoError(t, os.MkdirAll(dir, 0o777))
		all := keyed(4000, 50)
		for i, lanes := range []int{2, 2, 3, 1, 2} {
			p := pipeline.New()
			in := pipeline.Map(pipeline.Create(p, all...), func(v string) string {
				if i < 4 && strings.HasSuffix(v, "9") && v > all[(i+1)*700] {
					panic("it crashes")
				}
				return v
			})
			Write(in, urlTo(b, topic+"?linger=1ms&batch=4000&exactly-once="+topic), words)
			err := runToEnd(t, p, local.Config{Parallelism: lanes, StateDir: dir, BundleEpochs: 2})
			if i < 4 {
				require.ErrorContains(t, err, "it crashes")
				continue
			}
			require.NoError(t, err)
		}
		requireShown(t, b, topic, all...)
	})
}

func TestExactlyOnce_conformanceReal(t *testing.T) {
	if testing.Short() {
		t.Skip("a real broker takes its time")
	}
	conform(t, kafkatest.Shared(t))
}

// Goal: brokers that are killed one after the other, and leaders that move, lose nothing
// and show nothing twice, neither in transactions nor without.
func TestWrite_realBrokersDie(t *testing.T) {
	t.Parallel() // it waits for brokers most of the time
	if testing.Short() {
		t.Skip("real brokers take their time")
	}
	b := kafkatest.Real(t, 3)
	for _, how := range []string{"", "&exactly-once=p"} {
		topic := fmt.Sprint("dying", len(how))
		b.CreateTopic(topic, 4, -1, nil)
		w := laneOf(t, urlTo(b, topic+"?linger=1ms&batch=2000&timeout=3s"+how), how != "", 0, 1, nil)
		all := keyed(3000, 50)
		for i, part := range slices.Collect(slices.Chunk(all, 750)) {
			writeAll(t, w, part[:300]...)
			node := int32(i / 2)
			switch {
			case i%2 == 0:
				b.Kill(node)
			default:
				b.Start(node)
				b.MoveLeader(topic, int32(i%4), node)
			}
			writeAll(t, w, part[300:]...)
			_, err := w.Prepare()
			require.NoError(t, err)
			require.NoError(t, w.Commit())
		}
		require.NoError(t, w.Finish())
		requireShown(t, b, topic, all...)
	}
}
