package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// Standby stands by a slot that runs in another process. It holds what comes for the slot
// and acknowledges it, which counts while the slot is silent, and it reads along in the
// slot's changelog. A takeover here, by [Config].From, then reads only what is missing. What
// it holds is bounded by the windows of those who send, and by what the slot's record names.
type Standby struct {
	cfg   Config
	shape held.Shape
	quit  context.CancelFunc // ends Run
	ctx   context.Context    // ended by quit
	done  chan struct{}      // closed when Run has returned
	heats func()             // called when it becomes warm
	warm  atomic.Bool        // image was brought to a record of gen

	reading sync.Mutex // guards what follows while Run runs; afterwards it is the heir's
	image   *image
	gen     held.Gen // of the record that image was brought to last

	mu   sync.Mutex // guards what follows
	core *held.Standby
	in   frames
	stop func() // ends listening; nil: nobody listens
	heir *Host  // what has taken the slot over here; nil: nothing
}

// applyEvery is how often the record of the slot is looked at and what it names is applied.
const applyEvery = 100 * time.Millisecond

// NewStandby returns one for the slot and the process that cfg names. It does nothing
// before Run. warm is called each time that it becomes warm, and must not block.
func NewStandby(cfg Config, warm func()) *Standby {
	s := &Standby{cfg: cfg.withDefaults(), done: make(chan struct{}), heats: warm, image: newImage(), in: frames{}}
	s.ctx, s.quit = context.WithCancel(context.Background())
	s.shape, _ = shapeOf(s.cfg)
	s.core = held.NewStandby(coreConfig(&s.cfg, s.shape), 0) // a State tells the generation
	return s
}

// Run stands by until ctx ends, or until the slot is taken over here, which is no error. It
// is to be called once.
func (s *Standby) Run(ctx context.Context) error {
	defer close(s.done)
	defer context.AfterFunc(ctx, s.quit)()
	stop, err := listenTo(
		func() (func(), error) { return s.cfg.Control.ListenAll(s.message) },
		func() (func(), error) { return s.cfg.Plane.Listen(s.cfg.Slot, s.frame) },
	)
	if err != nil {
		return fmt.Errorf("stand by slot %d: %w", s.cfg.Slot, err)
	}
	s.mu.Lock()
	s.stop = stop
	s.mu.Unlock()
	for s.ctx.Err() == nil {
		if err := s.follow(); err != nil && s.ctx.Err() == nil {
			s.cfg.Log.Warn("a changelog is not followed; it will be tried again", "slot", s.cfg.Slot, "error", err)
		}
		select {
		case <-time.After(applyEvery):
		case <-s.ctx.Done():
		}
	}
	if ctx.Err() != nil {
		s.deafen()
	}
	return context.Cause(ctx)
}

// deafen ends listening.
func (s *Standby) deafen() {
	s.mu.Lock()
	stop := s.stop
	s.stop = nil
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// errGoneBack is why a changelog is read again from its beginning.
var errGoneBack = errors.New("the job has gone back to its last cut")

// follow reads along in the changelog, and looks at the slot's record in a rhythm of its own:
// a slot that writes nothing has one, too.
func (s *Standby) follow() error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	var looking sync.WaitGroup
	looking.Go(func() { cancel(s.look(ctx)) })
	err := s.cfg.Changes.Follow(ctx, s.cfg.Slot, s.image.next, func(seq uint64, piece []byte) error {
		s.reading.Lock()
		defer s.reading.Unlock()
		return s.image.add(seq, piece)
	})
	cancel(err)
	looking.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errGoneBack) {
		return cause
	}
	s.image, s.gen = newImage(), 0
	s.warm.Store(false)
	return nil
}

// look catches up again and again, until ctx ends or that fails.
func (s *Standby) look(ctx context.Context) error {
	again := time.NewTicker(applyEvery)
	defer again.Stop()
	for {
		if err := s.catchUp(ctx); err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// catchUp brings the image to the slot's record. What the record names and was not read yet
// will come.
func (s *Standby) catchUp(ctx context.Context) error {
	b := confirmed(ctx, s.cfg.Acceptors, slotKey(s.cfg.Slot))
	if b == nil {
		return nil
	}
	rec := &held.Record{}
	if err := held.Decode(b, rec); err != nil {
		return fmt.Errorf("the record of slot %d: %w", s.cfg.Slot, err)
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.gen != 0 && rec.Gen != s.gen {
		return errGoneBack
	}
	if s.image.settle(rec) == nil {
		s.gen = rec.Gen
		if !s.warm.Swap(true) {
			s.heats()
		}
	}
	return nil
}

// Warm reports that the slot could be taken over here at once: what its record names was
// read, not long ago.
func (s *Standby) Warm() bool { return s.warm.Load() }

// leave ends Run and gives what was read of the changelog.
func (s *Standby) leave() *image {
	s.quit()
	<-s.done
	return s.image
}

// end ends a standby that was taken over, or was to be.
func (s *Standby) end() {
	s.leave()
	s.deafen()
}

// bequeath makes h what frames and messages come to from now on, until end, and gives it
// what is held. h.mu is held.
func (s *Standby) bequeath(h *Host) *held.Standby {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heir, h.in, h.heard = h, s.in, s.stop != nil
	return s.core
}

// do lets f tell the core something, and does what it decides; or gives the heir, which is
// to be told instead.
func (s *Standby) do(f func()) (heir *Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heir != nil {
		return s.heir
	}
	f()
	for _, a := range s.core.Acts() {
		switch a := a.(type) {
		case held.SendAck:
			if err := s.cfg.Control.Tell(a.Ack.Src, held.Append(nil, &a.Ack)); err != nil {
				s.cfg.Log.Warn("an acknowledgement was not sent", "slot", s.cfg.Slot, "error", err)
			}
		case held.Drop:
			s.in.drop(a, s.cfg.Frames)
		}
	}
	return nil
}

// message takes what comes on the control connection.
func (s *Standby) message(b []byte) {
	heir := s.do(func() {
		if m, err := held.DecodeMessage(b); err == nil {
			if m, ok := m.(*held.State); ok {
				s.core.State(m)
			}
		}
	})
	if heir != nil {
		heir.message(b)
	}
}

// frame takes what comes on the data plane.
func (s *Standby) frame(b []byte) {
	m, ok := readFrame(&s.cfg, s.shape, b)
	if !ok {
		return
	}
	heir := s.do(func() {
		switch {
		case m.end != nil:
			s.core.End(m.end)
		case s.core.Data(m.data):
			s.in.keep(m)
		default:
			s.cfg.Frames.Put(m.whole)
		}
	})
	if heir != nil {
		heir.take(m)
	}
}
