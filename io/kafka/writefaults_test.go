package kafka

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/kafkatest"
)

// laneOf opens a sink's part as an engine does.
func laneOf(t *testing.T, url string, durable bool, lane, lanes int, state []byte, opts ...WriteOption) *lineWriter[string] {
	t.Helper()
	w, err := tryLane(t, url, durable, lane, lanes, state, opts...)
	require.NoError(t, err)
	return w
}

func tryLane(t *testing.T, url string, durable bool, lane, lanes int, state []byte, opts ...WriteOption) (*lineWriter[string], error) {
	t.Helper()
	cfg, err := newWriteConfig(url, opts)
	require.NoError(t, err)
	s := &typedSink[string]{writeSink: writeSink{cfg: cfg}, format: words}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	if durable {
		ctx = graph.Durable(ctx)
	}
	w, err := s.Open(ctx, lane, lanes, state)
	if err != nil {
		return nil, err
	}
	return w.(*lineWriter[string]), nil
}

func writeAll(t *testing.T, w *lineWriter[string], values ...string) {
	t.Helper()
	for _, v := range values {
		require.NoError(t, w.Write(v))
	}
}

// Goal: whatever becomes of brokers, at-least-once loses nothing, writes nothing twice
// within one process, and keeps the order of each key.
func TestWrite_brokersInTrouble(t *testing.T) {
	b := kafkatest.Fake(t, kfake.NumBrokers(3))
	b.CreateTopic("t", 4, -1, nil)
	rnd := rand.New(rand.NewPCG(1, 1))
	w := laneOf(t, urlTo(b, "t?linger=0s&batch=300&timeout=5s"), false, 0, 1, nil)
	faults := []*kerr.Error{kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.LeaderNotAvailable, kerr.UnknownServerError, kerr.CorruptMessage}
	n := 3000
	for i := range n {
		switch {
		case i%60 == 0:
			p := int32(rnd.IntN(4))
			b.MoveLeader("t", p, 2-b.Leader("t", p)) // from 0 to 2 and back: 1 may be dead
		case i%90 == 45:
			b.Kfake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: faults[rnd.IntN(len(faults))]})
		case i%1000 == 500:
			b.Kill(1)
		case i%1000 == 700:
			b.Start(1)
		}
		writeAll(t, w, fmt.Sprintf("k%d=%05d", i%7, i))
		if i%200 == 199 {
			_, err := w.Prepare()
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Finish())
	at := map[string]string{}
	seen := 0
	for _, r := range kafkatest.ReadAll(t, b.Addrs(), "t") {
		assert.Less(t, at[string(r.Key)], string(r.Value), "key %s", r.Key)
		at[string(r.Key)] = string(r.Value)
		seen++
	}
	require.Equal(t, n, seen)
}

// Goal: when brokers are away, writing waits with a bounded number of bytes, and ends
// when the run does.
func TestWrite_waitsForRoom(t *testing.T) {
	b := kafkatest.Fake(t)
	b.CreateTopic("t", 1, 1, nil)
	cfg, err := newWriteConfig(urlTo(b, "t?batch=1000&buffer=10000&compression=none"), nil)
	require.NoError(t, err)
	s := &typedSink[string]{writeSink: writeSink{cfg: cfg}, format: words}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened, err := s.Open(ctx, 0, 1, nil)
	require.NoError(t, err)
	w := opened.(*lineWriter[string])
	b.Pause(0)
	done := make(chan error, 1)
	go func() {
		for {
			if err := w.Write(strings.Repeat("x", 100)); err != nil {
				done <- err
				return
			}
		}
	}()
	require.Eventually(t, func() bool {
		w.sender.mu.Lock()
		defer w.sender.mu.Unlock()
		return w.sender.buffered > 10_000
	}, 10*time.Second, time.Millisecond)
	w.sender.mu.Lock()
	assert.Less(t, w.sender.buffered, 10_000+200)
	w.sender.mu.Unlock()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	b.Resume(0)
	w.Abort(true)
}

// Goal: a broker that forgets a producer is written to by another one; what it had not
// acknowledged is not lost.
func TestWrite_forgottenProducer(t *testing.T) {
	b := kafkatest.Fake(t)
	b.CreateTopic("t", 4, 1, nil)
	w := laneOf(t, urlTo(b, "t"), false, 0, 1, nil)
	for i, e := range []*kerr.Error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch} {
		b.Kfake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: e})
		writeAll(t, w, fmt.Sprintf("a=%d", i), fmt.Sprintf("b=%d", i))
		_, err := w.Prepare()
		require.NoError(t, err)
	}
	require.NoError(t, w.Finish())
	got, err := shownIn(t.Context(), b.Addrs(), "t")
	require.NoError(t, err)
	require.Equal(t, []string{"a=0", "a=1", "a=2", "b=0", "b=1", "b=2"}, got)
}

// Goal: a delivery that goes on in vain ends, and says so.
func TestWrite_givesUp(t *testing.T) {
	b := kafkatest.Fake(t)
	b.CreateTopic("t", 1, 1, nil)
	w := laneOf(t, urlTo(b, "t?delivery=100ms&timeout=1s"), false, 0, 1, nil)
	b.Kfake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	writeAll(t, w, "x")
	_, err := w.Prepare()
	require.ErrorContains(t, err, "write 1 records to topic t, partition 0: tried")
	require.ErrorContains(t, err, "min.insync.replicas")
	require.ErrorIs(t, w.Write("y"), err, "it stays so")
	w.Abort(true)
}

// Goal: nothing is committed twice or lost when any one request of a transaction fails,
// is done without an answer, or finds the coordinator elsewhere.
func TestExactlyOnce_requestsFail(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.OffsetFetch} {
		for _, e := range []*kerr.Error{
			kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.RequestTimedOut, kerr.UnknownServerError,
			kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping,
			kerr.OutOfOrderSequenceNumber, kerr.ConcurrentTransactions,
		} {
			t.Run(kmsg.NameForKey(key.Int16())+" "+e.Message, func(t *testing.T) {
				t.Parallel()
				b := kafkatest.Fake(t, kfake.NumBrokers(2))
				b.CreateTopic("t", 4, -1, nil)
				url := urlTo(b, "t?exactly-once=p&timeout=300ms&delivery=20s")
				w := laneOf(t, url, true, 0, 1, nil)
				var want []string
				for round := range 3 {
					fault := b.Kfake.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: e, Count: 1 + round})
					values := keyed(10, 10)
					for i := range values {
						values[i] += fmt.Sprint(" of ", round)
					}
					writeAll(t, w, values...)
					state, err := w.Prepare()
					require.NoError(t, err)
					ahead := values[0] + " ahead"
					writeAll(t, w, ahead)
					if round == 1 { // and the process dies before the commit
						w = laneOf(t, url, true, 0, 1, state)
						writeAll(t, w, ahead)
					} else {
						require.NoError(t, w.Commit())
					}
					fault.Remove()
					want = append(want, append(values, ahead)...)
					_, err = w.Prepare()
					require.NoError(t, err)
					require.NoError(t, w.Commit())
				}
				require.NoError(t, w.Finish())
				got, err := shownIn(t.Context(), b.Addrs(), "t")
				require.NoError(t, err)
				slices.Sort(want)
				require.Equal(t, want, got)
			})
		}
	}
}

// Goal: a record costs no allocation of ours. What batches and requests cost is spread
// over many records.
func TestWrite_allocates(t *testing.T) {
	b := kafkatest.Fake(t)
	b.CreateTopic("t", 4, 1, nil)
	for _, how := range []string{"t?linger=1h&compression=none", "t?linger=1h&compression=lz4", "t?linger=1h&exactly-once=p"} {
		w := laneOf(t, urlTo(b, how), strings.Contains(how, "once"), 0, 1, nil)
		r := &Record{Key: []byte("key"), Value: bytes.Repeat([]byte("x"), 100), Headers: []Header{{"a", []byte("b")}}}
		some := func(n int) {
			for range n {
				r.Key[0]++
				require.NoError(t, w.write(r, 1))
			}
			_, err := w.Prepare()
			require.NoError(t, err)
			require.NoError(t, w.Commit())
		}
		some(50_000)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		some(100_000)
		runtime.ReadMemStats(&after)
		assert.Less(t, float64(after.Mallocs-before.Mallocs)/100_000, 0.1, how)
		require.NoError(t, w.Finish())
	}
}

// Goal: a topic that gets more partitions is written to in all of them.
func TestWrite_topicGrows(t *testing.T) {
	b := kafkatest.Fake(t)
	b.CreateTopic("t", 1, 1, nil)
	w := laneOf(t, urlTo(b, "t"), false, 0, 1, nil)
	writeAll(t, w, "a=1")
	b.AddPartitions("t", 4)
	w.looked = time.Time{}
	_, err := w.Prepare()
	require.NoError(t, err)
	writeAll(t, w, keyed(50, 50)...)
	_, err = w.Prepare()
	require.NoError(t, err)
	require.NoError(t, w.Finish())
	seen := map[int32]bool{}
	for _, r := range kafkatest.ReadAll(t, b.Addrs(), "t") {
		seen[r.Partition] = true
	}
	require.Len(t, seen, 4)
}
