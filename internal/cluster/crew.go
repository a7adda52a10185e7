package cluster

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// CrewConfig is what a job wants of those who work for it.
type CrewConfig struct {
	Slots    int
	Lanes    int // of each slot
	Standbys int // of each slot
	Wait     int // workers that have to be ready before slots are given out

	Program  string // what workers run; "": anything that builds the graph
	Platform string // that Program was built for
	Graph    Graph
	Flags    []Flag // that workers must agree with
	Job      []byte // what else workers have to know about the job, as JSON; it is the runner's

	Term    uint64        // of the leader; rosters of higher terms replace those of lower ones
	Silence time.Duration // a worker that has said nothing for so long is lost
	Build   time.Duration // and one that has not built its graph after so long
}

// Crew decides who belongs to a job and who has which slots. It is told what workers say
// and answers them; after each fact the driver takes the Notes and sends the Roster to all,
// if its version has changed.
//
//	hello ─► greeted ─ ready, same graph ─► at work ─ leaving ─► handing on ─► exit
//	            └ other graph: refused        └ silent ─► lost ─ is heard again ─► at work
//
// Invariants: phases only rise; a slot has at most one owner, who is at work; what a lost
// worker still does is for the slots' registers to fence.
type Crew struct {
	cfg    CrewConfig
	roster Roster
	hands  []*hand // all that ever joined and have not left, in the order of joining
	slots  []slot
	wish   int // workers that are to have slots; 0: all that are here
	notes  []string
}

// hand is a worker.
type hand struct {
	Member
	pid     int
	same    bool // it runs the program of the job
	heard   time.Time
	ready   bool // it may have slots
	lost    bool
	leaving bool
	warm    map[int]bool // slots that it stands by and could take over at once
}

// slot is what is known of a slot.
type slot struct {
	since  uint64 // version of the roster in which its owner got it
	report SlotReport
	heard  bool  // report is by its owner
	before int64 // elements that former owners have read
}

// NewCrew is the crew of a job; last is the newest roster of a former leader, nil if there
// was none.
func NewCrew(cfg CrewConfig, last *Roster, now time.Time) *Crew {
	c := &Crew{cfg: cfg, roster: Roster{Lanes: cfg.Lanes, Workers: []Member{}, Slots: make([]Place, cfg.Slots)}, slots: make([]slot, cfg.Slots)}
	if last != nil {
		c.roster = *last
		c.roster.Slots = slices.Clone(last.Slots)
		c.wish = last.Wish
		c.slots = make([]slot, len(last.Slots))
		for _, m := range last.Workers {
			c.hands = append(c.hands, &hand{Member: m, heard: now, ready: true})
		}
	}
	c.roster.Edition = Edition{Term: cfg.Term}
	return c
}

// Roster is the roster as it is now. It is not to be changed.
func (c *Crew) Roster() Roster { return c.roster }

// Notes are sentences for people about what has happened since they were asked for last.
func (c *Crew) Notes() []string {
	notes := c.notes
	c.notes = nil
	return notes
}

// Report is what is known of a slot, with the elements of all its owners so far; known is
// false where the present one has not said anything yet.
func (c *Crew) Report(slot int) (r SlotReport, known bool) {
	s := &c.slots[slot]
	r = s.report
	r.Elements += s.before
	return r, s.heard
}

// Empty reports that all have left. Who is lost may still be there, and has not.
func (c *Crew) Empty() bool { return len(c.hands) == 0 }

// Hello answers a process that wants to join. It may say so again, the second time with the
// address where others reach it.
func (c *Crew) Hello(m *Hello, now time.Time) Message {
	if c.roster.Phase >= Stopping {
		return &Refused{Reason: "the job takes nobody any more: it is " + c.roster.Phase.String()}
	}
	if c.cfg.Program != "" && m.Platform == c.cfg.Platform && m.Program != c.cfg.Program {
		return &Refused{
			Reason: "this is not the program that the job runs",
			Detail: fmt.Sprintf("its hash is %s, and the job's %s: build it once, and copy it to where it is to run", short(m.Program), short(c.cfg.Program)),
		}
	}
	h := c.hand(m.Worker)
	if h == nil {
		if len(c.hands) >= MaxWorkers {
			return &Refused{Reason: fmt.Sprintf("the job has %d workers already", len(c.hands))}
		}
		h = &hand{Member: Member{Worker: m.Worker, Number: c.number(m.Wish), Host: m.Host, Parent: m.Parent}, pid: m.Pid, same: c.cfg.Program != "" && m.Program == c.cfg.Program}
		c.hands = append(c.hands, h)
	}
	h.heard, h.Address = now, m.Address // it is known when the worker knows the job
	return &Welcome{Number: h.Number, Flags: c.cfg.Flags, Job: c.cfg.Job}
}

// number is the one that a worker would like, or the lowest that nobody has.
func (c *Crew) number(wish int) int {
	taken := map[int]bool{0: true}
	for _, h := range c.hands {
		taken[h.Number] = taken[h.Number] || !h.lost
	}
	n := wish
	for i := 1; taken[n]; i++ {
		n = i
	}
	return n
}

// Ready answers a worker that has built its graph.
func (c *Crew) Ready(m *Ready, now time.Time) Message {
	h := c.hand(m.Worker)
	switch {
	case h == nil:
		return &Tell{} // a leader before this one has heard its Hello
	case m.Hash != c.cfg.Graph.Hash && m.Graph == nil:
		h.heard = now
		return &Tell{}
	case m.Hash != c.cfg.Graph.Hash:
		c.drop(h)
		diff := Diff(c.cfg.Graph, *m.Graph)
		if h.same {
			c.note("worker %d (%s, pid %d) runs the same program and has built another graph, and is refused:\n%s", h.Number, h.Host, h.pid, diff)
			return &Refused{Reason: "the same program has built another graph for the job: something in it depends on the process, the time or chance", Detail: diff}
		}
		c.note("worker %d (%s, pid %d) was built from other code, and is refused:\n%s", h.Number, h.Host, h.pid, diff)
		return &Refused{Reason: "the job was built from other code: its graph is another one", Detail: diff}
	}
	h.heard = now
	if !h.ready {
		h.ready = true
		c.note("worker %d (%s, pid %d) is here", h.Number, h.Host, h.pid)
		c.admit(h)
		c.arrange()
	}
	return c.answer(Edition{})
}

// Beat answers a worker that says how its slots are.
func (c *Crew) Beat(m *Beat, now time.Time) Message {
	h := c.hand(m.Worker)
	if h == nil || !h.ready {
		return &Tell{}
	}
	h.heard = now
	if h.lost {
		h.Number, h.lost = c.number(h.Number), false // somebody else may have got it
		c.note("worker %d is heard again", h.Number)
		c.admit(h)
	}
	if m.Leaving && !h.leaving {
		h.leaving = true
		c.note("worker %d leaves, and hands on what it has", h.Number)
	}
	h.warm = map[int]bool{}
	for _, r := range m.Slots {
		if r.State == Warm {
			h.warm[r.Slot] = true
		} else if r.Slot < len(c.slots) && c.roster.Slots[r.Slot].Owner == m.Worker && m.Term == c.cfg.Term && m.Version >= c.slots[r.Slot].since {
			c.slots[r.Slot].report, c.slots[r.Slot].heard = r, true
		}
	}
	c.conclude()
	c.arrange()
	return c.answer(m.Edition)
}

// answer is the roster for who has an older one.
func (c *Crew) answer(has Edition) Message {
	if !c.roster.Newer(has) {
		return &Fine{}
	}
	r := c.roster
	return &r
}

// Exit notes that a worker has left.
func (c *Crew) Exit(m *Exit) {
	if h := c.hand(m.Worker); h != nil {
		c.leave(h, m.Reason)
	}
}

// Died notes that a process is dead, so that its silence need not be waited for.
func (c *Crew) Died(host string, pid int, reason string) {
	for _, h := range c.hands {
		if h.Host == host && h.pid == pid {
			c.leave(h, reason)
			return
		}
	}
}

func (c *Crew) leave(h *hand, reason string) {
	c.drop(h)
	if h.ready && !h.lost && !c.roster.Phase.Over() {
		c.note("worker %d is gone: %s", h.Number, reason)
	}
	c.arrange()
}

// Missing notes that a worker is not there any more, as far as messages go. If it is heard
// again it may have slots again.
func (c *Crew) Missing(worker string) {
	if h := c.hand(worker); h != nil && h.ready && !h.lost && !h.leaving {
		h.lost = true
		c.note("worker %d is lost: its connection is gone", h.Number)
		c.arrange()
	}
}

// Excuse notes that nobody could be heard until now: the silence of workers begins here.
func (c *Crew) Excuse(now time.Time) {
	for _, h := range c.hands {
		if h.ready && !h.lost {
			h.heard = now
		}
	}
}

// Tick looks for those that have been silent for too long.
func (c *Crew) Tick(now time.Time) {
	for _, h := range slices.Clone(c.hands) {
		switch silent := now.Sub(h.heard); {
		case h.lost && silent > 10*c.cfg.Silence:
			c.drop(h) // if it ever comes back it says hello
		case !h.ready && silent > c.cfg.Build:
			c.drop(h)
			c.note("worker %d (%s, pid %d) joined and did not become ready in %v", h.Number, h.Host, h.pid, c.cfg.Build)
		case h.ready && !h.lost && silent > c.cfg.Silence:
			h.lost = true
			c.note("worker %d is lost: nothing was heard of it for %v", h.Number, silent.Round(time.Millisecond))
		}
	}
	c.arrange()
}

// Drain lets the job come to where all is shown that its sources have given: then Stop. A job
// that has not begun has nothing to show.
func (c *Crew) Drain() {
	if c.roster.Phase == Gathering {
		c.Stop()
	}
	c.rise(Draining, "")
}

// Stop lets all slots commit what they have, and stop.
func (c *Crew) Stop() { c.rise(Stopping, "") }

// Cancel ends the job.
func (c *Crew) Cancel() { c.rise(Cancelled, "") }

// Fail ends the job with an error.
func (c *Crew) Fail(why string) { c.rise(Failed, Text(why)) }

func (c *Crew) rise(to Phase, why string) {
	if c.roster.Phase.Over() || to <= c.roster.Phase {
		return
	}
	c.note("the job is %s", strings.TrimSuffix(to.String()+": "+why, ": "))
	c.publish(to, why, c.roster.Slots)
}

// conclude looks whether the slots have come to an end together.
func (c *Crew) conclude() {
	ended, stopped := 0, 0
	for i := range c.slots {
		s := &c.slots[i]
		owner := c.hand(c.roster.Slots[i].Owner)
		switch {
		case s.heard && s.report.State == Broken:
			number := 0
			if owner != nil {
				number = owner.Number
			}
			c.Fail(fmt.Sprintf("slot %d on worker %d: %s", i, number, cmp.Or(s.report.Error, "it does not say why")))
			return
		case s.heard && s.report.State == Ended:
			ended++
		case s.heard && s.report.State == Stopped, owner == nil: // of a dead worker's slot what is committed is kept
			stopped++
		}
	}
	switch {
	case ended == len(c.slots):
		c.rise(Done, "")
	case c.roster.Phase == Stopping && ended+stopped == len(c.slots):
		c.rise(Drained, "")
	}
}

// arrange gives out slots, as long as the job runs, and makes a new roster if anything in
// it has changed.
func (c *Crew) arrange() {
	phase := c.roster.Phase
	if phase.Runs() {
		c.share()
	}
	p := c.places()
	switch {
	case phase > Draining:
	case phase == Gathering && len(p.workers) < c.cfg.Wait:
	case phase == Gathering:
		phase = Running
		c.note("all are here: %s on %s", count(len(p.slots), "slot"), count(len(p.workers), "worker"))
		p.fill()
		p.stand()
	default:
		if len(p.workers) == 0 { // better with one that wants to go than with nobody
			p.workers, p.spares = c.members(anybody), nil
		}
		for _, i := range p.fill() {
			c.note("slot %d goes to worker %d", i, p.member(p.slots[i].Owner).Number)
		}
		if i, ok := c.level(&p); ok {
			why := ", which has fewer"
			if p.spare(c.roster.Slots[i].Owner) {
				why = ""
			}
			c.note("slot %d moves to worker %d%s", i, p.member(p.slots[i].Owner).Number, why)
		}
		p.stand()
	}
	c.publish(phase, c.roster.Why, p.slots)
}

// level moves a slot, if one is to move. In a job that drains that takes longer than it is
// worth, but for those of who leaves.
func (c *Crew) level(p *places) (moved int, ok bool) {
	leaves := func(h *hand) bool { return h.leaving && c.roster.owns(h.Worker) }
	if c.roster.Phase == Draining && !slices.ContainsFunc(c.hands, leaves) {
		return 0, false
	}
	return p.level(c.quiet(p.slots))
}

// places are the slots as they are, and who may have them: who leaves gives away what it has,
// before any spare.
func (c *Crew) places() places {
	p := divide(c.members(func(h *hand) bool { return !h.leaving }))
	p.spares = append(p.spares, c.members(func(h *hand) bool { return h.leaving })...)
	p.standbys, p.slots = c.cfg.Standbys, cloneSlots(c.roster.Slots)
	p.warm = func(worker string, slot int) bool { return c.hand(worker).warm[slot] }
	return p
}

func anybody(*hand) bool { return true }

// quiet reports that no slot is on its way: then one may be moved.
func (c *Crew) quiet(places []Place) bool {
	for i := range places {
		s := &c.slots[i]
		if places[i].Owner != c.roster.Slots[i].Owner || !s.heard || s.report.State == Opening {
			return false
		}
	}
	return true
}

// publish makes a new roster, if it differs from the one that is out.
func (c *Crew) publish(phase Phase, why string, slots []Place) {
	next := c.roster
	next.Phase, next.Why, next.Wish, next.Workers, next.Slots = phase, why, c.wish, c.members(anybody), cloneSlots(slots)
	gone := func(w string) bool {
		return !slices.ContainsFunc(next.Workers, func(m Member) bool { return m.Worker == w })
	}
	for i := range next.Slots {
		if s := &next.Slots[i]; gone(s.Owner) {
			s.Owner = ""
		}
		next.Slots[i].Standbys = slices.DeleteFunc(next.Slots[i].Standbys, gone)
	}
	if reflect.DeepEqual(next, c.roster) {
		return
	}
	next.Version++
	for i := range next.Slots {
		if next.Slots[i].Owner != c.roster.Slots[i].Owner {
			s := &c.slots[i]
			*s = slot{since: next.Version, before: s.before + s.report.Elements}
		}
	}
	c.roster = next
	if phase == Stopping {
		c.conclude() // of who has gone no more is heard
	}
}

// members are the workers that are at work, by number.
func (c *Crew) members(may func(*hand) bool) []Member {
	list := []Member{}
	for _, h := range c.hands {
		if h.ready && !h.lost && may(h) {
			list = append(list, h.Member)
		}
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Number, b.Number) })
	return list
}

func (c *Crew) hand(worker string) *hand {
	for _, h := range c.hands {
		if h.Worker == worker {
			return h
		}
	}
	return nil
}

func (c *Crew) drop(h *hand) {
	c.hands = slices.DeleteFunc(c.hands, func(o *hand) bool { return o == h })
}

func (c *Crew) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

func cloneSlots(slots []Place) []Place {
	out := slices.Clone(slots)
	for i := range out {
		out[i].Standbys = slices.Clone(out[i].Standbys)
	}
	return out
}

func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}
