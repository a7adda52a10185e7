package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/natsbus"
)

// By hand records go in frames: | length u32 | record * |, little-endian. The length is that
// of what follows.
const (
	frameSize = 32 << 10
	window    = 4 << 20 // bytes under way over NATS
)

// runByHand is a worker of one of the ways without a pipeline. For a record it does what the
// job is about, as somebody would write it who knows what records there are: make it, hash its
// key for the worker that has it, put it into the frame for that one, and count it in a table
// by key where it arrives.
func runByHand[B body](ctx context.Context, c *child) error {
	x := &hand[B]{child: c, counts: make(map[uint64]uint64, c.Keys), over: make(chan struct{}), turn: func() (time.Duration, error) { return time.Millisecond, nil }}
	frame := make([]byte, frameSize+1000)
	room, take, emit := func(n int) []byte { return frame[:n] }, x.take, x.emit
	if commits(c.Way) {
		held, stop, err := newCommitted(x)
		if err != nil {
			return err
		}
		defer stop()
		room, take, emit = held.room, held.hold, func() error { return held.emitEpochs(ctx) }
	}
	var stop func()
	var err error
	if overTCP(c.Way) {
		x.send, stop, err = c.overTCP(ctx, room, take)
	} else {
		stop, err = x.overNATS(take)
	}
	if err != nil {
		return err
	}
	defer stop()
	r := report{First: time.Now().UnixNano()}
	if err := emit(); err != nil {
		return err
	}
	<-x.over
	r.Taken = x.taken
	r.Taken.Last = time.Now().UnixNano()
	for _, n := range x.counts {
		r.Counted += n
	}
	return c.finish(r)
}

type hand[B body] struct {
	*child
	send   func(frame []byte) error               // to the other worker
	turn   func() (rest time.Duration, err error) // is called between frames; rest: until it is to be called again
	counts map[uint64]uint64                      // by key
	taken  taker
	over   chan struct{} // closed when all is taken in
}

// emit sends this worker's records.
func (x *hand[B]) emit() error {
	m, p := newMaker(x.Worker, x.Keys), &pace{perSecond: x.Rate}
	var b B
	var frames [workers][]byte // that are begun
	for w := range frames {
		frames[w] = make([]byte, 4, frameSize+len(b))
	}
	for i := uint64(0); i < x.Records; {
		for due := p.due(x.Records); i < due; i++ {
			m.fill(bytesOf(&b), i)
			to := &frames[ownerOf(keyOf(&b))]
			if *to = append(*to, bytesOf(&b)...); len(*to) >= frameSize {
				if err := x.flush(to); err != nil {
					return err
				}
				if _, err := x.turn(); err != nil {
					return err
				}
			}
		}
		for w := range frames {
			if err := x.flush(&frames[w]); err != nil {
				return err
			}
		}
		if i < x.Records {
			rest, err := x.turn()
			if err != nil {
				return err
			}
			time.Sleep(min(rest, time.Millisecond))
		}
	}
	return nil
}

// flush sends a frame that is begun. All of them are for the other worker, as all keys are.
func (x *hand[B]) flush(frame *[]byte) error {
	if len(*frame) == 4 {
		return nil
	}
	binary.LittleEndian.PutUint32(*frame, uint32(len(*frame)-4))
	err := x.send(*frame)
	*frame = (*frame)[:4]
	return err
}

// take takes a frame in.
func (x *hand[B]) take(records []byte) {
	x.taken.count(records, x.Size, x.counts)
	if x.taken.N == x.Records {
		close(x.over)
	}
}

// count takes records in, of so many bytes each.
func (t *taker) count(records []byte, size int, counts map[uint64]uint64) {
	for ; len(records) >= size; records = records[size:] {
		counts[binary.LittleEndian.Uint64(records)]++
		if stamp := binary.LittleEndian.Uint64(records[8:]); stamp != 0 {
			t.stamped(stamp)
		}
		t.N++
	}
}

// overNATS has what is under way limited by credit: the receiver tells how many bytes it
// has taken in.
func (x *hand[B]) overNATS(take func(records []byte)) (stop func(), err error) {
	bus, err := natsbus.Connect(natsbus.Config{Job: jobName, URLs: []string{x.Server}})
	if err != nil {
		return nil, err
	}
	plane, control := bus.Plane(), bus.Control()
	var mu sync.Mutex // guards taken
	taken, sent := uint64(0), uint64(0)
	more := sync.NewCond(&mu)
	x.send = func(frame []byte) error {
		mu.Lock()
		for sent+uint64(len(frame)) > taken+window {
			more.Wait()
		}
		mu.Unlock()
		sent += uint64(len(frame))
		return plane.Send(x.other(), frame)
	}
	got, told := uint64(0), uint64(0)
	_, err = plane.Listen(x.Worker, func(frame []byte) {
		take(frame[4:])
		if got += uint64(len(frame)); got-told >= window/4 {
			told = got
			_ = control.Tell(x.other(), binary.LittleEndian.AppendUint64(nil, got))
		}
	})
	if err == nil {
		_, err = control.Listen(x.Worker, func(msg []byte) {
			mu.Lock()
			defer mu.Unlock()
			taken = max(taken, binary.LittleEndian.Uint64(msg))
			more.Signal()
		})
	}
	if err == nil {
		_, err = x.meet("")
	}
	if err != nil {
		bus.Close()
		return nil, err
	}
	return bus.Close, nil
}

var errLost = errors.New("records are lost")

// check reports what is missing.
func (r *report) check(records uint64) error {
	if r.Taken.N != records || r.Counted != records {
		return fmt.Errorf("%w, or there twice: %d were sent, %d were taken in, and %d counted", errLost, records, r.Taken.N, r.Counted)
	}
	return nil
}
