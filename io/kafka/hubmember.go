package kafka

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// assignor is the name of the way to assign that [assign] is, in Kafka's protocol.
const assignor = "cooperative-sticky"

// lookEvery is how often partitions that were assigned and are not known are looked for.
const lookEvery = time.Second

// errands is what the membership wants done at now, when it is to be asked again, and
// the readers to wake. h.mu is held.
func (h *hub) errands(now time.Time) (out []*errand, again time.Time, wakes []func()) {
	if h.member == nil {
		return nil, again, nil
	}
	out, again = h.member.next(now)
	if h.member.missing() && now.Sub(h.looked) >= lookEvery {
		h.looked = now
		select {
		case h.unknown <- struct{}{}:
		default:
		}
	}
	return out, again, wakesOf(h.align(now))
}

// align tells the readers what they may read, and the membership which of them need not
// stop because they have not begun. It returns whom to wake. h.mu is held.
func (h *hub) align(now time.Time) (changed []*feed) {
	m, n := h.member, int64(0)
	if m.err != nil && h.broken.Load() == nil {
		h.broken.Store(&m.err)
		changed = h.plan.feeds
	}
	h.settled.Store(m.settled)
	for _, f := range h.plan.feeds {
		g, had := m.granted(f.tp), f.grant.Load()
		if had == nil && f.running {
			g = nil // it does not know yet that it is to stop: else it would not begin anew
		}
		if g != nil {
			n++
		}
		if g != had {
			f.grant.Store(g)
			h.plan.pause(f, now)
			changed = append(changed, f)
		}
		if c := m.claims[f.tp]; c != nil && c.leaving && c.stopped < 0 {
			if f.begun != c.grant {
				m.stopped(f.tp, 0, now)
			} else if !f.running {
				m.stopped(f.tp, f.next, now)
			}
		}
	}
	h.granted.Store(n)
	return changed
}

// begin has a feed fetched from at by grant g. acked is what a snapshot of this job has:
// if the group does not have it yet, it is committed.
func (h *hub) begin(f *feed, g *grant, at, acked spot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.seek(at.next)
	f.epoch, f.begun, f.running = at.epoch, g, true
	f.paused = f.grant.Load() != g // it was taken away already
	h.member.acknowledge(f.tp, g, acked)
	h.again()
}

// stopped is told that the reader of a feed reads no more, and is at a place. done is a
// chunk that it had taken; nil: none.
func (h *hub) stopped(f *feed, done *chunk, at spot, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if done != nil {
		h.plan.release(done, now)
	}
	f.running, f.next = false, at.next
	h.member.stopped(f.tp, at.next, now)
	h.again()
}

// acknowledge has an offset committed that is in a snapshot and was read by grant g.
func (h *hub) acknowledge(tp client.TopicPartition, g *grant, at spot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.member.acknowledge(tp, g, at)
	h.again()
}

// send does an errand.
func (h *hub) send(ctx context.Context, e *errand) {
	m := h.member
	var news func(now time.Time)
	switch e.kind {
	case joinGroup:
		meta := client.Subscription{Topics: e.topics, Owned: e.owned, Generation: e.member.Generation}
		j, err := h.client.JoinGroup(ctx, client.JoinRequest{
			Member: e.member, Session: m.session, Rebalance: m.rebalance, Protocol: assignor, Metadata: meta.Append(nil),
		})
		news = func(now time.Time) { m.didJoin(e, j, err, now) }
	case syncGroup:
		parts, sizes, err := h.sync(ctx, e)
		news = func(now time.Time) { m.didSync(e, parts, sizes, err, now) }
	case beat:
		err := h.client.Heartbeat(ctx, e.member)
		news = func(now time.Time) { m.didBeat(e, err, now) }
	case placeClaims:
		at, err := h.place(ctx, e)
		news = func(now time.Time) { m.didPlace(e, at, err, now) }
	case commitOffsets:
		err := h.client.CommitAsMember(ctx, e.member, e.offsets)
		news = func(now time.Time) { m.didCommit(e, err, now) }
	}
	h.tell(ctx, func(now time.Time) []*feed {
		news(now)
		return h.align(now)
	})
}

// sync gets the assignment, which the leader makes. sizes is what it went by.
func (h *hub) sync(ctx context.Context, e *errand) (parts []client.TopicPartition, sizes map[string]int, err error) {
	var assigned map[string][]byte
	if len(e.joiners) > 0 {
		members := candidates(e.joiners)
		if sizes, err = h.sizes(ctx, members); err != nil {
			return nil, nil, err
		}
		assigned = map[string][]byte{}
		for id, parts := range assign(members, sizes) {
			assigned[id] = client.AppendAssignment(nil, parts)
		}
	}
	mine, err := h.client.SyncGroup(ctx, e.member, assigned, h.member.rebalance)
	if err != nil {
		return nil, nil, err
	}
	parts, err = client.ParseAssignment(mine)
	return parts, sizes, err
}

// candidates reads what members say of themselves. Who can't be understood wants nothing.
func candidates(joiners []client.Joiner) (members []candidate) {
	for _, j := range joiners {
		s, err := client.ParseSubscription(j.Metadata)
		if err != nil {
			slog.Warn("a member of the group can't be understood: it is assigned nothing", "member", j.ID, "why", err)
			s = client.Subscription{}
		}
		members = append(members, candidate{j.ID, s})
	}
	return members
}

// sizes looks up how many partitions the topics of the members have.
func (h *hub) sizes(ctx context.Context, members []candidate) (map[string]int, error) {
	sizes := map[string]int{}
	for _, m := range members {
		for _, name := range m.Topics {
			if _, ok := sizes[name]; ok {
				continue
			}
			t, err := h.client.Topic(ctx, name)
			if e, ok := errors.AsType[*client.Error](err); err != nil && (!ok || !e.UnknownTopic()) {
				return nil, err
			}
			sizes[name] = len(t.Partitions)
		}
	}
	return sizes, nil
}

// place finds where claims begin, and commits it where the group has nothing yet: should
// this process die, the next one is not to begin behind what this one was to read.
func (h *hub) place(ctx context.Context, e *errand) (map[client.TopicPartition]spot, error) {
	r := h.reading
	have, err := h.client.GroupOffsets(ctx, r.group, slices.Collect(maps.Keys(e.fresh)))
	if err != nil {
		return nil, err
	}
	at := map[client.TopicPartition]spot{}
	var known, fresh []client.TopicPartition // of which the group has nothing
	for tp, found := range e.fresh {
		o, ok := have[tp]
		switch {
		case ok:
			at[tp] = spot{o.Offset, o.Epoch, -1}
		case found:
			fresh = append(fresh, tp)
		default:
			known = append(known, tp)
		}
	}
	begin := map[client.TopicPartition]spot{}
	if err := r.start.otherwise.fill(ctx, h.client, r.group, r.uncommitted, known, begin); err != nil {
		return nil, err
	}
	if err := Earliest().fill(ctx, h.client, r.group, r.uncommitted, fresh, begin); err != nil {
		return nil, err
	}
	offsets := map[client.TopicPartition]client.GroupOffset{}
	for tp, s := range begin {
		at[tp], offsets[tp] = s, client.GroupOffset{Offset: s.next, Epoch: s.epoch}
	}
	return at, h.client.CommitAsMember(ctx, e.member, offsets)
}

// goodbye commits what is left, and leaves the group, within a limit. A static member
// does not leave: it is expected back.
func (h *hub) goodbye() {
	ctx, cancel := context.WithTimeout(context.Background(), lastCommit)
	defer cancel()
	m := h.member
	if m.who.Generation >= 0 {
		if err := h.client.CommitAsMember(ctx, m.who, m.uncommitted()); err != nil {
			slog.Warn("the last offsets are not committed: some records will be read again", "group", m.who.Group, "why", err)
		}
	}
	if m.who.ID != "" && m.who.Instance == "" {
		if err := h.client.LeaveGroup(ctx, m.who); err != nil {
			slog.Warn("the group was not left: it takes the session's time until others read on", "group", m.who.Group, "why", err)
		}
	}
}
