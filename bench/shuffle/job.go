package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/pipeline"
)

const jobName = "shuffle"

// runJob is a worker that runs a slot of a pipeline, that of records or that of blocks.
func runJob[B body](ctx context.Context, c *child) error {
	l, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	j := &job[B]{child: c, meter: &host.Meter{}}
	p := pipeline.New()
	if inBlocks(c.Way) {
		j.buildBlocks(p)
	} else {
		j.build(p)
	}
	if err := p.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errOver := errors.New("all have finished")
	var finished sync.WaitGroup
	err = host.Run(ctx, host.Config{
		Job: 1, Slot: c.Worker, Slots: workers, Process: uint64(c.Worker) + 1,
		Plane: l.plane, Frames: &l.frames, Control: l.bus.Control(), Acceptors: []host.Acceptor{l.store.Acceptor()}, Stale: natsbus.ErrStale,
		Changes: l.store.Changelog(), Copies: l.store.Copies(), Objects: l.store.Objects(),
		Graph: p.Graph(), Engine: engine.Config{Lanes: c.Lanes}, Every: c.Epoch, Volume: c.Volume, Logged: c.Way == "millrace-log", Meter: j.meter,
	}, func() {
		finished.Go(func() {
			err := c.finish(j.report())
			if err == nil {
				err = errOver
			}
			cancel(err)
		})
	})
	finished.Wait()
	if errors.Is(err, errOver) {
		return nil
	}
	return err
}

// line is a worker's connections.
type line struct {
	bus    *natsbus.Bus
	store  *natsbus.Store
	plane  natsbus.Plane
	frames frame.Pool
	stops  []func()
}

func (l *line) close() {
	for i := len(l.stops) - 1; i >= 0; i-- {
		l.stops[i]()
	}
}

// connect connects as the way wants it, and returns when all workers have.
func (c *child) connect(ctx context.Context) (_ *line, err error) {
	l := &line{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	at := natsbus.Config{Job: jobName, URLs: []string{c.Server}}
	if l.bus, err = natsbus.Connect(at); err != nil {
		return nil, err
	}
	l.stops = append(l.stops, l.bus.Close)
	if l.store, err = natsbus.OpenStore(natsbus.Config{Job: jobName, URLs: []string{c.Server}}); err != nil {
		return nil, err
	}
	l.stops = append(l.stops, l.store.Close)
	const token = "of the bench"
	switch plane(c.Way) {
	case "mesh":
		r, err := natsbus.ListenRouted(ctx, natsbus.RoutedConfig{Job: jobName, Token: token, Name: strconv.Itoa(c.Worker), Encrypt: c.Encrypt})
		if err != nil {
			return nil, err
		}
		l.plane, l.stops = r, append(l.stops, r.Close)
		all, err := c.meet(r.Addr())
		if err != nil {
			return nil, err
		}
		r.Peers(map[string]string{strconv.Itoa(c.other()): all[c.other()]})
		for again := time.NewTicker(time.Millisecond); r.Missing() > 0; <-again.C {
		}
	case "direct":
		d, err := natsbus.ListenDirect(natsbus.DirectConfig{Job: jobName, Token: token, Encrypt: c.Encrypt, Frames: &l.frames})
		if err != nil {
			return nil, err
		}
		l.plane, l.stops = d, append(l.stops, d.Close)
		all, err := c.meet(d.Addr())
		if err != nil {
			return nil, err
		}
		d.Route(c.other(), all[c.other()])
	default:
		l.plane = l.bus.Plane()
		_, err = c.meet("")
	}
	return l, err
}

// job is the pipeline of a worker. Which keys its source makes depends on the slot, so
// that all records cross; the graph does not.
type job[B body] struct {
	*child
	meter *host.Meter  // nil: nothing is committed
	first atomic.Int64 // when the first record was emitted

	mu      sync.Mutex // guards what follows
	takers  []*taker   // by lane
	counted []*uint64  // by lane: what counts have risen to
}

func (j *job[B]) build(p *pipeline.Pipeline) {
	records := pipeline.Read[B](p, "shuffle.Read", source[B]{j})
	byKey := pipeline.KeyBy(records, func(b B) uint64 { return keyOf(&b) })
	none := pipeline.Stateful(byKey, "count", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, B, uint64] {
		count := pipeline.ValueState[uint64](s, "n")
		t, n := j.taker()
		return func(c *pipeline.Ctx[uint64], b B, _ pipeline.Emit[uint64]) error {
			count.Set(c, count.Get(c)+1)
			if stamp := stampOf(&b); stamp != 0 {
				t.stamped(stamp)
			}
			t.N++
			*n++
			return nil
		}
	})
	pipeline.ForEach(none, func(context.Context, uint64) error { return errors.New("nothing is emitted") })
}

// taker makes what a lane notes things in.
func (j *job[B]) taker() (*taker, *uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t, n := &taker{}, new(uint64)
	j.takers, j.counted = append(j.takers, t), append(j.counted, n)
	return t, n
}

// report is called when the lanes have ended.
func (j *job[B]) report() report {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := report{First: j.first.Load()}
	if j.meter != nil {
		r.Commits, r.Ready, r.Put = j.meter.Commit.Count(), j.meter.Ready.Mean(), j.meter.Put.Mean()
	}
	for i, t := range j.takers {
		r.Taken.N += t.N
		r.Taken.Last = max(r.Taken.Last, t.Last)
		r.Taken.Samples = append(r.Taken.Samples, t.Samples...)
		r.Counted += *j.counted[i]
	}
	return r
}

// source is what a slot emits; its splits are those of lanes.
type source[B body] struct{ job *job[B] }

func (s source[B]) Bounded() bool { return true }

// Splits are dealt to slots by their place, so that each slot has as many.
func (s source[B]) Splits(_ context.Context, lanes int) (out []pipeline.Split[B], _ error) {
	for i := range lanes {
		out = append(out, &split[B]{s.job, uint64(i), uint64(lanes)})
	}
	return out, nil
}

type split[B body] struct {
	job   *job[B]
	i, of uint64
}

func (s *split[B]) ID() string  { return fmt.Sprint(s.i) }
func (s *split[B]) Size() int64 { return int64(s.records()) }

// records is how many this split has of all.
func (s *split[B]) records() uint64 {
	all := s.job.Records * workers
	return all*(s.i+1)/s.of - all*s.i/s.of
}

func (s *split[B]) Open(_ context.Context, position []byte) (pipeline.Reader[B], error) {
	return s.open(position), nil
}

func (s *split[B]) open(position []byte) *reader[B] {
	r := &reader[B]{split: s, m: newMaker(s.job.Worker, s.job.Keys), pace: pace{perSecond: s.job.Rate * workers / float64(s.of)}}
	if position != nil {
		r.next = binary.LittleEndian.Uint64(position)
	}
	s.job.first.CompareAndSwap(0, time.Now().UnixNano())
	return r
}

type reader[B body] struct {
	*split[B]
	m    *maker
	pace pace
	next uint64
	b    B
	quit chan struct{} // of the goroutine that wakes the lane; nil before it starts
}

func (r *reader[B]) Read(most int, out *pipeline.Output[B]) (pipeline.ReadState, error) {
	due := r.due(out.Waker)
	for ; most > 0 && r.next < due; most-- {
		r.m.fill(bytesOf(&r.b), r.next)
		r.next++
		out.Emit(r.b)
	}
	return r.state(due), nil
}

// due is the number of the first record that is not to be emitted yet.
func (r *reader[B]) due(waker func() func()) uint64 {
	if r.pace.perSecond > 0 && r.quit == nil {
		r.quit = make(chan struct{})
		go r.ring(waker())
	}
	return r.pace.due(r.records())
}

func (r *reader[B]) state(due uint64) pipeline.ReadState {
	switch {
	case r.next == r.records():
		return pipeline.Done
	case r.next < due:
		return pipeline.More
	}
	return pipeline.Idle
}

// ring stands for a network that brings something every millisecond.
func (r *reader[B]) ring(wake func()) {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			wake()
		case <-r.quit:
			return
		}
	}
}

func (r *reader[B]) Position(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, r.next) }
func (r *reader[B]) Where() string            { return fmt.Sprintf("record %d", r.next) }
func (r *reader[B]) Progress() int64          { return int64(r.next) }

func (r *reader[B]) Close() error {
	if r.quit != nil {
		close(r.quit)
	}
	return nil
}
