// Package shuffletest runs jobs of several slots in one process, over a shuffle in memory.
package shuffletest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/graph"
)

var errKilled = errors.New("killed")

// job is slots in this process, with what is between them in memory. What a slot sends
// in an epoch can be had by others when the epoch is committed, and not before. All of
// it is kept, so that a slot which is restored gets again what is behind its record.
type job struct {
	lanes  int              // of a slot
	window int              // about how many frames of a rank may be on their way between two lanes; 0: any
	fault  func(where) bool // reports that the slot ends here; nil: never
	kills  bool             // a slot ends, and begins again, behind each epoch in which it has taken frames in
	steps  bool             // sources are read only while nothing is on its way and nothing left to do
	cuts   *cuts            // of the job, for which sinks wait; nil: they don't

	mu      sync.Mutex // guards the rest, and the members
	changed chan struct{}
	slots   []*member
}

// where a slot may end.
type where uint8

const (
	sending where = iota
	taking
	cutting
	committing // the epoch is lost
	committed
)

// strike ends the slot here if there is to be a fault. With the lock held.
func (m *member) strike(w where) bool {
	if m.job.fault == nil || !m.job.fault(w) {
		return false
	}
	m.kill(errKilled)
	return true
}

// member is one slot: its store, and the shuffle as it sees it.
type member struct {
	*commit.Memory
	job  *job
	slot int
	asks chan engine.Ask
	kill context.CancelCauseFunc // of the run

	edges map[int]engine.ShuffleEdge
	wake  func(int)
	open  []flight            // sent in the open epoch
	cut   []flight            // of the epoch that is cut and not committed
	marks []engine.Mark       // of the same
	told  map[int]engine.Mark // committed
	in    map[class]*inbox
	again map[int][]engine.Arrival // by lane: to be told once more after a restart
	lent  map[int][]byte           // by lane: what Next gave last
	dirty bool                     // it may have something to do
	idle  bool                     // at the cut it had not
	ended bool
	gone  chan struct{} // closed when it has ended
	part                // in the job's cuts
}

type flight struct {
	edge, to int
	b        []byte
}

// class is what is in order: what comes from one slot for one lane, of one rank.
type class struct{ From, Lane, Rank int }

func (c class) compare(o class) int {
	return cmp.Or(cmp.Compare(c.Lane, o.Lane), cmp.Compare(o.Rank, c.Rank), cmp.Compare(c.From, o.From))
}

type inbox struct {
	list               []engine.Arrival
	next, cut, durable int
}

func newJob(slots, lanes int) *job {
	j := &job{lanes: lanes, changed: make(chan struct{})}
	for s := range slots {
		j.slots = append(j.slots, &member{Memory: commit.NewMemory(), job: j, slot: s, asks: make(chan engine.Ask),
			told: map[int]engine.Mark{}, in: map[class]*inbox{}, lent: map[int][]byte{}, dirty: true, gone: make(chan struct{})})
	}
	return j
}

// run runs one slot until it ends, as often as again says that it should be.
func (j *job) run(ctx context.Context, slot int, g *graph.Graph, cfg engine.Config, again func(error) bool) error {
	m := j.slots[slot]
	cfg.Slot, cfg.Slots, cfg.Lanes, cfg.Shuffle, cfg.Store = slot, len(j.slots), j.lanes, m, m
	if j.steps {
		cfg.Asks = m.asks
	}
	for {
		running, kill := context.WithCancelCause(ctx)
		j.mu.Lock()
		m.kill = kill
		cfg.Cuts = m.begin()
		j.mu.Unlock()
		_, err := engine.Run(running, g, cfg)
		kill(nil)
		if err != nil && (errors.Is(err, errKilled) || again(err)) || err == nil && m.runsAgain(ctx) {
			continue
		}
		j.mu.Lock()
		m.ended, m.dirty = true, false
		close(m.gone)
		j.tell()
		j.mu.Unlock()
		return err
	}
}

// runAll runs all slots; the first that fails for good ends the others.
func (j *job) runAll(ctx context.Context, g *graph.Graph, cfg engine.Config, again func(error) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for s := range j.slots {
		wg.Go(func() {
			if err := j.run(ctx, s, g, cfg, again); err != nil {
				cancel(fmt.Errorf("slot %d: %w", s, err))
			}
		})
		if j.steps {
			wg.Go(func() { j.nudge(ctx, j.slots[s]) })
		}
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return nil
}

// tell wakes those who await something. With the lock held.
func (j *job) tell() {
	close(j.changed)
	j.changed = make(chan struct{})
	for _, m := range j.slots {
		for l := range j.lanes {
			if m.wake != nil {
				m.wake(m.slot*j.lanes + l)
			}
		}
	}
}

// await waits until is, which is called with the lock held.
func (j *job) await(ctx context.Context, is func() bool) bool {
	for {
		j.mu.Lock()
		ok, changed := is(), j.changed
		j.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// nudge has a slot cut as long as it may have something to do, by the clock, say.
func (j *job) nudge(ctx context.Context, m *member) {
	for j.await(ctx, func() bool { return m.dirty || m.ended }) {
		done := make(chan struct{})
		select {
		case m.asks <- engine.Ask{Do: func(commit.Store) error { return nil }, Done: func(error) { close(done) }}:
			<-done
		case <-m.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Open implements engine.Shuffle.
func (m *member) Open(edges []engine.ShuffleEdge, wake func(int), at []byte) error {
	m.job.mu.Lock()
	defer m.job.mu.Unlock()
	if m.abandoned() {
		return errKilled
	}
	m.edges, m.wake, m.open, m.cut, m.marks = map[int]engine.ShuffleEdge{}, wake, nil, nil, nil
	m.again, m.dirty = map[int][]engine.Arrival{}, true
	for _, e := range edges {
		m.edges[e.Edge] = e
	}
	next, err := positions(at)
	if err != nil {
		return err
	}
	for c, b := range m.in {
		b.next = next[c]
		b.durable = b.next
		last := map[int]engine.Mark{}
		for _, a := range b.list[:b.next] {
			for _, x := range a.Marks {
				last[x.Edge] = x
			}
		}
		if len(last) > 0 {
			m.again[c.Lane] = append(m.again[c.Lane], engine.Arrival{From: c.From, Marks: slices.Collect(maps.Values(last))})
		}
	}
	m.job.tell()
	return nil
}

type position struct {
	Class class
	Next  int
}

func positions(at []byte) (map[class]int, error) {
	next := map[class]int{}
	if at == nil {
		return next, nil
	}
	var list []position
	err := json.Unmarshal(at, &list)
	for _, p := range list {
		next[p.Class] = p.Next
	}
	return next, err
}

func (m *member) Buffer() []byte { return nil }

func (m *member) Send(edge, to int, b []byte) {
	m.job.mu.Lock()
	defer m.job.mu.Unlock()
	if _, ok := m.edges[edge]; !ok || to/m.job.lanes == m.slot {
		panic(fmt.Sprintf("slot %d sends over edge %d to lane %d", m.slot, edge, to))
	}
	m.open = append(m.open, flight{edge, to, b})
	m.strike(sending)
}

func (m *member) Room(rank int) bool {
	m.job.mu.Lock()
	defer m.job.mu.Unlock()
	return m.room(rank) && (!m.job.steps || m.slot > 0 || m.job.quiet()) // all scripts are read in slot 0
}

func (m *member) room(rank int) bool {
	if m.job.window == 0 || rank == engine.NoRank {
		return true
	}
	on := map[class]int{}
	for _, f := range append(slices.Clone(m.open), m.cut...) {
		on[class{m.slot, f.to, m.edges[f.edge].Rank}]++
	}
	for _, o := range m.job.slots {
		for c, b := range o.in {
			if c.From == m.slot {
				for _, a := range b.list[b.durable:] {
					if a.Batch != nil {
						on[c]++
					}
				}
			}
		}
	}
	for c, n := range on {
		if c.Rank >= rank && n >= m.job.window {
			return false
		}
	}
	return true
}

// quiet reports that no slot has anything to do until sources are read.
func (j *job) quiet() bool {
	return !slices.ContainsFunc(j.slots, func(m *member) bool { return !m.ended && (m.dirty || m.unread()) })
}

func (m *member) unread() bool {
	for c, b := range m.in {
		if b.next < len(b.list) || len(m.again[c.Lane]) > 0 {
			return true
		}
	}
	return false
}

func (m *member) Next(lane int) (engine.Arrival, bool) {
	m.job.mu.Lock()
	defer m.job.mu.Unlock()
	m.strike(taking)
	for i := range m.lent[lane] { // valid until now only
		m.lent[lane][i] = 0xee
	}
	if again := m.again[lane]; len(again) > 0 {
		m.again[lane] = again[1:]
		return again[0], true
	}
	for _, c := range slices.SortedFunc(maps.Keys(m.in), class.compare) {
		b := m.in[c]
		if c.Lane != lane || b.next == len(b.list) {
			continue
		}
		a := b.list[b.next]
		if a.Batch != nil {
			if reach := m.edges[a.Edge].Reach; reach != engine.NoRank && !m.room(reach) {
				continue
			}
			a.Batch = slices.Clone(a.Batch)
			m.lent[lane] = a.Batch
		}
		b.next++
		return a, true
	}
	return engine.Arrival{}, false
}

func (m *member) Cut(marks []engine.Mark) []byte {
	m.job.mu.Lock()
	defer m.job.mu.Unlock()
	m.strike(cutting)
	m.tag()
	m.cut, m.open, m.marks = m.open, nil, marks
	m.idle = !m.unread()
	var list []position
	for c, b := range m.in {
		b.cut = b.next
		list = append(list, position{c, b.next})
	}
	slices.SortFunc(list, func(a, b position) int { return a.Class.compare(b.Class) })
	at, _ := json.Marshal(list)
	return at
}

// WantsWhole implements commit.Store.
func (m *member) WantsWhole() bool {
	m.job.mu.Lock()
	defer m.job.mu.Unlock()
	return m.job.cuts != nil && m.job.cuts.rnd.IntN(8) == 0
}

// Begin implements commit.Store.
func (m *member) Begin(lanes int) commit.Epoch { return &memberEpoch{m.Memory.Begin(lanes), m} }

type memberEpoch struct {
	commit.Epoch
	m *member
}

// Commit commits the epoch and shows what was sent in it.
func (e *memberEpoch) Commit(rec *commit.Record) error {
	j, m := e.m.job, e.m
	j.mu.Lock()
	defer j.mu.Unlock()
	if m.abandoned() || m.strike(committing) {
		e.Epoch.Discard()
		return errKilled
	}
	if err := e.Epoch.Commit(rec); err != nil {
		return err
	}
	for _, f := range m.cut {
		to := j.slots[f.to/j.lanes]
		to.put(class{m.slot, f.to, m.edges[f.edge].Rank}, engine.Arrival{Edge: f.edge, From: m.slot, Batch: f.b})
	}
	byRank := map[int][]engine.Mark{}
	for _, x := range m.marks {
		if was, ok := m.told[x.Edge]; !ok || x.WM > was.WM || x.WM == was.WM && x.Idle != was.Idle {
			m.told[x.Edge] = x
			byRank[m.edges[x.Edge].Rank] = append(byRank[m.edges[x.Edge].Rank], x)
		}
	}
	for rank, marks := range byRank {
		for _, to := range j.slots {
			for l := range j.lanes {
				if to != m {
					to.put(class{m.slot, to.slot*j.lanes + l, rank}, engine.Arrival{From: m.slot, Marks: marks})
				}
			}
		}
	}
	m.cut, m.marks = nil, nil
	took := false
	for _, b := range m.in {
		took = took || slices.ContainsFunc(b.list[b.durable:b.cut], func(a engine.Arrival) bool { return a.Batch != nil })
		b.durable = b.cut
	}
	if m.slot == 0 { // where all scripts are read: the clock may have moved
		for _, o := range j.slots {
			o.dirty = !o.ended
		}
	}
	m.dirty = !m.idle || m.unread()
	m.strike(committed)
	m.committed()
	if j.kills && took {
		m.dirty = true
		m.kill(errKilled)
	}
	j.tell()
	return nil
}

func (m *member) put(c class, a engine.Arrival) {
	b := m.in[c]
	if b == nil {
		b = &inbox{}
		m.in[c] = b
	}
	b.list = append(b.list, a)
	m.dirty = !m.ended
}
