package natsbus

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Plane carries frames from slot to slot. They may be lost, doubled and reordered.
type Plane interface {
	// Send hands a frame over; it is the caller's again when Send returns, but for one that
	// the plane holds in its pool (see [DirectConfig]). An error means
	// that the frame can never be sent: it is too long, or the plane is closed. One that
	// is lost is counted, and no error.
	Send(slot int, frame []byte) error
	// Listen calls fn for each frame to slot, one after the other. The frame is fn's own.
	// While fn runs, frames wait in memory: what limits them is the credit of their senders.
	Listen(slot int, fn func(frame []byte)) (stop func(), err error)
	// Stats counts frames that were lost here, and complaints.
	Stats() Stats
}

// ErrTooLong is what a message is refused with that is longer than the plane or the
// server takes.
var ErrTooLong = errors.New("the message is too long")

// Plane carries frames over the data connection. Send waits while the server takes
// nothing more.
func (b *Bus) Plane() Plane {
	return &natsPlane{bus: b, slots: slots{prefix: b.subject("data") + "."}}
}

type natsPlane struct {
	bus   *Bus
	slots slots
}

func (p *natsPlane) Send(slot int, frame []byte) error {
	return p.bus.publish(p.bus.data, p.slots.subject(slot), frame)
}

func (p *natsPlane) Listen(slot int, fn func([]byte)) (func(), error) {
	return listen(p.bus.data, p.slots.subject(slot), "", func(m *nats.Msg) { fn(m.Data) })
}

func (p *natsPlane) Stats() Stats { return p.bus.Stats() }

// publish sends a message; what can't be sent now is lost and counted.
func (b *Bus) publish(nc *nats.Conn, subject string, msg []byte) error {
	switch err := nc.Publish(subject, msg); {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %d bytes, and the NATS server takes at most %d (max_payload)", ErrTooLong, len(msg), nc.MaxPayload())
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrBadSubject):
		return fmt.Errorf("send to %s: %w", subject, err)
	}
	b.count.lost.Add(1)
	return nil
}
