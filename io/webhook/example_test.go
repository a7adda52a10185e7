package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/millrace/millrace/io/webhook"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

func ExampleLines() {
	ctx, enough := context.WithCancel(context.Background())
	p := pipeline.New()
	events := webhook.Lines(p, "127.0.0.1:0", webhook.OnListen(func(addr net.Addr) {
		go func() {
			resp, err := http.Post("http://"+addr.String(), "application/x-ndjson", strings.NewReader("{\"id\":1}\n{\"id\":2}\n"))
			if err != nil {
				log.Fatal(err)
			}
			resp.Body.Close()
		}()
	}))
	pipeline.ForEach(events, func(_ context.Context, line string) error {
		fmt.Println(line)
		if line == `{"id":2}` {
			enough() // it would go on for ever
		}
		return nil
	})
	if _, err := local.Run(ctx, p, local.Config{Parallelism: 1}); !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
	// Output:
	// {"id":1}
	// {"id":2}
}
