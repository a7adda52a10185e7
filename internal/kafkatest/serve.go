package kafkatest

import (
	"context"
	"fmt"
	"os"
)

// Serve runs a cluster of Apache Kafka until ctx ends: for a person, not for a test. When
// it serves clients it calls ready with its addresses. A node that ends by itself is an
// error. Its data is gone when Serve returns.
func Serve(ctx context.Context, nodes int, ready func(addrs []string)) error {
	if nodes != 1 && nodes != 3 {
		return fmt.Errorf("a cluster of %d nodes: have one or three", nodes)
	}
	f, err := launchInstalled(nodes)
	if err != nil {
		return err
	}
	defer f.close()
	ready(f.addrs())
	ended := make(chan *node, nodes)
	for _, n := range f.nodes {
		gone := n.gone
		go func() {
			<-gone
			ended <- n
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case n := <-ended:
		log, _ := os.ReadFile(n.logPath())
		return fmt.Errorf("node %d ended:\n%s", n.id, tail(log, 25))
	}
}
