package natsbus_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
)

// direct is a plane that ends with the test.
func direct(t *testing.T, cfg natsbus.DirectConfig) *natsbus.Direct {
	t.Helper()
	if cfg.Job == "" {
		cfg.Job = "test"
	}
	if cfg.Token == "" {
		cfg.Token = "s3cret"
	}
	d, err := natsbus.ListenDirect(cfg)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

func TestDirect(t *testing.T) {
	for name, cfg := range map[string]natsbus.DirectConfig{"plain": {}, "encrypted": {Encrypt: true}} {
		t.Run(name, func(t *testing.T) {
			from, to := direct(t, cfg), direct(t, cfg)
			from.Route(3, to.Addr())
			from.Route(4, to.Addr())
			checkPlane(t, from, to)
			assert.EqualValues(t, 1, to.Stats().Lost, "the frame to which nobody listened")
		})
	}
}

// Goal: nobody gets in, and nobody is believed, without the token and the job's name; the
// log says so once, without the token.
func TestDirect_strangers(t *testing.T) {
	var log lines
	to := direct(t, natsbus.DirectConfig{Log: slog.New(slog.NewTextHandler(&log, nil))})
	_, err := to.Listen(1, func([]byte) { t.Error("a frame of a stranger") })
	require.NoError(t, err)
	for name, cfg := range map[string]natsbus.DirectConfig{
		"another token": {Token: "t0ken"},
		"another job":   {Job: "other"},
		"encrypted":     {Encrypt: true},
	} {
		t.Run(name, func(t *testing.T) {
			var own lines
			cfg.Log = slog.New(slog.NewTextHandler(&own, nil))
			from, before := direct(t, cfg), to.Stats().Errors
			from.Route(1, to.Addr())
			require.NoError(t, from.Send(1, []byte("frame")))
			await(t, "the refusal", func() bool { return from.Stats().Lost == 1 && to.Stats().Errors > before })
			await(t, "the log", func() bool { return strings.Contains(own.String(), "frames can't be sent") })
			require.NoError(t, from.Send(1, []byte("frame")))
			await(t, "another refusal", func() bool { return from.Stats().Lost == 2 })
			assert.Equal(t, 1, strings.Count(own.String(), "\n"), "said once")
			assert.NotContains(t, own.String(), "s3cret")
			assert.NotContains(t, own.String(), "t0ken")
		})
	}
	assert.Contains(t, log.String(), "the other side doesn't know the token of the job")
	assert.NotContains(t, log.String(), "s3cret")

	// An impostor who listens where a slot was gets no frame.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	heard := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("MRDIRCT1" + strings.Repeat("a", 32)))
		var answer [64]byte
		_, err = io.ReadFull(conn, answer[:])
		assert.NoError(t, err)
		_, _ = conn.Write(answer[32:]) // the best it can do: what it was told
		var rest [1]byte
		n, _ := conn.Read(rest[:])
		heard <- string(rest[:n])
	}()
	from := direct(t, natsbus.DirectConfig{})
	from.Route(1, l.Addr().String())
	require.NoError(t, from.Send(1, []byte("frame")))
	require.Empty(t, <-heard)
	require.NoError(t, l.Close())
	await(t, "the loss", func() bool { return from.Stats().Lost == 1 })
}

func TestDirect_refuses(t *testing.T) {
	for _, cfg := range []natsbus.DirectConfig{{Job: "test"}, {Token: "s3cret"}} {
		_, err := natsbus.ListenDirect(cfg)
		require.ErrorContains(t, err, "the job has no name or no token")
	}
	_, err := natsbus.ListenDirect(natsbus.DirectConfig{Job: "test", Token: "s3cret", PendingMax: 1000})
	require.ErrorContains(t, err, "1000 bytes may wait, and one frame may have 8388608")
	d := direct(t, natsbus.DirectConfig{FrameMax: 1000})
	require.ErrorIs(t, d.Send(1, make([]byte, 1001)), natsbus.ErrTooLong)
	require.NoError(t, d.Send(1, nil))
	assert.EqualValues(t, 1, d.Stats().Lost, "no route")
	_, err = natsbus.ListenDirect(natsbus.DirectConfig{Job: "test", Token: "s3cret", Host: "256.0.0.1"})
	require.ErrorContains(t, err, "listen for frames: ")
	d.Close()
	require.ErrorIs(t, d.Send(1, nil), net.ErrClosed)
	_, err = d.Listen(2, func([]byte) {})
	require.ErrorIs(t, err, net.ErrClosed)
}

// Goal: bytes from the network never make us take more memory than was agreed.
func TestDirect_tooLongToTake(t *testing.T) {
	var log lines
	from := direct(t, natsbus.DirectConfig{})
	to := direct(t, natsbus.DirectConfig{FrameMax: 1000, Log: slog.New(slog.NewTextHandler(&log, nil))})
	var got box
	_, err := to.Listen(1, got.put)
	require.NoError(t, err)
	from.Route(1, to.Addr())
	require.NoError(t, from.Send(1, make([]byte, 1001)))
	await(t, "the end of the connection", func() bool { return to.Stats().Errors == 1 })
	await(t, "the log", func() bool {
		return strings.Contains(log.String(), "a frame of 1001 bytes, and at most 1000 are taken")
	})
	await(t, "a new connection", func() bool {
		require.NoError(t, from.Send(1, make([]byte, 1000)))
		return got.len() > 0
	})
}

// Goal: a connection that is cut comes back; a slot that has moved is found where it is;
// a process that is gone holds nobody up.
func TestDirect_reconnects(t *testing.T) {
	from, to, other := direct(t, natsbus.DirectConfig{}), direct(t, natsbus.DirectConfig{}), direct(t, natsbus.DirectConfig{})
	proxy := natstest.NewProxy(t, to.Addr())
	var got, moved box
	_, err := to.Listen(1, got.put)
	require.NoError(t, err)
	_, err = other.Listen(1, moved.put)
	require.NoError(t, err)
	from.Route(1, proxy.Addr())
	require.NoError(t, from.Send(1, []byte("before")))
	await(t, "a frame", func() bool { return got.has("before") })

	proxy.Cut()
	await(t, "the end of the connection", func() bool {
		require.NoError(t, from.Send(1, []byte("again")))
		return from.Stats().Disconnects > 0
	})
	await(t, "the frame that found it dead", func() bool { return got.has("again") })
	assert.Zero(t, from.Stats().Lost, "it is written to a new connection")

	proxy.Refuse(true)
	await(t, "a loss", func() bool {
		require.NoError(t, from.Send(1, []byte("meanwhile")))
		return from.Stats().Lost > 0
	})
	proxy.Refuse(false)
	await(t, "a frame after the cut", func() bool {
		require.NoError(t, from.Send(1, []byte("after")))
		return got.has("after")
	})

	from.Route(1, other.Addr())
	require.NoError(t, from.Send(1, []byte("moved")))
	await(t, "a frame where the slot is now", func() bool { return moved.has("moved") })
	assert.False(t, got.has("moved"))
	from.Route(1)
	lost := from.Stats().Lost
	require.NoError(t, from.Send(1, []byte("nowhere")))
	assert.Equal(t, lost+1, from.Stats().Lost)
}

// Goal: a process that takes nothing makes frames to it be lost, and counted, when the
// bound is reached; Send doesn't wait, and others get theirs.
func TestDirect_bound(t *testing.T) {
	from, stuck, well := direct(t, natsbus.DirectConfig{PendingMax: 1 << 20, FrameMax: 100_000}), direct(t, natsbus.DirectConfig{}), direct(t, natsbus.DirectConfig{})
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free() // before planes are closed, which waits for those who listen
	var got, fine atomic.Uint64
	_, err := stuck.Listen(1, func([]byte) { <-release; got.Add(1) })
	require.NoError(t, err)
	_, err = well.Listen(2, func([]byte) { fine.Add(1) })
	require.NoError(t, err)
	from.Route(1, stuck.Addr())
	from.Route(2, well.Addr())
	frame, sent := make([]byte, 100_000), uint64(0)
	for from.Stats().Lost == 0 {
		require.NoError(t, from.Send(1, frame))
		sent++
		require.Less(t, sent, uint64(10_000), "nothing bounds what waits")
	}
	require.NoError(t, from.Send(2, frame))
	await(t, "the other's frame", func() bool { return fine.Load() == 1 })
	free()
	await(t, "all that had room", func() bool { return got.Load() == sent-from.Stats().Lost })
}

func TestDirect_sendAllocatesNothing(t *testing.T) {
	from, to := direct(t, natsbus.DirectConfig{}), direct(t, natsbus.DirectConfig{})
	var got atomic.Uint64
	_, err := to.Listen(1, func([]byte) { got.Add(1) })
	require.NoError(t, err)
	from.Route(1, to.Addr())
	frame := binary.LittleEndian.AppendUint64(make([]byte, 0, 32<<10), 1)[:32<<10]
	send := func() {
		if err := from.Send(1, frame); err != nil {
			t.Fatal(err)
		}
	}
	send()
	await(t, "a connection", func() bool { return got.Load() == 1 })
	// What is counted are all goroutines: one allocation is the receiver's frame.
	assert.LessOrEqual(t, testing.AllocsPerRun(500, send), 2.0)
}

// Goal: what is sent arrives as it was, whatever is made in its memory once that is free
// again, and what arrives lies in memory of the pool.
func TestDirect_frames(t *testing.T) {
	for name, encrypt := range map[string]bool{"plain": false, "encrypted": true} {
		t.Run(name, func(t *testing.T) {
			var sends, takes frame.Pool
			from := direct(t, natsbus.DirectConfig{Frames: &sends, Encrypt: encrypt})
			to := direct(t, natsbus.DirectConfig{Frames: &takes, Encrypt: encrypt})
			const frames, used = 2000, 100
			var got atomic.Uint64
			seen := map[*byte]bool{}
			_, err := to.Listen(1, func(b []byte) {
				n := got.Load() + 1
				seen[&b[0]] = true
				if want := bytes.Repeat([]byte{byte(n)}, len(b)); !bytes.Equal(want, b) {
					t.Errorf("frame %d begins with %x, and not all of it is %02x", n, b[:8], byte(n))
				}
				takes.Put(b)
				got.Add(1)
			})
			require.NoError(t, err)
			from.Route(1, to.Addr())
			for i := range uint64(frames) {
				b := sends.Get([]int{100, 9_000, 30_000}[i%3])
				for k := range b {
					b[k] = byte(i + 1)
				}
				require.NoError(t, from.Send(1, b))
				sends.Put(b)
				if i%used == 0 {
					await(t, "what was sent", func() bool { return got.Load() == i+1 })
				}
			}
			await(t, "all frames", func() bool { return got.Load() == frames })
			require.Less(t, len(seen), frames/2, "memory is used again")
		})
	}
}

// Goal: what waits for a process is not used for other frames before it is written, or given
// up.
func TestDirect_holds(t *testing.T) {
	var pool frame.Pool
	known := map[*byte]bool{}
	fill := func(d *natsbus.Direct, n uint64) {
		b := pool.Get(30_000)
		known[&b[0]] = true
		binary.LittleEndian.PutUint64(b, n)
		require.NoError(t, d.Send(1, b))
		pool.Put(b)
	}
	from, stuck := direct(t, natsbus.DirectConfig{Frames: &pool, PendingMax: 10 << 20}), direct(t, natsbus.DirectConfig{})
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free() // before planes are closed, which waits for those who listen
	var got atomic.Uint64
	_, err := stuck.Listen(1, func(b []byte) {
		<-release
		if n := got.Load(); binary.LittleEndian.Uint64(b) != n {
			t.Errorf("frame %d is that of %d", n, binary.LittleEndian.Uint64(b))
		}
		got.Add(1)
	})
	require.NoError(t, err)
	from.Route(1, stuck.Addr())
	sent := uint64(0)
	for ; from.Stats().Lost == 0; sent++ {
		fill(from, sent)
	}
	require.Greater(t, len(known), 100, "as many wait")
	free()
	await(t, "all that had room", func() bool { return got.Load() == sent-from.Stats().Lost })

	from.Route(1, "127.0.0.1:1") // nobody is there
	fill(from, 0)
	from.Close()
	for range len(known) {
		require.Contains(t, known, &pool.Get(0)[:1][0], "somebody holds what is not needed any more")
	}
}

// Goal: who stands between two processes that encrypt, and passes on how they prove who they
// are, is found out. Method: it has a connection of its own to each, as it can make the keys.
func TestDirect_between(t *testing.T) {
	to, from := direct(t, natsbus.DirectConfig{Encrypt: true}), direct(t, natsbus.DirectConfig{Encrypt: true})
	heard := make(chan struct{}, 1)
	_, err := to.Listen(1, func([]byte) { heard <- struct{}{} })
	require.NoError(t, err)
	cert, _ := certificates(t)
	between, err := tls.Listen("tcp", "127.0.0.1:0", cert)
	require.NoError(t, err)
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		a, err := between.Accept()
		if !assert.NoError(t, err) {
			return
		}
		defer a.Close()
		b, err := tls.Dial("tcp", to.Addr(), &tls.Config{InsecureSkipVerify: true})
		if !assert.NoError(t, err) {
			return
		}
		defer b.Close()
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(a, b); a.Close() })
		both.Go(func() { _, _ = io.Copy(b, a); b.Close() })
		both.Wait()
	}()
	from.Route(1, between.Addr().String())
	require.NoError(t, from.Send(1, []byte("frame")))
	select {
	case <-passed:
	case <-heard:
		require.Fail(t, "a frame has come that was read on its way")
	}
	require.NoError(t, between.Close())
	await(t, "the loss", func() bool { return from.Stats().Lost == 1 })
	assert.Positive(t, to.Stats().Errors)
}

// Goal: a slot is heard at several addresses, and by several who listen at one; what one does
// with its frame is nothing to the others, and who stops hears no more.
func TestDirect_many(t *testing.T) {
	from, owner, standby := direct(t, natsbus.DirectConfig{}), direct(t, natsbus.DirectConfig{}), direct(t, natsbus.DirectConfig{})
	var old, heir, far box
	spoils := func(b []byte) {
		heir.put([]byte(string(b)))
		clear(b)
	}
	stop, err := owner.Listen(1, old.put)
	require.NoError(t, err)
	_, err = owner.Listen(1, spoils)
	require.NoError(t, err)
	_, err = standby.Listen(1, far.put)
	require.NoError(t, err)
	from.Route(1, owner.Addr(), standby.Addr())
	require.NoError(t, from.Send(1, []byte("one")))
	await(t, "a frame at each", func() bool { return old.has("one") && heir.has("one") && far.has("one") })
	stop()
	from.Route(1, owner.Addr())
	require.NoError(t, from.Send(1, []byte("two")))
	await(t, "another one", func() bool { return heir.has("two") })
	assert.False(t, old.has("two"))
	assert.False(t, far.has("two"))
	assert.Zero(t, from.Stats().Lost)
}

// Goal: people are told of an address that is not reached, once, and again when it was
// meanwhile; one that is gone for a moment is no news.
func TestDirect_unreached(t *testing.T) {
	to := direct(t, natsbus.DirectConfig{})
	proxy := natstest.NewProxy(t, to.Addr())
	told := make(chan string, 100)
	from := direct(t, natsbus.DirectConfig{UnreachedAfter: 200 * time.Millisecond, Unreached: func(addr string, err error) { told <- addr + ": " + err.Error() }})
	var got box
	_, err := to.Listen(1, got.put)
	require.NoError(t, err)
	from.Route(1, proxy.Addr())
	for i, frame := range []string{"one", "two"} {
		proxy.Refuse(true)
		var text string
		await(t, "the news", func() bool {
			require.NoError(t, from.Send(1, []byte("lost")))
			select {
			case text = <-told:
				return true
			default:
				return false
			}
		})
		assert.True(t, strings.HasPrefix(text, proxy.Addr()+": "), text)
		lost := from.Stats().Lost
		await(t, "more losses", func() bool {
			require.NoError(t, from.Send(1, []byte("lost")))
			return from.Stats().Lost > lost+2
		})
		assert.Empty(t, told, i)
		proxy.Refuse(false)
		await(t, "a frame", func() bool {
			require.NoError(t, from.Send(1, []byte(frame)))
			return got.has(frame)
		})
	}
}
