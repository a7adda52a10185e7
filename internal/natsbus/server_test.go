package natsbus_test

import (
	"fmt"
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
)

func TestStartServer_refuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	dir := t.TempDir()
	start(t, natsbus.ServerConfig{Dir: dir})
	for _, tc := range []struct {
		name string
		cfg  natsbus.ServerConfig
		want string
	}{
		{"the port is taken", natsbus.ServerConfig{Port: taken.Addr().(*net.TCPAddr).Port}, "address already in use"},
		{"the folder is in use", natsbus.ServerConfig{Dir: dir}, "another process runs a NATS server in the folder " + dir},
		{"a peer without a port", natsbus.ServerConfig{Mesh: &natsbus.MeshConfig{Peers: []string{"host"}}}, `peer "host" is not a host and a port`},
		{"two ways for clients", natsbus.ServerConfig{User: "ann", Token: "s3cret"}, "either a user or a token"},
		{"a name that none can have", natsbus.ServerConfig{Name: "two words"}, "start a NATS server on 127.0.0.1:0: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := natsbus.StartServer(t.Context(), tc.cfg)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// Goal: a server that is well says nothing, and all is closed when Close returns.
func TestServer_isQuietAndCloses(t *testing.T) {
	var log lines
	dir := t.TempDir()
	for range 2 {
		s, err := natsbus.StartServer(t.Context(), natsbus.ServerConfig{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		assert.Equal(t, s.URL(), s.StoreURL())
		assert.Empty(t, s.MeshAddr())
		b := connect(t, natsbus.Config{URLs: []string{s.URL()}})
		assert.Equal(t, 8<<20, b.PayloadMax())
		s.Close()
		_, err = net.Dial("tcp", host(t, s.URL()))
		require.Error(t, err)
	}
	assert.Empty(t, log.String())
}

// Goal: three servers of which each knows one are a mesh; a frame and a message go from
// each to each; JetStream is beside it, and a wrong secret is refused.
func TestServer_mesh(t *testing.T) {
	encrypts, _ := certificates(t)
	for _, tc := range []struct {
		name string
		cfg  natsbus.ServerConfig
	}{
		{"plain", natsbus.ServerConfig{}},
		{"TLS", natsbus.ServerConfig{TLS: encrypts}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var servers []*natsbus.Server
			var log lines
			tc.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			for i := range 3 {
				cfg := tc.cfg
				cfg.Dir = t.TempDir()
				cfg.Mesh = &natsbus.MeshConfig{Secret: "s3cret"}
				if i > 0 {
					cfg.Mesh.Peers = []string{servers[0].MeshAddr()}
				}
				servers = append(servers, start(t, cfg))
				assert.NotEqual(t, servers[i].URL(), servers[i].StoreURL())
			}
			for _, s := range servers {
				await(t, "two peers", func() bool { return s.Peers() == 2 })
			}
			stranger := tc.cfg
			stranger.Mesh = &natsbus.MeshConfig{Secret: "0ther", Peers: []string{servers[0].MeshAddr()}}
			outside := start(t, stranger)

			var planes []natsbus.Plane
			var boxes [3]box
			for i, s := range servers {
				p := connect(t, natsbus.Config{Server: s}).Plane()
				_, err := p.Listen(i, boxes[i].put)
				require.NoError(t, err)
				planes = append(planes, p)
			}
			// Interest needs its time to get around: what is sent before is lost.
			for from, p := range planes {
				for to := range boxes {
					msg := []byte{'a' + byte(from), 'a' + byte(to)}
					await(t, "frame "+string(msg), func() bool {
						require.NoError(t, p.Send(to, msg))
						return boxes[to].has(string(msg))
					})
				}
			}
			// What is kept is kept by one of them alone.
			for i, s := range servers {
				a := open(t, natsbus.Config{Server: s}).Acceptor()
				require.NoError(t, a.Create(t.Context()))
				val, version, err := a.Read(t.Context(), "job")
				require.NoError(t, err)
				require.Zero(t, version, "the value %s of another server", val)
				_, err = a.CAS(t.Context(), "job", []byte(fmt.Sprint(i)), 0)
				require.NoError(t, err)
			}
			assert.Zero(t, outside.Peers())
			assert.NotContains(t, log.String(), "s3cret")
			assert.NotContains(t, log.String(), "0ther")
		})
	}
}

// Goal: what must not be lost with the machine's power is synced, alone and in a mesh.
func TestServer_syncs(t *testing.T) {
	for _, always := range []bool{false, true} {
		for _, mesh := range []*natsbus.MeshConfig{nil, {}} {
			s := start(t, natsbus.ServerConfig{Dir: t.TempDir(), SyncAlways: always, Mesh: mesh})
			assert.Equal(t, always, s.SyncsAlways())
		}
	}
}
