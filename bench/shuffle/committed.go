package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/natsbus"
)

// committed is a loop by hand that commits, for the latency that a commit has on this machine
// at the least: what comes is held until its epoch is committed, by the five messages that it
// takes:
//
//	the end of an epoch ─► its acknowledgement ─► a compare-and-set in JetStream, and the
//	answer ─► that it is committed
//
// It could not recover: it keeps no frames, and no state anywhere.
type committed[B body] struct {
	*hand[B]
	control  *natsbus.Control
	register *natsbus.Acceptor
	acked    chan uint64 // epochs that the other worker holds

	mu    sync.Mutex // guards what follows
	open  [][]byte   // frames of the epoch that has not ended
	held  []epoch    // those that are not committed
	spare [][]byte
}

// epoch is what the other worker has sent in one.
type epoch struct {
	number uint64
	frames [][]byte
}

// Messages to the other worker's number behind all workers are a kind and an epoch.
const (
	ackMessage byte = iota
	commitMessage
)

const endSize = 8 // of a frame that ends an epoch: its number. No record is so small

// newCommitted connects to NATS; the caller calls stop.
func newCommitted[B body](x *hand[B]) (*committed[B], func(), error) {
	at := natsbus.Config{Job: jobName, URLs: []string{x.Server}}
	bus, err := natsbus.Connect(at)
	if err != nil {
		return nil, nil, err
	}
	store, err := natsbus.OpenStore(at)
	if err != nil {
		bus.Close()
		return nil, nil, err
	}
	c := &committed[B]{hand: x, control: bus.Control(), register: store.Acceptor(), acked: make(chan uint64, 64)}
	stop := func() {
		store.Close()
		bus.Close()
	}
	if _, err := c.control.Listen(workers+x.Worker, c.hear); err != nil {
		stop()
		return nil, nil, err
	}
	return c, stop, nil
}

// room gives memory for n bytes.
func (c *committed[B]) room(n int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return roomOf(&c.spare, n)
}

// hold keeps a frame, which is in memory of its own, until its epoch is committed.
func (c *committed[B]) hold(frame []byte) {
	c.mu.Lock()
	if len(frame) != endSize {
		c.open = append(c.open, frame)
		c.mu.Unlock()
		return
	}
	n := binary.LittleEndian.Uint64(frame)
	c.held = append(c.held, epoch{n, c.open})
	c.open = nil
	c.mu.Unlock()
	c.tell(ackMessage, n)
}

func (c *committed[B]) tell(kind byte, epoch uint64) {
	_ = c.control.Tell(workers+c.other(), binary.LittleEndian.AppendUint64([]byte{kind}, epoch)) // the run would never end, and be stopped
}

// hear takes a message of the other worker.
func (c *committed[B]) hear(msg []byte) {
	n := binary.LittleEndian.Uint64(msg[1:])
	if msg[0] == ackMessage {
		c.acked <- n
		return
	}
	c.mu.Lock()
	i := slices.IndexFunc(c.held, func(e epoch) bool { return e.number > n })
	if i < 0 {
		i = len(c.held)
	}
	ready := c.held[:i:i]
	c.held = c.held[i:]
	c.mu.Unlock()
	for _, e := range ready {
		for _, frame := range e.frames {
			c.take(frame)
		}
		c.mu.Lock()
		c.spare = append(c.spare, e.frames...)
		c.mu.Unlock()
	}
}

// emitEpochs sends this worker's records, and returns when all are committed.
func (c *committed[B]) emitEpochs(ctx context.Context) error {
	failed := make(chan error, 1)
	ends := make(chan uint64, 1) // the last epoch
	go func() { failed <- c.commit(ctx, ends) }()
	number, due := uint64(0), time.Now().Add(c.Epoch)
	end := func() error {
		number++
		var frame [4 + endSize]byte
		binary.LittleEndian.PutUint32(frame[:], endSize)
		binary.LittleEndian.PutUint64(frame[4:], number)
		return c.send(frame[:])
	}
	volume, send := 0, c.send
	c.send = func(frame []byte) error {
		volume += len(frame)
		return send(frame)
	}
	c.turn = func() (time.Duration, error) {
		large := c.Volume > 0 && volume >= c.Volume
		if rest := time.Until(due); rest > 0 && !large {
			return rest, nil
		}
		if volume = 0; large {
			due = time.Now()
		}
		due = due.Add(c.Epoch)
		return time.Until(due), end()
	}
	if err := c.emit(); err != nil {
		return err
	}
	ends <- number + 1
	if err := end(); err != nil {
		return err
	}
	return <-failed
}

// commit commits epochs, one after the other, up to the last one.
func (c *committed[B]) commit(ctx context.Context, ends <-chan uint64) error {
	key, version, last := "slot/"+strconv.Itoa(c.Worker), uint64(0), uint64(0)
	for n := uint64(0); last == 0 || n < last; {
		select {
		case n = <-c.acked:
		case last = <-ends:
			continue
		}
		var err error
		if version, err = c.register.CAS(ctx, key, binary.LittleEndian.AppendUint64(nil, n), version); err != nil {
			return fmt.Errorf("commit epoch %d: %w", n, err)
		}
		c.tell(commitMessage, n)
	}
	return nil
}
