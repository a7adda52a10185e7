package natsbus_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/natsbus"
)

// Goal: a wrong secret is refused at once and in words, also without a socket.
func TestConnect_wrongSecretInProcess(t *testing.T) {
	s := start(t, natsbus.ServerConfig{Token: "right", Dir: t.TempDir()})
	begun := time.Now()
	_, err := natsbus.Connect(natsbus.Config{Job: "test", Server: s, Token: "wrong"})
	require.ErrorContains(t, err, "the NATS server at "+s.URL()+" refuses the token")
	_, err = natsbus.OpenStore(natsbus.Config{Job: "test", Server: s, Token: "wrong"})
	require.ErrorContains(t, err, "refuses the token")
	require.Less(t, time.Since(begun), 5*time.Second)
}
