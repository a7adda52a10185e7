// Package listen opens the same port again: what sources that are written to have
// in common.
package listen

import (
	"net"
	"sync"
)

// Again listens on one TCP address, time after time. Where the system was to choose
// the port (":0"), the first choice stays, so that senders find a source again after
// a restart. The zero value is ready; it may be used by several goroutines.
type Again struct {
	mu   sync.Mutex // guards port
	port string     // "": none was chosen yet
}

// Listen opens address, a host and a port.
func (a *Again) Listen(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	if a.port != "" {
		port = a.port
	}
	a.mu.Unlock()
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	_, port, err = net.SplitHostPort(l.Addr().String())
	a.mu.Lock()
	a.port = port
	a.mu.Unlock()
	return l, err
}
