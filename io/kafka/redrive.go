package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
)

// RedriveConfig says which dead letters are written back, and where to. The zero value
// of each field means its default.
type RedriveConfig struct {
	Match  string // part of the errors of the letters to write back; default: all
	To     string // topic to write to; default: the one that each record was read from
	Group  string // consumer group that remembers how far it got; default redrive-TOPIC
	DryRun bool   // only look: nothing is written or remembered
	// Each, if it is set, is told each record that is to be written, as it was read
	// once, with why it could not be decoded, and where it goes.
	Each func(r Record, why, topic string, partition int32)
}

// Redriven counts letters.
type Redriven struct {
	Sent    int64 // written back
	Passed  int64 // that did not match: with another group they can be had again
	Foreign int64 // that were no dead letters
}

// Redrive writes the letters of a dead-letter topic back, up to its present end, without
// the headers that say why they are there, and with the times they had. A record goes
// to the partition that it was read from; in another topic, where its key belongs.
//
// Letters and the group's offset are written in one transaction, and a Redrive that
// begins fences another one of the same group: each letter is written back once,
// whatever happens, and a Redrive that failed goes on where it was.
func Redrive(ctx context.Context, url string, cfg RedriveConfig, opts ...Option) (Redriven, error) {
	r, err := newRedriver(url, cfg, opts)
	if err != nil {
		return Redriven{}, fmt.Errorf("kafka.Redrive: %w", err)
	}
	defer r.client.Close()
	if err := r.run(ctx); err != nil {
		return r.done, fmt.Errorf("kafka.Redrive: %w", err)
	}
	return r.done, nil
}

// redriver is a Redrive.
type redriver struct {
	cfg       RedriveConfig
	topic     string
	client    *client.Client
	producer  batch.Producer
	targets   map[string]int // partitions of topics
	sequences map[client.TopicPartition]int32
	done      Redriven

	// What the transaction has that is not committed.
	pending map[client.TopicPartition]*batch.Builder
	bytes   int
	counts  Redriven
}

const (
	redriveTimeout = time.Minute // of a transaction
	redriveBytes   = 256 << 10   // of a transaction, about: a batch must fit a topic, which takes 1 MiB
	redriveFetch   = 1 << 20
	redriveTries   = 10
)

func newRedriver(url string, cfg RedriveConfig, opts []Option) (*redriver, error) {
	a, err := parseURL(url, connectParams...)
	if err != nil {
		return nil, err
	}
	if err := checkTopic(a.Topic); err != nil {
		return nil, err
	}
	if cfg.To != "" {
		if err := checkTopic(cfg.To); err != nil {
			return nil, err
		}
	}
	if cfg.To == a.Topic {
		return nil, errors.New("letters can't be written to their own topic")
	}
	var c connection
	for _, o := range opts {
		o(&c)
	}
	to, err := a.clientConfig(c)
	if err != nil {
		return nil, err
	}
	if cfg.Group == "" {
		cfg.Group = "redrive-" + a.Topic
	}
	r := &redriver{
		cfg: cfg, topic: a.Topic,
		targets:   map[string]int{},
		sequences: map[client.TopicPartition]int32{},
		pending:   map[client.TopicPartition]*batch.Builder{},
	}
	r.client, err = client.New(to)
	return r, err
}

func (r *redriver) run(ctx context.Context) error {
	topic, err := r.client.Topic(ctx, r.topic)
	if err != nil {
		return err
	}
	if !r.cfg.DryRun { // before the group's offsets are read: from now on nobody else commits them
		if r.producer, err = r.client.InitProducer(ctx, r.cfg.Group, redriveTimeout); err != nil {
			return err
		}
	}
	var parts []client.TopicPartition
	for _, p := range topic.Partitions {
		parts = append(parts, client.TopicPartition{Topic: r.topic, Partition: p.ID})
	}
	begin, err := r.client.Offsets(ctx, parts, client.Earliest())
	if err != nil {
		return err
	}
	latest := client.Latest()
	latest.Committed = true
	end, err := r.client.Offsets(ctx, parts, latest)
	if err != nil {
		return err
	}
	group, err := r.client.GroupOffsets(ctx, r.cfg.Group, parts)
	if err != nil {
		return err
	}
	for _, tp := range parts {
		at := begin[tp].Offset
		if g, ok := group[tp]; ok {
			at = max(at, g.Offset)
		}
		if err := r.partition(ctx, tp, at, end[tp].Offset); err != nil {
			return err
		}
	}
	return nil
}

// partition writes back the letters of a partition from offset at up to end.
func (r *redriver) partition(ctx context.Context, tp client.TopicPartition, at, end int64) error {
	var (
		in     batch.Reader
		rec    batch.Record
		buf    []byte
		most   = redriveFetch
		letter = deadLetters()
	)
	for at < end {
		got, err := r.fetch(ctx, tp, at, most, buf)
		if err != nil {
			return err
		}
		buf = got.Buf
		in.Reset(got.Parts[0].Raw, at, batch.Options{Committed: true, Aborted: got.Parts[0].Aborted})
		for in.Next(&rec) && rec.Offset < end {
			if err := r.add(ctx, letter, tp, &rec); err != nil {
				return fmt.Errorf("%s/%d:%d: %w", tp.Topic, tp.Partition, rec.Offset, err)
			}
			if r.bytes >= redriveBytes {
				if err := r.commit(ctx, tp, rec.Offset+1); err != nil {
					return err
				}
			}
		}
		if err := in.Err(); err != nil {
			return fmt.Errorf("%s/%d: %w", tp.Topic, tp.Partition, err)
		}
		most = max(most, in.Need())
		if next := min(in.NextOffset(), end); next > at {
			at = next
			if err := r.commit(ctx, tp, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch asks the leader, also a new one.
func (r *redriver) fetch(ctx context.Context, tp client.TopicPartition, at int64, most int, buf []byte) (got *client.FetchResponse, err error) {
	err = tries(ctx, func() error {
		broker, _, err := r.client.Leader(ctx, tp.Topic, tp.Partition)
		if err != nil {
			return err
		}
		got, err = r.client.Fetch(ctx, broker, &client.FetchRequest{
			MaxWait: time.Second, MinBytes: 1, MaxBytes: most, Committed: true,
			Parts: []client.FetchPart{{Topic: tp.Topic, Partition: tp.Partition, Offset: at, LeaderEpoch: -1, MaxBytes: most}},
		}, buf)
		if err != nil {
			return err
		}
		return got.Parts[0].Err
	})
	return got, err
}

// tries tries again what another leader, or a broker that is back, may do.
func tries(ctx context.Context, f func() error) error {
	for i, wait := 1, 50*time.Millisecond; ; i, wait = i+1, min(2*wait, 5*time.Second) {
		err := f()
		if !worthTrying(err) || i == redriveTries {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

func worthTrying(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && (e.Retriable() || e.NotLeader() || e.Unknown()) && !e.UnknownTopic()
}

// add puts a letter that is to be written back into the transaction.
func (r *redriver) add(ctx context.Context, f Format[BadRecord], tp client.TopicPartition, rec *batch.Record) error {
	in := Record{Topic: tp.Topic, Partition: tp.Partition, Offset: rec.Offset, Key: rec.Key, Value: rec.Value}
	for k, v := range rec.Headers() {
		in.Headers = append(in.Headers, Header{k, v})
	}
	l, err := f.Decode(&in)
	if err != nil {
		r.counts.Foreign++
		return nil
	}
	if !strings.Contains(l.Error, r.cfg.Match) {
		r.counts.Passed++
		return nil
	}
	to, err := r.target(ctx, l)
	if err != nil {
		return err
	}
	r.counts.Sent++
	if r.cfg.Each != nil {
		r.cfg.Each(l.Record, l.Error, to.Topic, to.Partition)
	}
	b := r.pending[to]
	if b == nil {
		b = &batch.Builder{}
		b.Reset(nil)
		r.pending[to] = b
	}
	headers := make([]batch.Header, len(l.Headers))
	for i, h := range l.Headers {
		headers[i] = batch.Header(h)
	}
	if l.Time.IsZero() {
		l.Time = time.Now()
	}
	before := b.Size()
	b.Add(l.Time.UnixMilli(), l.Key, l.Value, headers)
	r.bytes += b.Size() - before
	return nil
}

// target is where a letter goes.
func (r *redriver) target(ctx context.Context, l BadRecord) (to client.TopicPartition, err error) {
	to = client.TopicPartition{Topic: l.Topic, Partition: l.Partition}
	if r.cfg.To != "" {
		to.Topic = r.cfg.To
	}
	n := r.targets[to.Topic]
	if n == 0 {
		topic, err := r.client.Topic(ctx, to.Topic)
		if e, ok := errors.AsType[*client.Error](err); ok && e.UnknownTopic() {
			return to, fmt.Errorf("there is no topic %s to write to: To names another one", to.Topic)
		}
		if err != nil {
			return to, err
		}
		n = len(topic.Partitions)
		r.targets[to.Topic] = n
	}
	switch {
	case to.Topic == l.Topic && int(l.Partition) < n:
	case l.Key != nil:
		to.Partition = int32(batch.Partition(l.Key, n))
	default:
		to.Partition = l.Partition % int32(n)
	}
	return to, nil
}

// commit ends the transaction: what is pending, and that all before next was seen.
func (r *redriver) commit(ctx context.Context, tp client.TopicPartition, next int64) error {
	if !r.cfg.DryRun {
		if err := r.transact(ctx, tp, next); err != nil {
			abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_ = r.client.EndTxn(abort, r.cfg.Group, r.producer, false) // else the next Redrive does
			return err
		}
	}
	r.done.Sent += r.counts.Sent
	r.done.Passed += r.counts.Passed
	r.done.Foreign += r.counts.Foreign
	r.counts, r.bytes = Redriven{}, 0
	clear(r.pending)
	return nil
}

func (r *redriver) transact(ctx context.Context, tp client.TopicPartition, next int64) error {
	var targets []client.TopicPartition
	for to := range r.pending {
		targets = append(targets, to)
	}
	slices.SortFunc(targets, func(a, b client.TopicPartition) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition - b.Partition)
	})
	if len(targets) > 0 {
		if err := r.client.AddPartitions(ctx, r.cfg.Group, r.producer, targets); err != nil {
			return err
		}
	}
	var parts []client.ProducePart
	for _, to := range targets {
		n := r.pending[to].Len()
		b := r.pending[to].Finish(batch.LZ4)
		batch.Stamp(b, r.producer, r.sequences[to], true)
		r.sequences[to] = batch.NextSequence(r.sequences[to], n)
		parts = append(parts, client.ProducePart{Topic: to.Topic, Partition: to.Partition, Batch: b})
	}
	if err := r.produce(ctx, parts); err != nil {
		return err
	}
	offset := map[client.TopicPartition]client.GroupOffset{tp: {Offset: next, Epoch: -1}}
	if err := r.client.CommitInTxn(ctx, r.cfg.Group, r.producer, r.cfg.Group, offset); err != nil {
		return err
	}
	return r.client.EndTxn(ctx, r.cfg.Group, r.producer, true)
}

// produce sends batches until all are acknowledged; those that came twice count once, by
// their sequences.
func (r *redriver) produce(ctx context.Context, parts []client.ProducePart) error {
	return tries(ctx, func() error {
		if len(parts) == 0 {
			return nil
		}
		got, err := r.client.Produce(ctx, r.cfg.Group, -1, parts)
		if err != nil {
			return err
		}
		var left []client.ProducePart
		for i, p := range got {
			if p.Err != nil {
				left = append(left, parts[i])
				if err == nil || worthTrying(err) {
					err = p.Err
				}
			}
		}
		parts = left
		return err
	})
}
