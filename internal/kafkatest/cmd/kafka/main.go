// Command kafka runs a real Apache Kafka in the foreground, on loopback and on free ports,
// to try things out with: `make kafka`, or `make kafka NODES=3`. It needs Java and, the
// first time, Maven. Its data is gone when it ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/millrace/millrace/internal/kafkatest"
)

func main() {
	nodes := flag.Int("nodes", 1, "how many brokers: 1 or 3")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Println("Starting Kafka; the first time it is fetched, which takes a while.")
	err := kafkatest.Serve(ctx, *nodes, func(addrs []string) {
		all := strings.Join(addrs, ",")
		fmt.Printf("Kafka listens on %s\nTry  go run ./examples/kafka -brokers %s\nCtrl-C ends it, and removes its data.\n", all, all)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
