package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
)

// writer changes a value and appends chunks, one after the other, and knows what was
// acknowledged.
type writer struct {
	acceptor  *natsbus.Acceptor
	changelog *natsbus.Changelog

	n       int    // of the newest value that was acknowledged
	version uint64 // its version
	chunks  []uint64
	acked   atomic.Int64
}

// next writes value n+1 and a chunk of the same number.
func (w *writer) next(ctx context.Context) error {
	version, err := w.acceptor.CAS(ctx, "slot/1", []byte(fmt.Sprint(w.n+1)), w.version)
	if err != nil {
		return err
	}
	w.n, w.version = w.n+1, version
	_, seq, err := w.changelog.Append(ctx, 1, []byte(fmt.Sprint(w.n)))
	if err != nil {
		return err
	}
	w.chunks = append(w.chunks, seq)
	w.acked.Add(1)
	return nil
}

// settle reads the value, after which the next one can be written: the last one was written,
// or was not, and never will be.
func (w *writer) settle(ctx context.Context) error {
	val, version, err := w.acceptor.Read(ctx, "slot/1")
	if err != nil || version <= w.version {
		return err
	}
	w.version = version
	w.n, err = strconv.Atoi(string(val))
	return err
}

// check reads what there is: what was acknowledged, or what was under way in its place.
func (w *writer) check(t *testing.T) {
	t.Helper()
	var val []byte
	var version uint64
	passing(t, func() (err error) { val, version, err = w.acceptor.Read(t.Context(), "slot/1"); return err })
	switch string(val) {
	case fmt.Sprint(w.n):
		require.Equal(t, w.version, version)
	case fmt.Sprint(w.n + 1): // written, and never acknowledged
		require.Greater(t, version, w.version)
		w.n, w.version = w.n+1, version
	default:
		t.Fatalf("value %s of version %d, and %d of version %d was acknowledged", val, version, w.n, w.version)
	}
	there := map[uint64]bool{}
	passing(t, func() error {
		return w.changelog.Read(t.Context(), 1, 0, 1<<60, func(seq uint64, _ []byte) error {
			there[seq] = true
			return nil
		})
	})
	for _, seq := range w.chunks {
		require.True(t, there[seq], "chunk %d was acknowledged and is lost", seq)
	}
}

// Goal: kill -9 of a server takes nothing that was acknowledged, clients come back by
// themselves, and the versions go on where they were, so that no stale writer gets in.
func TestProcess_killedServer(t *testing.T) {
	for _, always := range []bool{false, true} {
		t.Run(fmt.Sprintf("SyncAlways=%v", always), func(t *testing.T) {
			p := natstest.Start(t, natstest.Options{Dir: t.TempDir(), SyncAlways: always, User: "ann", Password: "s3cret"})
			s := open(t, natsbus.Config{URLs: []string{p.URL}, User: "ann", Password: "s3cret"})
			w := &writer{acceptor: s.Acceptor(), changelog: s.Changelog()}
			require.NoError(t, w.acceptor.Create(t.Context()))
			require.NoError(t, w.changelog.Create(t.Context(), 0))
			for round := range 4 {
				stop, failed := make(chan struct{}), make(chan error, 1)
				started := w.n
				go func() {
					for {
						if err := w.next(t.Context()); err != nil {
							failed <- err
							return
						}
						if w.n == started+40 {
							close(stop)
						}
					}
				}()
				<-stop
				if round < 3 {
					p.Kill()
				} else {
					p.Stop()
				}
				select {
				case err := <-failed:
					if round == 3 && errors.Is(err, natsbus.ErrNoStore) {
						break // it stops JetStream first
					}
					require.ErrorContains(t, err, "the connection is lost")
				case <-time.After(5 * time.Second):
					t.Fatal("the server is dead, and a writer waits for it")
				}
				_, _, err := w.acceptor.Read(t.Context(), "slot/1")
				require.Error(t, err)
				before := w.version
				p.Restart()
				await(t, "a new connection", func() bool {
					_, _, err := w.acceptor.Read(t.Context(), "slot/1")
					return err == nil
				})
				w.check(t)
				_, err = w.acceptor.CAS(t.Context(), "slot/1", []byte("stale"), before-1)
				require.ErrorIs(t, err, natsbus.ErrStale)
			}
			assert.Positive(t, s.Stats().Disconnects)
		})
	}
}

// Goal: a folder belongs to one process at a time, and to the next one as soon as that is
// dead.
func TestProcess_folder(t *testing.T) {
	dir := t.TempDir()
	p := natstest.Start(t, natstest.Options{Dir: dir})
	_, err := natsbus.StartServer(t.Context(), natsbus.ServerConfig{Dir: dir})
	require.ErrorContains(t, err, "another process runs a NATS server in the folder "+dir)
	p.Kill()
	start(t, natsbus.ServerConfig{Dir: dir})
}
