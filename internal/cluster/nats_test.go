package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
	"github.com/stretchr/testify/require"
)

// Goal: a job over a real NATS server, each process with connections of its own; a worker
// may be there before the leader. Where nobody leads, that is said at once.
func TestJob_nats(t *testing.T) {
	s, err := natsbus.StartServer(t.Context(), natsbus.ServerConfig{})
	require.NoError(t, err)
	defer s.Close()
	connect := func() *natsbus.Control {
		bus, err := natsbus.Connect(natsbus.Config{Job: "shop", URLs: []string{s.URL()}})
		require.NoError(t, err)
		t.Cleanup(bus.Close)
		return bus.Control()
	}
	client := &Client{Transport: connect(), Sealer: sealer}
	require.ErrorIs(t, client.Do(t.Context(), nil, "status"), natsbus.ErrNobody)

	var finish, broken atomic.Bool
	graph := Graph{Hash: 1}
	ended := make(chan done, 3)
	for range 3 {
		bus := connect()
		go func() {
			w, _, err := Join(t.Context(), WorkerConfig{Transport: bus, Sealer: sealer, Beat: 10 * time.Millisecond})
			if err != nil {
				ended <- done{err: err}
				return
			}
			last, err := w.Run(t.Context(), graph, &labour{id: w.ID(), finish: &finish, broken: &broken})
			if err == nil {
				err = w.Exit(t.Context(), "done")
			}
			ended <- done{last, err}
		}()
	}
	running := make(chan struct{}, 1)
	leader := NewLeader(LeaderConfig{
		Crew: CrewConfig{Slots: 3, Lanes: 1, Wait: 3, Graph: graph}, Transport: connect(), Sealer: sealer,
		Note: func(text string) {
			if text == "all are here: 3 slots on 3 workers" {
				running <- struct{}{}
			}
		},
	})
	led := make(chan *Roster, 1)
	go func() {
		last, err := leader.Run(t.Context())
		if err != nil {
			last = nil
		}
		led <- last
	}()
	<-running
	var st Status
	require.NoError(t, client.Do(t.Context(), &st, "status"))
	require.Len(t, st.Workers, 3)
	finish.Store(true)
	for range 3 {
		d := <-ended
		require.NoError(t, d.err)
		require.Equal(t, Done, d.roster.Phase)
	}
	require.Equal(t, Done, (<-led).Phase)

	stranger := &Client{Transport: connect(), Sealer: Sealer{Job: "shop", Token: "guess"}}
	require.ErrorIs(t, stranger.Do(t.Context(), nil, "status"), natsbus.ErrNobody)
}

// probing is a leader of two slots that misses nobody for silence.
func probing(over Transport, graph Graph, notes chan<- string) *Leader {
	return NewLeader(LeaderConfig{
		Crew: CrewConfig{Slots: 2, Lanes: 1, Wait: 2, Graph: graph, Silence: time.Hour}, Transport: over, Sealer: sealer,
		Nobody: natsbus.ErrNobody, Probe: 10 * time.Millisecond, Farewell: time.Millisecond, Note: func(text string) { notes <- text },
	})
}

// Goal: a worker whose connection is gone is missed at once, and not when its silence has
// lasted long enough; its slot goes to another one.
func TestJob_natsMissesAWorker(t *testing.T) {
	s, err := natsbus.StartServer(t.Context(), natsbus.ServerConfig{})
	require.NoError(t, err)
	defer s.Close()
	connect := func() *natsbus.Bus {
		bus, err := natsbus.Connect(natsbus.Config{Job: "shop", URLs: []string{s.URL()}})
		require.NoError(t, err)
		t.Cleanup(bus.Close)
		return bus
	}
	notes, met := make(chan string, 100), make(chan string, 1)
	graph := Graph{Hash: 1}
	leader := probing(answered{connect().Control(), met}, graph, notes)
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all.Go(func() { _, _ = leader.Run(ctx) })
	var finish, broken atomic.Bool
	buses := map[int]*natsbus.Bus{}
	for range 2 {
		bus := connect()
		w, _, err := Join(ctx, WorkerConfig{Transport: bus.Control(), Sealer: sealer, Beat: 10 * time.Millisecond})
		require.NoError(t, err)
		buses[w.Number()] = bus
		all.Go(func() { _, _ = w.Run(ctx, graph, &labour{id: w.ID(), finish: &finish, broken: &broken}) })
	}
	for <-notes != "all are here: 2 slots on 2 workers" {
	}
	for <-met != serviceOf(leader.Roster().Slots[1].Owner) {
	}
	second := 1
	for _, m := range leader.Roster().Workers {
		if m.Worker == leader.Roster().Slots[1].Owner {
			second = m.Number
		}
	}
	buses[second].Close()
	require.Equal(t, fmt.Sprintf("worker %d is lost: its connection is gone", second), <-notes)
	require.Equal(t, fmt.Sprintf("slot 1 goes to worker %d", 3-second), <-notes)
}

// Goal: where a server has been started again, and a worker is connected later than the leader
// is, nobody is lost by that.
func TestJob_natsComesBack(t *testing.T) {
	s, err := natsbus.StartServer(t.Context(), natsbus.ServerConfig{})
	require.NoError(t, err)
	defer s.Close()
	connect := func() (*natsbus.Control, *natstest.Proxy) {
		to, err := url.Parse(s.URL())
		require.NoError(t, err)
		proxy := natstest.NewProxy(t, to.Host)
		bus, err := natsbus.Connect(natsbus.Config{Job: "shop", URLs: []string{"nats://" + proxy.Addr()}})
		require.NoError(t, err)
		t.Cleanup(bus.Close)
		return bus.Control(), proxy
	}
	notes, graph := make(chan string, 100), Graph{Hash: 1}
	control, line := connect()
	heard := &hearing{Transport: control, by: map[string]bool{}}
	leader := probing(heard, graph, notes)
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all.Go(func() { _, _ = leader.Run(ctx) })
	var finish, broken atomic.Bool
	proxies := []*natstest.Proxy{line}
	for range 2 {
		control, proxy := connect()
		proxies = append(proxies, proxy)
		w, _, err := Join(ctx, WorkerConfig{Transport: control, Sealer: sealer, Beat: 10 * time.Millisecond})
		require.NoError(t, err)
		all.Go(func() { _, _ = w.Run(ctx, graph, &labour{id: w.ID(), finish: &finish, broken: &broken}) })
	}
	for <-notes != "all are here: 2 slots on 2 workers" {
	}
	await := func(n *atomic.Int64) {
		for seen := n.Load(); n.Load() < seen+10 && len(leader.Roster().Workers) == 2; { // who is lost is not asked
			<-time.After(time.Millisecond)
		}
	}
	await(&heard.answers)
	proxies[1].Refuse(true) // this worker comes back later
	for _, p := range proxies {
		p.Cut()
	}
	await(&heard.nobody)
	proxies[1].Refuse(false)
	for heard.met(leader.Roster().Workers) < 2 {
		<-time.After(time.Millisecond)
	}
	for len(notes) > 0 {
		require.Regexp(t, `^the leader (has no connection to NATS: the job waits for it|is connected to NATS again, after \d+ms)$`, <-notes)
	}
}

// hearing counts what is answered, and knows who has answered since nobody did.
type hearing struct {
	Transport
	answers, nobody atomic.Int64

	mu sync.Mutex // guards what follows
	by map[string]bool
}

func (h *hearing) Ask(ctx context.Context, service string, b []byte) ([]byte, error) {
	answer, err := h.Transport.Ask(ctx, service, b)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.answers.Add(1)
		h.by[service] = true
	case errors.Is(err, natsbus.ErrNobody):
		h.nobody.Add(1)
		h.by = map[string]bool{}
	}
	return answer, err
}

// met is how many of the workers have answered since nobody did.
func (h *hearing) met(workers []Member) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range workers {
		if h.by[serviceOf(m.Worker)] {
			n++
		}
	}
	return n
}

// answered tells who has answered, if anybody listens.
type answered struct {
	Transport
	by chan string
}

func (a answered) Ask(ctx context.Context, service string, b []byte) ([]byte, error) {
	answer, err := a.Transport.Ask(ctx, service, b)
	if err == nil {
		select {
		case a.by <- service:
		default:
		}
	}
	return answer, err
}
