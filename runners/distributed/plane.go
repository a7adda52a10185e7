package distributed

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/millrace/millrace/internal/cluster"
	protocol "github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/natsbus"
)

// plane is what data between slots goes over: in a worker of a job that wants it directly,
// direct, otherwise NATS.
type plane struct {
	bus    *natsbus.Bus
	direct *natsbus.Direct // nil: NATS
}

// openPlane opens what the job wants. Of a worker that was started by another process, number
// is its number.
func (c *config) openPlane(bus *natsbus.Bus, number int) (*plane, error) {
	if !c.direct {
		return &plane{bus: bus}, nil
	}
	cfg := natsbus.DirectConfig{Job: c.job, Token: c.token, Host: bus.LocalHost(), Encrypt: c.encrypted, Unreached: func(addr string, err error) {
		fmt.Fprintf(os.Stderr, "the worker at %s is not reached, and what it is to get waits: %v; with -plane=direct workers have to reach each other, at the addresses that they give by -plane-listen\n", addr, err)
	}}
	if c.planeListen != "" {
		host, port, _ := net.SplitHostPort(c.planeListen) // it was looked at
		cfg.Host = host
		if n, _ := strconv.Atoi(port); n > 0 {
			cfg.Port = n + number
		}
	}
	d, err := natsbus.ListenDirect(cfg)
	if err != nil {
		return nil, err
	}
	return &plane{bus, d}, nil
}

// of is the plane as slots use it.
func (p *plane) of() protocol.Plane {
	if p.direct != nil {
		return p.direct
	}
	return p.bus.Plane()
}

// address is where others reach this worker, "" where that is over NATS.
func (p *plane) address() string {
	if p.direct == nil {
		return ""
	}
	return p.direct.Addr()
}

// follow lets data go where slots are.
func (p *plane) follow(r *cluster.Roster) {
	if p.direct == nil {
		return
	}
	for slot := range r.Slots {
		p.direct.Route(slot, r.Addresses(slot)...)
	}
}

// close ends connections; slots have to be closed before.
func (p *plane) close() {
	if p.direct != nil {
		p.direct.Close()
	}
}
