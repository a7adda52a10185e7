package generate_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

func ExampleElements() {
	p := pipeline.New()
	orders := generate.Elements(p, func(n uint64) string { return fmt.Sprint("order ", n) },
		generate.Count(3), generate.Times(time.Unix(0, 0), time.Second))
	pipeline.ForEach(orders, func(_ context.Context, o string) error {
		fmt.Println(o)
		return nil
	})
	if _, err := local.Run(context.Background(), p, local.Config{Parallelism: 1}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// order 0
	// order 1
	// order 2
}
