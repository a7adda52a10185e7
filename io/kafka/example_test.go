package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
)

// A format of one's own: eight bytes, with the unit in a header.
func ExampleFormat() {
	type reading struct {
		Value uint64
		Unit  string
	}
	readings := kafka.Format[reading]{
		Name: "reading",
		Decode: func(r *kafka.Record) (v reading, err error) {
			if len(r.Value) != 8 {
				return v, errors.New("want 8 bytes")
			}
			v.Value = binary.BigEndian.Uint64(r.Value)
			for _, h := range r.Headers {
				if h.Key == "unit" {
					v.Unit = string(h.Value)
				}
			}
			return v, nil
		},
		Encode: func(v reading, r *kafka.Record) error {
			r.Value = binary.BigEndian.AppendUint64(r.Value, v.Value)
			r.Headers = append(r.Headers, kafka.Header{Key: "unit", Value: []byte(v.Unit)})
			return nil
		},
	}
	var r kafka.Record
	err := readings.Encode(reading{7, "km"}, &r)
	fmt.Println(r.Value, err)
	v, err := readings.Decode(&r)
	fmt.Println(v, err)
	// Output:
	// [0 0 0 0 0 0 0 7] <nil>
	// {7 km} <nil>
}

func ExampleKeyValue() {
	type Order struct{ Cents int }
	p := pipeline.New()
	orders := kafka.Read(p, "kafka://localhost:9092/orders?stop=latest", kafka.KeyValue(kafka.String(), kafka.JSON[Order]()))
	pipeline.ForEach(orders, func(_ context.Context, kv pipeline.KV[string, Order]) error {
		fmt.Println(kv.Key, kv.Value.Cents)
		return nil
	})
	fmt.Println(p.Err())
	// Output: <nil>
}

func ExampleWriteBad() {
	type Order struct{ Cents int }
	p := pipeline.New()
	orders, bad := kafka.ReadWithBad(p, "kafka://localhost:9092/orders", kafka.JSON[Order]())
	kafka.WriteBad(bad, "kafka://localhost:9092/letters", kafka.CreateTopic(-1, -1, nil))
	kafka.Write(orders, "kafka://localhost:9092/good", kafka.WithKey(kafka.JSON[Order](), func(o Order) string { return fmt.Sprint(o.Cents) }))
	fmt.Println(p.Err())
	// Output: <nil>
}
