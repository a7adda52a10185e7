package distributed

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/engine"
	protocol "github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/tasks"
	"github.com/millrace/millrace/internal/upgrade"
)

// slots runs the slots of a worker: each that is given to it, until it is another's.
type slots struct {
	setting
	process uint64       // failure domain
	log     *slog.Logger // what slots do; nil: nobody is told
	store   *natsbus.Store
	ctx     context.Context // of all slots
	cancel  context.CancelFunc
	work    tasks.Group
	deaths  protocol.Deaths
	drains  atomic.Bool // the job does

	mu      sync.Mutex // guards what follows
	roster  *cluster.Roster
	meters  []*protocol.Meter // by slot; nil of one that never was here
	running map[int]*slot
	warm    map[int]*standby
}

// slot is a slot that runs here, or has run to its end.
type slot struct {
	stop   context.CancelFunc
	seen   *engine.Observer
	state  cluster.SlotState
	failed error
}

// standby is a slot for which this worker stands by.
type standby struct {
	*protocol.Standby
	stop context.CancelFunc
}

// newSlots returns the host of a worker that runs its pipeline.
func newSlots(s setting) (host, error) {
	process, err := strconv.ParseUint(s.worker.ID(), 16, 64)
	if err != nil {
		return nil, fmt.Errorf("the ID of this worker: %w", err)
	}
	store, err := natsbus.OpenStore(s.cfg.bus())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &slots{setting: s, process: process, store: store, ctx: ctx, cancel: cancel, running: map[int]*slot{}, warm: map[int]*standby{}}, nil
}

// Assign implements cluster.Host.
func (s *slots) Assign(r *cluster.Roster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.roster
	s.roster = r
	s.drains.Store(r.Phase == cluster.Draining)
	s.tell(before, r)
	s.plane.follow(r)
	s.arrange()
}

// tell tells slots here which workers are there no more.
func (s *slots) tell(before, now *cluster.Roster) {
	if before == nil {
		return
	}
	for _, m := range before.Workers {
		process, err := strconv.ParseUint(m.Worker, 16, 64)
		if err == nil && !slices.ContainsFunc(now.Workers, func(o cluster.Member) bool { return o.Worker == m.Worker }) {
			s.deaths.Tell(process)
		}
	}
}

// arrange begins and stops slots as the roster says. s.mu is held.
func (s *slots) arrange() {
	over := s.roster.Phase.Over()
	for i, x := range s.running {
		if over || s.roster.Slots[i].Owner != s.worker.ID() {
			x.stop()
			delete(s.running, i)
		} else if s.roster.Phase == cluster.Stopping && x.state != cluster.Ended && x.state != cluster.Broken {
			x.stop()
			x.state = cluster.Stopped
		}
	}
	for i, p := range s.roster.Slots {
		mine, stands := p.Owner == s.worker.ID(), slices.Contains(p.Standbys, s.worker.ID())
		switch {
		case s.roster.Phase.Runs() && mine && s.running[i] == nil:
			s.begin(i)
		case s.roster.Phase.Runs() && stands && s.running[i] == nil && s.warm[i] == nil:
			s.stand(i)
		case s.warm[i] != nil && (!s.roster.Phase.Runs() || !stands):
			s.warm[i].stop()
			delete(s.warm, i)
		}
	}
}

// stand begins to stand by slot i. s.mu is held.
func (s *slots) stand(i int) {
	ctx, stop := context.WithCancel(s.ctx)
	b := &standby{protocol.NewStandby(s.config(i, nil), s.worker.Poke), stop}
	s.warm[i] = b
	s.work.Go(func() {
		if err := b.Run(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintln(s.out, err)
		}
	})
}

// config is the protocol's for slot i. s.mu is held.
func (s *slots) config(i int, seen *engine.Observer) protocol.Config {
	bus := s.bus
	return protocol.Config{
		Job: jobHash(s.cfg.job), Slot: i, Slots: len(s.roster.Slots), Process: s.process,
		Plane: s.plane.of(), Frames: s.plane.frames, Control: bus.Control(), Acceptors: []protocol.Acceptor{s.store.Acceptor()}, Stale: natsbus.ErrStale,
		Changes: s.store.Changelog(), Copies: s.store.Copies(), Objects: s.store.Objects(), Passing: passing, Deaths: &s.deaths,
		Graph: s.p.Graph(), Every: s.cfg.epoch, Volume: int(s.cfg.epochSize),
		Engine: engine.Config{
			Lanes: s.roster.Lanes, Manifest: upgrade.ManifestOf(s.p.Graph()), TempDir: s.cfg.tempDir, Observe: seen,
			OnError: s.cfg.onError, Retries: s.cfg.retries,
		},
		EpochSinks: s.cfg.byEpoch, Rests: s.drains.Load, Logged: s.cfg.plane == overLog, Log: s.log,
	}
}

// begin begins slot i, with what stands by it here. s.mu is held.
func (s *slots) begin(i int) {
	ctx, stop := context.WithCancel(s.ctx)
	x := &slot{stop: stop, seen: &engine.Observer{}}
	s.running[i] = x
	for len(s.meters) <= i {
		s.meters = append(s.meters, nil)
	}
	if s.meters[i] == nil {
		s.meters[i] = &protocol.Meter{}
	}
	cfg, end := s.config(i, x.seen), func() {}
	cfg.Meter = s.meters[i]
	if b := s.warm[i]; b != nil {
		cfg.From, end = b.Standby, b.stop
		delete(s.warm, i)
	}
	s.work.Go(func() {
		defer end()
		defer stop()
		err := protocol.Run(ctx, cfg, func() { s.enter(i, x, cluster.Ended, nil) })
		switch {
		case ctx.Err() != nil: // it was told to stop
		case errors.Is(err, protocol.ErrReplaced):
			s.forget(i, x)
		default:
			s.enter(i, x, cluster.Broken, err)
		}
	})
}

// passing reports that a call of a store has failed as its server is not there for a while.
func passing(err error) bool {
	var e *natsbus.StoreError
	return errors.As(err, &e) && e.Passing()
}

// enter notes what has become of a slot, and tells the leader.
func (s *slots) enter(i int, x *slot, state cluster.SlotState, err error) {
	s.mu.Lock()
	if s.running[i] == x {
		x.state, x.failed = state, err
	}
	s.mu.Unlock()
	s.worker.Poke()
}

// forget forgets a slot that another process has taken over. If the roster gives it to this
// worker still, at the next beat, it is taken over again.
func (s *slots) forget(i int, x *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[i] == x {
		delete(s.running, i)
	}
}

// Report implements cluster.Host.
func (s *slots) Report() (list []cluster.SlotReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roster != nil {
		s.arrange()
	}
	for i, x := range s.running {
		p, e := x.seen.Progress(), x.seen.Epoch()
		if x.state == cluster.Opening && (p.Stages > 0 || e.N > 0) {
			x.state = cluster.Live
		}
		r := cluster.SlotReport{Slot: i, State: x.state, Elements: p.Elements, Read: p.Read, Total: p.Total, Epoch: e.N}
		if x.failed != nil {
			r.Error = cluster.Text(x.failed.Error())
		}
		list = append(list, r)
	}
	for i, b := range s.warm {
		if b.Warm() {
			list = append(list, cluster.SlotReport{Slot: i, State: cluster.Warm})
		}
	}
	return list
}

// Explain implements cluster.Host.
func (s *slots) Explain() (list []cluster.Explanation) {
	s.mu.Lock()
	running, meters := maps.Clone(s.running), slices.Clone(s.meters)
	s.mu.Unlock()
	var mu sync.Mutex // guards list
	var all sync.WaitGroup
	for i, x := range running {
		all.Go(func() {
			text := strings.TrimSpace(x.seen.Explain(time.Second).String())
			mu.Lock()
			defer mu.Unlock()
			list = append(list, cluster.Explanation{Slot: i, Text: cluster.Text(text), Protocol: cluster.Text(meters[i].Protocol())})
		})
	}
	all.Wait()
	return list
}

// Close implements host.
func (s *slots) Close() error {
	s.cancel()
	s.work.Wait()
	s.store.Close()
	return nil
}

// jobHash is what tells frames of one job from those of another.
func jobHash(job string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, job)
	return h.Sum64()
}
