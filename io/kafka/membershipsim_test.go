package kafka

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// A council is a group's coordinator, a few processes with a membership each, and their
// readers, on one seeded scheduler. The coordinator follows Kafka's GroupCoordinator;
// messages are delayed and lost, processes crash, and some come back with their state.
type council struct {
	t     *testing.T
	rnd   *rand.Rand
	calm  bool // nothing is lost, nobody crashes
	now   time.Time
	queue []occasion

	generation int32
	state      string // "empty", "preparing", "completing" or "stable"
	seats      map[string]*seat
	leader     string
	ids        int
	offsets    map[client.TopicPartition]int64
	round      int // of preparing

	procs   []*process
	parts   []client.TopicPartition
	grown   time.Time // when the last of them were added
	before  int       // how many there were until then
	ends    map[client.TopicPartition]int64
	durable map[client.TopicPartition]map[int64]int // how often a record is in a process's state
}

type occasion struct {
	at time.Time
	do func()
}

// seat is a member as the coordinator knows it.
type seat struct {
	id       string
	meta     []byte
	deadline time.Time
	join     func(client.Joined, error) // waits; nil: none does
	sync     func([]byte, error)
	assigned []byte
}

// process is a run. Its readers are a copy of what reader.follow does.
type process struct {
	name   string
	h      *hub
	alive  bool
	cut    time.Time // nothing gets through until then
	feeds  map[client.TopicPartition]*feed
	at     map[client.TopicPartition]spot // of readers
	grant  map[client.TopicPartition]*grant
	held   map[client.TopicPartition]*grant
	acked  map[client.TopicPartition]spot
	got    map[client.TopicPartition]*chunk  // that is being read
	volume map[client.TopicPartition][]int64 // read, and in no snapshot yet
	taking map[client.TopicPartition][]int64 // in one that is being taken
	saved  map[client.TopicPartition]spot    // the state folder
}

func (c *council) after(d time.Duration, do func()) {
	o := occasion{c.now.Add(d), do}
	i, _ := slices.BinarySearchFunc(c.queue, o, func(a, b occasion) int { return cmp.Or(a.at.Compare(b.at), -1) })
	c.queue = slices.Insert(c.queue, i, o)
}

func (c *council) delay() time.Duration { return time.Duration(1+c.rnd.IntN(40)) * time.Millisecond }

// run does what is due until it is time.
func (c *council) run(d time.Duration) {
	until := c.now.Add(d)
	for {
		if len(c.queue) == 0 || c.queue[0].at.After(until) {
			c.now = until
			return
		}
		o := c.queue[0]
		c.queue = c.queue[1:]
		c.now = o.at
		o.do()
	}
}

// start starts a process, perhaps with the state of one that ended.
func (c *council) start(name string, saved map[client.TopicPartition]spot) *process {
	r := &reading{topics: []string{"t"}, group: "g", session: 6 * time.Second, patience: time.Hour, budget: budgetLeast}
	p := &process{
		name: name, h: &hub{plan: newPlan(r, false), member: newMembership(r), poke: make(chan struct{}, 1), unknown: make(chan struct{}, 1)}, alive: true,
		feeds: map[client.TopicPartition]*feed{}, at: map[client.TopicPartition]spot{}, grant: map[client.TopicPartition]*grant{}, held: map[client.TopicPartition]*grant{},
		acked: map[client.TopicPartition]spot{}, got: map[client.TopicPartition]*chunk{}, volume: map[client.TopicPartition][]int64{}, saved: map[client.TopicPartition]spot{},
	}
	maps.Copy(p.saved, saved)
	for _, tp := range c.parts {
		c.open(p, tp, false)
	}
	c.procs = append(c.procs, p)
	c.tick(p)
	c.read(p)
	c.snapshot(p)
	return p
}

// open begins to read a partition, where the process ended with it before.
func (c *council) open(p *process, tp client.TopicPartition, fresh bool) {
	at, ok := p.saved[tp]
	if !ok {
		at = unread
	}
	f := newFeed(tp, at)
	f.paused = true
	p.feeds[tp], p.at[tp], p.acked[tp] = f, at, at
	p.h.plan.add(f)
	p.h.member.open(tp, fresh, c.now)
}

// grow adds a partition, which processes find one by one.
func (c *council) grow() {
	c.before, c.grown = len(c.parts), c.now
	tp := client.TopicPartition{Topic: "t", Partition: int32(len(c.parts))}
	c.parts = append(c.parts, tp)
	c.durable[tp] = map[int64]int{}
	for _, p := range c.procs {
		c.after(time.Duration(c.rnd.IntN(400))*time.Millisecond, func() {
			if p.alive {
				c.open(p, tp, true)
			}
		})
	}
}

// sizes is what some broker knows: not all of them know of a new partition at once.
func (c *council) sizes() map[string]int {
	if c.now.Sub(c.grown) < time.Duration(c.rnd.IntN(400))*time.Millisecond {
		return map[string]int{"t": c.before}
	}
	return map[string]int{"t": len(c.parts)}
}

// tick is the hub's loop.
func (c *council) tick(p *process) {
	if !p.alive {
		return
	}
	errands, _ := p.h.member.next(c.now)
	p.h.align(c.now)
	require.NoError(c.t, p.h.member.err)
	for _, e := range errands {
		c.send(p, e)
	}
	c.after(25*time.Millisecond, func() { c.tick(p) })
}

// send brings an errand to the coordinator, and the answer back.
func (c *council) send(p *process, e *errand) {
	m := p.h.member
	lost := &client.Error{Code: client.CodeNetwork, Partition: -1}
	answered := false
	answer := func(take func(err error)) func(error) {
		return func(err error) {
			c.after(c.delay(), func() {
				if !p.alive || answered {
					return
				}
				answered = true
				if !c.calm && c.rnd.IntN(40) == 0 || c.now.Before(p.cut) {
					err = lost
				}
				take(err)
				p.h.align(c.now)
			})
		}
	}
	var serve func()
	var give func(error)
	switch e.kind {
	case joinGroup:
		var j client.Joined
		give = answer(func(err error) { m.didJoin(e, j, err, c.now) })
		meta := client.Subscription{Topics: e.topics, Owned: e.owned, Generation: e.member.Generation}.Append(nil)
		serve = func() { c.join(e.member.ID, meta, func(got client.Joined, err error) { j = got; give(err) }) }
	case syncGroup:
		var parts []client.TopicPartition
		sizes := c.sizes()
		give = answer(func(err error) { m.didSync(e, parts, sizes, err, c.now) })
		serve = func() {
			var assigned map[string][]byte
			if len(e.joiners) > 0 {
				assigned = map[string][]byte{}
				for id, parts := range assign(candidates(e.joiners), sizes) {
					assigned[id] = client.AppendAssignment(nil, parts)
				}
			}
			c.sync(e.member, assigned, func(b []byte, err error) {
				parts, _ = client.ParseAssignment(b)
				give(err)
			})
		}
	case beat:
		give = answer(func(err error) { m.didBeat(e, err, c.now) })
		serve = func() { give(c.beat(e.member)) }
	case placeClaims:
		at := map[client.TopicPartition]spot{}
		give = answer(func(err error) { m.didPlace(e, at, err, c.now) })
		serve = func() {
			for tp := range e.fresh {
				at[tp] = spot{c.offsets[tp], -1, -1}
			}
			give(nil)
		}
	case commitOffsets:
		give = answer(func(err error) { m.didCommit(e, err, c.now) })
		serve = func() {
			if err := c.current(e.member, true); err != nil {
				give(err)
				return
			}
			for tp, o := range e.offsets {
				require.LessOrEqual(c.t, c.offsets[tp], o.Offset, "an offset goes back")
				c.offsets[tp] = o.Offset
			}
			give(nil)
		}
	}
	if !c.calm && c.rnd.IntN(40) == 0 || c.now.Before(p.cut) { // the request is lost, which is noticed late
		c.after(time.Second, func() { give(lost) })
		return
	}
	if e.kind == joinGroup || e.kind == syncGroup {
		c.after(40*time.Second, func() { give(lost) })
	}
	c.after(c.delay(), func() {
		if p.alive {
			serve()
		}
	})
}

func refusal(code int16) error { return &client.Error{Code: code, Partition: -1} }

func (c *council) join(id string, meta []byte, reply func(client.Joined, error)) {
	if id == "" {
		c.ids++
		reply(client.Joined{ID: fmt.Sprintf("m%04d", c.ids)}, refusal(79))
		return
	}
	s := c.seats[id]
	if s == nil && c.ids > 0 && !c.pending(id) {
		reply(client.Joined{}, refusal(25))
		return
	}
	if s == nil {
		s = &seat{id: id}
		c.seats[id] = s
		c.watch(s)
	}
	s.meta, s.join, s.deadline = meta, reply, c.now.Add(6*time.Second)
	if c.state != "preparing" {
		c.prepare()
	}
	c.complete()
}

// pending reports that an id was given out and is not used yet. It stays so here.
func (c *council) pending(id string) bool {
	_, used := c.offsets[client.TopicPartition{Topic: "used " + id}]
	if !used {
		c.offsets[client.TopicPartition{Topic: "used " + id}] = 0
	}
	return !used
}

func (c *council) prepare() {
	for _, id := range slices.Sorted(maps.Keys(c.seats)) {
		s := c.seats[id]
		if s.sync != nil {
			s.sync(nil, refusal(27))
			s.sync = nil
		}
	}
	c.state = "preparing"
	c.round++
	round := c.round
	c.after(rebalanceTime, func() {
		if c.state == "preparing" && c.round == round {
			for id, s := range c.seats {
				if s.join == nil {
					delete(c.seats, id)
				}
			}
			c.complete()
		}
	})
}

// complete begins a generation if all have joined.
func (c *council) complete() {
	if c.state != "preparing" {
		return
	}
	var all []client.Joiner
	for _, id := range slices.Sorted(maps.Keys(c.seats)) {
		if c.seats[id].join == nil {
			return
		}
		all = append(all, client.Joiner{ID: id, Metadata: c.seats[id].meta})
	}
	c.generation++
	if len(all) == 0 {
		c.state = "empty"
		return
	}
	c.state = "completing"
	if c.seats[c.leader] == nil {
		c.leader = all[0].ID
	}
	for _, x := range all {
		s := c.seats[x.ID]
		j := client.Joined{Generation: c.generation, ID: s.id, Leader: c.leader}
		if s.id == c.leader {
			j.Members = all
		}
		s.join(j, nil)
		s.join, s.assigned, s.deadline = nil, nil, c.now.Add(6*time.Second)
	}
}

func (c *council) current(m client.Member, alive bool) error {
	s := c.seats[m.ID]
	switch {
	case s == nil:
		return refusal(25)
	case m.Generation != c.generation:
		return refusal(22)
	case c.state == "completing" && alive:
		return refusal(27)
	}
	s.deadline = c.now.Add(6 * time.Second)
	return nil
}

func (c *council) sync(m client.Member, assigned map[string][]byte, reply func([]byte, error)) {
	if err := c.current(m, false); err != nil {
		reply(nil, err)
		return
	}
	s := c.seats[m.ID]
	switch c.state {
	case "preparing":
		reply(nil, refusal(27))
	case "stable":
		reply(s.assigned, nil)
	case "completing":
		s.sync = reply
		if m.ID != c.leader || assigned == nil {
			return
		}
		c.state = "stable"
		for _, id := range slices.Sorted(maps.Keys(c.seats)) {
			s := c.seats[id]
			s.assigned = assigned[id]
			if s.sync != nil {
				s.sync(s.assigned, nil)
				s.sync, s.deadline = nil, c.now.Add(6*time.Second)
			}
		}
	}
}

func (c *council) beat(m client.Member) error {
	if err := c.current(m, false); err != nil {
		return err
	}
	if c.state == "preparing" {
		return refusal(27)
	}
	return nil
}

// watch puts a member out that is silent, unless it waits for a rebalance.
func (c *council) watch(s *seat) {
	c.after(50*time.Millisecond, func() {
		if c.seats[s.id] != s {
			return
		}
		if c.now.After(s.deadline) && s.join == nil {
			c.out(s.id)
			return
		}
		c.watch(s)
	})
}

func (c *council) out(id string) {
	delete(c.seats, id)
	if c.state != "preparing" {
		c.prepare()
	}
	c.complete()
}

// read has the readers of a process read, now and then. Between looking at what it may
// do and doing it a reader takes its time.
func (c *council) read(p *process) {
	if !p.alive {
		return
	}
	for _, tp := range c.parts {
		if p.feeds[tp] == nil {
			continue // it has not found it yet
		}
		c.fetch(p, tp)
		c.follow(p, tp)
		if p.grant[tp] == nil {
			continue
		}
		for _, o := range c.procs {
			require.False(c.t, o != p && o.alive && o.grant[tp] != nil && o.feeds[tp].grant.Load() != nil, "%s and %s read %v at once", p.name, o.name, tp)
		}
		if late := c.rnd.IntN(10); late < 5 {
			c.some(p, tp)
		} else {
			c.after(time.Duration(late)*time.Millisecond, func() { c.some(p, tp) })
		}
	}
	again := 15 + c.rnd.IntN(20)
	if !c.calm && c.rnd.IntN(30) == 0 { // what comes behind it is busy
		again += c.rnd.IntN(8_000)
	}
	c.after(time.Duration(again)*time.Millisecond, func() { c.read(p) })
}

// fetch brings a chunk, of which each byte is a record.
func (c *council) fetch(p *process, tp client.TopicPartition) {
	f := p.feeds[tp]
	if n := min(c.ends[tp]-f.next, int64(c.rnd.IntN(4))); n > 0 && !f.paused && f.queue == nil {
		f.queue = p.h.plan.chunk(&client.FetchedPart{Raw: make([]byte, n)}, f.next, &memory{})
		f.next += n
	}
}

// some reads of the chunk that is there, or takes the next one.
func (c *council) some(p *process, tp client.TopicPartition) {
	if !p.alive {
		return
	}
	at, got := p.at[tp], p.got[tp]
	if got == nil || at.next == got.from+int64(len(got.raw)) {
		t, err := p.h.take(p.feeds[tp], got, nil)
		require.NoError(c.t, err)
		at.next, got = t.next, t.chunk
	}
	if got != nil {
		for n := 1 + c.rnd.IntN(3); n > 0 && at.next < got.from+int64(len(got.raw)); n-- {
			p.volume[tp] = append(p.volume[tp], at.next)
			at.next++
		}
	}
	p.at[tp], p.got[tp] = at, got
}

func (c *council) follow(p *process, tp client.TopicPartition) {
	g := p.feeds[tp].grant.Load()
	switch {
	case g == p.grant[tp]:
	case g == nil || p.grant[tp] != nil:
		p.h.stopped(p.feeds[tp], p.got[tp], p.at[tp], c.now)
		p.grant[tp], p.got[tp] = nil, nil
	default:
		if g.from.next > p.at[tp].next {
			p.at[tp] = g.from
		}
		p.grant[tp], p.held[tp] = g, g
		p.h.begin(p.feeds[tp], g, p.at[tp], p.acked[tp])
	}
}

// snapshot takes one, and tells the readers of it a little later.
func (c *council) snapshot(p *process) {
	if !p.alive {
		return
	}
	asked, held, volume := maps.Clone(p.at), maps.Clone(p.held), p.volume
	p.volume, p.taking = map[client.TopicPartition][]int64{}, volume
	c.after(c.delay(), func() {
		if !p.alive {
			return
		}
		p.taking = nil
		c.keep(volume)
		p.saved = asked
		for tp, at := range asked {
			p.acked[tp] = at
			if held[tp] == p.held[tp] && held[tp] != nil {
				p.h.acknowledge(tp, held[tp], at)
			}
		}
		c.after(time.Duration(20+c.rnd.IntN(200))*time.Millisecond, func() { c.snapshot(p) })
	})
}

// keep notes that records are in the state of a process.
func (c *council) keep(volume map[client.TopicPartition][]int64) {
	for tp, offsets := range volume {
		for _, o := range offsets {
			c.durable[tp][o]++
		}
	}
}

// stop ends a process: by a crash, or in good order, behind a snapshot.
func (c *council) stop(p *process, crash bool) {
	if !crash {
		c.keep(p.taking)
		c.keep(p.volume)
		for _, tp := range slices.SortedFunc(maps.Keys(p.feeds), byName) {
			p.saved[tp] = p.at[tp]
			if p.held[tp] != nil {
				p.h.acknowledge(tp, p.held[tp], p.at[tp])
			}
		}
		m := p.h.member
		if c.current(m.who, false) == nil {
			for tp, o := range m.uncommitted() {
				c.offsets[tp] = o.Offset
			}
		}
		if c.seats[m.who.ID] != nil {
			c.out(m.who.ID)
		}
	}
	p.alive = false
	c.procs = slices.DeleteFunc(c.procs, func(o *process) bool { return o == p })
}

func newCouncil(t *testing.T, seed uint64, calm bool) *council {
	c := &council{
		t: t, rnd: rand.New(rand.NewPCG(seed, 11)), calm: calm, now: time.UnixMilli(1_700_000_000_000), state: "empty",
		seats: map[string]*seat{}, offsets: map[client.TopicPartition]int64{}, ends: map[client.TopicPartition]int64{}, durable: map[client.TopicPartition]map[int64]int{},
	}
	for i := range int32(6) {
		tp := client.TopicPartition{Topic: "t", Partition: i}
		c.parts = append(c.parts, tp)
		c.durable[tp] = map[int64]int{}
	}
	return c
}

// settle waits until all that was written is in somebody's state, and shared evenly.
func (c *council) settle(seed uint64) {
	c.calm = true
	for range 300 {
		c.run(time.Second)
		all, least, most := 0, len(c.parts), 0
		for _, p := range c.procs {
			n := 0
			for _, g := range p.grant {
				if g != nil {
					n++
				}
			}
			all, least, most = all+n, min(least, n), max(most, n)
		}
		missing := 0
		for tp, end := range c.ends {
			for o := range end {
				if c.durable[tp][o] == 0 {
					missing++
				}
			}
		}
		if missing == 0 && all == len(c.parts) && most-least <= 1 {
			return
		}
	}
	require.FailNow(c.t, "it does not come to rest", "seed %d: state %s, generation %d, members %d, processes %d", seed, c.state, c.generation, len(c.seats), len(c.procs))
}

func (c *council) write() {
	for _, tp := range c.parts {
		c.ends[tp] += int64(c.rnd.IntN(5))
	}
}

// Goal: whatever is lost and whoever dies, two never read a partition at once, and
// everything that was written comes into somebody's state.
func TestMembership_simulated(t *testing.T) {
	for seed := range uint64(60) {
		c := newCouncil(t, seed, false)
		c.start("p0", nil)
		var ended []map[client.TopicPartition]spot
		for step := range 40 {
			c.write()
			switch k := c.rnd.IntN(10); {
			case k < 2 && len(c.procs) < 4:
				var saved map[client.TopicPartition]spot
				if len(ended) > 0 && c.rnd.IntN(2) == 0 {
					saved, ended = ended[0], ended[1:]
				}
				c.start(fmt.Sprint("p", step), saved)
			case k < 4 && len(c.procs) > 1:
				p := c.procs[c.rnd.IntN(len(c.procs))]
				c.stop(p, c.rnd.IntN(2) == 0)
				ended = append(ended, p.saved)
			case k < 5 && len(c.parts) < 9:
				c.grow()
			case k < 6:
				c.procs[c.rnd.IntN(len(c.procs))].cut = c.now.Add(time.Duration(c.rnd.IntN(12_000)) * time.Millisecond)
			}
			c.run(time.Duration(c.rnd.IntN(3000)) * time.Millisecond)
		}
		c.settle(seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Goal: while members come and go in good order each record counts once.
func TestMembership_inGoodOrder(t *testing.T) {
	for seed := range uint64(60) {
		c := newCouncil(t, seed, true)
		c.start("p0", nil)
		for step := range 20 {
			c.write()
			switch k := c.rnd.IntN(10); {
			case k < 3 && len(c.procs) < 4:
				c.start(fmt.Sprint("p", step), nil)
			case k < 4 && len(c.parts) < 9:
				c.grow()
			case k < 6 && len(c.procs) > 1:
				p := c.procs[c.rnd.IntN(len(c.procs))]
				if m := p.h.member; m.phase == member && c.current(m.who, true) == nil { // or its offsets are refused
					c.stop(p, false)
				}
			}
			c.run(time.Duration(c.rnd.IntN(3000)) * time.Millisecond)
		}
		c.settle(seed)
		for tp, end := range c.ends {
			for o := range end {
				require.Equal(t, 1, c.durable[tp][o], "seed %d: %v:%d", seed, tp, o)
			}
		}
	}
}

// Goal: partitions that are added are shared, also where a broker learns of them late.
func TestMembership_grows(t *testing.T) {
	for seed := range uint64(200) {
		c := newCouncil(t, seed, true)
		for i := range 1 + c.rnd.IntN(3) {
			c.start(fmt.Sprint("p", i), nil)
		}
		c.run(3 * time.Second)
		c.grow()
		c.write()
		c.settle(seed)
	}
}
