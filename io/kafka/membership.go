package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// membership is a source's place in a consumer group, by Kafka's classic protocol with
// cooperative rebalancing: which partitions are its own, and what is to be done next.
// It is pure: it starts nothing, waits for nothing, and reads no clock.
//
// A partition is claimed when the group assigns it, granted when its start is known,
// and read while it is granted. When the group wants it for another member it is read
// no more; it is given up when a snapshot has what was read of it and its offset is
// committed. Until then it is named as owned whenever a rebalance is joined, so that
// nobody gets it: that is what makes the next owner begin where this one stopped.
//
// Invariant: a partition is granted only while it is claimed, the coordinator was heard
// of within the session's time-out, and the group has not said otherwise.
type membership struct {
	instance                  string
	topics                    []string // that are read whether they have partitions or not
	session, pulse, rebalance time.Duration
	patience                  time.Duration

	who    client.Member
	phase  memberPhase
	leads  bool
	joined []client.Joiner // for the leader, until it has assigned
	known  []string        // topics of the last subscription
	sizes  map[string]int  // partitions by topic, when this member assigned last
	opened map[client.TopicPartition]bool
	claims map[client.TopicPartition]*claim

	wanted    time.Time // when to join; zero: no need to
	heard     time.Time // when a request was sent that says, as it was answered, that the member is alive
	suspended bool      // it is silent for so long that others may have the partitions
	settled   bool      // the group has said what is whose, once
	tries     [errandKinds]try
	since     time.Time // since when all has failed; zero: it has not
	err       error     // for good
}

type memberPhase uint8

const (
	outside memberPhase = iota
	joining
	syncing
	member
)

// claim is a partition that the group has assigned.
type claim struct {
	grant     *grant // nil: where it begins is not known yet
	leaving   bool   // it is to be given up
	stopped   int64  // where its reader stopped, if it is leaving; -1: it has not
	committed int64  // offset in the group
	next      *client.GroupOffset
}

// grant is the right to read a partition, from one assignment to its end.
type grant struct{ from spot }

// errand is a request to be made.
type errand struct {
	kind    errandKind
	sent    time.Time
	member  client.Member
	topics  []string                                     // join: the subscription
	owned   []client.TopicPartition                      // join
	joiners []client.Joiner                              // sync, of the leader
	fresh   map[client.TopicPartition]bool               // place: whether they were found while the run went on
	offsets map[client.TopicPartition]client.GroupOffset // commit
}

type errandKind uint8

const (
	joinGroup errandKind = iota
	syncGroup
	beat
	placeClaims
	commitOffsets
	errandKinds
)

// try is how often an errand has failed, and when it may be tried again.
type try struct {
	busy  bool
	fails int
	after time.Time
}

// settle is how long a change of what is read waits for others of its kind.
const settle = 50 * time.Millisecond

func newMembership(r *reading) *membership {
	return &membership{
		instance: r.instance, topics: r.topics, patience: r.patience,
		session: r.session, pulse: min(3*time.Second, r.session/10), rebalance: rebalanceTime,
		who:    client.Member{Group: r.group, Instance: r.instance, Generation: -1},
		opened: map[client.TopicPartition]bool{}, claims: map[client.TopicPartition]*claim{},
	}
}

// rebalanceTime is how long the others have to wait for this member in a rebalance. It
// joins at once, whatever its readers do.
const rebalanceTime = 30 * time.Second

// open is told that there is a reader for a partition; fresh: it was found while the run
// went on.
func (m *membership) open(tp client.TopicPartition, fresh bool, now time.Time) {
	m.opened[tp] = fresh
	if m.phase == outside && m.wanted.IsZero() || m.unshared(tp) || !slices.Contains(m.known, tp.Topic) {
		m.wanted = now.Add(settle)
	}
}

// unshared reports that this member has assigned partitions without knowing of tp.
func (m *membership) unshared(tp client.TopicPartition) bool {
	return m.leads && int(tp.Partition) >= m.sizes[tp.Topic]
}

// close is told that there is none any more: what it has read and no snapshot has is
// read again by whoever comes next.
func (m *membership) close(tp client.TopicPartition, now time.Time) {
	delete(m.opened, tp)
	if c := m.claims[tp]; c != nil && c.leaving {
		m.giveUp(tp, now)
	}
}

// granted is the right to read tp; nil: there is none.
func (m *membership) granted(tp client.TopicPartition) *grant {
	c := m.claims[tp]
	if c == nil || c.leaving || m.suspended {
		return nil
	}
	return c.grant
}

// missing reports that a partition is assigned for which there is no reader.
func (m *membership) missing() bool {
	for tp := range m.claims {
		if _, ok := m.opened[tp]; !ok {
			return true
		}
	}
	return false
}

// stopped is told that the reader of a partition which is to be given up has stopped
// before offset at.
func (m *membership) stopped(tp client.TopicPartition, at int64, now time.Time) {
	if c := m.claims[tp]; c != nil && c.leaving {
		c.stopped = at
		m.giveUpCommitted(tp, now)
	}
}

// acknowledge is told of an offset that is in a snapshot, and was read by grant g.
func (m *membership) acknowledge(tp client.TopicPartition, g *grant, at spot) {
	c := m.claims[tp]
	if c == nil || c.grant != g || at.next <= c.committed {
		return // or another assignment's
	}
	c.next = &client.GroupOffset{Offset: at.next, Epoch: at.epoch}
}

func (m *membership) giveUpCommitted(tp client.TopicPartition, now time.Time) {
	if c := m.claims[tp]; c.leaving && c.stopped >= 0 && c.committed >= c.stopped {
		m.giveUp(tp, now)
	}
}

// giveUp lets go of a partition. When it was the last of them the group is told.
func (m *membership) giveUp(tp client.TopicPartition, now time.Time) {
	delete(m.claims, tp)
	for _, c := range m.claims {
		if c.leaving {
			return
		}
	}
	m.wanted = now
}

// next is what to do at now, and when to ask again at the latest; zero: when something
// has changed.
func (m *membership) next(now time.Time) (out []*errand, again time.Time) {
	if m.err != nil || len(m.opened) == 0 && m.phase == outside {
		return nil, time.Time{}
	}
	later := func(t time.Time) {
		if t.After(now) && (again.IsZero() || t.Before(again)) {
			again = t
		}
	}
	add := func(kind errandKind, due time.Time) *errand {
		t := &m.tries[kind]
		if t.after.After(due) {
			due = t.after
		}
		if t.busy || due.After(now) {
			later(due)
			return nil
		}
		t.busy = true
		out = append(out, &errand{kind: kind, sent: now, member: m.who})
		return out[len(out)-1]
	}
	asking := m.tries[joinGroup].busy || m.tries[syncGroup].busy
	switch {
	case asking:
	case m.phase == joining: // it has a new id to join by, or did not get through
		m.askToJoin(add(joinGroup, now))
	case m.phase == syncing:
		if e := add(syncGroup, now); e != nil {
			e.joiners = m.joined
		}
	case !m.wanted.IsZero():
		m.askToJoin(add(joinGroup, m.wanted))
	}
	if m.phase != outside && m.who.Generation >= 0 {
		add(beat, m.heard.Add(m.pulse))
		later(m.heard.Add(m.session))
		m.suspended = now.Sub(m.heard) >= m.session
	}
	if fresh := m.unplaced(); m.phase == member && len(fresh) > 0 {
		if e := add(placeClaims, now); e != nil {
			e.fresh = fresh
		}
	}
	if offsets := m.uncommitted(); (m.phase == member || m.phase == joining) && len(offsets) > 0 {
		if e := add(commitOffsets, now); e != nil {
			e.offsets = offsets
		}
	}
	return out, again
}

func (m *membership) askToJoin(e *errand) {
	if e == nil {
		return
	}
	m.phase, m.wanted = joining, time.Time{}
	topics := map[string]bool{}
	for _, t := range m.topics {
		topics[t] = true
	}
	for tp := range m.opened {
		topics[tp.Topic] = true
	}
	m.known = slices.Sorted(maps.Keys(topics))
	e.topics = m.known
	e.owned = slices.SortedFunc(maps.Keys(m.claims), byName)
}

// unplaced is the claims whose start has to be found.
func (m *membership) unplaced() map[client.TopicPartition]bool {
	parts := map[client.TopicPartition]bool{}
	for tp, c := range m.claims {
		if fresh, ok := m.opened[tp]; ok && c.grant == nil && !c.leaving {
			parts[tp] = fresh
		}
	}
	return parts
}

// uncommitted is the offsets to commit.
func (m *membership) uncommitted() map[client.TopicPartition]client.GroupOffset {
	offsets := map[client.TopicPartition]client.GroupOffset{}
	for tp, c := range m.claims {
		if c.next != nil {
			offsets[tp] = *c.next
		}
	}
	return offsets
}

// didJoin takes in the answer of a join.
func (m *membership) didJoin(e *errand, j client.Joined, err error, now time.Time) {
	if x, ok := errors.AsType[*client.Error](err); ok && x.IDRequired() && j.ID != "" {
		m.tries[joinGroup] = try{}
		m.who.ID = j.ID // and again
		return
	}
	if m.failed(e, err, now) {
		return
	}
	m.who.ID, m.who.Generation = j.ID, j.Generation
	m.phase, m.leads, m.joined = syncing, j.Leader == j.ID, j.Members
}

// didSync takes in what the group has assigned. sizes is what the leader went by.
func (m *membership) didSync(e *errand, parts []client.TopicPartition, sizes map[string]int, err error, now time.Time) {
	if m.failed(e, err, now) {
		return
	}
	m.phase, m.joined, m.settled = member, nil, true
	m.heard = newest(m.heard, e.sent)
	if m.leads {
		m.sizes = sizes
	}
	mine := map[client.TopicPartition]bool{}
	for _, tp := range parts {
		mine[tp] = true
		c := m.claims[tp]
		if c == nil {
			c = &claim{committed: -1}
			m.claims[tp] = c
		}
		c.leaving, c.stopped = false, -1
	}
	leaving := 0
	for tp, c := range m.claims {
		if _, open := m.opened[tp]; !mine[tp] && (c.grant == nil || !open) {
			delete(m.claims, tp) // nothing was read of it
			m.wanted = now
		} else if !mine[tp] {
			c.leaving = true
			leaving++
		}
	}
	if leaving > 0 {
		m.wanted = time.Time{} // when all of them are given up
	} else if slices.ContainsFunc(slices.Collect(maps.Keys(m.opened)), m.unshared) && m.wanted.IsZero() {
		m.wanted = now.Add(lookEvery) // the broker that was asked did not know of it yet
	}
	slog.Info("the group has assigned partitions", "group", m.who.Group, "member", m.who.ID, "generation", m.who.Generation, "partitions", len(parts), "leaving", leaving)
}

// didBeat takes in what the coordinator said to a heartbeat.
func (m *membership) didBeat(e *errand, err error, now time.Time) {
	x, ok := errors.AsType[*client.Error](err)
	if err == nil || ok && x.Rebalancing() {
		m.heard = newest(m.heard, e.sent)
	}
	if ok && x.Rebalancing() {
		m.done(beat)
		if m.phase == member && m.wanted.IsZero() {
			m.wanted = now
		}
		return
	}
	m.failed(e, err, now)
}

func newest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// didPlace takes in where claims begin.
func (m *membership) didPlace(e *errand, at map[client.TopicPartition]spot, err error, now time.Time) {
	if m.failed(e, err, now) || e.member.Generation != m.who.Generation {
		return // another member may have had it since
	}
	for tp := range e.fresh {
		if c := m.claims[tp]; c != nil && c.grant == nil {
			c.grant, c.committed = &grant{at[tp]}, at[tp].next
		}
	}
}

// didCommit takes in that offsets were committed.
func (m *membership) didCommit(e *errand, err error, now time.Time) {
	if m.failed(e, err, now) {
		return
	}
	for tp, o := range e.offsets {
		c := m.claims[tp]
		if c == nil {
			continue
		}
		c.committed = max(c.committed, o.Offset)
		if c.next != nil && c.next.Offset <= o.Offset {
			c.next = nil
		}
		m.giveUpCommitted(tp, now)
	}
}

func (m *membership) done(kind errandKind) {
	m.tries[kind], m.since = try{}, time.Time{}
}

// failed reports that an errand was not done, and draws the consequences.
func (m *membership) failed(e *errand, err error, now time.Time) bool {
	m.tries[e.kind].busy = false
	if err == nil {
		m.done(e.kind)
		return false
	}
	x, ok := errors.AsType[*client.Error](err)
	current := e.member.ID == m.who.ID && e.member.Generation == m.who.Generation
	switch {
	case ok && (x.UnknownMember() || x.OldGeneration() || x.Rebalancing()) && !current:
		// The answer came too late to say anything.
	case ok && x.UnknownMember():
		m.lose(now, err)
		m.who.ID = ""
	case ok && x.OldGeneration() && m.phase == member:
		m.lose(now, err)
	case ok && x.OldGeneration() && e.kind == syncGroup, ok && x.Rebalancing() && (m.phase == member || e.kind == syncGroup):
		m.phase, m.wanted = member, now
	case ok && (x.OldGeneration() || x.Rebalancing()): // the join that is under way will tell
	case !ok || !x.Retriable():
		m.err = fmt.Errorf("group %s: %w", m.who.Group, err)
		return true
	case m.since.IsZero():
		m.since = now
	case now.Sub(m.since) >= m.patience:
		m.err = fmt.Errorf("group %s: its coordinator can't be reached, for %v now (kafka.Patience): %w", m.who.Group, now.Sub(m.since).Round(time.Millisecond), err)
		return true
	}
	t := &m.tries[e.kind]
	t.after = now.Add(min(backoffLeast<<min(t.fails, 10), backoffMost))
	t.fails++
	return true
}

// lose is told that the group has gone on without this member: others may be reading
// what it had.
func (m *membership) lose(now time.Time, why error) {
	slog.Warn("the group has gone on without this member: it joins again", "group", m.who.Group, "member", m.who.ID, "partitions", len(m.claims), "why", why)
	m.claims = map[client.TopicPartition]*claim{}
	m.who.Generation = -1
	m.phase, m.wanted, m.suspended = outside, now, false
}
