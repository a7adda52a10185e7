package natsbus_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
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
		{"a peer without a port", natsbus.ServerConfig{Cluster: &natsbus.ClusterConfig{Addr: "host:1", Peers: []string{"host"}}}, `the address "host" in a cluster is not a host and a port`},
		{"an address without a port", natsbus.ServerConfig{Cluster: &natsbus.ClusterConfig{Addr: "host:nats"}}, `the address "host:nats" in a cluster has no number of a port`},
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
		b := connect(t, natsbus.Config{URLs: []string{s.URL()}})
		assert.Equal(t, 8<<20, b.PayloadMax())
		s.Close()
		_, err = net.Dial("tcp", host(t, s.URL()))
		require.Error(t, err)
	}
	assert.Empty(t, log.String())
}

// Goal: a folder whose server has ended with its machine, without having synced, is refused,
// and no other one is.
func TestServer_guards(t *testing.T) {
	if _, err := os.Stat("/proc/sys/kernel/random/boot_id"); err != nil {
		t.Skip("a start of this machine has no name")
	}
	dir := t.TempDir()
	runs := filepath.Join(dir, "RUNS")
	cfg := natsbus.ServerConfig{Dir: dir, Guard: true}
	run := func(end func(*natsbus.Server)) {
		t.Helper()
		s, err := natsbus.StartServer(t.Context(), cfg)
		require.NoError(t, err)
		end(s)
		s.Close()
	}
	var killed []byte // what a server that is killed leaves
	run(func(*natsbus.Server) {
		b, err := os.ReadFile(runs)
		require.NoError(t, err)
		killed = b
	})
	require.NoFileExists(t, runs, "it has ended in good order")
	require.NoError(t, os.WriteFile(runs, killed, 0o600))
	run(func(*natsbus.Server) {}) // kill -9, and the machine runs on

	require.NoError(t, os.WriteFile(runs, []byte("another start"), 0o600))
	for _, always := range []bool{false, true} {
		cfg.SyncAlways = always
		_, err := natsbus.StartServer(t.Context(), cfg)
		require.ErrorIs(t, err, natsbus.ErrPower)
		require.ErrorContains(t, err, "delete the file "+runs)
	}
	require.NoError(t, os.Remove(runs))
	run(func(*natsbus.Server) { require.NoFileExists(t, runs, "it syncs: it may end as it likes") })
	require.NoError(t, os.WriteFile(runs, killed, 0o600))
	run(func(*natsbus.Server) { require.NoFileExists(t, runs, "what one left that did not sync is synced") })
}

// Goal: what must not be lost with the machine's power is synced.
func TestServer_syncs(t *testing.T) {
	for _, always := range []bool{false, true} {
		s := start(t, natsbus.ServerConfig{Dir: t.TempDir(), SyncAlways: always})
		assert.Equal(t, always, s.SyncsAlways())
	}
}
