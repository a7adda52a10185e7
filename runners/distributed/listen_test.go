package distributed

import (
	"bufio"
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// freeAddress is one of this machine with a port that nobody has.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Goal: what goes to and from a job's own server that others can reach is encrypted, its data
// from worker to worker, too; the token is all that a worker needs, and no other one will do.
func TestJob_listens(t *testing.T) {
	for _, plane := range []string{overDirect, overMesh} {
		t.Run(plane, func(t *testing.T) { listens(t, plane) })
	}
}

func listens(t *testing.T, plane string) {
	dir, address, token := t.TempDir(), freeAddress(t), []string{joinToken + "=sesame"}
	a := start(t, dir, token, "-workers=1", "-slots=2", "-listen="+address, "-plane="+plane)
	a.slots(2)
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	info, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, info, `"tls_required":true`)

	b := start(t, dir, token, "-join=tls://"+address)
	b.await(`^slot \d is here`)
	for _, env := range [][]string{nil, {joinToken + "=guess"}} {
		c := start(t, dir, env, "-join=tls://"+address)
		require.Error(t, c.wait())
		require.Regexp(t, joinToken, c.seen[0])
	}
	stdout, stderr, err := command(t, dir, token, "-nats=tls://"+address, "status")
	require.NoError(t, err, stderr)
	require.Contains(t, stdout, "job shop: running")
	for _, w := range status(t, dir, token, "-nats=tls://"+address).Workers {
		requireTLS(t, plane, w.Address)
	}
	a.finish()
	require.NoError(t, b.wait())
	require.NoError(t, a.wait())
}

// requireTLS makes sure that a worker's address for data wants TLS, and none without it.
func requireTLS(t *testing.T, plane, address string) {
	t.Helper()
	c := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	conn, err := tls.Dial("tcp", address, c)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	if plane == overMesh {
		require.ErrorContains(t, err, "certificate required")
	} else {
		require.NoError(t, err, "a handshake by the token follows")
	}
}
