package main

import (
	"context"
	"os"
	"strings"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// sizes is the format of values of which only the size is looked at.
var sizes = kafka.Format[int]{Name: "sizes", Decode: func(r *kafka.Record) (int, error) { return len(r.Value), nil }}

func (w work) url() string {
	return "kafka://" + strings.Join(w.brokers, ",") + "/" + w.topic
}

// padded keeps what lanes write apart from each other.
type padded struct {
	n int64
	_ [120]byte
}

func readMillrace(ctx context.Context, w work) (sum int64, err error) {
	lanes := make([]padded, w.lanes)
	p := pipeline.New()
	pipeline.ForEachLane(kafka.Read(p, w.url(), sizes, kafka.Stop(kafka.Latest())), func(lane int) func(int) {
		return func(n int) { lanes[lane].n += int64(n) }
	})
	_, err = local.Run(ctx, p, local.Config{Parallelism: w.lanes})
	for _, l := range lanes {
		sum += l.n
	}
	return sum, err
}

func writeMillrace(ctx context.Context, w work) (int64, error) {
	return w.write(ctx, local.Config{Parallelism: w.lanes})
}

func transactMillrace(ctx context.Context, w work) (int64, error) {
	dir, err := os.MkdirTemp("", "kafka-*")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	return w.write(ctx, local.Config{Parallelism: w.lanes, StateDir: dir, Checkpoint: w.every}, kafka.ExactlyOnce("bench-"+w.topic))
}

func (w work) write(ctx context.Context, cfg local.Config, opts ...kafka.WriteOption) (int64, error) {
	lanes := make([]padded, w.lanes)
	from := newPayloads(w.size)
	p := pipeline.New()
	numbers := pipeline.GenerateSequence(p, uint64(w.records))
	values := pipeline.Map(numbers, func(i uint64) []byte { return from.value(int(i), w.size) })
	pipeline.ForEachLane(values, func(lane int) func([]byte) {
		return func(v []byte) { lanes[lane].n += int64(len(v)) }
	})
	kafka.Write(values, w.url(), kafka.Bytes(), append(opts, kafka.Compression(w.codec), kafka.BatchBytes(1_000_000))...)
	if _, err := local.Run(ctx, p, cfg); err != nil {
		return 0, err
	}
	var sum int64
	for _, l := range lanes {
		sum += l.n
	}
	return sum, nil
}
