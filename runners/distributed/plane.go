package distributed

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/frame"
	protocol "github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/natsbus"
)

// What data between slots goes over.
const (
	overNATS   = "nats"   // the job's servers
	overDirect = "direct" // connections from worker to worker
	overMesh   = "mesh"   // servers in the workers, and routes between them
	overLog    = "log"    // the same as nats, and what goes over it is kept until it is taken in
)

// plane is what data between slots goes over, in one worker. At most one of direct and routed
// is there; with neither it is the job's NATS.
type plane struct {
	bus    *natsbus.Bus
	direct *natsbus.Direct
	routed *natsbus.Routed
	frames *frame.Pool // of all slots here, and of direct
}

// openPlane opens what the job wants, in the worker of that ID. Of one that was started by
// another process, number is its number.
func (c *config) openPlane(ctx context.Context, bus *natsbus.Bus, worker string, number int) (_ *plane, err error) {
	host, port := bus.LocalHost(), 0
	if c.planeListen != "" {
		h, p, _ := net.SplitHostPort(c.planeListen) // it was looked at
		host = h
		if n, _ := strconv.Atoi(p); n > 0 {
			port = n + number
		}
	}
	unreached := func(addr string, err error) {
		fmt.Fprintf(os.Stderr, "the worker at %s is not reached, and what it is to get goes over the job's NATS until it is: %v; with -plane=%s workers have to reach each other, at the addresses that they give by -plane-listen\n", addr, err, c.plane)
	}
	p := &plane{bus: bus, frames: &frame.Pool{}}
	switch c.plane {
	case overDirect:
		p.direct, err = natsbus.ListenDirect(natsbus.DirectConfig{Job: c.job, Token: c.token, Host: host, Port: port, Encrypt: c.encrypted, Frames: p.frames, Unreached: unreached, Instead: bus.Plane()})
	case overMesh:
		p.routed, err = natsbus.ListenRouted(ctx, natsbus.RoutedConfig{Job: c.job, Token: c.token, Name: worker, Host: host, Port: port, Encrypt: c.encrypted, Unreached: unreached, Instead: bus.Plane()})
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// of is the plane as slots use it.
func (p *plane) of() protocol.Plane {
	switch {
	case p.direct != nil:
		return p.direct
	case p.routed != nil:
		return p.routed
	}
	return p.bus.Plane()
}

// address is where others reach this worker, "" where that is over the job's NATS.
func (p *plane) address() string {
	switch {
	case p.direct != nil:
		return p.direct.Addr()
	case p.routed != nil:
		return p.routed.Addr()
	}
	return ""
}

// follow lets data go where slots are.
func (p *plane) follow(r *cluster.Roster) {
	switch {
	case p.direct != nil:
		for slot := range r.Slots {
			p.direct.Route(slot, r.Addresses(slot)...)
		}
	case p.routed != nil:
		at := map[string]string{}
		for _, m := range r.Workers {
			if m.Address != "" {
				at[m.Worker] = m.Address
			}
		}
		p.routed.Peers(at)
		for slot := range r.Slots {
			p.routed.Route(slot, r.Addresses(slot)...)
		}
	}
}

// close ends connections; slots have to be closed before.
func (p *plane) close() {
	if p.direct != nil {
		p.direct.Close()
	}
	if p.routed != nil {
		p.routed.Close()
	}
}
