package socket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/socket"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
	"github.com/millrace/millrace/runners/local"
)

// addresses hands on the newest address that a listener has.
type addresses chan net.Addr

func (a addresses) listen() socket.Option {
	return socket.OnListen(func(addr net.Addr) {
		select {
		case <-a: // of one that nobody asked for
		default:
		}
		a <- addr
	})
}

// dial connects to the listener that is there.
func (a addresses) dial(ctx context.Context) (net.Conn, error) {
	for {
		select {
		case addr := <-a:
			if conn, err := net.Dial("tcp", addr.String()); err == nil {
				return conn, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func TestListen_conformance(t *testing.T) {
	a := make(addresses, 1)
	connector.TestSource(t, connector.Source[string]{
		Read: func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return socket.Listen(p, "127.0.0.1:0", a.listen())
		},
		Want: []string{"one", "", "three", "four"},
		Feed: func(ctx context.Context) error {
			conn, err := a.dial(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = io.WriteString(conn, "one\n\nthree\r\nfour\nnot whole")
			return err
		},
	})
}

// server is what a source connects to.
type server struct {
	net.Listener
	accepted chan accepted
}

// accepted is a connection; gone is closed when the other side has left it.
type accepted struct {
	net.Conn
	gone chan struct{}
}

// serve begins to listen at address.
func serve(t *testing.T, address string) *server {
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	s := &server{l, make(chan accepted, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			a := accepted{conn, make(chan struct{})}
			s.accepted <- a
			wg.Go(func() {
				defer close(a.gone)
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn) // until it ends, whatever the reason
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return s
}

// live is a connection whose other side is there.
func (s *server) live(ctx context.Context) (net.Conn, error) {
	for {
		select {
		case a := <-s.accepted:
			select {
			case <-a.gone:
			case <-time.After(30 * time.Millisecond):
				return a.Conn, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func TestLines_conformance(t *testing.T) {
	s := serve(t, "127.0.0.1:0")
	connector.TestSource(t, connector.Source[string]{
		Read: func(p *pipeline.Pipeline) pipeline.PCollection[string] {
			return socket.Lines(p, s.Addr().String(), socket.Backoff(time.Millisecond, time.Second))
		},
		Want: []string{"one", "", "three", "four"},
		Feed: func(ctx context.Context) error {
			for _, part := range []string{"one\n\nth", "three\r\nfour\n"} { // th is dropped: its end has not come
				conn, err := s.live(ctx)
				if err != nil {
					return err
				}
				if _, err := io.WriteString(conn, part); err != nil {
					return err
				}
				conn.Close() // perhaps the other side was quicker
			}
			return nil
		},
	})
}

var errEnough = errors.New("enough")

// follow runs a source, and hands on what it reads.
func follow(t *testing.T, cfg local.Config, read func(p *pipeline.Pipeline) pipeline.PCollection[string]) (got chan string, stop func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	got = make(chan string, 100)
	p := pipeline.New()
	pipeline.ForEach(read(p), func(_ context.Context, s string) error { got <- s; return nil })
	require.NoError(t, p.Err())
	ended := make(chan error, 1)
	go func() {
		_, err := local.Run(ctx, p, cfg)
		ended <- err
	}()
	return got, func() {
		cancel(errEnough)
		require.Equal(t, errEnough, <-ended)
	}
}

func await(t *testing.T, got chan string, want ...string) {
	t.Helper()
	var seen []string
	for range want {
		select {
		case s := <-got:
			seen = append(seen, s)
		case <-time.After(20 * time.Second):
			t.Fatalf("seen are %q of %q", seen, want)
		}
	}
	require.Equal(t, want, seen)
}

// logged is what was logged, from several goroutines.
type logged struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(strings.Lines(l.b.String()))
}

func listenToLog(t *testing.T) *logged {
	l := &logged{}
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(l, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
	return l
}

// Goal: a server that is not there, and one that goes away and comes back.
func TestLines_reconnects(t *testing.T) {
	log := listenToLog(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	got, stop := follow(t, local.Config{Parallelism: 1}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		return socket.Lines(p, address, socket.Backoff(time.Millisecond, 4*time.Millisecond), socket.MaxLine(10))
	})
	for until := time.Now().Add(20 * time.Second); len(log.lines()) < 5; {
		require.True(t, time.Now().Before(until), "it does not say that it tries")
		<-time.After(time.Millisecond)
	}
	for i, wait := range []string{"1ms", "2ms", "4ms", "4ms"} {
		require.Contains(t, log.lines()[i], `msg="no connection: trying again" address=`+address+" lines=0 in="+wait)
		require.Contains(t, log.lines()[i], "connection refused")
	}
	s := serve(t, address)
	send := func(text string) {
		conn, err := s.live(t.Context())
		require.NoError(t, err)
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
		conn.Close() // perhaps it is closed already
	}
	send("one\ntwo\n")
	await(t, got, "one", "two")
	send("three\nmuch too long\nnever seen\n")
	await(t, got, "three")
	send("4\n")
	await(t, got, "4")
	stop()
	all := strings.Join(log.lines(), "")
	require.Contains(t, all, "lines=2 in=1ms why=EOF")
	require.Contains(t, all, `lines=1 in=1ms why="a line is longer than 10 bytes (socket.MaxLine)"`)
}

// Goal: several senders, too many of them, and one that talks too much.
func TestListen_connections(t *testing.T) {
	log := listenToLog(t)
	a := make(addresses, 1)
	got, stop := follow(t, local.Config{Parallelism: 1}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		return socket.Listen(p, "127.0.0.1:0", a.listen(), socket.MaxConnections(2), socket.MaxLine(5), socket.Buffer(1))
	})
	first, err := a.dial(t.Context())
	require.NoError(t, err)
	say := func(conn net.Conn, text string) {
		_, err := io.WriteString(conn, text)
		require.NoError(t, err)
	}
	say(first, "one\n")
	await(t, got, "one")
	second, err := net.Dial("tcp", first.RemoteAddr().String())
	require.NoError(t, err)
	say(second, "two\n")
	await(t, got, "two")
	third, err := net.Dial("tcp", first.RemoteAddr().String())
	require.NoError(t, err)
	_, err = third.Read(make([]byte, 1))
	require.Error(t, err, "closed at once")
	for range 100 {
		say(first, "x\n")
	}
	for range 100 {
		await(t, got, "x")
	}
	say(second, "far too long\n")
	_, err = second.Read(make([]byte, 1))
	require.Error(t, err, "closed")
	say(first, "still\n")
	await(t, got, "still")
	stop()
	for _, conn := range []net.Conn{first, second, third} {
		conn.Close()
	}
	all := strings.Join(log.lines(), "")
	require.Contains(t, all, "too many connections: one is closed")
	require.Contains(t, all, fmt.Sprint("from=", second.LocalAddr(), ` lines=1 why="a line is longer than 5 bytes`))
}

// Goal: the port that the system chose stays the same when a run restarts.
func TestListen_keepsItsPort(t *testing.T) {
	listens := make(chan string, 100)
	failed := false
	_, stop := follow(t, local.Config{Parallelism: 1, Checkpoint: time.Millisecond, Retries: 1}, func(p *pipeline.Pipeline) pipeline.PCollection[string] {
		in := socket.Listen(p, "127.0.0.1:0", socket.OnListen(func(addr net.Addr) { listens <- addr.String() }))
		return pipeline.TryMap(in, func(_ context.Context, s string) (string, error) {
			if !failed {
				failed = true
				return s, errors.New("once")
			}
			return s, nil
		})
	})
	first := <-listens
	conn, err := net.Dial("tcp", first)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "fails\n")
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err, "closed")
	require.Equal(t, first, <-listens)
	stop()
}

func TestLines_sentences(t *testing.T) {
	for _, tc := range []struct {
		address string
		opt     socket.Option
		want    string
	}{
		{"localhost", socket.Buffer(1), `socket.Lines: "localhost": want an address as localhost:9000: `},
		{":1", socket.Buffer(0), "socket.Lines: MaxLine, Buffer and MaxConnections want positive values"},
		{":1", socket.Backoff(2, 1), "socket.Lines: Backoff(2ns, 1ns): want a positive time, and one that is not shorter"},
	} {
		p := pipeline.New()
		socket.Lines(p, tc.address, tc.opt)
		require.ErrorContains(t, p.Err(), tc.want)
		require.ErrorContains(t, p.Err(), "socket_test.go:")
	}
}
