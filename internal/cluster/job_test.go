package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// memory is a transport within a test. drop, if not nil, says which messages are lost.
type memory struct {
	drop func() bool

	mu       sync.Mutex // guards what follows
	ears     map[int]chan []byte
	services map[string]*served
	n        int
}

// served is who answers requests.
type served struct {
	fn    func([]byte) ([]byte, error)
	calls sync.WaitGroup // added to under the mutex of memory
}

func newMemory() *memory {
	return &memory{ears: map[int]chan []byte{}, services: map[string]*served{}}
}

func (m *memory) lost() bool { return m.drop != nil && m.drop() }

func (m *memory) TellAll(msg []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ear := range m.ears {
		if !m.lost() {
			select {
			case ear <- slices.Clone(msg):
			default:
			}
		}
	}
	return nil
}

func (m *memory) ListenAll(fn func([]byte)) (func(), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	n, ear, done := m.n, make(chan []byte, 100), make(chan struct{})
	m.ears[n] = ear
	go func() {
		defer close(done)
		for b := range ear {
			fn(b)
		}
	}()
	return func() {
		m.mu.Lock()
		delete(m.ears, n)
		m.mu.Unlock()
		close(ear)
		<-done
	}, nil
}

var errNobody = errors.New("nobody is there")

func (*memory) Line() (number uint64, up bool) { return 0, true }

func (m *memory) Ask(ctx context.Context, service string, b []byte) ([]byte, error) {
	m.mu.Lock()
	s := m.services[service]
	if s != nil {
		s.calls.Add(1)
		defer s.calls.Done()
	}
	m.mu.Unlock()
	if s == nil {
		return nil, errNobody
	}
	if m.lost() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	answer, err := s.fn(slices.Clone(b))
	if m.lost() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return answer, err
}

func (m *memory) Serve(service string, fn func([]byte) ([]byte, error)) (func(), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mine := &served{fn: fn}
	m.services[service] = mine
	return func() {
		m.mu.Lock()
		if m.services[service] == mine {
			delete(m.services, service)
		}
		m.mu.Unlock()
		mine.calls.Wait()
	}, nil
}

// labour is a Host: a slot of its is live as soon as it has been told of, and ended when
// finish is set.
type labour struct {
	id             string
	finish, broken *atomic.Bool

	mu    sync.Mutex // guards what follows
	phase Phase
	mine  map[int]SlotState
}

func (l *labour) Assign(r *Roster) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := map[int]SlotState{}
	for i, p := range r.Slots {
		switch {
		case p.Owner == l.id && l.mine[i] != Warm:
			mine[i] = l.mine[i]
		case p.Owner == l.id:
			mine[i] = Opening
		case slices.Contains(p.Standbys, l.id):
			mine[i] = Warm
		}
	}
	l.mine, l.phase = mine, r.Phase
}

func (l *labour) Report() (list []SlotReport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for slot, state := range l.mine {
		r := SlotReport{Slot: slot, State: state, Elements: 10}
		switch {
		case state == Warm:
		case l.broken.Load():
			r.State, r.Error = Broken, "boom"
		case state == Opening:
			l.mine[slot] = Live
		case l.finish.Load():
			r.State = Ended
		case l.phase == Stopping:
			r.State = Stopped
		}
		list = append(list, r)
	}
	return list
}

func (l *labour) Explain() (list []Explanation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for slot := range l.mine {
		list = append(list, Explanation{Slot: slot, Text: "No window is open."})
	}
	return list
}

// rig is a job in a bubble of synctest.
type rig struct {
	t              *testing.T
	bus            *memory
	cfg            LeaderConfig
	leader         *Leader
	led            chan *Roster
	finish, broken atomic.Bool

	mu    sync.Mutex // guards notes
	notes []string
}

func begin(t *testing.T, bus *memory, slots int) *rig {
	r := &rig{t: t, bus: bus}
	r.cfg = LeaderConfig{
		Crew:      CrewConfig{Slots: slots, Lanes: 1, Wait: slots, Graph: Graph{Hash: 1, Count: 1, Nodes: []Node{{Name: "count", Position: "main.go:31"}}}},
		Transport: bus, Sealer: sealer,
		Note: func(text string) { r.mu.Lock(); r.notes = append(r.notes, text); r.mu.Unlock() },
	}
	r.lead(t.Context())
	return r
}

func (r *rig) lead(ctx context.Context) {
	leader, led := NewLeader(r.cfg), make(chan *Roster, 1)
	r.leader, r.led = leader, led
	go func() {
		last, err := leader.Run(ctx)
		if !errors.Is(err, ErrReplaced) {
			assert.NoError(r.t, err)
		}
		led <- last
	}()
}

// done is how a worker has ended.
type done struct {
	roster *Roster
	err    error
}

// work joins a worker, which exits when its job is over; ended says how.
func (r *rig) work(ctx context.Context) (w *Worker, ended chan done) {
	w, _, err := Join(ctx, WorkerConfig{Transport: r.bus, Sealer: sealer, Hello: Hello{Host: "h"}})
	require.NoError(r.t, err)
	ended = make(chan done, 1)
	go func() {
		last, err := w.Run(ctx, r.cfg.Crew.Graph, &labour{id: w.ID(), finish: &r.finish, broken: &r.broken})
		if err == nil {
			_ = w.Exit(ctx, "done") // that may be lost, too
		}
		ended <- done{last, err}
	}()
	return w, ended
}

func (r *rig) client() *Client { return &Client{Transport: r.bus, Sealer: sealer} }

func (r *rig) status() (s Status) {
	require.NoError(r.t, r.client().Do(r.t.Context(), &s, "status"))
	return s
}

func (r *rig) owners() (owners []int) {
	for _, s := range r.status().Slots {
		owners = append(owners, s.Worker)
	}
	return owners
}

// Goal: a job from its first worker to its last. Method: real leader and workers in a
// bubble, whose time is virtual.
func TestJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMemory(), 3)
		var ended []chan done
		for range 3 {
			_, e := r.work(t.Context())
			ended = append(ended, e)
		}
		time.Sleep(2 * time.Second)
		s := r.status()
		require.Equal(t, Running, s.Phase)
		require.Len(t, s.Workers, 3)
		require.Equal(t, []int{1, 2, 3}, r.owners())
		for _, slot := range s.Slots {
			require.Equal(t, Live, *slot.State)
			require.EqualValues(t, 10, slot.Elements)
		}
		r.finish.Store(true)
		for _, e := range ended {
			d := <-e
			require.NoError(t, d.err)
			require.Equal(t, Done, d.roster.Phase)
		}
		begun := time.Now()
		require.Equal(t, Done, (<-r.led).Phase)
		require.Less(t, time.Since(begun), time.Second, "all had left")
	})
}

// Goal: a third of all messages may be lost, and a job comes to its end all the same.
func TestJob_lossy(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			bus := newMemory()
			bus.drop = func() bool { mu.Lock(); defer mu.Unlock(); return random.IntN(3) == 0 }
			r := begin(t, bus, 3)
			r.finish.Store(true)
			var ended []chan done
			for range 3 {
				_, e := r.work(t.Context())
				ended = append(ended, e)
			}
			for _, e := range ended {
				require.NoError(t, (<-e).err, "seed %d", seed)
			}
			require.Equal(t, Done, (<-r.led).Phase, "seed %d", seed)
		})
	}
}

// Goal: a worker that goes without a word is missed after a while, its slot runs elsewhere,
// and what it had read counts; one that joins later gets it.
func TestJob_lostAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMemory(), 2)
		r.work(t.Context())
		ctx, kill := context.WithCancel(t.Context())
		_, dead := r.work(ctx)
		time.Sleep(time.Second)
		require.Equal(t, []int{1, 2}, r.owners())
		kill()
		require.ErrorIs(t, (<-dead).err, context.Canceled)
		time.Sleep(2 * time.Second)
		require.Equal(t, []int{1, 2}, r.owners(), "it may only be slow")
		time.Sleep(4 * time.Second)
		require.Equal(t, []int{1, 1}, r.owners())
		require.EqualValues(t, 20, r.status().Slots[1].Elements, "10 of the one that died")

		r.work(t.Context())
		time.Sleep(2 * time.Second)
		require.ElementsMatch(t, []int{1, 2}, r.owners())
		r.finish.Store(true)
		require.Equal(t, Done, (<-r.led).Phase)
	})
}

// Goal: who leaves hands on what it has, and goes when others have it; one that has
// nothing goes at once.
func TestJob_leave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMemory(), 2)
		r.work(t.Context())
		second, left := r.work(t.Context())
		third, spare := r.work(t.Context())
		time.Sleep(time.Second)
		third.Leave()
		require.NoError(t, (<-spare).err)
		second.Leave()
		d := <-left
		require.NoError(t, d.err)
		require.Equal(t, Running, d.roster.Phase)
		require.Equal(t, []int{1, 1}, r.owners())
		r.finish.Store(true)
		require.Equal(t, Done, (<-r.led).Phase)
	})
}

// Goal: commands, of the leader and of the runner.
func TestJob_commands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMemory(), 1)
		c := r.client()
		synctest.Wait() // until the leader listens
		var explained []Explanation
		require.NoError(t, c.Do(t.Context(), &explained, "explain"))
		require.Equal(t, []Explanation{{Slot: 0, Text: "The job waits for workers: 0 of 1 are here."}}, explained)
		w, ended := r.work(t.Context())
		time.Sleep(time.Second)
		require.NoError(t, c.Do(t.Context(), &explained, "explain"))
		require.Equal(t, []Explanation{{Slot: 0, Worker: 1, Text: "No window is open."}}, explained)
		require.EqualError(t, c.Do(t.Context(), nil, "dance"), `there is no command "dance" for this job; there is: cancel, drain, explain, logs, rescale, status, terms`)

		lines := make(chan string, 1)
		stop, err := c.Watch(func(l *Log) { lines <- l.Line }, func(*Roster) {})
		require.NoError(t, err)
		defer stop()
		require.NoError(t, w.Log("hello"))
		require.Equal(t, "hello", <-lines)
		synctest.Wait()
		for i := range 3 * logLines {
			require.NoError(t, w.Log(string(rune('a'+i%26))))
			<-lines
			synctest.Wait()
		}
		var logs []Log
		require.NoError(t, c.Do(t.Context(), &logs, "logs", "3"))
		require.Len(t, logs, 3)
		require.Equal(t, Log{Number: 1, Line: string(rune('a' + (3*logLines-1)%26))}, logs[2])
		require.EqualError(t, c.Do(t.Context(), &logs, "logs", "some"), `logs: want the number of lines, got "some"`)

		require.NoError(t, c.Do(t.Context(), nil, "drain"))
		require.Equal(t, Drained, (<-ended).roster.Phase)
		require.Equal(t, Drained, (<-r.led).Phase)
	})
}

// Goal: how jobs end that do not come to the end of their input.
func TestJob_ends(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(r *rig, interrupt func())
		want Phase
		why  string
	}{
		{"cancelled by a command", func(r *rig, _ func()) { require.NoError(r.t, r.client().Do(r.t.Context(), nil, "cancel")) }, Cancelled, ""},
		{"interrupted", func(_ *rig, interrupt func()) { interrupt() }, Cancelled, ""},
		{"a slot breaks", func(r *rig, _ func()) { r.broken.Store(true) }, Failed, "slot 0 on worker 1: boom"},
		{"the runner gives up", func(r *rig, _ func()) { r.leader.Fail("no worker can be started") }, Failed, "no worker can be started"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, newMemory(), 1)
				r.leader.Cancel() // this one goes, and another comes that can be interrupted
				<-r.led
				ctx, interrupt := context.WithCancel(t.Context())
				r.lead(ctx)
				_, ended := r.work(t.Context())
				time.Sleep(time.Second)
				tc.end(r, interrupt)
				d := <-ended
				require.NoError(t, d.err)
				require.Equal(t, tc.want, d.roster.Phase)
				require.Equal(t, tc.why, d.roster.Why)
				require.Equal(t, tc.want, (<-r.led).Phase)
			})
		})
	}
}

// Goal: slots of a job that drains run until its leader says that they may stop, also when that is
// another one than heard the wish.
func TestJob_drains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMemory(), 1)
		_, ended := r.work(t.Context())
		may := make(chan struct{})
		drains := make(chan bool, 2)
		r.cfg.Drain = func(ctx context.Context) {
			drains <- true
			select {
			case <-may:
			case <-ctx.Done():
				drains <- false
			}
		}
		time.Sleep(time.Second)
		for term := range uint64(2) { // the first leader is without Drain, and was not asked
			last := r.leader.Roster()
			r.leader.Resign()
			require.Nil(t, <-r.led)
			if term > 0 {
				require.False(t, <-drains, "who led before waits no more")
			}
			r.cfg.Last, r.cfg.Crew.Term = last, term+1
			r.lead(t.Context())
			synctest.Wait()
			require.NoError(t, r.client().Do(t.Context(), nil, "drain"))
			require.True(t, <-drains)
			time.Sleep(2 * time.Second)
			require.Equal(t, Draining, r.status().Phase)
			require.Equal(t, Live, *r.status().Slots[0].State)
		}
		close(may)
		require.Equal(t, Drained, (<-ended).roster.Phase)
		require.Equal(t, Drained, (<-r.led).Phase)
	})
}

// Goal: strangers learn that they are, and the job that they were there.
func TestJob_strangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMemory(), 1)
		synctest.Wait()
		_, _, err := Join(t.Context(), WorkerConfig{Transport: r.bus, Sealer: Sealer{Job: "shop", Token: "guess"}})
		require.ErrorIs(t, err, ErrStranger)

		w, _, err := Join(t.Context(), WorkerConfig{Transport: r.bus, Sealer: sealer, Hello: Hello{Host: "h", Pid: 7}})
		require.NoError(t, err)
		_, err = w.Run(t.Context(), Graph{Hash: 2, Count: 1, Nodes: []Node{{Name: "count", Position: "main.go:33"}}}, &labour{})
		require.EqualError(t, err, "the job was built from other code: its graph is another one\n  main.go:33 \"count\": stands at main.go:33, in the job main.go:31")
		r.mu.Lock()
		notes := r.notes
		r.mu.Unlock()
		require.Equal(t, []string{
			"somebody without the join token wants to join, and is refused",
			"worker 1 (h, pid 7) was built from other code, and is refused:\nmain.go:33 \"count\": stands at main.go:33, in the job main.go:31",
		}, notes)
		r.leader.Cancel()
		<-r.led
	})
}

// Goal: workers do without a leader for a while. One that comes in that time goes on with
// them, whether it knows the roster or not; if none comes they give up.
func TestJob_leaderGone(t *testing.T) {
	for _, knows := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := begin(t, newMemory(), 2)
			_, first := r.work(t.Context())
			_, second := r.work(t.Context())
			time.Sleep(time.Second)
			r.vanish()
			time.Sleep(30 * time.Second)
			former := r.led
			r.cfg.Crew.Term = 1
			if knows {
				r.cfg.Last = r.leader.Roster()
			}
			r.lead(t.Context())
			time.Sleep(5 * time.Second)
			require.Equal(t, Running, r.status().Phase)
			require.ElementsMatch(t, []int{1, 2}, r.owners())
			require.Nil(t, <-former, "it has heard of the new one")

			r.vanish()
			for _, e := range []chan done{first, second} {
				require.ErrorContains(t, (<-e).err, "nothing was heard of the job's leader for 1m0s: ")
			}
		})
	}
}

// vanish cuts the leader off: nobody reaches it any more, while it still tells its roster,
// in which all are lost before long.
func (r *rig) vanish() {
	r.bus.mu.Lock()
	defer r.bus.mu.Unlock()
	delete(r.bus.services, service)
}

// Goal: who was cut off as the job ended hears of it: its end is told for a while, though
// all workers have left.
func TestJob_lingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, bus: newMemory()}
		r.cfg = LeaderConfig{
			Crew:      CrewConfig{Slots: 1, Lanes: 1, Wait: 1, Graph: Graph{Hash: 1, Count: 1, Nodes: []Node{{Name: "count", Position: "main.go:31"}}}},
			Transport: r.bus, Sealer: sealer, Linger: 3 * time.Second,
		}
		r.lead(t.Context())
		_, ended := r.work(t.Context())
		r.finish.Store(true)
		require.Equal(t, Done, (<-ended).roster.Phase)
		over := time.Now()
		time.Sleep(2 * time.Second) // in the bubble's time: it was cut off
		heard := make(chan Phase, 10)
		stop, err := r.client().Watch(func(*Log) {}, func(r *Roster) { heard <- r.Phase })
		require.NoError(t, err)
		defer stop()
		require.Equal(t, Done, <-heard)
		require.Equal(t, Done, (<-r.led).Phase)
		require.Less(t, time.Since(over), 4*time.Second)
	})
}
