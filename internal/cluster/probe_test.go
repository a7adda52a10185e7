package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: one worker that is not there any more is missing at once; several that go together
// are waited for; nobody is before it was met, on this connection.
func TestSearch(t *testing.T) {
	type answers = map[string]error
	late := errors.New("no answer in time")
	now := time.Now()
	s := search{grace: time.Second}
	after := func(d time.Duration, a answers) []string {
		now = now.Add(d)
		return s.missing(a, errNobody, now)
	}
	require.Empty(t, after(0, answers{"a": errNobody, "b": nil, "c": nil}))
	require.Empty(t, after(0, answers{"a": nil, "b": nil, "c": late}))
	require.Equal(t, []string{"b"}, after(0, answers{"a": nil, "b": errNobody, "c": nil}))
	require.Empty(t, after(0, answers{"a": nil, "b": errNobody, "c": nil}), "it was told")

	// b is back. Two have the same server, which dies; one of them does not come back.
	require.Empty(t, after(0, answers{"a": nil, "b": nil, "c": nil}))
	require.Empty(t, after(0, answers{"a": nil, "b": errNobody, "c": errNobody}))
	require.Empty(t, after(500*time.Millisecond, answers{"a": nil, "b": nil, "c": errNobody}))
	require.Equal(t, []string{"c"}, after(500*time.Millisecond, answers{"a": nil, "b": nil, "c": errNobody}))

	// Who has come back of such is missed at once when it goes later.
	require.Equal(t, []string{"b"}, after(0, answers{"a": nil, "b": errNobody, "c": errNobody}))

	s.lost()
	require.Empty(t, after(0, answers{"a": errNobody}))
	require.Empty(t, after(0, answers{"a": nil}))
	require.Equal(t, []string{"a"}, after(0, answers{"a": errNobody}))
}

// Goal: people are told once that the leader's connection is gone, and once that it is back.
func TestOutage(t *testing.T) {
	var o outage
	now := time.Now()
	require.Empty(t, o.tell(true, now))
	require.Equal(t, "the leader has no connection to NATS: the job waits for it", o.tell(false, now))
	require.Empty(t, o.tell(false, now.Add(time.Second)))
	require.Equal(t, "the leader is connected to NATS again, after 1.3s", o.tell(true, now.Add(1333*time.Millisecond)))
	require.Empty(t, o.tell(true, now.Add(2*time.Second)))
	require.NotEmpty(t, o.tell(false, now.Add(3*time.Second)))
	require.Equal(t, "the leader is connected to NATS again, after 100ms", o.tell(true, now.Add(3*time.Second+time.Millisecond)))
}

// Goal: a leader knows when it could not hear: its connection was gone or is another one, or
// nobody has looked for long.
func TestEar(t *testing.T) {
	line := &wired{up: true}
	e := ear{most: time.Second}
	now := time.Now()
	deaf := func(d time.Duration) bool {
		now = now.Add(d)
		return e.deaf(line, now)
	}
	require.False(t, deaf(0))
	require.False(t, deaf(time.Second))
	require.True(t, deaf(time.Second+1))
	require.False(t, deaf(0))
	line.up = false
	require.True(t, deaf(0))
	*line = wired{number: 1, up: true}
	require.True(t, deaf(0))
	require.False(t, deaf(0))
}

// wired is a connection.
type wired struct {
	Transport
	number uint64
	up     bool
}

func (w *wired) Line() (number uint64, up bool) { return w.number, w.up }
