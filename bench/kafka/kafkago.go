package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
)

// readKafkaGo has a Reader for each partition, which reads until the partition's end.
func readKafkaGo(ctx context.Context, w work) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sum, n atomic.Int64
	var wg sync.WaitGroup
	for p := range w.partitions {
		r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: w.brokers, Topic: w.topic, Partition: p, MinBytes: 1, MaxBytes: 4 << 20, QueueCapacity: 10_000, ReadLagInterval: -1})
		wg.Go(func() {
			defer r.Close()
			for n.Load() < int64(w.records) {
				m, err := r.ReadMessage(ctx)
				if err != nil {
					if n.Load() < int64(w.records) {
						cancel(err)
					}
					return
				}
				sum.Add(int64(len(m.Value)))
				if n.Add(1) == int64(w.records) {
					cancel(nil)
				}
			}
		})
	}
	wg.Wait()
	if n.Load() < int64(w.records) {
		return 0, context.Cause(ctx)
	}
	return sum.Load(), nil
}

// writeKafkaGo writes with a Writer, which is not idempotent.
func writeKafkaGo(ctx context.Context, w work) (sum int64, err error) {
	codecs := map[string]kafkago.Compression{"gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd}
	writer := &kafkago.Writer{Addr: kafkago.TCP(w.brokers...), Topic: w.topic, RequiredAcks: kafkago.RequireAll, BatchSize: 10_000, BatchBytes: 1 << 20,
		BatchTimeout: 5 * time.Millisecond, Compression: codecs[w.codec]}
	defer writer.Close()
	from := newPayloads(w.size)
	messages := make([]kafkago.Message, 0, 40_000)
	for i := range w.records {
		v := from.value(i, w.size)
		sum += int64(len(v))
		messages = append(messages, kafkago.Message{Value: v})
		if len(messages) == cap(messages) || i == w.records-1 {
			if err := writer.WriteMessages(ctx, messages...); err != nil {
				return 0, err
			}
			messages = messages[:0]
		}
	}
	return sum, nil
}
