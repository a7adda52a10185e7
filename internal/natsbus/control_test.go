package natsbus_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
)

func TestControl_messages(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	a, b := connect(t, natsbus.Config{Server: s}).Control(), connect(t, natsbus.Config{Server: s}).Control()
	var one, two, allA, allB box
	_, err := a.Listen(1, one.put)
	require.NoError(t, err)
	_, err = b.Listen(2, two.put)
	require.NoError(t, err)
	_, err = a.ListenAll(allA.put)
	require.NoError(t, err)
	stop, err := b.ListenAll(allB.put)
	require.NoError(t, err)

	require.NoError(t, a.Tell(2, []byte("for two")))
	require.NoError(t, b.Tell(1, []byte("for one")))
	require.NoError(t, a.TellAll([]byte("for all")))
	await(t, "messages", func() bool { return one.len() == 1 && two.len() == 1 && allA.len() == 1 && allB.len() == 1 })
	assert.True(t, one.has("for one") && two.has("for two") && allA.has("for all") && allB.has("for all"))

	stop()
	require.NoError(t, a.TellAll([]byte("again")))
	require.NoError(t, a.Tell(2, []byte("behind it")))
	await(t, "messages", func() bool { return two.has("behind it") && allA.has("again") })
	assert.False(t, allB.has("again"))
}

func TestControl_commands(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	a, b := connect(t, natsbus.Config{Server: s}).Control(), connect(t, natsbus.Config{Server: s}).Control()
	_, err := a.Ask(t.Context(), "explain slot 3", nil)
	require.ErrorIs(t, err, natsbus.ErrNobody)

	_, err = b.Serve("explain slot 3", func(request []byte) ([]byte, error) {
		switch string(request) {
		case "":
			return nil, errors.New("say what:\nnothing was asked")
		case "hang":
			return nil, <-hang(t)
		}
		return []byte(strings.ToUpper(string(request))), nil
	})
	require.NoError(t, err)
	answer, err := a.Ask(t.Context(), "explain slot 3", []byte("why"))
	require.NoError(t, err)
	require.Equal(t, "WHY", string(answer))

	_, err = a.Ask(t.Context(), "explain slot 3", nil)
	refused, ok := errors.AsType[*natsbus.CommandError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "say what:; nothing was asked", refused.Text)

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = a.Ask(short, "explain slot 3", []byte("hang"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	answer, err = a.Ask(t.Context(), "explain slot 3", []byte("one hangs, the next is served"))
	require.NoError(t, err)
	require.Equal(t, "ONE HANGS, THE NEXT IS SERVED", string(answer))
}

// hang is a channel from which something comes when the test is over.
func hang(t *testing.T) chan error {
	c := make(chan error, 1)
	context.AfterFunc(t.Context(), func() { c <- context.Canceled })
	return c
}

// Goal: a command that two serve is carried out by one of them.
func TestControl_oneServes(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	a, b := connect(t, natsbus.Config{Server: s}).Control(), connect(t, natsbus.Config{Server: s}).Control()
	var done atomic.Int64
	for _, each := range []*natsbus.Control{a, b} {
		_, err := each.Serve("join", func([]byte) ([]byte, error) { done.Add(1); return nil, nil })
		require.NoError(t, err)
	}
	for range 50 {
		_, err := a.Ask(t.Context(), "join", nil)
		require.NoError(t, err)
	}
	require.EqualValues(t, 50, done.Load())
}

// Goal: stop waits for requests that are being served.
func TestControl_stopWaits(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	a, b := connect(t, natsbus.Config{Server: s}).Control(), connect(t, natsbus.Config{Server: s}).Control()
	var begin sync.Once
	begun, end := make(chan struct{}), make(chan struct{})
	stop, err := b.Serve("slow", func([]byte) ([]byte, error) {
		begin.Do(func() { close(begun) })
		<-end
		return []byte("done"), nil
	})
	require.NoError(t, err)
	answer := make(chan string, 1)
	go func() {
		got, err := a.Ask(t.Context(), "slow", nil)
		assert.NoError(t, err)
		answer <- string(got)
	}()
	<-begun
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	await(t, "nobody serves it any more", func() bool {
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := a.Ask(short, "slow", nil)
		return errors.Is(err, natsbus.ErrNobody)
	})
	select {
	case <-stopped:
		t.Fatal("stop has returned while a request is being served")
	default:
	}
	close(end)
	<-stopped
	require.Equal(t, "done", <-answer)
}

// Goal: jobs are found whatever their name, each once, and where there is none that is seen.
func TestControl_roll(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	a, b := connect(t, natsbus.Config{Server: s, Job: "a"}).Control(), connect(t, natsbus.Config{Server: s, Job: "b"}).Control()
	answers, err := a.Roll(t.Context())
	require.NoError(t, err)
	require.Empty(t, answers)
	stopA, err := a.Present(func() []byte { return []byte("a") })
	require.NoError(t, err)
	defer stopA()
	stopB, err := b.Present(func() []byte { return []byte("b") })
	require.NoError(t, err)
	answers, err = a.Roll(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, [][]byte{[]byte("a"), []byte("b")}, answers)
	stopB()
	await(t, "b is gone", func() bool {
		answers, err = b.Roll(t.Context())
		return err == nil && len(answers) == 1 && string(answers[0]) == "a"
	})
}

// Goal: who begins to listen while its connection stands still, or ends, has only to wait:
// what comes once it is there again is heard.
func TestControl_listensWhenItCan(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	proxy := natstest.NewProxy(t, strings.TrimPrefix(s.URL(), "nats://"))
	b, a := connect(t, natsbus.Config{URLs: []string{"nats://" + proxy.Addr()}}), connect(t, natsbus.Config{Server: s})
	for name, fault := range map[string]struct{ begin, heal func() }{
		"held": {func() { proxy.Hold(true, true) }, func() { proxy.Hold(false, false) }},
		"cut":  {func() { proxy.Hold(true, true); time.AfterFunc(50*time.Millisecond, proxy.Cut) }, func() { proxy.Hold(false, false) }},
	} {
		t.Run(name, func(t *testing.T) {
			fault.begin()
			var got box
			stop, err := b.Plane().Listen(5, got.put)
			fault.heal()
			require.NoError(t, err)
			await(t, "a frame", func() bool {
				require.NoError(t, a.Plane().Send(5, []byte(name)))
				return got.has(name)
			})
			stop()
		})
	}
}
