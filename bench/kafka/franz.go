package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// payloads is a memory that values are cut from, so that making them costs nothing.
// Its bytes are like those of text: digits.
type payloads []byte

func newPayloads(size int) payloads {
	p := make(payloads, 1<<20+size)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range p {
		p[i] = byte('0' + r.IntN(10))
	}
	return p
}

func (p payloads) value(i, size int) []byte {
	at := i * 7919 % (len(p) - size)
	return p[at : at+size : at+size]
}

func readFranz(ctx context.Context, w work) (sum int64, err error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.ConsumeTopics(w.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for n := 0; n < w.records; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			sum += int64(len(r.Value))
		})
	}
	return sum, nil
}

func franzProducer(w work, more ...kgo.Opt) (*kgo.Client, error) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	codec, ok := codecs[w.codec]
	if !ok {
		return nil, fmt.Errorf("-codec %q: there are none, gzip, snappy, lz4, zstd", w.codec)
	}
	return kgo.NewClient(append(more, kgo.SeedBrokers(w.brokers...), kgo.DefaultProduceTopic(w.topic), kgo.ProducerBatchCompression(codec), kgo.MaxBufferedRecords(200_000))...)
}

func writeFranz(ctx context.Context, w work) (int64, error) {
	c, err := franzProducer(w)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var sum atomic.Int64
	if err := produce(ctx, c, w, &sum, func(int) error { return nil }); err != nil {
		return 0, err
	}
	return sum.Load(), nil
}

// produce writes all records, and calls between before each.
func produce(ctx context.Context, c *kgo.Client, w work, sum *atomic.Int64, between func(i int) error) error {
	var failed atomic.Pointer[error]
	done := func(r *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
			return
		}
		sum.Add(int64(len(r.Value)))
	}
	from := newPayloads(w.size)
	for i := range w.records {
		if err := between(i); err != nil {
			return err
		}
		c.Produce(ctx, kgo.SliceRecord(from.value(i, w.size)), done)
	}
	if err := c.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func transactFranz(ctx context.Context, w work) (int64, error) {
	c, err := franzProducer(w, kgo.TransactionalID("bench-"+w.topic))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var sum atomic.Int64
	if err := c.BeginTransaction(); err != nil {
		return 0, err
	}
	end := func() error {
		if err := c.Flush(ctx); err != nil {
			return err
		}
		return c.EndTransaction(ctx, kgo.TryCommit)
	}
	began := time.Now()
	err = produce(ctx, c, w, &sum, func(i int) error {
		if i%1000 != 0 || time.Since(began) < w.every {
			return nil
		}
		began = time.Now()
		if err := end(); err != nil {
			return err
		}
		return c.BeginTransaction()
	})
	if err == nil {
		err = end()
	}
	return sum.Load(), err
}

// admin makes and removes topics.
type admin struct{ c *kgo.Client }

func newAdmin(brokers []string) (*admin, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	return &admin{c}, err
}

func (a *admin) close() { a.c.Close() }

// topic makes a new topic.
func (a *admin) topic(ctx context.Context, w work) (string, error) {
	name := fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().UnixNano())
	r := kmsg.NewPtrCreateTopicsRequest()
	r.TimeoutMillis = 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(w.partitions), -1
	r.Topics = append(r.Topics, t)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	resp, err := r.RequestWith(ctx, a.c)
	if err != nil {
		return "", fmt.Errorf("no topic could be made at %v: %w", a.c.SeedBrokers(), errors.Join(err, context.Cause(ctx)))
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		return "", err
	}
	return name, a.await(ctx, name, w.partitions)
}

// await waits until the broker that is asked knows the topic's partitions, which the
// controller has made.
func (a *admin) await(ctx context.Context, topic string, partitions int) error {
	for ctx.Err() == nil {
		r := kmsg.NewPtrMetadataRequest()
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &topic
		r.Topics = append(r.Topics, t)
		resp, err := r.RequestWith(ctx, a.c)
		if err == nil && resp.Topics[0].ErrorCode == 0 && len(resp.Topics[0].Partitions) == partitions {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("topic %s was made, and nobody knows it: %w", topic, ctx.Err())
}

// remove deletes a topic; the broker's disk should not fill up.
func (a *admin) remove(topic string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r := kmsg.NewPtrDeleteTopicsRequest()
	r.TimeoutMillis = 10_000
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = &topic
	r.Topics, r.TopicNames = append(r.Topics, t), []string{topic}
	if _, err := r.RequestWith(ctx, a.c); err != nil {
		fmt.Fprintf(os.Stderr, "kafka: topic %s stays: %v\n", topic, err)
	}
}

// startProfile begins a CPU profile in a file, if one is named.
func startProfile(name string) (stop func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

func round(x float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 3, 64), 64)
	return r
}
