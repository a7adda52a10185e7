package main

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/pipeline"
)

// runLoose is a worker that runs a slot of the pipeline over a shuffle without guarantees:
// what comes is taken in at once, nothing is kept for another time, and nothing is committed.
func runLoose[B body](ctx context.Context, c *child) error {
	x := &loose{lanes: c.Lanes, slot: c.Worker, queues: make([][]message, c.Lanes), lent: make([][]byte, c.Lanes)}
	stop, err := x.connect(ctx, c)
	if err != nil {
		return err
	}
	defer stop()
	j := &job[B]{child: c}
	p := pipeline.New()
	j.build(p)
	if err := p.Err(); err != nil {
		return err
	}
	_, err = engine.Run(ctx, p.Graph(), engine.Config{
		Lanes: c.Lanes, Slot: c.Worker, Slots: workers, Shuffle: x,
		Epoch: time.Second, // watermarks are told with epochs, and in the end
	})
	if err != nil {
		return err
	}
	return c.finish(j.report())
}

// connect returns when both workers have connected.
func (x *loose) connect(ctx context.Context, c *child) (stop func(), err error) {
	if c.Way == "pipeline-tcp" {
		x.send, stop, err = c.overTCP(ctx, x.room, x.take)
		return stop, err
	}
	bus, err := natsbus.Connect(natsbus.Config{Job: jobName, URLs: []string{c.Server}})
	if err != nil {
		return nil, err
	}
	plane := bus.Plane()
	x.send = func(b []byte) error { return plane.Send(c.other(), b) }
	if _, err = plane.Listen(c.Worker, func(b []byte) { x.take(b[4:]) }); err == nil {
		_, err = c.meet("")
	}
	if err != nil {
		bus.Close()
		return nil, err
	}
	return bus.Close, nil
}

// loose is an [engine.Shuffle] between two slots, with credits. Its messages are
//
//	| length of the rest u32 | kind u32 | edge u32 | lane u32 | batch, marks, or bytes taken in u64 |, little-endian
//
// They have to come, and in order.
type loose struct {
	lanes, slot int
	send        func(b []byte) error // keeps nothing
	wake        func(lane int)

	sending sync.Mutex // held while send runs

	mu     sync.Mutex  // guards what follows
	queues [][]message // by lane
	lent   [][]byte    // by lane: what Next gave last
	spare  [][]byte
	sent   uint64 // bytes of batches
	taken  uint64 // of those, by the other slot
	got    uint64 // bytes of batches, taken in
	told   uint64 // of those, that the other slot was told of
}

type message struct {
	whole []byte // without its length; nil: marks
	a     engine.Arrival
}

const looseHead = 16

const (
	batchKind = iota
	marksKind
	creditKind
)

// room gives memory for n bytes.
func (x *loose) room(n int) []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	return roomOf(&x.spare, n)
}

// roomOf is memory for n bytes, of what is spare if that is enough.
func roomOf(spare *[][]byte, n int) []byte {
	if k := len(*spare); k > 0 && cap((*spare)[k-1]) >= n {
		b := (*spare)[k-1]
		*spare = (*spare)[:k-1]
		return b[:n]
	}
	return make([]byte, n, max(n, frameSize+frameSize/4))
}

// take takes a message without its length.
func (x *loose) take(b []byte) {
	le := binary.LittleEndian
	kind, edge, lane, rest := le.Uint32(b), int(le.Uint32(b[4:])), int(le.Uint32(b[8:])), b[looseHead-4:]
	m := message{whole: b, a: engine.Arrival{Edge: edge, From: 1 - x.slot}}
	x.mu.Lock()
	switch kind {
	case creditKind:
		x.taken = le.Uint64(rest)
	case marksKind:
		list, _ := frame.DecodeMarks(nil, rest)
		for _, l := range list {
			m.a.Marks = append(m.a.Marks, engine.Mark{Edge: int(l.Edge), WM: l.WM, Idle: l.Idle})
		}
		for lane := range x.queues {
			x.queues[lane] = append(x.queues[lane], message{a: m.a})
		}
	default:
		m.a.Batch = rest
		x.queues[lane] = append(x.queues[lane], m)
	}
	wake := x.wake
	x.mu.Unlock()
	for lane := range x.lanes {
		if wake != nil {
			wake(x.slot*x.lanes + lane)
		}
	}
}

// tell sends a message, which has room for its head.
func (x *loose) tell(b []byte, kind, edge, lane int) {
	le := binary.LittleEndian
	le.PutUint32(b, uint32(len(b)-4))
	le.PutUint32(b[4:], uint32(kind))
	le.PutUint32(b[8:], uint32(edge))
	le.PutUint32(b[12:], uint32(lane))
	x.sending.Lock()
	defer x.sending.Unlock()
	_ = x.send(b) // what is lost the check at the end finds
}

// Open implements [engine.Shuffle].
func (x *loose) Open(_ []engine.ShuffleEdge, wake func(lane int), _ []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wake = wake
	return nil
}

// Buffer implements [engine.Shuffle].
func (x *loose) Buffer() []byte { return x.room(looseHead) }

// Send implements [engine.Shuffle].
func (x *loose) Send(edge, to int, b []byte) {
	x.tell(b, batchKind, edge, to%x.lanes)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sent += uint64(len(b))
	x.spare = append(x.spare, b)
}

// Room implements [engine.Shuffle].
func (x *loose) Room(int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sent < x.taken+window
}

// Next implements [engine.Shuffle].
func (x *loose) Next(lane int) (engine.Arrival, bool) {
	lane %= x.lanes
	x.mu.Lock()
	if x.lent[lane] != nil {
		x.spare, x.lent[lane] = append(x.spare, x.lent[lane]), nil
	}
	if len(x.queues[lane]) == 0 {
		x.mu.Unlock()
		return engine.Arrival{}, false
	}
	m := x.queues[lane][0]
	x.queues[lane] = x.queues[lane][1:]
	credit := uint64(0)
	if m.a.Batch != nil {
		x.lent[lane] = m.whole
		if x.got += uint64(len(m.whole)) + 4; x.got-x.told >= window/4 {
			credit, x.told = x.got, x.got
		}
	}
	x.mu.Unlock()
	if credit > 0 {
		x.tell(binary.LittleEndian.AppendUint64(make([]byte, looseHead), credit), creditKind, 0, 0)
	}
	return m.a, true
}

// Cut implements [engine.Shuffle].
func (x *loose) Cut(marks []engine.Mark) []byte {
	var list []frame.Mark
	for _, m := range marks {
		list = append(list, frame.Mark{Edge: uint32(m.Edge), WM: m.WM, Idle: m.Idle})
	}
	x.tell(frame.AppendMarks(make([]byte, looseHead), list), marksKind, 0, 0)
	return nil
}
