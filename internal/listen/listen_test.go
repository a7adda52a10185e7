package listen_test

import (
	"testing"

	"github.com/millrace/millrace/internal/listen"
	"github.com/stretchr/testify/require"
)

// A port that the system has chosen is the same the next time; one that is taken,
// and an address that is none, are errors.
func TestAgain_theSamePort(t *testing.T) {
	var again listen.Again
	first, err := again.Listen("127.0.0.1:0")
	require.NoError(t, err)
	_, err = again.Listen("127.0.0.1:0")
	require.ErrorContains(t, err, "address already in use")
	require.NoError(t, first.Close())
	second, err := again.Listen("127.0.0.1:0")
	require.NoError(t, err)
	require.Equal(t, first.Addr().String(), second.Addr().String())
	require.NoError(t, second.Close())

	_, err = new(listen.Again).Listen("127.0.0.1")
	require.ErrorContains(t, err, "missing port")
}
