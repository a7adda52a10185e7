package socket_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"github.com/millrace/millrace/io/socket"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

func ExampleListen() {
	ctx, enough := context.WithCancel(context.Background())
	p := pipeline.New()
	lines := socket.Listen(p, "127.0.0.1:0", socket.OnListen(func(addr net.Addr) {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(conn, "hello\nworld\n")
		conn.Close()
	}))
	pipeline.ForEach(lines, func(_ context.Context, line string) error {
		fmt.Println(line)
		if line == "world" {
			enough() // it would go on for ever
		}
		return nil
	})
	if _, err := local.Run(ctx, p, local.Config{Parallelism: 1}); !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
	// Output:
	// hello
	// world
}
