package socket

import (
	"net"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// Option configures [Lines] and [Listen].
type Option func(*config)

type config struct {
	address     string
	listens     bool
	maxLine     int
	buffer      int
	first, most time.Duration
	conns       int
	onListen    func(net.Addr)
}

// MaxLine is how long a line may be, in bytes; default 1 MiB. A connection that
// brings a longer one is closed, which is logged.
func MaxLine(n int) Option { return func(c *config) { c.maxLine = n } }

// Buffer is how many lines may wait to be read; default 1,000. When they do, nothing
// more is read from the network, and TCP holds the senders up.
func Buffer(lines int) Option { return func(c *config) { c.buffer = lines } }

// Backoff is how long [Lines] waits before it connects again: first, doubled with
// each try up to most; default 100 ms and 30 s. A line that came begins it anew.
func Backoff(first, most time.Duration) Option {
	return func(c *config) { c.first, c.most = first, most }
}

// MaxConnections is how many connections [Listen] has at a time; default 1,000.
// Others are closed at once, which is logged.
func MaxConnections(n int) Option { return func(c *config) { c.conns = n } }

// OnListen is told the address whenever [Listen] has begun: with the port, which the
// system chooses for ":0". After a restart within a run it is the same port.
func OnListen(f func(net.Addr)) Option { return func(c *config) { c.onListen = f } }

// Lines is the lines that the server at address sends, as "localhost:9000", without
// their ends (\n or \r\n). It never ends: when the connection breaks or cannot be
// made it is tried again, which is logged. A line whose end has not come when the
// connection ends is dropped. Lines have no event time.
func Lines(p *pipeline.Pipeline, address string, opts ...Option) pipeline.PCollection[string] {
	return add(p, "socket.Lines", address, false, opts)
}

// Listen is [Lines] of all who connect to address, as "localhost:9000" or ":0". Lines of
// one connection keep their order until the first shuffle.
func Listen(p *pipeline.Pipeline, address string, opts ...Option) pipeline.PCollection[string] {
	return add(p, "socket.Listen", address, true, opts)
}

func add(p *pipeline.Pipeline, kind, address string, listens bool, opts []Option) pipeline.PCollection[string] {
	c := config{address: address, listens: listens, maxLine: 1 << 20, buffer: 1000, first: 100 * time.Millisecond, most: 30 * time.Second, conns: 1000}
	for _, o := range opts {
		o(&c)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		pipeline.Fail(p, "%s: %q: want an address as localhost:9000: %w", kind, address, err)
	}
	switch {
	case c.maxLine < 1 || c.buffer < 1 || c.conns < 1:
		pipeline.Fail(p, "%s: MaxLine, Buffer and MaxConnections want positive values", kind)
	case c.first <= 0 || c.most < c.first:
		pipeline.Fail(p, "%s: Backoff(%v, %v): want a positive time, and one that is not shorter", kind, c.first, c.most)
	}
	return pipeline.Read[string](p, kind, &source{c})
}
