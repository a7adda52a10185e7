package client

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// A conn is a connection to a broker as kafka-go's Transport uses it. It looks at
// the first bytes that come before kafka-go parses them, because what answers may
// be no broker at all.
type conn struct {
	net.Conn
	broker *broker
	head   []byte      // what was looked at and not read yet
	looked bool        // owned by the one who reads
	used   atomic.Bool // a request of ours was sent: it is past the handshakes
}

// An addr leads from the connection that a RawExchanger is given, which is
// kafka-go's, to ours.
type addr struct {
	net.Addr
	conn *conn
}

func (c *conn) RemoteAddr() net.Addr { return addr{c.Conn.RemoteAddr(), c} }

// firstAnswerMax is more than a broker's list of versions ever takes.
const firstAnswerMax = 1 << 20

func (c *conn) Read(p []byte) (int, error) {
	if !c.looked {
		if err := c.look(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func (c *conn) look() error {
	c.head = make([]byte, 8)
	if _, err := io.ReadFull(c.Conn, c.head); err != nil {
		return err
	}
	if n := binary.BigEndian.Uint32(c.head); n < 4 || n > firstAnswerMax {
		return &strangerError{c.head}
	}
	c.looked = true
	c.broker.heard.Store(true)
	return nil
}

func (c *conn) Close() error {
	c.broker.forget(c)
	return c.Conn.Close()
}

// strangerError: what answered speaks another protocol.
type strangerError struct{ head []byte }

func (e *strangerError) Error() string {
	switch {
	case string(e.head[:4]) == "HTTP":
		return "an HTTP server answers there"
	case (e.head[0] == 0x15 || e.head[0] == 0x16) && e.head[1] == 3:
		return "it answers with TLS"
	}
	return fmt.Sprintf("what answers there is no Kafka broker: it begins with %q", e.head)
}

// tlsError: the handshake did not succeed.
type tlsError struct{ err error }

func (e *tlsError) Error() string { return "TLS: " + e.err.Error() }
func (e *tlsError) Unwrap() error { return e.err }

// dial connects for kafka-go, TLS included, so that our look at the first bytes
// lies above it.
func (b *broker) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4}}
	raw, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, broker: b}
	if !b.keep(c) {
		raw.Close()
		return nil, ErrClosed
	}
	if cfg := b.client.cfg.TLS; cfg != nil {
		if cfg.ServerName == "" {
			cfg = cfg.Clone()
			cfg.ServerName, _, _ = net.SplitHostPort(address)
		}
		t := tls.Client(raw, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, &tlsError{err}
		}
		c.Conn = t
	}
	return c, nil
}
