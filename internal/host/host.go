package host

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/alarm"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/tasks"
)

// tickEvery is how often the core is told the time. Where commits are more frequent than
// every 50 ms it is told more often, and where an epoch is to be cut by time, right then: what
// is late there is late in all that is committed.
const tickEvery = 5 * time.Millisecond

// Host is one incarnation of a slot.
type Host struct {
	cfg    Config
	shape  held.Shape
	ctx    context.Context
	cancel context.CancelCauseFunc
	reg    *register
	store  *store
	start  time.Time
	asks   chan engine.Ask
	cuts   *engine.Cuts // nil: sinks show with each epoch
	work   tasks.Group  // goroutines of this incarnation

	mu       sync.Mutex // guards what follows
	changed  *sync.Cond
	core     *held.Slot
	cut      held.Ident // the epoch that was cut last
	cutAt    time.Time  // when that was
	edges    map[int]engine.ShuffleEdge
	wake     func(lane int)
	in       frames
	up       bool                    // the incarnation is committed
	early    []incoming              // what came before it was
	out      map[copyID][][]outFrame // by class
	open     [][][]outFrame          // of the open epoch, by receiver and class
	first    [][]engine.Arrival      // by lane: marks that were heard before this incarnation
	acts     []held.Act
	acting   bool          // somebody performs them, and looks again before it ends
	rouse    chan struct{} // holds one: there is something to perform
	marks    []byte        // of the epoch that was cut last
	finished bool          // the engine has come to its end
	moving
	log     trimming                                  // of the changelog
	copied  trimming                                  // of copies
	young   trimming                                  // of young copies; it has first in common with copied
	newest  held.Cut                                  // before young copies
	copying int                                       // bytes of copies since young ones were trimmed
	phases  struct{ register, restore time.Duration } // when each had ended, of the takeover
	heard   bool                                      // a standby listens for this
	left    bool                                      // the next incarnation has all that this one had
}

// copyID names the frames of one of this slot's epochs for a receiver.
type copyID struct {
	dst   int
	inc   held.Inc
	epoch held.Epoch
}

// outFrame is a frame as it is sent.
type outFrame []byte

// ErrReplaced is what a host ends with when another one has taken the slot over.
var ErrReplaced = errors.New("another process has taken the slot over")

// errRolledBack is why an incarnation ends that has to begin again in another generation.
var errRolledBack = errors.New("the job has gone back to its last cut")

// Run hosts a slot until the job is over or ctx ends. When the job goes back to its last
// cut, it does so too, and it takes the slot over from itself when somebody who died over a
// takeover is in the way of the slot's register, or when user code fails and the error policy
// wants the element found: others then drop what was sent since the last epoch. done is
// called once the slot's input has ended and its output is committed; what others have not
// taken in yet is kept for them until ctx ends.
func Run(ctx context.Context, cfg Config, done func()) error {
	cfg = cfg.withDefaults()
	for {
		left, err := incarnate(ctx, cfg, done)
		cfg.From, cfg.before = nil, left
		again, failed := errors.AsType[*engine.Again](err)
		switch {
		case failed:
			cfg.Engine.Replay = again.Next
			cfg.Meter.Replays.Add(1)
		case errors.Is(err, errRolledBack):
			cfg.Meter.Rollbacks.Add(1)
		case !errors.Is(err, errStuck):
			return err
		}
		cfg.Log.Info("the slot is taken over again", "slot", cfg.Slot, "error", err)
	}
}

// incarnate takes the slot over and runs it. What it has left is nil unless the engine is to
// replay.
func incarnate(parent context.Context, cfg Config, done func()) (left *bequest, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	h := &Host{
		cfg: cfg, ctx: ctx, cancel: cancel, start: time.Now(), asks: make(chan engine.Ask, 1), rouse: make(chan struct{}, 1),
		in: frames{}, out: map[copyID][][]outFrame{}, moving: moving{came: map[held.Given][]byte{}},
	}
	h.changed = sync.NewCond(&h.mu)
	h.cuts = h.newCuts()
	if cfg.From != nil {
		defer cfg.From.end()
	}
	defer h.work.Wait()
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changed.Broadcast()
	})()
	h.shape, h.edges = shapeOf(cfg)
	if err := h.takeOver(); err != nil {
		return nil, err
	}
	cfg.Meter.Takeovers.Add(1)
	cfg.Meter.host.Store(h)
	defer cfg.Deaths.add(h)()
	stop, err := h.listen()
	if err != nil {
		return nil, err
	}
	defer stop()
	if cfg.began != nil {
		cfg.began(h)
	}
	h.work.Go(h.performing)
	h.work.Go(h.ticking)
	if !h.await(func() bool { return h.core.Running() }) {
		return nil, context.Cause(ctx)
	}
	cfg.Log.Info("the slot was taken over", "slot", cfg.Slot, "standby", cfg.From != nil,
		"register", h.phases.register, "restored", h.phases.restore, "committed", h.now())
	at := place(cfg)
	if at.Replay.Careful { // much longer than it takes to begin anew behind it
		at.Replay.For = max(at.Replay.For, 10*h.now())
	}
	at.Store, at.Shuffle, at.Asks, at.Ahead, at.Cuts = h.store, h, h.asks, true, h.cuts
	_, err = engine.Run(ctx, cfg.Graph, at)
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if _, again := errors.AsType[*engine.Again](err); again {
		return h.bequeath(), err
	}
	if err != nil {
		return nil, err
	}
	h.finish()
	done()
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (h *Host) now() time.Duration { return time.Since(h.start) }

// opened makes room for an open epoch.
func (h *Host) opened() {
	h.open = make([][][]outFrame, h.cfg.Slots)
	for i := range h.open {
		h.open[i] = make([][]outFrame, h.shape.Classes())
	}
}

// do lets f tell the core something, and does what it decides, as far as that takes no time:
// another goroutine would have to wake for it, and a commit is several such steps.
func (h *Host) do(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left {
		return
	}
	f()
	h.acts = append(h.acts, h.core.Acts()...)
	h.performAll(isQuick)
}

// collect takes the core's decisions, for another goroutine to perform. mu is held.
func (h *Host) collect() {
	h.acts = append(h.acts, h.core.Acts()...)
	if len(h.acts) > 0 && !h.acting {
		h.rouseUp()
	}
}

func (h *Host) rouseUp() {
	select {
	case h.rouse <- struct{}{}:
	default:
	}
}

// await waits until ok, which is asked with mu held; false when the incarnation is over.
func (h *Host) await(ok func() bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.ctx.Err() == nil && !ok() {
		h.changed.Wait()
	}
	return h.ctx.Err() == nil
}

func (h *Host) ticking() {
	every := min(tickEvery, max(h.cfg.Every/10, time.Millisecond))
	t := time.NewTimer(every)
	defer t.Stop()
	cut, set := alarm.New(), time.Duration(0) // when it is due to cut by time
	defer cut.Close()
	for {
		select {
		case <-t.C:
		case <-cut.C:
		case <-h.ctx.Done():
			return
		}
		waits := h.waits()
		var due time.Duration
		h.do(func() {
			h.core.Waits(waits || h.unsettled)
			h.tellShown()
			h.core.Tick(h.now())
			due = h.core.Due()
		})
		next := every
		if in := due - h.now(); in > 0 {
			next = min(next, in)
			if due != set {
				set = due
				cut.Set(in)
			}
		}
		t.Reset(next)
	}
}

// trim frees what dst has taken in. Nothing sends it any more, but for a plane that holds it:
// what is sent again is sent by who trims.
func (h *Host) trim(dst int, upTo held.Epoch) {
	maps.DeleteFunc(h.out, func(id copyID, classes [][]outFrame) bool {
		over := id.dst == dst && id.epoch <= upTo
		if over {
			for _, frames := range classes {
				for _, f := range frames {
					h.cfg.Frames.Put(f)
				}
			}
		}
		return over
	})
}
