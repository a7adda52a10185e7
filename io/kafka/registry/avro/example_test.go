package avro_test

import (
	"fmt"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/io/kafka/registry"
	"github.com/millrace/millrace/io/kafka/registry/avro"
	"github.com/millrace/millrace/pipeline"
)

func Example() {
	type Order struct {
		ID    string `avro:"id"`
		Cents int64  `avro:"cents"`
	}
	const url = "https://user:password@registry.example.com"

	p := pipeline.New()
	orders := kafka.Read(p, "kafka://localhost:9092/orders?stop=latest", avro.Format[Order](url))
	large := pipeline.Filter(orders, func(o Order) bool { return o.Cents > 100_00 })
	kafka.Write(large, "kafka://localhost:9092/large", avro.Format[Order](url, registry.Register()))
	fmt.Println(p.Err())
	// Output: <nil>
}
