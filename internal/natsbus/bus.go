package natsbus

import (
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
)

// Bus is two connections of a job, so that small messages don't wait behind frames.
// Its methods may be called by several goroutines.
type Bus struct {
	job           string
	data, control *nats.Conn
	count         counters
}

// Connect connects to NATS for messages. A connection that is lost later is tried again
// for ever.
func Connect(cfg Config) (*Bus, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Bus{job: cfg.Job}
	var in nats.InProcessConnProvider
	if cfg.Server != nil {
		in = inProcess{cfg.Server.of}
	}
	var err error
	if b.data, err = cfg.dial("data", in, &b.count, nats.WriteBufferSize(256<<10)); err != nil {
		return nil, err
	}
	if b.control, err = cfg.dial("control", in, &b.count); err != nil {
		b.data.Close()
		return nil, err
	}
	return b, nil
}

// Close ends both connections. Functions that listen are not called afterwards, but one
// may still be running.
func (b *Bus) Close() {
	b.data.Close()
	b.control.Close()
}

// PayloadMax is the most bytes of a message that the server takes.
func (b *Bus) PayloadMax() int { return int(b.data.MaxPayload()) }

// Connected reports that both connections are there.
func (b *Bus) Connected() bool { return b.data.IsConnected() && b.control.IsConnected() }

// LocalHost is the address of this machine from which the server is reached, "" while it is not.
func (b *Bus) LocalHost() string {
	host, _, _ := net.SplitHostPort(b.control.LocalAddr())
	return host
}

// Encrypted reports that the connection for frames is encrypted.
func (b *Bus) Encrypted() bool {
	_, err := b.data.TLSConnectionState()
	return err == nil
}

// Stats counts what went wrong on both connections.
func (b *Bus) Stats() Stats { return b.count.stats() }

// subject is the name of what parts lead to, in this job.
func (b *Bus) subject(parts ...string) string {
	s := "millrace." + token(b.job)
	for _, p := range parts {
		s += "." + p
	}
	return s
}

// slots names subjects by slot, each made once: they are needed for every frame.
type slots struct {
	prefix string // ends in a dot
	names  sync.Map
}

func (s *slots) subject(slot int) string {
	if name, ok := s.names.Load(slot); ok {
		return name.(string)
	}
	name, _ := s.names.LoadOrStore(slot, s.prefix+strconv.Itoa(slot))
	return name.(string)
}

// listen subscribes without a limit on what waits: a message that is dropped here would
// be missed only much later. It returns when the server knows, so that nothing is missed
// that is sent to this server afterwards; or, where that takes long, before: a connection that
// comes back subscribes.
// Of those that listen with the same queue ("": none), one gets each message.
func listen(nc *nats.Conn, subject, queue string, fn func(*nats.Msg)) (stop func(), err error) {
	sub, err := nc.QueueSubscribe(subject, queue, fn)
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil && nc.IsConnected() {
		if e := nc.FlushTimeout(dialMax); nc.IsClosed() {
			err = e
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen to %s: %w", subject, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
