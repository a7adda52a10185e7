package natsbus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
)

// Goal: a user of NATS needs no more permissions than docs/operations.md says.
func TestPermissions(t *testing.T) {
	const job = "shop"
	own := []string{"millrace." + job + ".>", "millrace-jobs", "_INBOX.>"}
	write := append([]string{"$JS.API.INFO", "$O.MR-" + job + "-objects.>"}, own...)
	for _, stream := range []string{"MR-" + job + "-registers", "MR-" + job + "-changes", "MR-" + job + "-copies", "OBJ_MR-" + job + "-objects"} {
		write = append(write, "$JS.API.STREAM.*."+stream, "$JS.API.STREAM.MSG.*."+stream, "$JS.API.DIRECT.GET."+stream+".>",
			"$JS.API.CONSUMER.*."+stream+".>", "$JS.API.CONSUMER.MSG.NEXT."+stream+".>")
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), DisableJetStreamBanner: true,
		Users: []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: write}, Subscribe: &server.SubjectPermission{Allow: own},
		}}},
	})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(20*time.Second))

	cfg := natsbus.Config{Job: job, URLs: []string{s.ClientURL()}, User: "u", Password: "p"}
	store := open(t, cfg)
	require.NoError(t, store.Acceptor().Create(t.Context()))
	require.NoError(t, store.Changelog().Create(t.Context(), 0))
	require.NoError(t, store.Copies().Create(t.Context(), 0))
	require.NoError(t, store.Objects().Create(t.Context(), 0))
	_, err = store.Acceptor().CAS(t.Context(), "job", []byte("x"), 0)
	require.NoError(t, err)
	val, _, err := store.Acceptor().Read(t.Context(), "job")
	require.NoError(t, err)
	require.Equal(t, "x", string(val))
	_, last, err := store.Changelog().Append(t.Context(), 0, []byte("a"), []byte("b"))
	require.NoError(t, err)
	n := 0
	require.NoError(t, store.Changelog().Read(t.Context(), 0, 0, last, func(uint64, []byte) error { n++; return nil }))
	require.Equal(t, 2, n)
	require.NoError(t, store.Changelog().Trim(t.Context(), 0, last))
	_, last, err = store.Copies().Append(t.Context(), 0, 1, []byte("a"))
	require.NoError(t, err)
	require.NoError(t, store.Copies().Read(t.Context(), 0, 1, func(uint64, []byte) error { return nil }))
	require.NoError(t, store.Copies().TrimAll(t.Context(), 0, last))
	require.NoError(t, store.Objects().Put(t.Context(), "o", strings.NewReader("x")))
	r, err := store.Objects().Get(t.Context(), "o")
	require.NoError(t, err)
	require.NoError(t, r.Close())
	names, err := store.Objects().List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []string{"o"}, names)
	require.NoError(t, store.Objects().Delete(t.Context(), "o"))

	control := connect(t, cfg).Control()
	stop, err := control.Serve("crew", func(b []byte) ([]byte, error) { return b, nil })
	require.NoError(t, err)
	defer stop()
	answer, err := control.Ask(t.Context(), "crew", []byte("?"))
	require.NoError(t, err)
	require.Equal(t, "?", string(answer))
	absent, err := control.Present(func() []byte { return []byte(job) })
	require.NoError(t, err)
	defer absent()
	jobs, err := control.Roll(t.Context())
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	require.NoError(t, store.Forget(t.Context()))
}
