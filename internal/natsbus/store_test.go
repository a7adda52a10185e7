package natsbus_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
)

// open is a store that ends with the test.
func open(t *testing.T, cfg natsbus.Config) *natsbus.Store {
	t.Helper()
	if cfg.Job == "" {
		cfg.Job = "test"
	}
	s, err := natsbus.OpenStore(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// acceptor is a new one on a server in this process.
func acceptor(t *testing.T) (*natsbus.Server, *natsbus.Acceptor) {
	t.Helper()
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	a := open(t, natsbus.Config{Server: server}).Acceptor()
	require.NoError(t, a.Create(t.Context()))
	return server, a
}

func TestAcceptor(t *testing.T) {
	server, a := acceptor(t)
	val, version, err := a.Read(t.Context(), "slot/3")
	require.NoError(t, err)
	require.Zero(t, version)
	require.Empty(t, val)

	one, err := a.CAS(t.Context(), "slot/3", []byte("one"), 0)
	require.NoError(t, err)
	other, err := a.CAS(t.Context(), "slot/31", []byte("other"), 0)
	require.NoError(t, err, "another key has versions of its own")
	two, err := a.CAS(t.Context(), "slot/3", []byte("two"), one)
	require.NoError(t, err)
	require.Greater(t, two, other)

	for _, stale := range []uint64{0, one, other, two + 1} {
		_, err = a.CAS(t.Context(), "slot/3", []byte("stale"), stale)
		require.ErrorIs(t, err, natsbus.ErrStale)
		require.NotErrorIs(t, err, natsbus.ErrUnknown)
	}
	val, version, err = a.Read(t.Context(), "slot/3")
	require.NoError(t, err)
	require.Equal(t, "two", string(val))
	require.Equal(t, two, version)

	empty, err := a.CAS(t.Context(), "job", nil, 0)
	require.NoError(t, err)
	val, version, err = a.Read(t.Context(), "job")
	require.NoError(t, err)
	require.Empty(t, val)
	require.Equal(t, empty, version, "an empty value is a value")

	kept, err := stream(t, server).Stream(t.Context(), "MR-test-registers")
	require.NoError(t, err)
	require.EqualValues(t, 3, kept.CachedInfo().State.Msgs, "one for each key")

	again := open(t, natsbus.Config{Server: server}).Acceptor()
	require.NoError(t, again.Create(t.Context()), "what is there stays")
	_, version, err = again.Read(t.Context(), "slot/3")
	require.NoError(t, err)
	require.Equal(t, two, version)

	elsewhere := open(t, natsbus.Config{Server: server, Job: "test.2"}).Acceptor()
	require.NoError(t, elsewhere.Create(t.Context()))
	_, version, err = elsewhere.Read(t.Context(), "slot/3")
	require.NoError(t, err)
	require.Zero(t, version, "another job's")
}

func TestAcceptor_refuses(t *testing.T) {
	server, a := acceptor(t)
	for _, key := range []string{"", "/", "a//b", "a.b", "*", "a>", "a b", "a/"} {
		_, _, err := a.Read(t.Context(), key)
		require.ErrorContains(t, err, "is no key of a register", key)
		_, err = a.CAS(t.Context(), key, nil, 0)
		require.ErrorContains(t, err, "is no key of a register", key)
	}
	_, err := a.CAS(t.Context(), "job", make([]byte, 8<<20), 0)
	require.ErrorIs(t, err, natsbus.ErrTooLong)
	_, err = a.CAS(t.Context(), "job", make([]byte, 8<<20-512), 0)
	require.NoError(t, err)

	never := open(t, natsbus.Config{Server: server, Job: "never created"}).Acceptor()
	_, _, err = never.Read(t.Context(), "job")
	require.ErrorIs(t, err, natsbus.ErrNoStore)
	_, err = never.CAS(t.Context(), "job", nil, 0)
	require.ErrorIs(t, err, natsbus.ErrNoStore)
	require.NotErrorIs(t, err, natsbus.ErrUnknown)

	bare := start(t, natsbus.ServerConfig{})
	_, err = natsbus.OpenStore(natsbus.Config{Server: bare, Job: "test"})
	require.ErrorIs(t, err, natsbus.ErrNoStore)
	err = open(t, natsbus.Config{URLs: []string{bare.URL()}}).Acceptor().Create(t.Context())
	require.ErrorIs(t, err, natsbus.ErrNoStore)
	require.ErrorContains(t, err, "nats-server needs -js")
}

// Goal: of many who write at once each version is won by one, and none is skipped.
func TestAcceptor_race(t *testing.T) {
	server, _ := acceptor(t)
	const writers, rounds = 4, 50
	var won [writers]int
	var all sync.WaitGroup
	for w := range writers {
		a := open(t, natsbus.Config{URLs: []string{server.URL()}}).Acceptor()
		all.Go(func() {
			for won[w] < rounds {
				val, version, err := a.Read(t.Context(), "counter")
				if !assert.NoError(t, err) {
					return
				}
				var n int
				if version > 0 {
					_, err = fmt.Sscan(string(val), &n)
					assert.NoError(t, err)
				}
				if _, err = a.CAS(t.Context(), "counter", []byte(fmt.Sprint(n+1)), version); err == nil {
					won[w]++
				} else if !assert.ErrorIs(t, err, natsbus.ErrStale) {
					return
				}
			}
		})
	}
	all.Wait()
	val, _, err := open(t, natsbus.Config{Server: server}).Acceptor().Read(t.Context(), "counter")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(writers*rounds), string(val))
}

// Goal: when the connection is cut behind the request, the outcome is unknown, is said to
// be so at once, and reading tells it; whether or not it was written.
func TestAcceptor_unknown(t *testing.T) {
	for _, swallow := range []bool{false, true} {
		t.Run(fmt.Sprintf("swallow=%v", swallow), func(t *testing.T) {
			server, direct := acceptor(t)
			proxy := natstest.NewProxy(t, host(t, server.URL()))
			a := open(t, natsbus.Config{URLs: []string{"nats://" + proxy.Addr()}}).Acceptor()
			one, err := a.CAS(t.Context(), "job", []byte("one"), 0)
			require.NoError(t, err)

			caught := proxy.Trap("this very value", swallow)
			failed := make(chan error, 1)
			go func() {
				_, err := a.CAS(t.Context(), "job", []byte("this very value"), one)
				failed <- err
			}()
			<-caught
			if !swallow {
				await(t, "the value is written", func() bool {
					_, version, err := direct.Read(t.Context(), "job")
					return err == nil && version > one
				})
			}
			proxy.Cut()
			select {
			case err = <-failed:
			case <-time.After(5 * time.Second):
				t.Fatal("the connection is lost, and CAS waits for an answer")
			}
			require.ErrorIs(t, err, natsbus.ErrUnknown)
			require.NotErrorIs(t, err, natsbus.ErrStale)
			require.ErrorContains(t, err, "the connection is lost")

			var val []byte
			await(t, "a new connection", func() bool {
				val, _, err = a.Read(t.Context(), "job")
				return err == nil
			})
			if swallow {
				require.Equal(t, "one", string(val))
			} else {
				require.Equal(t, "this very value", string(val))
			}
		})
	}
}

// Goal: a server that is silent is given up when the caller says so; nothing is known then.
func TestAcceptor_silence(t *testing.T) {
	server, _ := acceptor(t)
	proxy := natstest.NewProxy(t, host(t, server.URL()))
	a := open(t, natsbus.Config{URLs: []string{"nats://" + proxy.Addr()}}).Acceptor()
	_, _, err := a.Read(t.Context(), "job")
	require.NoError(t, err)
	proxy.Hold(true, true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = a.CAS(ctx, "job", []byte("late"), 0)
	require.ErrorIs(t, err, natsbus.ErrUnknown)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	proxy.Hold(false, false) // what was sent comes late, and is written
	await(t, "the late value", func() bool {
		val, _, err := a.Read(t.Context(), "job")
		return err == nil && string(val) == "late"
	})
}

// Goal: who reads a log that is trimmed to its end meanwhile does not wait for what is gone.
// Method: the answer that says how long the log is comes only when it is trimmed.
func TestChangelog_trimmedMeanwhile(t *testing.T) {
	server, _ := acceptor(t)
	direct := open(t, natsbus.Config{Server: server}).Changelog()
	require.NoError(t, direct.Create(t.Context(), 0))
	_, last, err := direct.Append(t.Context(), 3, []byte("a"), []byte("b"))
	require.NoError(t, err)

	proxy := natstest.NewProxy(t, host(t, server.URL()))
	l := open(t, natsbus.Config{URLs: []string{"nats://" + proxy.Addr()}}).Changelog()
	n := 0
	read := func() error {
		return l.Read(t.Context(), 3, 1, math.MaxUint64, func(uint64, []byte) error { n++; return nil })
	}
	require.NoError(t, read())
	require.Equal(t, 2, n)
	caught := proxy.Trap("DIRECT.GET", false)
	done := make(chan error, 1)
	go func() { done <- read() }()
	<-caught
	require.NoError(t, direct.Read(t.Context(), 3, last, last, func(uint64, []byte) error { return nil })) // behind the question
	require.NoError(t, direct.Trim(t.Context(), 3, last+1))
	proxy.Hold(false, false)
	require.NoError(t, <-done)
	require.Equal(t, 2, n)
}

// Goal: of three servers one may be down at the start; who needs it is told at once, and it
// is of use as soon as it is there.
func TestOpenStore_later(t *testing.T) {
	proxy := natstest.NewProxy(t, freePort(t))
	s := open(t, natsbus.Config{URLs: []string{"nats://" + proxy.Addr()}, Later: true})
	a, l, o := s.Acceptor(), s.Changelog(), s.Objects()
	_, _, err := a.Read(t.Context(), "job")
	require.ErrorContains(t, err, "the connection is lost")
	_, err = a.CAS(t.Context(), "job", nil, 0)
	require.ErrorIs(t, err, natsbus.ErrUnknown)
	_, _, err = l.Append(t.Context(), 1, []byte("chunk"))
	require.ErrorContains(t, err, "the connection is lost")
	_, err = o.Get(t.Context(), "a")
	require.ErrorContains(t, err, "the connection is lost")

	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	proxy.Target(host(t, server.URL()))
	await(t, "a connection", func() bool { return a.Create(t.Context()) == nil })
	_, err = a.CAS(t.Context(), "job", nil, 0)
	require.NoError(t, err)
}

func TestChangelog(t *testing.T) {
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	l := open(t, natsbus.Config{Server: server}).Changelog()
	require.NoError(t, l.Create(t.Context(), 0))

	var got []string
	var seqs []uint64
	read := func(slot int, from, to uint64) []string {
		t.Helper()
		got, seqs = nil, nil
		require.NoError(t, l.Read(t.Context(), slot, from, to, func(seq uint64, chunk []byte) error {
			got, seqs = append(got, string(chunk)), append(seqs, seq)
			return nil
		}))
		return got
	}
	require.Empty(t, read(1, 1, 100), "nothing is there")
	first, last, err := l.Append(t.Context(), 1, []byte("a"), []byte("b"))
	require.NoError(t, err)
	require.Equal(t, first+1, last)
	_, other, err := l.Append(t.Context(), 12, []byte("of another slot"))
	require.NoError(t, err)
	c, d, err := l.Append(t.Context(), 1, []byte("c"), nil)
	require.NoError(t, err)

	require.Equal(t, []string{"a", "b", "c", ""}, read(1, 0, 1<<60))
	require.Equal(t, []uint64{first, last, c, d}, seqs)
	require.Equal(t, []string{"b", "c"}, read(1, last, c))
	require.Equal(t, []string{"a", "b"}, read(1, first, other), "the last number is another slot's")
	require.Equal(t, []string{"of another slot"}, read(12, 0, 1<<60))
	require.Empty(t, read(1, d+1, 1<<60))

	wrong := fmt.Errorf("the reader's own")
	all := []string{"b", "c", "", "later"}
	require.ErrorIs(t, l.Follow(t.Context(), 1, last, func(_ uint64, chunk []byte) error {
		require.Equal(t, all[0], string(chunk))
		switch all = all[1:]; len(all) {
		case 0:
			return wrong
		case 1:
			_, _, err := l.Append(t.Context(), 1, []byte("later"))
			return err
		}
		return nil
	}), wrong)
	require.NoError(t, l.Trim(t.Context(), 1, 0))
	require.NoError(t, l.Trim(t.Context(), 1, c))
	require.Equal(t, []string{"c", "", "later"}, read(1, 0, 1<<60))
	require.Equal(t, []string{"of another slot"}, read(12, 0, 1<<60))
	require.NoError(t, l.Trim(t.Context(), 1, 1<<60))
	require.Empty(t, read(1, 0, 1<<60))

	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, l.Follow(ctx, 12, 1, func(uint64, []byte) error { cancel(); return nil }), context.Canceled)

	require.ErrorIs(t, l.Read(t.Context(), 12, 0, 1<<60, func(uint64, []byte) error { return wrong }), wrong)

	_, _, err = l.Append(t.Context(), 1, make([]byte, natsbus.ChunkMax+1))
	require.ErrorIs(t, err, natsbus.ErrTooLong)
	never := open(t, natsbus.Config{Server: server, Job: "never created"}).Changelog()
	_, _, err = never.Append(t.Context(), 1, []byte("a"))
	require.ErrorIs(t, err, natsbus.ErrNoStore)
	require.ErrorIs(t, never.Read(t.Context(), 1, 0, 1, nil), natsbus.ErrNoStore)
}

// Goal: more chunks than are under way at once are appended in order.
func TestChangelog_many(t *testing.T) {
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	l := open(t, natsbus.Config{Server: server}).Changelog()
	require.NoError(t, l.Create(t.Context(), 0))
	var chunks [][]byte
	for i := range 300 {
		chunks = append(chunks, []byte{byte(i), byte(i >> 8)})
	}
	first, last, err := l.Append(t.Context(), 1, chunks...)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 300}, []uint64{first, last})
	var got [][]byte
	require.NoError(t, l.Read(t.Context(), 1, 0, 1<<60, func(_ uint64, chunk []byte) error {
		got = append(got, chunk)
		return nil
	}))
	require.Equal(t, chunks, got)
}

// Goal: reading takes memory for what is there, not for what might be.
func TestChangelog_room(t *testing.T) {
	l := open(t, natsbus.Config{Server: start(t, natsbus.ServerConfig{Dir: t.TempDir()})}).Changelog()
	require.NoError(t, l.Create(t.Context(), 0))
	_, _, err := l.Append(t.Context(), 1, []byte("a"))
	require.NoError(t, err)
	const times = 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		require.NoError(t, l.Read(t.Context(), 1, 0, 1<<60, func(uint64, []byte) error { return nil }))
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/times, uint64(1<<20))
}

// Goal: copies come back by slot and number, and are trimmed for one number or for all.
func TestCopies(t *testing.T) {
	c := open(t, natsbus.Config{Server: start(t, natsbus.ServerConfig{Dir: t.TempDir()})}).Copies()
	require.NoError(t, c.Create(t.Context(), 0))
	put := func(slot int, n uint64, chunks ...string) (first uint64) {
		for _, chunk := range chunks {
			at, _, err := c.Append(t.Context(), slot, n, []byte(chunk))
			require.NoError(t, err)
			first = cmp.Or(first, at)
		}
		return first
	}
	read := func(slot int, n uint64) (got []string) {
		require.NoError(t, c.Read(t.Context(), slot, n, func(_ uint64, chunk []byte) error {
			got = append(got, string(chunk))
			return nil
		}))
		return got
	}
	require.Empty(t, read(1, 7))
	put(1, 6, "a", "b")
	put(1, 7, "c")
	d := put(1, 7, "d", "e")
	put(2, 7, "of another slot")
	f := put(1, 6, "f")
	require.Equal(t, []string{"a", "b", "f"}, read(1, 6))
	require.Equal(t, []string{"c", "d", "e"}, read(1, 7))
	require.NoError(t, c.Trim(t.Context(), 1, 7, d))
	require.Equal(t, []string{"d", "e"}, read(1, 7))
	require.Equal(t, []string{"a", "b", "f"}, read(1, 6))
	require.NoError(t, c.TrimAll(t.Context(), 1, f))
	require.Equal(t, []string{"f"}, read(1, 6))
	require.Empty(t, read(1, 7))
	require.Equal(t, []string{"of another slot"}, read(2, 7))
}

// Goal: many large chunks come back in order; a changelog that is full says so, drops
// nothing, and takes more when it is trimmed.
func TestChangelog_full(t *testing.T) {
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	l := open(t, natsbus.Config{URLs: []string{server.URL()}}).Changelog()
	require.NoError(t, l.Create(t.Context(), 8<<20))
	chunk := make([]byte, 200_000)
	var kept int
	var err error
	for kept = 0; err == nil && kept < 100; kept += 4 {
		_, _, err = l.Append(t.Context(), 1, chunk, chunk, chunk, chunk)
	}
	require.ErrorIs(t, err, natsbus.ErrFull)
	require.ErrorContains(t, err, "append to the changelog of slot 1, NATS server at "+server.URL())
	var n int
	var newest uint64
	require.NoError(t, l.Read(t.Context(), 1, 0, 1<<60, func(seq uint64, chunk []byte) error {
		assert.Len(t, chunk, 200_000)
		assert.Equal(t, newest+1, seq)
		n, newest = n+1, seq
		return nil
	}))
	require.InDelta(t, 41, n, 1)
	require.NoError(t, l.Trim(t.Context(), 1, newest))
	_, _, err = l.Append(t.Context(), 1, chunk)
	require.NoError(t, err)
}

// Goal: a connection that is cut while chunks are on their way is an error at once, and
// what was acknowledged before is there.
func TestChangelog_cut(t *testing.T) {
	server := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	proxy := natstest.NewProxy(t, host(t, server.URL()))
	l := open(t, natsbus.Config{URLs: []string{"nats://" + proxy.Addr()}}).Changelog()
	require.NoError(t, l.Create(t.Context(), 0))
	var acked atomic.Uint64
	failed := make(chan error, 1)
	go func() {
		for {
			_, last, err := l.Append(t.Context(), 1, make([]byte, 1000), make([]byte, 1000))
			if err != nil {
				failed <- err
				return
			}
			acked.Store(last)
		}
	}()
	await(t, "some chunks", func() bool { return acked.Load() > 50 })
	proxy.Cut()
	select {
	case err := <-failed:
		require.ErrorContains(t, err, "the connection is lost")
	case <-time.After(5 * time.Second):
		t.Fatal("the connection is lost, and Append waits for an answer")
	}
	var newest uint64
	await(t, "a new connection", func() bool {
		return l.Read(t.Context(), 1, 1, acked.Load(), func(seq uint64, _ []byte) error { newest = seq; return nil }) == nil
	})
	require.Equal(t, acked.Load(), newest)
}

// Goal: what a job has kept goes, another's stays, and a job that comes later begins with
// nothing.
func TestStore_forget(t *testing.T) {
	s := start(t, natsbus.ServerConfig{Dir: t.TempDir()})
	var stores []*natsbus.Store
	for _, job := range []string{"a", "ab"} {
		store := open(t, natsbus.Config{Server: s, Job: job})
		require.NoError(t, store.Forget(t.Context()), "there is nothing yet")
		require.NoError(t, store.Acceptor().Create(t.Context()))
		require.NoError(t, store.Changelog().Create(t.Context(), 0))
		require.NoError(t, store.Objects().Create(t.Context(), 0))
		_, err := store.Acceptor().CAS(t.Context(), "job", []byte("x"), 0)
		require.NoError(t, err)
		require.NoError(t, store.Objects().Put(t.Context(), "o", bytes.NewReader([]byte("x"))))
		stores = append(stores, store)
	}
	require.NoError(t, stores[0].Forget(t.Context()))
	_, _, err := stores[0].Acceptor().Read(t.Context(), "job")
	require.ErrorIs(t, err, natsbus.ErrNoStore)
	val, _, err := stores[1].Acceptor().Read(t.Context(), "job")
	require.NoError(t, err)
	require.Equal(t, "x", string(val))
	require.NoError(t, stores[0].Acceptor().Create(t.Context()))
	_, version, err := stores[0].Acceptor().Read(t.Context(), "job")
	require.NoError(t, err)
	require.Zero(t, version)
}
