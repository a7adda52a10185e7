package natsbus_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/natsbus/natstest"
)

// Goal: frames to a process that is not reached go over NATS until it is, each plane's own way
// being tried all the time, and no longer.
func TestPlanes_instead(t *testing.T) {
	s := start(t, natsbus.ServerConfig{})
	const soon = 50 * time.Millisecond
	for _, tc := range []struct {
		name string
		// open returns a plane that reaches another one by a proxy, which it is given, and lets
		// the latter be heard at slot 1.
		open func(t *testing.T, instead natsbus.Plane) (from, to natsbus.Plane, proxy *natstest.Proxy)
	}{
		{"direct", func(t *testing.T, instead natsbus.Plane) (from, to natsbus.Plane, proxy *natstest.Proxy) {
			d := direct(t, natsbus.DirectConfig{Instead: instead})
			proxy = natstest.NewProxy(t, d.Addr())
			f := direct(t, natsbus.DirectConfig{Instead: instead, UnreachedAfter: soon})
			f.Route(1, proxy.Addr())
			return f, d, proxy
		}},
		{"routed", func(t *testing.T, instead natsbus.Plane) (from, to natsbus.Plane, proxy *natstest.Proxy) {
			d := routed(t, natsbus.RoutedConfig{Name: "b", Instead: instead})
			proxy = natstest.NewProxy(t, d.Addr())
			f := routed(t, natsbus.RoutedConfig{Name: "a", Instead: instead, UnreachedAfter: soon})
			f.Peers(map[string]string{"b": proxy.Addr()})
			f.Route(1, proxy.Addr())
			return f, d, proxy
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var over box // what goes over NATS
			b := connect(t, natsbus.Config{Server: s, Job: tc.name})
			_, err := b.Plane().Listen(1, over.put)
			require.NoError(t, err)
			from, to, proxy := tc.open(t, b.Plane())
			var got box
			stop, err := to.Listen(1, got.put)
			require.NoError(t, err)
			sends := func(frame string, ok func() bool) {
				t.Helper()
				await(t, frame, func() bool {
					require.NoError(t, from.Send(1, []byte(frame)))
					return ok()
				})
			}
			sends("first", func() bool { return got.has("first") })
			assert.False(t, over.has("first"))
			n := 0
			for round := range 2 {
				proxy.Refuse(true)
				detour := fmt.Sprint("detour ", round)
				sends(detour, func() bool { return over.has(detour) && got.has(detour) })
				proxy.Refuse(false)
				await(t, "a frame that does not go over NATS", func() bool {
					n++
					frame, mark := fmt.Sprint("frame ", n), fmt.Sprint("mark ", n)
					require.NoError(t, from.Send(1, []byte(frame)))
					require.NoError(t, b.Plane().Send(1, []byte(mark)))
					await(t, mark, func() bool { return over.has(mark) }) // which is behind the frame there
					return !over.has(frame) && got.has(frame)
				})
			}
			stop()
			require.NoError(t, b.Plane().Send(1, []byte("late")))
			await(t, "late", func() bool { return over.has("late") })
			assert.False(t, got.has("late"))
		})
	}
}
