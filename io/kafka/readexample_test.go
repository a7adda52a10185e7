package kafka_test

import (
	"context"
	"fmt"
	"log"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// The orders that are there are read, and those that are none are set aside.
func ExampleReadWithBad() {
	brokers, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
	if err != nil {
		log.Fatal(err)
	}
	defer brokers.Close()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers.ListenAddrs()...), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(context.Background(), kgo.StringRecord(`{"item":"tea","n":2}`), kgo.StringRecord("?")).FirstErr(); err != nil {
		log.Fatal(err)
	}

	type order struct {
		Item string `json:"item"`
		N    int    `json:"n"`
	}
	p := pipeline.New()
	orders, bad := kafka.ReadWithBad(p, "kafka://"+brokers.ListenAddrs()[0]+"/orders?stop=latest", kafka.JSON[order]())
	pipeline.ForEach(orders, func(_ context.Context, o order) error {
		fmt.Println(o.N, "of", o.Item)
		return nil
	})
	pipeline.ForEach(bad, func(_ context.Context, b kafka.BadRecord) error {
		fmt.Printf("bad: %s/%d:%d: %q\n", b.Topic, b.Partition, b.Offset, b.Value)
		return nil
	})
	if _, err := local.Run(context.Background(), p, local.Config{Parallelism: 1}); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// 2 of tea
	// bad: orders/0:1: "?"
}
