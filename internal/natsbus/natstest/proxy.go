// Package natstest has what tests of faults between processes and NATS need: a proxy
// that fails when it is told to, and servers in processes of their own that can be
// killed.
package natstest

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Proxy passes TCP connections on to one address.
type Proxy struct {
	listener net.Listener
	pumps    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	to     string
	moved  *sync.Cond // Cut, Hold, Refuse: whoever waits looks again
	conns  map[net.Conn]bool
	hold   [2]bool // by direction
	refuse bool
	trap   *trap
}

// The directions.
const (
	toServer = iota
	toClient
)

type trap struct {
	match   []byte
	swallow bool
	caught  chan struct{}
}

// NewProxy starts a proxy to an address, host and port. It lives as long as its test.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	p, err := OpenProxy("127.0.0.1:0", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// OpenProxy is NewProxy without a test, at an address of one's own: the caller has to
// Close the proxy.
func OpenProxy(listen, to string) (*Proxy, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	p := &Proxy{to: to, listener: l, conns: map[net.Conn]bool{}}
	p.moved = sync.NewCond(&p.mu)
	p.pumps.Go(p.accept)
	return p, nil
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	p.listener.Close()
	p.Refuse(true)
	p.pumps.Wait()
}

// Addr is where the proxy listens, host and port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Target leads new connections to another address.
func (p *Proxy) Target(to string) {
	p.mu.Lock()
	p.to = to
	p.mu.Unlock()
}

func (p *Proxy) target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.to
}

// Cut ends all connections, and whatever holds them up. New ones are welcome.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold, p.trap = [2]bool{}, nil
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
	p.moved.Broadcast()
}

// Refuse ends all connections, and new ones at once, until it is told otherwise.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	p.refuse = on
	p.mu.Unlock()
	if on {
		p.Cut()
	}
}

// Hold lets nothing pass any more, to the server, to the client or both, and closes
// nothing: a network that is gone. What was sent passes when the hold ends.
func (p *Proxy) Hold(server, client bool) {
	p.mu.Lock()
	p.hold = [2]bool{toServer: server, toClient: client}
	p.mu.Unlock()
	p.moved.Broadcast()
}

// Trap waits for the next bytes to the server that hold match. From then on nothing
// comes back until Cut or Hold, so that whoever sent them gets no answer; with swallow
// they don't reach the server either. caught is closed when it has happened.
func (p *Proxy) Trap(match string, swallow bool) (caught <-chan struct{}) {
	t := &trap{match: []byte(match), swallow: swallow, caught: make(chan struct{})}
	p.mu.Lock()
	p.trap = t
	p.mu.Unlock()
	return t.caught
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() {
			server, err := net.Dial("tcp", p.target())
			if err != nil || !p.add(client, server) {
				client.Close()
				if err == nil {
					server.Close()
				}
				return
			}
			p.pumps.Go(func() { p.pump(client, server, toServer) })
			p.pump(server, client, toClient)
		})
	}
}

// add remembers both ends of a connection, unless connections are refused.
func (p *Proxy) add(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse {
		return false
	}
	p.conns[client], p.conns[server] = true, true
	return true
}

// pump passes on what comes from one end, until one end is closed.
func (p *Proxy) pump(from, to net.Conn, direction int) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 64<<10)
	var tail []byte // the end of what has passed, for a match in two pieces
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if direction == toServer {
				tail = p.look(append(tail, buf[:n]...))
			}
			if !p.wait(from, direction) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// look springs the trap if it is what b has been waiting for, and returns the end of b.
func (p *Proxy) look(b []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.trap
	if t == nil {
		return b[:0]
	}
	if bytes.Contains(b, t.match) {
		p.trap = nil
		p.hold = [2]bool{toServer: t.swallow, toClient: true}
		close(t.caught)
		return b[:0]
	}
	return append(b[:0], b[max(0, len(b)-len(t.match)+1):]...)
}

// wait waits while the direction is held; false if the connection was cut meanwhile.
func (p *Proxy) wait(c net.Conn, direction int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hold[direction] && p.conns[c] {
		p.moved.Wait()
	}
	return p.conns[c]
}
