package natsbus_test

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
)

// routed is a plane that ends with the test.
func routed(t *testing.T, cfg natsbus.RoutedConfig) *natsbus.Routed {
	t.Helper()
	if cfg.Job == "" {
		cfg.Job = "test"
	}
	if cfg.Token == "" {
		cfg.Token = "s3cret"
	}
	cfg.Settle = 20 * time.Second
	r, err := natsbus.ListenRouted(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// acquaint tells each of some planes of all.
func acquaint(planes map[string]*natsbus.Routed) {
	addrs := map[string]string{}
	for name, r := range planes {
		addrs[name] = r.Addr()
	}
	for _, r := range planes {
		r.Peers(addrs)
	}
}

// Goal: nothing is lost that is sent when Listen has returned, on the route that is there by
// then; and NATS has no complaints.
func TestRouted(t *testing.T) {
	for name, cfg := range map[string]natsbus.RoutedConfig{"plain": {}, "encrypted": {Encrypt: true}} {
		t.Run(name, func(t *testing.T) {
			var log lines
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			planes := map[string]*natsbus.Routed{}
			for _, cfg.Name = range []string{"a", "b", "c"} {
				planes[cfg.Name] = routed(t, cfg)
			}
			acquaint(planes)
			checkPlane(t, planes["a"], planes["b"])
			for from, r := range planes {
				var got box
				stop, err := r.Listen(7, got.put)
				require.NoError(t, err)
				for to, other := range planes {
					require.NoError(t, other.Send(7, []byte(from+to)))
				}
				await(t, "frames of all", func() bool { return got.has(from+"a") && got.has(from+"b") && got.has(from+"c") })
				stop()
			}
			assert.Zero(t, planes["c"].Missing())
			assert.Empty(t, log.String())
		})
	}
}

// Goal: nobody gets in who has another token, another job or none of both. Where routes are
// encrypted, nobody is believed either who listens at the address of a process. The log has no
// secret.
func TestRouted_strangers(t *testing.T) {
	for _, encrypt := range []bool{false, true} {
		t.Run(fmt.Sprint("encrypted ", encrypt), func(t *testing.T) {
			var log lines
			logs, whyNot := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), make(chan error, 1)
			to := routed(t, natsbus.RoutedConfig{Name: "m", Encrypt: encrypt, Log: logs, UnreachedAfter: 100 * time.Millisecond, Unreached: func(_ string, err error) { whyNot <- err }})
			for name, cfg := range map[string]natsbus.RoutedConfig{
				"another token":      {Token: "t0ken", Encrypt: encrypt},
				"another job":        {Job: "other", Encrypt: encrypt},
				"encrypts otherwise": {Encrypt: !encrypt},
			} {
				t.Run(name, func(t *testing.T) {
					why := make(chan error, 1)
					cfg.Name, cfg.UnreachedAfter, cfg.Log = "a", 100*time.Millisecond, logs // comes before m, and so dials
					cfg.Unreached = func(addr string, err error) {
						assert.Equal(t, to.Addr(), addr)
						why <- err
					}
					from := routed(t, cfg)
					from.Peers(map[string]string{"m": to.Addr()})
					require.Error(t, <-why)
					to.Peers(map[string]string{"a": from.Addr()})
					assert.Equal(t, 1, to.Missing())
					require.Error(t, <-whyNot)
					to.Peers(nil)

					cfg.Name, cfg.Unreached = "z", nil // is dialled
					impostor := routed(t, cfg)
					to.Peers(map[string]string{"z": impostor.Addr()})
					err := <-whyNot
					require.Error(t, err)
					if encrypt {
						require.ErrorContains(t, err, "it is no process of this job: ")
					}
					to.Peers(nil)
				})
			}
			_, err := nats.Connect("nats://" + to.Addr())
			require.Error(t, err)
			for _, secret := range []string{"s3cret", "t0ken"} {
				assert.NotContains(t, log.String(), secret)
			}
		})
	}
}

// Goal: a process that comes in the place of another one, at its address, gets a route at
// once; one that is no peer any more loses its route, and is dialled no more.
func TestRouted_replaced(t *testing.T) {
	var log lines
	a := routed(t, natsbus.RoutedConfig{Name: "a", Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	b := routed(t, natsbus.RoutedConfig{Name: "b"})
	acquaint(map[string]*natsbus.Routed{"a": a, "b": b})
	await(t, "a route", func() bool { return a.Missing()+b.Missing() == 0 })

	b.Close()
	_, port, err := net.SplitHostPort(b.Addr())
	require.NoError(t, err)
	await(t, "the end of the route", func() bool { return a.Missing() == 1 })
	n, err := net.LookupPort("tcp", port)
	require.NoError(t, err)
	c := routed(t, natsbus.RoutedConfig{Name: "c", Port: n})
	acquaint(map[string]*natsbus.Routed{"a": a, "c": c})
	checkPlane(t, a, c)
	checkPlane(t, c, a)

	a.Peers(nil)
	await(t, "no route", func() bool { return c.Missing() == 1 })
	assert.Zero(t, a.Missing())
	await(t, "the log of it", func() bool { return strings.Contains(log.String(), "Removed route nats-route://c:xxxxx@") })
	assert.NotContains(t, log.String(), "s3cret")
	assert.NotRegexp(t, `nats-route://[bc]:[0-9a-f]`, log.String(), "secrets of routes")
}

// Goal: what goes between two processes is not lost while others come and go. Method: who
// sends has credit, as slots have; NATS drops what comes faster than it is taken.
func TestRouted_othersComeAndGo(t *testing.T) {
	planes := map[string]*natsbus.Routed{}
	for _, name := range []string{"b", "d"} {
		planes[name] = routed(t, natsbus.RoutedConfig{Name: name})
	}
	acquaint(planes)
	var got atomic.Int64
	credit := make(chan struct{}, 1000)
	_, err := planes["d"].Listen(1, func([]byte) {
		got.Add(1)
		<-credit
	})
	require.NoError(t, err)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for i := range 9 {
			name, all := string('a'+rune(i%3*2)), maps.Clone(planes)
			all[name] = routed(t, natsbus.RoutedConfig{Name: name})
			acquaint(all)
			_, err := all[name].Listen(2, func([]byte) {}) // when it returns all routes are there
			assert.NoError(t, err)
			all[name].Close()
		}
	}()
	sent := int64(0)
	for done := false; !done; {
		select {
		case credit <- struct{}{}:
			require.NoError(t, planes["b"].Send(1, make([]byte, 1000)))
			sent++
		case <-over:
			done = true
		}
	}
	await(t, "all frames", func() bool { return got.Load() == sent })
	t.Logf("%d frames", sent)
}

// Goal: who is not reached is told of once, with its address and the reason.
func TestRouted_unreached(t *testing.T) {
	type said struct {
		addr string
		err  error
	}
	says := make(chan said, 10)
	tells := natsbus.RoutedConfig{Name: "a", UnreachedAfter: 20 * time.Millisecond, Unreached: func(addr string, err error) { says <- said{addr, err} }}
	a := routed(t, tells)
	dead := freePort(t)
	a.Peers(map[string]string{"b": dead})
	s := <-says
	assert.Equal(t, dead, s.addr)
	require.ErrorContains(t, s.err, "connection refused")

	_, err := natsbus.ListenRouted(t.Context(), natsbus.RoutedConfig{Job: "test", Token: "s3cret"})
	require.ErrorContains(t, err, "this process no name")
	_, err = natsbus.ListenRouted(t.Context(), natsbus.RoutedConfig{Job: "test", Token: "s3cret", Name: "a", Host: "256.0.0.1"})
	require.ErrorContains(t, err, "listen for routes on 256.0.0.1:0: ")
	require.Empty(t, says, "once")
}
