package natsbus

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/frame"
)

// DirectConfig configures [ListenDirect]. The zero value of each field means its default.
type DirectConfig struct {
	Job   string // name of the job; has to be given
	Token string // secret that all processes of the job share; has to be given

	Host string // to listen on; default 127.0.0.1
	Port int    // default: one that the system chooses, see [Direct.Addr]

	// Encrypt hides frames from who sees the network, and lets nobody change them: by TLS,
	// with keys of each connection for which the token vouches. Both sides have to want it.
	Encrypt bool

	FrameMax   int // most bytes of a frame; default 8 MiB
	PendingMax int // most bytes that wait for one process; default 256 MiB. It has to be more than the credit of all who send there

	// Frames gives memory for what comes, which who listens puts back, and holds what is sent
	// until it is written: that lies in memory which the pool gave, or never changes again.
	// nil: what comes is the listener's, and Send copies.
	Frames *frame.Pool

	// Unreached is called, on a goroutine of its own, when nothing could be sent to an address
	// for UnreachedAfter (default 3 s: who has died is missed by then), once until it is reached
	// again; may be nil.
	Unreached      func(addr string, err error)
	UnreachedAfter time.Duration

	Instead Plane // gets frames to such an address as well, and who listens hears it, too; default: they wait

	Log *slog.Logger // default: nothing is logged
}

// Direct is a [Plane] over TCP: one connection from each process to each that it sends to.
// Where slots are it has to be told. Frames are, one behind the other,
//
//	┌────────────┬──────────┬───────┐
//	│ length (4) │ slot (4) │ frame │  little-endian
//	└────────────┴──────────┴───────┘
//
// behind a handshake in which both sides prove that they know the token.
type Direct struct {
	cfg      DirectConfig
	listener net.Listener
	secrets  *secrets // nil: frames are not encrypted
	frames   *frame.Pool
	holds    bool            // frames are written from where they are
	ctx      context.Context // ends with Close
	close    context.CancelFunc
	all      sync.WaitGroup // everything that runs
	count    counters

	mu     sync.RWMutex // guards what follows
	closed bool
	routes map[int][]*peer  // by slot
	peers  map[string]*peer // by address; there is a route to each
	heard  map[int][]*ear   // by slot; lists are replaced, not changed
}

var _ Plane = (*Direct)(nil)

const (
	frameHead  = 8
	writeMax   = 10 * time.Second // for a peer to take what is written, or be given up
	readBuffer = 4 << 10          // for heads: most of a frame is read to where it stays
)

// ListenDirect begins to listen. The caller has to close it.
func ListenDirect(cfg DirectConfig) (*Direct, error) {
	if cfg.Job == "" || cfg.Token == "" {
		return nil, errors.New("listen for frames: the job has no name or no token")
	}
	if cfg.Host == "" {
		cfg.Host = "127.0.0.1"
	}
	if cfg.FrameMax == 0 {
		cfg.FrameMax = 8 << 20
	}
	if cfg.PendingMax == 0 {
		cfg.PendingMax = 256 << 20
	}
	if cfg.UnreachedAfter == 0 {
		cfg.UnreachedAfter = 3 * time.Second
	}
	if cfg.PendingMax < cfg.FrameMax+frameHead {
		return nil, fmt.Errorf("listen for frames: %d bytes may wait, and one frame may have %d", cfg.PendingMax, cfg.FrameMax)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &Direct{cfg: cfg, routes: map[int][]*peer{}, peers: map[string]*peer{}, heard: map[int][]*ear{}}
	var err error
	if cfg.Encrypt {
		if d.secrets, err = newSecrets(); err != nil {
			return nil, fmt.Errorf("listen for frames: %w", err)
		}
	}
	d.frames, d.holds = cfg.Frames, cfg.Frames != nil && !cfg.Encrypt // who encrypts writes less often where a frame and its head are one
	if d.frames == nil {
		d.frames = &frame.Pool{}
	}
	if d.listener, err = net.Listen("tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))); err != nil {
		return nil, fmt.Errorf("listen for frames: %w", err)
	}
	d.ctx, d.close = context.WithCancel(context.Background())
	d.all.Go(d.accept)
	return d, nil
}

// Addr is where frames for slots of this process are to be sent.
func (d *Direct) Addr() string { return d.listener.Addr().String() }

// Stats counts what was lost on this side.
func (d *Direct) Stats() Stats { return d.count.stats() }

// Close ends all connections. What waits to be sent is lost. No function that listens
// runs any more when it returns, so that none may call it.
func (d *Direct) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.close()
	d.listener.Close()
	d.all.Wait()
}

// Route says at which addresses a slot is heard from now on: each gets its frames. Where no
// slot is heard any more, the connection is closed.
func (d *Direct) Route(slot int, addrs ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.routes[slot]
	if d.closed || slices.EqualFunc(old, addrs, func(p *peer, addr string) bool { return p.addr == addr }) {
		return
	}
	var peers []*peer
	for _, addr := range addrs {
		p := d.peers[addr]
		if p == nil {
			p = newPeer(d, addr)
			d.peers[addr] = p
			d.all.Go(p.run)
		}
		peers = append(peers, p)
	}
	d.routes[slot] = peers
	for _, p := range old {
		if !d.needs(p) {
			delete(d.peers, p.addr)
			p.end()
		}
	}
}

// needs reports that a slot is heard at p. d.mu is held.
func (d *Direct) needs(p *peer) bool {
	for _, peers := range d.routes {
		if slices.Contains(peers, p) {
			return true
		}
	}
	return false
}

// Missing is at how many addresses nothing could be sent for UnreachedAfter.
func (d *Direct) Missing() (n int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, p := range d.peers {
		if p.missed.Load() {
			n++
		}
	}
	return n
}

// Send does not wait, but where the frame goes over Instead. A frame that has no room, or no
// route, is lost.
func (d *Direct) Send(slot int, frame []byte) error {
	if len(frame) > d.cfg.FrameMax {
		return fmt.Errorf("%w: a frame of %d bytes, and at most %d are sent", ErrTooLong, len(frame), d.cfg.FrameMax)
	}
	d.mu.RLock()
	peers, closed := d.routes[slot], d.closed
	d.mu.RUnlock()
	if closed {
		return fmt.Errorf("send to slot %d: %w", slot, net.ErrClosed)
	}
	if len(peers) == 0 {
		d.count.lost.Add(1)
	}
	missed := false
	for _, p := range peers {
		if !p.push(slot, frame) { // also of those that are not reached: so it is tried again
			d.count.lost.Add(1)
		}
		missed = missed || p.missed.Load()
	}
	if missed && d.cfg.Instead != nil {
		return d.cfg.Instead.Send(slot, frame)
	}
	return nil
}

// Listen calls fn for each frame to slot. While fn runs, nothing is read from the process that
// has sent the frame.
func (d *Direct) Listen(slot int, fn func(frame []byte)) (stop func(), err error) {
	e := &ear{fn: fn}
	forget, err := e.listenTo(d.cfg.Instead, slot)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		forget()
		return nil, fmt.Errorf("listen for frames to slot %d: %w", slot, net.ErrClosed)
	}
	d.heard[slot] = append(slices.Clone(d.heard[slot]), e)
	return func() {
		forget()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.heard[slot] = slices.DeleteFunc(slices.Clone(d.heard[slot]), func(other *ear) bool { return other == e })
	}, nil
}

// ear is who listens to a slot.
type ear struct {
	mu sync.Mutex // held while fn runs: frames come over several connections, and fn is called for one after the other
	fn func([]byte)
}

// listenTo lets e hear what comes over a plane, if there is one.
func (e *ear) listenTo(p Plane, slot int) (stop func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	return p.Listen(slot, e.hear)
}

func (d *Direct) accept() {
	for {
		conn, err := d.listener.Accept()
		if d.ctx.Err() != nil {
			return
		}
		if err != nil { // no file is left, or the like: it passes
			d.count.errors.Add(1)
			select {
			case <-time.After(redialMin):
			case <-d.ctx.Done():
			}
			continue
		}
		d.all.Go(func() { d.receive(conn) })
	}
}

// receive takes frames from one connection until it ends.
func (d *Direct) receive(raw net.Conn) {
	stop := context.AfterFunc(d.ctx, func() { raw.Close() })
	defer stop()
	defer raw.Close()
	conn, err := d.meet(raw, false)
	if err == nil {
		err = d.read(conn)
	}
	if err != nil && d.ctx.Err() == nil {
		d.count.errors.Add(1)
		d.cfg.Log.Warn("a connection for frames ends", "job", d.cfg.Job, "from", raw.RemoteAddr(), "err", err)
	}
}

// read hands frames on; nil when the other side has closed the connection between two.
func (d *Direct) read(conn net.Conn) error {
	r := bufio.NewReaderSize(conn, readBuffer)
	var head [frameHead]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		n, slot := binary.LittleEndian.Uint32(head[:]), int(binary.LittleEndian.Uint32(head[4:]))
		if int64(n) > int64(d.cfg.FrameMax) {
			return fmt.Errorf("%w: a frame of %d bytes, and at most %d are taken", ErrTooLong, n, d.cfg.FrameMax)
		}
		frame := d.memory(int(n))
		if _, err := io.ReadFull(r, frame); err != nil {
			return err
		}
		d.mu.RLock()
		ears := d.heard[slot]
		d.mu.RUnlock()
		if len(ears) == 0 {
			d.count.lost.Add(1)
			d.frames.Put(frame)
			continue
		}
		for _, e := range ears[1:] {
			e.hear(bytes.Clone(frame))
		}
		ears[0].hear(frame)
	}
}

// memory is n bytes for a frame that comes.
func (d *Direct) memory(n int) []byte {
	if d.cfg.Frames == nil { // nobody would put it back
		return make([]byte, n)
	}
	return d.frames.Get(n)
}

func (e *ear) hear(frame []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fn(frame)
}
