package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/kafkatest"
)

// Goal: other clients read what a member says of itself, and the other way round.
func TestSubscription_othersReadIt(t *testing.T) {
	s := Subscription{Topics: []string{"a", "b"}, Owned: []TopicPartition{{"b", 1}, {"a", 2}, {"a", 0}}, Generation: 7}
	var theirs kmsg.ConsumerMemberMetadata
	require.NoError(t, theirs.ReadFrom(s.Append(nil)))
	assert.Equal(t, []string{"a", "b"}, theirs.Topics)
	assert.EqualValues(t, 7, theirs.Generation)
	assert.Equal(t, []byte{0, 0, 0, 7}, theirs.UserData)
	require.Len(t, theirs.OwnedPartitions, 2)
	assert.Equal(t, []int32{0, 2}, theirs.OwnedPartitions[0].Partitions)
	for version := range int16(4) {
		theirs.Version = version
		ours, err := ParseSubscription(theirs.AppendTo(nil))
		require.NoError(t, err)
		want := Subscription{Topics: s.Topics, Generation: -1}
		if version >= 1 {
			want.Owned = []TopicPartition{{"a", 0}, {"a", 2}, {"b", 1}}
		}
		if version >= 2 {
			want.Generation = 7
		}
		assert.Equal(t, want, ours, "version %d", version)
	}

	var given kmsg.ConsumerMemberAssignment
	require.NoError(t, given.ReadFrom(AppendAssignment(nil, s.Owned)))
	require.Len(t, given.Topics, 2)
	assert.Equal(t, []int32{0, 2}, given.Topics[0].Partitions)
	back, err := ParseAssignment(given.AppendTo(nil))
	require.NoError(t, err)
	assert.Equal(t, []TopicPartition{{"a", 0}, {"a", 2}, {"b", 1}}, back)
}

// Goal: what is cut or made up is an error, and no more is allocated than there are bytes.
func FuzzSubscription(f *testing.F) {
	f.Add(Subscription{Topics: []string{"a"}, Owned: []TopicPartition{{"a", 2}}, Generation: 7}.Append(nil))
	f.Add(AppendAssignment(nil, []TopicPartition{{"a", 0}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseSubscription(b); err == nil {
			again, err := ParseSubscription(s.Append(nil))
			require.NoError(t, err)
			assert.Equal(t, s.Generation, again.Generation)
		}
		if parts, err := ParseAssignment(b); err == nil && len(b) > 0 {
			_, err = ParseAssignment(AppendAssignment(nil, parts))
			require.NoError(t, err)
		}
	})
}

// Goal: two members share a group on brokers of both kinds: they join, are assigned,
// commit, and are told when the group goes on without them.
func TestMembers(t *testing.T) {
	for name, b := range map[string]kafkatest.Brokers{"fake": kafkatest.Fake(t), "real": nil} {
		t.Run(name, func(t *testing.T) {
			if b == nil {
				b = kafkatest.Shared(t)
			}
			members(t, b)
		})
	}
}

func members(t *testing.T, b kafkatest.Brokers) {
	c, group, at := realClient(t, b), kafkatest.Name(t), topic(t, b, 2, nil)
	join := func(m Member) (Member, Joined) {
		q := JoinRequest{Member: m, Session: 10 * time.Second, Rebalance: 10 * time.Second, Protocol: "cooperative-sticky", Metadata: Subscription{Topics: []string{at}}.Append(nil)}
		j, err := c.JoinGroup(t.Context(), q)
		for until := time.Now().Add(20 * time.Second); again(err) && time.Now().Before(until); { // a new broker has no coordinators at first
			j, err = c.JoinGroup(t.Context(), q)
		}
		if e, ok := err.(*Error); ok && e.IDRequired() {
			require.NotEmpty(t, j.ID)
			q.ID = j.ID
			j, err = c.JoinGroup(t.Context(), q)
		}
		require.NoError(t, err)
		return Member{Group: group, ID: j.ID, Instance: m.Instance, Generation: j.Generation}, j
	}
	first, j := join(Member{Group: group, Generation: -1})
	assert.Equal(t, first.ID, j.Leader)
	require.Len(t, j.Members, 1)
	s, err := ParseSubscription(j.Members[0].Metadata)
	require.NoError(t, err)
	assert.Equal(t, []string{at}, s.Topics)
	parts := []TopicPartition{{at, 0}, {at, 1}}
	mine, err := c.SyncGroup(t.Context(), first, map[string][]byte{first.ID: AppendAssignment(nil, parts)}, time.Minute)
	require.NoError(t, err)
	got, err := ParseAssignment(mine)
	require.NoError(t, err)
	assert.Equal(t, parts, got)
	require.NoError(t, c.Heartbeat(t.Context(), first))
	require.NoError(t, c.CommitAsMember(t.Context(), first, map[TopicPartition]GroupOffset{parts[1]: {Offset: 5, Epoch: -1}}))
	offsets, err := c.GroupOffsets(t.Context(), group, parts)
	require.NoError(t, err)
	assert.Equal(t, map[TopicPartition]GroupOffset{parts[1]: {Offset: 5, Epoch: -1}}, offsets)

	// A second one, of static membership, begins a rebalance.
	joined := make(chan Member)
	go func() {
		m, _ := join(Member{Group: group, Instance: "second", Generation: -1})
		joined <- m
	}()
	for until := time.Now().Add(20 * time.Second); ; {
		err := c.Heartbeat(t.Context(), first)
		if e, ok := err.(*Error); ok && e.Rebalancing() {
			break
		}
		require.NoError(t, err)
		require.True(t, time.Now().Before(until))
	}
	old := first
	first, j = join(first)
	second := <-joined
	require.Len(t, j.Members, 2)
	assert.Equal(t, second.Generation, first.Generation)
	assert.Equal(t, first.ID, j.Leader)
	_, err = c.SyncGroup(t.Context(), first, map[string][]byte{first.ID: AppendAssignment(nil, parts[:1]), second.ID: AppendAssignment(nil, parts[1:])}, time.Minute)
	require.NoError(t, err)
	mine, err = c.SyncGroup(t.Context(), second, nil, time.Minute)
	require.NoError(t, err)
	got, err = ParseAssignment(mine)
	require.NoError(t, err)
	assert.Equal(t, parts[1:], got)

	// What comes with the generation before is refused.
	is := func(err error, what func(*Error) bool) {
		t.Helper()
		e, ok := err.(*Error)
		require.True(t, ok, "%v", err)
		assert.True(t, what(e), "%v", err)
	}
	is(c.Heartbeat(t.Context(), old), (*Error).OldGeneration)
	is(c.CommitAsMember(t.Context(), old, map[TopicPartition]GroupOffset{parts[1]: {Offset: 6}}), (*Error).OldGeneration)

	// Who takes the instance over fences.
	heir, _ := join(Member{Group: group, Instance: "second", Generation: -1})
	assert.NotEqual(t, second.ID, heir.ID)
	is(c.Heartbeat(t.Context(), second), func(e *Error) bool { return e.Code == 82 })

	require.NoError(t, c.LeaveGroup(t.Context(), first))
	is(c.Heartbeat(t.Context(), first), (*Error).UnknownMember)
}
