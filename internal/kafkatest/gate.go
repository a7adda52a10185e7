package kafkatest

import (
	"net"
	"sync"
)

// A gate is a listener that can be shut and opened again at its address, and whose
// connections can be held up. To who accepts from it, it is one listener all the time.
type gate struct {
	addr net.Addr

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	under   net.Listener // nil: stopped
	conns   map[*gatedConn]bool
	paused  bool
	closed  bool
}

func (g *gate) Addr() net.Addr { return g.addr }

func (g *gate) Accept() (net.Conn, error) {
	for {
		l := g.listener()
		if l == nil {
			return nil, net.ErrClosed
		}
		under, err := l.Accept()
		if err != nil {
			continue // it was shut: listener waits for the next one
		}
		if c := g.add(l, under); c != nil {
			return c, nil
		}
	}
}

// listener waits until there is one; nil if there will be none.
func (g *gate) listener() net.Listener {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.under == nil && !g.closed {
		g.changed.Wait()
	}
	return g.under
}

func (g *gate) add(l net.Listener, under net.Conn) net.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under != l {
		under.Close()
		return nil
	}
	c := &gatedConn{under, g}
	g.conns[c] = true
	return c
}

func (g *gate) Close() error {
	g.stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.changed.Broadcast()
	return nil
}

func (g *gate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under != nil {
		g.under.Close()
		g.under = nil
	}
	for c := range g.conns {
		c.Conn.Close()
	}
	clear(g.conns)
	g.paused = false
	g.changed.Broadcast()
}

func (g *gate) start() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under != nil {
		return nil
	}
	l, err := net.Listen("tcp", g.addr.String())
	if err != nil {
		return err
	}
	g.under = l
	g.changed.Broadcast()
	return nil
}

func (g *gate) pause(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = on
	g.changed.Broadcast()
}

// pass waits while the gate is paused.
func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.paused {
		g.changed.Wait()
	}
}

type gatedConn struct {
	net.Conn
	g *gate
}

func (c *gatedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.g.pass()
	return n, err
}

func (c *gatedConn) Write(p []byte) (int, error) {
	c.g.pass()
	return c.Conn.Write(p)
}

func (c *gatedConn) Close() error {
	c.g.mu.Lock()
	delete(c.g.conns, c)
	c.g.mu.Unlock()
	return c.Conn.Close()
}
