package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	kafka "github.com/segmentio/kafka-go"
)

// A broker is one address, with the Transport that leads there. The Transport is
// told of no other broker, and its own requests for metadata, which name no topics,
// are of no use to us: they are as rare as can be.
type broker struct {
	client *Client
	addr   string
	t      *kafka.Transport

	heard  atomic.Bool // a connection got a broker's first answer
	served atomic.Bool // a request other than for versions was answered

	mu     sync.Mutex // guards what follows
	closed bool
	conns  map[*conn]struct{}
	have   versions
	until  [classes]time.Time // throttled
}

func newBroker(c *Client, address string) *broker {
	b := &broker{client: c, addr: address, conns: map[*conn]struct{}{}}
	b.t = &kafka.Transport{
		Dial:           b.dial,
		DialTimeout:    c.cfg.DialTimeout,
		IdleTimeout:    time.Minute,
		MetadataTTL:    time.Hour,
		MetadataTopics: []string{}, // none; nil would be all of them
		ClientID:       c.cfg.ClientID,
		SASL:           c.cfg.SASL,
	}
	return b
}

func (b *broker) keep(c *conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.conns[c] = struct{}{}
	return true
}

func (b *broker) forget(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
}

// retire closes what is not in use.
func (b *broker) retire() {
	b.mu.Lock()
	b.have = nil
	b.mu.Unlock()
	b.t.CloseIdleConnections()
}

func (b *broker) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cut(func(*conn) bool { return true })
	b.t.CloseIdleConnections()
}

// cut closes the connections that which names, busy or not.
func (b *broker) cut(which func(*conn) bool) {
	b.mu.Lock()
	var cs []*conn
	for c := range b.conns {
		if which(c) {
			cs = append(cs, c)
		}
	}
	b.mu.Unlock()
	for _, c := range cs {
		c.Close()
	}
}

// call sends body, which build writes for the version that is picked, and returns
// the answer. It waits while the broker throttles this class of requests.
func (b *broker) call(ctx context.Context, a api, build func(w *writer, version int16)) (reader, int16, error) {
	v, err := b.version(ctx, a)
	if err != nil {
		return reader{}, 0, err
	}
	w := writer{flex: v >= a.flex}
	build(&w, v)
	answer, err := b.exchange(ctx, request{api: a, version: v, body: &w})
	return reader{b: answer, flex: w.flex}, v, err
}

// exchange sends req and returns the body of the answer. Errors are *Error or
// ErrClosed.
func (b *broker) exchange(ctx context.Context, req request) ([]byte, error) {
	if err := b.wait(ctx, req.api); err != nil {
		return nil, err
	}
	x := &exchange{request: req, ctx: ctx, clientID: b.client.cfg.ClientID, id: b.client.nextID.Add(1), done: make(chan struct{})}
	_, err := b.t.RoundTrip(ctx, kafka.TCP(b.addr), x)
	x.settle()
	if x.state.Load() == running {
		if x.err == nil {
			if req.api.key != apiVersions.key {
				b.served.Store(true)
			}
			return x.answer, nil
		}
		err = x.err
	}
	return nil, b.failed(ctx, req.api, err, x.sent.Load())
}

// failed makes an error of what ended an exchange.
func (b *broker) failed(ctx context.Context, a api, err error, sent bool) error {
	if b.client.isClosed() {
		return ErrClosed
	}
	if cause := ctx.Err(); cause != nil {
		var detail string
		if errors.Is(cause, context.DeadlineExceeded) {
			// A handshake that hangs would hang for the next one, too.
			b.cut(func(c *conn) bool { return !c.used.Load() })
			detail = b.silent()
		}
		return &Error{Code: CodeNetwork, Op: a.name, Partition: -1, Broker: b.addr, Err: cause, Detail: detail, unknown: sent}
	}
	return b.lost(a, err, sent)
}

// lost is an exchange that the connection did not survive. Others to the same
// broker that are idle are likely as dead.
func (b *broker) lost(a api, err error, sent bool) error {
	b.retire()
	if ke, ok := errors.AsType[kafka.Error](err); ok { // of kafka-go's handshakes
		return &Error{Code: int16(ke), Op: "authenticate", Partition: -1, Broker: b.addr, Err: authCause(err, ke)}
	}
	return &Error{Code: CodeNetwork, Op: a.name, Partition: -1, Broker: b.addr, Err: err, Detail: b.hint(err), unknown: sent}
}

// closedByPeer says that the other side ended the connection.
func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// wait holds a request back while the broker throttles its class.
func (b *broker) wait(ctx context.Context, a api) error {
	b.mu.Lock()
	d := time.Until(b.until[a.class])
	b.mu.Unlock()
	if d <= 0 {
		return nil
	}
	if err := b.client.sleep(ctx, d); err != nil {
		return &Error{Code: CodeNetwork, Op: a.name, Partition: -1, Broker: b.addr, Err: err, Detail: "the broker throttles this client"}
	}
	return nil
}

// throttle is told what each answer says.
func (b *broker) throttle(a api, ms int32) {
	if ms <= 0 {
		return
	}
	until := time.Now().Add(time.Duration(ms) * time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	if until.After(b.until[a.class]) {
		b.until[a.class] = until
	}
}
