package natsbus_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
)

// noise is n bytes that compress to nothing less.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b) // never fails
	return b
}

// Goal: what all objects keep to.
func TestObjects(t *testing.T) {
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	bucket := open(t, natsbus.Config{Server: server, Job: "a job"}).Objects()
	require.NoError(t, bucket.Create(t.Context(), 0))
	require.NoError(t, bucket.Create(t.Context(), 0), "what is there stays")
	folder, err := natsbus.OpenFolder(filepath.Join(t.TempDir(), "of", "objects") + "/")
	require.NoError(t, err)
	for name, o := range map[string]natsbus.Objects{"bucket": bucket, "folder": folder} {
		t.Run(name, func(t *testing.T) {
			get := func(name string) []byte {
				t.Helper()
				r, err := o.Get(t.Context(), name)
				require.NoError(t, err)
				b, err := io.ReadAll(r)
				require.NoError(t, err)
				require.NoError(t, r.Close())
				return b
			}
			list := func(prefix string) []string {
				t.Helper()
				names, err := o.List(t.Context(), prefix)
				require.NoError(t, err)
				return names
			}
			require.Empty(t, list(""))
			_, err := o.Get(t.Context(), "cut-1/slot-0")
			require.ErrorIs(t, err, natsbus.ErrNoObject)
			require.NoError(t, o.Delete(t.Context(), "cut-1/slot-0"))

			large := noise(3<<20 + 17)
			require.NoError(t, o.Put(t.Context(), "cut-1/slot-0", iotest.HalfReader(bytes.NewReader(large))))
			require.NoError(t, o.Put(t.Context(), "cut-1/slot-1", bytes.NewReader(nil)))
			require.NoError(t, o.Put(t.Context(), "cut-2", bytes.NewReader([]byte("two"))))
			require.True(t, bytes.Equal(large, get("cut-1/slot-0")))
			require.Empty(t, get("cut-1/slot-1"))
			require.Equal(t, []string{"cut-1/slot-0", "cut-1/slot-1", "cut-2"}, list(""))
			require.Equal(t, []string{"cut-1/slot-0", "cut-1/slot-1"}, list("cut-1/"))

			require.NoError(t, o.Put(t.Context(), "cut-1/slot-0", bytes.NewReader([]byte("smaller"))))
			require.Equal(t, "smaller", string(get("cut-1/slot-0")))

			r, err := o.Get(t.Context(), "cut-2")
			require.NoError(t, err)
			require.NoError(t, r.Close(), "closed before it is read")

			wrong := errors.New("the reader's own")
			require.ErrorIs(t, o.Put(t.Context(), "cut-3", iotest.ErrReader(wrong)), wrong)
			require.Equal(t, []string{"cut-2"}, list("cut-2"))
			require.Empty(t, list("cut-3"))

			require.NoError(t, o.Delete(t.Context(), "cut-1/slot-0"))
			_, err = o.Get(t.Context(), "cut-1/slot-0")
			require.ErrorIs(t, err, natsbus.ErrNoObject)
			require.Equal(t, []string{"cut-1/slot-1"}, list("cut-1/"))

			for _, name := range []string{"", ".", "..", "../up", "/root", "a//b", "a/.hidden", "a b", "a/", "ä"} {
				require.ErrorContains(t, o.Put(t.Context(), name, bytes.NewReader(nil)), "is no name for an object", name)
				_, err := o.Get(t.Context(), name)
				require.ErrorContains(t, err, "is no name for an object", name)
				require.ErrorContains(t, o.Delete(t.Context(), name), "is no name for an object", name)
			}
		})
	}
	never := open(t, natsbus.Config{Server: server, Job: "never created"}).Objects()
	require.ErrorIs(t, never.Put(t.Context(), "a", bytes.NewReader(nil)), natsbus.ErrNoStore)
	_, err = never.Get(t.Context(), "a")
	require.ErrorIs(t, err, natsbus.ErrNoStore)
}

// Goal: who reads an object that is deleted meanwhile is told so, and does not wait for what is
// gone. Method: its pieces are asked for only when they are deleted.
func TestObjects_deletedMeanwhile(t *testing.T) {
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	direct := open(t, natsbus.Config{Server: server}).Objects()
	require.NoError(t, direct.Create(t.Context(), 0))
	require.NoError(t, direct.Put(t.Context(), "large", bytes.NewReader(noise(1<<20))))
	proxy := natstest.NewProxy(t, host(t, server.URL()))
	bucket := open(t, natsbus.Config{URLs: []string{"nats://" + proxy.Addr()}}).Objects()
	caught := proxy.Trap("CONSUMER.CREATE", true)
	failed := make(chan error, 1)
	go func() {
		r, err := bucket.Get(t.Context(), "large")
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		failed <- err
	}()
	<-caught
	require.NoError(t, direct.Delete(t.Context(), "large"))
	proxy.Hold(false, false)
	require.ErrorIs(t, <-failed, natsbus.ErrNoObject)
}

// Goal: an object that is read when the connection is cut is an error at once, and so is
// one that is being put; afterwards both go well.
func TestObjects_cut(t *testing.T) {
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	proxy := natstest.NewProxy(t, host(t, server.URL()))
	bucket := open(t, natsbus.Config{URLs: []string{"nats://" + proxy.Addr()}}).Objects()
	require.NoError(t, bucket.Create(t.Context(), 0))
	large := noise(6 << 20)
	require.NoError(t, bucket.Put(t.Context(), "large", bytes.NewReader(large)))

	r, err := bucket.Get(t.Context(), "large")
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, r, 1<<19)
	require.NoError(t, err)
	proxy.Cut()
	began := time.Now()
	_, err = io.Copy(io.Discard, r)
	require.ErrorContains(t, err, "the connection is lost")
	assert.Less(t, time.Since(began), 5*time.Second)
	require.NoError(t, r.Close())

	await(t, "a new connection", func() bool {
		_, err := bucket.List(t.Context(), "")
		return err == nil
	})
	cut := false
	err = bucket.Put(t.Context(), "another", io.MultiReader(bytes.NewReader(large), readFunc(func([]byte) (int, error) {
		if !cut {
			cut = true
			proxy.Cut()
		}
		return 0, io.EOF
	})))
	require.Error(t, err)
	await(t, "a new connection", func() bool {
		return bucket.Put(t.Context(), "another", bytes.NewReader(large)) == nil
	})
	r, err = bucket.Get(t.Context(), "another")
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.True(t, bytes.Equal(large, got))
}

// Goal: an object whose pieces are not those that were put is an error, never content.
func TestBucket_damage(t *testing.T) {
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	bucket := open(t, natsbus.Config{Server: server}).Objects()
	require.NoError(t, bucket.Create(t.Context(), 0))
	require.NoError(t, bucket.Put(t.Context(), "a", bytes.NewReader(noise(300_000)))) // pieces of 128 KiB
	js := stream(t, server)
	of, err := js.Stream(t.Context(), "OBJ_MR-test-objects")
	require.NoError(t, err)
	second, err := of.GetMsg(t.Context(), 2)
	require.NoError(t, err)

	require.NoError(t, of.DeleteMsg(t.Context(), 2))
	_, err = bucket.Get(t.Context(), "a")
	require.ErrorContains(t, err, "get object a, NATS server at "+server.URL()+": the object is damaged: 2 of its 3 pieces are there")

	_, err = js.Publish(t.Context(), second.Subject, second.Data) // it is there again, in the wrong place
	require.NoError(t, err)
	r, err := bucket.Get(t.Context(), "a")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, r)
	require.ErrorContains(t, err, "the object is damaged: its sum is SHA-256=")
	require.NoError(t, r.Close())
}

// Goal: of an object that is deleted nothing is left, as names that never come again would
// add up.
func TestBucket_deleted(t *testing.T) {
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	bucket := open(t, natsbus.Config{Server: server}).Objects()
	require.NoError(t, bucket.Create(t.Context(), 0))
	for range 2 {
		require.NoError(t, bucket.Put(t.Context(), "a", bytes.NewReader(noise(300_000))))
		require.NoError(t, bucket.Delete(t.Context(), "a"))
	}
	of, err := stream(t, server).Stream(t.Context(), "OBJ_MR-test-objects")
	require.NoError(t, err)
	info, err := of.Info(t.Context())
	require.NoError(t, err)
	require.Zero(t, info.State.Msgs)
}

// Goal: a crash while a file is written leaves what isn't an object.
func TestFolder_leftovers(t *testing.T) {
	dir := t.TempDir()
	folder, err := natsbus.OpenFolder(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".new-123"), []byte("half"), 0o644))
	names, err := folder.List(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, names)
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// Goal: a question of which the answer is lost is given up, so that it can be asked again: a
// server that died with it had a worker wait for as long as it had time. Method: nobody is told of it, as the user
// may not ask.
func TestBucket_unanswered(t *testing.T) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), DisableJetStreamBanner: true,
		Users: []*server.User{{Username: "all", Password: "p"}, {Username: "some", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.CREATE.>"}},
		}}},
	})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(20*time.Second))
	cfg := natsbus.Config{Job: "shop", URLs: []string{s.ClientURL()}, User: "all", Password: "p"}
	bucket := open(t, cfg).Objects()
	require.NoError(t, bucket.Create(t.Context(), 0))
	require.NoError(t, bucket.Put(t.Context(), "o", strings.NewReader("x")))

	cfg.User = "some"
	store := open(t, cfg)
	store.AnswerMax(100 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = store.Objects().List(ctx, "")
	require.ErrorIs(t, err, natsbus.ErrLost)
	_, err = store.Objects().Get(ctx, "o")
	require.ErrorIs(t, err, natsbus.ErrLost)
	require.NoError(t, ctx.Err(), "the caller has more time")
}
