package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

func (u *hubs) current() *hub {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.cur
}

// Goal: a hub is there while it has users, and for a moment more if others are to come.
func TestHubs(t *testing.T) {
	w := newTown(t, 1)
	r, err := newReading(w.url("t"), nil)
	require.NoError(t, err)
	var u hubs
	a, err := u.use(r, false)
	require.NoError(t, err)
	b, err := u.use(r, false)
	require.NoError(t, err)
	assert.Same(t, a, b)
	u.leave(false)
	assert.Same(t, a, u.current(), "one is left")
	u.leave(true)
	b, err = u.use(r, false)
	require.NoError(t, err)
	assert.Same(t, a, b, "it was kept")
	u.leave(true)
	for until := time.Now().Add(20 * time.Second); u.current() != nil; {
		require.True(t, time.Now().Before(until), "nobody came, and it is still there")
		<-time.After(time.Millisecond)
	}
	_, err = a.client.ClusterID(t.Context())
	require.ErrorIs(t, err, client.ErrClosed)
	c, err := u.use(r, false)
	require.NoError(t, err)
	assert.NotSame(t, a, c)
	u.leave(false)
	_, err = c.client.ClusterID(t.Context())
	require.ErrorIs(t, err, client.ErrClosed)
}
