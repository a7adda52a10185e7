package natsbus

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/frame"
)

// peer is another process that frames are sent to. One goroutine, run, has the
// connection.
type peer struct {
	direct *Direct
	addr   string
	ctx    context.Context // ends with end, or with Direct
	end    context.CancelFunc
	wake   chan struct{} // has a token when something waits
	conn   net.Conn      // of run alone; nil: not connected
	out    net.Buffers   // of run alone: what is written
	missed atomic.Bool   // nothing could be sent for UnreachedAfter

	mu     sync.Mutex // guards what follows
	queue  queue      // what waits
	bytes  int        // of it, at most PendingMax
	frames uint64     // of it
	over   bool       // run has ended
}

// queue is frames behind their heads, as they are written.
type queue struct {
	pool  *frame.Pool
	parts [][]byte // one behind the other: those of blocks, and long frames
	held  [][]byte // those of long frames, which go back to the pool
	block []byte   // the last one
	open  bool     // the last part ends where the block does
}

const (
	blockSize  = 64 << 10
	blockFrame = 4 << 10 // bytes of a frame, at most, that is not worth a part of its own
)

// add adds a frame. Long ones are not copied where the pool can hold them.
func (q *queue) add(slot int, frame []byte, hold bool) {
	var head [frameHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(frame)))
	binary.LittleEndian.PutUint32(head[4:], uint32(slot))
	switch {
	case len(frame) <= blockFrame:
		q.copy(head[:])
		q.copy(frame)
	case hold:
		q.pool.Hold(frame)
		q.copy(head[:])
		q.own(frame)
	default:
		b := q.pool.Get(frameHead + len(frame))
		copy(b[copy(b, head[:]):], frame)
		q.own(b)
	}
}

// own adds a part that goes back to the pool.
func (q *queue) own(b []byte) {
	q.parts, q.held, q.open = append(q.parts, b), append(q.held, b), false
}

// copy adds a part of a block, or makes the last one longer.
func (q *queue) copy(b []byte) {
	if cap(q.block)-len(q.block) < len(b) {
		q.block, q.open = make([]byte, 0, blockSize), false
	}
	at := len(q.block)
	q.block = append(q.block, b...)
	if q.open {
		last := &q.parts[len(q.parts)-1]
		*last = q.block[at-len(*last):]
		return
	}
	q.parts, q.open = append(q.parts, q.block[at:]), true
}

// reset empties the queue, and keeps its memory.
func (q *queue) reset() {
	for _, b := range q.held {
		q.pool.Put(b)
	}
	clear(q.parts)
	clear(q.held)
	q.parts, q.held, q.block, q.open = q.parts[:0], q.held[:0], q.block[:0], false
}

func newPeer(d *Direct, addr string) *peer {
	p := &peer{direct: d, addr: addr, wake: make(chan struct{}, 1), queue: queue{pool: d.frames}}
	p.ctx, p.end = context.WithCancel(d.ctx)
	return p
}

// push adds a frame to those that wait; false if there is no room.
func (p *peer) push(slot int, frame []byte) bool {
	p.mu.Lock()
	size := frameHead + len(frame)
	room := !p.over && p.bytes+size <= p.direct.cfg.PendingMax
	if room {
		p.queue.add(slot, frame, p.direct.holds)
		p.bytes += size
		p.frames++
	}
	p.mu.Unlock()
	if room {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return room
}

// take returns what waits, in q, and has what comes wait in q's memory.
func (p *peer) take(q *queue) (frames uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*q, p.queue = p.queue, *q
	frames, p.bytes, p.frames = p.frames, 0, 0
	return frames
}

// close ends what run has: nothing waits any more.
func (p *peer) close() {
	p.hangUp()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.queue.reset()
}

// run writes what waits, and connects for that, until the peer ends. What can't be written
// is lost: the protocol sends it again, if it is still of use.
func (p *peer) run() {
	q := queue{pool: p.direct.frames}
	cfg, failures, since := &p.direct.cfg, 0, time.Time{}
	defer p.close()
	defer q.reset()
	for {
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			return
		}
		frames := p.take(&q)
		if frames == 0 {
			continue
		}
		old := p.conn != nil
		err := p.write(q.parts)
		if err != nil && old { // it may have been dead for long: some frames twice are no harm
			err = p.write(q.parts)
		}
		q.reset()
		if err == nil {
			if failures > 0 {
				failures = 0
				p.missed.Store(false)
				cfg.Log.Info("frames are sent again", "job", cfg.Job, "to", p.addr)
			}
			continue
		}
		if p.ctx.Err() != nil {
			return
		}
		p.direct.count.lost.Add(frames)
		if failures++; failures == 1 {
			since = time.Now()
			cfg.Log.Warn("frames can't be sent", "job", cfg.Job, "to", p.addr, "err", err)
		}
		if time.Since(since) > cfg.UnreachedAfter && p.missed.CompareAndSwap(false, true) && cfg.Unreached != nil {
			p.direct.all.Go(func() { cfg.Unreached(p.addr, err) })
		}
		select {
		case <-time.After(redialDelay(failures - 1)):
		case <-p.ctx.Done():
			return
		}
	}
}

// write writes parts to the connection that is there, or to a new one.
func (p *peer) write(parts [][]byte) error {
	if p.conn == nil {
		conn, err := p.dial()
		if err != nil {
			return err
		}
		p.conn = conn
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(writeMax)) // fails only where the write does, too
	p.out = append(p.out[:0], parts...)                   // writing it takes it apart
	out := p.out
	_, err := out.WriteTo(p.conn)
	if err != nil {
		p.hangUp()
		p.direct.count.disconnects.Add(1)
	}
	return err
}

func (p *peer) hangUp() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// dial connects and proves who we are. The connection closes itself when the peer ends, or
// the other side has gone.
func (p *peer) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(p.ctx, dialMax)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(p.ctx, func() { raw.Close() })
	conn, err := p.direct.meet(raw, true)
	if err != nil {
		stop()
		raw.Close()
		return nil, err
	}
	p.direct.all.Go(func() { // nothing comes, so what ends a read is the end of the connection
		_, _ = io.Copy(io.Discard, conn)
		stop()
		raw.Close()
	})
	return conn, nil
}
