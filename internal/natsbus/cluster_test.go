package natsbus_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
)

// trio is a cluster of three that know each other, and their addresses.
func trio(t *testing.T) (servers []*natstest.Process, urls []string) {
	t.Helper()
	servers = natstest.StartCluster(t, 3, t.TempDir())
	for _, s := range servers {
		urls = append(urls, s.URL)
	}
	first := open(t, natsbus.Config{URLs: urls, Job: "first", Replicas: 3}).Acceptor()
	passing(t, func() error {
		err := first.Create(t.Context())
		if errors.Is(err, natsbus.ErrNoPeers) { // they have not all met yet
			err = &natsbus.StoreError{Err: natsbus.ErrUnready}
		}
		return err
	})
	return servers, urls
}

// whole waits until all replicas have all that is kept.
func whole(t *testing.T, s *natsbus.Store) {
	t.Helper()
	require.Eventually(t, func() bool {
		replicas, whole, err := s.Whole(t.Context())
		return err == nil && whole && replicas == 3
	}, time.Minute, 20*time.Millisecond, "all replicas of all")
}

// leading is the name of the server that leads a stream.
func leading(t *testing.T, urls []string, stream string) (leader string) {
	t.Helper()
	nc, err := nats.Connect(strings.Join(urls, ","))
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	passing(t, func() error {
		s, err := js.Stream(t.Context(), stream)
		if err == nil && s.CachedInfo().Cluster != nil {
			leader = s.CachedInfo().Cluster.Leader
		}
		return err
	})
	return leader
}

// passing does f until it doesn't fail as a cluster does that is about to agree.
func passing(t *testing.T, f func() error) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		err = f()
		e, ok := errors.AsType[*natsbus.StoreError](err)
		return !ok || !e.Passing()
	}, time.Minute, 20*time.Millisecond)
	require.NoError(t, err)
}

// Goal: of three servers any one is killed, and loses its disk, while a writer writes: all
// that was acknowledged stays, no version is given twice, and the next server may be lost
// once the one before has caught up.
func TestCluster(t *testing.T) {
	servers, urls := trio(t)
	s := open(t, natsbus.Config{URLs: urls, Replicas: 3})
	w := &writer{acceptor: s.Acceptor(), changelog: s.Changelog()}
	objects := s.Objects()
	passing(t, func() error { return w.acceptor.Create(t.Context()) })
	passing(t, func() error { return w.changelog.Create(t.Context(), 0) })
	passing(t, func() error { return s.Copies().Create(t.Context(), 0) })
	passing(t, func() error { return objects.Create(t.Context(), 0) })
	passing(t, func() error { return objects.Create(t.Context(), 0) })
	big := bytes.Repeat([]byte("state"), 100_000)
	passing(t, func() error { return objects.Put(t.Context(), "snap", bytes.NewReader(big)) })
	for round := range 4 {
		whole(t, s)
		leads := leading(t, urls, "MR-test-registers")
		lost := servers[round%3]
		if round == 3 { // who leads the register
			for _, each := range servers {
				if each.Name() == leads {
					lost = each
				}
			}
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					if w.next(t.Context()) != nil {
						_ = w.settle(t.Context())
					}
				}
			}
		}()
		begin := w.acked.Load()
		await(t, "values before the loss", func() bool { return w.acked.Load() > begin+20 })
		lost.Kill()
		require.NoError(t, os.RemoveAll(lost.Dir()))
		begin = w.acked.Load()
		require.Eventually(t, func() bool { return w.acked.Load() > begin+20 }, time.Minute, 5*time.Millisecond, "values behind the loss")
		lost.Restart()
		begin = w.acked.Load()
		require.Eventually(t, func() bool { return w.acked.Load() > begin+20 }, time.Minute, 5*time.Millisecond, "values when it is back")
		close(stop)
		<-done
		w.check(t)
		passing(t, func() error {
			_, err := w.acceptor.CAS(t.Context(), "slot/1", []byte("stale"), w.version-1)
			if errors.Is(err, natsbus.ErrStale) {
				return nil
			}
			require.Error(t, err)
			return err
		})
		var got []byte
		passing(t, func() error {
			r, err := objects.Get(t.Context(), "snap")
			if err == nil {
				defer r.Close()
				got, err = io.ReadAll(r)
			}
			return err
		})
		require.True(t, bytes.Equal(big, got))
	}
}

// Goal: a server that has lost its disk has all again when that is said, also of what nobody
// writes to meanwhile. Method: its folder is looked at then.
func TestStore_Whole(t *testing.T) {
	servers, urls := trio(t)
	s := open(t, natsbus.Config{URLs: urls, Replicas: 3})
	objects := s.Objects()
	passing(t, func() error { return s.Acceptor().Create(t.Context()) })
	passing(t, func() error { return s.Changelog().Create(t.Context(), 0) })
	passing(t, func() error { return s.Copies().Create(t.Context(), 0) })
	passing(t, func() error { return objects.Create(t.Context(), 0) })
	const size = 32 << 20
	snap := make([]byte, size)
	for i := range snap {
		snap[i] = byte(rand.Uint32())
	}
	passing(t, func() error { return objects.Put(t.Context(), "snap", bytes.NewReader(snap)) })
	whole(t, s)
	servers[1].Kill()
	require.NoError(t, os.RemoveAll(servers[1].Dir()))
	servers[1].Restart()
	whole(t, s)
	require.Greater(t, stored(t, servers[1].Dir()), int64(size*3/4), "bytes in the folder of a server that is said to have %d", size)
}

// stored is how many bytes there are in a folder.
func stored(t *testing.T, dir string) (bytes int64) {
	require.NoError(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // it is gone since
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return nil
	}))
	return bytes
}

// Goal: more replicas than servers are refused in words, and so are other replicas than there
// are.
func TestCluster_refuses(t *testing.T) {
	alone := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	s := open(t, natsbus.Config{Server: alone, Replicas: 3})
	for _, create := range []func() error{
		func() error { return s.Acceptor().Create(t.Context()) },
		func() error { return s.Objects().Create(t.Context(), 0) },
	} {
		require.ErrorIs(t, create(), natsbus.ErrNoCluster)
	}

	_, urls := trio(t)
	one, three := open(t, natsbus.Config{URLs: urls}), open(t, natsbus.Config{URLs: urls, Replicas: 3})
	passing(t, func() error { return one.Acceptor().Create(t.Context()) })
	passing(t, func() error { return one.Objects().Create(t.Context(), 0) })
	for _, create := range []func() error{
		func() error { return three.Acceptor().Create(t.Context()) },
		func() error { return three.Objects().Create(t.Context(), 0) },
	} {
		var other *natsbus.ReplicasError
		require.ErrorAs(t, create(), &other)
		assert.Equal(t, [2]int{1, 3}, [2]int{other.Has, other.Want})
	}
	err := open(t, natsbus.Config{URLs: urls, Job: "more", Replicas: 5}).Acceptor().Create(t.Context())
	require.ErrorIs(t, err, natsbus.ErrNoPeers)
}
