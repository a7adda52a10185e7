package kafkatest

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func refused(t *testing.T, addr string) {
	t.Helper()
	_, err := net.Dial("tcp", addr)
	require.Error(t, err)
}

// silent says whether the node at addr leaves a request without answer for a while.
func silent(t *testing.T, addr string) bool {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255}) // ApiVersions
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	_, err = conn.Read(make([]byte, 1))
	return err != nil
}

func TestFake_pause(t *testing.T) {
	c := Fake(t)
	assert.False(t, silent(t, c.Addrs()[0]))
	c.Pause(0)
	assert.True(t, silent(t, c.Addrs()[0]))
	c.Resume(0)
	assert.False(t, silent(t, c.Addrs()[0]))
	c.Pause(0)
	c.Stop(0) // as one can kill a process that is stopped
	c.Start(0)
	assert.False(t, silent(t, c.Addrs()[0]))
}

func TestFake_faults(t *testing.T) {
	c := Fake(t, kfake.SeedTopics(1, "t"))
	h := c.Kfake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 2})
	Produce(t, c.Addrs(), "t", Strings(0, "a"))
	assert.Equal(t, 2, h.Hits())
	assert.Equal(t, []string{"a"}, Values(ReadAll(t, c.Addrs(), "t")))
}
