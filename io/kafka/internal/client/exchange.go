package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// A request is one frame to send, and where its answer goes.
type request struct {
	api     api
	version int16
	body    *writer
	tail    [][]byte // follows body; not copied if large
	buf     *[]byte  // the answer goes here if it fits; else what was allocated for it is put here. nil is allowed
	expect  int      // bytes that may be allocated for the answer at once
	silent  bool     // there is no answer: acks=0
}

// An exchange is a request on its way. kafka-go hands it a connection.
//
// Invariant: after give up or wait returned, buf is the caller's again.
type exchange struct {
	request
	ctx      context.Context
	clientID string
	id       int32

	state  atomic.Int32  // waiting, running or givenUp
	done   chan struct{} // closed when running ended; then answer and err are set
	answer []byte
	err    error
	sent   atomic.Bool // the broker may have the whole request
}

const (
	waiting = iota
	running
	givenUp
)

var errGivenUp = errors.New("the request was given up")

func (x *exchange) ApiKey() protocol.ApiKey                 { return protocol.ApiKey(x.api.key) }
func (x *exchange) Required(map[protocol.ApiKey]int16) bool { return true }
func (x *exchange) flex() bool                              { return x.version >= x.api.flex }

// RawExchange sends the request on rw and reads the answer. An error closes rw.
func (x *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if !x.state.CompareAndSwap(waiting, running) {
		return nil, errGivenUp
	}
	defer close(x.done)
	c, ok := rw.(net.Conn)
	if !ok {
		x.err = errors.New("BUG: kafka client: the connection is not a net.Conn")
		return nil, x.err
	}
	if a, ok := c.RemoteAddr().(addr); ok {
		a.conn.used.Store(true)
	}
	// Ends a read that waits, or a write, when the caller has gone.
	stop := context.AfterFunc(x.ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	x.answer, x.err = x.run(c)
	if !stop() && x.err == nil {
		return nil, errGivenUp // the answer is good, but the deadline stays on this connection
	}
	if x.err != nil {
		return nil, x.err
	}
	return x, nil
}

// settle waits until the exchange is over or can't begin any more, which is soon
// once ctx has ended.
func (x *exchange) settle() {
	if !x.state.CompareAndSwap(waiting, givenUp) {
		<-x.done
	}
}

func (x *exchange) run(rw io.ReadWriter) ([]byte, error) {
	if err := x.send(rw); err != nil {
		return nil, err
	}
	if x.silent {
		return nil, nil
	}
	return x.receive(rw)
}

// writeAlone is how large a piece must be to be written by itself.
const writeAlone = 32 << 10

func (x *exchange) send(w io.Writer) error {
	n := 2 + 2 + 4 + 2 + len(x.clientID) + len(x.body.b)
	if x.flex() {
		n++
	}
	small := n + 4
	for _, t := range x.tail {
		n += len(t)
		if len(t) < writeAlone {
			small += len(t)
		}
	}
	h := writer{b: make([]byte, 0, small)}
	h.int32(int32(n))
	h.int16(x.api.key)
	h.int16(x.version)
	h.int32(x.id)
	h.string(x.clientID)
	if x.flex() {
		h.int8(0)
	}
	out := append(h.b, x.body.b...)
	for _, t := range x.tail {
		if len(t) < writeAlone {
			out = append(out, t...)
			continue
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
		out = out[:0]
		x.sent.Store(true) // the rest may get there although Write says it did not
		if _, err := w.Write(t); err != nil {
			return err
		}
	}
	x.sent.Store(true)
	_, err := w.Write(out)
	return err
}

// answerMax is the largest answer that is taken for one.
const answerMax = 1 << 30

func (x *exchange) receive(rd io.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(rd, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:])) - 4
	if n < 0 || n > answerMax {
		return nil, fmt.Errorf("%w: it says it has %d bytes", errCorrupt, n)
	}
	if id := int32(binary.BigEndian.Uint32(head[4:])); id != x.id {
		return nil, fmt.Errorf("%w: it is for request %d instead of %d", errCorrupt, id, x.id)
	}
	var buf []byte
	if x.buf != nil {
		buf = *x.buf
	}
	b, err := readN(rd, n, buf, x.expect)
	if err != nil {
		return nil, err
	}
	if x.buf != nil {
		*x.buf = b
	}
	if !x.flex() {
		return b, nil
	}
	r := reader{b: b, flex: true}
	r.tags()
	return r.b, r.err
}

// readN reads n bytes, into buf if they fit. It allocates at most max(expect, 1 MiB)
// before the bytes are there: n may be a lie.
func readN(rd io.Reader, n int, buf []byte, expect int) ([]byte, error) {
	if cap(buf) >= n {
		_, err := io.ReadFull(rd, buf[:n])
		return buf[:n], err
	}
	b := make([]byte, min(n, max(expect, 1<<20)))
	if _, err := io.ReadFull(rd, b); err != nil {
		return nil, err
	}
	for len(b) < n {
		have := len(b)
		grown := make([]byte, min(n, 2*have))
		copy(grown, b)
		if _, err := io.ReadFull(rd, grown[have:]); err != nil {
			return nil, err
		}
		b = grown
	}
	return b, nil
}
