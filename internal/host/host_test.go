package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
)

var seeds = flag.Int("seeds", 3, "how many schedules of kills to run")

// fewer is how many of n are run where everything takes much longer.
func fewer(n int) int {
	if testing.Short() {
		return (n + 2) / 3
	}
	return n
}

// job is a job of several slots in this process, over a NATS server of its own.
type job struct {
	t          *testing.T
	slots      int
	lanes      int
	batch      int // elements; 0: as ever
	window     int // bytes; 0: as ever
	epochSinks bool
	onError    engine.OnError
	retries    int
	logged     bool
	copiesMost int                   // 0: as ever
	rests      *Rests                // nil: there are no savepoints
	shares     atomic.Pointer[[]int] // of key groups, by slot; nil: as they are
	drains     atomic.Bool           // it is known to do so
	cutEvery   time.Duration         // 0: 50 ms
	chunks     int                   // before a part of the rows is written again; 0: as many as there are
	warm       bool                  // each slot has a standby
	patient    bool                  // silence counts after an hour only
	deaths     Deaths
	vaults     []*vault      // the acceptors; none: one in the store
	putMost    time.Duration // 0: as ever
	shaky      *shaky        // what keeps things is away at times; nil: never
	build      func() *pipeline.Pipeline
	server     *natsbus.Server
	store      *natsbus.Store
	kill       []atomic.Pointer[context.CancelCauseFunc] // by slot; the last one is the leader's
	away       []atomic.Pointer[chan struct{}]           // by slot: closed when it may come back; nil: at once
	hosts      []atomic.Pointer[Host]                    // by slot
	kills      int
	meter      LeaderMeter
	notes      []string              // of leaders, to people
	reads      atomic.Int64          // of changelogs from their beginning
	chaos      func(context.Context) // runs beside the job, until it has nothing more to do
}

func newJob(t *testing.T, slots, lanes int, build func() *pipeline.Pipeline) *job {
	s, err := natsbus.StartServer(t.Context(), natsbus.ServerConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	j := &job{t: t, slots: slots, lanes: lanes, build: build, server: s}
	j.store, err = natsbus.OpenStore(natsbus.Config{Job: "test", Server: s})
	require.NoError(t, err)
	t.Cleanup(j.store.Close)
	require.NoError(t, j.store.Acceptor().Create(t.Context()))
	require.NoError(t, j.store.Changelog().Create(t.Context(), 0))
	require.NoError(t, j.store.Copies().Create(t.Context(), 0))
	require.NoError(t, j.store.Objects().Create(t.Context(), 0))
	return j
}

func (j *job) bus() *natsbus.Bus {
	b, err := natsbus.Connect(natsbus.Config{Job: "test", Server: j.server})
	require.NoError(j.t, err)
	j.t.Cleanup(b.Close)
	return b
}

// lead leads the job until ctx ends.
func (j *job) lead(ctx context.Context) error {
	return Lead(ctx, LeaderConfig{Slots: j.slots, Control: j.bus().Control(), Acceptors: j.acceptors(), Stale: natsbus.ErrStale, Objects: j.store.Objects(), Rests: j.rests, Meter: &j.meter, Groups: NewGroups(j.share),
		CutEvery: cmp.Or(j.cutEvery, 50*time.Millisecond), Note: func(text string) { j.notes = append(j.notes, text) }})
}

// share is how large a share of the key groups each slot is to have.
func (j *job) share() []int {
	if s := j.shares.Load(); s != nil {
		return *s
	}
	return nil
}

// config is that of a slot in a process of its own, as far as the protocol is concerned.
func (j *job) config(slot int, process uint64) Config {
	b := j.bus()
	cfg := Config{
		Job: 1, Slot: slot, Slots: j.slots, Process: process,
		Plane: b.Plane(), Control: b.Control(), Acceptors: j.acceptors(), Stale: natsbus.ErrStale,
		Changes: readsCounted{j.store.Changelog(), &j.reads}, Copies: j.store.Copies(), Objects: j.store.Objects(),
		Graph: j.build().Graph(), Engine: engine.Config{Lanes: j.lanes, Batch: j.batch, OnError: j.onError, Retries: j.retries}, Window: j.window, EpochSinks: j.epochSinks, Logged: j.logged, copiesMost: j.copiesMost, chunksMost: j.chunks, putMost: j.putMost,
		Rests: j.drains.Load,
		began: func(h *Host) { j.hosts[slot].Store(h) },
	}
	if cfg.Deaths = &j.deaths; j.patient {
		cfg.Silent, cfg.Excuse = time.Hour, time.Hour
	}
	if j.shaky != nil {
		cfg.Changes, cfg.Copies, cfg.Objects = shakyLog{cfg.Changes, j.shaky}, shakyCopies{cfg.Copies, j.shaky}, shakyObjects{cfg.Objects, j.shaky}
		cfg.Passing = func(err error) bool { return errors.Is(err, errAway) }
	}
	return cfg
}

// readsCounted counts how often a changelog is read from its beginning.
type readsCounted struct {
	Changelog
	n *atomic.Int64
}

func (l readsCounted) Read(ctx context.Context, slot int, from, to uint64, fn func(uint64, []byte) error) error {
	if from == 0 {
		l.n.Add(1)
	}
	return l.Changelog.Read(ctx, slot, from, to, fn)
}

// settled reports that all slots are part of a cut behind after, and what its number is.
// over says that the job is.
func (j *job) settled(after held.Cut) (cut held.Cut, yes, over bool) {
	for i := range j.hosts {
		h := j.hosts[i].Load()
		if h == nil {
			return 0, false, over
		}
		h.mu.Lock()
		tag := h.core.Record().Tag
		yes := h.ctx.Err() == nil && h.core.Running() && tag.At.Inc == h.core.Inc() && !tag.Void && tag.Cut > after
		over = over || h.finished
		h.mu.Unlock()
		if !yes {
			return 0, false, over
		}
		cut = max(cut, tag.Cut)
	}
	return cut, true, over
}

var (
	errOver   = errors.New("the job is over")
	errKilled = errors.New("killed")
)

// run runs the job to its end.
func (j *job) run() {
	ctx, cancel := context.WithCancelCause(j.t.Context())
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	var all, ends sync.WaitGroup
	processes := atomic.Uint64{}
	// keep runs f again each time that it was killed.
	keep := func(who int, f func(ctx context.Context) error) {
		all.Go(func() {
			for ctx.Err() == nil {
				if back := j.away[who].Load(); back != nil {
					select {
					case <-*back:
					case <-ctx.Done():
						return
					}
				}
				life, kill := context.WithCancelCause(ctx)
				j.kill[who].Store(&kill)
				if err := f(life); err != nil && !errors.Is(err, errOver) && !errors.Is(err, errKilled) && !errors.Is(err, ErrReplaced) {
					cancel(fmt.Errorf("slot %d: %w", who, err))
				}
			}
		})
	}
	j.hosts = make([]atomic.Pointer[Host], j.slots)
	j.away = make([]atomic.Pointer[chan struct{}], j.slots+1)
	j.kill = make([]atomic.Pointer[context.CancelCauseFunc], j.slots+1)
	keep(j.slots, j.lead)
	for slot := range j.slots {
		ends.Add(1)
		done := sync.OnceFunc(ends.Done)
		cfg := j.config(slot, processes.Add(1))
		keep(slot, func(life context.Context) error {
			next := j.config(slot, processes.Add(1))
			if j.warm {
				next.From = NewStandby(next, func() {})
				all.Go(func() { _ = next.From.Run(ctx) })
			}
			err := Run(life, cfg, done)
			cfg = next
			return err
		})
	}
	if j.chaos != nil {
		all.Go(func() { j.chaos(ctx) })
	}
	over := make(chan struct{})
	go func() { ends.Wait(); close(over) }()
	select {
	case <-over:
		cancel(errOver)
	case <-ctx.Done():
	}
	all.Wait()
	require.ErrorIs(j.t, context.Cause(ctx), errOver)
}

// tally counts what it is given, by what it says. It is for pipelines of several slots
// in one process.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tally) add(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]int{}
	}
	t.n[s]++
}

// Goal: a job of several slots over NATS gives what one of one slot gives.
func TestRun_countsOverSlots(t *testing.T) {
	for _, lanes := range []int{1, 2} {
		t.Run(fmt.Sprint(lanes, " lanes"), func(t *testing.T) {
			got := &tally{}
			const n = 30_000
			j := newJob(t, 3, lanes, func() *pipeline.Pipeline {
				p := pipeline.New()
				numbers := pipeline.GenerateSequence(p, n)
				byRest := pipeline.KeyBy(numbers, func(v uint64) uint64 { return v % 100 })
				counts := transforms.Count(byRest)
				again := pipeline.KeyBy(pipeline.Pairs(counts), func(kv pipeline.KV[uint64, int64]) uint64 { return kv.Key % 7 })
				sums := transforms.Sum(pipeline.MapValues(again, func(kv pipeline.KV[uint64, int64]) int64 { return kv.Value }))
				pipeline.ForEach(pipeline.Pairs(sums), func(_ context.Context, kv pipeline.KV[uint64, int64]) error {
					got.add(fmt.Sprint(kv.Key, " ", kv.Value))
					return nil
				})
				return p
			})
			j.run()
			want := map[string]int{}
			for r := range 7 {
				keys := 0
				for k := range 100 {
					if k%7 == r {
						keys++
					}
				}
				want[fmt.Sprint(r, " ", keys*n/100)] = 1
			}
			require.Equal(t, want, maps.Clone(got.n))
		})
	}
}

// ledger is a sink that shows each page once.
type ledger struct {
	mu       sync.Mutex
	shown    map[uint64][]string
	prepared []uint64 // all pages, also those that were never shown
}

// page is what a lane has prepared.
type page struct {
	ID    uint64 // of chance
	Lines []string
}

type ledgerWriter struct {
	l    *ledger
	page page // being filled
	last page // prepared
}

func (l *ledger) Open(_ context.Context, _, _ int, state []byte) (pipeline.Writer[string], error) {
	w := &ledgerWriter{l: l}
	if state != nil {
		if err := json.Unmarshal(state, &w.last); err != nil {
			return nil, err
		}
	}
	return w, w.Commit()
}

func (w *ledgerWriter) Write(s string) error {
	w.page.Lines = append(w.page.Lines, s)
	return nil
}

func (w *ledgerWriter) Prepare() ([]byte, error) {
	w.last, w.page = w.page, page{}
	w.last.ID = rand.Uint64()
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.prepared = append(w.l.prepared, w.last.ID)
	return json.Marshal(w.last)
}

func (w *ledgerWriter) Commit() error {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if len(w.last.Lines) > 0 {
		w.l.shown[w.last.ID] = w.last.Lines
	}
	return nil
}

func (w *ledgerWriter) Finish() error { return nil }
func (w *ledgerWriter) Abort(bool)    {}

// inOrder are the lines that are shown, in the order in which they were prepared: so they are
// in the topic of a transactional sink.
func (l *ledger) inOrder() (all []string) {
	for _, id := range l.prepared {
		all = append(all, l.shown[id]...)
	}
	return all
}

// lines are those that are shown, sorted.
func (l *ledger) lines() (all []string) {
	for _, lines := range l.shown {
		all = append(all, lines...)
	}
	slices.Sort(all)
	return all
}

// numbered is a pipeline in which each key numbers what it gets, behind a first shuffle,
// and a second one brings it to a sink. It gives the pipeline and the lines.
func numbered(n, keys int, out *ledger) (build func() *pipeline.Pipeline, want []string) {
	return numberedOf(func(p *pipeline.Pipeline) pipeline.PCollection[uint64] {
		return pipeline.GenerateSequence(p, uint64(n))
	}, n, keys, out)
}

// numberedOf is numbered for a source of n numbers.
func numberedOf(numbers func(*pipeline.Pipeline) pipeline.PCollection[uint64], n, keys int, out *ledger) (build func() *pipeline.Pipeline, want []string) {
	build = func() *pipeline.Pipeline {
		p := pipeline.New()
		byRest := pipeline.KeyBy(numbers(p), func(v uint64) uint64 { return v % uint64(keys) })
		counted := pipeline.Stateful(byRest, "count", func(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, uint64, string] {
			count := pipeline.ValueState[int](s, "n")
			return func(c *pipeline.Ctx[uint64], _ uint64, emit pipeline.Emit[string]) error {
				count.Set(c, count.Get(c)+1)
				emit(line(int(c.Key()), count.Get(c)))
				return nil
			}
		})
		pipeline.Write(pipeline.Reshuffle(counted), "test.Write", out)
		return p
	}
	for k := range keys {
		for i := range n / keys {
			want = append(want, line(k, i+1))
		}
	}
	return build, want
}

func line(key, n int) string { return fmt.Sprintf("%02d %05d", key, n) }

// small makes a job have many epochs, and its changelogs be trimmed often.
func (j *job) small() *job {
	j.batch, j.window, j.chunks = 16, 256, 2
	return j
}

// killing calls kill whenever all slots are part of a cut again, until it has been
// called often enough or the job is over. By then all that is under way has copies again.
func (j *job) killing(often int, kill func(nth int)) {
	j.killingWhen(often, func(int) bool { return true }, kill)
}

// killingWhen is killing, but waits each time until ready.
func (j *job) killingWhen(often int, ready func(nth int) bool, kill func(nth int)) {
	j.chaos = func(ctx context.Context) {
		again := time.NewTicker(time.Millisecond)
		defer again.Stop()
		for after := held.Cut(0); j.kills < often; <-again.C {
			cut, yes, over := j.settled(after)
			if over || ctx.Err() != nil {
				return
			}
			if yes && ready(j.kills) {
				kill(j.kills)
				j.kills++
				after = cut + 2
			}
		}
	}
}

// keeps reports that a slot keeps frames that another has committed and it has not taken in.
func (j *job) keeps(slot, of int) bool {
	from := j.hosts[of].Load()
	from.mu.Lock()
	inc, committed := from.core.Inc(), from.core.Record().Epoch
	from.mu.Unlock()
	h := j.hosts[slot].Load()
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.in {
		if id.src == of && id.inc == inc && id.epoch <= committed {
			return true
		}
	}
	return false
}

func (j *job) killOne(who int) { (*j.kill[who].Load())(errKilled) }

// Goal: slots that die at any moment, one at a time, and the leader with them, lose
// nothing and show nothing twice, and nobody goes back; with standbys and without.
func TestRun_killedSlots(t *testing.T) {
	for seed := range uint64(fewer(*seeds)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			out := &ledger{shown: map[uint64][]string{}}
			build, want := numbered(40_000, 50, out)
			j := newJob(t, 3, 2, build).small()
			j.warm = seed%2 == 1
			if seed%3 == 2 {
				j.chunks = 0
			}
			r := rand.New(rand.NewPCG(seed, 7))
			j.killing(12, func(int) { j.killOne(r.IntN(len(j.kill))) })
			j.run()
			require.Greater(t, j.kills, 3)
			for i := range j.hosts {
				require.Equal(t, held.Gen(1), j.hosts[i].Load().core.Gen(), "single failures send nobody back")
			}
			require.Equal(t, want, out.lines())
		})
	}
}

// Goal: a slot whose standby takes over reads nothing again that the standby has read.
func TestRun_standbyIsWarm(t *testing.T) {
	out := &ledger{shown: map[uint64][]string{}}
	build, want := numbered(60_000, 50, out)
	j := newJob(t, 3, 1, build).small()
	j.warm = true
	j.killing(6, func(nth int) { j.killOne(nth % 3) })
	j.run()
	require.Equal(t, want, out.lines())
	require.Greater(t, j.kills, 3)
	t.Logf("%d kills, %d times a changelog was read from its beginning", j.kills, j.reads.Load())
	require.Less(t, j.reads.Load(), int64(j.kills))
}

// Goal: when two slots die at once, the job goes back to its last cut and comes to its
// end from there: frames that a cut has kept are good in the new generation, too, and a
// sink that waits for cuts has shown nothing that comes again.
func TestRun_goesBack(t *testing.T) {
	for seed := range (*seeds + 1) / 2 {
		out, want, back := twoAtOnce(t, seed, false)
		require.Positive(t, back, "nobody has gone back")
		require.Equal(t, want, out.lines())
	}
}

// Goal: with copies of everything nobody goes back though all slots die at once, and the leader
// with them, and a sink that does not wait for cuts shows everything once. Method: they die
// when one of them has committed a little more, wherever the others are.
func TestRun_logged(t *testing.T) {
	for seed := range fewer(*seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			out := &ledger{shown: map[uint64][]string{}}
			build, want := numbered(20_000, 50, out)
			j := newJob(t, 3, 2, build).small()
			j.logged, j.epochSinks, j.copiesMost, j.warm = true, true, 4<<10, seed%2 == 1
			r := rand.New(rand.NewPCG(uint64(seed), 7))
			j.chaos = func(ctx context.Context) {
				for slot := 0; j.kills < 8; slot = r.IntN(j.slots) {
					next := j.epoch(slot) + 1 + held.Epoch(r.IntN(20))
					if !j.until(ctx, func() bool { return j.epoch(slot) >= next }) {
						return
					}
					for who := range j.kill {
						j.killOne(who)
					}
					j.kills++
				}
			}
			j.run()
			require.Greater(t, j.kills, 3)
			for i := range j.hosts {
				require.Equal(t, held.Gen(1), j.hosts[i].Load().core.Gen(), "somebody has gone back")
			}
			require.Equal(t, want, out.lines())
		})
	}
}

// Goal: a job that has come to its end does not wait for the next cut by time. Method: there
// is none.
func TestRun_endsSoon(t *testing.T) {
	out := &ledger{shown: map[uint64][]string{}}
	build, want := numbered(10_000, 50, out)
	j := newJob(t, 3, 2, build)
	j.cutEvery = time.Hour
	j.run()
	require.Equal(t, want, out.lines())
}

// Goal: a sink that does not wait for cuts shows everything, though some of it twice.
func TestRun_goesBackEpochs(t *testing.T) {
	out, want, _ := twoAtOnce(t, 0, true)
	require.Equal(t, want, slices.Compact(out.lines()))
}

// twoAtOnce runs a job two slots of which die at once, again and again, and gives how
// often it has gone back. They die as the second keeps frames that the first has committed:
// when both are gone, nobody has these.
func twoAtOnce(t *testing.T, seed int, epochSinks bool) (out *ledger, want []string, back int) {
	out = &ledger{shown: map[uint64][]string{}}
	build, want := numbered(40_000, 50, out)
	j := newJob(t, 3, 2, build).small()
	j.epochSinks = epochSinks
	j.killingWhen(8, func(nth int) bool {
		return j.keeps((seed+nth+1)%3, (seed+nth)%3)
	}, func(nth int) {
		j.killOne((seed + nth) % 3)
		j.killOne((seed + nth + 1) % 3)
	})
	j.run()
	require.Positive(t, j.kills)
	back = int(j.hosts[0].Load().core.Gen()) - 1
	t.Logf("%d times two were killed, %d times all went back", j.kills, back)
	require.Equal(t, uint64(back), j.meter.Rollbacks.Load())
	require.Len(t, j.notes, back)
	return out, want, back
}
