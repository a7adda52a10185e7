package main

import (
	"context"
	"time"

	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

const (
	size     = 5 * time.Second // of windows
	disorder = time.Second     // by which clicks may come out of order
)

// click is what is in the topic clicks; its time is that of the record.
type click struct{ User, Page string }

var pages = []string{"/", "/things", "/things/lamp", "/things/chair", "/basket", "/thanks"}

// clickAt is click number n: the first pages are seen more often than the last.
func clickAt(n uint64) click {
	dice := n * 0x9e3779b97f4a7c15 >> 32
	return click{User: string(rune('a' + dice/64%26)), Page: pages[dice%36*(dice%36)/216]}
}

// count is what is in the topic counts.
type count struct {
	Page     string
	From, To time.Time
	Clicks   int64
}

// perPage is the whole job, but for where clicks come from and counts go to.
func perPage(clicks pipeline.PCollection[click]) pipeline.PCollection[count] {
	byPage := pipeline.KeyBy(clicks.Windowed(window.Fixed(size)), func(c click) string { return c.Page })
	counts := pipeline.Pairs(transforms.Count(byPage))
	return pipeline.ParDo(counts, func(_ *pipeline.DoFn, emit pipeline.Emit[count]) func(pipeline.Elem, pipeline.KV[string, int64]) error {
		return func(e pipeline.Elem, kv pipeline.KV[string, int64]) error {
			w := e.Window()
			emit(count{kv.Key, time.UnixMilli(w.Start).UTC(), time.UnixMilli(w.End).UTC(), kv.Value})
			return nil
		}
	})
}

func (k cluster) url(topic string) string { return "kafka://" + k.brokers + "/" + topic }

var (
	clickFormat = kafka.WithKey(kafka.JSON[click](), func(c click) string { return c.User })
	countFormat = kafka.WithKey(kafka.JSON[count](), func(c count) string { return c.Page })
	sixParts    = kafka.CreateTopic(6, -1, nil) // on as many brokers as they think right
)

func (k cluster) readClicks(p *pipeline.Pipeline, bounded bool) pipeline.PCollection[click] {
	opts := []kafka.ReadOption{kafka.Named("clicks"), kafka.OutOfOrder(2 * disorder), kafka.IdleAfter(2 * time.Second)}
	if bounded {
		opts = append(opts, kafka.Stop(kafka.Latest()))
	}
	return kafka.Read(p, k.url("clicks"), clickFormat, opts...)
}

func (k cluster) writeCounts(c pipeline.PCollection[count]) {
	opts := []kafka.WriteOption{kafka.Named("counts")}
	if k.durable {
		opts = append(opts, kafka.ExactlyOnce("millrace-example"))
	}
	kafka.Write(c, k.url("counts"), countFormat, opts...)
}

func (k cluster) readCounts(p *pipeline.Pipeline, opts ...kafka.ReadOption) pipeline.PCollection[count] {
	return kafka.Read(p, k.url("counts"), countFormat, opts...)
}

func (k cluster) writeClicks(c pipeline.PCollection[click]) {
	kafka.Write(c, k.url("clicks"), clickFormat)
}

// endless is clicks that are made while the job runs, at so many a second.
func endless(p *pipeline.Pipeline, rate float64) pipeline.PCollection[click] {
	return generate.Elements(p, clickAt, generate.Rate(rate), generate.OutOfOrder(disorder, 1))
}

// began is the time of the first click of those that are counted.
var began = time.Date(2026, 11, 24, 9, 0, 1, 0, time.UTC)

// every is the time between them.
const every = 10 * time.Millisecond

// fill writes n clicks.
func (k cluster) fill(n uint64) error {
	p := pipeline.New()
	k.writeClicks(generate.Elements(p, clickAt, generate.Count(n), generate.Times(began, every), generate.OutOfOrder(disorder, 1)))
	_, err := local.Run(context.Background(), p, local.Config{Parallelism: 1}) // several lanes would not keep to the disorder
	return err
}

// makeTopics makes the topics that are not there: sinks do, even if nothing is written.
func (k cluster) makeTopics() error {
	p := pipeline.New()
	kafka.Write(pipeline.Create[click](p), k.url("clicks"), clickFormat, sixParts)
	kafka.Write(pipeline.Create[count](p), k.url("counts"), countFormat, sixParts)
	_, err := local.Run(context.Background(), p, local.Config{Parallelism: 1})
	return err
}
