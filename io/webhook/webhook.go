package webhook

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// Option configures [Receive], [Bodies] and [Lines].
type Option func(*config)

type config struct {
	address  string
	path     string // "": any
	maxBody  int64
	buffer   int
	retry    time.Duration
	after    bool
	patience time.Duration
	onListen func(net.Addr)
}

// Path takes only requests for that path; others get 404. Default: any path.
func Path(path string) Option { return func(c *config) { c.path = path } }

// MaxBody is how long a body may be, in bytes; default 1 MiB. A longer one gets 413.
func MaxBody(n int64) Option { return func(c *config) { c.maxBody = n } }

// Buffer is how many elements may wait to be read, with [AfterSnapshot] also for
// their snapshot; default 10,000. A request that does not fit gets 429, and 413 if it
// never would.
func Buffer(elements int) Option { return func(c *config) { c.buffer = elements } }

// RetryAfter is when senders who were turned away are told to come again; default
// 1 s, whole seconds.
func RetryAfter(d time.Duration) Option { return func(c *config) { c.retry = d } }

// AfterSnapshot answers with 200 when a snapshot holds the effects of the request's
// elements, or with 503 when that takes longer than patience: then the sender does
// not know, and has to send them again.
func AfterSnapshot(patience time.Duration) Option {
	return func(c *config) { c.after, c.patience = true, patience }
}

// OnListen is told the address, whenever the server has begun: with the port, which
// the system chooses for ":0". After a restart within a run it is the same port.
func OnListen(f func(net.Addr)) Option { return func(c *config) { c.onListen = f } }

// Receive is what parse makes of the bodies that are POSTed to address, as
// "localhost:8080" or ":0". It never ends. An error of parse is answered with 400 and
// its text. parse is called on several goroutines at once; the body is its own, the
// request's Body has been read.
//
// One lane reads; put pipeline.Reshuffle behind it where work is heavy. Elements have
// no event time.
func Receive[T any](p *pipeline.Pipeline, address string, parse func(r *http.Request, body []byte) ([]T, error), opts ...Option) pipeline.PCollection[T] {
	return add(p, "webhook.Receive", address, parse, opts)
}

// Bodies is the bodies, each one element.
func Bodies(p *pipeline.Pipeline, address string, opts ...Option) pipeline.PCollection[[]byte] {
	return add(p, "webhook.Bodies", address, func(_ *http.Request, body []byte) ([][]byte, error) {
		return [][]byte{body}, nil
	}, opts)
}

// Lines is the lines of the bodies, as of NDJSON, without their ends; empty lines are
// passed over.
func Lines(p *pipeline.Pipeline, address string, opts ...Option) pipeline.PCollection[string] {
	return add(p, "webhook.Lines", address, func(_ *http.Request, body []byte) (lines []string, _ error) {
		for line := range bytes.Lines(body) {
			if s := strings.TrimRight(string(line), "\r\n"); s != "" {
				lines = append(lines, s)
			}
		}
		return lines, nil
	}, opts)
}

func add[T any](p *pipeline.Pipeline, kind, address string, parse func(*http.Request, []byte) ([]T, error), opts []Option) pipeline.PCollection[T] {
	c := config{address: address, maxBody: 1 << 20, buffer: 10_000, retry: time.Second}
	for _, o := range opts {
		o(&c)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		pipeline.Fail(p, "%s: %q: want an address as localhost:8080 or :0: %w", kind, address, err)
	}
	switch {
	case parse == nil:
		pipeline.Fail(p, "%s: the function is nil", kind)
	case c.maxBody < 1 || c.buffer < 1 || c.retry <= 0:
		pipeline.Fail(p, "%s: MaxBody, Buffer and RetryAfter want positive values", kind)
	case c.after && c.patience <= 0:
		pipeline.Fail(p, "%s: AfterSnapshot(%v): want a positive time", kind, c.patience)
	case c.path != "" && c.path[0] != '/':
		pipeline.Fail(p, "%s: Path(%q): want a path that begins with /", kind, c.path)
	}
	return pipeline.Read[T](p, kind, &source[T]{c, parse})
}
