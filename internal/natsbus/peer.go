package natsbus

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
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

	mu      sync.Mutex // guards what follows
	waiting [][]byte   // frames behind their heads, in blocks
	bytes   int        // that wait, at most PendingMax
	frames  uint64     // how many wait
	spare   [][]byte   // blocks for what comes
}

const (
	blockSize = 256 << 10 // of frames that are written together; a longer frame is one by itself
	spareMost = 16        // blocks that are kept
)

func newPeer(d *Direct, addr string) *peer {
	p := &peer{direct: d, addr: addr, wake: make(chan struct{}, 1)}
	p.ctx, p.end = context.WithCancel(d.ctx)
	return p
}

// push adds a frame to those that wait; false if there is no room.
func (p *peer) push(slot int, frame []byte) bool {
	p.mu.Lock()
	size := frameHead + len(frame)
	room := p.bytes+size <= p.direct.cfg.PendingMax
	if room {
		b := p.block(size)
		*b = binary.LittleEndian.AppendUint32(*b, uint32(len(frame)))
		*b = binary.LittleEndian.AppendUint32(*b, uint32(slot))
		*b = append(*b, frame...)
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

// block is the last block, which has room for size more bytes. p.mu is held.
func (p *peer) block(size int) *[]byte {
	n := len(p.waiting)
	if n > 0 && cap(p.waiting[n-1])-len(p.waiting[n-1]) >= size {
		return &p.waiting[n-1]
	}
	var b []byte
	if k := len(p.spare); k > 0 && size <= blockSize {
		b, p.spare = p.spare[k-1], p.spare[:k-1]
	} else {
		b = make([]byte, 0, max(size, blockSize))
	}
	p.waiting = append(p.waiting, b)
	return &p.waiting[n]
}

// take returns what waits. What it has returned before is used again.
func (p *peer) take(written [][]byte) (waiting [][]byte, frames uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range written {
		if cap(b) == blockSize && len(p.spare) < spareMost {
			p.spare = append(p.spare, b[:0])
		}
	}
	clear(written)
	waiting, frames = p.waiting, p.frames
	p.waiting, p.bytes, p.frames = written[:0], 0, 0
	return waiting, frames
}

// run writes what waits, and connects for that, until the peer ends. What can't be written
// is lost: the protocol sends it again, if it is still of use.
func (p *peer) run() {
	var blocks [][]byte
	var frames uint64
	cfg, failures, since := &p.direct.cfg, 0, time.Time{}
	defer p.hangUp()
	for {
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			return
		}
		blocks, frames = p.take(blocks)
		if frames == 0 {
			continue
		}
		old := p.conn != nil
		err := p.write(blocks)
		if err != nil && old { // it may have been dead for long: some frames twice are no harm
			err = p.write(blocks)
		}
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

// write writes blocks to the connection that is there, or to a new one.
func (p *peer) write(blocks [][]byte) error {
	if p.conn == nil {
		conn, err := p.dial()
		if err != nil {
			return err
		}
		p.conn = conn
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(writeMax)) // fails only where the write does, too
	p.out = append(p.out[:0], blocks...)                  // writing it takes it apart
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
