package natsbus

import (
	"net"
	"slices"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
)

// inProcess connects to a server in this process. The first two writes of a connection don't
// wait: they are who we are and a ping, and a server that refuses us says so without reading
// all of that, while neither side of a pipe without a buffer would go on.
type inProcess struct{ *server.Server }

func (i inProcess) InProcessConn() (net.Conn, error) {
	c, err := i.Server.InProcessConn()
	if err != nil {
		return nil, err
	}
	return &eager{Conn: c, writes: make(chan []byte, eagerWrites), done: make(chan struct{}), closed: make(chan struct{})}, nil
}

const eagerWrites = 2

// eager is a connection whose first writes don't wait. One goroutine at a time writes.
type eager struct {
	net.Conn
	writes chan []byte
	n      int           // how many have been handed over
	done   chan struct{} // closed when they are written
	err    error         // of these; read after done
	closed chan struct{}
	once   sync.Once // closes closed
}

func (e *eager) Write(p []byte) (int, error) {
	if e.n == eagerWrites {
		if <-e.done; e.err != nil {
			return 0, e.err
		}
		return e.Conn.Write(p)
	}
	if e.n == 0 {
		go e.begin()
	}
	e.n++
	e.writes <- slices.Clone(p)
	return len(p), nil
}

func (e *eager) begin() {
	defer close(e.done)
	for range eagerWrites {
		select {
		case b := <-e.writes:
			if e.err == nil {
				_, e.err = e.Conn.Write(b)
			}
		case <-e.closed:
			e.err = net.ErrClosed
			return
		}
	}
}

// Close implements net.Conn.
func (e *eager) Close() error {
	err := e.Conn.Close()
	e.once.Do(func() { close(e.closed) })
	return err
}
