package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// WorkerConfig configures a [Worker]. Zero fields mean the default.
type WorkerConfig struct {
	Transport Transport
	Sealer    Sealer
	Hello     Hello // Worker is drawn if it is ""

	// Missed is called once if no leader answers when one is looked for first; it may be nil.
	Missed func(err error)

	Beat     time.Duration // between beats; default 500ms
	Answer   time.Duration // most that an answer is waited for; default 1s
	Patience time.Duration // how long a leader is looked for before, and done without after joining; default 1m
}

// Worker is a process of a job, towards its leader.
type Worker struct {
	cfg    WorkerConfig
	wire   wire
	number int

	leave     chan struct{} // closed by Leave
	leaveOnce sync.Once
	poked     chan struct{} // has a token when a beat is due at once
	roster    atomic.Pointer[Roster]
}

// Host is what does the work of a worker.
type Host interface {
	// Assign is called with each newer roster, one after the other, and must not block for
	// long. Slots of others that run here are to be stopped, those that are given to this
	// worker to be taken over; over, all are to be stopped.
	Assign(r *Roster)
	// Report is how the slots are that run here.
	Report() []SlotReport
	// Explain says what each of them waits for. It takes a few seconds at most.
	Explain() []Explanation
}

// Join asks the leader of a job to be taken in, again and again until one answers. It
// fails with a *[Refused] that is final, and with [ErrStranger].
func Join(ctx context.Context, cfg WorkerConfig) (*Worker, *Welcome, error) {
	for _, d := range []struct {
		v     *time.Duration
		value time.Duration
	}{{&cfg.Beat, 500 * time.Millisecond}, {&cfg.Answer, time.Second}, {&cfg.Patience, time.Minute}} {
		if *d.v == 0 {
			*d.v = d.value
		}
	}
	if cfg.Hello.Worker == "" {
		cfg.Hello.Worker = NewID()
	}
	w := &Worker{cfg: cfg, wire: wire{cfg.Transport, cfg.Sealer}, leave: make(chan struct{}), poked: make(chan struct{}, 1)}
	m, err := w.insist(ctx, &cfg.Hello)
	if err != nil {
		return nil, nil, err
	}
	welcome, ok := m.(*Welcome)
	if !ok {
		return nil, nil, w.unexpected(&cfg.Hello, m)
	}
	w.number = welcome.Number
	return w, welcome, nil
}

// Reach says where others reach the worker directly. It is called before Run, and fails as
// Join does.
func (w *Worker) Reach(ctx context.Context, address string) error {
	w.cfg.Hello.Address = address
	m, err := w.insist(ctx, &w.cfg.Hello)
	if _, ok := m.(*Welcome); err == nil && !ok {
		return w.unexpected(&w.cfg.Hello, m)
	}
	return err
}

// NewID draws the ID of a process.
func NewID() string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x", b)
}

// ID is the worker's.
func (w *Worker) ID() string { return w.cfg.Hello.Worker }

// Number is what people call the worker.
func (w *Worker) Number() int { return w.number }

// insist asks until there is an answer, for as long as patience lasts.
func (w *Worker) insist(ctx context.Context, m Message) (Message, error) {
	for begun := time.Now(); ; {
		answer, err := w.once(ctx, m)
		var refused *Refused
		switch {
		case err == nil:
			return answer, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.As(err, &refused), errors.Is(err, ErrStranger), errors.Is(err, ErrNewer):
			return nil, err
		case time.Since(begun) > w.cfg.Patience:
			return nil, fmt.Errorf("no leader of the job %q has answered for %v: %w", w.cfg.Sealer.Job, w.cfg.Patience, err)
		}
		if w.cfg.Missed != nil {
			w.cfg.Missed(err)
			w.cfg.Missed = nil
		}
		if err := w.pause(ctx, min(w.cfg.Beat, 100*time.Millisecond)); err != nil {
			return nil, err
		}
	}
}

// once asks once; that it is refused is an error.
func (w *Worker) once(ctx context.Context, m Message) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Answer)
	defer cancel()
	answer, err := w.wire.ask(ctx, m)
	if refused, ok := answer.(*Refused); ok {
		return nil, refused
	}
	return answer, err
}

func (w *Worker) unexpected(asked, got Message) error {
	return fmt.Errorf("the leader answers %s with %s", kindOf(asked), kindOf(got))
}

// Run says that the worker has built g, and works until the job is over; then it returns
// the last roster, and the caller stops what runs and calls [Worker.Exit]; or until it has
// nothing any more after [Worker.Leave], or as it was started by another process and is
// not needed. It fails when the worker is refused, when the leader is gone for too long, and when ctx ends. No
// goroutine of it is left when it returns.
func (w *Worker) Run(ctx context.Context, g Graph, host Host) (*Roster, error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	rosters := make(chan *Roster, 8)
	offer := func(r *Roster) {
		select {
		case rosters <- r:
		default: // it will be told again
		}
	}
	stop, err := w.wire.listen(func(m Message) {
		if r, ok := m.(*Roster); ok {
			offer(r)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("work for the job: %w", err)
	}
	defer stop()
	quiet, err := w.wire.serve(serviceOf(w.ID()), func(m Message) Message { return w.answer(host, m) })
	if err != nil {
		return nil, fmt.Errorf("work for the job: %w", err)
	}
	defer quiet()
	failed := make(chan error, 1)
	wg.Go(func() { failed <- w.beats(ctx, g, host, offer) })
	leave := w.leave
	for {
		select {
		case err := <-failed:
			return nil, err
		case <-leave:
			leave = nil
		case r := <-rosters:
			if has := w.roster.Load(); has != nil && !r.Newer(has.Edition) {
				continue
			}
			w.roster.Store(r)
			host.Assign(r)
			w.Poke()
		}
		switch r := w.roster.Load(); {
		case r == nil:
		case r.Phase.Over(), w.leaving() && !r.owns(w.ID()), r.surplus(w.ID()):
			return r, nil
		}
	}
}

// answer is what the leader gets that asks the worker; nil is a stranger's.
func (w *Worker) answer(host Host, m Message) Message {
	c, ok := m.(*Command)
	switch {
	case m == nil:
		return &Refused{Reason: ErrStranger.Error()}
	case ok && c.Name == "explain":
		return reply(host.Explain(), nil)
	}
	return &Refused{Reason: "nobody asks a worker for that"}
}

// beats says that the worker is ready, and beats until something fails for good.
func (w *Worker) beats(ctx context.Context, g Graph, host Host, offer func(*Roster)) error {
	if err := w.ready(ctx, g, offer); err != nil {
		return err
	}
	for last := time.Now(); ; {
		err := w.beat(ctx, g, host, offer)
		var refused *Refused
		switch {
		case err == nil:
			last = time.Now()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &refused):
			return err
		case time.Since(last) > w.cfg.Patience:
			return fmt.Errorf("nothing was heard of the job's leader for %v: %w", w.cfg.Patience, err)
		}
		if err := w.pause(ctx, w.cfg.Beat); err != nil {
			return err
		}
	}
}

// ready says that the graph is built.
func (w *Worker) ready(ctx context.Context, g Graph, offer func(*Roster)) error {
	for m := (&Ready{Worker: w.ID(), Hash: g.Hash}); ; m.Graph = &g {
		answer, err := w.insist(ctx, m)
		if err != nil {
			return err
		}
		switch r := answer.(type) {
		case *Roster:
			offer(r)
			return nil
		case *Fine:
			return nil
		case *Tell: // the leader wants the graph, or is another one than that which has heard our Hello
			if _, err := w.insist(ctx, &w.cfg.Hello); err != nil {
				return err
			}
		default:
			return w.unexpected(m, answer)
		}
	}
}

// beat says how things are here, and learns how they are elsewhere.
func (w *Worker) beat(ctx context.Context, g Graph, host Host, offer func(*Roster)) error {
	m := &Beat{Worker: w.ID(), Leaving: w.leaving(), Slots: host.Report()}
	if r := w.roster.Load(); r != nil {
		m.Edition = r.Edition
	}
	answer, err := w.once(ctx, m)
	if err != nil {
		return err
	}
	switch r := answer.(type) {
	case *Roster:
		offer(r)
	case *Tell: // the leader is another one, or has forgotten us
		if _, err := w.once(ctx, &w.cfg.Hello); err != nil {
			return err
		}
		return w.ready(ctx, g, offer)
	case *Fine:
	default:
		return w.unexpected(m, answer)
	}
	return nil
}

// Leave hands on the worker's slots: Run returns when they are others'.
func (w *Worker) Leave() {
	w.leaveOnce.Do(func() { close(w.leave) })
	w.Poke()
}

func (w *Worker) leaving() bool {
	select {
	case <-w.leave:
		return true
	default:
		return false
	}
}

// Poke lets the worker beat at once, as there is something to tell.
func (w *Worker) Poke() {
	select {
	case w.poked <- struct{}{}:
	default:
	}
}

// Exit tells the leader that the worker leaves; after it the worker is done with. It waits
// for an answer only as long as for one.
func (w *Worker) Exit(ctx context.Context, reason string) error {
	_, err := w.once(ctx, &Exit{Worker: w.ID(), Reason: Text(reason)})
	return err
}

// Log shows a line to who looks at the job.
func (w *Worker) Log(line string) error {
	return w.wire.tell(&Log{Number: w.number, Line: Text(line)})
}

// pause waits, until the worker is poked or ctx ends.
func (w *Worker) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.poked:
	case <-t.C:
	}
	return nil
}
