package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/internal/kafkatest"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// A crew is members of a group, of our kind and of others, and what each of them saw.
type crew struct {
	t     *testing.T
	b     kafkatest.Brokers
	topic string
	parts int
	rest  string // of the URL
	pen   pen
	n     int // records written

	mu   sync.Mutex // guards seen
	seen map[string][]sight
}

// sight is a record that somebody saw.
type sight struct {
	who       string
	partition int32
	offset    int64
}

func newCrew(t *testing.T, b kafkatest.Brokers, topic string, partitions int) *crew {
	b.CreateTopic(topic, partitions, -1, nil)
	return &crew{t: t, b: b, topic: topic, parts: partitions, rest: "?group=" + topic + "&assign=group&session=6s&discover=200ms&timeout=20s", pen: newPen(t, b), seen: map[string][]sight{}}
}

func (c *crew) saw(who string, partition int32, offset int64, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[value] = append(c.seen[value], sight{who, partition, offset})
}

// member begins a run that is a member of the group.
func (c *crew) member(who string, cfg local.Config, opts ...ReadOption) *run {
	c.t.Helper()
	if cfg.Checkpoint == 0 {
		cfg.Checkpoint = 20 * time.Millisecond
	}
	cfg.Parallelism = 2
	ctx, cancel := context.WithCancelCause(c.t.Context())
	r := &run{t: c.t, cancel: cancel, ended: make(chan error, 1)}
	p := pipeline.New()
	ended := make(chan error, 1)
	c.t.Cleanup(func() { c.report(who, ended) })
	pipeline.ForEach(Read(p, brokersURL(c.b, c.topic+c.rest), Records(), opts...), func(_ context.Context, m Record) error {
		c.saw(who, m.Partition, m.Offset, string(m.Value))
		return nil
	})
	require.NoError(c.t, p.Err())
	go func() {
		_, err := local.Run(ctx, p, cfg)
		r.ended <- err
		ended <- err
	}()
	c.t.Cleanup(func() { cancel(errEnough) })
	return r
}

// report says how a run ended, where a test has failed.
func (c *crew) report(who string, ended <-chan error) {
	if err := <-ended; c.t.Failed() {
		c.t.Logf("%s has ended: %v", who, err)
	}
}

// stranger is a member that is another client's. The function that is returned ends it.
func (c *crew) stranger(who string) (end func()) {
	k, err := kgo.NewClient(kgo.SeedBrokers(c.b.Addrs()...), kgo.ConsumerGroup(c.topic), kgo.ConsumeTopics(c.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(300*time.Millisecond), kgo.AutoCommitInterval(100*time.Millisecond))
	require.NoError(c.t, err)
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			k.PollFetches(ctx).EachRecord(func(r *kgo.Record) { c.saw(who, r.Partition, r.Offset, string(r.Value)) })
		}
	}()
	end = sync.OnceFunc(func() {
		cancel()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = k.CommitUncommittedOffsets(ctx) // what is not committed is seen again
		k.Close()
	})
	c.t.Cleanup(end)
	return end
}

// round writes n records to each partition, waits until all have been seen, and returns
// who saw those of each.
func (c *crew) round(n int) map[int32][]string {
	c.t.Helper()
	var values []string
	for range n {
		for p := range c.parts {
			v := fmt.Sprint("r", c.n)
			c.n++
			c.pen.sendTo(c.topic, p, v)
			values = append(values, v)
		}
	}
	readers := map[int32][]string{}
	for until := time.Now().Add(30 * time.Second); ; {
		missing := ""
		c.mu.Lock()
		clear(readers)
		for _, v := range values {
			if len(c.seen[v]) == 0 {
				missing = v
			}
			for _, s := range c.seen[v] {
				if !slices.Contains(readers[s.partition], s.who) {
					readers[s.partition] = append(readers[s.partition], s.who)
				}
			}
		}
		c.mu.Unlock()
		if missing == "" {
			return readers
		}
		require.True(c.t, time.Now().Before(until), "%s was not seen", missing)
		<-time.After(time.Millisecond)
	}
}

// share writes rounds until the members have so many partitions each, and then one more
// in which each partition has one reader.
func (c *crew) share(want map[string]int) {
	c.t.Helper()
	for until := time.Now().Add(30 * time.Second); ; {
		got := map[string]int{}
		alone := true
		for _, who := range c.round(1) {
			alone = alone && len(who) == 1
			for _, w := range who {
				got[w]++
			}
		}
		if alone && assert.ObjectsAreEqual(want, got) {
			return
		}
		require.True(c.t, time.Now().Before(until), "want %v, got %v", want, got)
	}
}

// all checks that nothing was lost, and returns how many records were seen again.
func (c *crew) again() (n int) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.n {
		s := c.seen[fmt.Sprint("r", i)]
		require.NotEmpty(c.t, s, "record %d was lost", i)
		n += len(s) - 1
	}
	return n
}

// Goal: members share the partitions, take over from each other and give each other
// what is theirs, in good order without a record that is seen twice.
func TestGroup_shares(t *testing.T) {
	t.Parallel() // it waits for heartbeats most of the time
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		c := newCrew(t, b, topic, 6)
		first := c.member("first", local.Config{})
		c.share(map[string]int{"first": 6})
		second := c.member("second", local.Config{StateDir: t.TempDir()})
		c.share(map[string]int{"first": 3, "second": 3})
		third := c.member("third", local.Config{})
		c.share(map[string]int{"first": 2, "second": 2, "third": 2})
		assert.Zero(t, c.again())
		second.end()
		c.share(map[string]int{"first": 3, "third": 3})
		first.end()
		c.share(map[string]int{"third": 6})
		third.end()
	})
}

// Goal: another client's member of the group understands ours, and ours it.
func TestGroup_strangers(t *testing.T) {
	t.Parallel()
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		c := newCrew(t, b, topic, 6)
		first := c.member("ours", local.Config{})
		c.share(map[string]int{"ours": 6})
		end := c.stranger("theirs")
		c.share(map[string]int{"ours": 3, "theirs": 3})
		first.end() // now theirs leads
		c.share(map[string]int{"theirs": 6})
		second := c.member("second", local.Config{})
		c.share(map[string]int{"second": 3, "theirs": 3})
		end()
		c.share(map[string]int{"second": 6})
		second.end()
	})
}

// Goal: a broker that goes away and comes back in the middle of a rebalance costs
// nothing but time.
func TestGroup_brokerRestarts(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]func(t *testing.T) kafkatest.Brokers{
		"fake": func(t *testing.T) kafkatest.Brokers { return kafkatest.Fake(t) },
		"real": func(t *testing.T) kafkatest.Brokers { return kafkatest.Real(t, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrew(t, b(t), "t", 6)
			first := c.member("first", local.Config{StateDir: t.TempDir()})
			c.share(map[string]int{"first": 6})
			second := c.member("second", local.Config{StateDir: t.TempDir()})
			c.b.Kill(0)
			c.b.Start(0)
			c.share(map[string]int{"first": 3, "second": 3})
			second.end()
			c.b.Kill(0)
			c.b.Start(0)
			c.share(map[string]int{"first": 6})
			c.again()
			first.end()
		})
	}
}

// Goal: a run that goes on from its checkpoint reads on where the group is, or where it
// was itself if that is further; what it does not get any more it does not read.
func TestGroup_goesOn(t *testing.T) {
	t.Parallel()
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		c := newCrew(t, b, topic, 4)
		dir := t.TempDir()
		first := c.member("first", local.Config{StateDir: dir})
		c.share(map[string]int{"first": 4})
		second := c.member("second", local.Config{})
		c.share(map[string]int{"first": 2, "second": 2})
		first.end()
		c.share(map[string]int{"second": 4}) // the first one's positions get old
		third := c.member("third", local.Config{})
		c.share(map[string]int{"second": 2, "third": 2})
		first = c.member("first again", local.Config{StateDir: dir})
		third.end()
		c.share(map[string]int{"second": 2, "first again": 2})
		second.end()
		c.share(map[string]int{"first again": 4})
		first.end()
		c.again()
	})
}

// Goal: a static member that comes back gets what it had, and nobody else does meanwhile;
// of two of one name the older one ends.
func TestGroup_instances(t *testing.T) {
	t.Parallel()
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		c := newCrew(t, b, topic, 4)
		first := c.member("first", local.Config{}, Instance("a"))
		c.share(map[string]int{"first": 4})
		second := c.member("second", local.Config{}, Instance("b"))
		c.share(map[string]int{"first": 2, "second": 2})
		own := c.round(1)
		first.end()
		heir := c.member("first", local.Config{}, Instance("a"))
		for range 3 {
			assert.Equal(t, own, c.round(1))
		}
		usurper := c.member("usurper", local.Config{}, Instance("b"))
		assert.ErrorContains(t, second.fails(), "FENCED_INSTANCE_ID")
		c.share(map[string]int{"first": 2, "usurper": 2})
		heir.end()
		usurper.end()
	})
}

// Goal: partitions that are added are shared, too.
func TestGroup_grows(t *testing.T) {
	t.Parallel()
	onBrokers(t, 1, func(t *testing.T, b kafkatest.Brokers, topic string) {
		c := newCrew(t, b, topic, 2)
		first := c.member("first", local.Config{}, Start(Committed(Latest())))
		c.start("first")
		second := c.member("second", local.Config{}, Start(Committed(Latest())))
		c.share(map[string]int{"first": 1, "second": 1})
		b.AddPartitions(topic, 6)
		c.parts = 6
		c.share(map[string]int{"first": 3, "second": 3})
		assert.Zero(t, c.again())
		first.end()
		second.end()
	})
}

// start waits until a member that begins at the end reads: of nothing that was written
// before that anybody knows who was to see it.
func (c *crew) start(who string) {
	c.t.Helper()
	for until := time.Now().Add(30 * time.Second); ; {
		for p := range c.parts {
			c.pen.sendTo(c.topic, p, "probe")
		}
		begun := map[int32]bool{}
		c.mu.Lock()
		for _, s := range c.seen["probe"] {
			begun[s.partition] = s.who == who
		}
		c.mu.Unlock()
		if len(begun) == c.parts {
			return
		}
		require.True(c.t, time.Now().Before(until), "%s does not begin", who)
	}
}

// Goal: a run without checkpoints is refused, and says what it wants.
func TestGroup_wantsCheckpoints(t *testing.T) {
	b := kafkatest.Fake(t)
	b.CreateTopic("t", 1, 1, nil)
	r := start(t, local.Config{}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		return Read(p, brokersURL(b, "t?group=g&assign=group"), lines)
	})
	assert.ErrorContains(t, r.fails(), "this run takes none: want -state-dir, or -checkpoint-interval")
}
