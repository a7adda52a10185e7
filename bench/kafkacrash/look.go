package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partitions is how many each topic has.
const partitions = 4

// kafkaClient is the other client: it writes the input and reads the output.
type kafkaClient struct {
	t task
	*kgo.Client
}

func dial(t task) (*kafkaClient, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(t.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	return &kafkaClient{t, c}, err
}

func (k *kafkaClient) close() { k.Client.Close() }

func (k *kafkaClient) createTopics(ctx context.Context) error {
	q := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range []string{k.t.in(), k.t.totals(), k.t.sums()} {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, -1
		q.Topics = append(q.Topics, topic)
	}
	r, err := q.RequestWith(ctx, k.Client)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for _, topic := range r.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return fmt.Errorf("create topic %s: %w", topic.Topic, err)
		}
	}
	return nil
}

// input is what was fed, and what has to come of it.
type input struct {
	n              int
	counts, totals map[string]int64 // by user
	sums           map[string]int64 // by user and window: sumLine without the sum
	lines          []string         // of totals
}

const users = 40

// add makes the next record.
func (in *input) add(t task) *kgo.Record {
	i := in.n
	in.n++
	u := i * 7 % users
	e := event{fmt.Sprint("u", u), int64(i % 100)}
	at := int64(1_000_000 + 5*i)
	in.counts[e.User]++
	in.totals[e.User] += e.Cost
	in.lines = append(in.lines, fmt.Sprintf("%s %d %d", e.User, in.counts[e.User], in.totals[e.User]))
	in.sums[fmt.Sprintf("%s %d", e.User, at-at%width.Milliseconds())] += e.Cost
	return record(t, int32(u%partitions), e, at)
}

func record(t task, partition int32, e event, ms int64) *kgo.Record {
	return &kgo.Record{Topic: t.in(), Partition: partition, Value: fmt.Appendf(nil, "%s %d", e.User, e.Cost), Timestamp: time.UnixMilli(ms)}
}

// outputs is how many records have to be written.
func (in *input) outputs() int { return len(in.lines) + len(in.sums) }

// want is all that has to be written, and how often.
func (in *input) want() map[string]int {
	want := map[string]int{}
	for _, line := range in.lines {
		want["total "+line]++
	}
	for of, sum := range in.sums {
		want[fmt.Sprintf("sum %s %d", of, sum)]++
	}
	return want
}

// feed writes so many records a second until ctx ends.
func (k *kafkaClient) feed(ctx context.Context, in *input, rate int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		var batch []*kgo.Record
		for due := int(time.Since(began).Seconds() * float64(rate)); in.n < due; {
			batch = append(batch, in.add(k.t))
		}
		if err := k.ProduceSync(context.WithoutCancel(ctx), batch...).FirstErr(); err != nil {
			return fmt.Errorf("write the input: %w", err)
		}
	}
}

// bringTime writes a late record to each partition, so that all windows end.
func (k *kafkaClient) bringTime(ctx context.Context, in *input) error {
	var batch []*kgo.Record
	for p := range int32(partitions) {
		batch = append(batch, record(k.t, p, event{end, 0}, int64(1_000_000+5*in.n)+2*width.Milliseconds()))
	}
	return k.ProduceSync(ctx, batch...).FirstErr()
}

// consumer reads the output from its beginning, as read_committed.
func (k *kafkaClient) consumer() (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(k.t.Brokers...), kgo.ConsumeTopics(k.t.totals(), k.t.sums()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond))
}

var errSlow = errors.New("the output does not come")

// awaitOutput waits until n records are written, or ended is closed.
func (k *kafkaClient) awaitOutput(ctx context.Context, n int, ended <-chan struct{}) error {
	c, err := k.consumer()
	if err != nil {
		return err
	}
	defer c.Close()
	got := 0
	for last := time.Now(); got < n; {
		select {
		case <-ended:
			return nil // kill says why
		default:
		}
		fetches, err := poll(ctx, c)
		if err != nil {
			return err
		}
		if fetches.NumRecords() > 0 {
			last = time.Now()
		}
		if got += fetches.NumRecords(); time.Since(last) > time.Minute {
			return fmt.Errorf("%w: %d of %d records are there, and nothing has come for a minute", errSlow, got, n)
		}
	}
	return nil
}

// poll waits for records for a moment.
func poll(ctx context.Context, c *kgo.Client) (kgo.Fetches, error) {
	moment, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	f := c.PollFetches(moment)
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	if err := f.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return f, fmt.Errorf("read the output: %w", err)
	}
	return f, nil
}

// compare reads what is written, until nothing more comes, and counts what is wrong.
func (k *kafkaClient) compare(ctx context.Context, in *input, res *report) error {
	c, err := k.consumer()
	if err != nil {
		return err
	}
	defer c.Close()
	left := in.want()
	counts := map[string]int64{}
	for last := time.Now(); time.Since(last) < 3*time.Second; {
		f, err := poll(ctx, c)
		if err != nil {
			return err
		}
		f.EachRecord(func(r *kgo.Record) {
			last = time.Now()
			res.Output++
			line := "sum " + string(r.Value)
			if r.Topic == k.t.totals() {
				line = "total " + string(r.Value)
				var n, total int64
				user, rest, _ := strings.Cut(string(r.Value), " ")
				if _, err := fmt.Sscan(rest, &n, &total); err != nil || n < counts[user] {
					res.Unordered++
				}
				counts[user] = n
			}
			left[line]--
		})
	}
	for _, n := range left {
		res.Lost += max(n, 0)
		res.Duplicated += max(-n, 0)
	}
	return nil
}
