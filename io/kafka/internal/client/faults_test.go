package client

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

func fetchOnce(t *testing.T, c *Client, leader int32, part FetchPart) (*FetchResponse, error) {
	t.Helper()
	part.MaxBytes = 1 << 20
	return c.Fetch(within(t), leader, &FetchRequest{MaxWait: 50 * time.Millisecond, MinBytes: 1, MaxBytes: 1 << 20, Parts: []FetchPart{part}}, nil)
}

func TestLeaderMoves(t *testing.T) {
	k := cluster(t, 3)
	c := client(t, k)
	ctx := within(t)
	write(t, c, "t", 0, "a")
	for round := range 6 {
		old := k.LeaderFor("t", 0)
		require.NoError(t, k.MoveTopicPartition("t", 0, (old+1)%3))

		f, err := fetchOnce(t, c, old, FetchPart{Topic: "t", Partition: 0, LeaderEpoch: -1})
		require.NoError(t, err)
		var e *Error
		require.ErrorAs(t, f.Parts[0].Err, &e)
		assert.True(t, e.NotLeader() && e.Retriable(), e)
		if round%2 == 0 { // the answer may have said who leads; if not, a refresh does
			require.NoError(t, c.Refresh(ctx))
		}
		leader, _, err := c.Leader(ctx, "t", 0)
		require.NoError(t, err)
		assert.Equal(t, k.LeaderFor("t", 0), leader)
		assert.Equal(t, []string{"a"}, read(t, c, "t", 0, false, 1))

		require.NoError(t, k.MoveTopicPartition("t", 0, (old+2)%3))
		got, err := c.Offsets(ctx, []TopicPartition{{"t", 0}}, Latest())
		require.NoError(t, err, "who asks for offsets doesn't see it")
		assert.EqualValues(t, 1, got[TopicPartition{"t", 0}].Offset)
	}
}

func TestProduceAfterALeaderMoved(t *testing.T) {
	k := cluster(t, 3)
	c := client(t, k)
	write(t, c, "t", 0, "a")
	require.NoError(t, k.MoveTopicPartition("t", 0, (k.LeaderFor("t", 0)+1)%3))
	part := []ProducePart{{"t", 0, batchOf(nil, 0, false, "b")}, {"t", 1, batchOf(nil, 0, false, "c")}}
	out, err := c.Produce(within(t), "", -1, part)
	require.NoError(t, err)
	var e *Error
	require.ErrorAs(t, out[0].Err, &e)
	assert.True(t, e.NotLeader())
	assert.False(t, e.Unknown(), "it was refused, so it was not written")
	require.NoError(t, out[1].Err)
	out, err = c.Produce(within(t), "", -1, part[:1])
	require.NoError(t, err)
	require.NoError(t, out[0].Err, "the next one goes to the new leader at once")
	assert.EqualValues(t, 1, out[0].Offset)
}

func TestFetchSaysWhatIsWrong(t *testing.T) {
	k := cluster(t, 1)
	c := client(t, k)
	write(t, c, "t", 0, "a")
	leader := k.LeaderFor("t", 0)
	f, err := fetchOnce(t, c, leader, FetchPart{Topic: "t", Partition: 0, Offset: 99, LeaderEpoch: -1})
	require.NoError(t, err)
	var e *Error
	require.ErrorAs(t, f.Parts[0].Err, &e)
	assert.True(t, e.OutOfRange())
	assert.False(t, e.Retriable())
	f, err = fetchOnce(t, c, leader, FetchPart{Topic: "no", Partition: 0, LeaderEpoch: -1})
	require.NoError(t, err)
	require.ErrorAs(t, f.Parts[0].Err, &e)
	assert.True(t, e.UnknownTopic())
	_, err = fetchOnce(t, c, 77, FetchPart{Topic: "t", Partition: 0})
	assert.ErrorContains(t, err, "broker 77 is not in the cluster's metadata")
}

func TestCoordinatorMoves(t *testing.T) {
	k := cluster(t, 3)
	c := client(t, k)
	ctx := within(t)
	tp := TopicPartition{"t", 0}
	for i := range int64(5) {
		require.NoError(t, c.CommitGroup(ctx, "g", map[TopicPartition]GroupOffset{tp: {Offset: i, Epoch: -1}}))
		k.RehashCoordinators()
		got, err := c.GroupOffsets(ctx, "g", []TopicPartition{tp})
		require.NoError(t, err)
		assert.Equal(t, i, got[tp].Offset)
		k.RehashCoordinators()
		p, err := c.InitProducer(ctx, "id", time.Minute)
		require.NoError(t, err)
		k.RehashCoordinators()
		require.NoError(t, c.AddPartitions(ctx, "id", p, []TopicPartition{tp}))
		k.RehashCoordinators()
		require.NoError(t, c.EndTxn(ctx, "id", p, true))
	}
}

// A coordinator is looked up once, not for each request.
func TestCoordinatorIsKept(t *testing.T) {
	k := cluster(t, 3)
	c := client(t, k)
	var asked atomic.Int32
	k.ControlKey(10, func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	for range 5 {
		_, err := c.GroupOffsets(within(t), "g", []TopicPartition{{"t", 0}})
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, asked.Load())
}

func TestErrorsThatPass(t *testing.T) {
	tp := TopicPartition{"t", 0}
	for _, tt := range []struct {
		name string
		key  kmsg.Key
		err  *kerr.Error
		call func(context.Context, *Client) error
	}{
		{"a coordinator that loads", kmsg.FindCoordinator, kerr.CoordinatorLoadInProgress, commit},
		{"no coordinator yet", kmsg.FindCoordinator, kerr.CoordinatorNotAvailable, commit},
		{"a group that loads", kmsg.OffsetCommit, kerr.CoordinatorLoadInProgress, commit},
		{"offsets in a transaction", kmsg.OffsetFetch, kerr.UnstableOffsetCommit, func(ctx context.Context, c *Client) error {
			_, err := c.GroupOffsets(ctx, "g", []TopicPartition{tp})
			return err
		}},
		{"the transaction before is being ended", kmsg.InitProducerID, kerr.ConcurrentTransactions, func(ctx context.Context, c *Client) error {
			_, err := c.InitProducer(ctx, "id", time.Minute)
			return err
		}},
		{"a leader that does not know of its partition", kmsg.ListOffsets, kerr.UnknownTopicOrPartition, func(ctx context.Context, c *Client) error {
			_, err := c.Offsets(ctx, []TopicPartition{tp}, Latest())
			return err
		}},
		{"a new leader that does not know its end", kmsg.ListOffsets, kerr.OffsetNotAvailable, func(ctx context.Context, c *Client) error {
			_, err := c.Offsets(ctx, []TopicPartition{tp}, Latest())
			return err
		}},
		{"an epoch that is too new for the leader", kmsg.OffsetForLeaderEpoch, kerr.UnknownLeaderEpoch, func(ctx context.Context, c *Client) error {
			_, err := c.EpochEnds(ctx, map[TopicPartition]int32{tp: 0})
			return err
		}},
		{"a quota", kmsg.CreateTopics, kerr.ThrottlingQuotaExceeded, func(ctx context.Context, c *Client) error {
			return c.CreateTopic(ctx, "new", 1, 1, nil)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := cluster(t, 3)
			c := client(t, k)
			h := k.Fault(kfake.Fault{Keys: []kmsg.Key{tt.key}, Err: tt.err, Count: 3, TopLevel: tt.key == kmsg.FindCoordinator || tt.key == kmsg.InitProducerID})
			require.NoError(t, tt.call(within(t), c))
			assert.EqualValues(t, 3, h.Hits())
		})
	}
}

func commit(ctx context.Context, c *Client) error {
	return c.CommitGroup(ctx, "g", map[TopicPartition]GroupOffset{{"t", 0}: {Offset: 1, Epoch: -1}})
}

func TestErrorsThatStay(t *testing.T) {
	k := cluster(t, 3)
	c := client(t, k, func(cfg *Config) { cfg.RequestTimeout = 300 * time.Millisecond })
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	err := commit(within(t), c)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.EqualValues(t, 30, e.Code)
	assert.False(t, e.Retriable())
	assert.ErrorContains(t, err, "this user has no right to the group (GROUP_AUTHORIZATION_FAILED)")

	h := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition, Count: -1})
	_, err = c.Offsets(within(t), []TopicPartition{{"t", 0}}, Latest())
	require.ErrorAs(t, err, &e)
	assert.True(t, e.NotLeader())
	assert.ErrorContains(t, err, "in 300ms", "it was tried as long as a call may take")
	assert.Greater(t, h.Hits(), 2)
}

// A broker that throttles is left alone for so long, and only with requests of the
// kind that it throttles.
func TestThrottle(t *testing.T) {
	k := cluster(t, 1)
	c := client(t, k)
	write(t, c, "t", 0, "a")
	k.ControlKey(1, func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.ThrottleMillis = 300
		return resp, nil, true
	})
	f, err := fetchOnce(t, c, 0, FetchPart{Topic: "t", LeaderEpoch: -1})
	require.NoError(t, err)
	assert.Equal(t, 300*time.Millisecond, f.Throttle)
	began := time.Now()
	write(t, c, "t", 0, "b")
	free := time.Since(began)
	_, err = fetchOnce(t, c, 0, FetchPart{Topic: "t", LeaderEpoch: -1})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(began), 250*time.Millisecond)
	assert.Less(t, free, 200*time.Millisecond)
}

// A fetch that waits for records holds up nothing else, and ends with its context.
func TestWaitingFetch(t *testing.T) {
	k := cluster(t, 1)
	c := client(t, k)
	ctx, cancel := context.WithCancel(within(t))
	waits := make(chan struct{})
	k.ControlKey(1, func(kmsg.Request) (kmsg.Response, error, bool) {
		close(waits)
		return nil, nil, false
	})
	done := make(chan error)
	go func() {
		_, err := c.Fetch(ctx, 0, &FetchRequest{MaxWait: time.Minute, MinBytes: 1, MaxBytes: 1 << 20,
			Parts: []FetchPart{{"t", 0, 0, -1, 1 << 20}}}, make([]byte, 1<<20))
		done <- err
	}()
	<-waits
	write(t, c, "t", 1, "beside it")
	_, err := c.Topic(ctx, "t")
	require.NoError(t, err)
	began := time.Now()
	cancel()
	err = <-done
	require.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(began), 5*time.Second)
	assert.EqualValues(t, 1, write(t, c, "t", 1, "and after it"))
}

func TestClose(t *testing.T) {
	k := cluster(t, 1)
	c := client(t, k)
	waits := make(chan struct{})
	k.ControlKey(1, func(kmsg.Request) (kmsg.Response, error, bool) {
		close(waits)
		return nil, nil, false
	})
	done := make(chan error)
	go func() {
		_, err := c.Fetch(context.WithoutCancel(t.Context()), 0, &FetchRequest{MaxWait: time.Minute, MinBytes: 1, MaxBytes: 1 << 20,
			Parts: []FetchPart{{"t", 0, 0, -1, 1 << 20}}}, nil)
		done <- err
	}()
	<-waits
	c.Close()
	c.Close()
	require.ErrorIs(t, <-done, ErrClosed)
	_, err := c.Topic(within(t), "t")
	require.ErrorIs(t, err, ErrClosed)
}

// A cutter is a listener that ends connections in the middle of answers to a kind of
// request.
type cutter struct {
	net.Listener
	key  atomic.Int32 // -1: of none
	left atomic.Int32 // how often
	keep int          // bytes of the answer that still go out
}

func (l *cutter) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: c, l: l}, nil
}

type cutConn struct {
	net.Conn
	l    *cutter
	mu   sync.Mutex
	seen []byte
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, p[:n]...)
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	seen := c.seen
	c.seen = nil
	c.mu.Unlock()
	if len(seen) >= 6 && int32(binary.BigEndian.Uint16(seen[4:])) == c.l.key.Load() && c.l.left.Add(-1) >= 0 {
		c.Conn.Write(p[:min(c.l.keep, len(p))])
		c.Conn.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

func TestConnectionIsCutInAnAnswer(t *testing.T) {
	tp := TopicPartition{"t", 0}
	for _, keep := range []int{0, 3, 4, 6, 8, 9, 14} {
		l := &cutter{keep: keep}
		l.key.Store(-1)
		k := cluster(t, 1, kfake.ListenFn(func(network, address string) (net.Listener, error) {
			under, err := net.Listen(network, address)
			l.Listener = under
			return l, err
		}))
		c := client(t, k)
		cut := func(key int16, times int32) {
			l.left.Store(times)
			l.key.Store(int32(key))
		}
		ctx := within(t)
		write(t, c, "t", 0, "a")

		cut(apiFetch.key, 1)
		_, err := fetchOnce(t, c, 0, FetchPart{Topic: "t", LeaderEpoch: -1})
		var e *Error
		require.ErrorAs(t, err, &e, "keep %d", keep)
		assert.True(t, e.Retriable(), e)
		assert.Equal(t, []string{"a"}, read(t, c, "t", 0, false, 1))

		cut(apiProduce.key, 1)
		out, err := c.Produce(ctx, "", -1, []ProducePart{{"t", 0, batchOf(nil, 0, false, "b")}})
		require.NoError(t, err)
		require.ErrorAs(t, out[0].Err, &e)
		assert.True(t, e.Unknown() && e.Retriable(), e)

		for _, a := range []api{apiVersions, apiMetadata, apiListOffsets} {
			cut(a.key, 2)
			_, err = c.Topic(ctx, "t")
			require.NoError(t, err)
			_, err = c.Offsets(ctx, []TopicPartition{tp}, Latest())
			require.NoError(t, err, a.name)
		}
		_, err = c.InitProducer(ctx, "id", time.Minute)
		require.NoError(t, err)
		for _, a := range []api{apiInitProducer, apiFindCoordinator, apiAddPartitions, apiAddOffsets, apiTxnOffsetCommit, apiEndTxn} {
			cut(a.key, 2)
			p, err := c.InitProducer(ctx, "id", time.Minute)
			require.NoError(t, err, a.name)
			require.NoError(t, c.AddPartitions(ctx, "id", p, []TopicPartition{tp}), a.name)
			require.NoError(t, c.CommitInTxn(ctx, "id", p, "g", map[TopicPartition]GroupOffset{tp: {Offset: 5, Epoch: -1}}), a.name)
			require.NoError(t, c.EndTxn(ctx, "id", p, true), a.name)
		}
		cut(apiCreateTopics.key, 2)
		require.NoError(t, c.CreateTopic(ctx, "new", 1, 1, nil), "the lost attempt made it")
	}
}

// An EndTxn whose answers are all lost has an outcome that is not known.
func TestUnknownOutcome(t *testing.T) {
	l := &cutter{}
	l.key.Store(-1)
	k := cluster(t, 1, kfake.ListenFn(func(network, address string) (net.Listener, error) {
		under, err := net.Listen(network, address)
		l.Listener = under
		return l, err
	}))
	c := client(t, k, func(cfg *Config) { cfg.RequestTimeout = 500 * time.Millisecond })
	ctx := within(t)
	p, err := c.InitProducer(ctx, "id", time.Minute)
	require.NoError(t, err)
	require.NoError(t, c.AddPartitions(ctx, "id", p, []TopicPartition{{"t", 0}}))
	l.left.Store(1000)
	l.key.Store(int32(apiEndTxn.key))
	err = c.EndTxn(ctx, "id", p, true)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.True(t, e.Unknown(), err)
}

// Nothing is there, or something else: errors name the address and what to check.
func TestUnreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	web := answers(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	alert := answers(t, "\x15\x03\x03\x00\x02\x02\x28\x00")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	for _, tt := range []struct {
		name    string
		brokers []string
		want    []string
	}{
		{"nothing listens", []string{closed.Addr().String()}, []string{closed.Addr().String(), "nothing listens there"}},
		{"nothing listens on two", []string{closed.Addr().String(), "localhost:1"}, []string{closed.Addr().String(), "localhost:1", "nothing listens there"}},
		{"a web server", []string{web}, []string{web, "an HTTP server answers there", "check the port"}},
		{"a TLS port", []string{alert}, []string{alert, "it answers with TLS", "kafkas://"}},
		{"silence", []string{silent.Addr().String()}, []string{"no Kafka broker answered"}},
		{"a name that is none", []string{"no-such-host.invalid:9092"}, []string{"no-such-host.invalid"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(Config{Brokers: tt.brokers, RequestTimeout: time.Second})
			require.NoError(t, err)
			defer c.Close()
			_, err = c.Topic(within(t), "t")
			for _, w := range tt.want {
				assert.ErrorContains(t, err, w)
			}
		})
	}
}

// answers listens, and answers everything with text.
func answers(t *testing.T, text string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				if _, err := c.Read(make([]byte, 100)); err == nil {
					io.Copy(c, strings.NewReader(text))
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// One seed of several being away is no matter, nor is a broker that goes.
func TestSomeBrokerIsAway(t *testing.T) {
	k := cluster(t, 3)
	c := client(t, k, func(cfg *Config) { cfg.Brokers = append([]string{"127.0.0.1:1"}, cfg.Brokers[0]) })
	write(t, c, "t", 0, "a")
	require.NoError(t, k.RemoveNode(k.LeaderFor("t", 0)))
	require.Eventually(t, func() bool {
		out, err := c.Produce(within(t), "", -1, []ProducePart{{"t", 0, batchOf(nil, 0, false, "b")}})
		return err == nil && out[0].Err == nil
	}, 10*time.Second, 10*time.Millisecond)
	_, err := c.Offsets(within(t), []TopicPartition{{"t", 0}, {"t", 1}, {"t", 2}, {"t", 3}}, Latest())
	require.NoError(t, err)
}

// Brokers of Kafka 2.5 have what is needed, older ones are told apart.
func TestOldBrokers(t *testing.T) {
	for _, v := range []*kversion.Versions{kversion.V2_5_0(), kversion.V2_8_0(), kversion.V3_5_0(), kversion.V4_0_0()} {
		k := cluster(t, 1, kfake.MaxVersions(v))
		c := client(t, k)
		ctx := within(t)
		require.NoError(t, c.CreateTopic(ctx, "u", 1, 1, map[string]string{"cleanup.policy": "compact"}))
		require.NoError(t, c.CreatePartitions(ctx, "u", 2))
		write(t, c, "u", 1, "a")
		assert.Equal(t, []string{"a"}, read(t, c, "u", 1, true, 1))
		tp := TopicPartition{"u", 1}
		got, err := c.Offsets(ctx, []TopicPartition{tp}, Latest())
		require.NoError(t, err)
		assert.EqualValues(t, 1, got[tp].Offset)
		_, err = c.EpochEnds(ctx, map[TopicPartition]int32{tp: 0})
		require.NoError(t, err)
		p, err := c.InitProducer(ctx, "id", time.Minute)
		require.NoError(t, err)
		require.NoError(t, c.AddPartitions(ctx, "id", p, []TopicPartition{tp}))
		require.NoError(t, c.CommitInTxn(ctx, "id", p, "g", map[TopicPartition]GroupOffset{tp: {Offset: 5, Epoch: -1}}))
		require.NoError(t, c.EndTxn(ctx, "id", p, true))
		require.NoError(t, c.CommitGroup(ctx, "h", map[TopicPartition]GroupOffset{tp: {Offset: 5, Epoch: 0}}))
		o, err := c.GroupOffsets(ctx, "g", []TopicPartition{tp})
		require.NoError(t, err)
		assert.EqualValues(t, 5, o[tp].Offset)
	}
	c := client(t, cluster(t, 1, kfake.MaxVersions(kversion.V1_0_0())))
	_, err := c.Topic(within(t), "t")
	assert.ErrorContains(t, err, "a Kafka from 2.5 on is needed")
}
