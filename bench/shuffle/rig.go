package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/bench/internal/meter"
	"github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/natsbus"
)

// figures are of one run.
type figures struct {
	records uint64
	took    time.Duration // from the first record emitted to the last one taken in
	cpu     time.Duration // of all processes
	samples []int64       // sorted
	commits uint64
	ready   time.Duration // of commits: sums of the workers' means
	put     time.Duration
}

func (f *figures) perSecond() float64 { return float64(f.records) / f.took.Seconds() }
func (f *figures) cores() float64     { return f.cpu.Seconds() / f.took.Seconds() }

// quantile is in ms.
func (f *figures) quantile(q float64) float64 {
	if len(f.samples) == 0 {
		return 0
	}
	return float64(f.samples[min(int(q*float64(len(f.samples))), len(f.samples)-1)]) / 1e6
}

// measure runs a way as fast as it goes.
func measure(ctx context.Context, way string, l load) (*figures, error) {
	return measureAt(ctx, way, l, 0)
}

// measureAt runs a way at a rate.
func measureAt(ctx context.Context, way string, l load, rate float64) (_ *figures, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := task{Way: way, Records: l.records / workers, Size: l.size, Keys: l.keys, Lanes: l.lanes, Epoch: l.epoch, Volume: l.volume, Rate: rate / workers, Encrypt: l.encrypt}
	stop, err := profile(profileName(l.profile, way, rate, "servers"))
	if err != nil {
		return nil, err
	}
	defer stop()
	if !overTCP(way) || commits(way) {
		stop, err := serve(ctx, &t, cancel)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	var all []*process
	defer func() {
		for _, p := range all {
			_ = p.close() // it may be gone
		}
		for _, p := range all {
			err = errors.Join(err, p.cmd.Wait())
		}
	}()
	for i := range workers {
		t.Worker, t.Profile = i, profileName(l.profile, way, rate, i)
		p, err := start(ctx, t)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return collect(ctx, all, t.Records)
}

// collect lets workers meet, and gathers what they report.
func collect(ctx context.Context, all []*process, each uint64) (*figures, error) {
	addrs := make([]string, len(all))
	for i, p := range all {
		var h hello
		if err := p.out.Decode(&h); err != nil {
			return nil, p.failed(ctx, err)
		}
		addrs[i] = h.Addr
	}
	cpu := meter.CPU()
	for _, p := range all {
		if err := p.in.Encode(addrs); err != nil {
			return nil, p.failed(ctx, err)
		}
	}
	f := &figures{records: each * uint64(len(all))}
	var first, last int64
	for _, p := range all {
		var r report
		if err := p.out.Decode(&r); err != nil {
			return nil, p.failed(ctx, err)
		}
		if err := r.check(each); err != nil {
			return nil, err
		}
		if first == 0 || r.First < first {
			first = r.First
		}
		last = max(last, r.Taken.Last)
		f.cpu += r.CPU
		f.commits, f.ready, f.put = f.commits+r.Commits, f.ready+r.Ready, f.put+r.Put
		f.samples = append(f.samples, r.Taken.Samples...)
	}
	f.cpu += meter.CPU() - cpu
	f.took = time.Duration(last - first)
	slices.Sort(f.samples)
	return f, nil
}

// process is a worker as the bench sees it.
type process struct {
	cmd   *exec.Cmd
	in    *json.Encoder
	out   *json.Decoder
	close func() error // its input: it ends
}

func start(ctx context.Context, t task) (*process, error) {
	line, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childVar+"="+string(line))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd, json.NewEncoder(in), json.NewDecoder(out), in.Close}, nil
}

// failed says why a worker says no more.
func (p *process) failed(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("a worker has failed: %w", err)
}

// serve starts what t's way wants of NATS, and leads its job.
func serve(ctx context.Context, t *task, fail context.CancelCauseFunc) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "shuffle-*")
	if err != nil {
		return nil, err
	}
	stops := []func(){func() { os.RemoveAll(dir) }}
	stop = func() {
		for _, f := range slices.Backward(stops) {
			f()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	s, err := natsbus.StartServer(ctx, natsbus.ServerConfig{Dir: dir})
	if err != nil {
		return nil, err
	}
	stops = append(stops, s.Close)
	t.Server = s.URL()
	if !isJob(t.Way) && !commits(t.Way) {
		return stop, nil
	}
	bus, err := natsbus.Connect(natsbus.Config{Job: jobName, Server: s})
	if err != nil {
		return nil, err
	}
	stops = append(stops, bus.Close)
	store, err := natsbus.OpenStore(natsbus.Config{Job: jobName, Server: s})
	if err != nil {
		return nil, err
	}
	stops = append(stops, store.Close)
	for _, create := range []func() error{
		func() error { return store.Acceptor().Create(ctx) },
		func() error { return store.Changelog().Create(ctx, 0) },
		func() error { return store.Copies().Create(ctx, 0) },
		func() error { return store.Objects().Create(ctx, 0) },
	} {
		if err := create(); err != nil {
			return nil, err
		}
	}
	if !isJob(t.Way) {
		return stop, nil
	}
	leading, end := context.WithCancel(ctx)
	var led sync.WaitGroup
	led.Go(func() {
		err := host.Lead(leading, host.LeaderConfig{Slots: workers, Control: bus.Control(), Acceptors: []host.Acceptor{store.Acceptor()}, Stale: natsbus.ErrStale, Objects: store.Objects()})
		if leading.Err() == nil {
			fail(err)
		}
	})
	stops = append(stops, func() { end(); led.Wait() })
	return stop, nil
}
