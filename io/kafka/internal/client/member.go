package client

import (
	"context"
	"time"
)

// A Member is who a consumer is in its group: of the classic protocol, which brokers
// speak since 0.9. Source: https://kafka.apache.org/protocol.html and KIP-62, 345,
// 394 and 429.
type Member struct {
	Group      string
	ID         string // which the coordinator has given; empty: none yet
	Instance   string // of static membership; empty: none
	Generation int32  // of the group, by the last rebalance; -1 outside of it
}

// JoinRequest asks to be a part of the group's next generation.
type JoinRequest struct {
	Member
	Session   time.Duration // without a heartbeat for so long the member is out
	Rebalance time.Duration // how long members have to join when a rebalance begins
	Protocol  string        // the way to assign that this member knows
	Metadata  []byte        // a [Subscription]
}

// Joined is the new generation.
type Joined struct {
	Generation int32
	ID         string // the member's own; also with the error of which IDRequired is true
	Leader     string // the member that has to assign
	Protocol   string
	Members    []Joiner // all of them, for the leader; others get none
}

// A Joiner is a member as the leader sees it.
type Joiner struct {
	ID       string
	Instance string
	Metadata []byte
}

// joinSlack is how much longer than the rebalance an answer to JoinGroup may take.
const joinSlack = 5 * time.Second

// JoinGroup joins the rebalance that is under way, or begins one, and waits until the
// other members have joined as well. Like the other requests of members it is tried
// once: what to do about a failure depends on where the member is.
func (c *Client) JoinGroup(ctx context.Context, q JoinRequest) (j Joined, err error) {
	err = c.coordinateOnce(ctx, q.Group, q.Rebalance+joinSlack, func(ctx context.Context, b *broker) error {
		return simple(ctx, b, apiJoinGroup, func(w *writer, _ int16) {
			w.string(q.Group)
			w.int32(int32(q.Session.Milliseconds()))
			w.int32(int32(q.Rebalance.Milliseconds()))
			w.string(q.ID)
			w.nullable(q.Instance)
			w.string(groupType)
			w.array(1)
			w.string(q.Protocol)
			w.bytes(q.Metadata)
			w.tags()
			w.tags()
		}, func(r *reader) (ms int32, err error) {
			j, ms, err = parseJoin(r)
			return ms, err
		})
	})
	return j, err
}

// groupType is what a group has to be for consumers.
const groupType = "consumer"

func parseJoin(r *reader) (j Joined, ms int32, err error) {
	ms = r.int32()
	code := r.int16()
	j.Generation = r.int32()
	j.Protocol, j.Leader, j.ID = r.string(), r.string(), r.string()
	for n := r.array(5); n > 0 && r.err == nil; n-- {
		j.Members = append(j.Members, Joiner{r.string(), r.string(), r.bytes()})
		r.tags()
	}
	r.tags()
	return j, ms, refused(apiJoinGroup, code, "", -1)
}

// SyncGroup gets what m is assigned, and waits until the leader has said so. The leader
// gives what all members are assigned, by their ids.
func (c *Client) SyncGroup(ctx context.Context, m Member, assigned map[string][]byte, limit time.Duration) (mine []byte, err error) {
	err = c.coordinateOnce(ctx, m.Group, limit, func(ctx context.Context, b *broker) error {
		return simple(ctx, b, apiSyncGroup, func(w *writer, _ int16) {
			writeMember(w, m)
			w.array(len(assigned))
			for id, a := range assigned {
				w.string(id)
				w.bytes(a)
				w.tags()
			}
			w.tags()
		}, func(r *reader) (int32, error) {
			ms, code := r.int32(), r.int16()
			mine = r.bytes()
			r.tags()
			return ms, refused(apiSyncGroup, code, "", -1)
		})
	})
	return mine, err
}

func writeMember(w *writer, m Member) {
	w.string(m.Group)
	w.int32(m.Generation)
	w.string(m.ID)
	w.nullable(m.Instance)
}

// Heartbeat says that m is alive. The answer may be the *Error of a rebalance.
func (c *Client) Heartbeat(ctx context.Context, m Member) error {
	return c.coordinateOnce(ctx, m.Group, c.cfg.RequestTimeout/3, func(ctx context.Context, b *broker) error {
		return simple(ctx, b, apiHeartbeat, func(w *writer, _ int16) {
			writeMember(w, m)
			w.tags()
		}, parseCode(apiHeartbeat))
	})
}

// LeaveGroup says that m is gone, so that others get what it had.
func (c *Client) LeaveGroup(ctx context.Context, m Member) error {
	return c.coordinateOnce(ctx, m.Group, c.cfg.RequestTimeout/3, func(ctx context.Context, b *broker) error {
		return simple(ctx, b, apiLeaveGroup, func(w *writer, _ int16) {
			w.string(m.Group)
			w.array(1)
			w.string(m.ID)
			w.nullable(m.Instance)
			w.tags()
			w.tags()
		}, func(r *reader) (int32, error) {
			ms, code := r.int32(), r.int16()
			for n := r.array(5); n > 0 && r.err == nil; n-- {
				r.raw()
				r.raw()
				if own := r.int16(); code == 0 {
					code = own
				}
				r.tags()
			}
			r.tags()
			return ms, refused(apiLeaveGroup, code, "", -1)
		})
	})
}

// CommitAsMember commits offsets of partitions that m is assigned. The coordinator
// refuses them when m's generation is over.
func (c *Client) CommitAsMember(ctx context.Context, m Member, offsets map[TopicPartition]GroupOffset) error {
	if len(offsets) == 0 {
		return nil
	}
	return c.coordinateOnce(ctx, m.Group, c.cfg.RequestTimeout/3, func(ctx context.Context, b *broker) error {
		return commitOffsets(ctx, b, m, offsets)
	})
}

// coordinateOnce runs f with the group's coordinator, which is looked up again the next
// time if it is not the coordinator any more.
func (c *Client) coordinateOnce(ctx context.Context, group string, limit time.Duration, f func(context.Context, *broker) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	k := ofGroup(group)
	b, err := c.coordinator(ctx, k)
	if err == nil {
		err = f(ctx, b)
	}
	c.forgetCoordinator(k, err)
	return err
}
